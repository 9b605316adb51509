"""Groups, of the workspace's own and of sources, for people: with their members and the roles that they give."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import g
from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from auth.models import Grant, Group, Membership, Role, User
from auth.role_holders import label_of
from tenants.db import now
from tenants.keysets import Orders, Place

ORDERS = Orders(Group.id, created=(), name=(Group.name,))
"""Orders of the groups."""
MEMBER_ORDERS = Orders(User.id, created=(), name=(User.name,), email=(User.email,))
"""Orders of those who are in one."""
ROLE_ORDERS = Orders(Grant.id, created=(), name=(Role.name,))
"""Orders of the roles that one gives."""


@dataclass(frozen=True, slots=True)
class Given:
    """A role that a group gives its members."""

    id: uuid.UUID
    """Of the grant."""
    role_id: uuid.UUID
    name: str
    label: str
    ends_at: datetime | None
    lapsed: bool


@dataclass(frozen=True, slots=True)
class Listed:
    """A group with how many are in it, and what it gives them."""

    group: Group
    members: int
    roles: tuple[Given, ...]

    @property
    def is_unseen(self) -> bool:
        """Whether a source's group has nobody in it: perhaps the source knows none of that name."""
        return self.group.external_key is not None and not self.members


@dataclass(frozen=True, slots=True)
class Filter:
    """Which groups are wanted; what is empty does not matter."""

    search: str = ""
    """Part of the name, or of what the group is called at its source."""
    origin: str = ""
    role: uuid.UUID | None = None
    """Id of a role that they give."""


def count_groups(wanted: Filter = Filter()) -> int:
    """How many groups are wanted."""
    return g.db.scalar(select(func.count(Group.id)).where(*_conditions(wanted))) or 0


def list_groups(
    wanted: Filter = Filter(), *, sort: str = "name", limit: int = 50, offset: int = 0, after: Place | None = None
) -> list[Listed]:
    """A page of the groups that are wanted, in one of the orders of ORDERS, behind that place."""
    statement = select(Group).where(*_conditions(wanted))
    return _listed(g.db.scalars(ORDERS[sort].page(statement, limit=limit, offset=offset, after=after)).all())


def list_one(group: Group) -> Listed:
    """One group."""
    return _listed([group])[0]


def list_members(
    group: Group, *, search: str = "", sort: str = "name", limit: int = 50, offset: int = 0, after: Place | None = None
) -> Sequence[User]:
    """Who is in a group, in one of the orders of MEMBER_ORDERS, behind that place."""
    statement = MEMBER_ORDERS[sort].page(_members(group, search), limit=limit, offset=offset, after=after)
    found: Sequence[User] = g.db.scalars(statement).all()
    return found


def find_member(group: Group, user_id: uuid.UUID) -> User | None:
    """The user of that id, if in the group."""
    found: User | None = g.db.scalar(_members(group, "").where(User.id == user_id))
    return found


def count_members(group: Group, *, search: str = "") -> int:
    """How many of them there are."""
    return g.db.scalar(select(func.count()).select_from(_members(group, search).subquery())) or 0


def list_roles(
    group: Group, *, sort: str = "name", limit: int | None = None, after: Place | None = None
) -> list[Given]:
    """The roles that a group gives, all or behind that place, in one of the orders of ROLE_ORDERS; lapsed ones, too."""
    statement = ROLE_ORDERS[sort].page(_GIVEN.where(Grant.group_id == group.id), limit=limit, after=after)
    return [_given(role, grant) for role, grant in g.db.execute(statement)]


def find_role(group: Group, role_id: uuid.UUID) -> Given | None:
    """The role of that id, if the group gives it."""
    row = g.db.execute(_GIVEN.where(Grant.group_id == group.id, Grant.role_id == role_id)).first()
    return _given(*row) if row is not None else None


_GIVEN = select(Role, Grant).join(Grant, and_(Grant.tenant_id == Role.tenant_id, Grant.role_id == Role.id))


def _given(role: Role, grant: Grant) -> Given:
    lapsed = grant.expires_at is not None and grant.expires_at <= now()
    return Given(grant.id, role.id, role.name, label_of(role), grant.expires_at, lapsed)


def _members(group: Group, search: str) -> Select[Any]:
    found = (
        select(User)
        .join(Membership, and_(Membership.tenant_id == User.tenant_id, Membership.user_id == User.id))
        .where(Membership.group_id == group.id)
    )
    if not search:
        return found
    return found.where(or_(User.name.icontains(search, autoescape=True), User.email.icontains(search, autoescape=True)))


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.search:
        names = (Group.name, Group.external_key)
        found.append(or_(*(name.icontains(wanted.search, autoescape=True) for name in names)))
    if wanted.origin:
        found.append(Group.origin == wanted.origin)
    if wanted.role is not None:
        giving = (Grant.role_id == wanted.role, or_(Grant.expires_at.is_(None), Grant.expires_at > now()))
        found.append(Group.id.in_(select(Grant.group_id).where(Grant.group_id.is_not(None), *giving)))
    return found


def _listed(groups: Sequence[Group]) -> list[Listed]:
    ids = [group.id for group in groups]
    if not ids:
        return []
    members = dict(
        g.db.execute(
            select(Membership.group_id, func.count()).where(Membership.group_id.in_(ids)).group_by(Membership.group_id)
        ).all()
    )
    given: dict[uuid.UUID, list[Given]] = {}
    for role, grant in g.db.execute(_GIVEN.where(Grant.group_id.in_(ids)).order_by(Role.name, Grant.id)):
        given.setdefault(grant.group_id, []).append(_given(role, grant))
    return [Listed(group, members.get(group.id, 0), tuple(given.get(group.id, ()))) for group in groups]
