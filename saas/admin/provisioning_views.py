"""The page of a source on which it is provisioned by SCIM: where to, by which tokens, and what came of it."""

import uuid
from datetime import datetime, timedelta

from flask import Blueprint, abort, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext, ngettext
from wtforms import SelectField, SubmitField

from auth import denials
from auth.errors import InvalidProvider
from auth.forms import PageForm
from auth.permissions import AccessPermission, requires
from auth.providers.models import ProviderConfig
from auth.scim import listings, tokens
from auth.scim.people import NO_ADDRESS
from saas import page_number
from saas.admin import provider_choices as choices
from tenants.db import now

bp = Blueprint("provisioning", __name__, url_prefix="/sources/<uuid:config_id>/provisioning")

_LASTS = (90, 180, 365, 730)
_MOST_GROUPS = 100


class TokenForm(PageForm):
    """A provisioning token: how long it lasts."""

    days = SelectField(lazy_gettext("Lasts"))
    submit = SubmitField(lazy_gettext("Make a token"))

    def __init__(self) -> None:
        super().__init__()
        offered = [(str(days), ngettext("%(num)s day", "%(num)s days", days)) for days in _LASTS]
        self.days.choices = [*offered, ("", _("until it is revoked"))]

    def expires_at(self) -> datetime | None:
        """The end that was chosen; None: without one."""
        return now() + timedelta(days=int(self.days.data)) if self.days.data else None


@bp.get("")
@requires(AccessPermission.PROVIDER_READ)
def show(config_id: uuid.UUID) -> ResponseReturnValue:
    """Where the source provisions to, its tokens, and whom and what it has provisioned."""
    return _show(choices.find_source(config_id), TokenForm())


@bp.post("/tokens")
@requires(AccessPermission.PROVIDER_MANAGE)
def create_token(config_id: uuid.UUID) -> ResponseReturnValue:
    """Make a token, and show its secret this once."""
    config, form = choices.find_source(config_id), TokenForm()
    if form.validate_on_submit():
        try:
            _row, secret = tokens.issue(config, actor=g.identity, expires_at=form.expires_at())
        except InvalidProvider as error:
            form.form_errors = [denials.words_of(error)]
        else:
            return render_template(
                "admin/provisioning_token.html", source=config, secret=secret, address=listings.address()
            )
    return _show(config, form), 422


@bp.post("/tokens/<uuid:provisioning_token_id>/revoke")
@requires(AccessPermission.PROVIDER_MANAGE)
def revoke_token(config_id: uuid.UUID, provisioning_token_id: uuid.UUID) -> ResponseReturnValue:
    """Take a token back."""
    config = choices.find_source(config_id)
    if not tokens.revoke(config, provisioning_token_id, actor=g.identity):
        abort(404)
    flash(_("The token is revoked. Whoever still shows it is refused."), "success")
    return redirect(url_for("sign_in.provisioning.show", config_id=config.id))


def _show(config: ProviderConfig, form: TokenForm) -> str:
    paging = page_number.asked() if request.method == "GET" else page_number.PageNumber(1)
    return render_template(
        "admin/provisioning.html",
        source=config,
        address=listings.address(),
        tokens=tokens.list_of(config),
        moment=now(),
        form=form,
        people=listings.people_of(config, limit=paging.size, offset=paging.offset),
        people_total=listings.count_of(config, "User"),
        paging=paging,
        teams=listings.teams_of(config, limit=_MOST_GROUPS),
        teams_total=listings.count_of(config, "Group"),
        labels=choices.role_labels(),
        no_address=f"@{NO_ADDRESS}",
    )
