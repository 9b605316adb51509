"""What a user holds, and why: the one statement behind every decision and every explanation."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from flask import current_app, g
from sqlalchemy import BindParameter, and_, bindparam, exists, null, or_, select, union_all

from auth.models import Grant, Group, Membership, Passkey, Role, User
from tenants.db import now


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
_USER: BindParameter[uuid.UUID] = bindparam("user_id")
# Two index look-ups instead of one OR, which would read every grant of the tenant.
_reaching = union_all(
    select(*_GRANT, null().label("group_name")).where(Grant.user_id == _USER),
    select(*_GRANT, Group.name.label("group_name"))
    .join(Group, and_(Group.tenant_id == Grant.tenant_id, Group.id == Grant.group_id))
    .join(Membership, and_(Membership.tenant_id == Group.tenant_id, Membership.group_id == Group.id))
    .where(Membership.user_id == _USER),
).subquery("reaching")
_HOLDER = (
    select(
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
        _reaching,
    )
    .select_from(User)
    .outerjoin(_reaching, _reaching.c.tenant_id == User.tenant_id)
    .outerjoin(Role, and_(Role.tenant_id == _reaching.c.tenant_id, Role.id == _reaching.c.role_id))
    .where(User.id == _USER)
)


def find_holder(user_id: uuid.UUID) -> Holder | None:
    """The user and what reaches them, in one statement; None when the bound tenant has no such user."""
    rows = g.db.execute(_HOLDER, {"user_id": user_id}).all()
    if not rows:
        return None
    catalogue = current_app.extensions["auth"].catalogue
    moment = now()
    held: list[Held] = []
    lapsed: list[Held] = []
    for row in rows:
        if row.role is None:
            continue
        permissions = catalogue.of_builtin(row.role) if row.builtin else catalogue.of_custom(row.stored_permissions)
        reaching = Held(
            row.id, row.role, permissions, row.group_name, row.origin, row.granted_by, row.reason, row.object_type,
            row.object_id, row.expires_at,
        )  # fmt: skip
        (lapsed if row.expires_at is not None and row.expires_at <= moment else held).append(reaching)
    first = rows[0]
    return Holder(
        user_id, first.fs_uniquifier, first.active, first.name, first.email, first.locale, first.timezone,
        first.has_second_factor,
        tuple(held), tuple(lapsed),
    )  # fmt: skip
