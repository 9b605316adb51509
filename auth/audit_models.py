"""The tables of the audit log."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from tenants.db import Base, TenantScoped, now


class AuditEvent(TenantScoped, Base):
    """Something that happened in a tenant, by whom, and to what. Written once; the database refuses a change.

    Names stand beside ids, and nothing is referred to: an event outlives all that it tells of.
    """

    __tablename__ = "audit_events"

    at: Mapped[datetime] = mapped_column(default=now)
    kind: Mapped[str] = mapped_column(String(60))
    """One of `auth.audit.KINDS`."""
    actor_kind: Mapped[str] = mapped_column(String(20))
    """user, token (a person's own, or an app's for them: `details` has which), service, nobody (not signed in),
    provider (a sync, or its own message), operator or system."""
    actor_id: Mapped[uuid.UUID | None]
    actor: Mapped[str] = mapped_column(String(320), default="")
    target_kind: Mapped[str] = mapped_column(String(20), default="")
    """user, role, group, provider, domain, invitation, project, ...; empty: the workspace."""
    target_id: Mapped[uuid.UUID | None]
    target: Mapped[str] = mapped_column(String(320), default="")
    address: Mapped[str] = mapped_column(String(45), default="")
    agent: Mapped[str] = mapped_column(String(255), default="")
    request_id: Mapped[str] = mapped_column(String(64), default="")
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Further values by name; a change is a list of old and new. Never a secret."""
    signature: Mapped[str] = mapped_column(String(73))
    """Of all that stands above, with a key that the database does not have; see `auth/audit_signing.py`."""

    seq: Mapped[int | None] = mapped_column(BigInteger)
    """Its place in the chain, from 1; None until it is sealed, see `auth/audit_chain.py`."""
    hash: Mapped[str | None] = mapped_column(String(64))
    """SHA-256 over the hash of the event before and this one's content; hexadecimal."""

    __table_args__ = (
        UniqueConstraint("tenant_id", "seq"),
        Index("ix_audit_events_tenant_at", "tenant_id", "at"),
        Index("ix_audit_events_tenant_kind", "tenant_id", "kind", "id"),
        Index("ix_audit_events_tenant_actor", "tenant_id", "actor_id", "id"),
        Index("ix_audit_events_tenant_target", "tenant_id", "target_id", "id"),
        Index(
            "ix_audit_events_unsealed", "tenant_id", "id",
            postgresql_where=text("seq IS NULL"), sqlite_where=text("seq IS NULL"),
        ),
    )  # fmt: skip


class AuditCheckpoint(TenantScoped, Base):
    """The chain's hash at one place, signed with a key that the database does not have."""

    __tablename__ = "audit_checkpoints"

    seq: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(default=now)
    begins: Mapped[bool] = mapped_column(default=False)
    """Whether the chain begins after it: what stood before was removed when its time was over."""
    signature: Mapped[str] = mapped_column(String(73))
    """As an event's."""

    __table_args__ = (Index("ix_audit_checkpoints_tenant_seq", "tenant_id", "seq"),)
