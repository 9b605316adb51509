"""The only global tables: tenants and their further hosts.

Everybody may read them (a host is resolved before a tenant is bound); a row is written with its own tenant bound.
"""

import enum
import uuid
from datetime import datetime
from typing import Any, ClassVar

import uuid_utils.compat as uuid7
from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from tenants.db import Base, now


class TenantStatus(enum.StrEnum):
    """Whether a tenant is served."""

    ACTIVE = "active"
    """Served."""
    SUSPENDED = "suspended"
    """Answered with a page that says so."""
    DELETED = "deleted"
    """Answered like a host that never existed; the slug is not given again."""


class TenantRow(Base):
    """A customer. Elsewhere the frozen value `tenants.Tenant` is used; this row is for changing it."""

    __tablename__ = "tenants"
    own_column: ClassVar = "id"
    __table_args__ = (CheckConstraint("status IN ('active', 'suspended', 'deleted')", name="status"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7.uuid7)
    slug: Mapped[str] = mapped_column(String(40), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    status: Mapped[str] = mapped_column(String(20), default=TenantStatus.ACTIVE)
    plan: Mapped[str] = mapped_column(String(40), default="standard")
    settings: Mapped[dict[str, Any]] = mapped_column(default=dict)
    version: Mapped[int] = mapped_column(BigInteger, default=1)
    """Raised by every change on which somebody's access depends; what is cached is keyed by it."""
    created_at: Mapped[datetime] = mapped_column(default=now)


class Domain(Base):
    """A further host name of a tenant; it counts once verified."""

    __tablename__ = "domains"
    decides_access: ClassVar = frozenset({"host", "tenant_id", "verified_at"})

    host: Mapped[str] = mapped_column(String(253), primary_key=True)
    """Lower case, ASCII (IDNA), no trailing dot."""
    tenant_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tenants.id"), index=True)
    verified_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
