"""What all operations of the API share: parsing, `fields`, states and conditions, and answers given again."""

import json
import uuid
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, text
from werkzeug.test import TestResponse

from saas import openapi
from saas.idempotency import IdempotencyKey
from tenants.context import bound
from tests.factories import Workspace, make_project
from tests.visitor import Visitor, sign_in

PROJECTS = "/api/v1/projects"


def send(visitor: Visitor, method: str, path: str, body: Any = None, **headers: str) -> TestResponse:
    own = {"Origin": visitor.base, "X-CSRFToken": visitor.csrf_token()}
    given = {"json": body} if body is not None else {}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return visitor.client.open(path, method=method, base_url=visitor.base, headers=own | named, **given)


def problem(answer: TestResponse) -> str:
    assert answer.content_type == "application/problem+json"
    return str(answer.json["type"]).partition("#")[2]


@pytest.fixture
def admin(app: Flask, acme: Workspace) -> Visitor:
    return sign_in(app, acme, "admin")


@pytest.fixture
def project(app: Flask, acme: Workspace) -> str:
    return f"{PROJECTS}/{make_project(app, acme)}"


def test_a_field_is_chosen(member: Visitor, project: str) -> None:
    assert member.get(f"{project}?fields=name").json == {"name": "Apollo"}
    listed = member.get(f"{PROJECTS}?fields=name,status").json
    assert listed == {"items": [{"name": "Apollo", "status": "active"}], "next_cursor": None, "total": 1}


def test_a_field_that_there_is_not_is_named(member: Visitor, project: str) -> None:
    answer = member.get(f"{project}?fields=name,secret")
    assert (answer.status_code, problem(answer)) == (422, "invalid-fields")
    assert "secret" in answer.json["errors"][0]["message"]


def test_an_unknown_name_in_the_query_is_told(member: Visitor, project: str) -> None:
    for path in (f"{project}?nonsense=1", f"{PROJECTS}?nonsense=1"):
        answer = member.get(path)
        assert [error["field"] for error in answer.json["errors"]] == ["nonsense"]


@pytest.mark.parametrize(
    "body", [{"name": 1}, {"name": "x", "due_on": 20300131}, {"name": "x", "owner_id": 5}, {"name": ["x"]}]
)
def test_json_is_taken_strictly(member: Visitor, body: dict[str, Any]) -> None:
    assert send(member, "POST", PROJECTS, body).status_code == 422


class TestStates:
    """ETag and If-Match (RFC 9110)."""

    def test_what_is_known_is_not_sent_again(self, member: Visitor, project: str) -> None:
        first = member.get(project)
        again = send(member, "GET", project, If_None_Match=first.headers["ETag"])
        assert (again.status_code, again.data) == (304, b"")

    def test_a_change_of_the_state_that_was_seen_is_done(self, member: Visitor, project: str) -> None:
        seen = member.get(project).headers["ETag"]
        changed = send(member, "PATCH", project, {"name": "Artemis"}, If_Match=seen)
        assert (changed.status_code, changed.json["name"]) == (200, "Artemis")
        assert changed.headers["ETag"] == member.get(project).headers["ETag"] != seen

    def test_a_change_of_another_state_is_refused_and_not_done(self, member: Visitor, project: str) -> None:
        seen = member.get(project).headers["ETag"]
        send(member, "PATCH", project, {"name": "Artemis"})
        answer = send(member, "PATCH", project, {"name": "Soyuz"}, If_Match=seen)
        assert (answer.status_code, problem(answer)) == (412, "changed-meanwhile")
        assert member.get(project).json["name"] == "Artemis"

    def test_a_deletion_asks_too(self, admin: Visitor, project: str) -> None:
        assert send(admin, "DELETE", project, If_Match='"other"').status_code == 412
        seen = admin.get(project).headers["ETag"]
        assert send(admin, "DELETE", project, If_Match=seen).status_code == 204

    def test_any_state_will_do_for_a_star_and_there_has_to_be_one(self, admin: Visitor, project: str) -> None:
        assert send(admin, "PATCH", project, {"name": "Artemis"}, If_Match="*").status_code == 200
        missing = f"{PROJECTS}/{uuid.uuid4()}"
        assert send(admin, "PATCH", missing, {"name": "Artemis"}, If_Match="*").status_code == 404

    def test_whatever_can_be_changed_can_be_read(self, app: Flask) -> None:
        with app.app_context():
            paths = openapi.describe(app)["paths"]
        changed = {path: set(methods) for path, methods in paths.items() if {"put", "patch", "delete"} & set(methods)}
        assert len(changed) > 20
        assert [path for path, methods in changed.items() if "get" not in methods] == []

    def test_a_role_that_somebody_does_not_hold_has_no_state(self, acme: Workspace, admin: Visitor) -> None:
        path = f"/api/v1/members/{acme.people['member'].id}/roles/viewer"
        assert send(admin, "PUT", path, {}, If_Match="*").status_code == 404

    def test_chosen_fields_do_not_change_the_state(self, member: Visitor, project: str) -> None:
        assert member.get(f"{project}?fields=name").headers["ETag"] == member.get(project).headers["ETag"]


class TestIdempotency:
    """Idempotency-Key."""

    def test_a_request_that_is_sent_again_is_answered_again(self, member: Visitor) -> None:
        first, second = (send(member, "POST", PROJECTS, {"name": "Apollo"}, Idempotency_Key="one") for _ in range(2))
        assert first.status_code == second.status_code == 201
        assert first.json == second.json
        assert first.headers["Location"] == second.headers["Location"]
        assert member.get(PROJECTS).json["total"] == 1

    def test_another_request_under_the_same_key_is_refused(self, member: Visitor) -> None:
        send(member, "POST", PROJECTS, {"name": "Apollo"}, Idempotency_Key="one")
        answer = send(member, "POST", PROJECTS, {"name": "Artemis"}, Idempotency_Key="one")
        assert (answer.status_code, problem(answer)) == (422, "idempotency-key-reused")
        assert member.get(PROJECTS).json["total"] == 1

    def test_a_key_is_its_callers_own(self, member: Visitor, admin: Visitor) -> None:
        for visitor in (member, admin):
            assert send(visitor, "POST", PROJECTS, {"name": "Apollo"}, Idempotency_Key="one").status_code == 201
        assert member.get(PROJECTS).json["total"] == 2

    def test_what_was_refused_may_be_tried_again(self, member: Visitor) -> None:
        assert send(member, "POST", PROJECTS, {"name": ""}, Idempotency_Key="one").status_code == 422
        assert send(member, "POST", PROJECTS, {"name": "Apollo"}, Idempotency_Key="one").status_code == 201

    def test_a_request_that_was_interrupted_is_not_taken_for_done(
        self, app: Flask, acme: Workspace, member: Visitor
    ) -> None:
        send(member, "POST", PROJECTS, {"name": "Apollo"}, Idempotency_Key="one")
        with app.app_context(), bound(acme.tenant) as session:
            session.scalars(select(IdempotencyKey)).one().status = 0
        answer = send(member, "POST", PROJECTS, {"name": "Apollo"}, Idempotency_Key="one")
        assert (answer.status_code, problem(answer)) == (409, "idempotency-key-in-use")

    @pytest.mark.parametrize("key", ["", "x" * 256, "naïve"])
    def test_a_key_that_is_none_is_refused(self, member: Visitor, key: str) -> None:
        assert send(member, "POST", PROJECTS, {"name": "Apollo"}, Idempotency_Key=key).status_code == 400

    def test_a_kept_answer_is_not_readable_in_the_database(self, app: Flask, acme: Workspace, member: Visitor) -> None:
        send(member, "POST", PROJECTS, {"name": "Apollo"}, Idempotency_Key="one")
        with app.app_context(), bound(acme.tenant) as session:
            kept = session.connection().execute(text("SELECT body FROM idempotency_keys")).scalars().all()
        assert kept
        assert not [body for body in kept if b"Apollo" in bytes(body)]


class TestReference:
    """The description of the API."""

    def test_it_is_served_to_everybody(self, visitor: Visitor) -> None:
        told = visitor.get("/api/openapi.json")
        assert told.status_code == 200
        assert told.json["openapi"].startswith("3.1")

    def test_it_is_the_same_whoever_asks_first(self, app: Flask, visitor: Visitor) -> None:
        app.extensions.pop("openapi", None)
        told = visitor.get("/api/openapi.json", headers={"Accept-Language": "es"}).json
        scopes = told["components"]["securitySchemes"]["oauth2"]["flows"]["clientCredentials"]["scopes"]
        assert scopes["project:read"] == "See projects and their updates."

    def test_the_page_names_every_operation_and_its_permission(self, visitor: Visitor) -> None:
        page = visitor.get("/api/docs").text
        told = visitor.get("/api/openapi.json").json
        for path, methods in told["paths"].items():
            for method, operation in methods.items():
                assert f"{method.upper()} {path}" in page
                assert operation.get("x-permission", "") in page

    def test_every_problem_leads_to_its_paragraph(self, visitor: Visitor) -> None:
        answer = visitor.get("/api/v1/me", headers={"Accept": "application/json"})
        address, _hash, name = answer.json["type"].partition("#")
        assert f'id="{name}"' in visitor.get(address).text

    def test_examples_are_what_the_schemas_say(self, visitor: Visitor) -> None:
        told = visitor.get("/api/openapi.json").json
        project = told["paths"]["/api/v1/projects"]["post"]["requestBody"]["content"]["application/json"]["example"]
        assert project["name"] == "Apollo"
        assert json.dumps(project)
