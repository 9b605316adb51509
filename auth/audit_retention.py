"""How long a tenant's audit log is kept. What is removed leaves a signed checkpoint, from which the chain goes on."""

from datetime import timedelta

import structlog
from flask import g
from sqlalchemy import delete, func, select

from auth import audit, tenant_settings
from auth.audit_chain import is_alone, set_checkpoint
from auth.audit_models import AuditCheckpoint, AuditEvent
from auth.audit_verification import verify
from auth.errors import ChainBroken
from auth.identity import Identity
from tenants.db import now

log = structlog.get_logger()

KEPT_FOR = 400
"""Days for which events are kept unless the tenant says otherwise."""
SHORTEST, LONGEST = 30, 3660
"""Days that a tenant may choose. A shorter time would serve whoever has something to hide."""


def kept_for() -> int:
    """For how many days the bound tenant keeps its events."""
    return min(max(int(g.tenant.settings.get("audit_days", KEPT_FOR)), SHORTEST), LONGEST)


def keep_for(days: int, *, actor: Identity | None) -> None:
    """Have the bound tenant's events kept for that many days. Raises ValueError for too few or too many."""
    if not SHORTEST <= days <= LONGEST:
        raise ValueError(f"events are kept for {SHORTEST} to {LONGEST} days")
    row = tenant_settings.lock()
    before = int(row.settings.get("audit_days", KEPT_FOR))
    if before != days:
        tenant_settings.keep(row, "audit_days", days)
        audit.record("audit log kept", details={"days": [before, days]}, actor=actor)


def forget_old() -> int:
    """Remove the sealed events that are older than the tenant keeps them; gives back how many.

    Raises ChainBroken, and removes nothing, when they are not as they were recorded: to remove them would hide it.
    """
    if not is_alone():
        return 0
    edge = _edge()
    if edge is None:
        return 0
    verdict = verify(upto=edge)
    if verdict.fault is not None:
        raise ChainBroken(f"nothing was removed from the audit log: {verdict.fault}")
    digest = g.db.scalar(select(AuditEvent.hash).where(AuditEvent.seq == edge))
    g.db.execute(delete(AuditCheckpoint).where(AuditCheckpoint.seq <= edge))
    removed: int = g.db.execute(delete(AuditEvent).where(AuditEvent.seq <= edge)).rowcount
    set_checkpoint(edge, digest, begins=True)
    audit.record("audit log shortened", details={"events": removed, "days": kept_for()}, actor=audit.SYSTEM)
    return removed


def _edge() -> int | None:
    """The place of the last event that goes: the one before the first that is kept. None: nothing goes.

    By place, and not by time: what has stood in a long transaction is sealed after what is younger.
    """
    sealed = AuditEvent.seq.is_not(None)
    oldest_kept = now() - timedelta(days=kept_for())
    first_kept = g.db.scalar(select(func.min(AuditEvent.seq)).where(AuditEvent.at >= oldest_kept, sealed))
    first, last = g.db.execute(select(func.min(AuditEvent.seq), func.max(AuditEvent.seq)).where(sealed)).one()
    edge = first_kept - 1 if first_kept is not None else last
    return edge if first is not None and edge >= first else None
