"""What administrators see first: how many there are and where they come from, and what wants looking at."""

import uuid
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from flask import g
from sqlalchemy import and_, func, select

from auth.audit_models import AuditEvent
from auth.models import PERSON, Grant, Group, Invitation, Role, User
from auth.providers.models import LinkedIdentity, ProviderConfig
from auth.providers.registry import list_configs
from tenants.db import now

DAYS = 30
SOON = timedelta(days=14)
MOST = 10
FAILURES = ("sign-in failed", "single sign-on failed", "single sign-on refused")


@dataclass(frozen=True, slots=True)
class Source:
    """A source of identity and how it does; None stands for the accounts of the workspace itself."""

    config: ProviderConfig | None
    people: int
    seen_at: datetime | None
    """When somebody last came from it."""
    failures: int
    """Sign-ins that failed there within a day."""


@dataclass(frozen=True, slots=True)
class Ending:
    """A grant that is about to end."""

    holder: str
    role: str
    ends_at: datetime
    user_id: uuid.UUID | None


def members_by_source() -> list[Source]:
    """The sources in their order, then the workspace's own accounts, each with its active people."""
    rows = g.db.execute(
        select(LinkedIdentity.provider_id, func.count(), func.max(LinkedIdentity.seen_at))
        .join(User, and_(User.tenant_id == LinkedIdentity.tenant_id, User.id == LinkedIdentity.user_id))
        .where(User.active)
        .group_by(LinkedIdentity.provider_id)
    ).all()
    linked = {provider: (people, seen) for provider, people, seen in rows}
    failed = _failures()
    found = [
        Source(config, *linked.get(config.id, (0, None)), failures=failed.get(config.id, 0))
        for config in list_configs()
    ]
    alone = select(func.count()).select_from(User).where(User.active, User.kind == PERSON)
    alone = alone.where(User.id.not_in(select(LinkedIdentity.user_id)))
    return [*found, Source(None, g.db.scalar(alone) or 0, None, failed.get(None, 0))]


def sign_ins_by_day() -> list[tuple[date, int]]:
    """How often people have signed in on each of the last days, today last; days are those of UTC."""
    today = now().date()
    first = today - timedelta(days=DAYS - 1)
    # PostgreSQL takes the day in the connection's time zone; SQLite keeps UTC.
    on_postgresql = g.db.get_bind().dialect.name == "postgresql"
    day = func.date(func.timezone("UTC", AuditEvent.at) if on_postgresql else AuditEvent.at)
    rows = g.db.execute(
        select(day, func.count())
        .where(AuditEvent.kind == "signed in", AuditEvent.at >= now() - timedelta(days=DAYS))
        .group_by(day)
    )
    counted = {date.fromisoformat(str(found)): number for found, number in rows}
    return [(first + timedelta(days=number), counted.get(first + timedelta(days=number), 0)) for number in range(DAYS)]


def ending_soon() -> list[Ending]:
    """The grants that end next."""
    rows = g.db.execute(
        select(func.coalesce(User.name, Group.name), Role.name, Grant.expires_at, Grant.user_id)
        .join(Role, and_(Role.tenant_id == Grant.tenant_id, Role.id == Grant.role_id))
        .outerjoin(User, and_(User.tenant_id == Grant.tenant_id, User.id == Grant.user_id))
        .outerjoin(Group, and_(Group.tenant_id == Grant.tenant_id, Group.id == Grant.group_id))
        .where(Grant.expires_at > now(), Grant.expires_at < now() + SOON)
        .order_by(Grant.expires_at)
        .limit(MOST)
    )
    return [Ending(*row) for row in rows]


def pending_invitations() -> tuple[int, list[Invitation]]:
    """How many invitations wait to be accepted, and those that end first."""
    waiting = select(Invitation).where(Invitation.expires_at > now())
    total = g.db.scalar(select(func.count()).select_from(Invitation).where(Invitation.expires_at > now())) or 0
    return total, list(g.db.scalars(waiting.order_by(Invitation.expires_at).limit(MOST)))


def _failures() -> dict[uuid.UUID | None, int]:
    rows = g.db.execute(
        select(AuditEvent.target_id, AuditEvent.target_kind, func.count())
        .where(AuditEvent.kind.in_(FAILURES), AuditEvent.at > now() - timedelta(days=1))
        .group_by(AuditEvent.target_id, AuditEvent.target_kind)
    )
    counted: dict[uuid.UUID | None, int] = {}
    for target_id, kind, number in rows:
        source = target_id if kind == "provider" else None
        counted[source] = counted.get(source, 0) + number
    return counted
