"""My account: the tokens that programs show in my place."""

import uuid
from datetime import timedelta

from flask import Blueprint, abort, current_app, flash, g, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_security import auth_required

from auth import api_tokens, denials
from auth.errors import NotAllowed
from auth.permissions import in_person
from auth.token_forms import TokenForm
from tenants.db import now

bp = Blueprint("account_tokens", __name__, url_prefix="/account/tokens", template_folder="templates")

# A token is a way in of its own: that takes a recent proof, as a passkey does.
_fresh = auth_required("session", within=lambda: current_app.config["SECURITY_FRESHNESS"], grace=lambda: timedelta())


@bp.get("")
@in_person
def list_tokens() -> ResponseReturnValue:
    """The caller's tokens."""
    rows = [(row, api_tokens.ends_at(row)) for row in api_tokens.list_of(g.identity.user_id)]
    catalogue = current_app.extensions["auth"].catalogue.permissions
    return render_template("account/tokens.html", tokens=rows, moment=now(), catalogue=catalogue)


@bp.route("/new", methods=["GET", "POST"])
@in_person
@_fresh
def create() -> ResponseReturnValue:
    """Make a token, and show its secret this once."""
    form = TokenForm(g.identity)
    if form.validate_on_submit():
        try:
            row, secret = api_tokens.create(
                g.identity, form.name.data or "", form.permissions.data or [], form.expires_at()
            )
        except NotAllowed as error:
            form.form_errors = [denials.words_of(error)]
        else:
            return render_template("account/token_made.html", token=row, secret=secret)
    return render_template("account/token_form.html", form=form)


@bp.post("/<uuid:token_id>/revoke")
@in_person
def revoke(token_id: uuid.UUID) -> ResponseReturnValue:
    """End a token, at once."""
    row = api_tokens.find(token_id, user_id=g.identity.user_id)
    if row is None:
        abort(404)
    api_tokens.revoke(row, actor=g.identity)
    flash(_("The token “%(name)s” is revoked.", name=row.name), "success")
    return redirect(url_for("account_tokens.list_tokens"))
