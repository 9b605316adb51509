"""Errors as answers: the only place that knows which fault is which status.

A page for people, RFC 9457 problem+json for programs, SCIM's own for directories. None ever holds a trace, or needs the
database.
"""

from typing import Any

import structlog
from flask import Flask, Response, abort, current_app, flash, g, jsonify, redirect, render_template, request, url_for
from flask.globals import request_ctx
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import (
    HTTPException,
    InternalServerError,
    NotFound,
    ServiceUnavailable,
    TooManyRequests,
)

from auth import denials
from auth.errors import Busy, NotAllowed, SecondFactorNeeded, SignInRefused, Throttled, UnknownRole
from auth.identity import forget_identity
from auth.oauth_server import metadata
from auth.permissions import BadBearer
from auth.scim import errors as scim_errors
from saas import problems
from tenants.errors import DatabaseUnavailable
from tenants.request import SAFE_METHODS, Suspended

log = structlog.get_logger()

RETRY_AFTER = 5  # seconds, until the database may be back


class OwnText(HTTPException):
    """An error whose text says more to the person than its status would."""

    def __init__(self, code: int, text: str, problem: str | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.problem = problem


def init_app(app: Flask) -> None:
    """Register the handlers."""
    app.before_request(refuse_nul)
    app.register_error_handler(HTTPException, answer)
    for outage in (OperationalError, InterfaceError, PoolTimeout, DatabaseUnavailable):
        app.register_error_handler(outage, answer_outage)
    app.register_error_handler(UnknownRole, lambda error: answer(NotFound()))  # it was deleted in this moment
    app.register_error_handler(Throttled, lambda error: answer(TooManyRequests(retry_after=error.retry_after)))
    app.register_error_handler(Busy, lambda error: answer(ServiceUnavailable(retry_after=RETRY_AFTER)))
    app.register_error_handler(NotAllowed, lambda error: answer(OwnText(403, str(error), "guarded")))
    app.register_error_handler(SignInRefused, answer_refused_sign_in)
    app.register_error_handler(SecondFactorNeeded, lead_to_second_factor)


def refuse_nul() -> None:
    """No name, text or id holds a NUL; databases refuse it in their own ways. A before_request hook."""
    if "\0" in request.path or b"%00" in request.query_string or b"\0" in request.query_string:
        abort(400)
    if request.method not in SAFE_METHODS and any("\0" in value for _name, value in request.form.items(multi=True)):
        abort(400)


def answer(error: HTTPException) -> ResponseReturnValue:
    """Any HTTP error, as a page, as a problem or as SCIM's."""
    if isinstance(error, InternalServerError) and _is_outage(error.original_exception):
        return answer_outage(error.original_exception)
    if error.code is None or error.code < 400:
        return error  # a redirect
    if error.code == 403 and not isinstance(error, Suspended):
        denials.note(str(error.description) if isinstance(error, OwnText) else "")  # the latter is a guard's
    if error.code >= 500:
        forget_identity()  # the page must not look anybody up
    if scim_errors.concern(request.path):
        return scim_errors.answer(error)
    if wants_json():
        return _as_problem(error)
    if error.code == 401:
        return redirect(url_for("security.login", next=_here()))
    return _as_page(error)


def answer_outage(error: Any) -> ResponseReturnValue:
    """The database does not answer: 503, to be tried again."""
    if not _is_outage(error):
        raise error
    log.error("the database does not answer", error=str(getattr(error, "orig", error)))
    return answer(ServiceUnavailable(retry_after=RETRY_AFTER))


def answer_refused_sign_in(error: SignInRefused) -> ResponseReturnValue:
    """Somebody has proved who they are and may not come in."""
    if wants_json():
        return _as_problem(OwnText(403, str(error), "sign-in-refused"))
    flash(str(error), "error")
    return redirect(url_for("security.login"))


def lead_to_second_factor(_error: SecondFactorNeeded) -> ResponseReturnValue:
    """Somebody has to set a second factor up, and can do nothing else before."""
    said = _("This workspace asks for a second factor: set one up to go on.")
    if wants_json():
        return _as_problem(OwnText(403, said, "second-factor-needed"))
    flash(said, "info")
    return redirect(url_for("security.two_factor_setup"))


def wants_json() -> bool:
    """Whether the caller is a program rather than a person at a browser."""
    view = current_app.view_functions.get(request.endpoint or "")
    if request.path.startswith("/api/") or getattr(view, "from_machines", False):
        return True
    best = request.accept_mimetypes.best_match(["text/html", "application/json", "application/problem+json"])
    return best is not None and best != "text/html"


def _as_problem(error: HTTPException) -> Response:
    # What is said of a bad request to people speaks of the page that sent it.
    detail = error.description if error.code == 400 else _message(error) or error.description
    problem = {"type": problems.type_of(error), "title": error.name, "status": error.code, "detail": detail}
    if request_id := g.get("request_id"):
        problem["instance"] = f"urn:request:{request_id}"
    if fields := getattr(error, "fields", None):
        problem["errors"] = fields
    problem |= getattr(error, "members", {})
    response = jsonify(problem)
    response.content_type = "application/problem+json"
    return _finish(response, error)


def _as_page(error: HTTPException) -> Response:
    if request_ctx.url_adapter is None:  # the request names no host, and the page has links all the same
        request_ctx.url_adapter = current_app.url_map.bind("localhost")
    template = "suspended.html" if isinstance(error, Suspended) else "errors/error.html"
    page = render_template(
        template,
        code=error.code,
        title=_title(error),
        message=_message(error) or _hint(error),
        request_id=g.get("request_id"),
        retry_after=getattr(error, "retry_after", None),
    )
    return _finish(Response(page, content_type="text/html; charset=utf-8"), error)


def _finish(response: Response, error: HTTPException) -> Response:
    response.status_code = error.code or 500
    if retry_after := getattr(error, "retry_after", None):
        response.headers["Retry-After"] = str(retry_after)
    if error.code == 405:
        response.allow.update(getattr(error, "valid_methods", None) or ())
    if error.code == 401:
        response.headers["WWW-Authenticate"] = _challenge(error)
    return response


def _challenge(error: HTTPException) -> str:
    """How to show who calls: by a bearer token (RFC 6750, section 3; RFC 9728, section 5.1), or on a page."""
    if not (request.path.startswith("/api/") or isinstance(error, BadBearer)) or "tenant" not in g:
        return 'Session realm="workspace"'
    refused = ', error="invalid_token"' if isinstance(error, BadBearer) else ""
    about = f"{metadata.issuer()}{url_for('oauth.resource_metadata')}"
    return f'Bearer realm="{g.tenant.slug}"{refused}, resource_metadata="{about}"'


def _title(error: HTTPException) -> str:
    titles = {
        400: _("This request cannot be understood"),
        403: _("You may not do this"),
        404: _("There is nothing here"),
        405: _("This address does not take that request"),
        413: _("That is too much at once"),
        422: _("Something in this request is wrong"),
        429: _("Too many requests"),
        500: _("Something went wrong on our side"),
        503: _("We will be back in a moment"),
    }
    title: str = titles.get(error.code or 500) or _("This request cannot be answered")
    return title


def _message(error: HTTPException) -> str:
    if isinstance(error, OwnText):
        return str(error.description)
    if isinstance(error, BadBearer):
        return str(_("This token counts not, or not any more: a new one is needed."))
    messages = {
        400: _("The page may have been open for too long. Go back, reload it and try again."),
        401: _("Sign in first."),
        403: _("Ask an administrator of your workspace if you need to."),
        404: _("The address is wrong, or what was here is gone."),
        413: _("At most 1 MiB can be sent in one request."),
        429: _("Wait a while, then try again."),
        500: _("It has been noted. Nothing was changed by your request."),
        503: _("The service cannot be reached right now. Nothing was changed by your request; try again soon."),
    }
    message: str = messages.get(error.code or 500, "")
    return message


def _hint(error: HTTPException) -> str:
    # For people only: a program is told what Werkzeug, or whoever raised it, says.
    hints = {
        405: _("It is reached through the buttons of our pages only. Go back and use those."),
        422: _("A value is not one of those that are offered. Go back, reload the page and try again."),
    }
    hint: str = hints.get(error.code or 500, "")
    return hint


def _is_outage(error: BaseException | None) -> bool:
    if isinstance(error, DatabaseUnavailable | PoolTimeout | InterfaceError):
        return True
    return isinstance(error, OperationalError | DBAPIError) and (
        isinstance(error, OperationalError) or error.connection_invalidated
    )


def _here() -> str | None:
    # Relative, so that it stays on this host; a form is not submitted again after signing in.
    return request.full_path.rstrip("?") if request.method == "GET" and request.path != "/" else None
