"""Devices: browsers in which an account has been signed in before, told by a signed cookie.

The cookie proves nothing about who calls; it only keeps an attacker's failures from counting against the owner. With
the user's handle, which changes with the password, the devices are strangers again.
"""

import secrets
from typing import Any

from flask import Response, after_this_request, current_app, g, request
from itsdangerous import BadSignature, URLSafeTimedSerializer

from auth import links
from auth.models import User

_MAX_AGE = 400 * 24 * 3600  # seconds; browsers keep no cookie for longer


def known_for(account: str) -> str | None:
    """The id of the calling device if `account`, by a name it signs in with, was signed in on it; None otherwise."""
    whose, device = _known()
    if not whose:
        return None
    user = current_app.extensions["security"].datastore.find_user(email=account)
    called = [user] if user is not None else links.users_called(account)
    return device if any(whose == _handle(user) for user in called) else None


def owner() -> str:
    """The id of the user on whose device the request is made; empty on a stranger's. Proves nothing."""
    whose, _device = _known()
    return str(whose[0]) if whose else ""


def remember(user: User) -> None:
    """Have the answer to the current request mark its browser as a device of the user."""
    if _known()[0] == _handle(user):
        return
    value = _serializer().dumps([_handle(user), secrets.token_hex(8)])

    @after_this_request
    def give(response: Response) -> Response:
        secure = current_app.config["SESSION_COOKIE_SECURE"]
        response.set_cookie(_name(), value, max_age=_MAX_AGE, secure=secure, httponly=True, samesite="Lax")
        return response


def _known() -> tuple[Any, str]:
    try:
        whose, device = _serializer().loads(request.cookies.get(_name(), ""), max_age=_MAX_AGE)
    except BadSignature:
        return None, ""
    return whose, device


def _handle(user: User) -> list[str]:
    return [str(user.id), user.fs_uniquifier]


def _name() -> str:
    return "__Host-device" if current_app.config["SESSION_COOKIE_SECURE"] else "device"


def _serializer() -> URLSafeTimedSerializer:
    keys = [*current_app.config.get("SECRET_KEY_FALLBACKS", ()), current_app.config["SECRET_KEY"]]
    return URLSafeTimedSerializer(keys, salt=f"device {g.tenant.id}")
