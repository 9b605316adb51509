"""What people have allowed apps: given on the page that asks, listed and taken back in their account."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import g
from sqlalchemy import and_, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from auth import audit, clients
from auth.client_models import AuthorizationCode, Consent, OAuthClient
from auth.identity import Identity
from auth.oauth_server.scopes import Scope
from auth.token_models import ApiToken, RefreshToken
from tenants.db import now
from tenants.keysets import Orders, Place

ORDERS = Orders(Consent.id, created=(), name=(OAuthClient.name,))
"""Orders of the apps that somebody has allowed something: by when that was first, or by the app's name."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a person has allowed an app."""

    consent: Consent
    client: OAuthClient
    used_at: datetime | None
    """When the app last had a token."""

    @property
    def id(self) -> uuid.UUID:
        """The id of the consent."""
        return self.consent.id

    @property
    def name(self) -> str:
        """The name of the app."""
        return self.client.name

    @property
    def permissions(self) -> frozenset[str]:
        """What it may do for the person; some of that may have been taken from the app since."""
        return frozenset(self.consent.permissions) & frozenset(self.client.permissions)


_USED_AT = (
    select(func.max(ApiToken.created_at))
    .where(
        ApiToken.tenant_id == Consent.tenant_id,
        ApiToken.user_id == Consent.user_id,
        ApiToken.client_id == Consent.client_id,
    )
    .correlate(Consent)
    .scalar_subquery()
    .label("used_at")
)
_ALLOWED = select(Consent, OAuthClient, _USED_AT).join(
    OAuthClient, and_(OAuthClient.tenant_id == Consent.tenant_id, OAuthClient.id == Consent.client_id)
)


def covers(user_id: uuid.UUID, client: OAuthClient, wanted: Scope) -> bool:
    """Whether the person has allowed the app all of that before; if so, it is not taken back meanwhile."""
    same = select(Consent).where(Consent.user_id == user_id, Consent.client_id == client.id)
    found: Consent | None = g.db.scalar(same.with_for_update(read=True, key_share=True))
    if found is None:
        return False
    return wanted.permissions <= frozenset(found.permissions) and wanted.identity <= frozenset(found.scopes)


def give(person: Identity, client: OAuthClient, given: Scope) -> None:
    """Remember that a person allows an app that, beside what they have allowed it before."""
    insert: Any = (postgresql if g.db.get_bind().dialect.name == "postgresql" else sqlite).insert
    # Two pages may be sent at once: the second finds the row of the first.
    blank: dict[str, Any] = {
        "user_id": person.user_id,
        "client_id": client.id,
        "permissions": [],
        "scopes": [],
        "given_at": now(),
    }
    g.db.execute(
        insert(Consent).values(**blank).on_conflict_do_nothing(index_elements=["tenant_id", "user_id", "client_id"])
    )
    same = select(Consent).where(Consent.user_id == person.user_id, Consent.client_id == client.id)
    row: Consent = g.db.scalars(same.with_for_update()).one()
    row.permissions = sorted(given.permissions.union(row.permissions))
    row.scopes = sorted(given.identity.union(row.scopes))
    row.given_at = now()
    details = {"permissions": sorted(given.permissions), "scopes": sorted(given.identity)}
    audit.record("app allowed", clients.party_of(client), details=details, actor=person)


def stands(user_id: uuid.UUID, client: OAuthClient) -> bool:
    """Whether the person allows the app anything still; if so, that is not taken back before this transaction ends."""
    same = select(Consent.id).where(Consent.user_id == user_id, Consent.client_id == client.id)
    return g.db.scalar(same.with_for_update(read=True, key_share=True)) is not None


def lock(user_id: uuid.UUID, client_id: uuid.UUID | None) -> None:
    """Wait for whoever is giving the app tokens of that person; until this transaction ends nobody gives it any.

    Whoever ends tokens does this first: those that are not committed would be left.
    """
    g.db.scalar(select(Consent.id).where(Consent.user_id == user_id, Consent.client_id == client_id).with_for_update())


def list_of(
    user_id: uuid.UUID, *, sort: str = "name", limit: int | None = None, after: Place | None = None
) -> list[Allowed]:
    """What a person has allowed, all or behind that place, in one of the orders of ORDERS."""
    statement = ORDERS[sort].page(_ALLOWED.where(Consent.user_id == user_id), limit=limit, after=after)
    return [Allowed(*row) for row in g.db.execute(statement)]


def find(user_id: uuid.UUID, consent_id: uuid.UUID) -> Allowed | None:
    """What that person has allowed an app; None for what is none of theirs."""
    row = g.db.execute(_ALLOWED.where(Consent.user_id == user_id, Consent.id == consent_id)).first()
    return Allowed(*row) if row is not None else None


def revoke(person: Identity, consent_id: uuid.UUID) -> bool:
    """Take back what a person has allowed an app: its tokens end at once. False when that is none of theirs."""
    row: Consent | None = g.db.find(Consent, consent_id)
    if row is None or row.user_id != person.user_id:
        return False
    client = g.db.get_one(OAuthClient, (g.tenant.id, row.client_id))
    # First: whoever is being given tokens just now has locked it, and these have to be seen below.
    if not g.db.execute(delete(Consent).where(Consent.id == consent_id)).rowcount:
        return False
    for model in (AuthorizationCode, ApiToken, RefreshToken):
        g.db.execute(delete(model).where(model.user_id == person.user_id, model.client_id == client.id))
    audit.record("app no longer allowed", clients.party_of(client), actor=person)
    return True
