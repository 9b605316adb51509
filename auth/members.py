"""The members of a workspace, as lists: searched, filtered, sorted, paged, each with roles and sources."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask import g
from sqlalchemy import ColumnElement, and_, func, or_, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from auth.audit_models import AuditEvent
from auth.models import Grant, Group, LoginSession, Membership, Role, User
from auth.providers.models import LinkedIdentity, ProviderConfig
from tenants.db import now

LOCAL = "here"
"""As a source: whoever no source vouches for."""
SORTS: Mapping[str, tuple[InstrumentedAttribute[Any], bool]] = {
    "name": (User.name, False),
    "-name": (User.name, True),
    "email": (User.email, False),
    "-email": (User.email, True),
    "created": (User.created_at, False),
    "-created": (User.created_at, True),
}
"""Orders of the list: the column, and whether it descends."""
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
    """When one of their present login sessions was last used."""

    @property
    def state(self) -> str:
        """One of STATES."""
        if not self.user.active:
            return "deactivated"
        return "active" if self.user.confirmed_at is not None else "unconfirmed"


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the members, and how many there are in all."""

    members: list[Member]
    total: int


def find(wanted: Filter, *, sort: str = "name", limit: int, offset: int = 0) -> Page:
    """A page of the members that are wanted, in the order of `SORTS[sort]`."""
    conditions = _conditions(wanted)
    column, descends = SORTS[sort]
    place = [column.desc(), User.id.desc()] if descends else [column, User.id]
    users = g.db.scalars(select(User).where(*conditions).order_by(*place).limit(limit).offset(offset)).all()
    total = g.db.scalar(select(func.count()).select_from(User).where(*conditions)) or 0
    return Page(_describe(users), total)


def after(wanted: Filter, place: tuple[str, uuid.UUID] | None, *, limit: int) -> list[Member]:
    """The members that are wanted, by address, after that (address, id): stable while members come and go."""
    statement = select(User).where(*_conditions(wanted)).order_by(User.email, User.id).limit(limit)
    if place is not None:
        statement = statement.where(tuple_(User.email, User.id) > place)
    return _describe(g.db.scalars(statement).all())


def describe(user: User) -> Member:
    """One member."""
    return _describe([user])[0]


def find_all(user_ids: Sequence[uuid.UUID]) -> list[User]:
    """Those of the users that there are, by address."""
    return list(g.db.scalars(select(User).where(User.id.in_(user_ids)).order_by(User.email)))


def names_of(user_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    """What the users are called, by id; those that are gone are not in it."""
    rows = g.db.execute(select(User.id, User.name).where(User.id.in_(list(user_ids))))
    return {row.id: row.name for row in rows}


def last_sign_in(user_id: uuid.UUID) -> datetime | None:
    """When somebody last signed in, as far as the audit log is kept."""
    signed_in = select(AuditEvent.at).where(AuditEvent.target_id == user_id, AuditEvent.kind == "signed in")
    moment: datetime | None = g.db.scalar(signed_in.order_by(AuditEvent.id.desc()).limit(1))
    return moment


def groups_of(user_id: uuid.UUID) -> Sequence[Group]:
    """The groups that a user is in, by name."""
    mine = select(Membership.group_id).where(Membership.user_id == user_id)
    found: Sequence[Group] = g.db.scalars(select(Group).where(Group.id.in_(mine)).order_by(Group.name)).all()
    return found


def _describe(users: Sequence[User]) -> list[Member]:
    """The members with what stands beside them, in a fixed number of statements."""
    members = {user.id: Member(user) for user in users}
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
    seen = (
        select(LoginSession.user_id, func.max(LoginSession.seen_at))
        .where(LoginSession.user_id.in_(list(members)))
        .group_by(LoginSession.user_id)
    )
    for user_id, moment in g.db.execute(seen):
        members[user_id].seen_at = moment
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


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
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
