"""The one gate that every sign-in passes, whatever the way: password, passkey, second factor, re-login.

`authenticate` proves a password and counts the attempt. `admit` stands where all ways end, in Flask-Security's
`user_authenticated` signal: who is not admitted there has no login session, and without one a cookie is worth nothing.
"""

import uuid
from collections.abc import Sequence
from typing import Any

import structlog
from flask import current_app, g, request, session
from flask_babel import gettext as _
from flask_security.tf_plugin import tf_clean_session

from auth import (
    acceptance,
    attempts,
    audit,
    devices,
    enforcement,
    first_factor,
    journeys,
    linking,
    links,
    policy,
    provider_sessions,
    roles,
    sessions,
    throttle,
    users,
    visits,
)
from auth.errors import LinkNeeded, SignInRefused, SourceUnavailable, WrongCredentials
from auth.first_factor import FirstFactor
from auth.models import LoginSession, User
from auth.providers.base import ExternalIdentity
from auth.providers.database import DatabaseProvider
from auth.providers.models import ProviderConfig
from auth.providers.oauth import Visit
from auth.providers.registry import provider_of
from auth.provisioning import user_for
from auth.routing import Proof, prove, prove_again
from auth.sign_in_refusals import note_failure, note_refusal, refused, typed

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
    if _is_closed(login):
        with throttle.attempt("password", login):
            # As slow as for those who get in by a password.
            current_app.extensions["security"].pwd_context.verify(password, None)
        raise refused(typed(login), "signs in elsewhere", _enforced(login))  # a guess all the same: it counts as one
    try:
        return _authenticate(login, password)
    except WrongCredentials:
        # The named owner's address answers as everybody's of the domain does.
        if enforcement.required_source(login) is not None:
            raise SignInRefused(_enforced(login)) from None
        raise


def _authenticate(login: str, password: str) -> User:
    with throttle.attempt("password", login) as attempt:
        proof = _prove(login, password, attempt)
        try:
            user = user_for(proof.identity, proof.config)
        except LinkNeeded:
            if proof.config is not None:
                linking.wait_for_account(Visit(proof.identity), proof.config)
            raise
        except SignInRefused:
            note_refusal(typed(login), "no account")
            raise
        attempt.succeeded = True
    check_admissible(user)
    asked = journeys.digest_of(proof.config) if proof.config is not None else ""
    first_factor.note(user, proof.identity.provider, asked=asked)
    return user


def verify(user: User, password: str, attempt: throttle.Attempt) -> bool:
    """Whether the password proves the signed-in user once more, by the source that vouches for them.

    Raises SourceUnavailable, SignInRefused, Throttled and Busy.
    """
    if links.is_enforced(user):
        return False
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


def arrive(visit: Visit, config: ProviderConfig, *, method: str = "single sign-on", invitation: str = "") -> User:
    """The user who has come back from a web source, of whom the first factor is proved with that.

    With the signed link of an invitation, whoever was asked in becomes a user by it, also of a directory (`method`
    password). Raises WrongCredentials, LinkNeeded, and SignInRefused.
    """
    try:
        if invitation:
            user = acceptance.accept_at_source(invitation, visit.identity, config)
        else:
            user = user_for(visit.identity, config)
    except LinkNeeded:
        linking.wait_for_account(visit, config)
        raise
    check_admissible(user)
    noted = provider_sessions.begin(config, visit.session)
    first_factor.note(user, visit.identity.provider, method, provider_session=noted, asked=visit.asked)
    return user


def check_admissible(user: User) -> None:
    """Raise SignInRefused, with a message for the person, unless the tenant lets this user in."""
    if not user.active:
        raise refused(user, "deactivated", _("This account is deactivated. Ask an administrator of your workspace."))
    if user.confirmed_at is None:
        raise refused(
            user, "address not confirmed", _("Confirm your e-mail address first: open the link that was sent to you.")
        )


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
    try:
        # First, of what was proved here: what waits to be joined with it vouches for it from then on.
        _check_rules(user, _proved(user, authn_via).provider, authn_via)
        if (linked := linking.complete(user)) is not None:
            linking.tell(linked)
        proved = _proved(user, authn_via)
        if authn_via != ["change"]:
            _check_unchanged(user, proved)
        _check_source(user, proved.provider)
        carried = provider_sessions.detach(sessions.current()) if authn_via == ["change"] else proved.provider_session
        second = _SECOND_FACTORS.get(request.endpoint or "", "second factor")
        methods = list(authn_via) if authn_via else [proved.method, second]
        login = sessions.start(user, provider=proved.provider, methods=methods, remember=remember)
        provider_sessions.attach(carried, login)
    except SignInRefused:
        session.clear()
        g.db.rollback()
        raise
    visits.note_administrator(user, proved)
    devices.remember(user)
    if authn_via != ["change"]:
        audit.record("signed in", user, details={"methods": ", ".join(methods), "source": proved.provider}, actor=user)


def admit_program(user: User, *, second: str = "") -> LoginSession:
    """Begin the login session of a program for a user who has passed every step, the second by `second`.

    The same as for a browser, but for what is a browser's alone: no cookie knows of it. Raises SignInRefused.
    """
    check_admissible(user)
    proved = _proved(user, None)
    _check_rules(user, proved.provider, None)
    _check_unchanged(user, proved)
    _check_source(user, proved.provider)
    methods = [proved.method, second] if second else [proved.method]
    login = sessions.start_program(user, provider=proved.provider, methods=methods)
    visits.note_administrator(user, proved)
    details = {"methods": ", ".join(methods), "source": proved.provider, "by": "API"}
    audit.record("signed in", user, details=details, actor=user)
    return login


def _proved(user: User, authn_via: Sequence[str] | None) -> FirstFactor:
    """What the sign-in has begun with."""
    if authn_via == ["change"] and (login := sessions.current()) is not None:
        return FirstFactor(str(user.id), login.provider)
    return first_factor.of(user) or FirstFactor(str(user.id))


def _is_closed(login: str) -> bool:
    """Whether a password is no way in for that address, known here or not, because its people sign in elsewhere."""
    required = enforcement.required_source(login)
    if required is None:
        return False
    user = users.find_by_email(login)
    # The named owner has to get in; and who was just proved there proves the account of old, to join the two.
    return user is None or not (enforcement.is_break_glass(user.id) or attempts.waits_to_link(user.id, required))


def _check_source(user: User, provider: str) -> None:
    """Raise SignInRefused unless that source may sign the user in: no other may, of who belongs to one alone."""
    if enforcement.required_source(user.email) is None:
        directories = {str(config.id) for _link, config in links.directories_of(user.id)}
        if directories and provider not in directories:
            said = _("This account is signed in to by %(source)s.", source=links.directory_of(user.id))
            raise refused(user, "belongs to a directory", said)
        return
    if enforcement.required_source(user.email) == provider:
        return
    if not enforcement.allows(user.id, user.email, provider, owner=roles.is_owner(user.id)):
        audit.record(
            "sign-in refused, enforced elsewhere", user, details={"source": provider}, actor=user, survives=True
        )
        raise SignInRefused(_enforced(user.email))
    audit.record("break-glass sign-in", user, details={"source": provider}, actor=user)
    users.send_break_glass_notice(user)


def _check_unchanged(user: User, proved: FirstFactor) -> None:
    """Raise SignInRefused when the source was switched off, or set to something else, since it has vouched for them."""
    if proved.provider == DatabaseProvider.id:
        return
    config = g.db.find(ProviderConfig, uuid.UUID(proved.provider))
    if config is None or not config.enabled or (proved.asked and proved.asked != journeys.digest_of(config)):
        raise refused(user, "source changed", _("Where you sign in was changed in this moment. Sign in again."))


def _check_rules(user: User, provider: str, authn_via: Sequence[str] | None) -> None:
    """Raise SignInRefused where the workspace's rules do not let people in by that, or from here.

    The owner who is named to get in whatever happens is bound by the networks only.
    """
    if not policy.admits_caller():
        said = _("This workspace is open from its own networks only, and this is none of them.")
        raise refused(user, "network", said)
    if provider != DatabaseProvider.id or enforcement.is_break_glass(user.id):
        return
    method = "passkey" if authn_via == ["webauthn"] else "password"
    if method not in policy.current().methods:
        messages = {
            "password": _("This workspace takes no passwords. Sign in with a passkey, or where your account is."),
            "passkey": _("This workspace takes no passkeys in place of a password."),
        }
        raise refused(user, f"{method} not allowed", messages[method])


def _enforced(email: str) -> str:
    message: str = _(
        "People with an address at %(domain)s sign in with %(source)s.",
        domain=email.rpartition("@")[2],
        source=links.label_of(enforcement.required_source(email) or ""),
    )
    return message


def _prove(login: str, password: str, attempt: throttle.Attempt) -> Proof:
    try:
        return prove(login, password, attempt)
    except (WrongCredentials, SourceUnavailable) as error:
        note_failure(login, "wrong" if isinstance(error, WrongCredentials) else "source unavailable")
        raise
    except SignInRefused:
        note_refusal(typed(login), "refused by the source")
        raise
