"""What a request shows in its Authorization header: a bearer token (RFC 6750), in place of a cookie.

It is looked up in the trip that opens the transaction, as the cookie's login session is: a personal token, or one of
the OAuth 2 server, by its hash; a JSON web token by the login session that it names, which proves nothing before its
signature is verified (`auth/access_tokens.py`). A request with such a header is never the cookie's.
"""

import base64
import binascii
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from flask import current_app, g, request
from sqlalchemy import and_, bindparam, select, update

from auth import policy, sessions, token_secrets
from auth.client_models import Consent, OAuthClient
from auth.signing_keys import LONGEST
from auth.token_models import ApiToken
from tenants.context import afterwards
from tenants.db import TenantSession, now

F = TypeVar("F", bound=Callable[..., Any])

NOBODY, JWT, TOKEN, BAD = "nobody", "jwt", "token", "bad"
PERSONAL, OAUTH = "personal", "oauth"
"""Kinds of `ApiToken`."""
APP = "app"
"""Kind of an `OAuthClient` that acts for people who allow it."""
_PREFIX = "/api/"
_USED_EVERY = timedelta(minutes=1)
_BY_HASH = (
    select(
        ApiToken.id, ApiToken.kind, ApiToken.user_id, ApiToken.client_id, ApiToken.permissions, ApiToken.scopes,
        ApiToken.provider, ApiToken.single_sign_on, ApiToken.created_at, ApiToken.expires_at, ApiToken.last_used_at,
        OAuthClient.kind.label("client_kind"), OAuthClient.active.label("client_active"),
        OAuthClient.permissions.label("client_permissions"), ApiToken.signed_in_at, ApiToken.allowed_at,
        Consent.id.label("consent_id"),
    )
    .outerjoin(OAuthClient, and_(OAuthClient.tenant_id == ApiToken.tenant_id, OAuthClient.id == ApiToken.client_id))
    .outerjoin(
        Consent,
        and_(
            Consent.tenant_id == ApiToken.tenant_id, Consent.user_id == ApiToken.user_id,
            Consent.client_id == ApiToken.client_id,
        ),
    )
    .where(ApiToken.tenant_id == bindparam("bound_tenant"), ApiToken.token_hash == bindparam("token_hash"))
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shown:
    """What stands in the header: `kind` is one of NOBODY, JWT, TOKEN and BAD."""

    kind: str
    secret: str = ""
    login_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A token that is not over, as it was when the request began."""

    id: uuid.UUID
    kind: str
    """PERSONAL or OAUTH."""
    user_id: uuid.UUID
    client_id: uuid.UUID | None
    permissions: frozenset[str]
    """The most that it may be used for."""
    scopes: frozenset[str]
    provider: str
    single_sign_on: bool
    last_used_at: datetime | None


def accepts_bearer(view: F) -> F:
    """Mark a view beyond the API that takes bearer tokens, as the API's do."""
    view.accepts_bearer = True  # type: ignore[attr-defined]  # a mark: no callable type has attributes of its own
    return view


def knows_nobody(view: F) -> F:
    """Mark a view to which everybody is nobody, cookie or token: it gives tokens to who has none, or an old one."""
    view.knows_nobody = True  # type: ignore[attr-defined]  # a mark: no callable type has attributes of its own
    return view


def shown() -> Shown | None:
    """What the request shows; None when it has no such header, and may be the cookie's."""
    if "shown" not in g:
        view = current_app.view_functions.get(request.endpoint or "")
        header = request.headers.get("Authorization")
        if getattr(view, "knows_nobody", False):
            g.shown = Shown(NOBODY)
        elif header is None:
            g.shown = None
        else:
            g.shown = _read(header) if _takes_bearer(view) else Shown(NOBODY)
    found: Shown | None = g.shown
    return found


def ask_with_opening(_sender: Any, session: TenantSession) -> None:
    """Have what the request shows looked up in the trip that opens the transaction. Receives `tenant_opening`."""
    found = shown()
    if found is None:
        sessions.ask_with_opening(session)
    elif found.login_id is not None:
        sessions.ask_program_with_opening(session, found.login_id)
    elif found.kind == TOKEN:
        session.opening.companion = _BY_HASH
        session.opening.parameters = {"token_hash": token_secrets.digest(found.secret)}


def of_opening(answer: Sequence[Any] | None) -> Token | None:
    """The token that was read with the opening, if it still counts."""
    if answer is None:
        return None
    (id, kind, user_id, client_id, permissions, scopes, provider, single_sign_on, created_at, expires_at, last_used_at,
     client_kind, client_active, client_permissions, signed_in_at, allowed_at, consent_id) = answer  # fmt: skip
    ends = policy.current().app_ends_at(signed_in_at, allowed_at) if kind == OAUTH else _rules_end(created_at)
    if client_active is False or not _is_before(expires_at) or not _is_before(ends):
        return None
    most = frozenset(permissions)
    if client_kind == APP:
        if consent_id is None:
            return None
        most &= frozenset(client_permissions)  # an app that may do less by now does less at once
    return Token(
        id, kind, user_id, client_id, most, frozenset(scopes), provider, single_sign_on, last_used_at,
    )  # fmt: skip


def look_up(token_hash: str) -> Token | None:
    """The token of that hash, as the opening would have read it: of a request that asks about one."""
    found = g.db.connection().execute(_BY_HASH, {"bound_tenant": g.tenant.id, "token_hash": token_hash}).one_or_none()
    return of_opening(found)


def touch(token: Token) -> None:
    """Note that the token was used, at most once a minute, after the request's own transaction."""
    if token.last_used_at is not None and now() - token.last_used_at < _USED_EVERY:
        return

    def write() -> None:
        g.db.execute(update(ApiToken).where(ApiToken.id == token.id).values(last_used_at=now()))

    afterwards(write)


def _rules_end(created_at: datetime) -> datetime | None:
    """When a personal token ends by the rules: they hold for those that were made before them, too."""
    days = policy.current().longest_token_days
    return created_at + timedelta(days=days) if days is not None else None


def _is_before(end: datetime | None) -> bool:
    return end is None or now() < end


def _read(header: str) -> Shown:
    scheme, _space, secret = header.partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer" or not secret or len(secret) > LONGEST:
        return Shown(BAD)
    if any(token_secrets.looks_right(secret, prefix) for prefix in (token_secrets.PERSONAL, token_secrets.ACCESS)):
        return Shown(TOKEN, secret)
    login_id = _login_in(secret)
    return Shown(JWT, secret, login_id) if login_id is not None else Shown(BAD)


def _takes_bearer(view: Callable[..., Any] | None) -> bool:
    return request.path.startswith(_PREFIX) or getattr(view, "accepts_bearer", False)


def _login_in(token: str) -> uuid.UUID | None:
    """The `sid` that a JSON web token claims, unverified."""
    parts = token.split(".")
    if len(parts) != 3 or not token.isascii():
        return None
    try:
        claims = json.loads(base64.b64decode(parts[1] + "=" * (-len(parts[1]) % 4), altchars=b"-_", validate=True))
        return uuid.UUID(claims["sid"])
    except (binascii.Error, ValueError, RecursionError, TypeError, KeyError, AttributeError):
        return None
