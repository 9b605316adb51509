"""What is deployed is what the code reads."""

import re
from pathlib import Path

import pytest

from config.settings import PREFIX, Settings
from tenants.db import Base
from tests.conftest import Database
from tests.servers.postgres import PostgresServer

ROOT = Path(__file__).parent.parent
FILES = [
    path
    for path in (*(ROOT / "deploy").iterdir(), ROOT / "Makefile", ROOT / ".flaskenv", ROOT / ".ci" / "run")
    if path.is_file()
]
VARIABLE = re.compile(rf"\b{PREFIX}[A-Z0-9_]+\b")
ROWS = {"SELECT", "INSERT", "UPDATE", "DELETE"}


def database_of(database: Database) -> str:
    return database.url.rpartition("/")[2]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_variable_that_is_deployed_is_a_setting(path: Path) -> None:
    known = {f"{PREFIX}{name.upper()}{suffix}" for name in Settings.model_fields for suffix in ("", "_FILE")}
    assert set(VARIABLE.findall(path.read_text(encoding="utf-8"))) <= known


def test_the_scripts_are_executable() -> None:
    assert all(path.stat().st_mode & 0o100 for path in (ROOT / "deploy").glob("*.sh"))


@pytest.mark.postgres
class TestRoles:
    """deploy/roles.sql, as it works on a server."""

    @pytest.fixture
    def privileges(self, postgres_server: PostgresServer, postgres_database: Database) -> dict[str, set[str]]:
        rows = postgres_server.psql(
            "SELECT c.relname, p FROM pg_class c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE',"
            " 'REFERENCES', 'TRIGGER']) AS p WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
            " AND has_table_privilege('tenantry_app', c.oid, p)",
            database_of(postgres_database),
        )
        found: dict[str, set[str]] = {}
        for table, privilege in rows:
            found.setdefault(table, set()).add(privilege)
        return found

    def test_the_application_may_read_and_write_rows_of_every_table_and_nothing_else(
        self, privileges: dict[str, set[str]]
    ) -> None:
        assert set(Base.metadata.tables) <= set(privileges)
        assert {table: held for table, held in privileges.items() if held != ROWS} == {}

    def test_the_application_owns_nothing(self, postgres_server: PostgresServer, postgres_database: Database) -> None:
        owned = postgres_server.psql(
            "SELECT relname FROM pg_class WHERE relowner = 'tenantry_app'::regrole", database_of(postgres_database)
        )
        assert owned == []

    def test_the_application_makes_no_tables(
        self, postgres_server: PostgresServer, postgres_database: Database
    ) -> None:
        (allowed,) = postgres_server.psql(
            "SELECT has_schema_privilege('tenantry_app', 'public', 'CREATE')", database_of(postgres_database)
        )[0]
        assert not allowed

    @pytest.mark.parametrize("role", ["tenantry_app", "tenantry_owner"])
    def test_no_role_is_above_row_level_security(
        self, postgres_server: PostgresServer, role: str, make_postgres: object
    ) -> None:
        rows = postgres_server.psql(
            "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication"
            f" FROM pg_roles WHERE rolname = '{role}'"
        )
        assert rows == [(False,) * 5]

    def test_the_application_cannot_become_another_role(
        self, postgres_server: PostgresServer, postgres_database: Database
    ) -> None:
        members = postgres_server.psql("SELECT 1 FROM pg_auth_members WHERE member = 'tenantry_app'::regrole")
        assert members == []
