"""Groups, of the workspace's own and of sources, for people: with their members and the roles that they give."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import g
from sqlalchemy import ColumnElement, Select, and_, func, select

from auth.models import Grant, Group, Membership, Role, User
from auth.role_holders import label_of
from tenants.db import now


@dataclass(frozen=True, slots=True)
class Given:
    """A role that a group gives its members."""

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


def count_groups(*, search: str = "", origin: str = "") -> int:
    """How many groups there are: of a name, of an origin."""
    return g.db.scalar(select(func.count(Group.id)).where(*_conditions(search, origin))) or 0


def list_groups(
    *, search: str = "", origin: str = "", descending: bool = False, limit: int = 50, offset: int = 0
) -> list[Listed]:
    """A page of the groups, by name."""
    order = (Group.name.desc(), Group.id.desc()) if descending else (Group.name, Group.id)
    wanted = select(Group).where(*_conditions(search, origin)).order_by(*order).limit(limit).offset(offset)
    return _listed(g.db.scalars(wanted).all())


def list_after(place: uuid.UUID | None, *, limit: int) -> list[Listed]:
    """The groups after that one, oldest first."""
    wanted = select(Group).order_by(Group.id).limit(limit)
    if place is not None:
        wanted = wanted.where(Group.id > place)
    return _listed(g.db.scalars(wanted).all())


def list_one(group: Group) -> Listed:
    """One group."""
    return _listed([group])[0]


def list_members(group: Group, *, limit: int = 50, offset: int = 0) -> Sequence[User]:
    """Who is in a group, by name."""
    found: Sequence[User] = g.db.scalars(_members(group).order_by(User.name, User.id).limit(limit).offset(offset)).all()
    return found


def list_members_after(group: Group, place: uuid.UUID | None, *, limit: int) -> Sequence[User]:
    """Who is in a group, after that user, in the order in which the accounts were made."""
    wanted = _members(group).order_by(User.id).limit(limit)
    if place is not None:
        wanted = wanted.where(User.id > place)
    found: Sequence[User] = g.db.scalars(wanted).all()
    return found


def _members(group: Group) -> Select[Any]:
    return (
        select(User)
        .join(Membership, and_(Membership.tenant_id == User.tenant_id, Membership.user_id == User.id))
        .where(Membership.group_id == group.id)
    )


def _conditions(search: str, origin: str) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if search:
        found.append(Group.name.icontains(search, autoescape=True))
    if origin:
        found.append(Group.origin == origin)
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
    rows = g.db.execute(
        select(Grant.group_id, Role, Grant.expires_at)
        .join(Role, and_(Role.tenant_id == Grant.tenant_id, Role.id == Grant.role_id))
        .where(Grant.group_id.in_(ids))
        .order_by(Role.name, Grant.id)
    )
    for group_id, role, ends_at in rows:
        lapsed = ends_at is not None and ends_at <= now()
        given.setdefault(group_id, []).append(Given(role.id, role.name, label_of(role), ends_at, lapsed))
    return [Listed(group, members.get(group.id, 0), tuple(given.get(group.id, ()))) for group in groups]
