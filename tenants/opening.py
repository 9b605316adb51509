"""What a tenant's transaction begins with on PostgreSQL: several statements, sent as one text and so in one trip.

They are prepared on each connection when first needed, in the same text, which spares the server planning them for
every request. Behind a transaction pooler, where connections change hands, they are sent written out.
"""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import psycopg
from sqlalchemy import Select
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg


@dataclass(slots=True)
class Opening:
    """What a tenant's transaction begins with, and what came back.

    `companion` is a further statement that an upper package wants answered in the same trip: `answer` is its first
    row, or None. It runs outside of the session's criteria and is given the tenant's id as `bound_tenant`.
    `version` is the tenant's, None when there is no such tenant.
    """

    companion: Select[*tuple[Any, ...]] | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    version: int | None = None
    answer: Sequence[Any] | None = None


@dataclass(frozen=True, slots=True)
class _Forms:
    """One statement as it is prepared, executed, and written out."""

    name: str
    prepare: str
    execute: str
    written_out: str


# set_config(..., true) ends with the transaction.
_BINDING = _Forms(
    name="opening_binding",
    prepare=(
        "PREPARE opening_binding (uuid) AS SELECT set_config('app.tenant_id', $1::text, true),"
        " (SELECT version FROM tenants WHERE id = $1)"
    ),
    execute="EXECUTE opening_binding (%(bound_tenant)s)",
    written_out=(
        "SELECT set_config('app.tenant_id', %(bound_tenant)s, true),"
        " (SELECT version FROM tenants WHERE id = %(bound_tenant)s::uuid)"
    ),
)


def open_transaction(
    connection: "psycopg.Connection[Any]", tenant_id: uuid.UUID, opening: Opening, prepared: set[str] | None
) -> None:
    """Begin a transaction confined to that tenant and fill in `opening`.

    `prepared` names what this connection has prepared and is added to; None: nothing may be. Raises psycopg.Error,
    after which it is not known what was prepared: the connection has to be thrown away.
    """
    forms = [_BINDING] if opening.companion is None else [_BINDING, _forms(opening.companion)]
    new = [] if prepared is None else [form for form in forms if form.name not in prepared]
    try:
        _send(connection, tenant_id, opening, forms, new, written_out=prepared is None)
    except psycopg.errors.InvalidSqlStatementName:
        # psycopg clears all prepared statements, ours too, when it sees a savepoint rolled back or an object dropped.
        # Some of them may be there again, or still: what is not fails, and that is no matter.
        roll_back(connection)
        for form in forms:
            connection.pgconn.exec_(f"DEALLOCATE {form.name}".encode())
        new = forms
        _send(connection, tenant_id, opening, forms, new, written_out=False)
    if prepared is not None:
        prepared.update(form.name for form in new)


def _send(
    connection: "psycopg.Connection[Any]",
    tenant_id: uuid.UUID,
    opening: Opening,
    forms: Sequence[_Forms],
    new: Sequence[_Forms],
    *,
    written_out: bool,
) -> None:
    parts = [form.prepare for form in new]
    parts.append("BEGIN")
    parts += [form.written_out if written_out else form.execute for form in forms]
    # Client-side binding: the server takes several statements only as one text.
    with psycopg.ClientCursor(connection) as cursor:
        cursor.execute("; ".join(parts).encode(), {**opening.parameters, "bound_tenant": str(tenant_id)})
        for _ in range(len(new) + 1):
            cursor.nextset()
        row = cursor.fetchone()
        opening.version = row[1] if row else None
        if opening.companion is not None:
            cursor.nextset()
            opening.answer = cursor.fetchone()


def roll_back(connection: "psycopg.Connection[Any]") -> None:
    """Send ROLLBACK as it is.

    psycopg's own would throw every prepared statement away, ours too, and pay a trip for it: it cannot know that no
    request changes the schema. What fails here is left to it.
    """
    if not connection.closed and connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        connection.pgconn.exec_(b"ROLLBACK")


@lru_cache(maxsize=16)
def _forms(statement: Select[*tuple[Any, ...]]) -> _Forms:
    numbered = statement.compile(dialect=PGDialect_psycopg(paramstyle="numeric_dollar"))
    text = str(numbered)
    name = "opening_" + hashlib.sha256(text.encode()).hexdigest()[:16]
    arguments = ", ".join(f"%({parameter})s" for parameter in numbered.positiontup or ())
    return _Forms(
        name=name,
        prepare=f"PREPARE {name} AS {text}".replace("%", "%%"),
        execute=f"EXECUTE {name} ({arguments})",
        written_out=str(statement.compile(dialect=PGDialect_psycopg())),
    )
