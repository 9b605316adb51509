"""Signing in by API: name and password, then the second factor as a step of its own, and no cookie at any time.

All goes through the one gate (`auth/gate.py`). Between the two steps the program keeps what has been proved: a signed
record that is good for ten minutes, on this tenant's host, for that user and one sign-in.
"""

import secrets
import uuid
from dataclasses import asdict
from typing import Any

from flask import current_app, g
from flask_babel import gettext as _
from itsdangerous import BadSignature, URLSafeTimedSerializer

from auth import audit, cookies, first_factor, gate, refresh_tokens, throttle, token_secrets, users
from auth.errors import InvalidToken, SecondFactorAsked, SignInRefused, WrongCredentials
from auth.first_factor import COUNTS_FOR, FirstFactor
from auth.models import User
from auth.refresh_tokens import Tokens

AUTHENTICATOR, RECOVERY_CODE = "authenticator", "recovery code"
LONGEST_CODE = 100


def begin(login: str, password: str) -> Tokens:
    """The tokens of whom a login name and a password prove.

    Raises SecondFactorAsked for the second step, and what `gate.authenticate` and `gate.admit_program` raise.
    """
    cookies.set_aside()
    name = users.normal_login(login)
    if name is None:
        raise WrongCredentials
    user = gate.authenticate(name, password)
    if _security().two_factor_plugins.get_setup_tf_methods(user):
        methods = _methods_of(user)
        if not methods:
            said = _("Your second factor is a passkey, which only a browser can ask for. Make a token in your account.")
            raise SignInRefused(said)
        challenge = _challenge(user)
        g.db.release()  # the answer is a refusal, and the password was right all the same: that stays counted
        raise SecondFactorAsked(challenge, methods)
    return refresh_tokens.begin(gate.admit_program(user))


def go_on(challenge: str, code: str) -> Tokens:
    """The tokens of whoever has got that challenge, and has the second factor.

    Raises InvalidToken for a challenge that is not, or not any more, and WrongCredentials, Throttled and SignInRefused.
    """
    cookies.set_aside()
    user, noted, number = _read(challenge)
    with throttle.attempt("second factor", user.email) as attempt:
        method = _method_of(user, code)
        attempt.succeeded = method is not None
    if method is None:
        audit.record("sign-in failed", user, details={"step": "second factor", "reason": "wrong"}, survives=True)
        raise WrongCredentials
    if not throttle.first_use(f"second factor challenge:{number}"):
        raise InvalidToken("used before")
    first_factor.resume(noted)
    return refresh_tokens.begin(gate.admit_program(user, second=method))


def _method_of(user: User, code: str) -> str | None:
    """By which of the user's second factors the code is theirs; it counts once."""
    security = _security()
    if user.tf_primary_method and user.tf_totp_secret:
        skew = current_app.config["SECURITY_TWO_FACTOR_AUTHENTICATOR_VALIDITY"]
        # It locks the user: who comes with the same code waits, and then it does not count.
        if security.totp_factory.verify_totp(code, user.tf_totp_secret, user, window=skew):
            return AUTHENTICATOR
    g.db.refresh(user, with_for_update=True)
    if security.mf_recovery_codes_util.check_recovery_code(user, code):
        security.mf_recovery_codes_util.delete_recovery_code(user, code)
        return RECOVERY_CODE
    return None


def _methods_of(user: User) -> tuple[str, ...]:
    """The user's second factors of which a program can send a code."""
    methods = (AUTHENTICATOR,) if user.tf_primary_method and user.tf_totp_secret else ()
    return (*methods, RECOVERY_CODE) if user.mf_recovery_codes else methods


def _challenge(user: User) -> str:
    noted = first_factor.of(user)
    if noted is None:
        raise WrongCredentials
    record = {"first": asdict(noted), "handle": _handle(user), "number": secrets.token_urlsafe(16)}
    return str(_serializer().dumps(record))


def _read(challenge: str) -> tuple[User, FirstFactor, str]:
    try:
        record: dict[str, Any] = _serializer().loads(challenge, max_age=COUNTS_FOR)
    except BadSignature:
        raise InvalidToken("no challenge of ours, or too old") from None
    noted = FirstFactor(**record["first"])
    user: User | None = g.db.find(User, uuid.UUID(noted.user))
    if user is None or _handle(user) != record["handle"] or not noted.is_recent:
        raise InvalidToken("its user has changed")
    return user, noted, record["number"]


def _handle(user: User) -> str:
    return token_secrets.digest(user.fs_uniquifier)


def _serializer() -> URLSafeTimedSerializer:
    keys = [*current_app.config.get("SECRET_KEY_FALLBACKS", ()), current_app.config["SECRET_KEY"]]
    return URLSafeTimedSerializer(keys, salt=f"second factor {g.tenant.id}")


def _security() -> Any:
    return current_app.extensions["security"]
