"""What administrators should be able to see later of signing in: a log line, and a row of their workspace."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta

import structlog
from flask import g, has_request_context, request
from flask_babel import lazy_gettext as _
from flask_babel.speaklater import LazyString
from sqlalchemy import delete, insert, select

from auth.providers.models import SecurityEvent
from tenants.context import afterwards
from tenants.db import now

log = structlog.get_logger()

KINDS: Mapping[str, LazyString] = {
    "break-glass sign-in": _("Signed in by the emergency way"),
    "domain added": _("Domain added"),
    "domain lapsed": _("Domain lapsed"),
    "domain proved": _("Domain proved"),
    "domain removed": _("Domain removed"),
    "domain vouched": _("Domain vouched for by an operator"),
    "domain warning": _("A domain's record is missing"),
    "sign-in enforced": _("A source is enforced"),
    "sign-in no longer enforced": _("A source is no longer enforced"),
    "sign-in refused, enforced elsewhere": _("Sign-in refused: another source is enforced"),
    "sign-in rehearsed": _("Sign-in rehearsed"),
    "signed out by the source": _("Signed out by the source"),
    "single sign-on failed": _("Signing in at a source failed"),
    "single sign-on refused": _("Signed in at a source, and refused here"),
}
"""What can happen, by its name for programs, in words for people."""
KEPT_FOR = timedelta(days=400)


def record(
    kind: str,
    *,
    user_id: uuid.UUID | None = None,
    provider_id: uuid.UUID | None = None,
    detail: str = "",
    survives: bool = False,
) -> None:
    """Note an event; with `survives` also when the request that it belongs to is refused and rolled back.

    Raises KeyError for a kind that is not among KINDS.
    """
    if kind not in KINDS:
        raise KeyError(kind)
    address = (request.remote_addr or "") if has_request_context() else ""
    log.info(kind, user=str(user_id or ""), provider=str(provider_id or ""), detail=detail, address=address)
    values = {
        "kind": kind,
        "user_id": user_id,
        "provider_id": provider_id,
        "address": address[:45],
        "detail": detail[:1000].replace("\0", ""),
    }

    def write() -> None:
        g.db.execute(delete(SecurityEvent).where(SecurityEvent.at < now() - KEPT_FOR))
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
