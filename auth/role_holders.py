"""Roles and those who have them, for people: lists with their counts, and what ends soon."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import g
from sqlalchemy import ColumnElement, ColumnExpressionArgument, Row, and_, case, func, or_, select
from sqlalchemy.orm import aliased

from auth.guards import catalogue
from auth.models import Grant, Group, Invitation, Role, User
from auth.permissions import BuiltinRole
from tenants.db import now
from tenants.keysets import Key, Orders, Place

_KIND = Key(case((Role.builtin, "built-in"), else_="custom"), lambda role: "built-in" if role.builtin else "custom")
ORDERS = Orders(Role.id, kind=(_KIND, Role.name), name=(Role.name,), created=())
"""Orders of the roles; kind: built-in ones first, then by name."""
SOON = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which roles are wanted; what is empty does not matter."""

    search: str = ""
    """Part of the name or the description, as they are stored: those of built-in roles are not translated."""
    builtin: bool | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """A role with how many have it: members by themselves, groups, and how many of these grants end soon."""

    role: Role
    members: int
    groups: int
    ending: int


@dataclass(frozen=True, slots=True)
class HolderRow:
    """A grant of a role: to a member or to a group (which has no address)."""

    holder_id: uuid.UUID | None
    is_group: bool
    name: str
    email: str
    active: bool
    origin: str
    granted_by: str | None
    reason: str | None
    object_type: str
    object_id: uuid.UUID | None
    expires_at: datetime | None
    soon: bool


def label_of(role: Role) -> str:
    """What a role is called for people."""
    known = _definition(role)
    return str(known.label) if known is not None else role.name


def description_of(role: Role) -> str:
    """What a role is for, in words."""
    known = _definition(role)
    return str(known.description) if known is not None else role.description or ""


def object_type_of(role: Role) -> str:
    """The type of the objects on which alone a role is given; empty for any other."""
    known = _definition(role)
    return known.object_type if known is not None else ""


def count_roles(wanted: Filter = Filter()) -> int:
    """How many roles are wanted."""
    return g.db.scalar(select(func.count(Role.id)).where(*_conditions(wanted))) or 0


def list_counted(
    wanted: Filter = Filter(), *, sort: str = "kind", limit: int = 50, offset: int = 0, after: Place | None = None
) -> list[Counted]:
    """The roles that are wanted with their counts, in one of the orders of ORDERS, behind that place."""
    counted = (
        select(
            Grant.role_id,
            func.count(Grant.user_id.distinct()).label("members"),
            func.count(Grant.group_id.distinct()).label("groups"),
            func.count(case((Grant.expires_at < now() + SOON, 1))).label("ending"),
        )
        .where(_counts())
        .group_by(Grant.role_id)
        .subquery()
    )
    found = (
        select(Role, counted.c.members, counted.c.groups, counted.c.ending)
        .outerjoin(counted, counted.c.role_id == Role.id)
        .where(*_conditions(wanted))
    )
    rows = g.db.execute(ORDERS[sort].page(found, limit=limit, offset=offset, after=after))
    return [Counted(row[0], row[1] or 0, row[2] or 0, row[3] or 0) for row in rows]


def count_of(role: Role) -> Counted:
    """One role with its counts."""
    row = g.db.execute(
        select(
            func.count(Grant.user_id.distinct()),
            func.count(Grant.group_id.distinct()),
            func.count(case((Grant.expires_at < now() + SOON, 1))),
        ).where(_counts(), Grant.role_id == role.id)
    ).one()
    return Counted(role, *row)


def count_grants(role: Role) -> int:
    """How many grants of the role there are."""
    return g.db.scalar(select(func.count(Grant.id)).where(Grant.role_id == role.id, _counts())) or 0


def count_invitations(role: Role) -> int:
    """How many are invited with the role, and have not answered yet."""
    open_ = select(func.count(Invitation.id)).where(Invitation.role_id == role.id, Invitation.expires_at > now())
    return g.db.scalar(open_) or 0


def list_holders(role: Role, *, limit: int = 50, offset: int = 0) -> list[HolderRow]:
    """Who has the role, groups first, then by name."""
    giver = aliased(User)
    rows = g.db.execute(
        select(Grant, User, Group, giver.name)
        .outerjoin(User, and_(User.tenant_id == Grant.tenant_id, User.id == Grant.user_id))
        .outerjoin(Group, and_(Group.tenant_id == Grant.tenant_id, Group.id == Grant.group_id))
        .outerjoin(giver, and_(giver.tenant_id == Grant.tenant_id, giver.id == Grant.granted_by))
        .where(Grant.role_id == role.id, _counts())
        .order_by(Grant.group_id.is_(None), func.coalesce(Group.name, User.name), Grant.id)
        .limit(limit)
        .offset(offset)
    )
    return [_as_row(grant, user, group, given_by) for grant, user, group, given_by in rows]


def list_ending(*, limit: int = 50) -> Sequence[Row[Any]]:
    """Grants that end soon, the next first: (Grant, Role, name of the member or group)."""
    rows: Sequence[Row[Any]] = g.db.execute(
        select(Grant, Role, func.coalesce(User.name, Group.name).label("holder"))
        .join(Role, and_(Role.tenant_id == Grant.tenant_id, Role.id == Grant.role_id))
        .outerjoin(User, and_(User.tenant_id == Grant.tenant_id, User.id == Grant.user_id))
        .outerjoin(Group, and_(Group.tenant_id == Grant.tenant_id, Group.id == Grant.group_id))
        .where(Grant.expires_at > now(), Grant.expires_at < now() + SOON)
        .order_by(Grant.expires_at, Grant.id)
        .limit(limit)
    ).all()
    return rows


def names_of_holders(role: Role) -> dict[str, list[str]]:
    """The addresses of the members and the names of the groups that have the role, for the audit log."""
    members = select(User.email).where(User.id.in_(select(Grant.user_id).where(Grant.role_id == role.id, _counts())))
    groups = select(Group.name).where(Group.id.in_(select(Grant.group_id).where(Grant.role_id == role.id, _counts())))
    found = {
        "members": list(g.db.scalars(members.order_by(User.email))),
        "groups": list(g.db.scalars(groups.order_by(Group.name))),
    }
    return {name: held for name, held in found.items() if held}


def _as_row(grant: Grant, user: User | None, group: Group | None, given_by: str | None) -> HolderRow:
    holder = (
        (group.id, True, group.name, "", True)
        if group is not None
        else (grant.user_id, False, user.name if user else "", user.email if user else "", bool(user and user.active))
    )
    return HolderRow(
        *holder,
        origin=grant.origin,
        granted_by=given_by,
        reason=grant.reason,
        object_type=grant.object_type,
        object_id=grant.object_id,
        expires_at=grant.expires_at,
        soon=grant.expires_at is not None and grant.expires_at < now() + SOON,
    )


def _definition(role: Role) -> BuiltinRole | None:
    return catalogue().roles.get(role.name) if role.builtin else None


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.search:
        texts = (Role.name, Role.description)
        found.append(or_(*(text.icontains(wanted.search, autoescape=True) for text in texts)))
    if wanted.builtin is not None:
        found.append(Role.builtin.is_(wanted.builtin))
    return found


def _counts() -> ColumnExpressionArgument[bool]:
    return or_(Grant.expires_at.is_(None), Grant.expires_at > now())
