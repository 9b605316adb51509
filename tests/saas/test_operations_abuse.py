"""Operations under attack: what no schema says, requests that race each other, and answers that were kept."""

import itertools
import json
import re
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask, g
from sqlalchemy import select, update

from auth import invitations, roles
from auth.errors import NotAllowed
from saas import idempotency, limits, openapi
from saas.idempotency import IdempotencyKey
from tenants.db import now
from tests.auth import sources
from tests.auth.helpers import at_once, inside, mail_to, row_of
from tests.factories import Workspace, make_project, make_workspace
from tests.program import Program, personal_token, signed_in_program
from tests.saas.things import SETTINGS, things

UUID = re.compile("[0-9a-f-]{36}")
STEP = 4
"""Parts of the driving of all operations, each with every so many values."""
TEXTS: tuple[Any, ...] = (
    "", " ", "\u0000", "x" * 5000, "ï¿½", "\ufffe", "\U0001f600" * 80, "e" + "\u0301" * 300, "\u202eabc", "a\r\nB: c",
    "%00", "%", "_", "\\", "'", '"', "{}", "{{7*7}}", "%(name)s", "%s", "-1", "null", "true", "..", "/", "http://[",
    "https://[::1", "https://x:99999", "*", "@", "a@b", f"{'a' * 70}@x.example", "xn--a", "xn--\u00e9", "۱۲", "１",
    "ﬀ", "İ", "00000000-0000-0000-0000-000000000000", "{00000000-0000-0000-0000-000000000000}",
)  # fmt: skip
TIMES = (
    "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59.999999Z",
    "1969-12-31T23:59:59Z", "2030-02-30T00:00:00Z", "2030-01-01T24:00:00Z", "2030-12-31T23:59:60Z", "2030-01-01",
    "-0001-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "2030-01-01T00:00:00+23:59", "2030-01-01T00:00:00",
)  # fmt: skip
DATES = ("0001-01-01", "9999-12-31", "0000-00-00", "10000-01-01", "2030-02-30", "-001-01-01")
NUMBERS: tuple[Any, ...] = (0, -1, 2**31, 2**63, -(2**63), 10**30, 1.5, 1e308, True, "1", 10**4000)
OTHERS: tuple[Any, ...] = (None, True, 0, 1.5, [], [None], [[[]]], {}, {"": ""}, {"a": 1})


class Nasty:
    """Values that fit a schema by their type, and come from the edges; and some that do not fit."""

    def __init__(self, described: dict[str, Any]) -> None:
        self.definitions = described["components"]["schemas"]

    def of(self, schema: dict[str, Any]) -> list[Any]:
        """Values to put where that schema is asked for."""
        if reference := schema.get("$ref"):
            schema = self.definitions[reference.rpartition("/")[2]]
        parts = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
        if parts:
            return [value for part in parts for value in self.of(part)]
        if schema.get("type") == "array":
            items = self.of(schema.get("items", {}))
            return [[], [None], items[:3], items * 3, [items[0]] * 1200, *([item] for item in items)]
        if schema.get("type") == "object":
            return [{}, *self.bodies(schema)]
        given = {"date-time": TIMES, "date": DATES}.get(schema.get("format", ""), ())
        return [*given, *(NUMBERS if schema.get("type") in ("integer", "number") else TEXTS)]

    def bodies(self, schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Objects of which one field at a time is out of the ordinary."""
        if reference := schema.get("$ref"):
            schema = self.definitions[reference.rpartition("/")[2]]
        if parts := [*schema.get("anyOf", ()), *schema.get("oneOf", ())]:
            for part in parts:
                yield from self.bodies(part)
            return
        ordinary = {name: self.ordinary(part) for name, part in schema.get("properties", {}).items()}
        needed = {name: value for name, value in ordinary.items() if name in schema.get("required", ())}
        for name, part in schema.get("properties", {}).items():
            for value in [*self.of(part), *OTHERS]:
                yield needed | {name: value}
            yield ordinary | {f"{name}\u0000": 1}

    def ordinary(self, schema: dict[str, Any]) -> Any:
        """A value that is nothing special."""
        if reference := schema.get("$ref"):
            schema = self.definitions[reference.rpartition("/")[2]]
        for key in ("examples", "enum"):
            if schema.get(key):
                return schema[key][0]
        if "const" in schema or "default" in schema:
            return schema.get("const", schema.get("default"))
        for part in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
            return self.ordinary(part)
        if schema.get("type") == "array":
            return [self.ordinary(schema["items"])] if schema.get("items") else []
        if schema.get("type") == "object":
            return {name: self.ordinary(part) for name, part in schema.get("properties", {}).items()}
        plain = {
            "date-time": "2030-01-31T12:00:00Z",
            "date": "2030-01-31",
            "uuid": "0" * 8 + "-0000-4000-8000-" + "0" * 12,
        }
        return plain.get(schema.get("format", ""), {"integer": 1, "boolean": True}.get(schema.get("type", ""), "text"))


@pytest.fixture
def described(app: Flask) -> dict[str, Any]:
    """The description of the API."""
    with app.app_context():
        return openapi.describe(app)


def operations(described: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """All operations, those last that take something away."""
    found = [(method, path, each) for path, methods in described["paths"].items() for method, each in methods.items()]
    return sorted(found, key=lambda one: one[0] == "delete")


def cases_of(operation: dict[str, Any], nasty: Nasty) -> Iterator[dict[str, Any]]:
    """Requests to an operation, as options of a test client."""
    for parameter in operation["parameters"]:
        if parameter["in"] == "query":
            for value in (*nasty.of(parameter["schema"]), *TEXTS, ["a", "b"]):
                yield {"query_string": {parameter["name"]: value if isinstance(value, list) else str(value)}}
    if "requestBody" in operation:
        for body in nasty.bodies(operation["requestBody"]["content"]["application/json"]["schema"]):
            yield {"data": json.dumps(body), "content_type": "application/json"}
    yield {}


@pytest.mark.postgres
@pytest.mark.parametrize("part", range(STEP))
def test_no_value_from_the_edges_breaks_anything(
    postgres_app: Flask, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    monkeypatch.setattr(limits, "PATHS", ())  # nobody is served so much in a minute
    monkeypatch.setattr(postgres_app, "testing", False)  # a fault is an answer
    with postgres_app.app_context():
        described = openapi.describe(postgres_app)
    workspace = make_workspace(postgres_app)
    program, faults = signed_in_program(postgres_app, workspace, "owner"), []
    nasty, ids = Nasty(described), things(postgres_app, workspace)
    for method, path, operation in operations(described):
        if path == "/api/v1/auth/revoke":  # it would be the caller's own
            continue
        address = re.sub(r"\{(\w+)\}", lambda found: ids.get(found[1], str(uuid.uuid4())), path)
        for case in itertools.islice(cases_of(operation, nasty), part, None, STEP):
            answer = program.open(method.upper(), address, **case)
            if str(answer.status_code) not in operation["responses"] or answer.status_code >= 500:
                faults.append((method, path, answer.status_code, str(case)[:300]))
    assert not faults


def etag(program: Program, path: str) -> str:
    answer = program.get(path)
    assert answer.status_code == 200, answer.text
    return str(answer.headers["ETag"])


class TestStates:
    """If-Match, and those who change at once."""

    @pytest.mark.parametrize(
        ("path", "method", "bodies"),
        [
            ("/api/v1/projects/{project_id}", "PATCH", [{"name": f"Project {number}"} for number in range(6)]),
            ("/api/v1/groups/{group_id}", "PATCH", [{"name": f"Group {number}"} for number in range(6)]),
            ("/api/v1/members/{user_id}", "PATCH", [{"name": f"Member {number}"} for number in range(6)]),
            ("/api/v1/members/{owner}", "PATCH", [{"name": f"Owner {number}"} for number in range(6)]),
            ("/api/v1/providers/{config_id}", "PATCH", [{"label": f"Source {number}"} for number in range(6)]),
            ("/api/v1/policy", "PATCH", [{"shortest_password": 10 + number} for number in range(6)]),
            ("/api/v1/workspace", "PATCH", [{"name": f"Acme {number}"} for number in range(6)]),
            ("/api/v1/origins", "PUT", [{"origins": [f"https://a{number}.example"]} for number in range(6)]),
            ("/api/v1/audit/retention", "PUT", [{"days": 500 + number} for number in range(6)]),
            ("/api/v1/roles/default", "PUT", [{"role_id": name} for name in ("admin", "viewer") * 3]),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_of_many_changes_of_one_state_one_is_done(
        self, app: Flask, acme: Workspace, path: str, method: str, bodies: list[dict[str, Any]]
    ) -> None:
        programs = [signed_in_program(app, acme, "owner") for _ in bodies]
        ids = things(app, acme)
        address = path.format(**ids, owner=acme.people["owner"].id)
        if "role_id" in bodies[0]:
            known = {one["name"]: one["id"] for one in programs[0].get("/api/v1/roles").json["items"]}
            bodies = [{"role_id": known[body["role_id"]]} for body in bodies]
        seen = etag(programs[0], address)

        def send(number: int) -> Callable[[], int]:
            # An id can be written in more than one way, and is the same.
            written = UUID.sub(lambda found: found[0].upper(), address) if number % 2 else address
            given = {"json": bodies[number], "headers": {"If-Match": seen}}
            return lambda: programs[number].open(method, written, **given).status_code

        outcomes = sorted(at_once([send(number) for number in range(len(bodies))]))
        assert outcomes[0] in (200, 204)
        assert outcomes[1:] == [412] * (len(bodies) - 1)

    def test_who_may_not_read_a_thing_learns_nothing_of_its_state(self, app: Flask, acme: Workspace) -> None:
        address = f"/api/v1/projects/{make_project(app, acme)}"
        blind = personal_token(app, acme, "owner", only={"project:delete"})
        seen = etag(signed_in_program(app, acme, "owner"), address)
        for tag in (seen, '"other"', "*"):
            assert blind.delete(address, headers={"If-Match": tag}).status_code == 403

    def test_a_weak_state_is_not_one_to_change(self, app: Flask, acme: Workspace) -> None:
        program, address = signed_in_program(app, acme), f"/api/v1/projects/{make_project(app, acme)}"
        answer = program.open("PATCH", address, json={"name": "x"}, headers={"If-Match": f"W/{etag(program, address)}"})
        assert answer.status_code == 412

    def test_nobody_is_told_that_something_has_not_changed(self, app: Flask, acme: Workspace) -> None:
        address = f"/api/v1/projects/{make_project(app, acme)}"
        seen = etag(signed_in_program(app, acme), address)
        for tag in (seen, "*"):
            assert Program(app, acme.host).get(address, headers={"If-None-Match": tag}).status_code == 401


class TestKeys:
    """Idempotency-Key, and those who would be answered with what is not theirs."""

    def test_twins_have_one_effect_and_one_answer(self, app: Flask, acme: Workspace) -> None:
        programs = [signed_in_program(app, acme) for _ in range(5)]
        works = [
            lambda one=one: one.post("/api/v1/projects", {"name": "Apollo"}, headers={"Idempotency-Key": "one"})
            for one in programs
        ]
        answers = at_once(works)
        assert [answer.status_code for answer in answers] == [201] * 5
        assert len({answer.json["id"] for answer in answers}) == 1
        assert programs[0].get("/api/v1/projects").json["total"] == 1

    def test_a_token_that_may_do_less_is_not_told_what_another_was(self, app: Flask, acme: Workspace) -> None:
        owner = signed_in_program(app, acme, "owner")
        lesser = personal_token(app, acme, "owner", only={"client:manage"})
        same = {"name": "App", "redirect_uris": ["https://x.example/"], "permissions": []}
        key = {"Idempotency-Key": "one"}
        made = owner.post("/api/v1/apps", same, headers=key)
        assert made.status_code == 201, made.text
        assert owner.post("/api/v1/apps", same, headers=key).json == made.json
        other = lesser.post("/api/v1/apps", same, headers=key)  # another caller's key is another key
        assert other.status_code == 201
        assert other.json["id"] != made.json["id"]

    def test_who_has_lost_the_right_is_not_answered_again(self, app: Flask, acme: Workspace) -> None:
        program, key = signed_in_program(app, acme), {"Idempotency-Key": "one"}
        assert program.post("/api/v1/projects", {"name": "Apollo"}, headers=key).status_code == 201
        with inside(app, acme):
            user = row_of(acme.people["member"])
            roles.grant_role(user, "viewer", actor=None)
            roles.revoke_role(user, "member", actor=None)
        assert program.post("/api/v1/projects", {"name": "Apollo"}, headers=key).status_code == 403

    def test_another_address_or_query_is_another_request(self, app: Flask, acme: Workspace) -> None:
        program, key = signed_in_program(app, acme, "owner"), {"Idempotency-Key": "one"}
        assert program.post("/api/v1/projects", {"name": "Apollo"}, headers=key).status_code == 201
        for path in ("/api/v1/groups", "/api/v1/projects?fields=id"):
            assert program.post(path, {"name": "Apollo"}, headers=key).status_code == 422

    def test_a_key_means_nothing_in_another_workspace(self, app: Flask, acme: Workspace, globex: Workspace) -> None:
        ids = set()
        for workspace in (acme, globex):
            program = signed_in_program(app, workspace)
            answer = program.post("/api/v1/projects", {"name": "Apollo"}, headers={"Idempotency-Key": "one"})
            ids.add(answer.json["id"])
        assert len(ids) == 2

    def test_what_was_refused_after_a_commit_can_be_tried_again(
        self, app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        owner, key = signed_in_program(app, acme, "owner"), {"Idempotency-Key": "one"}
        body = {"emails": ["new@x.example"], "role": "member"}

        def refuse(*_: Any) -> None:
            g.db.release()
            raise NotAllowed("not now")

        with monkeypatch.context() as patch:
            patch.setattr(invitations, "_count", refuse)
            for _ in range(2):
                assert owner.post("/api/v1/invitations", body, headers=key).status_code == 403
        assert owner.post("/api/v1/invitations", body, headers=key).status_code == 201

    def test_answers_to_those_who_do_not_come_back_are_deleted_too(
        self, app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(idempotency, "_SWEPT_EVERY", 1)
        for role in ("owner", "member"):
            key = {"Idempotency-Key": role}
            assert signed_in_program(app, acme, role).post("/api/v1/projects", {"name": "A"}, headers=key).json["id"]
        with inside(app, acme) as session:
            session.execute(update(IdempotencyKey).values(created_at=now() - timedelta(hours=25)))
        key = {"Idempotency-Key": "owner"}
        again = signed_in_program(app, acme, "owner").post("/api/v1/projects", {"name": "A"}, headers=key)
        assert again.status_code == 201
        with inside(app, acme) as session:
            assert session.scalars(select(IdempotencyKey.user_id)).all() == [acme.people["owner"].id]


def test_what_is_wrong_with_the_fields_is_told_before_anything_is_done(app: Flask, acme: Workspace) -> None:
    owner = signed_in_program(app, acme, "owner")
    address = f"new@{acme.slug}.example"
    answer = owner.post("/api/v1/invitations?fields=nothing", {"emails": [address]})
    assert answer.status_code == 422
    assert mail_to(app, address) == []


def test_fields_are_given_once(app: Flask, acme: Workspace) -> None:
    assert signed_in_program(app, acme).get("/api/v1/me?fields=user&fields=tenant").status_code == 422


def test_a_form_is_not_taken_for_nothing(app: Flask, acme: Workspace) -> None:
    owner = signed_in_program(app, acme, "owner")
    config = sources.add(app, acme, "work", "oidc", SETTINGS, secret="x")
    answer = owner.open("POST", f"/api/v1/providers/{config}/provisioning/tokens", data={"expires_at": "2030-01-01"})
    assert answer.status_code == 415


@pytest.mark.parametrize("cursor", ["W10", "WzFd", "WyIiXQ", "WyJ4Il0", "e30", "bnVsbA", "=", "W" * 999, "\ud800"])
def test_a_cursor_of_something_else_is_refused_everywhere(
    app: Flask, acme: Workspace, described: dict[str, Any], cursor: str
) -> None:
    owner = signed_in_program(app, acme, "owner")
    for path, methods in described["paths"].items():
        get = methods.get("get", {"parameters": []})
        if "{" not in path and "cursor" in [one["name"] for one in get["parameters"]]:
            answer = owner.get(path, query_string={"cursor": cursor.encode("utf-8", "surrogatepass")})
            assert (path, answer.status_code) == (path, 422)
