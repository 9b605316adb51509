"""Faults as answers: a page for people, a problem for programs, and no more than they need to know."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from auth.errors import Busy, NotAllowed, Throttled
from auth.permissions import public
from saas import create_app
from tenants.errors import DatabaseUnavailable
from tests.conftest import Database
from tests.factories import Workspace, make_workspace
from tests.visitor import Visitor, sign_in

RAISED: dict[str, Exception] = {
    "bug": LookupError("the secret of the bug"),
    "integrity": IntegrityError("INSERT secret", {}, Exception("secret")),
    "operational": OperationalError("SELECT secret", {}, Exception("secret")),
    "unavailable": DatabaseUnavailable("secret"),
    "pool": PoolTimeout("secret"),
    "throttled": Throttled(42),
    "busy": Busy("secret"),
    "not-allowed": NotAllowed("the last owner stays"),
}
STATUS = {
    "bug": 500, "integrity": 500, "operational": 503, "unavailable": 503, "pool": 503, "throttled": 429, "busy": 503,
    "not-allowed": 403,
}  # fmt: skip


@pytest.fixture(scope="module")
def failing(sqlite_database: Database) -> Iterator[Flask]:
    """An application with a view for every fault."""
    app = create_app(sqlite_database.settings())
    app.config["PROPAGATE_EXCEPTIONS"] = False

    @public
    def fail(kind: str) -> Any:
        raise RAISED[kind]

    for prefix in ("/fail", "/api/v1/fail"):
        app.add_url_rule(f"{prefix}/<kind>", f"fail{len(prefix)}", fail)
    yield app
    app.extensions["tenants"].engines.dispose()


@pytest.fixture
def browser(failing: Flask) -> Visitor:
    return Visitor(failing, make_workspace(failing).host)


@pytest.mark.parametrize("kind", RAISED)
def test_a_fault_has_its_status_and_a_page_without_its_words(browser: Visitor, kind: str) -> None:
    answer = browser.get(f"/fail/{kind}")
    page = answer.get_data(as_text=True)
    assert (answer.status_code, answer.mimetype) == (STATUS[kind], "text/html")
    assert "secret" not in page
    assert "Traceback" not in page


@pytest.mark.parametrize("kind", RAISED)
def test_a_fault_is_a_problem_to_programs(browser: Visitor, kind: str) -> None:
    answer = browser.get(f"/api/v1/fail/{kind}")
    assert (answer.status_code, answer.mimetype) == (STATUS[kind], "application/problem+json")
    assert answer.json["status"] == STATUS[kind]
    assert answer.json["instance"] == f"urn:request:{answer.headers['X-Request-ID']}"
    assert {"type", "title", "detail"} <= set(answer.json)
    assert "secret" not in answer.get_data(as_text=True)


@pytest.mark.parametrize(("kind", "seconds"), [("throttled", 42), ("operational", 5), ("pool", 5), ("busy", 5)])
def test_what_passes_says_when(browser: Visitor, kind: str, seconds: int) -> None:
    assert browser.get(f"/fail/{kind}").headers["Retry-After"] == str(seconds)


def test_a_guard_says_why(browser: Visitor) -> None:
    assert "the last owner stays" in browser.get("/fail/not-allowed").get_data(as_text=True)
    assert browser.get("/api/v1/fail/not-allowed").json["detail"] == "the last owner stays"


def test_a_page_of_a_fault_names_the_request(browser: Visitor) -> None:
    answer = browser.get("/fail/bug")
    assert answer.headers["X-Request-ID"] in answer.get_data(as_text=True)


def test_who_has_to_sign_in_first_is_taken_there_and_back(visitor: Visitor) -> None:
    answer = visitor.get("/projects/?search=x")
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/auth/login?next=")
    assert "http" not in answer.headers["Location"]


def test_a_program_that_has_to_sign_in_first_is_told(visitor: Visitor) -> None:
    answer = visitor.get("/api/v1/me")
    assert (answer.status_code, answer.mimetype) == (401, "application/problem+json")
    assert answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("path", ["/api/v1/me", "/oauth/userinfo"])
def test_a_program_whose_token_counts_not_is_told_so(visitor: Visitor, path: str) -> None:
    told = visitor.get(path, headers={"Authorization": "Bearer x"}).headers["WWW-Authenticate"]
    assert told.startswith("Bearer ")
    assert 'error="invalid_token"' in told


@pytest.mark.parametrize(
    ("accept", "mimetype"),
    [
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
        ("", "text/html"),
        ("application/json", "application/problem+json"),
        ("application/problem+json", "application/problem+json"),
        ("application/json;q=0.5,text/html", "text/html"),
    ],
)
def test_the_caller_says_which_answer_it_takes(visitor: Visitor, accept: str, mimetype: str) -> None:
    answer = visitor.get("/nothing", headers={"Accept": accept} if accept else {})
    assert (answer.status_code, answer.mimetype) == (404, mimetype)


def test_a_method_that_an_address_does_not_take_is_named(app: Flask, acme: Workspace) -> None:
    owner = sign_in(app, acme, "owner")
    for path in ("/projects/", "/api/v1/projects"):
        answer = owner.client.delete(path, base_url=acme.url, headers={"X-CSRFToken": owner.csrf_token()})
        assert answer.status_code == 405
        assert "GET" in answer.headers["Allow"]


def test_too_much_at_once_is_refused(member: Visitor) -> None:
    answer = member.post_json("/api/v1/projects", {"name": "x", "description": "x" * 1_100_000})
    assert (answer.status_code, answer.mimetype) == (413, "application/problem+json")


@pytest.mark.parametrize("path", ["/%00", "/projects/?search=%00", "/auth/login?next=%00"])
def test_a_nul_is_refused(member: Visitor, path: str) -> None:
    assert member.get(path).status_code == 400


@pytest.mark.parametrize("body", ["", "{", "[]", '"x"', "null", "1", '{"name": "a\\u0000b"}', "[" * 5000, '{"x": NaN}'])
def test_a_body_that_is_no_object_is_a_problem(member: Visitor, body: str) -> None:
    answer = member.client.post(
        "/api/v1/projects", base_url=member.base, data=body, content_type="application/json",
        headers={"Origin": member.base, "X-CSRFToken": member.csrf_token()},
    )  # fmt: skip
    assert (answer.status_code, answer.mimetype) == (400, "application/problem+json")


def test_a_body_of_another_type_is_a_problem(member: Visitor) -> None:
    answer = member.post("/api/v1/projects", {"name": "x"})
    assert (answer.status_code, answer.mimetype) == (415, "application/problem+json")


def test_fields_that_are_wrong_are_named(member: Visitor) -> None:
    answer = member.post_json("/api/v1/projects", {"name": "", "colour": "red"})
    assert answer.status_code == 422
    assert {fault["field"] for fault in answer.json["errors"]} == {"name", "colour"}
