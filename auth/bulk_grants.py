"""A role for many at once: all or none of them, at the cost of a few statements."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from flask import g
from flask_babel import gettext as _
from sqlalchemy import insert, select

from auth import audit, guards, tenant_settings
from auth.errors import NotAllowed
from auth.identity import Identity
from auth.models import Grant, Role, User

MOST_AT_ONCE = 1000
ORIGIN = "manual"


def give_to_many(
    users: Sequence[User],
    role: Role,
    *,
    actor: Identity | None,
    reason: str | None = None,
    expires_at: datetime | None = None,
) -> int:
    """Give users a role on the whole workspace, until then if at all; gives back to how many that was news.

    Who has been given it by hand before has it until then from now on. Raises NotAllowed.
    """
    guards.check_may_give(actor, role, expires_at=expires_at)
    if len(users) > MOST_AT_ONCE:
        raise NotAllowed(_("At most %(most)s people are given a role at once.", most=MOST_AT_ONCE))
    guards.check_end(expires_at)
    tenant_settings.lock()  # or two could give the same one twice
    ids = [user.id for user in users]
    guards.check_present(ids, role)
    held = select(Grant).where(
        Grant.user_id.in_(ids), Grant.role_id == role.id, Grant.object_type == "", Grant.origin == ORIGIN
    )
    existing = {grant.user_id: grant for grant in g.db.scalars(held)}
    details: dict[str, Any] = {"role": role.name, "on": None, "origin": ORIGIN} | ({"reason": reason} if reason else {})
    changed = _prolong([user for user in users if user.id in existing], existing, expires_at, details, actor)
    new = [user for user in users if user.id not in existing]
    if new:
        giver = actor.user_id if actor else None
        same = {"role_id": role.id, "origin": ORIGIN, "granted_by": giver, "reason": reason, "expires_at": expires_at}
        g.db.execute(insert(Grant), [{"user_id": user.id, **same} for user in new])
        ends = {"ends": [None, expires_at.isoformat()]} if expires_at else {}
        audit.record_all("role given", new, details=details | ends)
    return len(new) + changed


def _prolong(
    users: Sequence[User],
    existing: dict[Any, Grant],
    expires_at: datetime | None,
    details: dict[str, Any],
    actor: Identity | None,
) -> int:
    """Let grants that there are end then; gives back how many are changed by that."""
    changed = 0
    for user in users:
        grant = existing[user.id]
        if grant.expires_at == expires_at:
            continue
        ends = [end.isoformat() if end else None for end in (grant.expires_at, expires_at)]
        audit.record("role given", user, details=details | {"ends": ends}, actor=actor)
        grant.expires_at = expires_at
        changed += 1
    return changed
