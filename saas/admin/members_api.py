"""JSON of members."""

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from flask import Blueprint, g
from pydantic import Field, StringConstraints

from auth import accounts, members, users
from auth.grants import BY_HAND
from auth.holdings import Held, find_holder
from auth.members import LOCAL, Filter, Member, Place
from auth.models import User
from auth.permissions import AccessPermission, requires
from saas.lookup import found
from saas.operations import Answerable, operation
from saas.shapes import Answer, Change, Page, Paging, bad_cursor, first_page, read_id

bp = Blueprint("members_api", __name__, url_prefix="/api/v1/members")

State = Literal["active", "unconfirmed", "deactivated"]


class MemberQuery(Paging):
    """Which members, and in which order."""

    search: Annotated[str, Field(max_length=200)] = ""
    """Part of the name or the address."""
    role: uuid.UUID | None = None
    """Id of a role that they hold."""
    group: uuid.UUID | None = None
    """Id of a group that they are in."""
    source: uuid.UUID | Literal["here", ""] = ""
    """Id of the source that vouches for them; here: none does."""
    state: State | None = None
    sort: Literal[
        "email", "-email", "name", "-name", "created", "-created", "seen", "-seen", "signed_in", "-signed_in"
    ] = "email"


class MemberJson(Answer):
    """A person of the workspace."""

    id: uuid.UUID
    name: str
    email: str
    state: State
    roles: list[str]
    """On the whole workspace, by themselves and through groups."""
    sources: list[str]
    """Labels of the sources that vouch for them."""
    created_at: datetime
    seen_at: datetime | None
    signed_in_at: datetime | None


class ObjectOfGrant(Answer):
    """The one object on which a role is given."""

    type: str
    id: uuid.UUID


class GrantJson(Answer):
    """A role that reaches somebody."""

    id: uuid.UUID
    role: str
    group: str | None
    origin: str
    given_by: uuid.UUID | None
    reason: str | None
    object: ObjectOfGrant | None
    ends_at: datetime | None
    lapsed: bool
    """Its end has come: it gives nothing."""


class MemberInFull(MemberJson):
    """A person with all that reaches them."""

    grants: list[GrantJson]


class MemberChange(Change):
    """The body that changes a member: what is left out stays."""

    name: Annotated[str, StringConstraints(max_length=400)] = ""
    active: bool = True


class EndedSessions(Answer):
    """How many login sessions were ended."""

    ended: int


@bp.get("")
@requires(AccessPermission.MEMBER_MANAGE)
@operation("List members", query=MemberQuery, returns=Page[MemberJson], tag="Members")
def list_members(query: MemberQuery) -> Answerable:
    """A page of the members, by address unless sorted otherwise."""
    source = LOCAL if query.source == "here" else str(query.source)
    wanted = Filter(search=query.search, source=source, state=query.state or "", role=query.role, group=query.group)
    listed = members.after(wanted, _place(query), sort=query.sort, limit=query.limit + 1)
    shown, more = first_page(listed, query.limit, lambda member: _as_text(query.sort, member.place(query.sort)))
    return {"items": [as_json(member) for member in shown], "next_cursor": more}


@bp.get("/<uuid:user_id>")
@requires(AccessPermission.MEMBER_MANAGE)
@operation("Show a member", returns=MemberInFull, row=User, tag="Members")
def show(user_id: uuid.UUID) -> Answerable:
    """A member with all that reaches them."""
    return _in_full(get_member(user_id))


@bp.delete("/<uuid:user_id>")
@requires(AccessPermission.MEMBER_MANAGE)
@operation("Remove a member", tag="Members")
def remove(user_id: uuid.UUID) -> Answerable:
    """Remove a member for good; what they have made stays."""
    accounts.remove(get_member(user_id), actor=g.identity)


@bp.patch("/<uuid:user_id>")
@requires(AccessPermission.MEMBER_MANAGE)
@operation("Change a member", body=MemberChange, returns=MemberInFull, tag="Members")
def change(user_id: uuid.UUID, body: MemberChange) -> Answerable:
    """Rename, deactivate or reactivate a member. Deactivation signs them out at once."""
    user, given = get_member(user_id), body.model_dump(exclude_unset=True)
    if "name" in given:
        accounts.rename(user, given["name"], actor=g.identity)
    if given.get("active") is False and user.active:
        users.deactivate_user(user, actor=g.identity)
    elif given.get("active") is True and not user.active:
        users.reactivate_user(user, actor=g.identity)
    g.db.flush()
    return _in_full(user)


@bp.post("/<uuid:user_id>/end-sessions")
@requires(AccessPermission.MEMBER_MANAGE)
@operation("Sign a member out everywhere", returns=EndedSessions, tag="Members")
def end_sessions(user_id: uuid.UUID) -> Answerable:
    """End all login sessions of a member."""
    return {"ended": accounts.end_sessions(get_member(user_id), actor=g.identity)}


@bp.post("/<uuid:user_id>/reset-second-factor")
@requires(AccessPermission.MEMBER_MANAGE)
@operation("Reset a member's second factor", tag="Members")
def reset_second_factor(user_id: uuid.UUID) -> Answerable:
    """Take a member's second factors away, and sign them out."""
    accounts.reset_second_factor(get_member(user_id), actor=g.identity)


def get_member(user_id: uuid.UUID) -> User:
    """The member of that id. Answers 404 without one."""
    user = members.find_one(user_id)
    return found(user)


def grant_of(user: User, role: str) -> GrantJson | None:
    """The grant by which somebody themselves holds that role on the whole workspace: of several that given by hand."""
    holder = found(find_holder(user.id))
    mine = [(one, lapsed) for lapsed, held in ((False, holder.held), (True, holder.lapsed)) for one in held
            if one.role == role and one.group is None and one.object_id is None]  # fmt: skip
    mine.sort(key=lambda pair: pair[0].origin != BY_HAND)
    return _as_grant(mine[0][0], lapsed=mine[0][1]) if mine else None


def _in_full(user: User) -> dict[str, Any]:
    member, holder = as_json(members.describe(user)), found(find_holder(user.id))
    # The database gives them in any order, and the same state has one ETag.
    held, lapsed = (sorted(each, key=lambda one: one.grant_id) for each in (holder.held, holder.lapsed))
    grants = [_as_grant(one, lapsed=False) for one in held] + [_as_grant(one, lapsed=True) for one in lapsed]
    return member.model_dump() | {"grants": grants}


def as_json(member: Member) -> MemberJson:
    """A member for programs."""
    user = member.user
    return MemberJson.model_validate(
        {
            "id": user.id,
            "name": user.name,
            "email": user.email,
            "state": member.state,
            "roles": member.roles,
            "sources": member.sources,
            "created_at": user.created_at,
            "seen_at": member.seen_at,
            "signed_in_at": member.signed_in_at,
        }
    )


def _as_text(sort: str, place: Place) -> list[str]:
    value, user_id = place
    return [sort.removeprefix("-"), value.isoformat() if isinstance(value, datetime) else value or "", str(user_id)]


def _place(query: MemberQuery) -> Place | None:
    position = query.position(3)
    if position is None:
        return None
    name, value, user_id = position[0], position[1], read_id(position[2])
    if name != query.sort.removeprefix("-"):
        raise bad_cursor()
    if name in ("name", "email"):
        return value, user_id
    try:
        return datetime.fromisoformat(value).astimezone(UTC) if value else None, user_id
    except (ValueError, OverflowError):
        raise bad_cursor() from None


def _as_grant(held: Held, *, lapsed: bool) -> GrantJson:
    place = ObjectOfGrant(type=held.object_type, id=held.object_id) if held.object_id else None
    return GrantJson(
        id=held.grant_id,
        role=held.role,
        group=held.group,
        origin=held.origin,
        given_by=held.granted_by,
        reason=held.reason,
        object=place,
        ends_at=held.expires_at,
        lapsed=lapsed,
    )
