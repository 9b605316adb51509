"""Tables of identity sources; every one belongs to a tenant."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from tenants.db import Base, TenantScoped, now, within_tenant


class ProviderConfig(TenantScoped, Base):
    """A configured source of identity, beside the tenant's own accounts."""

    __tablename__ = "providers"

    name: Mapped[str] = mapped_column(String(40))
    """Names it to administrators and on the command line."""
    label: Mapped[str] = mapped_column(String(100))
    """Names it to people."""
    kind: Mapped[str] = mapped_column(String(20))
    enabled: Mapped[bool] = mapped_column(default=False)
    position: Mapped[int] = mapped_column(default=0)
    """The tenant's sources are asked in this order."""
    domains: Mapped[list[str]] = mapped_column(default=list)
    """E-mail domains whose people this source is asked about, and no other."""
    creates_users: Mapped[str] = mapped_column(String(10), default="sign-in")
    """When it makes users: at their first sign-in, by sync, or never."""
    most_departures: Mapped[int] = mapped_column(default=20)
    """Share of its users, in per cent, that one sync may deactivate."""
    settings: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What the kind of source needs; validated when saved, and again when used."""
    secret: Mapped[str | None] = mapped_column(Text)
    """Encrypted for this row alone, see `auth/keys.py`."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    synced_at: Mapped[datetime | None]
    """When a sync last came to its end."""
    syncing_until: Mapped[datetime | None]
    """Until then a sync is under way; it moves this on as it proceeds."""

    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    @property
    def origin(self) -> str:
        """The origin of the groups and grants that this source causes."""
        return f"provider:{self.id}"


class LinkedIdentity(TenantScoped, Base):
    """A user whom a source vouches for: the key is (tenant, provider, subject)."""

    __tablename__ = "linked_identities"

    user_id: Mapped[uuid.UUID]
    provider_id: Mapped[uuid.UUID]
    subject: Mapped[str] = mapped_column(String(255))
    """What never changes of the person at the source."""
    login: Mapped[str] = mapped_column(String(320), default="")
    """The user name there when last seen, as directories compare it."""
    place: Mapped[str] = mapped_column(Text, default="")
    """Where the source kept the person when last seen; for people."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    seen_at: Mapped[datetime] = mapped_column(default=now)
    """When the source last vouched for the person: a sign-in or a sync."""
    departed_at: Mapped[datetime | None]
    """When a sync deactivated the user, who is let in again once the source knows them; None otherwise."""

    __table_args__ = (
        within_tenant("user_id", "users", ondelete="CASCADE"),
        within_tenant("provider_id", "providers", ondelete="CASCADE"),
        UniqueConstraint("tenant_id", "provider_id", "subject"),
        UniqueConstraint("tenant_id", "user_id", "provider_id"),
        Index("ix_linked_identities_tenant_login", "tenant_id", "login"),
    )
