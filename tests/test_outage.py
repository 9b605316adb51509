"""The database goes away and comes back: a clear answer meanwhile, no restart, nothing half done."""

from collections.abc import Iterator

import pytest
from flask import Flask, g
from sqlalchemy import select

from auth.permissions import public
from saas import create_app
from saas.projects.models import Project
from tenants.context import bound
from tests.conftest import DEPLOY, Database, migrate
from tests.factories import Workspace, make_workspace
from tests.servers import postgres, require
from tests.visitor import Visitor, sign_in

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.PostgresServer]:
    """A server of these tests' own, to be stopped."""
    with require(postgres.start) as server:
        yield server


@pytest.fixture(scope="module")
def app(server: postgres.PostgresServer) -> Iterator[Flask]:
    server.create_database("outage")
    server.psql((DEPLOY / "roles.sql").read_text(), "outage")
    database = migrate(
        Database("postgresql", server.url("tenantry_app", "outage"), server.url("tenantry_owner", "outage"))
    )
    app = create_app(database.settings())
    app.config["PROPAGATE_EXCEPTIONS"] = False

    @public
    def write_and_lose_the_database() -> str:
        g.db.add(Project(name="half written"))
        g.db.flush()
        server.stop()
        return "done"

    app.add_url_rule("/lose", "lose", write_and_lose_the_database)
    yield app
    app.extensions["tenants"].engines.dispose()


@pytest.fixture(autouse=True)
def running(app: Flask, server: postgres.PostgresServer) -> Iterator[None]:
    server.start()
    app.extensions["tenants"].engines.dispose()
    yield
    server.start()


@pytest.fixture
def acme(app: Flask) -> Workspace:
    return make_workspace(app)


@pytest.fixture
def globex(app: Flask) -> Workspace:
    return make_workspace(app)


@pytest.fixture
def member(app: Flask, acme: Workspace) -> Visitor:
    return sign_in(app, acme)


def projects(app: Flask, workspace: Workspace) -> list[str]:
    with app.app_context(), bound(workspace.tenant) as session:
        return list(session.scalars(select(Project.name)))


class TestAway:
    """While the database does not answer."""

    @pytest.fixture(autouse=True)
    def stopped(self, running: None, member: Visitor, server: postgres.PostgresServer) -> None:
        assert member.is_signed_in()  # its host, its session and the pool are warm
        server.stop()

    def test_pages_say_so_and_when_to_come_back(self, member: Visitor) -> None:
        for path in ("/", "/projects/", "/auth/login"):
            answer = member.get(path)
            assert (answer.status_code, answer.mimetype) == (503, "text/html")
            assert int(answer.headers["Retry-After"]) > 0

    def test_programs_are_told_in_their_way(self, member: Visitor) -> None:
        answer = member.get("/api/v1/me")
        assert (answer.status_code, answer.mimetype) == (503, "application/problem+json")
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.json["status"] == 503

    def test_forms_are_told_too(self, member: Visitor) -> None:
        assert member.post("/projects/new", {"name": "x"}, csrf="x").status_code == 503

    def test_a_host_that_was_never_seen_is_told_the_same(self, app: Flask) -> None:
        assert Visitor(app, "never-seen.localhost").get("/").status_code == 503

    def test_no_answer_tells_where_the_database_is(self, member: Visitor, server: postgres.PostgresServer) -> None:
        for path in ("/", "/api/v1/me", "/readyz"):
            told = member.get(path).get_data(as_text=True)
            assert str(server.port) not in told
            assert "psycopg" not in told
            assert "127.0.0.1" not in told

    def test_the_process_is_up_and_not_ready(self, member: Visitor) -> None:
        assert member.get("/healthz").status_code == 200
        ready = member.get("/readyz")
        assert (ready.status_code, ready.json["checks"]["database"]) == (503, "unreachable")

    def test_what_needs_no_data_is_served(self, member: Visitor) -> None:
        with member.get("/static/app.css") as answer:
            assert answer.status_code == 200


class TestBack:
    """Once the database answers again."""

    def test_the_next_request_works_after_an_outage_that_was_noticed(
        self, member: Visitor, server: postgres.PostgresServer
    ) -> None:
        server.stop()
        assert member.get("/").status_code == 503
        server.start()
        assert member.get("/").status_code == 200
        assert member.get("/readyz").status_code == 200

    def test_the_next_request_works_after_an_outage_that_nobody_noticed(
        self, member: Visitor, server: postgres.PostgresServer
    ) -> None:
        server.stop()
        server.start()
        assert member.get("/api/v1/me").status_code == 200

    def test_a_host_that_was_never_seen_works_after_an_outage_that_nobody_noticed(
        self, app: Flask, acme: Workspace, globex: Workspace, member: Visitor, server: postgres.PostgresServer
    ) -> None:
        server.stop()
        server.start()
        assert Visitor(app, globex.host).get("/auth/login").status_code == 200

    def test_readiness_is_told_after_an_outage_that_nobody_noticed(
        self, member: Visitor, server: postgres.PostgresServer
    ) -> None:
        server.stop()
        server.start()
        assert member.get("/readyz").status_code == 200

    def test_a_form_works_at_once(self, app: Flask, acme: Workspace, server: postgres.PostgresServer) -> None:
        owner = sign_in(app, acme, "owner")
        token = owner.csrf_token()
        server.stop()
        server.start()
        assert owner.post("/projects/new", {"name": "Apollo", "status": "active"}, csrf=token).status_code == 302
        assert projects(app, acme) == ["Apollo"]

    def test_every_connection_of_the_pool_is_replaced(
        self, app: Flask, member: Visitor, server: postgres.PostgresServer
    ) -> None:
        engine = app.extensions["tenants"].engines.shared
        several = [engine.connect() for _ in range(5)]
        for connection in several:
            connection.close()
        server.stop()
        server.start()
        assert [member.get("/api/v1/me").status_code for _ in range(6)] == [200] * 6
        assert engine.pool.checkedout() == 0


class TestMeanwhile:
    """A request in whose middle the database goes away."""

    def test_it_is_answered_503_and_leaves_nothing_half_written(
        self, app: Flask, acme: Workspace, server: postgres.PostgresServer
    ) -> None:
        answer = app.test_client().get("/lose", base_url=acme.url)
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        server.start()
        assert projects(app, acme) == []
        assert app.extensions["tenants"].engines.shared.pool.checkedout() == 0
