"""Rows as SCIM resources, a page of them in a fixed number of statements; and what is kept of a resource."""

import json
import uuid
from collections.abc import Collection, Sequence
from typing import Any

from flask import g
from scim2_models import EnterpriseUser, InvalidValueException, PayloadTooLargeException, Resource, User
from sqlalchemy import Select, and_, select

from auth.models import Group as GroupRow
from auth.models import Membership
from auth.models import User as UserRow
from auth.scim.models import ScimResource
from auth.scim.schemas import PROVIDER, Group

MODELS: dict[str, type[Resource[Any]]] = {"User": User[EnterpriseUser], "Group": Group}
"""Kind of resource → the model of it, extensions included."""
LARGEST = 64 * 1024  # of what is kept of one resource, as JSON
_ELSEWHERE = ("id", "meta", "externalId", "password", "groups", "members")
ROWS = select(ScimResource, UserRow.active).outerjoin(
    UserRow, and_(UserRow.tenant_id == ScimResource.tenant_id, UserRow.id == ScimResource.user_id)
)
"""What `describe` takes: rows, each with whether its account is active."""
_MEMBERSHIPS = (
    select(Membership.id)
    .join(GroupRow, and_(GroupRow.tenant_id == Membership.tenant_id, GroupRow.id == Membership.group_id))
    .join(UserRow, and_(UserRow.tenant_id == Membership.tenant_id, UserRow.id == Membership.user_id))
    .join(ScimResource, ScimResource.tenant_id == Membership.tenant_id)
)
_IN_GROUP = ScimResource.group_id == Membership.group_id
_OF_USER = ScimResource.user_id == Membership.user_id


def kept(resource: Resource[Any]) -> dict[str, Any]:
    """What of a resource is kept as it was sent. Raises PayloadTooLargeException, and InvalidValueException for NUL."""
    sent = {name: value for name, value in resource.model_dump().items() if name not in _ELSEWHERE}
    text = json.dumps(sent)
    if len(text) > LARGEST:
        raise PayloadTooLargeException(detail=f"A resource has at most {LARGEST} bytes")
    if "\\u0000" in text:
        raise InvalidValueException(detail="No value holds a NUL")
    return sent


def describe(found: Sequence[tuple[ScimResource, bool | None]]) -> list[Resource[Any]]:
    """Rows of one source with the states of their accounts, as resources: with groups and members."""
    users = [row.user_id for row, _active in found if row.user_id is not None]
    teams = [row.group_id for row, _active in found if row.group_id is not None]
    groups = _groups_of(found[0][0].provider_id, users) if users else {}
    members = _members_of(found[0][0].provider_id, teams) if teams else {}
    with PROVIDER:
        return [
            _as_user(row, bool(active), groups.get(row.user_id, []))
            if row.user_id is not None
            else _as_group(row, members.get(row.group_id, []))
            for row, active in found
        ]


def version_of(row: ScimResource, active: bool | None) -> str:
    """The entity tag of a resource; an account may also be closed by an administrator."""
    return f'W/"{row.version}{"" if active in (None, row.attributes.get("active", True)) else "-"}"'


def _as_user(row: ScimResource, active: bool, groups: Sequence[dict[str, Any]]) -> Resource[Any]:
    document = _common(row, active)
    # Nothing was said of it, and what this source has closed is no news to it.
    if "active" in row.attributes or not (active or row.closed):
        document["active"] = active
    return MODELS["User"].model_validate(document | ({"groups": groups} if groups else {}))


def _as_group(row: ScimResource, members: Sequence[dict[str, Any]]) -> Resource[Any]:
    return MODELS["Group"].model_validate(_common(row, None) | ({"members": members} if members else {}))


def _common(row: ScimResource, active: bool | None) -> dict[str, Any]:
    meta = {
        "resourceType": row.kind,
        "created": row.created_at.isoformat(),
        "lastModified": row.modified_at.isoformat(),
        "version": version_of(row, active),
    }
    external = {"externalId": row.external_id} if row.external_id is not None else {}
    return row.attributes | external | {"id": str(row.id), "meta": meta}


def _groups_of(provider: uuid.UUID, users: Collection[uuid.UUID]) -> dict[Any, list[dict[str, Any]]]:
    """The provisioned groups that users are in, by user."""
    statement = _MEMBERSHIPS.where(_IN_GROUP, Membership.user_id.in_(list(users)))
    return _by_holder(
        statement.with_only_columns(Membership.user_id, ScimResource.id, GroupRow.name), provider, "Group"
    )


def _members_of(provider: uuid.UUID, groups: Collection[uuid.UUID]) -> dict[Any, list[dict[str, Any]]]:
    """Who is in groups, by group."""
    statement = _MEMBERSHIPS.where(_OF_USER, Membership.group_id.in_(list(groups)))
    return _by_holder(statement.with_only_columns(Membership.group_id, ScimResource.id, UserRow.name), provider, "User")


def _by_holder(
    statement: Select[uuid.UUID, uuid.UUID, str], provider: uuid.UUID, kind: str
) -> dict[Any, list[dict[str, Any]]]:
    found: dict[Any, list[dict[str, Any]]] = {}
    own = (ScimResource.provider_id == provider, ScimResource.deleted_at.is_(None))
    for holder, id, name in g.db.execute(statement.where(*own).order_by(ScimResource.id)):
        told = {"type": "User"} if kind == "User" else {"type": "direct", "display": name}
        found.setdefault(holder, []).append({"value": str(id), "$ref": f"{kind}s/{id}"} | told)
    return found
