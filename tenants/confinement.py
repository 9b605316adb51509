"""What a tenant's session takes: statements that its criteria reach in every part, and values of its own tenant.

The criteria are added to every entity that a statement names through its mapped class. What names a table in another
way, or no table at all, they would pass by: text, Core tables and a second entity of an UPDATE or DELETE. SQLAlchemy
has no public way to ask a statement for some of its parts; tests/test_isolation.py notices should these names change.
"""

import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Delete, Insert, Select, TableClause, TextClause, Update
from sqlalchemy.sql.elements import ColumnClause
from sqlalchemy.sql.selectable import Alias, Join, ScalarSelect, SelectBase, TextualSelect
from sqlalchemy.sql.visitors import iterate

from tenants.errors import CrossTenantAccess, UnscopedStatement


def check_statement(statement: Any) -> None:
    """Raise UnscopedStatement for a statement with a part that the session's criteria would not reach."""
    elements = list(iterate(statement))
    reached = _reached(elements)
    for element in elements:
        if isinstance(element, TextClause | TextualSelect) or _is_written_out(element):
            raise UnscopedStatement("text within a statement cannot be confined to a tenant")
        if isinstance(element, Insert | Update | Delete) and element is not statement:
            raise UnscopedStatement("a statement that writes within another cannot be confined to a tenant")
        if isinstance(element, SelectBase) and isinstance(statement, Insert):
            raise UnscopedStatement("a SELECT within an INSERT cannot be confined to a tenant")
        # SQLAlchemy itself compares and selects Core columns of a class that it names beside them.
        if isinstance(element, ColumnClause) and _core_table(element) not in {None, *reached}:
            raise UnscopedStatement("a Core column cannot be confined to a tenant: name the attribute of its class")
        if any(_core_table(part) is not None for part in _sources_of(element)):
            raise UnscopedStatement("a Core table cannot be confined to a tenant: name its mapped class")
    if isinstance(statement, Update | Delete):
        _check_alone(statement)


def check_values(statement: Any, parameters: Any, own_column: str, tenant_id: uuid.UUID) -> None:
    """Raise CrossTenantAccess for a statement that writes a value into `own_column` other than `tenant_id`."""
    for row in _rows(statement, parameters):
        if not isinstance(row, Mapping):
            raise UnscopedStatement("values without the names of their columns cannot be confined to a tenant")
        for column, value in row.items():
            if getattr(column, "key", column) == own_column and getattr(value, "value", value) != tenant_id:
                raise CrossTenantAccess("a write into another tenant")


def _rows(statement: Any, parameters: Any) -> Iterator[Any]:
    yield from parameters if isinstance(parameters, list | tuple) else [parameters or {}]
    yield getattr(statement, "_values", None) or {}
    for rows in getattr(statement, "_multi_values", ()):
        yield from rows
    upsert = getattr(statement, "_post_values_clause", None)
    yield dict(getattr(upsert, "update_values_to_set", None) or {})


def _sources_of(element: Any) -> Iterator[Any]:
    """What a SELECT or a join names as a source of rows, as it was named, and the columns that a SELECT gives back."""
    if isinstance(element, Join):
        yield from (element.left, element.right)
    if isinstance(element, Select):
        named = [*element._from_obj, *(join[0] for join in element._setup_joins), *element._raw_columns]
        yield from (source for source in named if not isinstance(source, ColumnClause))
        reached = _reached(named)
        columns = (part for raw in element._raw_columns for part in iterate(raw) if isinstance(part, ColumnClause))
        yield from (column for column in columns if _core_table(column) not in reached)


def _reached(elements: Iterable[Any]) -> set[Any]:
    """The tables that are named through their mapped classes."""
    return {element._annotations["parentmapper"].local_table for element in elements if _is_mapped(element)}


def _core_table(source: Any) -> TableClause | None:
    """The table of a table, an alias or a column that was not named through a mapped class; None for all else."""
    if _is_mapped(source):
        return None
    if isinstance(source, ColumnClause):
        source = source.table
    while isinstance(source, Alias):
        source = source.element
    return source if isinstance(source, TableClause) else None


def _is_mapped(element: Any) -> bool:
    return "parentmapper" in element._annotations


def _is_written_out(element: Any) -> bool:
    # SQLAlchemy itself writes count(*) and EXISTS (SELECT 1 ...) in this way.
    return isinstance(element, ColumnClause) and element.is_literal and element.name not in ("*", "1")


def _check_alone(statement: Update | Delete) -> None:
    """An UPDATE or DELETE names no second entity beside its own, which would join it, unless in a subquery."""
    own = statement.table._annotations.get("parentmapper")
    waiting: list[Any] = [statement]
    while waiting:
        for child in waiting.pop().get_children():
            if isinstance(child, SelectBase | ScalarSelect):
                continue
            if child._annotations.get("parentmapper", own) is not own:
                raise UnscopedStatement("a join in UPDATE or DELETE cannot be confined to a tenant: use a subquery")
            waiting.append(child)
