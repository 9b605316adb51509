"""JSON of members."""

import uuid
from typing import Annotated, Any, TypeVar

from flask import Blueprint, abort, g, jsonify, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from auth import accounts, bulk_grants, members, roles, users
from auth.errors import UnknownRole
from auth.holdings import Held, find_holder
from auth.members import LOCAL, STATES, Filter, Member
from auth.models import User
from auth.permissions import AccessPermission, requires
from saas.api import InvalidFields, page_size, read_cursor, read_object, write_cursor

bp = Blueprint("members_api", __name__, url_prefix="/api/v1/members")

Body = TypeVar("Body", bound=BaseModel)

manages = requires(AccessPermission.MEMBER_MANAGE)


class Until(BaseModel):
    """How long a role is given for."""

    model_config = ConfigDict(extra="forbid")

    ends_at: AwareDatetime | None = None


class Many(Until):
    """A role, and to whom it is given."""

    role: Annotated[str, StringConstraints(min_length=1, max_length=roles.LONGEST_NAME)]
    member_ids: Annotated[list[uuid.UUID], Field(min_length=1, max_length=bulk_grants.MOST_AT_ONCE)]


@bp.get("")
@manages
def list_members() -> ResponseReturnValue:
    """The members by address, a page after `cursor`; `search`, `role`, `group`, `source` and `state` narrow them."""
    limit, position = page_size(), read_cursor(2)
    place = (position[0], _uuid("cursor", position[1])) if position is not None else None
    found = members.after(_wanted(), place, limit=limit + 1)
    shown = found[:limit]
    more = write_cursor(shown[-1].user.email, str(shown[-1].user.id)) if len(found) > limit else None
    return jsonify(items=[_as_dict(member) for member in shown], next_cursor=more)


@bp.get("/<uuid:user_id>")
@manages
def show(user_id: uuid.UUID) -> ResponseReturnValue:
    """A member with all that reaches them."""
    holder = find_holder(user_id)
    if holder is None:
        abort(404)
    held = [_as_grant(one, lapsed=False) for one in holder.held] + [
        _as_grant(one, lapsed=True) for one in holder.lapsed
    ]
    return jsonify(_as_dict(members.describe(_get(user_id))) | {"grants": held})


@bp.delete("/<uuid:user_id>")
@manages
def remove(user_id: uuid.UUID) -> ResponseReturnValue:
    """Remove a member for good."""
    accounts.remove(_get(user_id), actor=g.identity)
    return "", 204


@bp.patch("/<uuid:user_id>")
@manages
def change(user_id: uuid.UUID) -> ResponseReturnValue:
    """Rename, deactivate or reactivate a member: `name`, `active`."""
    user, body = _get(user_id), read_object()
    for name, value in body.items():
        if name not in ("name", "active") or not isinstance(value, str if name == "name" else bool):
            raise InvalidFields([{"field": name, "message": "name is a text and active true or false; nothing else"}])
    if "name" in body:
        accounts.rename(user, body["name"], actor=g.identity)
    if body.get("active") is False and user.active:
        users.deactivate_user(user, actor=g.identity)
    elif body.get("active") is True and not user.active:
        users.reactivate_user(user, actor=g.identity)
    return jsonify(_as_dict(members.describe(user)))


@bp.post("/<uuid:user_id>/end-sessions")
@manages
def end_sessions(user_id: uuid.UUID) -> ResponseReturnValue:
    """Sign a member out everywhere."""
    return jsonify(ended=accounts.end_sessions(_get(user_id), actor=g.identity))


@bp.post("/<uuid:user_id>/reset-second-factor")
@manages
def reset_second_factor(user_id: uuid.UUID) -> ResponseReturnValue:
    """Take a member's second factors away, and sign them out."""
    accounts.reset_second_factor(_get(user_id), actor=g.identity)
    return "", 204


@bp.put("/<uuid:user_id>/roles/<path:role>")
@manages
def give_role(user_id: uuid.UUID, role: str) -> ResponseReturnValue:
    """Give a member a role on the whole workspace, until `ends_at` if the body says so."""
    given = _read(Until) if request.get_data() else Until()
    try:
        bulk_grants.give_to_many([_get(user_id)], roles.get_role(role), actor=g.identity, expires_at=given.ends_at)
    except UnknownRole:
        abort(404)
    return "", 204


@bp.post("/roles")
@manages
def give_role_to_many() -> ResponseReturnValue:
    """Give many members a role, all or none of them; `given` says to how many that was news."""
    given = _read(Many)
    people = members.find_all(given.member_ids)
    if missing := set(given.member_ids) - {user.id for user in people}:
        raise InvalidFields([{"field": "member_ids", "message": f"no member has the id {min(map(str, missing))}"}])
    try:
        role = roles.get_role(given.role)
    except UnknownRole as error:
        raise InvalidFields([{"field": "role", "message": str(error)}]) from None
    return jsonify(given=bulk_grants.give_to_many(people, role, actor=g.identity, expires_at=given.ends_at))


@bp.delete("/<uuid:user_id>/roles/<path:role>")
@manages
def take_role(user_id: uuid.UUID, role: str) -> ResponseReturnValue:
    """Take it back."""
    try:
        taken = roles.revoke_role(_get(user_id), role, actor=g.identity)
    except UnknownRole:
        abort(404)
    return ("", 204) if taken else abort(404)


def _wanted() -> Filter:
    state, source = request.args.get("state", ""), request.args.get("source", "")
    if state and state not in STATES:
        raise InvalidFields([{"field": "state", "message": f"one of {', '.join(STATES)}"}])
    if source not in ("", LOCAL):
        _uuid("source", source)
    ids = {name: _uuid(name, request.args[name]) for name in ("role", "group") if request.args.get(name)}
    return Filter(search=request.args.get("search", "")[:200], source=source, state=state, **ids)


def _read(model: type[Body]) -> Body:
    try:
        return model.model_validate(read_object())
    except ValidationError as error:
        raise InvalidFields(
            [{"field": ".".join(map(str, fault["loc"])), "message": fault["msg"]} for fault in error.errors()]
        ) from None


def _uuid(field: str, text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise InvalidFields([{"field": field, "message": _("is no id")}]) from None


def _get(user_id: uuid.UUID) -> User:
    user: User | None = g.db.find(User, user_id)
    if user is None:
        abort(404)
    return user


def _as_dict(member: Member) -> dict[str, Any]:
    user = member.user
    return {
        "id": str(user.id),
        "name": user.name,
        "email": user.email,
        "state": member.state,
        "roles": member.roles,
        "sources": member.sources,
        "created_at": _time(user.created_at),
        "seen_at": _time(member.seen_at),
    }


def _as_grant(held: Held, *, lapsed: bool) -> dict[str, Any]:
    return {
        "id": str(held.grant_id),
        "role": held.role,
        "group": held.group,
        "origin": held.origin,
        "given_by": str(held.granted_by) if held.granted_by else None,
        "reason": held.reason,
        "object": {"type": held.object_type, "id": str(held.object_id)} if held.object_id else None,
        "ends_at": _time(held.expires_at),
        "lapsed": lapsed,
    }


def _time(moment: Any) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None
