"""What administrators should be able to see later of signing in: a log line, and a row of their workspace."""

import uuid
from collections.abc import Sequence

import structlog
from flask import g, has_request_context, request
from sqlalchemy import insert, select

from auth.providers.models import SecurityEvent
from tenants.context import afterwards

log = structlog.get_logger()


def record(
    kind: str,
    *,
    user_id: uuid.UUID | None = None,
    provider_id: uuid.UUID | None = None,
    detail: str = "",
    survives: bool = False,
) -> None:
    """Note an event; with `survives` also when the request that it belongs to is refused and rolled back."""
    address = (request.remote_addr or "") if has_request_context() else ""
    log.info(kind, user=str(user_id or ""), provider=str(provider_id or ""), detail=detail, address=address)
    values = {
        "kind": kind[:40],
        "user_id": user_id,
        "provider_id": provider_id,
        "address": address[:45],
        "detail": detail[:1000].replace("\0", ""),
    }

    def write() -> None:
        g.db.execute(insert(SecurityEvent).values(values))

    if survives and has_request_context():
        afterwards(write)
    else:
        write()


def latest(*, kinds: Sequence[str] = (), limit: int = 20) -> Sequence[SecurityEvent]:
    """The bound tenant's last events, newest first; of some kinds, or of all."""
    wanted = select(SecurityEvent).order_by(SecurityEvent.at.desc(), SecurityEvent.id.desc()).limit(limit)
    found: Sequence[SecurityEvent] = g.db.scalars(
        wanted.where(SecurityEvent.kind.in_(kinds)) if kinds else wanted
    ).all()
    return found
