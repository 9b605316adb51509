"""Filters (RFC 7644, section 3.4.2.2) as conditions of the database.

What has a column is translated; of the rest comes what a match needs at the least, and the library looks at each
resource that is left. No text of a filter ever becomes a part of a statement: values are bound.
"""

import uuid
from dataclasses import dataclass
from typing import Any

from scim2_models import InvalidFilterException, ScimFilter, TooManyException
from scim2_models.path import (
    AttrPath,
    CompareOperator,
    Comparison,
    FilterNode,
    LogicalExpr,
    LogicalOperator,
    Not,
    Present,
    ValuePath,
)
from sqlalchemy import ColumnElement, Text, and_, false, func, not_, or_, true
from sqlalchemy import cast as sql_cast

from auth.models import User
from auth.scim.models import ScimResource
from auth.scim.names import comparable

LONGEST = 4000
MOST_SCANNED = 2000
"""How many resources the library looks at for one search."""
_SHORTEST_HINT = 3
_NAMES = {"User": "username", "Group": "displayname"}
_TEXT = func.lower(sql_cast(ScimResource.attributes, Text))


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What the database finds; `exact` unless the library has to look at each, too."""

    condition: ColumnElement[bool]
    exact: bool


def narrow(wanted: ScimFilter[Any] | None, kinds: list[str]) -> Narrowing:
    """What a filter asks of the database. Raises InvalidFilterException for one that is too long."""
    if wanted is None:
        return Narrowing(true(), exact=True)
    if len(wanted) > LONGEST:
        raise InvalidFilterException(detail=f"A filter has at most {LONGEST} characters")
    if len(kinds) != 1:
        return Narrowing(true(), exact=False)
    exact = _translate(wanted.ast, kinds[0])
    return Narrowing(exact, exact=True) if exact is not None else Narrowing(_hint(wanted.ast, kinds[0]), exact=False)


def too_many() -> TooManyException:
    """The answer to a filter that leaves too many resources to look at."""
    return TooManyException(
        detail=f"The filter leaves more than {MOST_SCANNED} resources: compare userName or externalId"
    )


def _translate(node: FilterNode, kind: str) -> ColumnElement[bool] | None:
    """The condition that holds exactly where the filter does; None if there is none."""
    if isinstance(node, Comparison):
        return _compare(node, kind)
    if isinstance(node, Present):
        return true() if _name(node.attr_path) in (_NAMES[kind], "id") else None
    if isinstance(node, Not):
        inner = _translate(node.expr, kind)
        return not_(inner) if inner is not None else None
    if isinstance(node, LogicalExpr):
        terms = [_translate(term, kind) for term in node.terms]
        known = [term for term in terms if term is not None]
        if len(known) < len(terms):
            return None
        return and_(*known) if node.op == LogicalOperator.and_ else or_(*known)
    return None


def _hint(node: FilterNode, kind: str) -> ColumnElement[bool]:
    """A condition that holds at least wherever the filter does."""
    if isinstance(node, LogicalExpr):
        terms = [_translate(term, kind) for term in node.terms]
        hints = [
            exact if exact is not None else _hint(term, kind) for exact, term in zip(terms, node.terms, strict=True)
        ]
        return and_(*hints) if node.op == LogicalOperator.and_ else or_(*hints)
    if isinstance(node, ValuePath):
        return _hint(node.val_filter, kind) if _is_kept(node.attr_path) else true()
    if isinstance(node, Comparison) and _is_hint(node.op, node.value) and _is_kept(node.attr_path):
        return _TEXT.contains(node.value.lower(), autoescape=True)
    return true()


def _is_kept(path: AttrPath) -> bool:
    """Whether the attribute stands in the row as it was sent, and not elsewhere."""
    return _name(path).partition(".")[0] not in ("groups", "members", "meta", "id", "externalid", "schemas")


def _is_hint(op: CompareOperator, value: object) -> bool:
    """Whether the value stands in the JSON of every match as it is."""
    contained = (CompareOperator.eq, CompareOperator.co, CompareOperator.sw, CompareOperator.ew)
    if op not in contained or not isinstance(value, str) or len(value) < _SHORTEST_HINT:
        return False
    return value.isascii() and value.isprintable() and not set(value) & {'"', "\\", "/"}


def _compare(node: Comparison, kind: str) -> ColumnElement[bool] | None:
    name, op, value = _name(node.attr_path), node.op, node.value
    if isinstance(value, str) and not _is_storable(value):
        return None
    if name == _NAMES[kind] and isinstance(value, str):
        return _compare_name(op, comparable(value))
    if op != CompareOperator.eq:
        return None
    if name == "externalid" and isinstance(value, str):
        same = ScimResource.external_id == value
        return and_(ScimResource.external_id.is_not(None), same)  # never unknown, so that `not` turns it round
    if name == "id" and isinstance(value, str):
        found = resource_id(value)
        return ScimResource.id == found if found is not None else false()
    if name == "active" and kind == "User" and isinstance(value, bool):
        return and_(User.active.is_not(None), User.active == value)
    return None


def _compare_name(op: CompareOperator, value: str) -> ColumnElement[bool] | None:
    key = ScimResource.name_key
    match op:
        case CompareOperator.eq:
            return key == value
        case CompareOperator.ne:
            return key != value
        case CompareOperator.co:
            return key.contains(value, autoescape=True)
        case CompareOperator.sw:
            return key.startswith(value, autoescape=True)
        case CompareOperator.ew:
            return key.endswith(value, autoescape=True)
    return None


def resource_id(text: str) -> uuid.UUID | None:
    """The id of a resource, in the one form in which it is told."""
    try:
        found = uuid.UUID(text)
    except ValueError:
        return None
    return found if str(found) == text else None


def _name(path: AttrPath) -> str:
    if path.uri is not None:  # of whichever schema: the library knows
        return str(path).lower()
    return f"{path.attr}.{path.sub_attr}".lower() if path.sub_attr else path.attr.lower()


def _is_storable(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)
