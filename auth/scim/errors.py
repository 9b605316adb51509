"""What is refused below `/scim/`, in SCIM's words (RFC 7644, section 3.12): also before, or without, the library."""

from http import HTTPStatus

from flask import Response, json
from scim2_models import Error
from scim2_server.responses import SCIM_MEDIA_TYPE
from werkzeug.exceptions import HTTPException, ServiceUnavailable

ROOT = "/scim"
_UNAVAILABLE = "The service cannot be reached right now. Nothing was changed by this request; try again soon."
_FAULT = "Something went wrong on our side; nothing was changed by this request."
_TOLD = ("Allow", "Retry-After", "WWW-Authenticate")


def concern(path: str) -> bool:
    """Whether who asks for that path speaks SCIM."""
    return path == ROOT or path.startswith(f"{ROOT}/")


def answer(error: HTTPException) -> Response:
    """An HTTP error as an error document."""
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    body = json.dumps(Error(status=status, detail=_detail(error)).model_dump())
    response = Response(body, status=status, content_type=SCIM_MEDIA_TYPE)
    response.headers["Cache-Control"] = "no-store"
    for name, value in error.get_headers():
        if name in _TOLD:
            response.headers[name] = value
    return response


def _detail(error: HTTPException) -> str:
    if isinstance(error, ServiceUnavailable):
        return _UNAVAILABLE
    if error.code is None or error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _FAULT
    return str(error.description or error.name)
