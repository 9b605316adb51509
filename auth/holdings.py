"""What a user holds, and why: the one statement behind every decision and every explanation."""

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, cast

from flask import current_app, g
from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, exists, null, or_, select, union_all

from auth.models import Grant, Group, Membership, Passkey, Role, User
from tenants.db import now

Place = tuple[str, uuid.UUID | None]
"""An object, by its type and id, or the whole tenant."""
EVERYWHERE: Place = ("", None)


@dataclass(frozen=True, slots=True)
class Held:
    """A role that reaches a user: through which grant, of which origin, and through which group, if any."""

    grant_id: uuid.UUID
    role: str
    permissions: frozenset[str]
    group: str | None
    origin: str
    granted_by: uuid.UUID | None
    reason: str | None
    object_type: str
    object_id: uuid.UUID | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Holder:
    """A user with everything that reaches them. `lapsed` are grants whose end has come."""

    user_id: uuid.UUID
    handle: str
    active: bool
    name: str
    email: str
    locale: str | None
    timezone: str | None
    has_second_factor: bool
    held: tuple[Held, ...]
    lapsed: tuple[Held, ...]


_GRANT = (
    Grant.tenant_id, Grant.id, Grant.role_id, Grant.origin, Grant.granted_by, Grant.reason, Grant.object_type,
    Grant.object_id, Grant.expires_at,
)  # fmt: skip


def effective(held: Iterable[Held]) -> dict[Place, frozenset[str]]:
    """What all of these permit: everywhere, and on which object what else."""
    found: dict[Place, frozenset[str]] = {EVERYWHERE: frozenset()}
    for one in held:
        place = (one.object_type, one.object_id)
        found[place] = found.get(place, frozenset()) | one.permissions
    return found


def _holders(chosen: Callable[[Any], ColumnElement[bool]]) -> Select[Any]:
    # Two index look-ups instead of one OR, which would read every grant of the tenant.
    reaching = union_all(
        select(*_GRANT, Grant.user_id.label("holder_id"), null().label("group_name")).where(chosen(Grant.user_id)),
        select(*_GRANT, Membership.user_id.label("holder_id"), Group.name.label("group_name"))
        .join(Group, and_(Group.tenant_id == Grant.tenant_id, Group.id == Grant.group_id))
        .join(Membership, and_(Membership.tenant_id == Group.tenant_id, Membership.group_id == Group.id))
        .where(chosen(Membership.user_id)),
    ).subquery("reaching")
    wanted = (
        select(
            User.id.label("user_id"),
            User.fs_uniquifier,
            User.active,
            User.name,
            User.email,
            User.locale,
            User.timezone,
            or_(
                User.tf_primary_method.is_not(None),
                exists().where(
                    Passkey.tenant_id == User.tenant_id, Passkey.user_id == User.id, Passkey.usage == "secondary"
                ),
            ).label("has_second_factor"),
            Role.name.label("role"),
            Role.builtin,
            Role.stored_permissions,
            reaching,
        )
        .select_from(User)
        .outerjoin(reaching, and_(reaching.c.tenant_id == User.tenant_id, reaching.c.holder_id == User.id))
        .outerjoin(Role, and_(Role.tenant_id == reaching.c.tenant_id, Role.id == reaching.c.role_id))
        .where(chosen(User.id))
    )
    return cast("Select[Any]", wanted)


_HOLDER = _holders(lambda column: column == bindparam("chosen_id"))


def find_holder(user_id: uuid.UUID) -> Holder | None:
    """The user and what reaches them, in one statement; None when the bound tenant has no such user."""
    rows = g.db.execute(_HOLDER, {"chosen_id": user_id}).all()
    return _as_holder(rows) if rows else None


def find_holders(chosen: Select[uuid.UUID]) -> list[Holder]:
    """Those users and what reaches them, by name, in one statement. `chosen` selects their ids."""
    wanted = _holders(lambda column: column.in_(chosen)).order_by(User.name, User.id)
    return [_as_holder(list(rows)) for _id, rows in groupby(g.db.execute(wanted), lambda row: row.user_id)]


def _as_holder(rows: Sequence[Row[Any]]) -> Holder:
    moment = now()
    held: list[Held] = []
    lapsed: list[Held] = []
    for row in rows:
        if row.role is not None:
            (held if _counts(row, moment) else lapsed).append(_as_held(row))
    first = rows[0]
    return Holder(
        first.user_id, first.fs_uniquifier, first.active, first.name, first.email, first.locale, first.timezone,
        first.has_second_factor,
        tuple(held), tuple(lapsed),
    )  # fmt: skip


def find_group_holders(chosen: Select[uuid.UUID | None]) -> list[tuple[Group, tuple[Held, ...]]]:
    """Those groups, by name, with what they give their members. `chosen` selects their ids."""
    wanted = (
        select(Group, *_GRANT, null().label("group_name"), Role.name.label("role"), Role.builtin,
               Role.stored_permissions)
        .join(Grant, and_(Grant.tenant_id == Group.tenant_id, Grant.group_id == Group.id))
        .join(Role, and_(Role.tenant_id == Grant.tenant_id, Role.id == Grant.role_id))
        .where(Group.id.in_(chosen))
        .order_by(Group.name, Group.id)
    )  # fmt: skip
    moment = now()
    found = groupby(g.db.execute(wanted), lambda row: row.Group)
    return [(group, tuple(_as_held(row) for row in rows if _counts(row, moment))) for group, rows in found]


def _as_held(row: Row[Any]) -> Held:
    catalogue = current_app.extensions["auth"].catalogue
    permissions = catalogue.of_builtin(row.role) if row.builtin else catalogue.of_custom(row.stored_permissions)
    return Held(
        row.id, row.role, permissions, row.group_name, row.origin, row.granted_by, row.reason, row.object_type,
        row.object_id, row.expires_at,
    )  # fmt: skip


def _counts(row: Row[Any], moment: datetime) -> bool:
    return row.expires_at is None or row.expires_at > moment
