"""JSON of how an identity provider is provisioned by SCIM: its tokens, and what came of it."""

import uuid
from datetime import datetime
from typing import Any, Literal

from flask import Blueprint, abort, g, url_for
from pydantic import AwareDatetime

from auth.errors import InvalidProvider
from auth.models import User
from auth.permissions import AccessPermission, requires
from auth.providers.models import ProvisioningToken
from auth.scim import listings, tokens
from auth.scim.models import ScimResource
from saas.admin.provider_choices import find_source
from saas.admin.providers_api import as_fields
from saas.lookup import found
from saas.operations import Answerable, operation
from saas.shapes import Answer, Given, Page, Paging, Search, first_page

bp = Blueprint("provisioning_api", __name__, url_prefix="/api/v1/providers/<uuid:config_id>/provisioning")


class ProvisionedUserQuery(Paging):
    """Which provisioned users, and in which order."""

    search: Search = ""
    """Part of the name, the address, or an id of the provider's own."""
    active: bool | None = None
    sort: Literal["created", "-created", "name", "-name", "modified", "-modified"] = "created"


class ProvisionedGroupQuery(Paging):
    """Which provisioned groups, and in which order."""

    search: Search = ""
    """Part of the name, or an id of the provider's own."""
    mapped: bool | None = None
    """Whether they give a role."""
    sort: Literal["created", "-created", "name", "-name", "modified", "-modified"] = "created"


class ProvisioningTokenQuery(Paging):
    """In which order provisioning tokens are listed."""

    sort: Literal["created", "-created"] = "created"


class NewProvisioningToken(Given):
    """The body that makes a provisioning token."""

    expires_at: AwareDatetime | None = None
    """When it ends; null: it does not end by itself."""


class ProvisioningTokenJson(Answer):
    """A provisioning token, without its secret."""

    id: uuid.UUID
    created_at: datetime
    created_by: uuid.UUID | None
    """The member who made it; null: an operator."""
    expires_at: datetime | None
    last_used_at: datetime | None
    """To the minute."""


class MadeProvisioningToken(ProvisioningTokenJson):
    """A provisioning token that was just made."""

    token: str
    """The secret, for the identity provider. It is shown this once."""


class ProvisioningJson(Answer):
    """How a provider is provisioned."""

    address: str
    """Where the identity provider provisions to."""
    users: int
    """How many users it has provisioned."""
    groups: int
    """How many groups it has provisioned."""


class ProvisionedUserJson(Answer):
    """A user whom the provider has provisioned."""

    id: uuid.UUID
    """SCIM's id of the user."""
    user_id: uuid.UUID
    """The member."""
    user_name: str
    external_id: str | None
    email: str
    active: bool
    created_at: datetime
    modified_at: datetime


class ProvisionedGroupJson(Answer):
    """A group that the provider has provisioned."""

    id: uuid.UUID
    """SCIM's id of the group."""
    group_id: uuid.UUID
    """The group."""
    name: str
    external_id: str | None
    members: int
    roles: list[str]
    """The roles that it gives; none, while it is not mapped to one."""
    created_at: datetime
    modified_at: datetime


@bp.get("")
@requires(AccessPermission.PROVIDER_READ)
@operation("Show the provisioning of a provider", returns=ProvisioningJson, tag="Providers")
def show(config_id: uuid.UUID) -> Answerable:
    """Where the provider provisions to by SCIM, and how much it has."""
    config = find_source(config_id)
    counts = {"users": listings.count_of(config, "User"), "groups": listings.count_of(config, "Group")}
    return {"address": listings.address()} | counts


@bp.get("/tokens")
@requires(AccessPermission.PROVIDER_READ)
@operation(
    "List provisioning tokens", query=ProvisioningTokenQuery, returns=Page[ProvisioningTokenJson], tag="Providers"
)
def list_tokens(config_id: uuid.UUID, query: ProvisioningTokenQuery) -> Answerable:
    """A page of the provisioning tokens of the provider, the oldest first unless sorted."""
    config, order = find_source(config_id), tokens.ORDERS[query.sort]
    rows = tokens.list_of(config, sort=query.sort, limit=query.limit + 1, after=query.place(order))
    shown, more = first_page(rows, query.limit, order.write)
    return {"items": [_as_dict(row) for row in shown], "next_cursor": more}


@bp.post("/tokens")
@requires(AccessPermission.PROVIDER_MANAGE)
@operation(
    "Make a provisioning token", body=NewProvisioningToken, returns=MadeProvisioningToken, status=201, tag="Providers"
)
def create_token(config_id: uuid.UUID, body: NewProvisioningToken) -> Answerable:
    """Make a token by which the provider provisions users and groups. It takes the rights that changing it takes."""
    config = find_source(config_id)
    try:
        row, secret = tokens.issue(config, actor=g.identity, expires_at=body.expires_at)
    except InvalidProvider as error:
        raise as_fields(error, "expires_at") from None
    place = url_for("provisioning_api.show_token", config_id=config.id, provisioning_token_id=row.id)
    return _as_dict(row) | {"token": secret}, 201, {"Location": place}


@bp.delete("/tokens/<uuid:provisioning_token_id>")
@requires(AccessPermission.PROVIDER_MANAGE)
@operation("Revoke a provisioning token", tag="Providers")
def revoke_token(config_id: uuid.UUID, provisioning_token_id: uuid.UUID) -> Answerable:
    """Take a token back, at once."""
    if not tokens.revoke(find_source(config_id), provisioning_token_id, actor=g.identity):
        abort(404)


@bp.get("/tokens/<uuid:provisioning_token_id>")
@requires(AccessPermission.PROVIDER_READ)
@operation("Show a provisioning token", returns=ProvisioningTokenJson, tag="Providers")
def show_token(config_id: uuid.UUID, provisioning_token_id: uuid.UUID) -> Answerable:
    """One provisioning token, without its secret."""
    rows = tokens.list_of(find_source(config_id))  # ten at most
    return _as_dict(found(next((row for row in rows if row.id == provisioning_token_id), None)))


@bp.get("/users")
@requires(AccessPermission.PROVIDER_READ)
@operation("List provisioned users", query=ProvisionedUserQuery, returns=Page[ProvisionedUserJson], tag="Providers")
def list_users(config_id: uuid.UUID, query: ProvisionedUserQuery) -> Answerable:
    """The users whom the provider has provisioned, in that order unless sorted."""
    config, order = find_source(config_id), listings.ORDERS[query.sort]
    wanted = listings.Filter(query.search, active=query.active)
    rows = listings.people_of(config, wanted, sort=query.sort, limit=query.limit + 1, after=query.place(order))
    shown, more = first_page(rows, query.limit, lambda pair: order.write(pair[0]))
    return {"items": [_as_user(row, user) for row, user in shown], "next_cursor": more}


@bp.get("/users/<uuid:provisioned_user_id>")
@requires(AccessPermission.PROVIDER_READ)
@operation("Show a provisioned user", returns=ProvisionedUserJson, tag="Providers")
def show_user(config_id: uuid.UUID, provisioned_user_id: uuid.UUID) -> Answerable:
    """A user whom the provider has provisioned, by SCIM's id."""
    return _as_user(*found(listings.person_of(find_source(config_id), provisioned_user_id)))


@bp.get("/groups")
@requires(AccessPermission.PROVIDER_READ)
@operation("List provisioned groups", query=ProvisionedGroupQuery, returns=Page[ProvisionedGroupJson], tag="Providers")
def list_groups(config_id: uuid.UUID, query: ProvisionedGroupQuery) -> Answerable:
    """The groups that the provider has provisioned, in that order unless sorted."""
    config, order = find_source(config_id), listings.ORDERS[query.sort]
    wanted = listings.Filter(query.search, mapped=query.mapped)
    rows = listings.teams_of(config, wanted, sort=query.sort, limit=query.limit + 1, after=query.place(order))
    shown, more = first_page(rows, query.limit, lambda team: order.write(team.row))
    return {"items": [_as_group(team) for team in shown], "next_cursor": more}


@bp.get("/groups/<uuid:provisioned_group_id>")
@requires(AccessPermission.PROVIDER_READ)
@operation("Show a provisioned group", returns=ProvisionedGroupJson, tag="Providers")
def show_group(config_id: uuid.UUID, provisioned_group_id: uuid.UUID) -> Answerable:
    """A group that the provider has provisioned, by SCIM's id."""
    return _as_group(found(listings.team_of(find_source(config_id), provisioned_group_id)))


def _as_user(row: ScimResource, user: User) -> dict[str, Any]:
    return {
        "id": row.id,
        "user_id": user.id,
        "user_name": row.attributes.get("userName", ""),
        "external_id": row.external_id,
        "email": user.email,
        "active": user.active,
        "created_at": row.created_at,
        "modified_at": row.modified_at,
    }


def _as_group(team: listings.Team) -> dict[str, Any]:
    return {
        "id": team.row.id,
        "group_id": team.group.id,
        "name": team.group.name,
        "external_id": team.row.external_id,
        "members": team.members,
        "roles": team.roles,
        "created_at": team.row.created_at,
        "modified_at": team.row.modified_at,
    }


def _as_dict(row: ProvisioningToken) -> dict[str, Any]:
    return {
        "id": row.id,
        "created_at": row.created_at,
        "created_by": row.created_by,
        "expires_at": row.expires_at,
        "last_used_at": row.last_used_at,
    }
