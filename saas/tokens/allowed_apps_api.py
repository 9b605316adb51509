"""JSON of the apps that one has allowed something."""

import uuid
from datetime import datetime
from typing import Any

from flask import Blueprint, abort, g

from auth import consents
from auth.client_models import Consent, OAuthClient
from auth.permissions import in_person
from saas.lookup import found
from saas.operations import Answerable, operation
from saas.shapes import Answer, Page

bp = Blueprint("allowed_apps_api", __name__, url_prefix="/api/v1/me/apps")


class AllowedApp(Answer):
    """An app that acts for the caller."""

    id: uuid.UUID
    """Of what the caller has allowed it; not the app's."""
    client_id: str
    name: str
    active: bool
    """Whether it can do anything at present: administrators switch apps off."""
    permissions: list[str]
    """What it may do, as far as the caller may do that, too."""
    scopes: list[str]
    """What it may know of the caller, in OpenID Connect's words."""
    given_at: datetime
    used_at: datetime | None
    """When it was last given a token."""


@bp.get("")
@in_person
@operation("List allowed apps", returns=Page[AllowedApp], tag="Tokens")
def list_apps() -> Answerable:
    """The apps that the caller has allowed something, by name; all of them at once."""
    return {"items": [_as_dict(*row) for row in consents.list_of(g.identity.user_id)], "next_cursor": None}


@bp.get("/<uuid:consent_id>")
@in_person
@operation("Show an allowed app", returns=AllowedApp, tag="Tokens")
def show(consent_id: uuid.UUID) -> Answerable:
    """One of the apps that the caller has allowed something."""
    rows = consents.list_of(g.identity.user_id)
    return _as_dict(*found(next((row for row in rows if row[0].id == consent_id), None)))


@bp.delete("/<uuid:consent_id>")
@in_person
@operation("Take back what an app was allowed", tag="Tokens")
def revoke(consent_id: uuid.UUID) -> Answerable:
    """Allow an app nothing any more: its tokens end at once."""
    if not consents.revoke(g.identity, consent_id):
        abort(404)


def _as_dict(consent: Consent, client: OAuthClient, used_at: datetime | None) -> dict[str, Any]:
    return {
        "id": consent.id,
        "client_id": client.client_id,
        "name": client.name,
        "active": client.active,
        "permissions": sorted(frozenset(consent.permissions) & frozenset(client.permissions)),
        "scopes": consent.scopes,
        "given_at": consent.given_at,
        "used_at": used_at,
    }
