"""Tables of what a program shows instead of a cookie; of every secret there is only the hash."""

import uuid
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from tenants.db import Base, TenantScoped, now, within_tenant


class SigningKey(TenantScoped, Base):
    """A key pair that signs the tenant's JSON web tokens (RFC 7517)."""

    __tablename__ = "signing_keys"
    decides_access: ClassVar = frozenset({"kid", "retired_at"})

    kid: Mapped[str] = mapped_column(String(64))
    public_key: Mapped[dict[str, Any]]
    """As a JSON web key, with `kid`, `alg` and `use`."""
    private_key: Mapped[str] = mapped_column(Text)
    """PEM, encrypted for this row alone, see `auth/keys.py`."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    retired_at: Mapped[datetime | None]
    """Since when it signs no more; it verifies until what it signed is over."""

    __table_args__ = (UniqueConstraint("tenant_id", "kid"),)


class ApiToken(TenantScoped, Base):
    """A bearer token that stands for a user with chosen permissions: a personal one, or one of the OAuth 2 server."""

    __tablename__ = "api_tokens"

    token_hash: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(20))
    """personal, or oauth: given to a client."""
    user_id: Mapped[uuid.UUID]
    """Whose rights it carries: a person, or a service account."""
    client_id: Mapped[uuid.UUID | None]
    """Of an OAuth token, the row of the client that it was given to."""
    family: Mapped[uuid.UUID | None]
    """Of an OAuth token, shared by all that came of one consent: they are revoked together."""
    name: Mapped[str] = mapped_column(String(100), default="")
    permissions: Mapped[list[str]] = mapped_column(default=list)
    """What it may be used for, as far as the user may still do it."""
    scopes: Mapped[list[str]] = mapped_column(default=list)
    """Of an OAuth token, what was consented to beside permissions: openid, profile, email."""
    provider: Mapped[str] = mapped_column(String(80), default="")
    """Of a personal token, the source that vouched for the person when they made it."""
    single_sign_on: Mapped[bool] = mapped_column(default=False)
    """Whether that was an identity provider, which asks for second factors of its own."""
    signed_in_at: Mapped[datetime | None]
    """Of a token that an app has for a person, when they had proved who they are: rules count from then."""
    allowed_at: Mapped[datetime | None]
    """Of the same, when they allowed it."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    """Written at most once a minute."""

    __table_args__ = (
        within_tenant("user_id", "users", ondelete="CASCADE"),
        within_tenant("client_id", "oauth_clients", ondelete="CASCADE"),
        UniqueConstraint("tenant_id", "token_hash"),
        CheckConstraint("kind IN ('personal', 'oauth')", name="kind"),
        Index("ix_api_tokens_tenant_user", "tenant_id", "user_id"),
        Index("ix_api_tokens_tenant_family", "tenant_id", "family"),
    )


class RefreshToken(TenantScoped, Base):
    """A refresh token: used once, for an access token and its own successor (RFC 9700, section 4.14)."""

    __tablename__ = "refresh_tokens"

    token_hash: Mapped[str] = mapped_column(String(64))
    family: Mapped[uuid.UUID]
    """Shared by all that follow on one sign-in or consent: when one is used twice, all of them end."""
    user_id: Mapped[uuid.UUID]
    login_session_id: Mapped[uuid.UUID | None]
    """Of our own sign-in by API, the login session that ends with it; None of an OAuth client's."""
    client_id: Mapped[uuid.UUID | None]
    permissions: Mapped[list[str]] = mapped_column(default=list)
    scopes: Mapped[list[str]] = mapped_column(default=list)
    provider: Mapped[str] = mapped_column(String(80), default="")
    """Of an OAuth client's, the source that vouched for the person who consented."""
    signed_in_at: Mapped[datetime | None]
    allowed_at: Mapped[datetime | None]
    """Of an OAuth client's, as in `ApiToken`."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    used_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]
    """When it ends unless used; of its family, the last one's end is bounded, too."""
    family_expires_at: Mapped[datetime]

    __table_args__ = (
        within_tenant("user_id", "users", ondelete="CASCADE"),
        within_tenant("login_session_id", "login_sessions", ondelete="CASCADE"),
        within_tenant("client_id", "oauth_clients", ondelete="CASCADE"),
        UniqueConstraint("tenant_id", "token_hash"),
        CheckConstraint("(login_session_id IS NULL) <> (client_id IS NULL)", name="one_holder"),
        Index("ix_refresh_tokens_tenant_family", "tenant_id", "family"),
        Index("ix_refresh_tokens_tenant_login", "tenant_id", "login_session_id"),
    )
