"""A row of any table, whatever tables there will be: columns filled by type, foreign keys followed."""

import itertools
import re
import secrets
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Table, inspect
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeDecorator

import saas.app  # noqa: F401 - imports every model
from auth.audit_models import AuditEvent
from tenants.db import Base, TenantScoped

MODELS: list[type[TenantScoped]] = sorted(
    (mapper.class_ for mapper in Base.registry.mappers if issubclass(mapper.class_, TenantScoped)),
    key=lambda model: model.__name__,
)
"""Every mapped class whose rows belong to a tenant."""

_CHOICES = re.compile(r"(\w+) IN \('([^']+)'")


def table_of(model: type[Any]) -> Table:
    table: Table = inspect(model).local_table
    return table


def model_of(table: Table) -> type[TenantScoped]:
    return next(model for model in MODELS if table_of(model) is table)


def links_of(table: Table) -> list[ForeignKeyConstraint]:
    """The foreign keys of `table` to tenant-scoped tables."""
    scoped = {table_of(model) for model in MODELS}
    found = (key for key in table.foreign_key_constraints if key.referred_table in scoped)
    return sorted(found, key=lambda key: sorted(key.column_keys))


def own_column(link: ForeignKeyConstraint) -> Column[Any]:
    """The column of a composite foreign key beside tenant_id."""
    (column,) = (column for column in link.columns if column.name != "tenant_id")
    return column


def plain_columns(model: type[Any]) -> list[str]:
    """Attributes of a model that are neither key nor reference."""
    mapper = inspect(model)
    linked = {column.name for link in links_of(table_of(model)) for column in link.columns}
    if model is AuditEvent:  # the database refuses a change of anything else
        return ["seq"]
    return [
        attribute.key
        for attribute in mapper.column_attrs
        if not {column.name for column in attribute.columns} & ({"tenant_id", "id"} | linked)
    ]


def make_row(session: Session, model: type[Any], **given: Any) -> Any:
    """Add a row to the tenant of `session`, with the rows that it refers to, and give it back flushed."""
    table = table_of(model)
    values = {column.name: value_for(column) for column in table.columns if _must_be_given(column)}
    optional: dict[str, uuid.UUID] = {}
    for link in links_of(table):
        column = own_column(link)
        if column.name in given:
            continue
        parent = make_row(session, model_of(link.referred_table)).id
        if column.nullable:
            optional[column.name] = parent
        else:
            values[column.name] = parent
    for chosen in _subsets(optional):
        row = model(**values | chosen | given)
        try:
            with session.begin_nested():
                session.add(row)
        except IntegrityError:
            continue  # a check that allows only some of the references together
        return row
    raise AssertionError(f"no row of {model.__name__} could be made: teach tests/rows.py")


def value_for(column: Column[Any]) -> Any:
    """A value that fits the column; of text, one that no other row has."""
    assert column.table is not None
    for check in (constraint for constraint in column.table.constraints if isinstance(constraint, CheckConstraint)):
        for name, choice in _CHOICES.findall(str(check.sqltext)):
            if name == column.name:
                return choice
    kind = (column.type.impl if isinstance(column.type, TypeDecorator) else column.type).python_type
    if kind is str:
        return secrets.token_hex(16)[: getattr(column.type, "length", None) or 32]
    return {
        bool: False,
        int: 1,
        float: 1.0,
        bytes: secrets.token_bytes(16),
        uuid.UUID: uuid.uuid4(),
        datetime: datetime.now(UTC) + timedelta(days=1),
        date: date(2030, 1, 1),
        dict: {},
        object: {},  # JSON
        list: [],
    }[kind]


def _must_be_given(column: Column[Any]) -> bool:
    return not (column.nullable or column.default is not None or column.server_default is not None) and not any(
        column.name in link.columns for link in links_of(column.table)
    )


def _subsets(values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for size in range(len(values), -1, -1):
        yield from map(dict, itertools.combinations(values.items(), size))
