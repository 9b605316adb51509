"""Access tokens of our own sign-in by API: JSON web tokens (RFC 9068) that name a login session.

Rights are never read from one: it only proves that the login session that it names is the caller's.
"""

import uuid
from datetime import datetime
from typing import Any

from flask import g

from auth import issuers, signing_keys
from auth.errors import InvalidToken
from auth.sessions import Login
from tenants.db import now

LASTS = 600
"""Seconds."""
TYPE = "at+jwt"
CLIENT = "first-party"
"""`client_id`, which RFC 9068 asks for: no client of the OAuth 2 server is called that."""
_LEEWAY = 5  # seconds between the clocks of our own servers


def issue(login_id: uuid.UUID, user_id: uuid.UUID, ends_at: datetime) -> tuple[str, int]:
    """A token for that login session of the bound tenant, and how many seconds it lasts; never beyond `ends_at`."""
    issued = int(now().timestamp())
    lasts = max(min(LASTS, int(ends_at.timestamp()) - issued), 0)
    issuer = issuers.asked()
    claims = {
        "iss": issuer,
        "aud": audience_of(issuer),
        "sub": str(user_id),
        "client_id": CLIENT,
        "tenant": str(g.tenant.id),
        "sid": str(login_id),
        "jti": str(uuid.uuid4()),
        "iat": issued,
        "exp": issued + lasts,
    }
    return signing_keys.sign(claims, type_=TYPE), lasts


def proves(token: str, login: Login) -> bool:
    """Whether the token was made here for that login session, and is not over."""
    try:
        claims = signing_keys.verify(token, type_=TYPE)
    except InvalidToken:
        return False
    issuer = claims.get("iss")
    wanted = {
        "aud": audience_of(issuer),
        "sub": str(login.user_id),
        "client_id": CLIENT,
        "tenant": str(g.tenant.id),
        "sid": str(login.id),
    }
    said = all(claims.get(name) == value for name, value in wanted.items()) and _is_now(claims)
    return said and isinstance(issuer, str) and issuers.is_ours(issuer)


def audience_of(issuer: Any) -> str:
    """The tenant's API on that host, `aud`."""
    return f"{issuer}/api"


def _is_now(claims: dict[str, Any]) -> bool:
    moment = now().timestamp()
    times: list[Any] = [claims.get("iat"), claims.get("nbf", 0), claims.get("exp")]
    if not isinstance(claims.get("jti"), str) or not all(type(time) in (int, float) for time in times):
        return False
    issued, begins, ends = times
    return bool(max(issued, begins) - _LEEWAY <= moment < ends)
