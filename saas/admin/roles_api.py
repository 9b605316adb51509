"""JSON of roles: the catalogue of permissions, and the roles with what they permit."""

import uuid
from typing import Annotated, Any, TypeVar

from flask import Blueprint, abort, g, jsonify, request, url_for
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from auth import default_role, role_editor, role_holders, role_preview, roles
from auth.errors import UnknownPermission, UnknownRole, UnsuitableName
from auth.models import Role
from auth.permissions import AccessPermission, requires
from auth.role_holders import Counted
from auth.role_preview import Effect, Preview
from saas.api import InvalidFields, page_size, read_cursor, read_object, write_cursor

bp = Blueprint("roles_api", __name__, url_prefix="/api/v1")

Body = TypeVar("Body", bound=BaseModel)

MOST_SHOWN = 1000
"""Members, and groups, that a preview lists; it counts all of them."""

_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=roles.LONGEST_NAME)]
_Description = Annotated[str, StringConstraints(max_length=roles.LONGEST_DESCRIPTION)]
_Permissions = Annotated[list[Annotated[str, StringConstraints(max_length=80)]], Field(max_length=1000)]


class NewRole(BaseModel):
    """The body that makes a role."""

    model_config = ConfigDict(extra="forbid")

    name: _Name
    description: _Description = ""
    permissions: _Permissions


class Change(BaseModel):
    """The body that changes a role: what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: _Name | None = None
    description: _Description | None = None
    permissions: _Permissions | None = None


class Wanted(BaseModel):
    """The body that previews a change: of the permissions, or, without them, a deletion."""

    model_config = ConfigDict(extra="forbid")

    permissions: _Permissions | None = None
    replacement: uuid.UUID | None = None


class Chosen(BaseModel):
    """The body that chooses the role of new members."""

    model_config = ConfigDict(extra="forbid")

    role_id: uuid.UUID | None


@bp.get("/permissions")
@requires(AccessPermission.ROLE_READ)
def list_permissions() -> ResponseReturnValue:
    """What a role can permit."""
    items = [
        {"name": each.value, "description": str(each.description), "feature": str(feature.label)}
        for feature in roles.catalogue().features
        for each in feature.permissions
    ]
    return jsonify(items=items, next_cursor=None)


@bp.get("/roles")
@requires(AccessPermission.ROLE_READ)
def list_roles() -> ResponseReturnValue:
    """A page of the roles, built-in ones first, and how many there are."""
    limit, after = page_size(), read_cursor(2)
    if after is not None and after[0] not in ("built-in", "custom"):
        raise InvalidFields([{"field": "cursor", "message": "is not one that a list has given"}])
    place = (after[0] == "built-in", after[1]) if after is not None else None
    rows = role_holders.list_counted(limit=limit + 1, after=place)
    last = rows[limit - 1].role if len(rows) > limit else None
    more = write_cursor("built-in" if last.builtin else "custom", last.name) if last is not None else None
    return jsonify(items=[as_json(row) for row in rows[:limit]], next_cursor=more, total=role_holders.count_roles())


@bp.post("/roles")
@requires(AccessPermission.ROLE_MANAGE)
def create() -> ResponseReturnValue:
    """Make a role."""
    given = _read(NewRole)
    try:
        draft = role_editor.draft_new(given.name, given.description, given.permissions, actor=g.identity)
        role = roles.create_role(draft.name, draft.permissions, description=draft.description, actor=g.identity)
    except (UnsuitableName, UnknownPermission) as error:
        raise _invalid(error) from None
    return jsonify(as_json(role_holders.count_of(role))), 201, {"Location": url_for("roles.show", role_id=role.id)}


@bp.get("/roles/<uuid:role_id>")
@requires(AccessPermission.ROLE_READ)
def show(role_id: uuid.UUID) -> ResponseReturnValue:
    """A role."""
    return jsonify(as_json(role_holders.count_of(_get(role_id))))


@bp.patch("/roles/<uuid:role_id>")
@requires(AccessPermission.ROLE_MANAGE)
def change(role_id: uuid.UUID) -> ResponseReturnValue:
    """Change a role of the tenant's own; what is left out stays."""
    role, given = _get(role_id), _read(Change)
    try:
        role = role_editor.change_role(role, actor=g.identity, **given.model_dump())
    except (UnsuitableName, UnknownPermission) as error:
        raise _invalid(error) from None
    except UnknownRole:
        abort(404)
    return jsonify(as_json(role_holders.count_of(role)))


@bp.delete("/roles/<uuid:role_id>")
@requires(AccessPermission.ROLE_MANAGE)
def delete(role_id: uuid.UUID) -> ResponseReturnValue:
    """Delete a role of the tenant's own; its holders are given `?replacement=`, the id of another one, or nothing."""
    role = _get(role_id)
    given = request.args.get("replacement")
    try:
        replacement = _named(uuid.UUID(given), "replacement") if given else None
    except ValueError:
        raise _unknown("replacement") from None
    try:
        role_editor.delete_role(role, replacement=replacement, actor=g.identity)
    except UnknownRole:
        abort(404)
    return "", 204


@bp.post("/roles/<uuid:role_id>/preview")
@requires(AccessPermission.ROLE_MANAGE)
def preview(role_id: uuid.UUID) -> ResponseReturnValue:
    """Who would gain and lose what by a change of the role's permissions, or by its deletion."""
    role, given = _get(role_id), _read(Wanted)
    if given.permissions is None:
        replacement = _named(given.replacement, "replacement") if given.replacement else None
        role_editor.check_may_delete(role, replacement, actor=g.identity)
        return jsonify(_as_preview(role_preview.preview_deletion(role, replacement)))
    if given.replacement is not None:
        raise InvalidFields([{"field": "replacement", "message": "is for a deletion, which has no permissions"}])
    try:
        draft = role_editor.draft_change(role, permissions=given.permissions, actor=g.identity)
    except UnknownPermission as error:
        raise _invalid(error) from None
    return jsonify(_as_preview(role_preview.preview_change(role, draft.permissions)))


@bp.get("/roles/default")
@requires(AccessPermission.ROLE_READ)
def show_default() -> ResponseReturnValue:
    """The role of people whom nothing else gives one."""
    return jsonify(_as_default())


@bp.put("/roles/default")
@requires(AccessPermission.ROLE_MANAGE)
def choose_default() -> ResponseReturnValue:
    """Choose it, or none."""
    given = _read(Chosen)
    role = _named(given.role_id, "role_id") if given.role_id else None
    default_role.set_default_role(role, actor=g.identity)
    return jsonify(_as_default())


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


def _as_preview(found: Preview) -> dict[str, Any]:
    return {
        "members": [_as_effect(one) for one in found.members[:MOST_SHOWN]],
        "groups": [_as_effect(one) for one in found.groups[:MOST_SHOWN]],
        "affected": {"members": len(found.members), "groups": len(found.groups)},
        "unaffected": {"members": found.unaffected},
    }


def _as_effect(effect: Effect) -> dict[str, Any]:
    found = effect.difference
    return {
        "id": str(effect.id),
        "name": effect.name,
        **({"email": effect.email, "active": effect.active} if effect.email else {}),
        "gains": sorted(found.gains),
        "loses": sorted(found.loses),
        "on_objects": {"gains": sorted(found.gains_on_objects), "loses": sorted(found.loses_on_objects)},
    }


def _as_default() -> dict[str, Any]:
    role = default_role.current()
    return {"role_id": str(role.id) if role else None, "role": role.name if role else None}


def _get(role_id: uuid.UUID) -> Role:
    role = role_editor.find_role(role_id)
    if role is None:
        abort(404)
    return role


def _named(role_id: uuid.UUID, field: str) -> Role:
    role = role_editor.find_role(role_id)
    if role is None:
        raise _unknown(field)
    return role


def _unknown(field: str) -> InvalidFields:
    return InvalidFields([{"field": field, "message": "no such role in this workspace"}])


def _invalid(error: UnsuitableName | UnknownPermission) -> InvalidFields:
    field = "permissions" if isinstance(error, UnknownPermission) else "name"
    return InvalidFields([{"field": field, "message": str(error)}])


def _read(model: type[Body]) -> Body:
    try:
        return model.model_validate(read_object())
    except ValidationError as error:
        raise InvalidFields(
            [{"field": ".".join(map(str, fault["loc"])), "message": fault["msg"]} for fault in error.errors()]
        ) from None
