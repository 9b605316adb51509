"""Pages elsewhere that may read our API in a browser: those of the origins that a workspace has named, none by default.

What comes from there is known by its token alone: no cookie is let through (no `Access-Control-Allow-Credentials`), and
an answer to whom a cookie has made known is not handed out either. Source: Fetch Standard, section 3.3, CORS protocol.
"""

from collections.abc import Iterable
from ipaddress import IPv6Address
from urllib.parse import SplitResult, urlsplit

import idna
from flask import Flask, Response, g, request
from flask_babel import gettext as _

from auth import audit, tenant_settings
from auth.errors import NotAllowed
from auth.identity import SESSION, Identity
from auth.permissions import AccessPermission

KEY = "cors_origins"
MOST_ORIGINS = 20
LONGEST_ORIGIN = 270

PATHS = ("/api/", "/.well-known/", "/oauth/token", "/oauth/revoke", "/oauth/userinfo")
"""What a page elsewhere has use for. Not the pages on which people agree to something, and not SCIM."""
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
SENT = (
    "Accept, Accept-Language, Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Request-ID"
)  # fmt: skip
EXPOSED = (
    "Content-Disposition, ETag, Link, Location, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After,"
    " WWW-Authenticate, X-Request-ID"
)
REMEMBERED = 600
"""Seconds for which a browser need not ask again."""

_PORTS = {"https": 443, "http": 80}


class InvalidOrigin(ValueError):
    """An origin that cannot be named; the text says why."""


def init_app(app: Flask) -> None:
    """Answer preflights and set the headers. After Tenants, before Auth."""
    app.before_request(answer_preflight)
    app.after_request(tell)


def allowed() -> tuple[str, ...]:
    """The origins that the bound tenant has named."""
    return tuple(g.tenant.settings.get(KEY, ()))


def change_origins(origins: Iterable[str], *, actor: Identity | None) -> tuple[str, ...]:
    """Name the origins whose pages may read the API, in place of those of before; gives them as they are kept.

    Raises NotAllowed and InvalidOrigin.
    """
    if actor is not None and AccessPermission.WORKSPACE_MANAGE not in actor.permissions:
        raise NotAllowed(
            _("Origins are named with the permission “%(name)s”.", name=AccessPermission.WORKSPACE_MANAGE.value)
        )
    given = set(origins)
    if len(given) > MOST_ORIGINS:
        raise InvalidOrigin(_("There are %(most)s origins at most.", most=MOST_ORIGINS))
    kept = sorted({normal_origin(origin) for origin in given})
    row = tenant_settings.lock()
    changed = audit.changes({"origins": row.settings.get(KEY, [])}, {"origins": kept})
    if changed:
        tenant_settings.keep(row, KEY, kept)
        audit.record("origins changed", details=changed, actor=actor)
    return tuple(kept)


def normal_origin(given: str) -> str:
    """An origin as browsers write it (RFC 6454, section 6.2). Raises InvalidOrigin."""
    given = given.strip()
    try:
        if len(given) > LONGEST_ORIGIN or any(map(str.isspace, given)):  # of which a parser drops some
            raise ValueError
        parts = urlsplit(given)
        host, port = _host_in(parts), parts.port
    except ValueError:  # idna's errors are ones, too
        raise InvalidOrigin(_("“%(given)s” is no origin.", given=given[:100])) from None
    more = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc or "\\" in given
    if parts.scheme not in _PORTS or not host or more or port == 0:
        said = _(
            "“%(given)s” is no origin: it is written as https://app.example.com, without a path.", given=given[:100]
        )
        raise InvalidOrigin(said)
    if "[" not in host and not all(label and label.replace("-", "a").isalnum() for label in host.split(".")):
        said = _("“%(given)s” is no origin: it names one host in full, without *.", given=given[:100])
        raise InvalidOrigin(said)
    if parts.scheme == "http" and not _is_here(host):
        raise InvalidOrigin(_("“%(given)s” is not safe: only localhost does without https.", given=given[:100]))
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in (None, _PORTS[parts.scheme]) else "")


def _host_in(parts: SplitResult) -> str:
    """The host as browsers write it. Raises ValueError."""
    host = parts.hostname or ""
    if parts.netloc.startswith("["):
        if "%" in host or parts.netloc.partition("]")[2][:1] not in ("", ":"):
            raise ValueError
        return f"[{IPv6Address(host)}]"
    return host if host.isascii() else idna.encode(host, uts46=True).decode()


def answer_preflight() -> Response | None:
    """Answer a browser that asks whether it may send something; it bears no identity. A before_request hook."""
    if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
        return None
    if "tenant" not in g or not request.path.startswith(PATHS) or "Origin" not in request.headers:
        return None
    response = Response(status=204)
    if request.headers["Origin"] in allowed():
        response.headers["Access-Control-Allow-Methods"] = METHODS
        response.headers["Access-Control-Allow-Headers"] = SENT
        response.headers["Access-Control-Max-Age"] = str(REMEMBERED)
    return response


def tell(response: Response) -> Response:
    """Say who may read the answer. An after_request hook."""
    if not request.path.startswith(PATHS):
        return response
    response.vary.add("Origin")  # always: what is kept of an answer to nobody's page must not be given to somebody's
    origin = request.headers.get("Origin")
    if origin is None or "tenant" not in g or origin not in allowed() or _by_cookie():
        return response
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Expose-Headers"] = EXPOSED
    return response


def _by_cookie() -> bool:
    identity = g.get("identity")
    return identity is not None and identity.means == SESSION


def _is_here(host: str) -> bool:
    return host in ("localhost", "127.0.0.1", "[::1]") or host.endswith(".localhost")
