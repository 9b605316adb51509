"""Pages of what is found: by index, or by a cursor that is stable while resources come and go (RFC 9865)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from flask import g
from scim2_models import InvalidCursorException, Resource, ScimFilter, SearchRequest
from scim2_server.storage import SearchPage
from sqlalchemy import ColumnElement, func, select

from auth.scim import bounds
from auth.scim.documents import MODELS, ROWS, describe
from auth.scim.models import ScimResource
from auth.scim.ordering import Order, Place, Rows, order_of, place_of
from auth.scim.schemas import PROVIDER

_LAST_INDEX = 10_000_000


@dataclass(frozen=True, slots=True)
class _Found:
    """A row, whether its account is active, and where it stands in the order."""

    row: ScimResource
    active: bool | None
    place: Place


def page_of_rows(
    conditions: Sequence[ColumnElement[bool]],
    kinds: Sequence[str],
    asked: SearchRequest[Any],
    position: Any,
    *,
    with_members: bool,
) -> SearchPage:
    """The page of what the database finds by itself."""
    matching, order = ROWS.where(*conditions), order_of(asked, kinds)
    total = _count(matching)
    count = asked.count or 0
    if asked.cursor is None:
        found = _rows(order.of(matching).offset(_start_of(asked)).limit(count))
        return SearchPage(total, _told(found, with_members=with_members))
    backwards, place = _read_position(position, order)
    if place is not None:
        matching = matching.where(order.beyond(place, before=backwards))
    found = _rows((order.backwards if backwards else order.of)(matching).limit(count + 1))
    more = len(found) > count
    shown = list(reversed(found[:count])) if backwards else found[:count]
    page = SearchPage(total, _told(shown, with_members=with_members))
    _note_places(page, shown, before=more if backwards else place is not None, after=backwards or more)
    return page


def page_of_matches(
    conditions: Sequence[ColumnElement[bool]],
    kinds: Sequence[str],
    asked: SearchRequest[Any],
    position: Any,
    *,
    with_members: bool,
) -> SearchPage:
    """The page of a filter that only the library understands: it looks at all that the database leaves.

    Raises TooManyException if that is too much.
    """
    matching, order = ROWS.where(*conditions), order_of(asked, kinds)
    rows = _rows(order.of(matching).limit(bounds.MOST_SCANNED + 1))
    found = _matches(rows, kinds, cast(ScimFilter[Any], asked.filter))
    start, stop = _part_of(found, asked, position, order, matching)
    shown = found[start:stop]
    page = SearchPage(len(found), _told(shown, with_members=with_members))
    if asked.cursor is not None:
        _note_places(page, shown, before=start > 0, after=stop < len(found))
    return page


def _matches(rows: Sequence[_Found], kinds: Sequence[str], wanted: ScimFilter[Any]) -> list[_Found]:
    if len(rows) > bounds.MOST_SCANNED:
        raise bounds.too_many()
    bounds.check_tested(wanted.ast, (one.row.attributes for one in rows))
    resources = _told(rows, with_members="members" in wanted.lower())
    bounds.check_tested(wanted.ast, ({"members": getattr(one, "members", None)} for one in resources))
    bound = {kind: cast(Any, ScimFilter)[MODELS[kind]](str(wanted)) for kind in kinds}
    with PROVIDER:
        both = zip(rows, resources, strict=True)
        return [one for one, resource in both if bound[one.row.kind].match(resource)]


def _part_of(
    found: Sequence[_Found], asked: SearchRequest[Any], position: Any, order: Order, matching: Rows
) -> tuple[int, int]:
    """From where to where a page goes."""
    count = asked.count or 0
    if asked.cursor is None:
        return _start_of(asked), _start_of(asked) + count
    backwards, place = _read_position(position, order)
    if place is None:
        return 0, count
    # The database says what comes beyond a place: it alone compares as it sorts.
    statement = matching.where(order.beyond(place, before=backwards)).with_only_columns(ScimResource.id)
    there = set(g.db.scalars(statement))
    if backwards:
        stop = sum(one.row.id in there for one in found)
        return max(stop - count, 0), stop
    start = sum(one.row.id not in there for one in found)
    return start, start + count


def _start_of(asked: SearchRequest[Any]) -> int:
    return min((asked.start_index or 1) - 1, _LAST_INDEX)


def _count(matching: Rows) -> int:
    counted = select(func.count()).select_from(matching.with_only_columns(ScimResource.id).subquery())
    return g.db.scalar(counted) or 0


def _rows(statement: Rows) -> list[_Found]:
    return [_Found(row, active, place_of(row, values)) for row, active, *values in g.db.execute(statement)]


def _told(found: Sequence[_Found], *, with_members: bool = True) -> list[Resource[Any]]:
    return describe([(one.row, one.active) for one in found], with_members=with_members)


def _read_position(position: Any, order: Order) -> tuple[bool, Place | None]:
    """Whether to go back, and from where; the cursor is sealed, so that it is one of ours, and of this order."""
    if position is None:
        return False, None
    place = position.get("at")
    if not isinstance(place, list) or len(place) != len(order.keys):
        raise InvalidCursorException
    return position.get("to") == "previous", place


def _note_places(page: SearchPage, shown: Sequence[_Found], *, before: bool, after: bool) -> None:
    if shown and after:
        page.next = {"to": "next", "at": shown[-1].place}
    if shown and before:
        page.previous = {"to": "previous", "at": shown[0].place}
