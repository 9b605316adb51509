"""JSON of roles: the catalogue of permissions, and the roles with what they permit."""

import uuid
from typing import Annotated, Any, Literal

from flask import Blueprint, abort, g, url_for
from pydantic import Field, StringConstraints

from auth import default_role, role_editor, role_holders, roles
from auth.errors import UnknownPermission, UnknownRole, UnsuitableName
from auth.models import Role
from auth.permissions import AccessPermission, requires
from auth.role_holders import Counted, Filter
from saas.api import InvalidFields
from saas.operations import Answerable, operation
from saas.shapes import Answer, CountedPage, Given, Page, Paging, Search, bad_cursor, first_page

bp = Blueprint("roles_api", __name__, url_prefix="/api/v1")

_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=roles.LONGEST_NAME)]
_Description = Annotated[str, StringConstraints(max_length=roles.LONGEST_DESCRIPTION)]
Permissions = Annotated[list[Annotated[str, StringConstraints(max_length=80)]], Field(max_length=1000)]


class RoleQuery(Paging):
    """Which roles, and in which order."""

    search: Search = ""
    """Part of the name or the description."""
    builtin: bool | None = None
    sort: Literal["kind", "-kind", "name", "-name", "created", "-created"] = "kind"
    """kind: built-in ones first, then by name."""


class NewRole(Given):
    """The body that makes a role."""

    name: _Name
    description: _Description = ""
    permissions: Permissions


class RoleChange(Given):
    """The body that changes a role: what is left out stays."""

    name: _Name | None = None
    description: _Description | None = None
    permissions: Permissions | None = None


class DefaultRoleChoice(Given):
    """The body that chooses the role of new members."""

    role_id: uuid.UUID | None


class Deletion(Given):
    """The query of a deletion."""

    replacement: uuid.UUID | None = None
    """The role that its holders are given instead; nothing, when left out."""


class PermissionJson(Answer):
    """Something that a role can permit."""

    name: str
    description: str
    feature: str


class Holders(Answer):
    """How many hold a role."""

    members: int
    groups: int
    ending: int
    """Of these, how many only for a time."""


class RoleJson(Answer):
    """A set of permissions."""

    id: uuid.UUID
    name: str
    label: str
    description: str
    builtin: bool
    """It cannot be edited."""
    object_type: str | None
    """It is given on single objects of this type only."""
    permissions: list[str]
    default: bool
    """Whoever joins without another role has it."""
    holders: Holders


class DefaultRoleJson(Answer):
    """The role of people whom nothing else gives one; null for none."""

    role_id: uuid.UUID | None
    role: str | None


@bp.get("/permissions")
@requires(AccessPermission.ROLE_READ)
@operation("List permissions", query=Paging, returns=Page[PermissionJson], tag="Roles")
def list_permissions(query: Paging) -> Answerable:
    """A page of what a role can permit, by feature."""
    known = [(feature, each) for feature in roles.catalogue().features for each in feature.permissions]
    start, position = 0, query.position(1)
    if position is not None:
        names = [each.value for _feature, each in known]
        if position[0] not in names:
            raise bad_cursor()
        start = names.index(position[0]) + 1
    shown, more = first_page(known[start:], query.limit, lambda pair: [pair[1].value])
    items = [
        {"name": each.value, "description": str(each.description), "feature": str(feature.label)}
        for feature, each in shown
    ]
    return {"items": items, "next_cursor": more}


@bp.get("/roles")
@requires(AccessPermission.ROLE_READ)
@operation("List roles", query=RoleQuery, returns=CountedPage[RoleJson], tag="Roles")
def list_roles(query: RoleQuery) -> Answerable:
    """A page of the roles, built-in ones first unless sorted, and how many there are."""
    wanted, order = Filter(query.search, query.builtin), role_holders.ORDERS[query.sort]
    rows = role_holders.list_counted(wanted, sort=query.sort, limit=query.limit + 1, after=query.place(order))
    shown, more = first_page(rows, query.limit, lambda row: order.write(row.role))
    return {"items": [as_json(row) for row in shown], "next_cursor": more, "total": role_holders.count_roles(wanted)}


@bp.post("/roles")
@requires(AccessPermission.ROLE_MANAGE)
@operation("Make a role", body=NewRole, returns=RoleJson, status=201, tag="Roles")
def create(body: NewRole) -> Answerable:
    """Make a role of the workspace's own."""
    try:
        draft = role_editor.draft_new(body.name, body.description, body.permissions, actor=g.identity)
        role = roles.create_role(draft.name, draft.permissions, description=draft.description, actor=g.identity)
    except (UnsuitableName, UnknownPermission) as error:
        raise invalid_role(error) from None
    return as_json(role_holders.count_of(role)), 201, {"Location": url_for("roles_api.show", role_id=role.id)}


@bp.get("/roles/<uuid:role_id>")
@requires(AccessPermission.ROLE_READ)
@operation("Show a role", returns=RoleJson, row=Role, tag="Roles")
def show(role_id: uuid.UUID) -> Answerable:
    """A role with what it permits."""
    return as_json(role_holders.count_of(get_role(role_id)))


@bp.patch("/roles/<uuid:role_id>")
@requires(AccessPermission.ROLE_MANAGE)
@operation("Change a role", body=RoleChange, returns=RoleJson, tag="Roles")
def change(role_id: uuid.UUID, body: RoleChange) -> Answerable:
    """Change a role of the workspace's own; what is left out stays."""
    role = get_role(role_id)
    try:
        role = role_editor.change_role(role, actor=g.identity, **body.model_dump())
    except (UnsuitableName, UnknownPermission) as error:
        raise invalid_role(error) from None
    except UnknownRole:
        abort(404)
    return as_json(role_holders.count_of(role))


@bp.delete("/roles/<uuid:role_id>")
@requires(AccessPermission.ROLE_MANAGE)
@operation("Delete a role", query=Deletion, tag="Roles")
def delete(role_id: uuid.UUID, query: Deletion) -> Answerable:
    """Delete a role of the workspace's own; its holders are given the replacement, or nothing."""
    role = get_role(role_id)
    replacement = named_role(query.replacement, "replacement") if query.replacement else None
    try:
        role_editor.delete_role(role, replacement=replacement, actor=g.identity)
    except UnknownRole:
        abort(404)


@bp.get("/roles/default")
@requires(AccessPermission.ROLE_READ)
@operation("Show the default role", returns=DefaultRoleJson, tag="Roles")
def show_default() -> Answerable:
    """The role of people whom nothing else gives one."""
    return _as_default()


@bp.put("/roles/default")
@requires(AccessPermission.ROLE_MANAGE)
@operation("Choose the default role", body=DefaultRoleChoice, returns=DefaultRoleJson, tag="Roles")
def choose_default(body: DefaultRoleChoice) -> Answerable:
    """Choose it, or none."""
    role = named_role(body.role_id, "role_id") if body.role_id else None
    default_role.set_default_role(role, actor=g.identity)
    return _as_default()


def as_json(counted: Counted) -> dict[str, Any]:
    """A role for programs."""
    role = counted.role
    return {
        "id": str(role.id),
        "name": role.name,
        "label": role_holders.label_of(role),
        "description": role_holders.description_of(role),
        "builtin": role.builtin,
        "object_type": role_holders.object_type_of(role) or None,
        "permissions": sorted(roles.permissions_of(role)),
        "default": default_role.is_default(role),
        "holders": {"members": counted.members, "groups": counted.groups, "ending": counted.ending},
    }


def _as_default() -> dict[str, Any]:
    role = default_role.current()
    return {"role_id": str(role.id) if role else None, "role": role.name if role else None}


def get_role(role_id: uuid.UUID) -> Role:
    """The role of that id. Answers 404 without one."""
    role = role_editor.find_role(role_id)
    if role is None:
        abort(404)
    return role


def named_role(role_id: uuid.UUID, field: str) -> Role:
    """The role that a field names. Raises InvalidFields without one."""
    role = role_editor.find_role(role_id)
    if role is None:
        raise _unknown(field)
    return role


def _unknown(field: str) -> InvalidFields:
    return InvalidFields([{"field": field, "message": "no such role in this workspace"}])


def invalid_role(error: UnsuitableName | UnknownPermission) -> InvalidFields:
    """The refusal of what a role is to be called, or to permit."""
    field = "permissions" if isinstance(error, UnknownPermission) else "name"
    return InvalidFields([{"field": field, "message": str(error)}])
