"""Provisioning tokens: what an identity provider shows when it provisions. One belongs to one source of one tenant."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import g
from flask_babel import gettext as _
from sqlalchemy import delete, func, or_, select, update

from auth import audit, guards, token_secrets
from auth.errors import InvalidProvider
from auth.identity import Identity
from auth.providers import configs
from auth.providers.models import ProviderConfig, ProvisioningToken
from tenants.context import afterwards
from tenants.db import now

MOST = 10
"""Of one source: one in use, one to come, and some slack."""
_NOTED_EVERY = timedelta(minutes=1)
_BY_HASH = (
    select(ProvisioningToken, ProviderConfig)
    .join(
        ProviderConfig,
        (ProviderConfig.tenant_id == ProvisioningToken.tenant_id)
        & (ProviderConfig.id == ProvisioningToken.provider_id),
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Provisioner:
    """Who provisions: a source, by one of its tokens."""

    token_id: uuid.UUID
    provider_id: uuid.UUID
    enabled: bool
    """Whether the source is switched on."""

    @property
    def config(self) -> ProviderConfig:
        """The source, as the transaction under way sees it."""
        config: ProviderConfig = g.db.get_one(ProviderConfig, (g.tenant.id, self.provider_id))
        return config

    @property
    def party(self) -> audit.Party:
        """How the audit log names it."""
        return audit.party_of(self.config)


def issue(
    config: ProviderConfig, *, actor: Identity | None, expires_at: datetime | None = None
) -> tuple[ProvisioningToken, str]:
    """Make a token; gives back its row, and the secret, which nobody is ever shown again.

    Whoever holds it says who is a member and in which of the source's groups: to make one takes the rights that
    changing the source takes. Raises NotAllowed, and InvalidProvider for a directory, which is read by a sync instead,
    for an end that is past, and for too many tokens.
    """
    configs.check_may_change(config, actor=actor)
    if not config.is_web:
        raise InvalidProvider(_("A directory is not provisioned by SCIM: it is synchronised."))
    if expires_at is not None and expires_at <= now():
        said = _("That time is past.")
        raise InvalidProvider(f"expires_at: {said}")
    guards.check_calendar(expires_at)
    count = select(func.count()).select_from(ProvisioningToken).where(ProvisioningToken.provider_id == config.id)
    if (g.db.scalar(count) or 0) >= MOST:
        raise InvalidProvider(_("There are too many tokens already: revoke those that are not used any more."))
    secret = token_secrets.make(token_secrets.PROVISIONING)
    row = ProvisioningToken(
        provider_id=config.id,
        token_hash=token_secrets.digest(secret),
        created_by=actor.user_id if actor is not None else None,
        expires_at=expires_at,
    )
    g.db.add(row)
    g.db.flush()
    details = {"token": str(row.id), "expires_at": expires_at.isoformat() if expires_at else None}
    audit.record("provisioning token made", config, details=details, actor=actor)
    return row, secret


def list_of(config: ProviderConfig) -> Sequence[ProvisioningToken]:
    """The tokens of a source, also those that are over, the oldest first."""
    rows: Sequence[ProvisioningToken] = g.db.scalars(
        select(ProvisioningToken).where(ProvisioningToken.provider_id == config.id).order_by(ProvisioningToken.id)
    ).all()
    return rows


def revoke(config: ProviderConfig, token_id: uuid.UUID, *, actor: Identity | None) -> bool:
    """Take a token back, from the next request on; False when the source has no such one. Raises NotAllowed."""
    configs.check_may_change(config, actor=actor)
    gone = delete(ProvisioningToken).where(ProvisioningToken.id == token_id, ProvisioningToken.provider_id == config.id)
    if not g.db.execute(gone).rowcount:
        return False
    audit.record("provisioning token revoked", config, details={"token": str(token_id)}, actor=actor)
    return True


def find(secret: str) -> Provisioner | None:
    """Who holds that secret, in the bound tenant; None for a secret of nobody, or whose time is over."""
    if not token_secrets.looks_right(secret, token_secrets.PROVISIONING):
        return None
    in_time = or_(ProvisioningToken.expires_at.is_(None), ProvisioningToken.expires_at > now())
    found = g.db.execute(
        _BY_HASH.where(ProvisioningToken.token_hash == token_secrets.digest(secret), in_time)
    ).one_or_none()
    if found is None:
        return None
    row, config = found
    _note_use(row)
    return Provisioner(row.id, config.id, config.enabled)


def _note_use(row: ProvisioningToken) -> None:
    moment, token_id = now(), row.id
    if row.last_used_at is not None and moment - row.last_used_at < _NOTED_EVERY:
        return

    def write() -> None:
        g.db.execute(update(ProvisioningToken).where(ProvisioningToken.id == token_id).values(last_used_at=moment))

    afterwards(write)
