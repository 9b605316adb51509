"""What all JSON endpoints share."""

import base64
import binascii
import json
import re
from typing import Any

from flask import abort, request
from werkzeug.exceptions import BadRequest, UnprocessableEntity

from auth import json_body

LARGEST_PAGE = 100

# An escaped NUL, in a name or a value at any depth; databases refuse it in their own ways.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


class InvalidFields(UnprocessableEntity):
    """A body whose fields are wrong; `fields` says which, and why."""

    def __init__(self, fields: list[dict[str, str]]) -> None:
        super().__init__()
        self.fields = fields


def read_object() -> dict[str, Any]:
    """The JSON object in the request's body. Answers 415 for another type, 400 for what is no JSON object."""
    if not request.is_json:
        abort(415)
    try:
        body = json_body.parse(json_body.received())
    except json_body.InvalidJson as error:
        raise BadRequest(str(error)) from None
    if not isinstance(body, dict):
        raise BadRequest
    if _NUL.search(json.dumps(body)):
        raise BadRequest
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half a character, which no database takes
        raise BadRequest from None
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


def read_cursor(length: int, given: str | None = None) -> list[str] | None:
    """The position in the request's `cursor`, None without one. Raises InvalidFields for what is no cursor of ours."""
    cursor = request.args.get("cursor") if given is None else given
    if not cursor:
        return None
    try:
        position = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        position = None
    if not isinstance(position, list) or len(position) != length or not all(map(_is_text, position)):
        raise InvalidFields([{"field": "cursor", "message": "is not one that a list has given"}])
    return position


def _is_text(part: Any) -> bool:
    """Whether that is a text that databases take: neither NULs nor halves of letters, both of which JSON can hold."""
    return isinstance(part, str) and _NO_TEXT.search(part) is None
