"""JSON of signing in by API: tokens for a password, for a second factor, and for a refresh token; and signing out."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from flask import Blueprint, g, session
from flask_babel import gettext as _
from pydantic import Field
from werkzeug.exceptions import HTTPException, ServiceUnavailable, TooManyRequests

from auth import api_sign_in, audit, refresh_tokens, sessions, throttle
from auth.bearer import knows_nobody
from auth.csrf import from_machines
from auth.errors import (
    InvalidToken,
    LinkNeeded,
    SecondFactorAsked,
    SignInRefused,
    SourceUnavailable,
    WrongCredentials,
)
from auth.identity import SESSION
from auth.permissions import in_person, public
from auth.refresh_tokens import Tokens
from auth.refusals import RETRY_AFTER, explain_failure
from saas.api import InvalidFields
from saas.errors import OwnText
from saas.operations import Answerable, operation
from saas.shapes import Answer, Given

bp = Blueprint("sign_in_api", __name__, url_prefix="/api/v1/auth")

_REVOCATIONS = 100
"""From one address, within a window of the throttle."""
_Secret = Annotated[str, Field(min_length=1, max_length=1024)]


class Grant(Given):
    """What is given for tokens: a password, the second factor after it, or a refresh token."""

    grant: Literal["password", "second-factor", "refresh"]
    username: Annotated[str, Field(min_length=1, max_length=1000)] | None = Field(None, examples=["vera@acme.example"])
    """Of `password`: an e-mail address, or a user name in the company's directory."""
    password: _Secret | None = Field(None, examples=["correct horse battery staple"])
    challenge: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """Of `second-factor`: from the answer to `password`."""
    code: Annotated[str, Field(min_length=1, max_length=api_sign_in.LONGEST_CODE)] | None = None
    """Of `second-factor`: of the authenticator app, or a recovery code."""
    refresh_token: _Secret | None = None
    """Of `refresh`: it is used up, and a new one comes with the answer."""


class TokensJson(Answer):
    """Tokens of a login session."""

    access_token: str
    """For the header `Authorization: Bearer ...`."""
    token_type: Literal["Bearer"]
    expires_in: int
    """Seconds until the access token ends."""
    refresh_token: str
    refresh_expires_in: int
    """Seconds until the refresh token ends, unless it is used before."""


class SecondFactorWanted(OwnText):
    """The password is right; the answer says what is to be sent along with the code, and by what a code is made."""

    def __init__(self, asked: SecondFactorAsked) -> None:
        said = _("Send the code of your second factor along with the challenge.")
        super().__init__(401, said, "second-factor-needed")
        self.members = {"challenge": asked.challenge, "methods": list(asked.methods)}


@bp.post("/token")
@public
@knows_nobody
@from_machines
@operation("Get tokens", body=Grant, returns=TokensJson, errors=(401, 403), tag="Signing in")
def token(body: Grant) -> Answerable:
    """Sign in, or go on being signed in.

    With `grant` `password`, `username` and `password` prove who signs in. Where a second factor is set up, the answer
    is 401 of the kind `second-factor-needed` with a `challenge`, which is sent back with a `code` and `grant`
    `second-factor`. With `grant` `refresh`, a refresh token is exchanged for new tokens: it counts once, and one that
    is used twice ends the login session.
    """
    given = _GRANTS[body.grant](body)
    return {"token_type": "Bearer", **{name: getattr(given, name) for name in Tokens.__slots__}}


@bp.post("/revoke")
@in_person
@operation("Sign out", tag="Signing in")
def revoke() -> Answerable:
    """End the caller's login session, and with it all of its tokens."""
    if not throttle.allows("revocation", _REVOCATIONS):
        raise TooManyRequests(retry_after=int(throttle.WINDOW.total_seconds()))
    login = g.identity.login
    sessions.end(login.id, user_id=login.user_id)
    audit.record("signed out", audit.party_of(g.identity))
    if g.identity.means == SESSION:
        session.clear()


def _by_password(body: Grant) -> Tokens:
    username, password = _given(body, "username", "password")
    try:
        return api_sign_in.begin(username, password)
    except WrongCredentials as error:
        raise _wrong(explain_failure(error)) from None
    except SecondFactorAsked as error:
        raise SecondFactorWanted(error) from None
    except LinkNeeded:
        said = _("There is an account with your e-mail address already: connect the two in a browser first.")
        raise SignInRefused(said) from None
    except SourceUnavailable:
        raise ServiceUnavailable(retry_after=RETRY_AFTER) from None


def _by_second_factor(body: Grant) -> Tokens:
    challenge, code = _given(body, "challenge", "code")
    try:
        return api_sign_in.go_on(challenge, code)
    except InvalidToken:
        raise _wrong(_("This challenge counts no more. Sign in again."), "invalid-token") from None
    except WrongCredentials:
        raise _wrong(_("The code is wrong, or was used before.")) from None


def _by_refresh_token(body: Grant) -> Tokens:
    (refresh_token,) = _given(body, "refresh_token")
    try:
        return refresh_tokens.exchange(refresh_token)
    except InvalidToken:
        raise _wrong(_("This refresh token counts no more. Sign in again."), "invalid-token") from None


_GRANTS: dict[str, Callable[[Grant], Tokens]] = {
    "password": _by_password,
    "second-factor": _by_second_factor,
    "refresh": _by_refresh_token,
}


def _given(body: Grant, *names: str) -> list[Any]:
    """The fields that the grant takes. Raises InvalidFields for one that is missing, or for another's."""
    others = body.model_dump(exclude_none=True).keys() - {"grant", *names}
    faults = [{"field": name, "message": "is needed for this grant"} for name in names if not getattr(body, name)]
    faults += [{"field": name, "message": "does not belong to this grant"} for name in sorted(others)]
    if faults:
        raise InvalidFields(faults)
    return [getattr(body, name) for name in names]


def _wrong(said: str, problem: str = "wrong-credentials") -> HTTPException:
    return OwnText(401, said, problem)
