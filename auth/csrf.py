"""Unsafe requests come from our own pages: the token and the origin are both checked.

A sibling subdomain is same-site to a browser, so SameSite cookies alone do not keep tenant B's pages from posting
forms to tenant A.
"""

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import Flask, current_app, g, request
from flask_wtf.csrf import CSRFError, CSRFProtect

from auth.identity import SESSION
from auth.permissions import access_of
from tenants.request import SAFE_METHODS

F = TypeVar("F", bound=Callable[..., Any])


def init_app(app: Flask) -> None:
    """Prepare Flask-WTF, whose own hook would run before the caller is known."""
    app.config["WTF_CSRF_CHECK_DEFAULT"] = False
    app.config["WTF_CSRF_TIME_LIMIT"] = None  # a token lives as long as the session that holds it
    # The last signs, all verify: a form that was open while the key was changed can still be sent.
    app.config["WTF_CSRF_SECRET_KEY"] = [*app.config["SECRET_KEY_FALLBACKS"], app.config["SECRET_KEY"]]
    app.config["WTF_CSRF_SSL_STRICT"] = False  # `check` compares the origin, on http too
    CSRFProtect(app)


def from_machines(view: F) -> F:
    """Mark a view that other servers send to, which proves itself by what is sent: it reads no cookie."""
    view.from_machines = True  # type: ignore[attr-defined]  # a mark: no callable type has attributes of its own
    return view


def check() -> None:
    """Refuse an unsafe request without our token or from elsewhere. A before_request hook.

    Raises CSRFError (400).
    """
    if request.method in SAFE_METHODS or "tenant" not in g:
        return
    if request.endpoint is None or access_of(current_app, request.endpoint) is None:
        return
    if getattr(current_app.view_functions[request.endpoint], "from_machines", False):
        return
    # No browser adds such a header by itself to what another site makes it send.
    if g.identity.means not in ("", SESSION):
        return
    origin = request.headers.get("Origin")
    if origin is None:
        origin = request.headers.get("Referer")
    # Browsers send one of the two; what sends neither is no browser and has no session that others could ride.
    if origin is not None and not _is_ours(origin):
        raise CSRFError("The request comes from another site.")
    if origin is None and request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        raise CSRFError("The request comes from another site.")
    current_app.extensions["csrf"].protect()


def _is_ours(origin: str) -> bool:
    try:
        given, own = urlsplit(origin), urlsplit(request.host_url)
    except ValueError:
        return False
    return (given.scheme, given.netloc.lower()) == (own.scheme, own.netloc.lower())
