"""Whether an app may act for somebody at this moment: asked before anything is given, and kept true meanwhile.

The question is the one that a bearer of its access token would be asked (`auth/identity.py: lent_by`), so that no code
and no refresh token gives what would be refused. Whoever ends tokens changes a row first that is locked here (the
program's, the person's, the consent): either they wait, and then see what was given, or nothing is given.
"""

import uuid

from flask import g
from sqlalchemy import select

from auth import bearer, consents
from auth.client_models import AuthorizationCode, OAuthClient
from auth.identity import Identity, lent_by
from auth.models import User
from auth.oauth_server import lifetimes
from auth.oauth_server.proofs import ProofFailed
from auth.providers.database import DatabaseProvider
from auth.providers.models import ProviderConfig
from auth.token_models import ApiToken, RefreshToken
from tenants.db import now


def hold(client: OAuthClient, user_id: uuid.UUID) -> bool:
    """Whether that user is active still; until this transaction ends, neither they nor the program are changed.

    Raises ProofFailed when the program was removed, switched off, or given another secret or other keys since it has
    proved itself. Always the program before the person, and both before the consent: nobody waits for each other.
    """
    proved = (client.secret_hash, client.jwks)
    same = select(OAuthClient).where(OAuthClient.id == client.id).with_for_update(read=True)
    found = g.db.scalar(same.execution_options(populate_existing=True))
    if found is None or not found.active or (found.secret_hash, found.jwks) != proved:
        raise ProofFailed
    return bool(g.db.scalar(select(User.active).where(User.id == user_id).with_for_update(read=True)))


def of(row: ApiToken | AuthorizationCode | RefreshToken, client: OAuthClient) -> Identity | None:
    """For whom a client acts by that token or code, with what is left of their rights; None if it would be refused."""
    found = bearer.look_up(row.token_hash) if isinstance(row, ApiToken) else _as_token(row, client)
    identity = lent_by(found)
    return identity if identity is not None and not identity.lacks_second_factor else None


def is_single_sign_on(provider: str) -> bool:
    """Whether that source is an identity provider, which asks for second factors of its own."""
    if provider in ("", DatabaseProvider.id):
        return False
    config = g.db.find(ProviderConfig, uuid.UUID(provider))
    return config is not None and config.is_web


def _as_token(row: AuthorizationCode | RefreshToken, client: OAuthClient) -> bearer.Token | None:
    """The access token that would be given for it, if one is."""
    ends = lifetimes.of_code(row) if isinstance(row, AuthorizationCode) else lifetimes.of_refresh(row)
    if now() >= ends or not client.active or not consents.stands(row.user_id, client):
        return None
    return bearer.Token(
        id=row.id,
        kind=bearer.OAUTH,
        user_id=row.user_id,
        client_id=client.id,
        permissions=frozenset(row.permissions) & frozenset(client.permissions),
        scopes=frozenset(row.scopes),
        provider=row.provider,
        single_sign_on=is_single_sign_on(row.provider),
        last_used_at=None,
    )
