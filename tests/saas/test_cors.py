"""Which pages elsewhere may read the API in a browser."""

from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from saas import cors
from saas.cors import MOST_ORIGINS, InvalidOrigin, normal_origin
from tests.auth import sources
from tests.auth.helpers import inside
from tests.factories import Workspace
from tests.visitor import Visitor, sign_in

PAGE, API, ME = "/admin/api/", "/api/v1/origins", "/api/v1/me"
THERE = "https://app.example.com"
ALLOW = "Access-Control-Allow-Origin"


@pytest.fixture
def admin(app: Flask, acme: Workspace) -> Visitor:
    return sign_in(app, acme, "admin")


@pytest.fixture
def open_to_there(app: Flask, acme: Workspace) -> None:
    with inside(app, acme) as session:
        cors.change_origins([THERE], actor=None)
        session.commit()


def put(visitor: Visitor, origins: Any) -> TestResponse:
    headers = {"Origin": visitor.base, "X-CSRFToken": visitor.csrf_token()}
    return visitor.client.put(API, base_url=visitor.base, json={"origins": origins}, headers=headers)


def preflight(visitor: Visitor, origin: str, path: str = "/api/v1/projects") -> TestResponse:
    headers = {"Origin": origin, "Access-Control-Request-Method": "PATCH"}
    return visitor.client.options(path, base_url=visitor.base, headers=headers)


def cors_headers(answer: TestResponse) -> set[str]:
    return {name for name in answer.headers.keys() if name.startswith("Access-Control-")}  # noqa: SIM118 - a list of pairs


def test_by_default_nobody_elsewhere_may_read(visitor: Visitor) -> None:
    for answer in (visitor.get(ME, headers={"Origin": THERE}), preflight(visitor, THERE)):
        assert cors_headers(answer) == set()


@pytest.mark.usefixtures("open_to_there")
def test_an_origin_that_is_named_may_read_answers_and_what_they_tell(visitor: Visitor) -> None:
    answer = visitor.get(ME, headers={"Origin": THERE})
    assert answer.status_code == 401
    assert answer.headers[ALLOW] == THERE
    exposed = answer.headers["Access-Control-Expose-Headers"]
    assert {"ETag", "RateLimit-Remaining", "Retry-After", "X-Request-ID", "Location"} <= set(exposed.split(", "))


@pytest.mark.usefixtures("open_to_there")
@pytest.mark.parametrize(
    "origin",
    [
        "http://app.example.com", "https://app.example.com:8443", "https://app.example.com.evil.example",
        "https://evil.example", "https://APP.example.com", "null", "*", "", "https://x.app.example.com", THERE + "/",
    ],
)  # fmt: skip
def test_no_other_origin_may(visitor: Visitor, origin: str) -> None:
    for answer in (visitor.get(ME, headers={"Origin": origin}), preflight(visitor, origin)):
        assert cors_headers(answer) == set()


@pytest.mark.usefixtures("open_to_there")
def test_a_preflight_is_answered_without_identity(visitor: Visitor) -> None:
    answer = preflight(visitor, THERE)
    assert (answer.status_code, answer.data) == (204, b"")
    assert answer.headers[ALLOW] == THERE
    assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
    assert {"Authorization", "If-Match", "Idempotency-Key"} <= set(
        answer.headers["Access-Control-Allow-Headers"].split(", ")
    )
    assert answer.headers["X-Request-ID"]


@pytest.mark.usefixtures("open_to_there")
def test_no_cookie_is_ever_let_through(app: Flask, acme: Workspace) -> None:
    member = sign_in(app, acme)
    answer = member.get(ME, headers={"Origin": THERE})
    assert answer.status_code == 200
    assert cors_headers(answer) == set()
    assert "Access-Control-Allow-Credentials" not in preflight(member, THERE).headers


@pytest.mark.usefixtures("open_to_there")
def test_a_page_elsewhere_changes_nothing_by_a_cookie(app: Flask, acme: Workspace) -> None:
    member = sign_in(app, acme, "owner")
    answer = member.post_json("/api/v1/projects", {"name": "Theirs"}, headers={"Origin": THERE})
    assert answer.status_code == 400


@pytest.mark.usefixtures("open_to_there")
def test_pages_for_people_are_for_nobody_elsewhere(visitor: Visitor) -> None:
    for path in ("/auth/login", "/", "/oauth/authorize", "/scim/v2/Users"):
        assert cors_headers(visitor.get(path, headers={"Origin": THERE})) == set()
        assert cors_headers(preflight(visitor, THERE, path)) == set()


@pytest.mark.usefixtures("open_to_there")
def test_another_workspace_has_its_own(app: Flask, globex: Workspace) -> None:
    assert cors_headers(Visitor(app, globex.host).get(ME, headers={"Origin": THERE})) == set()


@pytest.mark.parametrize("origin", [None, THERE])
def test_whatever_is_kept_of_the_api_is_kept_by_origin(visitor: Visitor, origin: str | None) -> None:
    headers = {"Origin": origin} if origin else {}
    for path in (ME, "/api/v1/nothing"):
        assert "Origin" in visitor.get(path, headers=headers).vary
    assert "Origin" in preflight(visitor, origin or "").vary


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://app.example.com", THERE),
        (" https://APP.example.com/ ", THERE),
        ("https://app.example.com:443", THERE),
        ("https://app.example.com:8443", "https://app.example.com:8443"),
        ("http://localhost:5173", "http://localhost:5173"),
        ("http://app.localhost", "http://app.localhost"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
    ],
)
def test_an_origin_is_kept_as_browsers_write_it(lone_app: Flask, given: str, kept: str) -> None:
    with lone_app.test_request_context():
        assert normal_origin(given) == kept


@pytest.mark.parametrize(
    "given",
    [
        "", "*", "null", "https://*", "https://*.example.com", "http://app.example.com", "app.example.com", "https://",
        "https://app.example.com/path", "https://app.example.com?x", "https://app.example.com#x", "ftp://app.example.com",
        "https://user@app.example.com", "https://app.example.com:port", "https://app.example.com:99999", "https://a b",
        "https://[::1", "javascript:alert(1)", "http://localhost.example.com", "https://" + "a." * 200 + "example",
        "https://app.example.com\\@evil.example", "https://app..example.com", "https://ü..example",
    ],
)  # fmt: skip
def test_what_is_no_exact_and_safe_origin_is_refused(lone_app: Flask, given: str) -> None:
    with lone_app.test_request_context(), pytest.raises(InvalidOrigin):
        normal_origin(given)


def test_the_page_shows_and_changes_them(admin: Visitor, visitor: Visitor) -> None:
    answer = admin.post(PAGE, {"origins": f"{THERE}/\n\nhttp://localhost:5173\n{THERE}"})
    assert answer.status_code == 302
    assert f"http://localhost:5173\r\n{THERE}".replace("\r", "") in admin.get(PAGE).text.replace("\r", "")
    assert visitor.get(ME, headers={"Origin": THERE}).headers[ALLOW] == THERE
    admin.post(PAGE, {"origins": ""})
    assert ALLOW not in visitor.get(ME, headers={"Origin": THERE}).headers


def test_the_page_says_what_is_wrong_and_changes_nothing(admin: Visitor) -> None:
    answer = admin.post(PAGE, {"origins": f"{THERE}\nhttps://*.example.com"})
    assert answer.status_code == 422
    assert "without *" in answer.text
    assert admin.get(API).json == {"origins": []}


def test_the_api_shows_and_changes_them(admin: Visitor) -> None:
    answer = put(admin, [THERE])
    assert (answer.status_code, answer.json) == (200, {"origins": [THERE]})
    assert admin.get(API).json == {"origins": [THERE]}
    for wrong in (["*"], [1], THERE, [THERE + f":{port}" for port in range(1000, 1001 + MOST_ORIGINS)]):
        assert put(admin, wrong).status_code == 422
    assert admin.get(API).json == {"origins": [THERE]}


def test_a_change_is_in_the_audit_log_once(app: Flask, acme: Workspace, admin: Visitor) -> None:
    put(admin, [THERE])
    put(admin, [THERE + "/"])
    assert len(sources.events_of(app, acme, "origins changed")) == 1
    page = admin.get("/admin/audit/").text
    assert THERE in page
    assert "Origins" in page


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_it_is_for_administrators(app: Flask, acme: Workspace, role: str) -> None:
    person = sign_in(app, acme, role)
    assert person.get(PAGE).status_code == 403
    assert person.get(API).status_code == 403
    assert put(person, [THERE]).status_code == 403
