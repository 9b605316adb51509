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

from auth import devices, linking, sessions, throttle
from auth.errors import LinkNeeded, SignInRefused, SourceUnavailable, WrongCredentials
from auth.models import User
from auth.providers.base import ExternalIdentity
from auth.providers.database import DatabaseProvider
from auth.providers.models import ProviderConfig
from auth.providers.registry import provider_of
from auth.provisioning import user_for
from auth.routing import Proof, prove, prove_again

FIRST_FACTOR_COUNTS_FOR = 600  # seconds between the first factor and the second

log = structlog.get_logger()

_SECOND_FACTORS = {
    "security.two_factor_token_validation": "authenticator",
    "security.mf_recovery": "recovery code",
    "security.wan_signin_response": "passkey",
}


def authenticate(login: str, password: str) -> User:
    """The user whom a login name and password prove, by the tenant's providers whose turn it is.

    Raises Throttled, WrongCredentials, SourceUnavailable or Busy, and SignInRefused for a proven person who may not
    come in.
    """
    with throttle.attempt("password", login) as attempt:
        proof = _prove(login, password, attempt)
        try:
            user = user_for(proof.identity, proof.config)
        except LinkNeeded:
            if proof.config is not None:
                linking.wait_for_account(proof.identity, proof.config)
            raise
        attempt.succeeded = True
    note_first_factor(proof.identity.provider)
    check_admissible(user)
    return user


def verify(user: User, password: str, attempt: throttle.Attempt) -> bool:
    """Whether the password proves the signed-in user once more, by the source that vouches for them.

    Raises SourceUnavailable, SignInRefused, Throttled and Busy.
    """
    try:
        proof = prove_again(user, password, attempt)
        return user_for(proof.identity, proof.config).id == user.id
    except (WrongCredentials, LinkNeeded):
        return False


def prove_other(login: str, password: str, config: ProviderConfig) -> ExternalIdentity:
    """Whom that one source proves, for somebody who is signed in and says that they are that person, too.

    Raises Throttled, WrongCredentials, SourceUnavailable and SignInRefused.
    """
    provider = provider_of(config)
    with throttle.attempt("password", login) as attempt:
        g.db.release()
        identity = provider.authenticate(login, password, count=attempt.count)
        attempt.succeeded = True
    return identity


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
    if (linked := linking.complete(user)) is not None:
        linking.tell(linked)
    sessions.start(user, provider=session.get("provider", DatabaseProvider.id), methods=methods, remember=remember)
    devices.remember(user)
    log.info("signed in", user=str(user.id), methods=methods, address=request.remote_addr)


def _prove(login: str, password: str, attempt: throttle.Attempt) -> Proof:
    try:
        return prove(login, password, attempt)
    except (WrongCredentials, SourceUnavailable) as error:
        log.info("sign-in failed", login=login[:320], address=request.remote_addr, reason=type(error).__name__)
        raise
