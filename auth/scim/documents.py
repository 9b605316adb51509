"""Rows as SCIM resources, a page of them in a fixed number of statements; and what is kept of a resource."""

import json
import uuid
from collections.abc import Collection, Sequence
from typing import Any

from flask import g, request
from scim2_models import (
    InvalidValueException,
    PayloadTooLargeException,
    Resource,
    ResponseParameters,
    TooManyException,
    User,
)
from sqlalchemy import Select, and_, func, select

from auth.models import Group as GroupRow
from auth.models import Membership
from auth.models import User as UserRow
from auth.scim import bounds
from auth.scim.listings import PREFIX
from auth.scim.models import ScimResource
from auth.scim.schemas import PROVIDER, EnterpriseUser, Group, GroupMember

MODELS: dict[str, type[Resource[Any]]] = {"User": User[EnterpriseUser], "Group": Group}
"""Kind of resource → the model of it, extensions included."""
LARGEST = 64 * 1024  # of what is kept of one resource, as JSON
MOST_LISTED = 20_000
"""Members of all groups that are told at once."""
MOST_SPENT = 70_000
"""Members, and other values, that one request, a bulk request above all, has told or gone through."""
_ELSEWHERE = ("id", "meta", "externalId", "password", "groups", "members")
ROWS = select(ScimResource, UserRow.active).outerjoin(
    UserRow, and_(UserRow.tenant_id == ScimResource.tenant_id, UserRow.id == ScimResource.user_id)
)
"""What `describe` takes: rows, each with whether its account is active."""
_GROUPS = (
    select(Membership.user_id, ScimResource.id, GroupRow.name)
    .join(
        ScimResource, and_(ScimResource.tenant_id == Membership.tenant_id, ScimResource.group_id == Membership.group_id)
    )
    .join(GroupRow, and_(GroupRow.tenant_id == Membership.tenant_id, GroupRow.id == Membership.group_id))
)
_MEMBERS = select(Membership.group_id, ScimResource.id).join(
    ScimResource, and_(ScimResource.tenant_id == Membership.tenant_id, ScimResource.user_id == Membership.user_id)
)


def kept(resource: Resource[Any]) -> dict[str, Any]:
    """What of a resource is kept as it was sent. Raises PayloadTooLargeException, and InvalidValueException for NUL."""
    told = resource.model_copy(update={"members": None}) if isinstance(resource, Group) else resource
    sent = {name: value for name, value in told.model_dump().items() if name not in _ELSEWHERE}
    text = json.dumps(sent)
    if len(text) > LARGEST:
        raise PayloadTooLargeException(detail=f"A resource has at most {LARGEST} bytes")
    if "\\u0000" in text:
        raise InvalidValueException(detail="No value holds a NUL")
    return sent


def describe(found: Sequence[tuple[ScimResource, bool | None]], *, with_members: bool = True) -> list[Resource[Any]]:
    """Rows of one source with the states of their accounts, as resources: with groups and members.

    Raises TooManyException for groups with too many members together.
    """
    spend(sum(bounds.values_in(row.attributes) for row, _active in found))
    users = [row.user_id for row, _active in found if row.user_id is not None]
    teams = [row.group_id for row, _active in found if row.group_id is not None]
    groups = _groups_of(found[0][0].provider_id, users) if users else {}
    members = _members_of(found[0][0].provider_id, teams) if teams and with_members else {}
    with PROVIDER:
        return [
            _as_user(row, bool(active), groups.get(row.user_id, []))
            if row.user_id is not None
            else _as_group(row, members.get(row.group_id, []))
            for row, active in found
        ]


def wants_members(asked: ResponseParameters[Any]) -> bool:
    """Whether the sender has to be told who is in groups: that costs most."""
    without = {str(path).rpartition(":")[2].lower() for path in asked.excluded_attributes or ()}
    only = {str(path).rpartition(":")[2].partition(".")[0].lower() for path in asked.attributes or ()}
    return "members" not in without and (not only or "members" in only)


def fill_members(group: Group) -> None:
    """Tell who is in a group that was read without. Raises TooManyException."""
    row = g.db.scalars(select(ScimResource).where(ScimResource.id == uuid.UUID(group.id))).one()
    told = _members_of(row.provider_id, [row.group_id]).get(row.group_id, [])
    group.members = [GroupMember.model_validate(member) for member in told] or None


def address() -> str:
    """Where the caller of this request has found us."""
    return f"{request.host_url.rstrip('/')}{PREFIX}"


def spend(amount: int) -> None:
    """Count what the request costs, in members of groups and other values.

    Raises PayloadTooLargeException beyond what one may.
    """
    g.scim_spent = g.get("scim_spent", 0) + amount
    if g.scim_spent > MOST_SPENT:
        raise PayloadTooLargeException(detail="This is too much at once: send fewer operations, or ask for less")


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
    found: dict[Any, list[dict[str, Any]]] = {}
    base = address()
    for user, id, name in g.db.execute(_of(provider, _GROUPS.where(Membership.user_id.in_(list(users))))):
        told = {"value": str(id), "$ref": f"{base}/Groups/{id}", "type": "direct", "display": name}
        found.setdefault(user, []).append(told)
    return found


def _members_of(provider: uuid.UUID, groups: Collection[uuid.UUID]) -> dict[Any, list[dict[str, Any]]]:
    """Who is in groups, by group."""
    counted = select(func.count()).select_from(Membership).where(Membership.group_id.in_(list(groups)))
    number: int = g.db.scalar(counted) or 0
    if number > MOST_LISTED:
        raise TooManyException(
            detail=f"The groups have more than {MOST_LISTED} members: ask for fewer by count, or for"
            " excludedAttributes=members"
        )
    spend(number)
    found: dict[Any, list[dict[str, Any]]] = {}
    base = address()
    for group, id in g.db.execute(_of(provider, _MEMBERS.where(Membership.group_id.in_(list(groups))))):
        found.setdefault(group, []).append({"value": str(id), "$ref": f"{base}/Users/{id}", "type": "User"})
    return found


def _of(provider: uuid.UUID, statement: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    own = (ScimResource.provider_id == provider, ScimResource.deleted_at.is_(None))
    return statement.where(*own).order_by(ScimResource.id)
