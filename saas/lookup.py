"""What an address names, or 404."""

import uuid
from typing import TypeVar

from flask import abort

T = TypeVar("T")


def found(row: T | None) -> T:
    """The row that was looked up. Answers 404 when there is none, or none of this workspace."""
    if row is None:
        abort(404)
    return row


def id_in(text: str) -> uuid.UUID:
    """The id in a form or a query. Answers 404 for what is none."""
    try:
        return uuid.UUID(text)
    except ValueError:
        abort(404)
