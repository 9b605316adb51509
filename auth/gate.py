"""The one gate that every sign-in passes, whatever the way: password, passkey, second factor, re-login.

`authenticate` proves a password and counts the attempt. `admit` stands where all ways end, in Flask-Security's
`user_authenticated` signal: who is not admitted there has no login session, and without one a cookie is worth nothing.
"""

import time
import uuid
from collections.abc import Sequence
from typing import Any

import structlog
from flask import g, request, session
from flask_babel import gettext as _
from flask_security.tf_plugin import tf_clean_session

from auth import (
    attempts,
    devices,
    enforcement,
    events,
    linking,
    links,
    provider_sessions,
    roles,
    sessions,
    throttle,
    users,
)
from auth.errors import LinkNeeded, SignInRefused, SourceUnavailable, WrongCredentials
from auth.identity import snapshot_of
from auth.models import User
from auth.permissions import AccessPermission
from auth.providers.base import ExternalIdentity
from auth.providers.database import DatabaseProvider
from auth.providers.models import ProviderConfig
from auth.providers.oauth import Visit
from auth.providers.registry import provider_of
from auth.provisioning import user_for
from auth.routing import Proof, prove, prove_again
from tenants.db import now

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
    come in, or for anybody with an address whose people sign in elsewhere.
    """
    _check_enforcement_of(login)
    with throttle.attempt("password", login) as attempt:
        proof = _prove(login, password, attempt)
        try:
            user = user_for(proof.identity, proof.config)
        except LinkNeeded:
            if proof.config is not None:
                linking.wait_for_account(Visit(proof.identity), proof.config)
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


def arrive(visit: Visit, config: ProviderConfig) -> User:
    """The user who has come back from a web source, of whom the first factor is proved with that.

    Raises WrongCredentials, LinkNeeded, and SignInRefused.
    """
    try:
        user = user_for(visit.identity, config)
    except LinkNeeded:
        linking.wait_for_account(visit, config)
        raise
    note_first_factor(visit.identity.provider, "single sign-on")
    provider_sessions.begin(config, visit.session)
    check_admissible(user)
    return user


def note_first_factor(provider_id: str, method: str = "password") -> None:
    """Note in the browser's session that a first factor was proved just now, how, and who vouched for it."""
    session["first_factor_at"] = int(time.time())
    session["first_factor"] = method
    session["provider"] = provider_id
    provider_sessions.forget()


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
    second = _SECOND_FACTORS.get(request.endpoint or "", "second factor")
    methods = list(authn_via) if authn_via else [session.get("first_factor", "password"), second]
    if (linked := linking.complete(user)) is not None:
        linking.tell(linked)
    provider = session.get("provider", DatabaseProvider.id)
    try:
        _check_enforcement(user, provider)
        login = sessions.start(user, provider=provider, methods=methods, remember=remember)
        provider_sessions.attach(login)
    except SignInRefused:
        session.clear()
        g.db.rollback()
        raise
    _note_administrator(user, provider)
    devices.remember(user)
    log.info("signed in", user=str(user.id), methods=methods, address=request.remote_addr)


def _check_enforcement_of(login: str) -> None:
    """Refuse a password for an address whose people sign in elsewhere, known here or not."""
    if enforcement.required_source(login) is None:
        return
    user = users.find_by_email(login)
    # The named owner has to get in; and who was just proved there proves the account of old, to join the two.
    if user is None or not (enforcement.is_break_glass(user.id) or attempts.waits_to_link(user.id)):
        raise SignInRefused(_enforced(login))


def _check_enforcement(user: User, provider: str) -> None:
    if enforcement.required_source(user.email) in (None, provider):
        return
    if not enforcement.allows(user.id, user.email, provider, owner=roles.is_owner(user.id)):
        events.record("sign-in refused, enforced elsewhere", user_id=user.id, detail=provider, survives=True)
        raise SignInRefused(_enforced(user.email))
    events.record("break-glass sign-in", user_id=user.id, detail=provider)
    users.send_break_glass_notice(user)


def _enforced(email: str) -> str:
    message: str = _(
        "People with an address at %(domain)s sign in with %(source)s.",
        domain=email.rpartition("@")[2],
        source=links.label_of(enforcement.required_source(email) or ""),
    )
    return message


def _note_administrator(user: User, provider: str) -> None:
    """Note that an administrator got in by a source: only then it may be the only way."""
    config = g.db.find(ProviderConfig, uuid.UUID(provider)) if provider != DatabaseProvider.id else None
    if config is None or not config.is_web or config.admin_seen_at is not None:
        return
    snapshot = snapshot_of(user.id)
    if snapshot is not None and AccessPermission.PROVIDER_MANAGE in snapshot.permissions:
        config.admin_seen_at = now()


def _prove(login: str, password: str, attempt: throttle.Attempt) -> Proof:
    try:
        return prove(login, password, attempt)
    except (WrongCredentials, SourceUnavailable) as error:
        log.info("sign-in failed", login=login[:320], address=request.remote_addr, reason=type(error).__name__)
        raise
