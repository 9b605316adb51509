"""Codes and tokens: given, used once, and ended together. Of each there is only the hash.

All that comes of one consent is a family. Whoever shows a code or refresh token of it a second time shows that two
have it: the family ends (RFC 6749, section 4.1.2; RFC 9700, section 4.14), although the answer is a refusal.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import uuid_utils.compat as uuid7
from flask import g
from sqlalchemy import delete, select, update

from auth import api_tokens, audit, clients, consents, policy, token_secrets
from auth.client_models import AuthorizationCode, OAuthClient
from auth.oauth_server import lifetimes, standing
from auth.oauth_server.scopes import Scope
from auth.token_models import ApiToken, RefreshToken
from tenants.context import afterwards
from tenants.db import now

_CODES_KEPT = timedelta(days=1)
"""For so long it is known of a code that it was used."""


@dataclass(frozen=True, slots=True)
class Subject:
    """For whom tokens are, and what they are good for at most."""

    user_id: uuid.UUID
    scope: Scope
    provider: str = ""
    """The source that vouched for the person; none of a service account."""
    family: uuid.UUID | None = None
    signed_in_at: datetime | None = None
    """When the person had proved who they are."""
    allowed_at: datetime | None = None
    """When they have allowed the app what it asked for."""
    family_expires_at: datetime | None = None
    """Of a family that there is, its end; of a new one it follows from when it began."""

    @property
    def ends_at(self) -> datetime | None:
        """When its family ends, by the rules as they are; None of a service account's token, which has none."""
        if self.allowed_at is None:
            return self.family_expires_at
        ruled = lifetimes.of_family(self.signed_in_at, self.allowed_at)
        return min(ruled, self.family_expires_at or ruled)


def give(client: OAuthClient, subject: Subject, scope: Scope, *, refresh: bool) -> dict[str, Any]:
    """New tokens, as the token endpoint answers (RFC 6749, section 5.1); the access token has that scope."""
    ends = lifetimes.access_ends_at(subject.ends_at)
    _row, secret = api_tokens.issue(
        subject.user_id,
        kind="oauth",
        permissions=sorted(scope.permissions),
        scopes=sorted(scope.identity),
        expires_at=ends,
        name=client.name,
        client_id=client.id,
        family=subject.family,
        provider=subject.provider,
        single_sign_on=standing.is_single_sign_on(subject.provider),
        signed_in_at=subject.signed_in_at,
        allowed_at=subject.allowed_at,
    )
    answer: dict[str, Any] = {
        "token_type": "Bearer",
        "access_token": secret,
        "expires_in": round((ends - now()).total_seconds()),
        "scope": str(scope),
    }
    if refresh:
        answer["refresh_token"] = _new_refresh(client, subject)
    return answer


def begin_code(
    client: OAuthClient,
    subject: Subject,
    *,
    redirect_uri: str,
    challenge: str,
    nonce: str | None,
    signed_in_at: datetime,
) -> str:
    """A code, good for a minute, for whoever has the verifier of that challenge."""
    g.db.execute(delete(AuthorizationCode).where(AuthorizationCode.expires_at < now() - _CODES_KEPT))
    secret = token_secrets.make(token_secrets.CODE)
    row = AuthorizationCode(
        code_hash=token_secrets.digest(secret),
        client_id=client.id,
        user_id=subject.user_id,
        family=uuid7.uuid7(),
        redirect_uri=redirect_uri,
        permissions=sorted(subject.scope.permissions),
        scopes=sorted(subject.scope.identity),
        provider=subject.provider,
        nonce=nonce,
        code_challenge=challenge,
        signed_in_at=signed_in_at,
        expires_at=now() + lifetimes.CODE_FOR,
    )
    g.db.add(row)
    return secret


def find_code(secret: str, client: OAuthClient) -> AuthorizationCode | None:
    """The code, if it is this client's and still good; its family ends when it was used before."""
    if not token_secrets.looks_right(secret, token_secrets.CODE):
        return None
    hashed = token_secrets.digest(secret)
    row: AuthorizationCode | None = g.db.scalar(select(AuthorizationCode).where(AuthorizationCode.code_hash == hashed))
    if row is None or row.client_id != client.id:
        return None
    if row.used_at is not None:
        _end_afterwards(row, client, "code")
        return None
    return row if now() < lifetimes.of_code(row) else None


def use_code(row: AuthorizationCode, client: OAuthClient) -> bool:
    """Use a code up; False, and the end of its family, if somebody else has done so in this moment."""
    same = (AuthorizationCode.id == row.id, AuthorizationCode.used_at.is_(None))
    if g.db.execute(update(AuthorizationCode).where(*same).values(used_at=now())).rowcount:
        return True
    _end_afterwards(row, client, "code")
    return False


def find_refresh(secret: str, client: OAuthClient) -> RefreshToken | None:
    """The refresh token, if it is this client's and still good; its family ends when it was used before."""
    row = _refresh_of(secret)
    if row is None or row.client_id != client.id:
        return None
    if row.used_at is not None:
        _end_afterwards(row, client, "refresh token")
        return None
    return row if now() < lifetimes.of_refresh(row) else None


def use_refresh(row: RefreshToken, client: OAuthClient) -> bool:
    """Use a refresh token up; False, and the end of its family, if somebody else has done so in this moment."""
    same = (RefreshToken.id == row.id, RefreshToken.used_at.is_(None))
    if g.db.execute(update(RefreshToken).where(*same).values(used_at=now())).rowcount:
        return True
    _end_afterwards(row, client, "refresh token")
    return False


def find_token(secret: str, *, used: bool = False) -> ApiToken | RefreshToken | None:
    """The token of an OAuth client, of either kind, unless it is over; one that is used up only if that does."""
    if token_secrets.looks_right(secret, token_secrets.ACCESS):
        hashed = token_secrets.digest(secret)
        wanted = select(ApiToken).where(ApiToken.token_hash == hashed, ApiToken.kind == "oauth")
        access: ApiToken | None = g.db.scalar(wanted)
        over = access is None or (access.expires_at is not None and access.expires_at <= now())
        return None if over else access
    row = _refresh_of(secret)
    if row is None or row.client_id is None or (row.used_at is not None and not used):
        return None
    return row if now() < lifetimes.of_refresh(row) else None


def ends_at(row: ApiToken | RefreshToken) -> datetime | None:
    """When a token ends, by itself or by the rules as they are."""
    if isinstance(row, RefreshToken):
        return lifetimes.of_refresh(row)
    ends = (row.expires_at, policy.current().app_ends_at(row.signed_in_at, row.allowed_at))
    return min((end for end in ends if end is not None), default=None)


def revoke(row: ApiToken | RefreshToken) -> None:
    """End a token: with a refresh token all of its family (RFC 7009, section 2.1)."""
    if isinstance(row, RefreshToken):
        consents.lock(row.user_id, row.client_id)
        end_family(row.family)
    else:
        g.db.execute(delete(ApiToken).where(ApiToken.id == row.id))


def end_family(family: uuid.UUID) -> int:
    """End all tokens that have come of one consent; gives back how many there were."""
    ended: int = 0
    for model in (ApiToken, RefreshToken):
        ended += g.db.execute(delete(model).where(model.family == family)).rowcount
    return ended


def _new_refresh(client: OAuthClient, subject: Subject) -> str:
    secret, moment = token_secrets.make(token_secrets.REFRESH), now()
    last = subject.ends_at or moment + lifetimes.FAMILY_FOR
    g.db.add(
        RefreshToken(
            token_hash=token_secrets.digest(secret),
            family=subject.family or uuid7.uuid7(),
            user_id=subject.user_id,
            client_id=client.id,
            permissions=sorted(subject.scope.permissions),
            scopes=sorted(subject.scope.identity),
            provider=subject.provider,
            signed_in_at=subject.signed_in_at,
            allowed_at=subject.allowed_at,
            expires_at=min(moment + lifetimes.unused(), last),
            family_expires_at=last,
        )
    )
    return secret


def _refresh_of(secret: str) -> RefreshToken | None:
    if not token_secrets.looks_right(secret, token_secrets.REFRESH):
        return None
    hashed = token_secrets.digest(secret)
    row: RefreshToken | None = g.db.scalar(select(RefreshToken).where(RefreshToken.token_hash == hashed))
    return row


def _end_afterwards(row: AuthorizationCode | RefreshToken, client: OAuthClient, what: str) -> None:
    party, family, user_id, client_id = clients.party_of(client), row.family, row.user_id, row.client_id

    def end() -> None:
        consents.lock(user_id, client_id)
        if ended := end_family(family):
            details = {"reason": f"a {what} was shown twice", "tokens": ended}
            audit.record("app tokens revoked", party, details=details, actor=party)

    afterwards(end)


def client_of(row: ApiToken | RefreshToken) -> OAuthClient | None:
    """The client that a token was given to."""
    found: OAuthClient | None = g.db.find(OAuthClient, row.client_id)
    return found
