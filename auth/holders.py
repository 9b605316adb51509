"""Who can: all whom something is permitted to, with through what, in as many statements for one as for ten thousand.

The page is chosen in the database, by which roles permit it; that each of them may is then decided, and explained, by
`auth/holdings.py`, as it is for them.
"""

import uuid
from dataclasses import dataclass

from flask import g
from sqlalchemy import ColumnElement, ColumnExpressionArgument, Select, and_, func, or_, select

from auth.explain import Chain, Object, chains_of, reaches
from auth.holdings import Held, find_holders
from auth.models import Grant, Membership, Role, User
from auth.roles import catalogue, permissions_of
from tenants.db import now


@dataclass(frozen=True, slots=True)
class CanDo:
    """Somebody to whom it is permitted, and by what."""

    user_id: uuid.UUID
    name: str
    email: str
    through: tuple[Held, ...]


@dataclass(frozen=True, slots=True)
class Holders:
    """A part of those to whom it is permitted; `chains` says what stands around their grants, by the grant's id."""

    people: tuple[CanDo, ...]
    chains: dict[uuid.UUID, Chain]


def count_holders(permission: str, *, on: Object | None = None) -> int:
    """How many active users hold a permission, on the tenant or on an object. Raises UnknownPermission."""
    return g.db.scalar(select(func.count(User.id)).where(*_chosen(permission, on))) or 0


def list_holders(permission: str, *, on: Object | None = None, limit: int = 50, offset: int = 0) -> Holders:
    """The active users who hold a permission, by name. Raises UnknownPermission."""
    return _decided(
        select(User.id).where(*_chosen(permission, on)).order_by(User.name, User.id).limit(limit).offset(offset),
        permission,
        on,
    )


def list_holders_after(place: uuid.UUID | None, permission: str, *, on: Object | None = None, limit: int) -> Holders:
    """Those after that user, in the order in which the accounts were made. Raises UnknownPermission."""
    wanted = select(User.id).where(*_chosen(permission, on)).order_by(User.id).limit(limit)
    return _decided(wanted.where(User.id > place) if place is not None else wanted, permission, on)


def _decided(page: Select[uuid.UUID], permission: str, on: Object | None) -> Holders:
    order = {user_id: number for number, user_id in enumerate(g.db.scalars(page))}
    found = find_holders(select(User.id).where(User.id.in_(list(order)))) if order else []
    people = [
        CanDo(one.user_id, one.name, one.email, through)
        for one in found
        if one.active and (through := tuple(held for held in one.held if reaches(held, permission, on)))
    ]
    people.sort(key=lambda one: order[one.user_id])
    return Holders(tuple(people), chains_of(held for one in people for held in one.through))


def _chosen(permission: str, on: Object | None) -> tuple[ColumnExpressionArgument[bool], ...]:
    """Conditions on users that choose those whom a grant of a role with that permission reaches there."""
    given: tuple[ColumnElement[bool], ...] = (
        Grant.role_id.in_(_permitting(permission)),
        or_(Grant.expires_at.is_(None), Grant.expires_at > now()),
        or_(Grant.object_type == "", and_(Grant.object_type == on[0], Grant.object_id == on[1]))
        if on
        else Grant.object_type == "",
    )
    direct = select(Grant.user_id).where(*given, Grant.user_id.is_not(None))
    groups = select(Grant.group_id).where(*given, Grant.group_id.is_not(None))
    within = select(Membership.user_id).where(Membership.group_id.in_(groups))
    return User.active, or_(User.id.in_(direct), User.id.in_(within))


def _permitting(permission: str) -> list[uuid.UUID]:
    catalogue().check(permission)
    return [role.id for role in g.db.scalars(select(Role)) if permission in permissions_of(role)]
