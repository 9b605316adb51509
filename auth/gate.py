"""The one gate that every sign-in passes, whatever the way: password, passkey, second factor, re-login.

`authenticate` proves a password and counts the attempt. `admit` stands where all ways end, in Flask-Security's
`user_authenticated` signal: who is not admitted there has no login session, and without one a cookie is worth nothing.
"""

import time
from collections.abc import Sequence
from typing import Any

import structlog
from flask import g, request, session
from flask_babel import gettext as _
from flask_security.tf_plugin import tf_clean_session

from auth import devices, sessions, throttle
from auth.errors import SignInRefused, WrongCredentials
from auth.models import User
from auth.providers import registry
from auth.providers.database import DatabaseProvider
from auth.provisioning import user_for

FIRST_FACTOR_COUNTS_FOR = 600  # seconds between the first factor and the second

log = structlog.get_logger()

_SECOND_FACTORS = {
    "security.two_factor_token_validation": "authenticator",
    "security.mf_recovery": "recovery code",
    "security.wan_signin_response": "passkey",
}


def authenticate(login: str, password: str) -> User:
    """The user whom a login name and password prove, by the tenant's password providers in order.

    Raises Throttled, WrongCredentials, SourceUnavailable or Busy, and SignInRefused for a proven person who may not
    come in.
    """
    with throttle.attempt("password", login) as attempt:
        try:
            user = _ask_providers(login, password)
        except WrongCredentials:
            log.info("sign-in failed", login=login[:320], address=request.remote_addr)
            raise
        attempt.succeeded = True
    check_admissible(user)
    return user


def note_first_factor(provider_id: str) -> None:
    """Note in the browser's session that a first factor was proved just now, and by whom it was vouched for."""
    session["first_factor_at"] = int(time.time())
    session["provider"] = provider_id


def first_factor_is_recent() -> bool:
    """Whether this browser proved a first factor a short while ago."""
    proved_at = session.get("first_factor_at", 0)
    return isinstance(proved_at, int) and time.time() - proved_at < FIRST_FACTOR_COUNTS_FOR


def check_admissible(user: User) -> None:
    """Raise SignInRefused, with a message for the person, unless the tenant lets this user in."""
    if not user.active:
        raise SignInRefused(_("This account is deactivated. Ask an administrator of your workspace."))
    if user.confirmed_at is None:
        raise SignInRefused(_("Confirm your e-mail address first: open the link that was sent to you."))


def admit(_sender: Any, user: User, authn_via: Sequence[str] | None = None, **_kwargs: Any) -> None:
    """Begin the login session of a user who has passed every step. Receives `user_authenticated`."""
    remember = session.pop("_remember", None) == "set"  # Flask-Login's own remember cookie would be a second door
    if authn_via == ["change"]:  # a new password goes on with the session that there is
        remember = session.permanent
    try:
        check_admissible(user)
    except SignInRefused:
        session.clear()
        raise
    # Whatever was issued to the browser while it was nobody does not serve it now that it is somebody.
    session.pop("csrf_token", None)
    tf_clean_session()
    g.pop("csrf_token", None)
    methods = (
        list(authn_via) if authn_via else ["password", _SECOND_FACTORS.get(request.endpoint or "", "second factor")]
    )
    sessions.start(user, provider=session.get("provider", DatabaseProvider.id), methods=methods, remember=remember)
    devices.remember(user)
    log.info("signed in", user=str(user.id), methods=methods, address=request.remote_addr)


def _ask_providers(login: str, password: str) -> User:
    for provider in registry.password_providers(g.tenant):
        try:
            user = user_for(provider.authenticate(login, password))
        except WrongCredentials:
            continue
        note_first_factor(provider.id)
        return user
    raise WrongCredentials
