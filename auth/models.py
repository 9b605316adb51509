"""Tables of identity and rights; every one belongs to a tenant."""

import secrets
import uuid
from datetime import datetime
from typing import ClassVar

from flask_security import AsaList, RoleMixin, UserMixin, WebAuthnMixin
from sqlalchemy import CheckConstraint, Index, LargeBinary, String, Text, UniqueConstraint, func
from sqlalchemy.ext.mutable import MutableList
from sqlalchemy.orm import Mapped, mapped_column, relationship

from tenants.db import Base, TenantScoped, now, within_tenant

PERSON, SERVICE = "person", "service"
"""Kinds of users."""
SERVICE_DOMAIN = "service.invalid"
"""Of what service accounts have in the place of an address: no person's address is in it (RFC 2606, section 2)."""


def _handle() -> str:
    return secrets.token_hex(32)


# Flask-Security's mixins declare an int for an id; it never uses it as one.
class User(TenantScoped, UserMixin, Base):  # type: ignore[misc]
    """A person in one tenant. The same person in two tenants is two users."""

    __tablename__ = "users"
    decides_access: ClassVar = frozenset(
        {"active", "fs_uniquifier", "email", "name", "locale", "timezone", "confirmed_at", "tf_primary_method"}
    )

    kind: Mapped[str] = mapped_column(String(10), default="person", server_default="person")
    """person, or service: a program's own account, which never signs in, see `auth/service_accounts.py`."""
    email: Mapped[str] = mapped_column(String(320))
    """Of a service account, no address: unique, and nothing is ever sent there."""
    name: Mapped[str] = mapped_column(String(200))
    password: Mapped[str | None] = mapped_column(String(255))
    """Argon2id hash; None for a person who signs in through another source."""
    active: Mapped[bool] = mapped_column(default=True)
    confirmed_at: Mapped[datetime | None]
    """When the person proved that the e-mail address is theirs."""
    locale: Mapped[str | None] = mapped_column(String(20))
    timezone: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=now)

    fs_uniquifier: Mapped[str] = mapped_column(String(64), default=_handle)
    """Changes with the password: cookies and links that name the former one are void."""
    # Flask-Security declares it never empty, but makes the column so and fills it on first use.
    fs_webauthn_user_handle: Mapped[str | None] = mapped_column(  # type: ignore[assignment]
        String(64), default=_handle
    )
    tf_primary_method: Mapped[str | None] = mapped_column(String(64))
    tf_phone_number = None  # Flask-Security tells programs of it; no code is ever sent to a phone
    tf_totp_secret: Mapped[str | None] = mapped_column(Text)
    """Encrypted, see `auth/keys.py`."""
    tf_last_counter: Mapped[int | None]
    """The TOTP step last accepted: a code counts once."""
    mf_recovery_codes: Mapped[list[str] | None] = mapped_column(MutableList.as_mutable(AsaList()))
    """Encrypted, see `auth/keys.py`."""

    # Flask-Security declares a list of its mixin, and a list of a subclass is not one to the checker.
    webauthn: Mapped[list["Passkey"]] = relationship(  # type: ignore[assignment]
        back_populates="user", cascade="all, delete-orphan", passive_deletes=True
    )

    __table_args__ = (
        # lower(email) without this index is a scan of all users at every sign-in.
        Index("uq_users_tenant_email", "tenant_id", func.lower(email), unique=True),
        UniqueConstraint("tenant_id", "fs_uniquifier"),
    )

    @property  # read-only on purpose, where Flask-Security declares an attribute
    def roles(self) -> list["Role"]:  # type: ignore[override]
        """Nothing: rights come from grants, through `g.permissions`, and Flask-Security is never asked for them."""
        return []


class Passkey(TenantScoped, WebAuthnMixin, Base):  # type: ignore[misc]  # see User
    """A WebAuthn credential of a user, bound by the browser to the tenant's host."""

    __tablename__ = "passkeys"
    decides_access: ClassVar = frozenset({"user_id", "usage"})

    user_id: Mapped[uuid.UUID]
    credential_id: Mapped[bytes] = mapped_column(LargeBinary(1024))
    public_key: Mapped[bytes] = mapped_column(LargeBinary(4096))
    sign_count: Mapped[int] = mapped_column(default=0)
    transports: Mapped[list[str] | None] = mapped_column(MutableList.as_mutable(AsaList()))
    backup_state: Mapped[bool]
    device_type: Mapped[str] = mapped_column(String(64))
    extensions: Mapped[str | None] = mapped_column(Text)
    create_datetime: Mapped[datetime] = mapped_column(default=now)
    lastuse_datetime: Mapped[datetime]
    name: Mapped[str] = mapped_column(String(64))
    usage: Mapped[str] = mapped_column(String(64))

    user: Mapped[User] = relationship(back_populates="webauthn")

    __table_args__ = (
        within_tenant("user_id", "users", ondelete="CASCADE"),
        UniqueConstraint("tenant_id", "credential_id"),
        Index("ix_passkeys_tenant_user", "tenant_id", "user_id"),
    )


class Role(TenantScoped, RoleMixin, Base):  # type: ignore[misc]  # see User
    """A set of permissions in one tenant."""

    __tablename__ = "roles"
    decides_access: ClassVar = frozenset({"name", "stored_permissions"})

    name: Mapped[str] = mapped_column(String(80))
    description: Mapped[str | None] = mapped_column(String(255))
    builtin: Mapped[bool] = mapped_column(default=False)
    """A built-in role has the permissions that the features name for it, and cannot be edited."""
    stored_permissions: Mapped[list[str]] = mapped_column(default=list)
    """Permissions of a custom role; ask `auth.roles.permissions_of`."""

    __table_args__ = (UniqueConstraint("tenant_id", "name"),)


class Group(TenantScoped, Base):
    """A set of users that can hold roles."""

    __tablename__ = "groups"
    decides_access: ClassVar = frozenset({"name"})

    name: Mapped[str] = mapped_column(String(200))
    origin: Mapped[str] = mapped_column(String(80), default="manual")
    """manual, or `provider:<id>`: that source alone says who is in it."""
    external_key: Mapped[str | None] = mapped_column(String(1000))
    """What the group is called at its source, in the form in which that compares names."""

    __table_args__ = (
        UniqueConstraint("tenant_id", "origin", "name"),
        Index("uq_groups_tenant_key", "tenant_id", "origin", "external_key", unique=True),
    )


class Membership(TenantScoped, Base):
    """A user in a group."""

    __tablename__ = "memberships"
    decides_access: ClassVar = frozenset({"user_id", "group_id"})

    user_id: Mapped[uuid.UUID]
    group_id: Mapped[uuid.UUID]

    __table_args__ = (
        within_tenant("user_id", "users", ondelete="CASCADE"),
        within_tenant("group_id", "groups", ondelete="CASCADE"),
        UniqueConstraint("tenant_id", "user_id", "group_id"),
        Index("ix_memberships_tenant_group", "tenant_id", "group_id"),
    )


class Grant(TenantScoped, Base):
    """A role given to a user or a group, on the whole tenant or on one object, by somebody, for a reason."""

    __tablename__ = "grants"
    decides_access: ClassVar = frozenset({"user_id", "group_id", "role_id", "object_type", "object_id", "expires_at"})

    user_id: Mapped[uuid.UUID | None]
    group_id: Mapped[uuid.UUID | None]
    role_id: Mapped[uuid.UUID]
    object_type: Mapped[str] = mapped_column(String(40), default="")
    """Empty: the whole tenant."""
    object_id: Mapped[uuid.UUID | None]
    origin: Mapped[str] = mapped_column(String(80), default="manual")
    """manual, default, invitation, scim or `provider:<id>`; a sync touches only grants of its own."""
    granted_by: Mapped[uuid.UUID | None]
    """Id of the user who gave it; None for the system and the command line."""
    reason: Mapped[str | None] = mapped_column(String(255))
    expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)

    role: Mapped[Role] = relationship(viewonly=True)

    __table_args__ = (
        within_tenant("user_id", "users", ondelete="CASCADE"),
        within_tenant("group_id", "groups", ondelete="CASCADE"),
        within_tenant("role_id", "roles", ondelete="CASCADE"),
        CheckConstraint("(user_id IS NULL) <> (group_id IS NULL)", name="one_holder"),
        CheckConstraint("(object_type = '') = (object_id IS NULL)", name="whole_or_object"),
        Index("ix_grants_tenant_user", "tenant_id", "user_id"),
        Index("ix_grants_tenant_group", "tenant_id", "group_id"),
        Index("ix_grants_tenant_role", "tenant_id", "role_id"),
        Index("ix_grants_tenant_object", "tenant_id", "object_type", "object_id"),
    )


class Invitation(TenantScoped, Base):
    """Somebody asked in: whoever opens the mailed link becomes a user with that role. Gone once it was used."""

    __tablename__ = "invitations"

    email: Mapped[str] = mapped_column(String(320))
    role_id: Mapped[uuid.UUID]
    role_ends_at: Mapped[datetime | None]
    """When the role that they will be given ends again."""
    invited_by: Mapped[uuid.UUID | None]
    """Id of the user who asked; None for the command line."""
    nonce: Mapped[str] = mapped_column(String(64))
    """Part of the signed link: a new one voids the links that were mailed before."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    sent_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]

    role: Mapped[Role] = relationship(viewonly=True)

    __table_args__ = (
        within_tenant("role_id", "roles", ondelete="CASCADE"),
        Index("uq_invitations_tenant_email", "tenant_id", func.lower(email), unique=True),
    )


class LoginSession(TenantScoped, Base):
    """A signed-in browser or program. It holds a secret of which only the hash is here; no row, no identity."""

    __tablename__ = "login_sessions"

    kind: Mapped[str] = mapped_column(String(10), default="browser", server_default="browser")
    """browser, whose cookie holds the secret, or api: its access tokens name the row (`sid`)."""

    token_hash: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[uuid.UUID]
    provider: Mapped[str] = mapped_column(String(80))
    """The source that vouched for the person."""
    methods: Mapped[str] = mapped_column(String(80))
    """How the person proved it: password, authenticator, passkey, recovery code."""
    user_agent: Mapped[str] = mapped_column(String(255))
    address: Mapped[str] = mapped_column(String(45))
    remembered: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=now)
    seen_at: Mapped[datetime] = mapped_column(default=now)
    """Written at most once a minute."""
    expires_at: Mapped[datetime]
    """The absolute end, whatever happens."""

    __table_args__ = (
        within_tenant("user_id", "users", ondelete="CASCADE"),
        UniqueConstraint("tenant_id", "token_hash"),
        Index("ix_login_sessions_tenant_user", "tenant_id", "user_id"),
    )


class Attempts(TenantScoped, Base):
    """Failed attempts counted for one key within a window, see `auth/throttle.py`."""

    __tablename__ = "attempts"

    key: Mapped[str] = mapped_column(String(64))
    """Hash of what is counted: an account, an address, a device."""
    count: Mapped[int]
    window_ends_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("tenant_id", "key"),
        Index("ix_attempts_tenant_end", "tenant_id", "window_ends_at"),
    )
