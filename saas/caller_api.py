"""JSON about whoever calls."""

import uuid

from flask import Blueprint, g

from auth.permissions import signed_in
from saas.operations import Answerable, operation
from saas.shapes import Answer

bp = Blueprint("api", __name__, url_prefix="/api/v1")


class TenantJson(Answer):
    """The tenant that is served on this host."""

    id: uuid.UUID
    slug: str
    name: str


class UserJson(Answer):
    """A person, or a service account."""

    id: uuid.UUID
    email: str
    name: str


class Caller(Answer):
    """Who calls, and what they may do."""

    tenant: TenantJson
    user: UserJson
    roles: list[str]
    permissions: list[str]
    """On the whole workspace; of a token, those that it is confined to."""


@bp.get("/me")
@signed_in
@operation("Who calls", returns=Caller, tag="Caller")
def me() -> Answerable:
    """The caller: tenant, user, roles and permissions."""
    return {
        "tenant": g.tenant,
        "user": {"id": g.identity.user_id, "email": g.identity.email, "name": g.identity.name},
        "roles": list(g.identity.roles),
        "permissions": sorted(g.permissions),
    }
