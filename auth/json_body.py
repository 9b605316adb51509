"""JSON from outside, bounded before anything recursive looks at it."""

import json
import math
import re
from typing import Any

from flask import abort, request

DEEPEST = 32
"""Objects and lists within each other."""
MOST_MEMBERS = 20_000
"""Values of all objects and lists together: what fits into a body can be a million, each of them an object of ours."""

# A string, or what begins, ends or divides. Each part is taken for good (*+), and a string that never ends is taken to
# the end, so that no text makes this look at a character twice.
_PART = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?+|[\[\]{},]', re.DOTALL)


class InvalidJson(ValueError):
    """No JSON (RFC 8259), or more of it than is read; the text says which."""


def received() -> bytes:
    """The request's body, whole.

    Answers 413 for one that is too large, also if its length was not told, and 415 for one that is compressed.
    """
    # What it would become is bounded by nothing; and who looks at requests before us might read something else.
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        abort(415)
    data = request.get_data()
    # Of a body without a length Werkzeug gives the part that is allowed, and no error.
    if request.content_length is None and len(data) >= (request.max_content_length or 0):
        abort(413)
    return data


def parse(data: bytes) -> Any:
    """The value that UTF-8 JSON holds.

    Numbers are finite, and names stand once in an object (RFC 7493, sections 2.2 and 2.3). Raises InvalidJson.
    """
    text = measure(data)
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise InvalidJson("this is not JSON") from None


def measure(data: bytes) -> str:
    """The text of what may be JSON, as deep and as much as is read. Raises InvalidJson for more."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidJson("JSON is written in UTF-8") from None
    depth = members = 0
    for found in _PART.finditer(text):
        part = found[0]
        if part in "[{":
            depth += 1
            members += 1
            if depth > DEEPEST:
                raise InvalidJson(f"at most {DEEPEST} objects and lists can be within each other")
        elif part in "]}":
            depth -= 1
        elif part == ",":
            members += 1
        if members > MOST_MEMBERS:
            raise InvalidJson(f"at most {MOST_MEMBERS} values can be sent at once")
    return text


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Of two of a name one parser takes the first and another the last, and what was looked at is not what is done.
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a name stands twice")
    return value


def _refuse(name: str) -> None:
    raise ValueError(name)


def _finite(written: str) -> float:
    number = float(written)
    if not math.isfinite(number):
        raise ValueError(written)
    return number
