"""Tables of the OAuth 2 server: clients, what people have consented to, and codes under way."""

import uuid
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from tenants.db import Base, TenantScoped, now, within_tenant


class OAuthClient(TenantScoped, Base):
    """A program that gets tokens: for itself as a service account, or for people who consent to it."""

    __tablename__ = "oauth_clients"
    decides_access: ClassVar = frozenset({"client_id", "user_id", "permissions", "active"})

    client_id: Mapped[str] = mapped_column(String(64))
    """What it calls itself at /oauth/token; not secret."""
    name: Mapped[str] = mapped_column(String(100))
    kind: Mapped[str] = mapped_column(String(20))
    """service: by client credentials, as the user of kind service; app: for people, by authorization code."""
    user_id: Mapped[uuid.UUID | None]
    """The service account; None of an app."""
    auth_method: Mapped[str] = mapped_column(String(40))
    """client_secret_basic (and post), private_key_jwt, or none of an app that can keep no secret."""
    secret_hash: Mapped[str | None] = mapped_column(String(64))
    jwks: Mapped[dict[str, Any] | None]
    """Public keys of private_key_jwt."""
    redirect_uris: Mapped[list[str]] = mapped_column(default=list)
    permissions: Mapped[list[str]] = mapped_column(default=list)
    """The most that an app can be given by a person."""
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    created_by: Mapped[uuid.UUID | None]
    last_used_at: Mapped[datetime | None]

    __table_args__ = (
        within_tenant("user_id", "users", ondelete="CASCADE"),
        UniqueConstraint("tenant_id", "client_id"),
        CheckConstraint("kind IN ('service', 'app')", name="kind"),
        CheckConstraint("(kind = 'service') = (user_id IS NOT NULL)", name="service_has_user"),
        Index("ix_oauth_clients_tenant_user", "tenant_id", "user_id"),
    )


class Consent(TenantScoped, Base):
    """What a person has allowed an app."""

    __tablename__ = "consents"

    user_id: Mapped[uuid.UUID]
    client_id: Mapped[uuid.UUID]
    permissions: Mapped[list[str]] = mapped_column(default=list)
    scopes: Mapped[list[str]] = mapped_column(default=list)
    given_at: Mapped[datetime] = mapped_column(default=now)

    __table_args__ = (
        within_tenant("user_id", "users", ondelete="CASCADE"),
        within_tenant("client_id", "oauth_clients", ondelete="CASCADE"),
        UniqueConstraint("tenant_id", "user_id", "client_id"),
    )


class AuthorizationCode(TenantScoped, Base):
    """A code that an app redeems for tokens: once, within a minute, by whoever has the verifier (RFC 7636)."""

    __tablename__ = "authorization_codes"

    code_hash: Mapped[str] = mapped_column(String(64))
    client_id: Mapped[uuid.UUID]
    user_id: Mapped[uuid.UUID]
    family: Mapped[uuid.UUID]
    """Of the tokens that come of it: a code shown twice ends them."""
    redirect_uri: Mapped[str] = mapped_column(Text)
    permissions: Mapped[list[str]] = mapped_column(default=list)
    scopes: Mapped[list[str]] = mapped_column(default=list)
    provider: Mapped[str] = mapped_column(String(80), default="")
    """The source that vouched for the person then."""
    nonce: Mapped[str | None] = mapped_column(String(255))
    code_challenge: Mapped[str] = mapped_column(String(128))
    signed_in_at: Mapped[datetime]
    """When the person had signed in, `auth_time` of OpenID Connect."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]

    __table_args__ = (
        within_tenant("client_id", "oauth_clients", ondelete="CASCADE"),
        within_tenant("user_id", "users", ondelete="CASCADE"),
        UniqueConstraint("tenant_id", "code_hash"),
        Index("ix_authorization_codes_tenant_end", "tenant_id", "expires_at"),
    )
