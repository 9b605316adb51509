"""The role that people get whom nothing else gives one: kept with the tenant, by the role's id.

Whoever chooses it gives it to everybody who will come: they have to hold all of it, and it is never `owner`.
"""

import uuid
from collections.abc import Collection
from typing import Any

from flask import g
from flask_babel import gettext as _
from sqlalchemy import insert, select

from auth import audit, guards, tenant_settings
from auth.errors import NotAllowed
from auth.identity import Identity
from auth.models import Grant, Membership, Role, User
from auth.permissions import OWNER
from tenants.models import TenantRow

KEY = "default_role"
ORIGIN = "default"


def current() -> Role | None:
    """The bound tenant's default role, if it has one."""
    return _find(g.tenant.settings.get(KEY))


def required() -> Role:
    """The default role, where one is needed. Raises NotAllowed when there is none."""
    role = current()
    if role is None:
        raise NotAllowed(_("There is no role of new members in this workspace: choose one."))
    return role


def is_default(role: Role) -> bool:
    """Whether that is the default role; asks no database."""
    return bool(g.tenant.settings.get(KEY) == str(role.id))


def set_default_role(role: Role | None, *, actor: Identity | None) -> None:
    """Choose the role of people whom nothing else gives one; None: they have none. Raises NotAllowed."""
    guards.check_may_manage(actor)
    row = tenant_settings.lock()  # first: whoever edits or deletes the role just now is waited for
    if role is not None:
        role = _find(str(role.id))
        if role is None:
            raise NotAllowed(_("The role was deleted in this moment."))
        if role.builtin and role.name == OWNER.name:
            raise NotAllowed(_("Nobody becomes an owner by default."))
        guards.check_may_give(actor, role)
    before = _find(row.settings.get(KEY))
    if before is not None and before is not role:
        guards.check_holds(actor, guards.permissions_of(before))
    _keep(row, before, role, actor)


def follow_deletion(row: TenantRow, role: Role, replacement: Role | None, *, actor: Identity | None) -> None:
    """Let the default role be another one, or none, if it is the one that is about to be deleted.

    `row` is the tenant's, locked; what the actor may is checked already.
    """
    if row.settings.get(KEY) == str(role.id):
        _keep(row, role, replacement, actor)


def give_where_none(user_ids: Collection[uuid.UUID]) -> int:
    """Give the default role to those of new users whom nothing gives a role; gives back how many there were."""
    role = current()
    if role is None or not user_ids:
        return 0
    ids = list(user_ids)
    direct = select(Grant.user_id).where(Grant.user_id.in_(ids))
    by_group = (
        select(Membership.user_id)
        .join(Grant, (Grant.tenant_id == Membership.tenant_id) & (Grant.group_id == Membership.group_id))
        .where(Membership.user_id.in_(ids))
    )
    without = select(User).where(User.id.in_(ids), User.id.not_in(direct), User.id.not_in(by_group))
    people = g.db.scalars(without.order_by(User.email)).all()
    if not people:
        return 0
    rows = [{"user_id": user.id, "role_id": role.id, "origin": ORIGIN, "reason": "default role"} for user in people]
    g.db.execute(insert(Grant), rows)
    details: dict[str, Any] = {"role": role.name, "on": None, "origin": ORIGIN}
    if len(people) == 1:
        audit.record("role given", people[0], details=details, actor=audit.SYSTEM)
    else:
        details |= {"to": [user.email for user in people]}
        audit.record("role given", role, details=details, actor=audit.SYSTEM)
    return len(people)


def _find(kept: str | None) -> Role | None:
    if not kept:
        return None
    found: Role | None = g.db.scalar(
        select(Role).where(Role.id == uuid.UUID(kept)).execution_options(populate_existing=True)
    )
    return found


def _keep(row: TenantRow, before: Role | None, after: Role | None, actor: Identity | None) -> None:
    old, new = before.name if before else None, after.name if after else None
    if old == new:
        return
    tenant_settings.keep(row, KEY, str(after.id) if after else None)
    audit.record("default role changed", after or before, details={"role": [old, new]}, actor=actor)
