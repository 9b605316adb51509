"""Filters (RFC 7644, section 3.4.2.2) as conditions of the database.

What has a column is translated; of the rest comes what a match needs at the least, and the library looks at each
resource that is left. No text of a filter ever becomes a part of a statement: values are bound.
"""

import operator
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from unicodedata import normalize

from scim2_models import ScimFilter
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
from sqlalchemy import ColumnElement, Text, and_, exists, false, func, not_, or_, true
from sqlalchemy import cast as sql_cast
from sqlalchemy.orm import InstrumentedAttribute, aliased

from auth.models import Membership, User
from auth.scim.models import ScimResource
from auth.scim.names import comparable

_SHORTEST_HINT = 3
_NAMES = {"User": "username", "Group": "displayname"}
_BELONGS = {"User": ("groups", "groups.value"), "Group": ("members", "members.value")}
_SCHEMAS = {kind: f"urn:ietf:params:scim:schemas:core:2.0:{kind}".lower() for kind in _NAMES}
_TIMES = {"meta.created": ScimResource.created_at, "meta.lastmodified": ScimResource.modified_at}
_ORDERED: Mapping[CompareOperator, Callable[[Any, Any], ColumnElement[bool]]] = {
    CompareOperator.eq: operator.eq,
    CompareOperator.ne: operator.ne,
    CompareOperator.gt: operator.gt,
    CompareOperator.ge: operator.ge,
    CompareOperator.lt: operator.lt,
    CompareOperator.le: operator.le,
}
_OTHER = aliased(ScimResource)
_TEXT = func.lower(sql_cast(ScimResource.attributes, Text))


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What the database finds; `exact` unless the library has to look at each, too."""

    condition: ColumnElement[bool]
    exact: bool


def narrow(wanted: ScimFilter[Any] | None, kinds: list[str]) -> Narrowing:
    """What a filter asks of the database."""
    if wanted is None:
        return Narrowing(true(), exact=True)
    if len(kinds) != 1:
        return Narrowing(true(), exact=False)
    exact = _translate(wanted.ast, kinds[0])
    return Narrowing(exact, exact=True) if exact is not None else Narrowing(_hint(wanted.ast, kinds[0]), exact=False)


def _translate(node: FilterNode, kind: str) -> ColumnElement[bool] | None:
    """The condition that holds exactly where the filter does; None if there is none."""
    if isinstance(node, Comparison):
        return _compare(node, kind)
    if isinstance(node, Present):
        return _is_present(_name(node.attr_path, kind), kind)
    if isinstance(node, ValuePath):
        return _select(node, kind)
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


def _is_present(name: str, kind: str) -> ColumnElement[bool] | None:
    if name in (_NAMES[kind], "id", *_TIMES):
        return true()
    return ScimResource.external_id.is_not(None) if name == "externalid" else None


def _select(node: ValuePath, kind: str) -> ColumnElement[bool] | None:
    """`members[value eq "..."]`, which is the same as `members.value eq "..."`."""
    inner = node.val_filter
    if node.sub_attr is None and isinstance(inner, Comparison) and str(inner.attr_path).lower() == "value":
        return _belongs(f"{_name(node.attr_path, kind)}.value", inner, kind)
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
        return _hint(node.val_filter, kind) if _is_kept(node.attr_path, kind) else _hint_of_belonging(node, kind)
    if isinstance(node, Comparison) and _is_hint(node.op, node.value) and _is_kept(node.attr_path, kind):
        return _TEXT.contains(node.value.lower(), autoescape=True)
    return true()


def _hint_of_belonging(node: ValuePath, kind: str) -> ColumnElement[bool]:
    """What `members[value eq "..." and ...]` needs at the least."""
    inner = node.val_filter
    terms = inner.terms if isinstance(inner, LogicalExpr) and inner.op == LogicalOperator.and_ else ()
    found = (_select(ValuePath(node.attr_path, term), kind) for term in terms)
    return and_(true(), *(one for one in found if one is not None))


def _is_kept(path: AttrPath, kind: str) -> bool:
    """Whether the attribute stands in the row as it was sent, and not elsewhere."""
    return _name(path, kind).partition(".")[0] not in ("groups", "members", "meta", "id", "externalid", "schemas")


def _is_hint(op: CompareOperator, value: object) -> bool:
    """Whether the value stands in the JSON of every match as it is."""
    contained = (CompareOperator.eq, CompareOperator.co, CompareOperator.sw, CompareOperator.ew)
    if op not in contained or not isinstance(value, str) or len(value) < _SHORTEST_HINT:
        return False
    return value.isascii() and value.isprintable() and not set(value) & {'"', "\\", "/"}


def _compare(node: Comparison, kind: str) -> ColumnElement[bool] | None:
    name, op, value = _name(node.attr_path, kind), node.op, node.value
    if isinstance(value, bool):
        if name == "active" and kind == "User" and op == CompareOperator.eq:
            return and_(User.active.is_not(None), User.active == value)
        return None
    if not isinstance(value, str) or not _is_storable(value):
        return None
    if name == _NAMES[kind]:
        return _compare_name(op, comparable(value))
    if name in _TIMES:
        return _compare_time(_TIMES[name], op, value)
    if op != CompareOperator.eq:
        return None
    if name == "externalid":
        same = ScimResource.external_id == normalize("NFC", value)
        return and_(ScimResource.external_id.is_not(None), same)  # never unknown, so that `not` turns it round
    if name == "id":
        found = resource_id(value)
        return ScimResource.id == found if found is not None else false()
    return _belongs(name, node, kind)


def _belongs(name: str, node: Comparison, kind: str) -> ColumnElement[bool] | None:
    """Who is in whose group, by the id of either."""
    if name not in _BELONGS[kind] or node.op != CompareOperator.eq or not isinstance(node.value, str):
        return None
    found = resource_id(node.value)
    if found is None:
        return false()
    here, there = (
        (ScimResource.user_id == Membership.user_id, _OTHER.group_id == Membership.group_id)
        if kind == "User"
        else (ScimResource.group_id == Membership.group_id, _OTHER.user_id == Membership.user_id)
    )
    return (
        exists()
        .where(
            Membership.tenant_id == ScimResource.tenant_id, here,
            _OTHER.tenant_id == ScimResource.tenant_id, _OTHER.provider_id == ScimResource.provider_id, there,
            _OTHER.deleted_at.is_(None), _OTHER.id == found,
        )
        .correlate(ScimResource)
    )  # fmt: skip


def _compare_time(
    column: InstrumentedAttribute[datetime], op: CompareOperator, value: str
) -> ColumnElement[bool] | None:
    try:
        moment = datetime.fromisoformat(value)
        moment = moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return _ORDERED[op](column, moment) if op in _ORDERED else None


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


def _name(path: AttrPath, kind: str) -> str:
    name = f"{path.attr}.{path.sub_attr}".lower() if path.sub_attr else path.attr.lower()
    if path.uri is None or path.uri.lower() == _SCHEMAS[kind]:
        return name
    return f"{path.uri}:{name}".lower()


def _is_storable(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)
