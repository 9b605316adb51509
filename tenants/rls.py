"""Row-level security on PostgreSQL: the wall that holds also for raw SQL.

Policies are made by migrations, as the owner of the tables; the application's role must neither own them nor bypass
them. Both are checked here. SQLite has no such wall.
"""

from collections.abc import Iterable
from typing import Any

import psycopg

from tenants.errors import UnsafeDatabaseRole

BOUND_TENANT = "nullif(current_setting('app.tenant_id', true), '')::uuid"
"""The tenant of the transaction, NULL (which equals nothing) when none is bound."""

# A member of a role may become it by SET ROLE, whether it inherits from it or not.
_ROLE = """
SELECT current_user,
       (SELECT bool_or(rolsuper) FROM pg_roles r WHERE pg_has_role(current_user, r.oid, 'MEMBER')),
       (SELECT bool_or(rolbypassrls) FROM pg_roles r WHERE pg_has_role(current_user, r.oid, 'MEMBER')),
       (SELECT array_agg(c.relname ORDER BY c.relname)
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname = current_schema()
           AND pg_has_role(current_user, c.relowner, 'MEMBER'))
  FROM pg_roles WHERE rolname = current_user
"""


def confine(table: str) -> list[str]:
    """DDL that confines the tenant-scoped `table` to the bound tenant, for its owner too."""
    return [
        *_enable(table),
        f"CREATE POLICY tenant_isolation ON {table} USING (tenant_id = {BOUND_TENANT})"
        f" WITH CHECK (tenant_id = {BOUND_TENANT})",
    ]


def confine_writes(table: str, tenant_column: str) -> list[str]:
    """DDL that lets everybody read the global `table` (hosts are resolved in it) but write only their own rows."""
    mine = f"{tenant_column} = {BOUND_TENANT}"
    return [
        *_enable(table),
        f"CREATE POLICY everybody_reads ON {table} FOR SELECT USING (true)",
        f"CREATE POLICY own_insert ON {table} FOR INSERT WITH CHECK ({mine})",
        f"CREATE POLICY own_update ON {table} FOR UPDATE USING ({mine}) WITH CHECK ({mine})",
        f"CREATE POLICY own_delete ON {table} FOR DELETE USING ({mine})",
    ]


def faults_of_role(connection: "psycopg.Connection[Any]") -> Iterable[str]:
    """What makes the role of `connection` unfit to be the application's, in words; nothing when it is fit."""
    row = connection.execute(_ROLE).fetchone()
    if row is None:
        yield "the role of the connection is unknown to the server"
        return
    role, superuser, bypasses, owned = row
    if superuser:
        yield f"role {role} is a superuser, or may become one"
    if bypasses:
        yield f"role {role} has BYPASSRLS, or may become a role that has it"
    if owned and not superuser:
        yield f"role {role} owns tables, or may become their owner ({', '.join(owned[:3])}...)"


def refuse_unsafe_role(connection: "psycopg.Connection[Any]") -> None:
    """Raise UnsafeDatabaseRole unless the role of `connection` is confined by row-level security."""
    if faults := list(faults_of_role(connection)):
        raise UnsafeDatabaseRole(
            "; ".join(faults) + ". Let the application connect as a role that owns nothing: see deploy/roles.sql"
        )


def _enable(table: str) -> list[str]:
    return [f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY", f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY"]
