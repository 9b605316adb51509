"""Refresh tokens of our own sign-in by API: each is used once, for an access token and its successor.

Whoever uses one a second time has it from somebody else, or was robbed: nobody knows which, so that all that has come
of the sign-in ends (RFC 9700, section 4.14.2).
"""

import uuid
from dataclasses import dataclass
from datetime import datetime

import uuid_utils.compat as uuid7
from flask import g
from sqlalchemy import delete, select, update

from auth import access_tokens, api_tokens, audit, sessions, throttle, token_secrets
from auth.errors import InvalidToken
from auth.identity import JWT, signed_in_by
from auth.models import LoginSession, User
from auth.token_models import RefreshToken
from tenants.context import afterwards
from tenants.db import now

IDLE = sessions.PROGRAM_IDLE


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a program is given that has signed somebody in; seconds until either ends."""

    access_token: str
    expires_in: int
    refresh_token: str
    refresh_expires_in: int


def begin(login: LoginSession) -> Tokens:
    """The first tokens of a login session of a program."""
    return _give(login, uuid7.uuid7())


def exchange(secret: str) -> Tokens:
    """New tokens for a refresh token, which is used up with that. Raises InvalidToken and Throttled."""
    with throttle.attempt("refresh token", token_secrets.digest(secret)) as attempt:
        row = _find(secret)
        # First: whoever ends it waits here, or this for them, so that nothing new outlives it.
        login = g.db.get(LoginSession, (g.tenant.id, row.login_session_id), with_for_update=True)
        if login is None:
            raise InvalidToken("over")
        # Of two at once one waits here for the other, and then finds it used.
        unused = update(RefreshToken).where(RefreshToken.id == row.id, RefreshToken.used_at.is_(None))
        if row.used_at is not None or not g.db.execute(unused.values(used_at=now())).rowcount:
            _end_family(row.family, row.user_id)
            raise InvalidToken("used before")
        if row.expires_at <= now() or not sessions.counts(login):
            raise InvalidToken("over")
        if signed_in_by(login, JWT) is None:
            raise InvalidToken("its owner may not come in")
        attempt.succeeded = True
    login.seen_at = now()
    # What is over need not be known any more to be refused.
    over = (RefreshToken.family == row.family, RefreshToken.expires_at <= now())
    g.db.execute(delete(RefreshToken).where(*over))
    return _give(login, row.family)


def _find(secret: str) -> RefreshToken:
    row: RefreshToken | None = None
    if token_secrets.looks_right(secret, token_secrets.REFRESH):
        ours = select(RefreshToken).where(RefreshToken.login_session_id.is_not(None))
        row = g.db.scalar(ours.where(RefreshToken.token_hash == token_secrets.digest(secret)))
    if row is None:
        raise InvalidToken("unknown")
    return row


def _give(login: LoginSession, family: uuid.UUID) -> Tokens:
    secret, moment = token_secrets.make(token_secrets.REFRESH), now()
    last = sessions.ends_at(login)
    # Not cut by the rule about idle login sessions, which an access token keeps from being idle, too.
    ends: datetime = min(moment + IDLE, last)
    g.db.add(
        RefreshToken(
            token_hash=token_secrets.digest(secret),
            family=family,
            user_id=login.user_id,
            login_session_id=login.id,
            expires_at=ends,
            family_expires_at=last,
        )
    )
    access, lasts = access_tokens.issue(login.id, login.user_id, last)
    return Tokens(access, lasts, secret, int((ends - moment).total_seconds()))


def _end_family(family: uuid.UUID, user_id: uuid.UUID) -> None:
    user = g.db.find(User, user_id)
    audit.record("refresh token used twice", user, actor=audit.NOBODY, survives=True)
    # The answer is a refusal, and what it did is rolled back; this is not to be.
    afterwards(lambda: api_tokens.revoke_family(family))
