"""What a request may cost, counted in the protocol that PostgreSQL really spoke: no clock, no library's own count."""

import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from flask import Flask
from psycopg.pq import Trace
from sqlalchemy import event

from auth import identity, roles, users
from auth.audit_bounds import MOST
from saas import create_app, idempotency
from tenants.context import bound
from tests.auth import sources
from tests.auth.scim.conftest import SETTINGS, provider_for
from tests.conftest import Database
from tests.factories import Workspace, add_person, make_project, make_workspace
from tests.program import Program, personal_token, signed_in_program
from tests.visitor import Visitor, sign_in

pytestmark = pytest.mark.postgres

THE_VIEWS_OWN = 1  # the list of projects and its count come in one statement
ENDING = 1  # COMMIT or ROLLBACK; BEGIN travels with the binding


class Trips:
    """Counts the times that a client waited for an answer, on every connection of one engine."""

    def __init__(self, app: Flask) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        engine = app.extensions["tenants"].engines.shared
        engine.dispose()
        event.listen(engine, "connect", self._trace)
        self._engine = engine

    def _trace(self, connection: Any, _: Any) -> None:
        connection.pgconn.trace(self._file.fileno())
        connection.pgconn.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)

    def during(self, request: Callable[[], Any]) -> int:
        start = self._file.seek(0, 2)
        request()
        self._file.seek(start)
        sent = [line.split(b"\t") for line in self._file.read().splitlines()]
        # A simple query, or the Sync that ends an extended one: after either the client waits.
        return sum(line[0] == b"F" and line[2] in (b"Query", b"Sync") for line in sent)

    def close(self) -> None:
        event.remove(self._engine, "connect", self._trace)
        self._engine.dispose()
        self._file.close()


@pytest.fixture(scope="module")
def app(postgres_database: Database) -> Iterator[Flask]:
    app = create_app(postgres_database.settings())
    yield app
    app.extensions["tenants"].engines.dispose()


@pytest.fixture
def trips(app: Flask) -> Iterator[Trips]:
    counter = Trips(app)
    yield counter
    counter.close()


def warm(visitor: Visitor, path: str) -> None:
    # Statements are prepared on their sixth run, which costs a trip of its own, once per connection.
    for _ in range(8):
        assert visitor.get(path).status_code == 200


def test_binding_a_warm_signed_in_request_adds_no_round_trip_to_begin(app: Flask, trips: Trips) -> None:
    member = sign_in(app, make_workspace(app))
    warm(member, "/api/v1/me")
    assert trips.during(lambda: member.get("/api/v1/me")) == 1 + ENDING


@pytest.mark.parametrize("means", [signed_in_program, personal_token])
def test_a_token_costs_no_more_trips_than_a_cookie(
    app: Flask, trips: Trips, means: Callable[[Flask, Workspace], Program]
) -> None:
    program = means(app, make_workspace(app))
    for _ in range(8):
        assert program.get("/api/v1/me").status_code == 200
    assert trips.during(lambda: program.get("/api/v1/me")) == 1 + ENDING


def test_a_provisioning_token_costs_none_of_its_own(app: Flask, trips: Trips) -> None:
    workspace = make_workspace(app)
    provider = provider_for(app, workspace, sources.add(app, workspace, "work", "oidc", SETTINGS, secret="secret"))
    for _ in range(8):
        assert provider.get("/ServiceProviderConfig").status_code == 200
    assert trips.during(lambda: provider.get("/ServiceProviderConfig")) == 1 + ENDING


def test_a_bad_token_costs_one_trip_and_none_for_a_signature(app: Flask, trips: Trips) -> None:
    acme, globex = make_workspace(app), make_workspace(app)
    signed_in_program(app, globex)
    program = Program(app, globex.host, signed_in_program(app, acme).token)
    for _ in range(8):
        assert program.get("/api/v1/me").status_code == 401
    assert trips.during(lambda: program.get("/api/v1/me")) == 1 + ENDING


def test_a_page_of_projects_costs_one_trip_more(app: Flask, trips: Trips) -> None:
    acme = make_workspace(app)
    for number in range(30):
        make_project(app, acme, f"Project {number}")
    member = sign_in(app, acme)
    warm(member, "/api/v1/projects")
    assert trips.during(lambda: member.get("/api/v1/projects")) == 1 + THE_VIEWS_OWN + ENDING


def test_a_cold_process_needs_three_trips_at_most(app: Flask, trips: Trips) -> None:
    member = sign_in(app, make_workspace(app))
    warm(member, "/api/v1/me")
    app.extensions["tenants"].resolver._known.clear()
    identity._snapshots.clear()
    begin_and_commit_of_the_look_up = 2
    assert trips.during(lambda: member.get("/api/v1/me")) <= 3 + ENDING + begin_and_commit_of_the_look_up


def test_a_change_of_rights_costs_the_next_request_two_trips_more(app: Flask, trips: Trips) -> None:
    acme = make_workspace(app)
    member = sign_in(app, acme)
    warm(member, "/api/v1/me")
    with app.app_context(), bound(acme.tenant):
        roles.create_role("reviewer", [], actor=None)
    assert trips.during(lambda: member.get("/api/v1/me")) == 3 + ENDING
    assert trips.during(lambda: member.get("/api/v1/me")) == 1 + ENDING


def test_the_cost_does_not_grow_with_users_roles_and_tenants(app: Flask, trips: Trips) -> None:
    acme = make_workspace(app)
    member = sign_in(app, acme)
    for _ in range(5):
        make_workspace(app)
        add_person(app, acme)
    with app.app_context(), bound(acme.tenant):
        for number in range(20):
            roles.create_role(f"role {number}", ["project:read"], actor=None)
            roles.grant_role(users.get_by_email(acme.people["member"].email), f"role {number}", actor=None)
    warm(member, "/api/v1/me")
    assert trips.during(lambda: member.get("/api/v1/me")) == 1 + ENDING
    identity._snapshots.clear()
    assert trips.during(lambda: member.get("/api/v1/me")) == 2 + ENDING


def test_a_denial_costs_two_trips_and_the_first_ones_their_record(app: Flask, trips: Trips) -> None:
    viewer = sign_in(app, make_workspace(app), "viewer")
    warm(viewer, "/api/v1/me")
    token = viewer.csrf_token()

    def denied() -> None:
        answer = viewer.client.post(
            "/api/v1/projects", base_url=viewer.base, json={"name": "x"}, headers={"X-CSRFToken": token}
        )
        assert answer.status_code == 403

    its_record = 1 + 1 + ENDING
    for number in range(MOST + 3):
        assert trips.during(denied) == 2 + (its_record if number < MOST else 0)


def test_a_denial_makes_no_later_request_pay(app: Flask, trips: Trips) -> None:
    acme = make_workspace(app)
    viewer = sign_in(app, acme, "viewer")
    warm(viewer, "/api/v1/projects")
    token = viewer.csrf_token()
    for _ in range(3):
        viewer.client.post("/api/v1/projects", base_url=viewer.base, json={"name": "x"}, headers={"X-CSRFToken": token})
    assert trips.during(lambda: viewer.get("/api/v1/projects")) == 1 + THE_VIEWS_OWN + ENDING


def test_an_idempotency_key_costs_two_trips_more(app: Flask, trips: Trips, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "_SWEPT_EVERY", 2**200)
    program, numbers = personal_token(app, make_workspace(app)), count()

    def create(**headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        assert program.post("/api/v1/projects", {"name": "x"}, headers=named).status_code == 201

    for _ in range(8):
        create()
        create(Idempotency_Key=str(next(numbers)))
    plain = trips.during(create)
    assert trips.during(lambda: create(Idempotency_Key=str(next(numbers)))) == plain + 2


def test_a_condition_costs_three_trips_more_than_a_change_without(app: Flask, trips: Trips) -> None:
    acme, numbers = make_workspace(app), count()
    program, path = personal_token(app, acme), f"/api/v1/projects/{make_project(app, acme)}"

    def change(**headers: str) -> str:
        answer = program.open("PATCH", path, json={"name": f"Name {next(numbers)}"}, headers=headers)
        assert answer.status_code == 200
        return str(answer.headers["ETag"])

    for _ in range(8):
        change(**{"If-Match": change()})
    plain, seen = trips.during(change), program.get(path).headers["ETag"]
    the_row_the_tenant_and_a_read = 3
    assert trips.during(lambda: change(**{"If-Match": seen})) <= plain + the_row_the_tenant_and_a_read


def test_static_files_and_health_cost_no_trip(app: Flask, trips: Trips) -> None:
    member = sign_in(app, make_workspace(app))
    assert trips.during(lambda: member.get("/static/app.css").close()) == 0
    assert trips.during(lambda: member.get("/healthz")) == 0


def test_every_page_stays_within_its_statements(app: Flask, trips: Trips) -> None:
    acme = make_workspace(app)
    project = make_project(app, acme)
    owner = sign_in(app, acme, "owner")
    budget = {
        "/": 5,
        "/projects/": 4,
        f"/projects/{project}": 7,
        "/account/": 6,
        "/account/sessions": 4,
    }
    for path in budget:
        warm(owner, path)
    assert {path: trips.during(lambda path=path: owner.get(path)) for path in budget} == budget
