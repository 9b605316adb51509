"""What people have allowed apps: given on the page that asks, listed and taken back in their account."""

import uuid
from collections.abc import Sequence
from typing import Any

from flask import g
from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from auth import audit, clients
from auth.client_models import AuthorizationCode, Consent, OAuthClient
from auth.identity import Identity
from auth.oauth_server.scopes import Scope
from auth.token_models import ApiToken, RefreshToken
from tenants.db import now


def covers(user_id: uuid.UUID, client: OAuthClient, wanted: Scope) -> bool:
    """Whether the person has allowed the app all of that before."""
    found = _find(user_id, client)
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


def list_of(user_id: uuid.UUID) -> Sequence[Any]:
    """What a person has allowed: (Consent, OAuthClient, when the app last had a token), by the app's name."""
    used = (
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
    found: Sequence[Any] = g.db.execute(
        select(Consent, OAuthClient, used)
        .join(OAuthClient, (OAuthClient.tenant_id == Consent.tenant_id) & (OAuthClient.id == Consent.client_id))
        .where(Consent.user_id == user_id)
        .order_by(OAuthClient.name, Consent.id)
    ).all()
    return found


def revoke(person: Identity, consent_id: uuid.UUID) -> bool:
    """Take back what a person has allowed an app: its tokens end at once. False when that is none of theirs."""
    row: Consent | None = g.db.find(Consent, consent_id)
    if row is None or row.user_id != person.user_id:
        return False
    client = g.db.get_one(OAuthClient, (g.tenant.id, row.client_id))
    for model in (AuthorizationCode, ApiToken, RefreshToken):
        g.db.execute(delete(model).where(model.user_id == row.user_id, model.client_id == row.client_id))
    g.db.delete(row)
    audit.record("app no longer allowed", clients.party_of(client), actor=person)
    return True


def _find(user_id: uuid.UUID, client: OAuthClient) -> Consent | None:
    wanted = select(Consent).where(Consent.user_id == user_id, Consent.client_id == client.id)
    found: Consent | None = g.db.scalar(wanted)
    return found
