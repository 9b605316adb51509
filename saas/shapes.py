"""What the models of the API's operations are made on, and the lists that go on at a cursor."""

import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from saas.api import InvalidFields, read_cursor, write_cursor
from tenants.keysets import Order, Place

T = TypeVar("T")

LARGEST_PAGE = 100
Search = Annotated[str, Field(max_length=200)]
"""Part of a text that is looked for, in capitals or not."""


class Given(BaseModel):
    """Base of what callers send; they are told of what is not known."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    @field_validator("*")
    @classmethod
    def _in_utc(cls, value: Any) -> Any:
        """A time as it will be read again: what makes something answers with it, and the two are one state."""
        if not isinstance(value, datetime) or value.tzinfo is None:
            return value
        try:
            return value.astimezone(UTC)
        except OverflowError:  # at the end of the calendar, where nothing of ours ends
            return value


def _forget_defaults(schema: dict[str, Any]) -> None:
    for described in schema.get("properties", {}).values():
        described.pop("default", None)


class Change(Given):
    """Base of what changes something: what is left out stays, so its defaults mean nothing; use `exclude_unset`."""

    model_config = ConfigDict(json_schema_extra=_forget_defaults)


class Answer(BaseModel):
    """Base of what callers are given: made of a dict, or of the attributes of a row."""

    model_config = ConfigDict(extra="forbid", from_attributes=True, use_attribute_docstrings=True)


class Paging(Given):
    """The query of a list."""

    limit: Annotated[int, Field(ge=1, le=LARGEST_PAGE)] = 20
    """How many at most."""
    cursor: Annotated[str, Field(max_length=1000)] = ""
    """Where to go on: `next_cursor` of the page before."""

    def position(self, length: int) -> list[str] | None:
        """The place that the cursor names, None for the first page. Raises InvalidFields for what is none of ours."""
        return read_cursor(length, self.cursor)

    def place(self, order: Order) -> Place | None:
        """The place in a list of that order that the cursor names, None for the first page. Raises InvalidFields."""
        position = self.position(order.parts)
        try:
            return order.read(position) if position is not None else None
        except ValueError:
            raise bad_cursor() from None

    def after_id(self) -> uuid.UUID | None:
        """The id that the cursor names, of a list in the order of ids. Raises InvalidFields."""
        position = self.position(1)
        return read_id(position[0]) if position is not None else None


def read_id(text: str) -> uuid.UUID:
    """An id that stands in a cursor. Raises InvalidFields for what is none."""
    try:
        return uuid.UUID(text)
    except ValueError:
        raise bad_cursor() from None


def bad_cursor() -> InvalidFields:
    """The refusal of a cursor that is none of the list's."""
    return InvalidFields([{"field": "cursor", "message": "is not one that this list has given"}])


def first_page(rows: Sequence[T], limit: int, place: Callable[[T], Sequence[str]]) -> tuple[Sequence[T], str | None]:
    """Of `limit` + 1 rows those that are shown, and the cursor behind the last of them if there are more."""
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], write_cursor(*place(rows[limit - 1]))


class Page(Answer, Generic[T]):
    """A part of a list; `next_cursor` is null on its last page."""

    # Docstrings of fields are looked for anew for each `Page[...]`, through every frame of the import: half a second.
    model_config = ConfigDict(use_attribute_docstrings=False)

    items: list[T]
    next_cursor: str | None


class CountedPage(Page[T], Generic[T]):
    """A part of a list, and how many there are in all."""

    total: int
