"""Limits of requests, and those who would get round them or turn them against others."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from flask import Flask

from config.plans import DEFAULT_PLAN, Plan
from saas import create_app, limits
from tenants.db import now
from tenants.models import Domain
from tests.auth.helpers import inside
from tests.conftest import Database
from tests.factories import Workspace, make_workspace
from tests.program import Program, personal_token

ME, TOKEN = "/api/v1/me", "/api/v1/auth/token"
PLENTY = {"address": 1000, "caller": 1000, "tenant": 1000, "sign_in": 1000}
STRANGER = {"grant": "password", "username": "nobody@example.com", "password": "guess"}


@pytest.fixture(scope="module")
def served(sqlite_database: Database) -> Iterator[Flask]:
    """An application whose plans are changed by `limit`."""
    plans = {DEFAULT_PLAN: PLENTY, "small": dict.fromkeys(PLENTY, 1)}
    app = create_app(sqlite_database.settings(plans=plans))
    yield app
    app.extensions["tenants"].engines.dispose()


@pytest.fixture
def limit(served: Flask, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets limits for the test."""

    def set_limits(**amounts: int) -> None:
        plans = {DEFAULT_PLAN: limits._items(Plan(**(PLENTY | amounts)))}
        monkeypatch.setattr(served.extensions["limits"], "plans", plans)

    return set_limits


@pytest.fixture
def workspace(served: Flask) -> Workspace:
    return make_workspace(served)


def statuses(program: Program, times: int, path: str = ME, **options: Any) -> list[int]:
    return [program.get(path, **options).status_code for _ in range(times)]


def left(answer: Any) -> tuple[str, str]:
    return answer.headers["RateLimit-Limit"], answer.headers["RateLimit-Remaining"]


def test_a_caller_who_is_refused_uses_up_nothing_of_the_others(served: Flask, workspace: Workspace, limit: Any) -> None:
    limit(caller=2, tenant=5)
    assert statuses(personal_token(served, workspace), 20) == [200] * 2 + [429] * 18
    assert statuses(personal_token(served, workspace, "viewer"), 3) == [200, 200, 429]


def test_whoever_is_told_that_some_are_left_is_not_refused(served: Flask, workspace: Workspace, limit: Any) -> None:
    program = personal_token(served, workspace)
    for scope in ("address", "caller", "tenant"):
        limit(**{scope: 3})
        served.extensions["limits"].storage.reset()
        told = [left(program.get(ME)) for _ in range(4)]
        assert told == [("3", "2"), ("3", "1"), ("3", "0"), ("3", "0")]
    limit(sign_in=2)
    assert left(Program(served, workspace.host).post(TOKEN, STRANGER)) == ("2", "1")


def test_a_forwarded_address_is_believed_from_nobody(served: Flask, workspace: Workspace, limit: Any) -> None:
    limit(address=2)
    program, found = Program(served, workspace.host), []
    for number in range(4):
        address = f"192.0.2.{number}"
        forged = {"X-Forwarded-For": address, "Forwarded": f"for={address}", "X-Real-IP": address}
        found.append(program.get(ME, headers=forged).status_code)
    assert found == [401, 401, 429, 429]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("192.0.2.7", "::ffff:192.0.2.7"),
        ("2001:db8:0:1::1", "2001:0db8:0000:0001:ffff:ffff:ffff:ffff"),
        ("fe80::1%eth0", "fe80::2%eth1"),
        ("", "nonsense"),
    ],
)
def test_an_address_written_otherwise_is_the_same(
    served: Flask, workspace: Workspace, limit: Any, one: str, other: str
) -> None:
    limit(address=1)
    assert statuses(Program(served, workspace.host, address=one), 1) == [401]
    assert statuses(Program(served, workspace.host, address=other), 1) == [429]


def test_all_hosts_of_a_tenant_count_together(served: Flask, workspace: Workspace, limit: Any) -> None:
    own = f"{workspace.slug}.example.org"
    with inside(served, workspace) as session:
        session.add(Domain(host=own, tenant_id=workspace.tenant.id, verified_at=now()))
        session.commit()
    limit(address=4)
    hosts = [workspace.host, workspace.host.upper(), f"{workspace.host}.", own, own.upper()]
    assert [Program(served, host).get(ME).status_code for host in hosts] == [401, 401, 401, 401, 429]


def test_tokens_that_are_none_take_no_room_each(served: Flask, workspace: Workspace, limit: Any) -> None:
    limit()
    program, storage = Program(served, workspace.host), served.extensions["limits"].storage
    storage.reset()
    for number in range(50):
        program.get(ME, headers={"Authorization": f"Bearer tnt_pat_{number}"})
        program.get(f"/api/v1/{number}")
        program.post(TOKEN, STRANGER | {"username": f"{number}@example.com"})
    assert len(storage._counts) == 2  # the address, and the address where one signs in


def test_all_methods_count_and_all_paths(served: Flask, workspace: Workspace, limit: Any) -> None:
    for method in ("HEAD", "OPTIONS", "DELETE", "NONSENSE"):
        limit(address=2)
        served.extensions["limits"].storage.reset()
        program = Program(served, workspace.host)
        for path in ("/api/nothing", "/scim/v2/Users"):
            assert program.open(method, path).status_code != 429
        answer = program.open(method, ME)
        assert (method, answer.status_code) == (method, 429)
        assert int(answer.headers["Retry-After"]) >= 1


def test_the_second_step_of_a_sign_in_has_the_same_limit(served: Flask, workspace: Workspace, limit: Any) -> None:
    limit(sign_in=2)
    program = Program(served, workspace.host)
    step = {"grant": "second_factor", "challenge": "x", "code": "000000"}
    bodies = [STRANGER, step, {"grant": "refresh", "refresh_token": "x"}]
    assert [program.post(TOKEN, body).status_code for body in bodies][2] == 429
    # A limit, and no ban: what has been signed in is served.
    assert statuses(personal_token(served, workspace), 1) == [200]


def test_a_refused_sign_in_looks_at_no_password(
    served: Flask, workspace: Workspace, limit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(sign_in=1)
    program = Program(served, workspace.host)
    program.post(TOKEN, STRANGER)
    person = workspace.people["member"]
    right = {"grant": "password", "username": person.email, "password": person.password}
    answer = program.post(TOKEN, right)
    assert (answer.status_code, answer.mimetype) == (429, "application/problem+json")
    assert answer.json["type"] == "/api/problems#too-many-requests"


def test_a_plan_that_is_changed_holds_at_once(served: Flask, workspace: Workspace) -> None:
    program = personal_token(served, workspace)
    assert left(program.get(ME))[0] == "1000"
    change = ["tenants", "plan", workspace.slug]
    assert served.test_cli_runner().invoke(args=[*change, "nonsense"]).exit_code == 2
    assert left(program.get(ME))[0] == "1000"
    assert served.test_cli_runner().invoke(args=[*change, "small"]).exit_code == 0
    assert left(program.get(ME)) == ("1", "0")
    assert statuses(program, 1) == [429]


def test_every_answer_tells_whatever_it_says(served: Flask, workspace: Workspace, limit: Any) -> None:
    limit(address=5)
    program = personal_token(served, workspace, "viewer", only={"member:read"})
    asked = [("GET", ME), ("GET", "/api/v1/nothing"), ("POST", "/api/v1/projects"), ("PUT", ME)]
    answers = [program.open(method, path) for method, path in asked]
    answers += [Program(served, workspace.host).get(ME) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 404, 403, 405, 401, 429]
    assert [left(answer) for answer in answers] == [("5", str(most)) for most in (4, 3, 2, 1, 0, 0)]
    assert all(1 <= int(answer.headers["RateLimit-Reset"]) <= 60 for answer in answers)
    assert ["Retry-After" in answer.headers for answer in answers] == [False] * 5 + [True]


def test_the_description_names_what_every_answer_tells(served: Flask, workspace: Workspace, limit: Any) -> None:
    limit()
    described = Program(served, workspace.host).get("/api/openapi.json").json
    told = {name for name, _value in personal_token(served, workspace).get(ME).headers.items()}
    assert set(described["components"]["headers"]) == {name for name in told if name.startswith(("RateLimit", "X-Req"))}
    for methods in described["paths"].values():
        for operation in methods.values():
            for answer in operation["responses"].values():
                name = answer.get("$ref", "").rpartition("/")[2]
                held = described["components"]["responses"][name] if name else answer
                assert "RateLimit-Remaining" in held["headers"]


def test_a_redis_that_listens_and_does_not_answer_is_asked_once(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_PATIENCE", dict.fromkeys(limits._PATIENCE, 0.05))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        app = create_app(sqlite_database.settings(plans={DEFAULT_PLAN: PLENTY | {"address": 3}}, redis_url=url))
        found = statuses(Program(app, make_workspace(app).host), 4)
        silent.setblocking(False)
        connections = []
        with suppress(BlockingIOError):
            while True:
                connections.append(silent.accept()[0])
    app.extensions["tenants"].engines.dispose()
    assert found == [401, 401, 401, 429]  # counted in this process
    assert len(connections) == 1
    for connection in connections:
        connection.close()
