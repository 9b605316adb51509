"""Login sessions: a row for every signed-in browser or program, listed and ended as one.

A browser's cookie holds a random secret, the row its hash; a program's access token names the row, and is signed.
Nothing else makes a caller somebody: without a row that is neither idle nor over, the rest is worth nothing.
"""

import hashlib
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

import ua_parser
import uuid_utils.compat as uuid7
from flask import current_app, g, request, session
from sqlalchemy import bindparam, delete, select, update

from auth import policy
from auth.models import LoginSession, User
from tenants.context import afterwards
from tenants.db import TenantSession, now
from tenants.keysets import Orders, Place

_COOKIE_KEY = "sid"
BROWSER, PROGRAM = "browser", "api"
"""Kinds of login sessions."""
PROGRAM_LASTS = timedelta(days=30)
PROGRAM_IDLE = timedelta(days=7)
"""How long a program stays signed in, at the most, and unused."""
ORDERS = Orders(LoginSession.id, created=(), seen=(LoginSession.seen_at,))
"""Orders of a list of login sessions."""
_SEEN_EVERY = timedelta(minutes=1)
_COLUMNS = select(
    LoginSession.id, LoginSession.user_id, LoginSession.provider, LoginSession.methods, LoginSession.remembered,
    LoginSession.created_at, LoginSession.seen_at, LoginSession.expires_at, LoginSession.kind, LoginSession.token_hash,
)  # fmt: skip
# Run outside of the session's criteria, along with its BEGIN: it names the tenant itself.
_BY_TOKEN = _COLUMNS.where(
    LoginSession.tenant_id == bindparam("bound_tenant"),
    LoginSession.token_hash == bindparam("token_hash"),
    LoginSession.kind == bindparam("kind"),
)
_BY_ID = _COLUMNS.where(
    LoginSession.tenant_id == bindparam("bound_tenant"),
    LoginSession.id == bindparam("login_id"),
    LoginSession.kind == bindparam("kind"),
)


@dataclass(frozen=True, slots=True)
class Login:
    """A login session that is neither idle nor over."""

    id: uuid.UUID
    user_id: uuid.UUID
    provider: str
    methods: str
    remembered: bool
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    kind: str
    token_hash: str

    @property
    def is_single_sign_on(self) -> bool:
        """Whether it has begun at an identity provider."""
        return "single sign-on" in self.methods.split(",")


def ask_with_opening(session: TenantSession) -> None:
    """Have the calling browser's login session read in the trip that opens the transaction."""
    if token := _token():
        session.opening.companion = _BY_TOKEN
        session.opening.parameters = {"token_hash": _hash(token), "kind": BROWSER}


def ask_program_with_opening(session: TenantSession, login_id: uuid.UUID) -> None:
    """The same of the login session of a program, which that it is the caller's has yet to be proved."""
    session.opening.companion = _BY_ID
    session.opening.parameters = {"login_id": login_id, "kind": PROGRAM}


def of_opening(answer: Sequence[Any] | None) -> Login | None:
    """The login session that was read with the opening, if it still counts."""
    login = Login(*answer) if answer is not None else None
    return login if login is not None and counts(login) else None


def as_value(login: Login | LoginSession) -> Login:
    """A login session as a value; the row belongs to its transaction."""
    return login if isinstance(login, Login) else Login(*(getattr(login, one.name) for one in fields(Login)))


def is_of(login: Login | LoginSession, handle: str) -> bool:
    """Whether it has begun under the user's present handle, which changes with the password."""
    if login.kind == PROGRAM:
        return secrets.compare_digest(login.token_hash, _program_hash(login.id, handle))
    return secrets.compare_digest(str(session.get("_user_id", "")), handle)


def touch(login: Login) -> None:
    """Note that the session was used, at most once a minute, after the request's own transaction."""
    if now() - login.seen_at < _SEEN_EVERY:
        return

    def write() -> None:
        g.db.execute(update(LoginSession).where(LoginSession.id == login.id).values(seen_at=now()))

    afterwards(write)


def start(user: User, *, provider: str, methods: Sequence[str], remember: bool) -> LoginSession:
    """Make the current browser a login session of `user`, with a new id whatever it had before."""
    settings = current_app.extensions["tenants"].settings
    g.db.execute(delete(LoginSession).where(LoginSession.user_id == user.id, LoginSession.expires_at <= now()))
    if token := _token():  # signed in before: that session ends here
        g.db.execute(delete(LoginSession).where(LoginSession.token_hash == _hash(token)))
    lifetime = timedelta(days=settings.session_remembered_days) if remember else timedelta(hours=settings.session_hours)
    row = _begin(user, provider, methods, lifetime, token_hash=_new_token(), remembered=remember)
    session.permanent = remember
    return row


def start_program(user: User, *, provider: str, methods: Sequence[str]) -> LoginSession:
    """Make a login session of `user` for a program: no cookie knows of it."""
    g.db.execute(delete(LoginSession).where(LoginSession.user_id == user.id, LoginSession.expires_at <= now()))
    row_id = uuid7.uuid7()
    named = _program_hash(row_id, user.fs_uniquifier)
    row = _begin(user, provider, methods, PROGRAM_LASTS, id=row_id, kind=PROGRAM, token_hash=named)
    g.db.flush()  # what refers to it is written next
    return row


def _begin(user: User, provider: str, methods: Sequence[str], lifetime: timedelta, **values: Any) -> LoginSession:
    if (hours := policy.current().session_hours) is not None:
        lifetime = min(lifetime, timedelta(hours=hours))
    row = LoginSession(
        user_id=user.id,
        provider=provider,
        methods=",".join(methods)[:80],
        user_agent=(request.user_agent.string or "")[:255],
        address=(request.remote_addr or "")[:45],
        expires_at=now() + lifetime,
        **values,
    )
    g.db.add(row)
    return row


def issue(user_id: uuid.UUID, user_agent: str) -> tuple[str, dict[str, Any]]:
    """A login session made without a sign-in, for demo and test data: its secret, and the values of its row."""
    token = secrets.token_urlsafe(32)
    lifetime = timedelta(days=current_app.extensions["tenants"].settings.session_remembered_days)
    return token, {
        "token_hash": _hash(token),
        "user_id": user_id,
        "provider": "database",
        "methods": "password",
        "user_agent": user_agent,
        "address": "127.0.0.1",
        "remembered": True,
        "expires_at": now() + lifetime,
    }


def current() -> LoginSession | None:
    """The calling browser's login session, as it is now; the identity of a request may be older."""
    token = _token()
    if token is None:
        return None
    row: LoginSession | None = g.db.scalar(select(LoginSession).where(LoginSession.token_hash == _hash(token)))
    return row


def renew(*, provider: str | None = None) -> None:
    """Give the current login session a new id: after a step-up the former cookie no longer counts.

    With `provider`, that source vouches for it from now on.
    """
    if (token := _token()) is None:
        return
    former = _hash(token)
    values = {"token_hash": _new_token()} | ({"provider": provider} if provider else {})
    g.db.execute(update(LoginSession).where(LoginSession.token_hash == former).values(values))


def list_of(user_id: uuid.UUID) -> Sequence[LoginSession]:
    """The user's login sessions that still count, last used first."""
    return [row for row in page_of(user_id, sort="-seen") if counts(row)]


def page_of(
    user_id: uuid.UUID, *, sort: str, limit: int | None = None, after: Place | None = None
) -> Sequence[LoginSession]:
    """A part of the user's login sessions in one of ORDERS, or all; also those that count no more, see `counts`."""
    mine = select(LoginSession).where(LoginSession.user_id == user_id)
    rows: Sequence[LoginSession] = g.db.scalars(ORDERS[sort].page(mine, limit=limit, after=after)).all()
    return rows


def find(session_id: uuid.UUID, *, user_id: uuid.UUID) -> LoginSession | None:
    """The user's login session of that id, if it still counts."""
    row: LoginSession | None = g.db.find(LoginSession, session_id)
    return row if row is not None and row.user_id == user_id and counts(row) else None


def describe(row: LoginSession, current_id: uuid.UUID) -> dict[str, Any]:
    """A login session as its owner sees it; without the hash."""
    return {
        "id": row.id,
        "kind": row.kind,
        "device": _device(row.user_agent),
        "address": row.address,
        "provider": row.provider,
        "methods": row.methods.split(","),
        "created_at": row.created_at,
        "seen_at": row.seen_at,
        "current": row.id == current_id,
    }


def _device(user_agent: str) -> str:
    parsed = ua_parser.parse(user_agent)
    browser = parsed.user_agent.family if parsed.user_agent else ""
    system = parsed.os.family if parsed.os else ""
    return ", ".join(part for part in (browser, system) if part and part != "Other") or user_agent


def end(session_id: uuid.UUID, *, user_id: uuid.UUID) -> bool:
    """End one login session of a user; False when the user has no such session."""
    ended = g.db.execute(delete(LoginSession).where(LoginSession.id == session_id, LoginSession.user_id == user_id))
    return bool(ended.rowcount)


def end_all(user_id: uuid.UUID, *, but_current: bool = False) -> int:
    """End every login session of a user, except perhaps the calling browser's; gives back how many there were."""
    statement = delete(LoginSession).where(LoginSession.user_id == user_id)
    if but_current and (token := _token()):
        statement = statement.where(LoginSession.token_hash != _hash(token))
    ended: int = g.db.execute(statement).rowcount
    return ended


def end_others(user_id: uuid.UUID, kept: uuid.UUID) -> int:
    """End every login session of a user except that one; gives back how many there were."""
    ended: int = g.db.execute(
        delete(LoginSession).where(LoginSession.user_id == user_id, LoginSession.id != kept)
    ).rowcount
    return ended


def end_current() -> None:
    """End the calling browser's login session."""
    if token := _token():
        g.db.execute(delete(LoginSession).where(LoginSession.token_hash == _hash(token)))
    session.pop(_COOKIE_KEY, None)


def ends_at(login: Login | LoginSession) -> datetime:
    """When it is over at the latest. Rules hold for login sessions that have begun before them, too."""
    hours = policy.current().session_hours
    return min(login.expires_at, login.created_at + timedelta(hours=hours)) if hours is not None else login.expires_at


def counts(login: Login | LoginSession) -> bool:
    """Whether it is neither idle nor over."""
    settings = current_app.extensions["tenants"].settings
    if login.kind == PROGRAM:
        idle = PROGRAM_IDLE
    elif login.remembered:
        idle = timedelta(days=settings.session_remembered_days)
    else:
        idle = timedelta(minutes=settings.session_idle_minutes)
    rules, moment = policy.current(), now()
    if rules.idle_minutes is not None:
        idle = min(idle, timedelta(minutes=rules.idle_minutes))
    return moment < ends_at(login) and moment - login.seen_at < idle


def _token() -> str | None:
    token = session.get(_COOKIE_KEY)
    return token if isinstance(token, str) else None


def _new_token() -> str:
    token = session[_COOKIE_KEY] = secrets.token_urlsafe(32)
    return _hash(token)


def _program_hash(login_id: uuid.UUID, handle: str) -> str:
    # No secret, and no cookie is ever looked up by it: it says under which handle the session has begun.
    return _hash(f"program {login_id} {handle}")


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
