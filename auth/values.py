"""What Flask-Security's views are not prepared for is refused before it reaches them.

They take the values of a JSON body for strings, and an address to go on to for a well-formed one.
"""

from typing import Any
from urllib.parse import urlsplit

from flask import abort, request

_ALSO: dict[str, type[int]] = {"code": int, "remember": bool, "submit": bool, "generate_new_codes": bool}


def check() -> None:
    """Answer 400 for a body or an address that no form of ours sends. A before_request hook."""
    if request.blueprint != "security":
        return
    body = _body() if request.is_json and request.content_length else {}
    if not all(_is_plain(name, value) for name, value in body.items()):
        abort(400)
    for source in (request.args, request.form, body):
        if not _is_address(source.get("next") or ""):
            abort(400)


def _body() -> dict[str, Any]:
    try:
        body = request.get_json(silent=True)
    except RecursionError:
        body = None
    if not isinstance(body, dict):
        abort(400)
    return body


def _is_plain(name: str, value: Any) -> bool:
    if value is None or type(value) is _ALSO.get(name):
        return True
    return isinstance(value, str) and "\0" not in value and _is_encodable(value)


def _is_encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def _is_address(value: str) -> bool:
    try:
        _ = urlsplit(value).port, urlsplit(value.replace("\\", "/")).port
    except ValueError:
        return False
    return True
