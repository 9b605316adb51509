"""What makes the audit log evident of tampering: a chain of hashes, and signed checkpoints on it.

Every event is signed when it is recorded. Events are chained after their transaction, in the order in which they are
found then: recording neither waits for others nor knows what came before. One process at a time seals a tenant's
events. Each seal ends with a checkpoint, signed as well.

Whoever can write to the database, and to nothing else, can change, remove, insert or reorder nothing that is sealed
without its being found by `auth/audit_verification.py`. What they can do is to go back: cut the log off at an earlier
checkpoint, later checkpoints and all, and have what stood after it sealed anew, without some of it. A checkpoint that
was kept elsewhere tells of that; every one goes to the logs, and `audit checkpoint` prints the last. What is not sealed
yet can be removed, and what was removed when its time was over be put back, at the end.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import structlog
from flask import g
from sqlalchemy import func, select, update

from auth.audit_models import AuditCheckpoint, AuditEvent
from auth.audit_signing import BEGINNING, COLUMNS, is_genuine, is_newest, is_point_signed, link, said_by, sign_point
from tenants.db import now

log = structlog.get_logger()

AT_ONCE = 1000
"""Events that are sealed in one go."""


def seal(limit: int = AT_ONCE) -> int:
    """Chain what was recorded meanwhile, at most so many events; gives back how many. Waits for nobody.

    An event that this installation has not recorded is left out, where a verification finds it.
    """
    if not is_alone():
        return 0
    seq, last = _end()
    values = []
    for row in _fresh(limit):
        seq, last = seq + 1, link(last, said_by(row), row.signature)
        values.append({"tenant_id": row.tenant_id, "id": row.id, "seq": seq, "hash": last})
    if values:
        g.db.execute(update(AuditEvent), values)
        set_checkpoint(seq, last)
    return len(values)


def seal_all(tell: Callable[[int], None] = lambda _sealed: None) -> int:
    """Chain everything that is recorded by now, committing as it goes; `tell` is called with how many are done."""
    sealed = 0
    while (done := seal()) > 0:
        g.db.commit()
        sealed += done
        tell(sealed)
    return sealed


def set_checkpoint(seq: int, digest: str, *, begins: bool = False) -> None:
    """Sign for the chain as it is up to that place; with `begins`, for what stood there and is removed."""
    point = AuditCheckpoint(seq=seq, hash=digest, at=now(), begins=begins)
    point.signature = sign_point(point)
    g.db.add(point)
    g.db.flush()
    # The logs are kept elsewhere: they tell of a chain that was cut off.
    log.info("audit checkpoint", tenant=g.tenant.slug, checkpoint=_written(point), begins=begins)


def latest_checkpoint() -> str:
    """The last checkpoint, to be kept elsewhere: "SEQ HASH SIGNATURE"; empty before the first."""
    point = _last_signed()
    return _written(point) if point is not None else ""


def renew_signatures() -> int:
    """Sign every checkpoint with the newest key, before the former one is given up; gives back how many."""
    renewed = 0
    for point in g.db.scalars(select(AuditCheckpoint)).all():
        if not is_newest(point.signature) and is_point_signed(point):
            point.signature = sign_point(point)
            renewed += 1
    g.db.flush()
    return renewed


def is_alone(*, wait: bool = False) -> bool:
    """Keep other processes from sealing this tenant's events until the transaction's end; False: another one does.

    Recording does not wait for it. On SQLite whoever writes is alone anyway, and whoever reads sees one moment.
    """
    connection = g.db.connection()
    if connection.dialect.name != "postgresql":
        return True
    key = int.from_bytes(hashlib.sha256(b"audit" + g.tenant.id.bytes).digest()[:8], signed=True)
    if wait:
        connection.execute(select(func.pg_advisory_xact_lock(key)))
        return True
    return bool(connection.scalar(select(func.pg_try_advisory_xact_lock(key))))


def _fresh(limit: int) -> list[Any]:
    """The first events that are not sealed, without those that somebody else has put there."""
    found: list[Any] = []
    wanted = select(*COLUMNS).where(AuditEvent.seq.is_(None)).order_by(AuditEvent.id).limit(limit)
    rows = g.db.execute(wanted).all()
    while rows and len(found) < limit:
        found += [row for row in rows if is_genuine(said_by(row), row.signature)]
        rows = g.db.execute(wanted.where(AuditEvent.id > rows[-1].id)).all() if len(rows) == limit else []
    return found[:limit]


def _end() -> tuple[int, str]:
    """The place after which the chain goes on, and the hash on which it does: always one that was signed for.

    Of a chain whose end is not as it was signed, nothing is signed over: it goes on after it, but from the last hash
    that was, and the break remains.
    """
    last = g.db.scalar(select(func.max(AuditEvent.seq))) or 0
    point = _last_signed()
    return (max(last, point.seq), point.hash) if point is not None else (last, BEGINNING)


def _last_signed() -> AuditCheckpoint | None:
    points = g.db.scalars(select(AuditCheckpoint).order_by(AuditCheckpoint.seq.desc()).limit(100))
    return next((point for point in points if is_point_signed(point)), None)


def _written(point: AuditCheckpoint) -> str:
    return f"{point.seq} {point.hash} {point.signature}"
