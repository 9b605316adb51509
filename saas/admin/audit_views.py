"""The page of the audit log, and the log as a file."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from flask import Blueprint, Flask, Response, current_app, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from wtforms import IntegerField
from wtforms.validators import InputRequired, NumberRange

from auth import audit, audit_retention
from auth.forms import PageForm
from auth.permissions import AccessPermission, can, requires
from saas.admin import audit_export, audit_filters, audit_words
from saas.admin.audit_filters import Filter
from saas.navigation import Entry
from tenants.context import Tenant
from tenants.db import now

bp = Blueprint("audit", __name__, url_prefix="/admin/audit", template_folder="templates")

ENTRY = Entry(
    "audit.list_events", lazy_gettext("Audit log"), "history", visible=lambda: can(AccessPermission.AUDIT_READ)
)
PAGE = 50


@bp.get("/")
@requires(AccessPermission.AUDIT_READ)
def list_events() -> ResponseReturnValue:
    """Filter and page through what has happened, newest first."""
    wanted, before = audit_filters.of_page(), None
    with suppress(ValueError):  # no place that a page has given: from the newest on
        before = uuid.UUID(request.args.get("before", ""))
    found = wanted.search(before=before, limit=PAGE + 1)
    since, until = audit_filters.chosen_days()
    return render_template(
        "admin/audit.html",
        rows=audit_words.show(found[:PAGE]),
        more=found[PAGE - 1].id if len(found) > PAGE else None,
        before=before,
        here={
            "kind": wanted.kinds[0] if wanted.kinds else None,
            "who": str(wanted.party) if wanted.party else None,
            "since": since.isoformat() if since else None,
            "until": until.isoformat() if until else None,
        },
        whose=audit_words.name_of_party(wanted.party, found) if isinstance(wanted.party, uuid.UUID) else "",
        kinds=sorted(audit.KINDS.items(), key=lambda item: str(item[1]).casefold()),
        actors=audit_words.ACTORS,
        may_shorten=can(AccessPermission.WORKSPACE_MANAGE),
        days=audit_retention.kept_for(),
    )


class RetentionForm(PageForm):
    """For how long events are kept."""

    days = IntegerField(
        lazy_gettext("Days that events are kept"),
        validators=[InputRequired(), NumberRange(audit_retention.SHORTEST, audit_retention.LONGEST)],
    )


@bp.route("/retention", methods=["GET", "POST"])
@requires(AccessPermission.WORKSPACE_MANAGE)
def retention() -> ResponseReturnValue:
    """Choose for how long events are kept; what is removed leaves a signed checkpoint."""
    form = RetentionForm(data={"days": audit_retention.kept_for()})
    if form.validate_on_submit():
        audit_retention.keep_for(form.days.data or 0, actor=g.identity)
        flash(_("Saved."), "success")
        return redirect(url_for("audit.retention"))
    page = render_template("admin/retention.html", form=form)
    return page, 422 if form.is_submitted() else 200


@bp.get("/export.csv")
@requires(AccessPermission.AUDIT_READ)
def export_csv() -> ResponseReturnValue:
    """What the filters find, as a table for spreadsheets."""
    return _file(audit_export.as_csv, "csv", "text/csv; charset=utf-8")


@bp.get("/export.jsonl")
@requires(AccessPermission.AUDIT_READ)
def export_json_lines() -> ResponseReturnValue:
    """What the filters find, for programs."""
    return _file(audit_export.as_json_lines, "jsonl", "application/jsonl; charset=utf-8")


def _file(write: Callable[[Flask, Tenant, Filter], Iterator[str]], ending: str, content_type: str) -> Response:
    wanted = audit_filters.of_page()
    if request.method == "GET":
        audit.record("audit log exported", details={"format": ending, **wanted.as_details()})
    app: Any = current_app
    pages = write(app._get_current_object(), g.tenant, wanted)
    name = f"audit-{g.tenant.slug}-{now():%Y-%m-%d}.{ending}"
    return Response(pages, content_type=content_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})
