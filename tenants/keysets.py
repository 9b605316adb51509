"""Orders of a list, and the place in one behind which its next page begins: stable while rows come and go.

    ORDERS = Orders(Group.id, created=(), name=(Group.name,))
    statement = ORDERS[sort].page(select(Group), limit=limit, after=place)

A place is the values of the order's columns in a row, the id last. Cursors carry it as text.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, TypeVar

from sqlalchemy import BindParameter, ColumnElement, Select, TypeDecorator, func, literal, tuple_, type_coerce
from sqlalchemy.orm import InstrumentedAttribute

LONG_AGO, NEVER = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
"""What stands for a time that is not set: before all others, or behind them."""

Place = Sequence[Any]
"""A place in a list: the values by which it is ordered, the id last."""
Rows = TypeVar("Rows", bound=Select[*tuple[Any, ...]])


@dataclass(frozen=True, slots=True)
class Key:
    """By what a list is ordered: the same in the database and of a row that was read. It is never null."""

    expression: ColumnElement[Any]
    of: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Order:
    """An order of a list. The id, which is the last of the keys, breaks ties and turns around with the others."""

    name: str
    """Without the minus of the order that descends."""
    keys: tuple[Key, ...]
    descends: bool

    @property
    def parts(self) -> int:
        """Of how many parts a place consists, written as text."""
        return len(self.keys) + (len(self.keys) > 1)

    def page(
        self,
        statement: Rows,
        *,
        limit: int | BindParameter[int] | None = None,
        offset: int | BindParameter[int] = 0,
        after: Place | None = None,
    ) -> Rows:
        """A part of what the statement selects, in this order, or all; `after` is the place, or parameters for one."""
        columns = [key.expression for key in self.keys]
        if after is not None:
            statement = statement.where(self._is_behind(after))
        ordered = statement.order_by(*(column.desc() if self.descends else column.asc() for column in columns))
        return ordered.limit(limit).offset(offset)

    def write(self, row: Any) -> list[str]:
        """The place of a row, as text; `read` reads it again. Of an order by ids it is the id alone."""
        values = [key.of(row) for key in self.keys]
        told = [value.isoformat() if isinstance(value, date) else str(value) for value in values]
        return [self.name, *told] if len(told) > 1 else told

    def read(self, written: Sequence[str]) -> Place:
        """The place that was written. Raises ValueError for what is none, or one in a list of another order."""
        if len(self.keys) > 1:
            name, *written = written
            if name != self.name:
                raise ValueError("a place in a list of another order")
        return [_reading(key)(text) for key, text in zip(self.keys, written, strict=True)]

    def _is_behind(self, place: Place) -> ColumnElement[bool]:
        columns = [key.expression for key in self.keys]
        values = [type_coerce(value, column.type) for column, value in zip(columns, place, strict=True)]
        mine, theirs = (columns[0], values[0]) if len(columns) == 1 else (tuple_(*columns), tuple_(*values))
        return mine < theirs if self.descends else mine > theirs


class Orders(Mapping[str, Order]):
    """The orders of a list by name, each of them also with a minus, which descends."""

    def __init__(
        self, id_: InstrumentedAttribute[uuid.UUID], **named: Sequence[Key | InstrumentedAttribute[Any]]
    ) -> None:
        """The columns of each order, without the id. None at all: by id, which is by age (UUIDv7)."""
        self._orders: dict[str, Order] = {}
        for name, columns in named.items():
            keys = tuple(each if isinstance(each, Key) else _plain(each) for each in (*columns, id_))
            self._orders |= {name: Order(name, keys, False), f"-{name}": Order(name, keys, True)}

    def __getitem__(self, name: str) -> Order:
        return self._orders[name]

    def __iter__(self) -> Any:
        return iter(self._orders)

    def __len__(self) -> int:
        return len(self._orders)


def filled(column: InstrumentedAttribute[Any], filling: Any) -> Key:
    """A column that can be empty, which counts as `filling` then: no database says where NULLs stand in comparisons."""

    def of(row: Any) -> Any:
        value = getattr(row, column.key)
        return filling if value is None else value

    return Key(func.coalesce(column, literal(filling, column.type)), of)


def _plain(column: InstrumentedAttribute[Any]) -> Key:
    return Key(column.expression, lambda row: getattr(row, column.key))


def _reading(key: Key) -> Callable[[str], Any]:
    kind = key.expression.type
    return _READ[(kind.impl_instance if isinstance(kind, TypeDecorator) else kind).python_type]


def _read_time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("naive datetime: times are UTC and aware")
    try:
        return time.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("no such time") from error


_READ: Mapping[type, Callable[[str], Any]] = {
    uuid.UUID: uuid.UUID,
    int: int,
    str: str,
    date: date.fromisoformat,
    datetime: _read_time,
}
