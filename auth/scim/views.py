"""`/scim/v2`: what the library answers, as answers of ours."""

import json

from flask import Blueprint, Flask, Response, current_app, request
from scim2_models import InvalidSyntaxException, SCIMException
from scim2_server.handler import ScimHandler
from scim2_server.requests import ScimRequest
from scim2_server.responses import SCIM_MEDIA_TYPE, ScimResponse

from auth import json_body
from auth.csrf import from_machines
from auth.json_body import InvalidJson
from auth.permissions import provisions
from auth.scim import callers, documents
from auth.scim.listings import PREFIX
from auth.scim.schemas import PROVIDER
from auth.scim.service import BoundedService, GroupAwareHandler
from auth.scim.storage import DatabaseStorage
from tenants.signals import tenant_opening, tenant_unbound

bp = Blueprint("scim", __name__, url_prefix=PREFIX)
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def init_app(app: Flask) -> None:
    """Serve SCIM on `app`: after its tenants, and before access is enforced."""
    # Sealed with a key that every process has; a cursor lasts no longer than an hour anyway.
    service = BoundedService(PROVIDER, secret=f"scim cursors {app.config['SECRET_KEY']}")
    app.extensions["scim"] = GroupAwareHandler(service, DatabaseStorage())
    app.register_blueprint(bp)
    tenant_opening.connect(callers.ask_with_opening, app)
    app.before_request(callers.identify)
    tenant_unbound.connect(callers.forget, app)


@bp.route("", defaults={"path": ""}, methods=_METHODS)
@bp.route("/", defaults={"path": ""}, methods=_METHODS)
@bp.route("/<path:path>", methods=_METHODS)
@provisions
@from_machines
def serve(path: str) -> Response:
    """Answer any SCIM request of a source (RFC 7644, section 3.2)."""
    handler: ScimHandler = current_app.extensions["scim"]
    try:
        answer = handler.handle(_read(path))
    except SCIMException as error:
        answer = handler.service.error_response(error)
    answer.headers.setdefault("Cache-Control", "no-store")
    return _write(answer)


def _read(path: str) -> ScimRequest:
    return ScimRequest(
        method=request.method,
        base_url=documents.address(),
        path="/" + path.removesuffix(".scim"),
        query=request.args.to_dict(),
        headers=list(request.headers.items()),
        body=_body(),
    )


def _body() -> bytes:
    data = json_body.received()
    try:
        json_body.measure(data)
    except InvalidJson as error:
        raise InvalidSyntaxException(detail=str(error)) from None
    return data


def _write(answer: ScimResponse) -> Response:
    body = b"" if answer.body is None else json.dumps(answer.body).encode()
    response = Response(
        body, status=int(answer.status), content_type=answer.headers.get("Content-Type", SCIM_MEDIA_TYPE)
    )
    for name, value in answer.headers.items():
        if name != "Content-Type":
            response.headers[name] = value
    return response
