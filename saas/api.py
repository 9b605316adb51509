"""What all JSON endpoints share, and `/api/v1/me`."""

import base64
import binascii
import json
import re
from typing import Any

from flask import Blueprint, abort, g, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest, UnprocessableEntity

from auth.permissions import signed_in

bp = Blueprint("api", __name__, url_prefix="/api/v1")

LARGEST_PAGE = 100

# An escaped NUL, in a name or a value at any depth; databases refuse it in their own ways.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class InvalidFields(UnprocessableEntity):
    """A body whose fields are wrong; `fields` says which, and why."""

    def __init__(self, fields: list[dict[str, str]]) -> None:
        super().__init__()
        self.fields = fields


@bp.get("/me")
@signed_in
def me() -> ResponseReturnValue:
    """The caller: tenant, user, roles and permissions."""
    return jsonify(
        tenant={"id": str(g.tenant.id), "slug": g.tenant.slug, "name": g.tenant.name},
        user={"id": str(g.identity.user_id), "email": g.identity.email, "name": g.identity.name},
        roles=list(g.identity.roles),
        permissions=sorted(g.permissions),
    )


def read_object() -> dict[str, Any]:
    """The JSON object in the request's body. Answers 415 for another type, 400 for what is no JSON object."""
    if not request.is_json:
        abort(415)
    try:
        body = json.loads(request.get_data(cache=False), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise BadRequest from None
    if not isinstance(body, dict):
        raise BadRequest
    if _NUL.search(json.dumps(body)):
        raise BadRequest
    return body


def page_size() -> int:
    """The `limit` of a list, 1 to 100, 20 when not given."""
    try:
        limit = int(request.args.get("limit", 20))
    except ValueError:
        raise InvalidFields([{"field": "limit", "message": "must be a whole number"}]) from None
    if not 1 <= limit <= LARGEST_PAGE:
        raise InvalidFields([{"field": "limit", "message": f"must be 1 to {LARGEST_PAGE}"}])
    return limit


def write_cursor(*position: str) -> str:
    """An opaque cursor for the place after `position`."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def read_cursor(length: int) -> list[str] | None:
    """The position in the request's `cursor`, None for the first page. Answers 422 for what is no cursor of ours."""
    cursor = request.args.get("cursor")
    if not cursor:
        return None
    try:
        position = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        position = None
    if not isinstance(position, list) or len(position) != length or not all(isinstance(part, str) for part in position):
        raise InvalidFields([{"field": "cursor", "message": "is not one that a list has given"}])
    return position


def _refuse_constant(name: str) -> None:
    raise ValueError(name)
