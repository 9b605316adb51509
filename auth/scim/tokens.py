"""Provisioning tokens: what an identity provider shows when it provisions. One belongs to one source of one tenant."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import g
from flask_babel import gettext as _
from sqlalchemy import and_, bindparam, delete, func, select, update

from auth import audit, guards, token_secrets
from auth.errors import InvalidProvider
from auth.identity import Identity
from auth.providers import configs
from auth.providers.models import ProviderConfig, ProvisioningToken
from tenants.context import afterwards
from tenants.db import TenantSession, now
from tenants.keysets import Orders, Place

MOST = 10
"""Of one source: one in use, one to come, and some slack."""
ORDERS = Orders(ProvisioningToken.id, created=())
"""Orders of the tokens of a source."""
_NOTED_EVERY = timedelta(minutes=1)
_BY_HASH = (
    select(
        ProvisioningToken.id, ProvisioningToken.expires_at, ProvisioningToken.last_used_at,
        ProviderConfig.id.label("provider_id"), ProviderConfig.enabled,
    )
    .join(
        ProviderConfig,
        and_(
            ProviderConfig.tenant_id == ProvisioningToken.tenant_id, ProviderConfig.id == ProvisioningToken.provider_id
        ),
    )
    .where(
        ProvisioningToken.tenant_id == bindparam("bound_tenant"),
        ProvisioningToken.token_hash == bindparam("token_hash"),
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


def list_of(
    config: ProviderConfig, *, sort: str = "created", limit: int | None = None, after: Place | None = None
) -> Sequence[ProvisioningToken]:
    """The tokens of a source, all or behind that place, in one of the orders of ORDERS; also those that are over."""
    mine = select(ProvisioningToken).where(ProvisioningToken.provider_id == config.id)
    rows: Sequence[ProvisioningToken] = g.db.scalars(ORDERS[sort].page(mine, limit=limit, after=after)).all()
    return rows


def revoke(config: ProviderConfig, token_id: uuid.UUID, *, actor: Identity | None) -> bool:
    """Take a token back, from the next request on; False when the source has no such one. Raises NotAllowed."""
    configs.check_may_change(config, actor=actor)
    gone = delete(ProvisioningToken).where(ProvisioningToken.id == token_id, ProvisioningToken.provider_id == config.id)
    if not g.db.execute(gone).rowcount:
        return False
    audit.record("provisioning token revoked", config, details={"token": str(token_id)}, actor=actor)
    return True


def ask_with_opening(session: TenantSession, secret: str) -> None:
    """Have who holds that secret read in the trip that opens the transaction."""
    if token_secrets.looks_right(secret, token_secrets.PROVISIONING):
        session.opening.companion = _BY_HASH
        session.opening.parameters = {"token_hash": token_secrets.digest(secret)}


def of_opening(answer: Sequence[Any] | None, secret: str) -> Provisioner | None:
    """Who holds that secret, in the bound tenant; None for a secret of nobody, or whose time is over."""
    if answer is None or not token_secrets.looks_right(secret, token_secrets.PROVISIONING):
        return None  # of other secrets it was not asked for, and the answer tells something else
    id, expires_at, last_used_at, provider_id, enabled = answer
    if expires_at is not None and expires_at <= now():
        return None
    _note_use(id, last_used_at)
    return Provisioner(id, provider_id, enabled)


def _note_use(token_id: uuid.UUID, last_used_at: datetime | None) -> None:
    moment = now()
    if last_used_at is not None and moment - last_used_at < _NOTED_EVERY:
        return

    def write() -> None:
        g.db.execute(update(ProvisioningToken).where(ProvisioningToken.id == token_id).values(last_used_at=moment))

    afterwards(write)
