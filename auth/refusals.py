"""What a person is told who could not be signed in."""

from flask import Response, after_this_request
from flask_babel import gettext as _
from flask_babel import ngettext
from flask_security.utils import get_message

from auth.errors import AuthError, LinkNeeded, SignInRefused, SourceUnavailable, Throttled, WrongCredentials

RETRY_AFTER = 15
"""Seconds until a directory that did not answer is asked again, see `auth/breakers.py`."""


def explain_failure(error: AuthError) -> str:
    """What to tell a person who could not be signed in. Raises what is no answer to a sign-in."""
    if isinstance(error, WrongCredentials):
        return str(get_message("GENERIC_AUTHN_FAILED")[0])
    if isinstance(error, LinkNeeded):
        return str(
            _(
                "That is right, but there is an account with your e-mail address already. To connect the two, sign in"
                " now with the password of that account."
            )
        )
    if isinstance(error, SignInRefused):
        return str(error)
    if isinstance(error, SourceUnavailable):
        _answer_with(503, RETRY_AFTER)
        return str(_("The company directory cannot be reached, so nobody could be asked. Try again in a moment."))
    if isinstance(error, Throttled):
        return too_many(error)
    raise error


def too_many(error: Throttled) -> str:
    """The message for somebody who is throttled; the answer becomes 429 with Retry-After."""

    _answer_with(429, error.retry_after)
    minutes = -(-error.retry_after // 60)
    message: str = ngettext(
        "Too many attempts. Try again in %(num)s minute.", "Too many attempts. Try again in %(num)s minutes.", minutes
    )
    return message


def _answer_with(status: int, retry_after: int) -> None:
    @after_this_request
    def refuse(response: Response) -> Response:
        response.status_code = status
        response.headers["Retry-After"] = str(retry_after)
        return response
