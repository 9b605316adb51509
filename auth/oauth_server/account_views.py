"""In one's own account: which apps one has allowed what, and taking that back."""

import uuid

from flask import Blueprint, abort, flash, g, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from auth import consents
from auth.oauth_server import scopes
from auth.permissions import in_person, signed_in

bp = Blueprint("allowed_apps", __name__, url_prefix="/account/apps")


@bp.get("/")
@in_person
@signed_in
def list_apps() -> ResponseReturnValue:
    """The apps that act for the person, and what each may do."""
    rows = [
        {
            "id": one.id,
            "name": one.name,
            "active": one.client.active,
            "given_at": one.consent.given_at,
            "used_at": one.used_at,
            "learned": [words for name, words in scopes.IDENTITY.items() if name in one.consent.scopes],
            "permissions": scopes.described(one.permissions),
        }
        for one in consents.list_of(g.identity.user_id)
    ]
    return render_template("account/apps.html", apps=rows)


@bp.post("/<uuid:consent_id>/revoke")
@in_person
@signed_in
def revoke(consent_id: uuid.UUID) -> ResponseReturnValue:
    """Take it back."""
    if not consents.revoke(g.identity, consent_id):
        abort(404)
    flash(_("The app acts for you no longer."), "success")
    return redirect(url_for("allowed_apps.list_apps"))
