"""JSON of groups: list, make, rename, delete; their members and their roles."""

import uuid
from datetime import datetime
from typing import Annotated, Any, TypeVar

from flask import Blueprint, abort, g, jsonify, url_for
from flask.typing import ResponseReturnValue
from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints, ValidationError

from auth import group_lists, local_groups, role_editor, roles, users
from auth.errors import UnknownRole, UnknownUser, UnsuitableName
from auth.group_lists import Given, Listed
from auth.groups import LONGEST_NAME
from auth.models import Group, User
from auth.permissions import AccessPermission, requires
from saas.api import InvalidFields, page_size, read_cursor, read_object, write_cursor
from tenants.db import now

bp = Blueprint("groups_api", __name__, url_prefix="/api/v1/groups")

Body = TypeVar("Body", bound=BaseModel)


class Named(BaseModel):
    """The body that makes or renames a group."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_NAME)]


class NewMember(BaseModel):
    """The body that puts somebody into a group."""

    model_config = ConfigDict(extra="forbid")

    email: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=320)]


class NewRole(BaseModel):
    """The body that gives a group a role."""

    model_config = ConfigDict(extra="forbid")

    role: Annotated[str, StringConstraints(min_length=1, max_length=roles.LONGEST_NAME)]
    ends_at: AwareDatetime | None = None


@bp.get("")
@requires(AccessPermission.ROLE_READ)
def list_groups() -> ResponseReturnValue:
    """A page of the groups, oldest first, and how many there are."""
    limit, place = page_size(), _place()
    rows = group_lists.list_after(place, limit=limit + 1)
    more = write_cursor(str(rows[limit - 1].group.id)) if len(rows) > limit else None
    total = group_lists.count_groups()
    return jsonify(items=[as_json(row) for row in rows[:limit]], next_cursor=more, total=total)


@bp.post("")
@requires(AccessPermission.ROLE_MANAGE)
def create() -> ResponseReturnValue:
    """Make a group."""
    given = _read(Named)
    try:
        group = local_groups.create_group(given.name, actor=g.identity)
    except UnsuitableName as error:
        raise InvalidFields([{"field": "name", "message": str(error)}]) from None
    location = url_for("groups_api.show", group_id=group.id)
    return jsonify(as_json(group_lists.list_one(group))), 201, {"Location": location}


@bp.get("/<uuid:group_id>")
@requires(AccessPermission.ROLE_READ)
def show(group_id: uuid.UUID) -> ResponseReturnValue:
    """A group."""
    return jsonify(as_json(group_lists.list_one(_get(group_id))))


@bp.patch("/<uuid:group_id>")
@requires(AccessPermission.ROLE_MANAGE)
def rename(group_id: uuid.UUID) -> ResponseReturnValue:
    """Give a group another name."""
    group, given = _get(group_id), _read(Named)
    try:
        local_groups.rename_group(group, given.name, actor=g.identity)
    except UnsuitableName as error:
        raise InvalidFields([{"field": "name", "message": str(error)}]) from None
    return jsonify(as_json(group_lists.list_one(group)))


@bp.delete("/<uuid:group_id>")
@requires(AccessPermission.ROLE_MANAGE)
def delete(group_id: uuid.UUID) -> ResponseReturnValue:
    """Delete a group; its members stay."""
    local_groups.delete_group(_get(group_id), actor=g.identity)
    return "", 204


@bp.get("/<uuid:group_id>/members")
@requires(AccessPermission.ROLE_READ)
def list_members(group_id: uuid.UUID) -> ResponseReturnValue:
    """A page of those who are in a group, and how many they are."""
    group, limit, place = _get(group_id), page_size(), _place()
    rows = group_lists.list_members_after(group, place, limit=limit + 1)
    more = write_cursor(str(rows[limit - 1].id)) if len(rows) > limit else None
    total = local_groups.count_members(group)
    return jsonify(items=[_as_member(user) for user in rows[:limit]], next_cursor=more, total=total)


@bp.post("/<uuid:group_id>/members")
@requires(AccessPermission.ROLE_MANAGE)
def add_member(group_id: uuid.UUID) -> ResponseReturnValue:
    """Put somebody into a group; who is in it already stays."""
    group, given = _get(group_id), _read(NewMember)
    try:
        user = users.get_by_email(given.email)
    except UnknownUser:
        raise InvalidFields([{"field": "email", "message": "nobody in this workspace has this address"}]) from None
    added = local_groups.add_member(group, user, actor=g.identity)
    return jsonify(_as_member(user)), 201 if added else 200


@bp.delete("/<uuid:group_id>/members/<uuid:user_id>")
@requires(AccessPermission.ROLE_MANAGE)
def remove_member(group_id: uuid.UUID, user_id: uuid.UUID) -> ResponseReturnValue:
    """Take somebody out of a group."""
    group, user = _get(group_id), g.db.find(User, user_id)
    if user is None or not local_groups.remove_member(group, user, actor=g.identity):
        abort(404)
    return "", 204


@bp.get("/<uuid:group_id>/roles")
@requires(AccessPermission.ROLE_READ)
def list_roles(group_id: uuid.UUID) -> ResponseReturnValue:
    """The roles that a group gives."""
    listed = group_lists.list_one(_get(group_id))
    return jsonify(items=[_as_role(role) for role in listed.roles], next_cursor=None)


@bp.post("/<uuid:group_id>/roles")
@requires(AccessPermission.ROLE_MANAGE)
def give_role(group_id: uuid.UUID) -> ResponseReturnValue:
    """Give the members of a group a role; given again, it has the new end."""
    group, given = _get(group_id), _read(NewRole)
    if given.ends_at is not None and given.ends_at <= now():
        raise InvalidFields([{"field": "ends_at", "message": "must lie in the future"}])
    try:
        role = roles.get_role(given.role)
    except UnknownRole as error:
        raise InvalidFields([{"field": "role", "message": str(error)}]) from None
    local_groups.give_role(group, role, actor=g.identity, expires_at=given.ends_at)
    return jsonify(as_json(group_lists.list_one(group))), 201


@bp.delete("/<uuid:group_id>/roles/<uuid:role_id>")
@requires(AccessPermission.ROLE_MANAGE)
def take_role(group_id: uuid.UUID, role_id: uuid.UUID) -> ResponseReturnValue:
    """Take a role from the members of a group."""
    group, role = _get(group_id), role_editor.find_role(role_id)
    if role is None or not local_groups.take_role(group, role, actor=g.identity):
        abort(404)
    return "", 204


def as_json(listed: Listed) -> dict[str, Any]:
    """A group for programs."""
    group = listed.group
    return {
        "id": str(group.id),
        "name": group.name,
        "origin": group.origin,
        "key": group.external_key,
        "members": listed.members,
        "unseen": listed.is_unseen,
        "roles": [_as_role(role) for role in listed.roles],
    }


def _as_role(given: Given) -> dict[str, Any]:
    return {
        "id": str(given.role_id),
        "name": given.name,
        "label": given.label,
        "ends_at": _as_time(given.ends_at),
        "lapsed": given.lapsed,
    }


def _as_member(user: User) -> dict[str, Any]:
    return {"id": str(user.id), "name": user.name, "email": user.email, "active": user.active}


def _as_time(value: datetime | None) -> str | None:
    return value.isoformat().replace("+00:00", "Z") if value else None


def _get(group_id: uuid.UUID) -> Group:
    group = local_groups.find_group(group_id)
    if group is None:
        abort(404)
    return group


def _place() -> uuid.UUID | None:
    cursor = read_cursor(1)
    try:
        return uuid.UUID(cursor[0]) if cursor else None
    except ValueError:
        raise InvalidFields([{"field": "cursor", "message": "is not one that a list has given"}]) from None


def _read(model: type[Body]) -> Body:
    try:
        return model.model_validate(read_object())
    except ValidationError as error:
        raise InvalidFields(
            [{"field": ".".join(map(str, fault["loc"])), "message": fault["msg"]} for fault in error.errors()]
        ) from None
