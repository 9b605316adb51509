"""JSON of the apps that one has allowed something."""

import uuid
from datetime import datetime
from typing import Any, Literal

from flask import Blueprint, abort, g

from auth import consents
from auth.consents import Allowed
from auth.permissions import in_person
from saas.lookup import found
from saas.operations import Answerable, operation
from saas.shapes import Answer, Page, Paging, first_page

bp = Blueprint("allowed_apps_api", __name__, url_prefix="/api/v1/me/apps")


class AllowedAppQuery(Paging):
    """In which order allowed apps are listed."""

    sort: Literal["name", "-name", "created", "-created"] = "name"


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
@operation("List allowed apps", query=AllowedAppQuery, returns=Page[AllowedApp], tag="Tokens")
def list_apps(query: AllowedAppQuery) -> Answerable:
    """A page of the apps that the caller has allowed something, by name unless sorted."""
    order = consents.ORDERS[query.sort]
    rows = consents.list_of(g.identity.user_id, sort=query.sort, limit=query.limit + 1, after=query.place(order))
    shown, more = first_page(rows, query.limit, order.write)
    return {"items": [_as_dict(row) for row in shown], "next_cursor": more}


@bp.get("/<uuid:consent_id>")
@in_person
@operation("Show an allowed app", returns=AllowedApp, tag="Tokens")
def show(consent_id: uuid.UUID) -> Answerable:
    """One of the apps that the caller has allowed something."""
    return _as_dict(found(consents.find(g.identity.user_id, consent_id)))


@bp.delete("/<uuid:consent_id>")
@in_person
@operation("Take back what an app was allowed", tag="Tokens")
def revoke(consent_id: uuid.UUID) -> Answerable:
    """Allow an app nothing any more: its tokens end at once."""
    if not consents.revoke(g.identity, consent_id):
        abort(404)


def _as_dict(allowed: Allowed) -> dict[str, Any]:
    return {
        "id": allowed.id,
        "client_id": allowed.client.client_id,
        "name": allowed.name,
        "active": allowed.client.active,
        "permissions": sorted(allowed.permissions),
        "scopes": allowed.consent.scopes,
        "given_at": allowed.consent.given_at,
        "used_at": allowed.used_at,
    }
