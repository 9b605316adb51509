"""The members of a workspace, as lists: searched, filtered, sorted, paged, each with roles and sources."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask import g
from sqlalchemy import ColumnElement, Row, and_, func, or_, select

from auth.audit_models import AuditEvent
from auth.models import PERSON, Grant, Group, LoginSession, Membership, Role, User
from auth.providers.models import LinkedIdentity, ProviderConfig
from tenants.db import now

LOCAL = "here"
"""As a source: whoever no source vouches for."""
# Looked up member by member: what is kept of all the others, for years, is not read.
_SIGNED_IN = (
    select(AuditEvent.at)
    .where(AuditEvent.tenant_id == User.tenant_id, AuditEvent.target_id == User.id, AuditEvent.kind == "signed in")
    .order_by(AuditEvent.id.desc())
    .limit(1)
    .correlate(User)
    .scalar_subquery()
    .label("signed_in_at")
)
_USED = (
    select(func.max(LoginSession.seen_at))
    .where(LoginSession.tenant_id == User.tenant_id, LoginSession.user_id == User.id)
    .correlate(User)
    .scalar_subquery()
)
_SEEN = func.coalesce(_USED, _SIGNED_IN).label("seen_at")
_ROWS = select(User, _SEEN, _SIGNED_IN)
_PEOPLE = User.kind == PERSON
"""Service accounts are users, and no members."""
_COLUMNS: Mapping[str, ColumnElement[Any]] = {
    "name": User.name.expression,
    "email": User.email.expression,
    "created": User.created_at.expression,
    "seen": _SEEN,
    "signed_in": _SIGNED_IN,
}
SORTS = frozenset(_COLUMNS) | {f"-{name}" for name in _COLUMNS}
"""Orders of the list; a minus descends. Who was never seen, or never signed in, comes last in both."""
STATES: Mapping[str, ColumnElement[bool]] = {
    "active": and_(User.active, User.confirmed_at.is_not(None)),
    "unconfirmed": and_(User.active, User.confirmed_at.is_(None)),
    "deactivated": User.active.is_(False),
}


@dataclass(frozen=True, slots=True)
class Filter:
    """Which members are wanted; what is empty does not matter."""

    search: str = ""
    """Part of a name or an address."""
    role: uuid.UUID | None = None
    group: uuid.UUID | None = None
    source: str = ""
    """Id of a provider, or LOCAL."""
    state: str = ""
    """One of STATES."""


@dataclass(slots=True)
class Member:
    """A member as a row of the list."""

    user: User
    roles: list[str] = field(default_factory=list)
    """Names of the roles on the whole workspace, by themselves and through groups."""
    sources: list[str] = field(default_factory=list)
    """Labels of the sources that vouch for them."""
    seen_at: datetime | None = None
    """When one of their present login sessions was last used; without one, when they last signed in."""
    signed_in_at: datetime | None = None
    """When they last signed in, as far as the audit log is kept."""

    @property
    def state(self) -> str:
        """One of STATES."""
        if not self.user.active:
            return "deactivated"
        return "active" if self.user.confirmed_at is not None else "unconfirmed"

    def place(self, sort: str) -> "Place":
        """Where they stand in the list of that order."""
        times = {"created": self.user.created_at, "seen": self.seen_at, "signed_in": self.signed_in_at}
        name = sort.removeprefix("-")
        return times[name] if name in times else getattr(self.user, name), self.user.id


Place = tuple[str | datetime | None, uuid.UUID]
"""A place in the list: the value by which it is ordered, and the id, which breaks ties."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the members, and how many there are in all."""

    members: list[Member]
    total: int


def find(wanted: Filter, *, sort: str = "name", limit: int, offset: int = 0) -> Page:
    """A page of the members that are wanted, in one of the orders of SORTS."""
    conditions = _conditions(wanted)
    rows = g.db.execute(_ROWS.where(*conditions).order_by(*_order(sort)).limit(limit).offset(offset)).all()
    total = g.db.scalar(select(func.count()).select_from(User).where(*conditions)) or 0
    return Page(_describe(rows), total)


def after(wanted: Filter, place: Place | None, *, sort: str = "email", limit: int) -> list[Member]:
    """The members that are wanted, after that place of the order: stable while members come and go."""
    statement = _ROWS.where(*_conditions(wanted)).order_by(*_order(sort)).limit(limit)
    if place is not None:
        statement = statement.where(_follows(sort, *place))
    return _describe(g.db.execute(statement).all())


def describe(user: User) -> Member:
    """One member."""
    return _describe(g.db.execute(_ROWS.where(User.id == user.id)).all())[0]


def find_one(user_id: uuid.UUID) -> User | None:
    """The member of that id."""
    found: User | None = g.db.find(User, user_id)
    return found if found is not None and found.kind == PERSON else None


def find_all(user_ids: Sequence[uuid.UUID]) -> list[User]:
    """Those of the users that there are, by address."""
    return list(g.db.scalars(select(User).where(User.id.in_(user_ids), _PEOPLE).order_by(User.email)))


def groups_of(user_id: uuid.UUID) -> Sequence[Group]:
    """The groups that a user is in, by name."""
    mine = select(Membership.group_id).where(Membership.user_id == user_id)
    found: Sequence[Group] = g.db.scalars(select(Group).where(Group.id.in_(mine)).order_by(Group.name)).all()
    return found


def _describe(rows: Sequence[Row[User, datetime | None, datetime | None]]) -> list[Member]:
    """The members with what stands beside them, in a fixed number of statements."""
    members = {user.id: Member(user, seen_at=seen, signed_in_at=signed_in) for user, seen, signed_in in rows}
    for user_id, role in g.db.execute(_roles_of(list(members))):
        members[user_id].roles.append(role)
    sources = (
        select(LinkedIdentity.user_id, ProviderConfig.label)
        .join(ProviderConfig, _same(LinkedIdentity, ProviderConfig, LinkedIdentity.provider_id))
        .where(LinkedIdentity.user_id.in_(list(members)))
        .order_by(ProviderConfig.position, ProviderConfig.label)
    )
    for user_id, label in g.db.execute(sources):
        members[user_id].sources.append(label)
    return list(members.values())


def _roles_of(users: Sequence[uuid.UUID]) -> Any:
    counts = (Grant.object_type == "", or_(Grant.expires_at.is_(None), Grant.expires_at > now()))
    direct = (
        select(Grant.user_id, Role.name)
        .join(Role, _same(Grant, Role, Grant.role_id))
        .where(Grant.user_id.in_(users), *counts)
    )
    through = (
        select(Membership.user_id, Role.name)
        .join(Grant, and_(Grant.tenant_id == Membership.tenant_id, Grant.group_id == Membership.group_id))
        .join(Role, _same(Grant, Role, Grant.role_id))
        .where(Membership.user_id.in_(users), *counts)
    )
    return direct.union(through).order_by("name")


def _order(sort: str) -> tuple[ColumnElement[Any], ...]:
    column = _COLUMNS[sort.removeprefix("-")]
    if sort.startswith("-"):
        return column.desc().nulls_last(), User.id.desc()
    return column.nulls_last(), User.id.asc()


def _follows(sort: str, value: str | datetime | None, user_id: uuid.UUID) -> ColumnElement[bool]:
    """Whether a member comes after that place in the order."""
    column, descends = _COLUMNS[sort.removeprefix("-")], sort.startswith("-")
    later = User.id < user_id if descends else User.id > user_id
    if value is None:
        return and_(column.is_(None), later)
    beyond = column < value if descends else column > value
    return or_(beyond, and_(column == value, later), column.is_(None))


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [_PEOPLE]
    if wanted.search:
        found.append(
            or_(
                User.name.icontains(wanted.search, autoescape=True),
                User.email.icontains(wanted.search, autoescape=True),
            )
        )
    if wanted.role is not None:
        given = (Grant.role_id == wanted.role, or_(Grant.expires_at.is_(None), Grant.expires_at > now()))
        groups = select(Grant.group_id).where(*given, Grant.group_id.is_not(None))
        found.append(
            or_(
                User.id.in_(select(Grant.user_id).where(*given, Grant.user_id.is_not(None))),
                User.id.in_(select(Membership.user_id).where(Membership.group_id.in_(groups))),
            )
        )
    if wanted.group is not None:
        found.append(User.id.in_(select(Membership.user_id).where(Membership.group_id == wanted.group)))
    if wanted.source == LOCAL:
        found.append(User.id.not_in(select(LinkedIdentity.user_id)))
    elif wanted.source:
        provider = uuid.UUID(wanted.source)
        found.append(User.id.in_(select(LinkedIdentity.user_id).where(LinkedIdentity.provider_id == provider)))
    if wanted.state:
        found.append(STATES[wanted.state])
    return found


def _same(left: Any, right: Any, reference: Any) -> ColumnElement[bool]:
    return and_(right.tenant_id == left.tenant_id, right.id == reference)
