"""In which order a search finds (RFC 7644, section 3.4.2.3), as columns of the database.

Whatever the order, ids decide between equals, so that pages neither repeat nor lose anything. What has no value comes
last, or first in descending order.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from inspect import isclass
from typing import Any

from scim2_models import InvalidValueException, Path, SearchRequest
from sqlalchemy import Boolean, ColumnElement, Select, case, false, func, literal, tuple_

from auth.models import User
from auth.scim.documents import MODELS
from auth.scim.models import ScimResource
from tenants.db import UtcDateTime

Rows = Select[*tuple[Any, ...]]
Place = Sequence[Any]
"""Where something stands in an order: the values that it is ordered by, and its id, as JSON can hold them."""
_ID: ColumnElement[Any] = ScimResource.id.expression
_COLUMNS: dict[str, ColumnElement[Any]] = {
    "active": User.active.expression,
    "id": _ID,
    "externalId": ScimResource.external_id.expression,
    "meta.created": ScimResource.created_at.expression,
    "meta.lastModified": ScimResource.modified_at.expression,
    "meta.resourceType": ScimResource.kind.expression,
}
_NAMES = {"User": "userName", "Group": "displayName"}
_ELSEWHERE = ("groups", "members", "meta", "password", "schemas")


@dataclass(frozen=True, slots=True)
class Order:
    """What is ordered by; the last is the id."""

    keys: tuple[ColumnElement[Any], ...]
    descending: bool = False

    def of(self, statement: Rows) -> Rows:
        """The statement in this order, with the places among its columns."""
        return self._sorted(statement.add_columns(*self.keys[:-1]), self.descending)

    def backwards(self, statement: Rows) -> Rows:
        """The same from the end."""
        return self._sorted(statement.add_columns(*self.keys[:-1]), not self.descending)

    def _sorted(self, statement: Rows, descending: bool) -> Rows:
        return statement.order_by(*(key.desc() if descending else key for key in self.keys))

    def beyond(self, place: Place, *, before: bool) -> ColumnElement[bool]:
        """What comes after that place, or before it."""
        here = tuple_(*(literal(_read(value, key), key.type) for value, key in zip(place, self.keys, strict=True)))
        keys = tuple_(*self.keys)
        return keys < here if before != self.descending else keys > here


def order_of(asked: SearchRequest[Any], kinds: Sequence[str]) -> Order:
    """The order that a search asks for. Raises InvalidValueException for what nothing is ordered by."""
    if asked.sort_by is None:
        return Order((_ID,))  # an order goes with an attribute
    descending = asked.sort_order == SearchRequest.SortOrder.descending
    found = {kind: key for kind in kinds if (key := _key_of(asked.sort_by, kind)) is not None}
    key = next(iter(found.values()))
    if key is _ID:
        return Order((_ID,), descending)
    if len(kinds) > 1:
        key = case(*((ScimResource.kind == kind, one) for kind, one in found.items()))
    if isinstance(key.type, UtcDateTime):  # everything has one
        return Order((key, _ID), descending)
    # Databases differ on where nothing comes, and it is neither less than anything nor greater.
    instead = false() if isinstance(key.type, Boolean) else literal("")
    return Order((case((key.is_(None), 1), else_=0), func.coalesce(key, instead), _ID), descending)


def place_of(row: ScimResource, values: Sequence[Any]) -> Place:
    """Where a row stands, by the values that the statement gives beside it."""
    return [*(value.isoformat() if isinstance(value, datetime) else value for value in values), str(row.id)]


def _key_of(path: Path[Any], kind: str) -> ColumnElement[Any] | None:
    """What resources of that kind are ordered by; None if they have no such attribute."""
    binding = path.resolve(MODELS[kind])
    if binding is None:
        return None
    schema, _, name = binding.urn.rpartition(":")
    if name == _NAMES[kind]:
        return ScimResource.name_key.expression
    if name in _COLUMNS:
        return _COLUMNS[name]
    first = name.partition(".")[0]
    if binding.is_multivalued or first in _ELSEWHERE or not _is_text(binding.target_type):
        raise InvalidValueException(detail=f"Nothing is sorted by {name}")
    parts = name.split(".") if schema == MODELS[kind].__schema__ else [schema, *name.split(".")]
    value = ScimResource.attributes[parts].as_string()
    return value if binding.case_exact else func.lower(value)


def _is_text(type: Any) -> bool:
    return isclass(type) and issubclass(type, str)


def _read(value: Any, key: ColumnElement[Any]) -> Any:
    if isinstance(key.type, UtcDateTime):
        return datetime.fromisoformat(value)
    return uuid.UUID(value) if key is _ID else value
