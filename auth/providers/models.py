"""Tables of identity sources; every one belongs to a tenant."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from tenants.db import Base, TenantScoped, now, within_tenant

LONGEST_SUBJECT = 255
WEB_KINDS = frozenset({"oidc", "oauth2", "platform"})
"""Kinds of source at which people sign in by their browser; the others are directories."""

_HELD = text("state IN ('proved', 'warning')")


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
    rehearsed_at: Mapped[datetime | None]
    """When a rehearsal last succeeded with the present settings; None of a web source: it is provisional."""
    admin_seen_at: Mapped[datetime | None]
    """When an administrator first signed in through it with the present settings."""
    enforced_at: Mapped[datetime | None]
    """Since when the people of its proved domains sign in through it alone; None: they need not."""
    synced_at: Mapped[datetime | None]
    """When a sync last came to its end."""
    syncing_until: Mapped[datetime | None]
    """Until then a sync is under way; it moves this on as it proceeds."""

    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    @property
    def origin(self) -> str:
        """The origin of the groups and grants that this source causes."""
        return f"provider:{self.id}"

    @property
    def is_web(self) -> bool:
        """Whether people sign in there by their browser, and not by a password typed here."""
        return self.kind in WEB_KINDS

    def all_but_secret(self) -> dict[str, Any]:
        """What is recorded when it is added or changes."""
        kept = ("label", "domains", "creates_users", "most_departures", "position")
        return {**(self.settings or {}), **{name: getattr(self, name) for name in kept}}


class LinkedIdentity(TenantScoped, Base):
    """A user whom a source vouches for: the key is (tenant, provider, subject)."""

    __tablename__ = "linked_identities"

    user_id: Mapped[uuid.UUID]
    provider_id: Mapped[uuid.UUID]
    subject: Mapped[str] = mapped_column(String(LONGEST_SUBJECT))
    """What never changes of the person at the source; of OAuth sources, the issuer, too."""
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


class ProvisioningToken(TenantScoped, Base):
    """What an identity provider shows to keep people and groups up to date by SCIM (RFC 7644)."""

    __tablename__ = "provisioning_tokens"

    provider_id: Mapped[uuid.UUID]
    token_hash: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=now)
    created_by: Mapped[uuid.UUID | None]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    """Written at most once a minute."""

    __table_args__ = (
        within_tenant("provider_id", "providers", ondelete="CASCADE"),
        UniqueConstraint("tenant_id", "token_hash"),
        Index("ix_provisioning_tokens_tenant_provider", "tenant_id", "provider_id"),
    )


class SignInAttempt(TenantScoped, Base):
    """A person sent to a web source, until they are back: one use, ten minutes, one browser."""

    __tablename__ = "sign_in_attempts"

    state_hash: Mapped[str] = mapped_column(String(64))
    provider_id: Mapped[uuid.UUID]
    purpose: Mapped[str] = mapped_column(String(10))
    """sign-in, invitation, connect, verify, rehearse, or link: proved there, and waiting for the account of old to be
    proved."""
    browser_hash: Mapped[str] = mapped_column(String(64))
    """Of the secret in the cookie of the browser that began."""
    user_id: Mapped[uuid.UUID | None]
    """Who connects, verifies or rehearses, or is waited for; None for a sign-in."""
    nonce: Mapped[str] = mapped_column(String(64))
    verifier: Mapped[str] = mapped_column(String(128))
    """The PKCE code verifier (RFC 7636)."""
    next_path: Mapped[str] = mapped_column(Text, default="")
    return_to: Mapped[str] = mapped_column(String(300))
    """The tenant's host where it began, with scheme and port; there the session will begin."""
    brokered: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]
    handover_hash: Mapped[str | None] = mapped_column(String(64))
    """Of the broker's one-use code, once the broker has seen the person come back."""
    outcome: Mapped[str | None] = mapped_column(Text)
    """What the broker hands over, encrypted for this row alone."""

    __table_args__ = (
        within_tenant("provider_id", "providers", ondelete="CASCADE"),
        within_tenant("user_id", "users", ondelete="CASCADE"),
        UniqueConstraint("tenant_id", "state_hash"),
        UniqueConstraint("tenant_id", "handover_hash"),
        Index("ix_sign_in_attempts_tenant_end", "tenant_id", "expires_at"),
    )


class ProviderSession(TenantScoped, Base):
    """What a login session has come from at a web source, so that it ends when that does."""

    __tablename__ = "provider_sessions"

    provider_id: Mapped[uuid.UUID]
    login_session_id: Mapped[uuid.UUID | None]
    """None between the source's answer and the end of the sign-in, say while a second factor is asked for."""
    subject: Mapped[str] = mapped_column(String(LONGEST_SUBJECT))
    sid: Mapped[str] = mapped_column(String(255), default="")
    """The session's id at the source; empty when it names none."""
    id_token: Mapped[str | None] = mapped_column(Text)
    """Encrypted for this row alone; shown to the source when signing out there."""
    created_at: Mapped[datetime] = mapped_column(default=now)

    __table_args__ = (
        within_tenant("provider_id", "providers", ondelete="CASCADE"),
        within_tenant("login_session_id", "login_sessions", ondelete="CASCADE"),
        Index("ix_provider_sessions_tenant_sid", "tenant_id", "provider_id", "sid"),
        Index("ix_provider_sessions_tenant_subject", "tenant_id", "provider_id", "subject"),
        Index("ix_provider_sessions_tenant_login_session", "tenant_id", "login_session_id"),
    )


class MailDomain(TenantScoped, Base):
    """A domain of e-mail addresses that a tenant says to be its own."""

    __tablename__ = "mail_domains"

    domain: Mapped[str] = mapped_column(String(253))
    """Lower case, ASCII (IDNA), no trailing dot."""
    token: Mapped[str] = mapped_column(String(64))
    """What the TXT record has to hold."""
    state: Mapped[str] = mapped_column(String(10), default="pending")
    vouched: Mapped[bool] = mapped_column(default=False)
    """Whether an operator answers for it, so that no record is looked for."""
    proved_at: Mapped[datetime | None]
    """When the record was last found."""
    checked_at: Mapped[datetime | None]
    """When it was last looked for."""
    created_at: Mapped[datetime] = mapped_column(default=now)

    __table_args__ = (
        UniqueConstraint("tenant_id", "domain"),
        CheckConstraint("state IN ('pending', 'proved', 'warning', 'lapsed')", name="state"),
        # The one constraint across tenants: a domain has one owner. Whoever runs into it has proved the domain, too.
        Index("uq_mail_domains_owner", "domain", unique=True, postgresql_where=_HELD, sqlite_where=_HELD),
    )
