"""Is the process up, and is it ready to serve?"""

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from alembic import command
from flask import Flask

from auth.breakers import FAILURES, breakers
from saas import create_app
from saas.migrations import configuration, head_revision
from tenants.engines import create_owner_engine
from tests.conftest import Database
from tests.factories import Workspace

HOSTS = ["acme.localhost", "unknown.example", "localhost", "127.0.0.1", "10.0.0.7:8000", "..", ""]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("host", HOSTS)
def test_health_is_told_on_every_host(app: Flask, path: str, host: str) -> None:
    answer = app.test_client(use_cookies=False).get(path, environ_overrides={"HTTP_HOST": host})
    # A balancer may ask with any Host that is one, or with none.
    assert answer.status_code == (404 if host == ".." else 200)


def test_the_process_is_up(app: Flask) -> None:
    assert app.test_client().get("/healthz").json == {"status": "ok"}


@pytest.fixture
def no_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breakers, "_known", OrderedDict())


@pytest.mark.usefixtures("no_sources")
def test_a_migrated_database_is_ready(app: Flask) -> None:
    answer = app.test_client().get("/readyz")
    assert answer.json == {
        "status": "ok",
        "checks": {"database": "ok", "migrations": "ok"},
        "details": {"identity_sources": {"closed": 0, "open": 0, "half-open": 0}},
    }
    assert app.extensions["tenants"].engines.shared.pool.checkedout() == 0


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_sets_no_cookie_and_tells_no_tenant(app: Flask, acme: Workspace, path: str) -> None:
    answer = app.test_client().get(path, base_url=acme.url)
    assert "Set-Cookie" not in answer.headers
    assert acme.slug not in answer.get_data(as_text=True)


@pytest.mark.usefixtures("no_sources")
def test_a_directory_that_does_not_answer_is_told_by_number_and_is_no_reason_to_be_unready(
    app: Flask, acme: Workspace
) -> None:
    with breakers.of((acme.tenant.id, "answers")).attempt(OSError):
        pass
    for _ in range(FAILURES):
        with suppress(OSError), breakers.of((acme.tenant.id, "does not")).attempt(OSError):
            raise OSError
    answer = app.test_client().get("/readyz")
    assert (answer.status_code, answer.json["status"]) == (200, "ok")
    assert answer.json["details"] == {"identity_sources": {"closed": 1, "open": 1, "half-open": 0}}
    assert str(acme.tenant.id) not in answer.get_data(as_text=True)


def ready(database: Database) -> tuple[int, dict[str, str]]:
    app = create_app(database.settings())
    answer = app.test_client().get("/readyz")
    app.extensions["tenants"].engines.dispose()
    checks: dict[str, str] = answer.json["checks"]
    return answer.status_code, checks


def test_a_database_without_tables_is_not_ready(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/empty.db"
    status, checks = ready(Database("sqlite", url, url))
    assert status == 503
    assert head_revision() is not None
    assert str(head_revision()) in checks["migrations"]


def test_a_database_of_another_release_is_not_ready(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/former.db"
    database = Database("sqlite", url, url)
    engine = create_owner_engine(database.settings())
    command.stamp(configuration(engine), "head")
    assert ready(database)[0] == 200
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0000'")
    engine.dispose()
    status, checks = ready(database)
    assert (status, checks["database"]) == (503, "ok")


@pytest.mark.postgres
def test_an_unmigrated_postgresql_database_is_not_ready(make_postgres: Callable[[], Database]) -> None:
    assert ready(make_postgres())[0] == 503
