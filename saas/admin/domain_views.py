"""Pages of domains of e-mail addresses: taken up, looked for in the DNS, given up."""

import uuid

from flask import Blueprint, abort, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from wtforms import StringField, SubmitField
from wtforms.validators import DataRequired, Length

from auth import domains, throttle
from auth.domain_records import Finding
from auth.errors import DomainTaken, InvalidDomain, Throttled
from auth.forms import PageForm
from auth.permissions import AccessPermission, requires
from auth.providers.models import MailDomain
from auth.providers.registry import list_configs

bp = Blueprint("domains", __name__, url_prefix="/domains")

MOST_CHECKS = 60
"""From one address, within a window of `auth/throttle.py`."""
FOUND = {
    Finding.FOUND: lazy_gettext("The record of %(domain)s is there: the domain is proved."),
    Finding.ABSENT: lazy_gettext("There is no TXT record of %(domain)s yet. A new one may take an hour to be seen."),
    Finding.DIFFERENT: lazy_gettext("There is a TXT record of %(domain)s, but with another value."),
    Finding.UNANSWERED: lazy_gettext("No name server gave an answer about %(domain)s. Try again later."),
    Finding.TAKEN: lazy_gettext("Another workspace has proved that the domain %(domain)s is its own."),
}
"""What a check has come to, in words."""


class DomainForm(PageForm):
    """A domain to take up."""

    domain = StringField(lazy_gettext("Domain"), validators=[DataRequired(), Length(max=300)])
    submit = SubmitField(lazy_gettext("Add"))


@bp.route("/new", methods=["GET", "POST"])
@requires(AccessPermission.PROVIDER_MANAGE)
def add() -> ResponseReturnValue:
    """Take up a domain, to be proved."""
    form = DomainForm()
    if form.validate_on_submit():
        try:
            row = domains.add_domain(form.domain.data or "", actor=g.identity)
        except (InvalidDomain, DomainTaken) as error:
            form.domain.errors = [str(error)]
        else:
            flash(_("%(domain)s is added. Publish its TXT record, then check it.", domain=row.domain), "success")
            return redirect(url_for("sign_in.overview", _anchor="domains"))
    return render_template("admin/domain_new.html", form=form), 422 if form.is_submitted() else 200


@bp.post("/<uuid:domain_id>/check")
@requires(AccessPermission.PROVIDER_MANAGE)
def check(domain_id: uuid.UUID) -> ResponseReturnValue:
    """Look for the record now."""
    row = find_domain(domain_id)
    finding = check_now(row)
    flash(str(FOUND[finding]) % {"domain": row.domain}, "success" if finding is Finding.FOUND else "warning")
    return redirect(url_for("sign_in.overview", _anchor="domains"))


@bp.route("/<uuid:domain_id>/remove", methods=["GET", "POST"])
@requires(AccessPermission.PROVIDER_MANAGE)
def remove(domain_id: uuid.UUID) -> ResponseReturnValue:
    """Say what will happen, then give a domain up."""
    row = find_domain(domain_id)
    if request.method == "GET":
        sources = [config for config in list_configs() if row.domain in config.domains]
        return render_template("admin/domain_remove.html", domain=row, sources=sources)
    domains.remove_domain(row, g.identity)
    flash(_("%(domain)s is removed.", domain=row.domain), "success")
    return redirect(url_for("sign_in.overview", _anchor="domains"))


def find_domain(domain_id: uuid.UUID) -> MailDomain:
    """The bound tenant's domain of that id. Answers 404 for another's, or none."""
    row: MailDomain | None = g.db.find(MailDomain, domain_id)
    if row is None:
        abort(404)
    return row


def check_now(row: MailDomain) -> Finding:
    """Look for the record; one that an operator vouches for is not looked for. Raises Throttled."""
    if row.vouched:
        return Finding.FOUND
    if not throttle.allows("domain check", MOST_CHECKS):
        raise Throttled(int(throttle.WINDOW.total_seconds()))
    checked = domains.check_each([row])
    if not checked:  # removed meanwhile
        abort(404)
    return checked[0].finding
