"""All grants of a workspace as one list, whoever holds them; and each given, or taken, by whoever keeps its holder.

What is done here is done by `auth/roles.py`, `auth/local_groups.py` and `auth/service_accounts.py`, past their guards.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from flask import g
from flask_babel import gettext as _
from sqlalchemy import ColumnElement, Row, Select, and_, or_, select

from auth import guards, local_groups, roles, service_accounts, tenant_settings, users
from auth.errors import NotAllowed
from auth.explain import Object
from auth.identity import Identity
from auth.models import SERVICE, Grant, Group, Role, User
from tenants.db import now
from tenants.keysets import NEVER, Orders, Place, filled

BY_HAND = "manual"
TAKEN_BY_HAND = frozenset({BY_HAND, "default", "invitation"})
"""Origins of grants that people take back; all others are a source's, which would only give them again."""

ORDERS = Orders(Grant.id, created=(), ends=(filled(Grant.expires_at, NEVER),))
"""Orders of the list; what has no end comes behind all that has one, and turned around before it."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which grants are wanted; what is empty does not matter."""

    user: uuid.UUID | None = None
    """Who holds it by themselves, a person or a service account."""
    group: uuid.UUID | None = None
    role: uuid.UUID | None = None
    object_type: str = ""
    object_id: uuid.UUID | None = None
    origin: str = ""
    state: Literal["active", "lapsed", ""] = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """A grant with its role and who holds it; `kind` is user, group or service."""

    grant: Grant
    role: Role
    kind: str
    holder_id: uuid.UUID
    holder: str
    lapsed: bool
    """Its end has come."""


def list_after(wanted: Filter, place: Place | None, *, sort: str = "-created", limit: int) -> list[Listed]:
    """The grants that are wanted, behind that place of one of ORDERS, in one statement."""
    statement = _ROWS.where(*_conditions(wanted))
    return _listed(g.db.execute(ORDERS[sort].page(statement, limit=limit, after=place)).all())


def find(grant_id: uuid.UUID) -> Listed | None:
    """The grant of that id."""
    found = _listed(g.db.execute(_ROWS.where(Grant.id == grant_id)).all())
    return found[0] if found else None


def give(
    holder: User | Group,
    role: Role,
    *,
    actor: Identity | None,
    on: Object | None = None,
    reason: str | None = None,
    expires_at: datetime | None = None,
) -> tuple[Grant, bool]:
    """Give somebody or a group a role, on the whole workspace or `on` one object, until then if at all.

    Who has been given it by hand before has it until then from now on. Gives back the grant, and whether it is a new
    one. Raises NotAllowed.
    """
    _check_keeper(holder, actor, on)
    guards.check_end(expires_at)
    tenant_settings.lock()  # or of two that give the same, both would be told that theirs is new
    before = g.db.scalar(_same(holder, role, on))
    until: dict[str, Any] = {"reason": reason, "expires_at": expires_at}
    if isinstance(holder, Group):
        grant = local_groups.give_role(holder, role, actor=actor, **until)
    elif holder.kind == SERVICE:
        grant = service_accounts.give_role(holder, role.name, actor=actor, on=on, **until)
    else:
        grant = roles.grant_role(holder, role.name, actor=actor, on=on, **until)
    g.db.flush()  # its id is named
    return grant, before is None


def take(listed: Listed, *, actor: Identity | None) -> bool:
    """Take that one grant back; gives back whether it was still there. Raises NotAllowed, UnknownRole."""
    grant, role = listed.grant, listed.role
    on = (grant.object_type, grant.object_id) if grant.object_id is not None else None
    guards.check_may_manage(actor)
    if grant.origin not in TAKEN_BY_HAND:
        raise NotAllowed(_("A source gives this role: it is taken where the source's groups are mapped to roles."))
    holder: User | Group | None = g.db.find(Group if listed.kind == "group" else User, listed.holder_id)
    if holder is None:
        return False
    _check_keeper(holder, actor, on)
    if isinstance(holder, Group):
        return bool(local_groups.take_role(holder, role, actor=actor))
    take_role = service_accounts.take_role if holder.kind == SERVICE else roles.revoke_role
    return bool(take_role(holder, role.name, actor=actor, on=on, origin=grant.origin))


def _check_keeper(holder: User | Group, actor: Identity | None, on: Object | None) -> None:
    """Raise NotAllowed unless the actor may do with that holder what is done with them on their own pages."""
    guards.check_may_manage(actor)
    if isinstance(holder, Group):
        if on is not None:
            raise NotAllowed(_("A group is given roles on the whole workspace only."))
    elif holder.kind != SERVICE and on is None:
        users.check_may_manage(actor)


def _same(holder: User | Group, role: Role, on: Object | None) -> Select[Any]:
    object_type, object_id = on or ("", None)
    return select(Grant.id).where(
        Grant.group_id == holder.id if isinstance(holder, Group) else Grant.user_id == holder.id,
        Grant.role_id == role.id,
        Grant.object_type == object_type,
        Grant.object_id == object_id,
        Grant.origin == BY_HAND,
    )


_ROWS = (
    select(Grant, Role, User.kind, User.name.label("user_name"), Group.name.label("group_name"))
    .join(Role, and_(Role.tenant_id == Grant.tenant_id, Role.id == Grant.role_id))
    .outerjoin(User, and_(User.tenant_id == Grant.tenant_id, User.id == Grant.user_id))
    .outerjoin(Group, and_(Group.tenant_id == Grant.tenant_id, Group.id == Grant.group_id))
)


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    values = {
        Grant.user_id: wanted.user,
        Grant.group_id: wanted.group,
        Grant.role_id: wanted.role,
        Grant.object_type: wanted.object_type,
        Grant.object_id: wanted.object_id,
        Grant.origin: wanted.origin,
    }
    found = [column == value for column, value in values.items() if value]
    if wanted.state == "lapsed":
        found.append(Grant.expires_at <= now())
    elif wanted.state == "active":
        found.append(or_(Grant.expires_at.is_(None), Grant.expires_at > now()))
    return found


def _listed(rows: Sequence[Row[Any]]) -> list[Listed]:
    moment = now()
    return [
        Listed(
            grant=row.Grant,
            role=row.Role,
            kind="group" if row.Grant.group_id else "service" if row.kind == SERVICE else "user",
            holder_id=row.Grant.group_id or row.Grant.user_id,
            holder=row.group_name if row.Grant.group_id else row.user_name,
            lapsed=row.Grant.expires_at is not None and row.Grant.expires_at <= moment,
        )
        for row in rows
    ]
