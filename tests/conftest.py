"""Fixtures of the whole suite: an application on each kind of database, and workspaces in it.

The application is made once per kind and worker. Tests do not clean up: each makes its own tenants, and that one
tenant is not disturbed by another's is what this project promises.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from alembic import command
from flask import Flask

from auth import audit
from config.settings import Settings, load_settings
from saas import create_app
from saas.migrations import configuration
from tenants.engines import create_owner_engine
from tests.factories import Workspace, make_workspace
from tests.servers import postgres, require
from tests.visitor import Visitor, sign_in

DEPLOY = Path(__file__).parent.parent / "deploy"


@dataclass(frozen=True)
class Database:
    """A migrated database: where the application connects, and where the owner does."""

    kind: str
    url: str
    owner_url: str

    def settings(self, **overrides: object) -> Settings:
        """Settings of an application on it, quick to hash."""
        values = {
            "env": "testing",
            "database_url": self.url,
            "migration_database_url": self.owner_url,
            "public_port": None,
            "mail_url": "memory:",
            "argon2_memory_kib": 64,
            "argon2_rounds": 1,
            "hashes_at_once": 8,
        }
        return load_settings({}, **(values | overrides))


def migrate(database: Database) -> Database:
    """Build the schema by the migrations, as the owner."""
    engine = create_owner_engine(database.settings())
    command.upgrade(configuration(engine), "head")
    engine.dispose()
    return database


@pytest.fixture(scope="session", autouse=True)
def _nothing_sealed_by_chance() -> Iterator[None]:
    """Keep requests from sealing the audit log now and then: what a request costs is counted."""
    # Not by `monkeypatch`: it would be made first in every test, and undone last.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audit, "_SEALED_EVERY", 2**200)
        yield


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.PostgresServer]:
    """A PostgreSQL server with the application's two roles."""
    with require(postgres.start) as server:
        yield server


@pytest.fixture(scope="session")
def make_postgres(postgres_server: postgres.PostgresServer) -> Callable[[], Database]:
    """Make an empty PostgreSQL database with the roles of deploy/roles.sql; not migrated."""
    made: list[str] = []

    def make() -> Database:
        name = f"tenantry_{secrets.token_hex(4)}"
        postgres_server.create_database(name)
        script = (DEPLOY / "roles.sql").read_text()
        if made:  # roles are the server's, made with its first database
            script = "\n".join(line for line in script.splitlines() if not line.startswith("CREATE ROLE"))
        made.append(name)
        postgres_server.psql(script, name)
        return Database(
            "postgresql", postgres_server.url("tenantry_app", name), postgres_server.url("tenantry_owner", name)
        )

    return make


@pytest.fixture(scope="session")
def postgres_database(make_postgres: Callable[[], Database]) -> Database:
    """A migrated PostgreSQL database, in which the application is the role that owns nothing."""
    return migrate(make_postgres())


@pytest.fixture(scope="session")
def sqlite_database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """A migrated SQLite database."""
    url = f"sqlite:///{tmp_path_factory.mktemp('database')}/tenantry.db"
    return migrate(Database("sqlite", url, url))


@pytest.fixture(scope="session", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest) -> Database:
    """Each kind of database in turn."""
    name = "postgres_database" if request.param == "postgresql" else "sqlite_database"
    found: Database = request.getfixturevalue(name)
    return found


@pytest.fixture(scope="session")
def app(database: Database, request: pytest.FixtureRequest) -> Flask:
    """The application, on each kind of database in turn."""
    # Made once a worker: this fixture is torn down whenever the kind changes, which is twice in every module, and a new
    # application compiles its templates and statements again.
    found: Flask = request.getfixturevalue("postgres_app" if database.kind == "postgresql" else "lone_app")
    return found


@pytest.fixture(scope="session")
def postgres_app(postgres_database: Database) -> Iterator[Flask]:
    """The application on PostgreSQL only."""
    app = create_app(postgres_database.settings())
    yield app
    app.extensions["tenants"].engines.dispose()


@pytest.fixture(scope="session")
def lone_app(sqlite_database: Database) -> Iterator[Flask]:
    """The application on SQLite only, for what does not depend on it."""
    app = create_app(sqlite_database.settings())
    yield app
    app.extensions["tenants"].engines.dispose()


@pytest.fixture
def steady(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """One-time codes by a clock that stands still: half a minute does not end in the middle of a test."""
    moment = time.time() // 30 * 30 + 15
    monkeypatch.setattr(app.extensions["security"].totp_factory._totp, "now", staticmethod(lambda: moment))


@pytest.fixture
def acme(app: Flask) -> Workspace:
    """A workspace."""
    return make_workspace(app)


@pytest.fixture
def globex(app: Flask) -> Workspace:
    """Another workspace."""
    return make_workspace(app)


@pytest.fixture
def visitor(app: Flask, acme: Workspace) -> Visitor:
    """A browser on acme's host in which nobody is signed in."""
    return Visitor(app, acme.host)


@pytest.fixture
def member(app: Flask, acme: Workspace) -> Visitor:
    """A browser in which acme's member is signed in."""
    return sign_in(app, acme, "member")
