"""Orders of the list of projects, and how a cursor names a place in one."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row, func
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.elements import ColumnElement

from saas.projects.models import Project

_NO_DATE = date(9999, 12, 31)  # a project without due date comes after those with one

SORTS: Mapping[str, tuple[ColumnElement[Any] | InstrumentedAttribute[Any], bool]] = {
    "-created": (Project.id, True),  # ids are in order of time (UUIDv7)
    "created": (Project.id, False),
    "name": (Project.name, False),
    "-name": (Project.name, True),
    "-updated": (Project.updated_at, True),
    "updated": (Project.updated_at, False),
    "due": (func.coalesce(Project.due_on, _NO_DATE), False),
    "-due": (func.coalesce(Project.due_on, _NO_DATE), True),
}
"""Orders of a list: the sorted expression, and whether it descends. The id breaks ties."""


def place_of(row: Row[Any], sort: str) -> list[str]:
    """The place of a row in a list of that order, as text; `read_place` reads it again."""
    column = sort.removeprefix("-")
    value = {"created": row.id, "name": row.name, "updated": row.updated_at, "due": row.due_on or _NO_DATE}[column]
    return [column, value.isoformat() if isinstance(value, date) else str(value), str(row.id)]


def read_place(place: Sequence[str], sort: str) -> tuple[Any, uuid.UUID]:
    """The `after` that continues a list of that order there. Raises ValueError for the place of another order."""
    column, value, row_id = place
    if column != sort.removeprefix("-"):
        raise ValueError("a place in a list of another order")
    read: Mapping[str, Callable[[str], Any]] = {
        "created": uuid.UUID,
        "name": str,
        "updated": datetime.fromisoformat,
        "due": date.fromisoformat,
    }
    return read[column](value), uuid.UUID(row_id)
