"""Row-level security: the wall that holds for raw SQL of the application's own role."""

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from flask import Flask
from psycopg import errors, sql
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError

from saas import create_app
from tenants import rls
from tenants.context import bound
from tenants.db import Base
from tenants.errors import UnsafeDatabaseRole
from tests.conftest import Database
from tests.factories import Workspace, make_workspace
from tests.rows import MODELS, make_row, table_of
from tests.servers.postgres import PostgresServer

pytestmark = pytest.mark.postgres
TABLES = [table_of(model).name for model in MODELS]
GLOBAL = {"tenants": "id", "domains": "tenant_id"}
by_table = pytest.mark.parametrize("table", TABLES)
by_global = pytest.mark.parametrize(("table", "column"), GLOBAL.items())
Raw = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture(scope="module")
def a(postgres_app: Flask) -> Workspace:
    """A tenant with a row in every table."""
    workspace = make_workspace(postgres_app)
    with postgres_app.app_context(), bound(workspace.tenant) as session:
        for model in MODELS:
            make_row(session, model)
        session.connection().execute(
            text("INSERT INTO domains (host, tenant_id, created_at) VALUES (:host, :id, now())"),
            {"host": f"{workspace.slug}.example", "id": workspace.tenant.id},
        )
    return workspace


@pytest.fixture(scope="module")
def b(postgres_app: Flask) -> Workspace:
    """The tenant that attacks."""
    return make_workspace(postgres_app)


@pytest.fixture
def raw(postgres_database: Database) -> Iterator[Raw]:
    """A connection of the application's role, without the application; rolled back."""
    url = make_url(postgres_database.url)
    with psycopg.connect(host=url.host, port=url.port, user=url.username, dbname=url.database) as connection:
        yield connection
        connection.rollback()


def bind(raw: Raw, workspace: Workspace) -> None:
    raw.execute("SELECT set_config('app.tenant_id', %s, true)", [str(workspace.tenant.id)])


def count(raw: Raw, table: str, workspace: Workspace, column: str = "tenant_id") -> int:
    statement = sql.SQL("SELECT count(*) FROM {} WHERE {} = %s").format(sql.Identifier(table), sql.Identifier(column))
    row = raw.execute(statement, [workspace.tenant.id]).fetchone()
    assert row is not None
    found: int = row[0]
    return found


def row_of(raw: Raw, table: str, workspace: Workspace) -> Any:
    """One row of the tenant, as JSON; leaves it bound."""
    bind(raw, workspace)
    row = raw.execute(sql.SQL("SELECT to_jsonb(t)::text FROM {} t LIMIT 1").format(sql.Identifier(table))).fetchone()
    assert row is not None
    return row[0]


def insert(raw: Raw, table: str, row: Any) -> None:
    raw.execute(
        sql.SQL("INSERT INTO {0} SELECT (jsonb_populate_record(NULL::{0}, %s::jsonb || %s::jsonb)).*").format(
            sql.Identifier(table)
        ),
        [row, f'{{"id": "{uuid.uuid4()}"}}'],
    )


class TestScopedTables:
    """Another tenant's rows do not exist."""

    @by_table
    def test_the_own_rows_are_seen(self, table: str, raw: Raw, a: Workspace) -> None:
        bind(raw, a)
        assert count(raw, table, a) > 0

    @by_table
    def test_rows_of_another_tenant_are_not_seen(self, table: str, raw: Raw, a: Workspace, b: Workspace) -> None:
        bind(raw, b)
        assert count(raw, table, a) == 0

    @by_table
    def test_with_nothing_bound_no_row_is_seen(self, table: str, raw: Raw, a: Workspace) -> None:
        assert raw.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table))).fetchall() == []
        raw.execute("SELECT set_config('app.tenant_id', '', true)")
        assert raw.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table))).fetchall() == []

    @by_table
    def test_rows_of_another_tenant_are_not_changed(self, table: str, raw: Raw, a: Workspace, b: Workspace) -> None:
        bind(raw, b)
        for statement in ("UPDATE {} SET id = id WHERE tenant_id = %s", "DELETE FROM {} WHERE tenant_id = %s"):
            written = raw.execute(sql.SQL(statement).format(sql.Identifier(table)), [a.tenant.id])
            assert written.rowcount == 0

    @by_table
    def test_no_row_is_given_to_another_tenant(self, table: str, raw: Raw, a: Workspace, b: Workspace) -> None:
        row = row_of(raw, table, a)
        bind(raw, b)
        with pytest.raises(errors.InsufficientPrivilege):
            insert(raw, table, row)

    @by_table
    def test_no_row_is_moved_to_another_tenant(self, table: str, raw: Raw, a: Workspace, b: Workspace) -> None:
        bind(raw, a)
        # The audit log's own trigger is first to refuse.
        with pytest.raises((errors.InsufficientPrivilege, errors.ForeignKeyViolation, errors.RaiseException)):
            raw.execute(sql.SQL("UPDATE {} SET tenant_id = %s").format(sql.Identifier(table)), [b.tenant.id])

    @by_table
    def test_with_nothing_bound_nothing_is_written(self, table: str, raw: Raw, a: Workspace) -> None:
        row = row_of(raw, table, a)
        raw.execute("SELECT set_config('app.tenant_id', '', true)")
        assert raw.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table))).rowcount == 0
        with pytest.raises(errors.InsufficientPrivilege):
            insert(raw, table, row)

    @pytest.mark.parametrize("table", [*TABLES, *GLOBAL])
    def test_no_table_is_emptied_past_its_policies(self, table: str, raw: Raw, a: Workspace) -> None:
        bind(raw, a)
        with pytest.raises(errors.InsufficientPrivilege):
            raw.execute(sql.SQL("TRUNCATE {} CASCADE").format(sql.Identifier(table)))

    @pytest.mark.parametrize("table", [*TABLES, *GLOBAL])
    def test_the_application_cannot_lift_the_wall(self, table: str, raw: Raw) -> None:
        for statement in ("ALTER TABLE {} DISABLE ROW LEVEL SECURITY", "ALTER TABLE {} NO FORCE ROW LEVEL SECURITY",
                          "DROP POLICY tenant_isolation ON {}", "DROP TABLE {}"):  # fmt: skip
            with pytest.raises((errors.InsufficientPrivilege, errors.UndefinedObject)), raw.transaction():
                raw.execute(sql.SQL(statement).format(sql.Identifier(table)))

    def test_a_policy_that_would_fail_is_not_skipped(self, raw: Raw, a: Workspace) -> None:
        raw.execute("SET LOCAL row_security = off")
        with pytest.raises(errors.InsufficientPrivilege):
            raw.execute("SELECT * FROM projects")


class TestGlobalTables:
    """Tenants and hosts are read by everybody, and written with their own tenant bound."""

    @by_global
    def test_rows_of_another_tenant_are_read(
        self, table: str, column: str, raw: Raw, a: Workspace, b: Workspace
    ) -> None:
        bind(raw, b)
        assert count(raw, table, a, column) == 1

    @by_global
    def test_rows_of_another_tenant_are_not_written(
        self, table: str, column: str, raw: Raw, a: Workspace, b: Workspace
    ) -> None:
        bind(raw, b)
        for statement in (
            "UPDATE {} SET {column} = {column} WHERE {column} = %s",
            "DELETE FROM {} WHERE {column} = %s",
        ):
            composed = sql.SQL(statement).format(sql.Identifier(table), column=sql.Identifier(column))
            assert raw.execute(composed, [a.tenant.id]).rowcount == 0

    @by_global
    def test_with_nothing_bound_nothing_is_written(self, table: str, column: str, raw: Raw, a: Workspace) -> None:
        assert raw.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table))).rowcount == 0

    def test_a_host_is_not_taken_for_or_from_another_tenant(self, raw: Raw, a: Workspace, b: Workspace) -> None:
        bind(raw, b)
        with pytest.raises(errors.InsufficientPrivilege), raw.transaction():
            raw.execute(
                "INSERT INTO domains (host, tenant_id, created_at) VALUES ('x.example', %s, now())", [a.tenant.id]
            )
        taken = raw.execute("UPDATE domains SET tenant_id = %s WHERE tenant_id = %s", [b.tenant.id, a.tenant.id])
        assert taken.rowcount == 0

    def test_a_tenant_is_made_with_itself_bound_only(self, raw: Raw, b: Workspace) -> None:
        bind(raw, b)
        with pytest.raises(errors.InsufficientPrivilege):
            raw.execute(
                "INSERT INTO tenants (id, slug, name, status, plan, settings, version, created_at)"
                " VALUES (gen_random_uuid(), 'intruder', 'x', 'active', 'standard', '{}', 1, now())"
            )


class TestCatalogue:
    """What the live database says of itself."""

    def test_every_table_has_policies_that_are_enabled_and_forced(
        self, postgres_server: PostgresServer, postgres_database: Database
    ) -> None:
        rows = postgres_server.psql(
            "SELECT relname, relrowsecurity AND relforcerowsecurity FROM pg_class"
            " WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace",
            make_url(postgres_database.url).database or "",
        )
        walled = dict(rows)
        assert walled.pop("alembic_version") is False  # the revision, which is nobody's
        assert set(walled) == set(Base.metadata.tables)
        assert all(walled.values()), walled

    def test_nothing_looks_past_the_policies(
        self, postgres_server: PostgresServer, postgres_database: Database
    ) -> None:
        # A view or a SECURITY DEFINER function works with its owner's eyes.
        rows = postgres_server.psql(
            "SELECT relname FROM pg_class WHERE relkind IN ('v', 'm') AND relnamespace = 'public'::regnamespace"
            " UNION ALL SELECT proname FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace",
            make_url(postgres_database.url).database or "",
        )
        assert rows == []

    @by_table
    def test_no_policy_admits_more_than_the_bound_tenant(
        self, table: str, postgres_server: PostgresServer, postgres_database: Database
    ) -> None:
        rows = postgres_server.psql(
            f"SELECT permissive, cmd, qual = with_check, qual LIKE '%tenant_id = %app.tenant_id%'"
            f" FROM pg_policies WHERE tablename = '{table}'",
            make_url(postgres_database.url).database or "",
        )
        assert rows == [("PERMISSIVE", "ALL", True, True)]


class TestReuse:
    """What one transaction was bound to, the next one on its connection is not."""

    @pytest.fixture
    def app(self, postgres_database: Database) -> Iterator[Flask]:
        app = create_app(postgres_database.settings(database_pool_size=1))
        yield app
        app.extensions["tenants"].engines.dispose()

    @staticmethod
    def left_behind(app: Flask) -> tuple[Any, int]:
        with app.extensions["tenants"].engines.shared.connect() as connection:
            setting = connection.execute(text("SELECT current_setting('app.tenant_id', true)")).scalar()
            seen = connection.execute(text("SELECT count(*) FROM users")).scalar_one()
        return setting or None, seen

    def test_nothing_survives_a_commit(self, app: Flask, a: Workspace) -> None:
        with app.app_context(), bound(a.tenant) as session:
            session.connection()
        assert self.left_behind(app) == (None, 0)

    def test_nothing_survives_a_rollback(self, app: Flask, a: Workspace) -> None:
        with app.app_context(), bound(a.tenant) as session:
            session.connection()
            session.rollback()
            assert self.left_behind(app) == (None, 0)

    def test_nothing_survives_an_exception(self, app: Flask, a: Workspace) -> None:
        def fail() -> None:
            with app.app_context(), bound(a.tenant) as session:
                session.connection()
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail()
        assert self.left_behind(app) == (None, 0)

    def test_nothing_survives_a_statement_that_fails(self, app: Flask, a: Workspace) -> None:
        with pytest.raises(DBAPIError), app.app_context(), bound(a.tenant) as session:
            session.connection().execute(text("SELECT 1 / 0"))
        assert self.left_behind(app) == (None, 0)

    def test_nothing_survives_a_statement_that_is_cancelled(self, app: Flask, a: Workspace) -> None:
        def wait() -> None:
            with app.app_context(), bound(a.tenant) as session:
                session.connection().execute(text("SET LOCAL statement_timeout = 20"))
                session.connection().execute(text("SELECT pg_sleep(5)"))

        with pytest.raises(DBAPIError):
            wait()
        assert self.left_behind(app) == (None, 0)

    def test_nothing_survives_a_savepoint(self, app: Flask, a: Workspace) -> None:
        with app.app_context(), bound(a.tenant) as session:
            with pytest.raises(RuntimeError), session.begin_nested():
                raise RuntimeError
            assert session.connection().execute(text("SELECT count(*) FROM users")).scalar_one() > 0
        assert self.left_behind(app) == (None, 0)

    def test_the_next_tenant_on_the_connection_sees_its_own_rows(self, app: Flask, a: Workspace, b: Workspace) -> None:
        for workspace in (a, b, a):
            with app.app_context(), bound(workspace.tenant) as session:
                (seen,) = session.connection().execute(text("SELECT DISTINCT tenant_id FROM users")).one()
                assert seen == workspace.tenant.id

    def test_a_transaction_after_a_commit_is_bound_again(self, app: Flask, a: Workspace) -> None:
        with app.app_context(), bound(a.tenant) as session:
            session.connection()
            session.commit()
            assert session.connection().execute(text("SELECT count(*) FROM users")).scalar_one() > 0


class TestRole:
    """The application starts in production only as a role that the wall holds."""

    @staticmethod
    def production(database: Database, user: str) -> dict[str, Any]:
        url = make_url(database.url).set(username=user)
        return {
            "env": "production",
            "database_url": url.render_as_string(),
            "secret_key": "s" * 40,
            "encryption_keys": "e" * 40,
            "mail_url": "memory:",
            "base_domain": "app.example",
            "scheme": "https",
            "argon2_memory_kib": 19456,
            "argon2_rounds": 2,
        }

    @pytest.fixture
    def role(self, postgres_server: PostgresServer, postgres_database: Database) -> Iterator[str]:
        name = f"role_{uuid.uuid4().hex[:8]}"
        postgres_server.psql(f"CREATE ROLE {name} LOGIN")
        yield name
        postgres_server.psql(f"DROP ROLE {name}")

    def test_the_role_of_the_application_may_start(self, postgres_database: Database) -> None:
        app = create_app(postgres_database.settings(**self.production(postgres_database, "tenantry_app")))
        with app.extensions["tenants"].engines.shared.connect() as connection:
            assert connection.exec_driver_sql("SELECT current_user").scalar() == "tenantry_app"
        app.extensions["tenants"].engines.dispose()

    @pytest.mark.parametrize(("user", "why"), [("postgres", "superuser"), ("tenantry_owner", "owns")])
    def test_a_role_above_the_wall_is_refused(self, postgres_database: Database, user: str, why: str) -> None:
        with pytest.raises(UnsafeDatabaseRole, match=why):
            create_app(postgres_database.settings(**self.production(postgres_database, user)))

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ("ALTER ROLE {role} BYPASSRLS", "BYPASSRLS"),
            ("ALTER ROLE {role} SUPERUSER", "superuser"),
            ("GRANT tenantry_owner TO {role}", "owns"),
            ("ALTER ROLE {role} NOINHERIT; GRANT tenantry_owner TO {role}", "owns"),
            ("GRANT postgres TO {role}", "superuser"),
        ],
    )
    def test_a_role_that_could_get_above_the_wall_is_refused(
        self, postgres_server: PostgresServer, postgres_database: Database, role: str, change: str, why: str
    ) -> None:
        postgres_server.psql(change.format(role=role))
        url = make_url(postgres_database.url)
        with (
            psycopg.connect(host=url.host, port=url.port, user=role, dbname=url.database) as connection,
            pytest.raises(UnsafeDatabaseRole, match=why),
        ):
            rls.refuse_unsafe_role(connection)

    def test_a_role_without_rights_has_no_fault(self, postgres_database: Database, role: str) -> None:
        url = make_url(postgres_database.url)
        with psycopg.connect(host=url.host, port=url.port, user=role, dbname=url.database) as connection:
            assert list(rls.faults_of_role(connection)) == []

    def test_a_development_machine_may_use_any_role(self, postgres_database: Database) -> None:
        app = create_app(postgres_database.settings(database_url=postgres_database.owner_url))
        with app.extensions["tenants"].engines.shared.connect() as connection:
            assert connection.exec_driver_sql("SELECT current_user").scalar() == "tenantry_owner"
        app.extensions["tenants"].engines.dispose()
