"""Devices: browsers in which an account has been signed in before, told by a signed cookie.

The cookie proves nothing about who calls; it only keeps an attacker's failures from counting against the owner.
"""

import secrets

from flask import Response, after_this_request, current_app, g, request
from itsdangerous import BadSignature, URLSafeTimedSerializer

_MAX_AGE = 400 * 24 * 3600  # seconds; browsers keep no cookie for longer


def known_for(account: str) -> str | None:
    """The id of the calling device if `account` (an e-mail address) was signed in on it; None otherwise."""
    try:
        known = _serializer().loads(request.cookies.get(_name(), ""), max_age=_MAX_AGE)
    except BadSignature:
        return None
    return known[1] if known[0] == account.strip().casefold() else None


def remember(account: str) -> None:
    """Have the answer to the current request mark its browser as a device of `account`."""
    if known_for(account):
        return
    value = _serializer().dumps([account.strip().casefold(), secrets.token_hex(8)])

    @after_this_request
    def give(response: Response) -> Response:
        secure = current_app.config["SESSION_COOKIE_SECURE"]
        response.set_cookie(_name(), value, max_age=_MAX_AGE, secure=secure, httponly=True, samesite="Lax")
        return response


def _name() -> str:
    return "__Host-device" if current_app.config["SESSION_COOKIE_SECURE"] else "device"


def _serializer() -> URLSafeTimedSerializer:
    keys = [*current_app.config.get("SECRET_KEY_FALLBACKS", ()), current_app.config["SECRET_KEY"]]
    return URLSafeTimedSerializer(keys, salt=f"device {g.tenant.id}")
