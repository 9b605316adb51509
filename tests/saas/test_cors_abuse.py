"""Pages elsewhere, and how they could get at answers that are not for them, or at none that are."""

from typing import Any

import pytest
from flask import Flask, g
from werkzeug.test import TestResponse

from config.plans import DEFAULT_PLAN, Plan
from saas import cors, limits
from saas.cors import InvalidOrigin, normal_origin
from tenants.errors import DatabaseUnavailable
from tests.auth.helpers import inside
from tests.factories import Workspace, make_workspace
from tests.program import Program, personal_token
from tests.statements import counted
from tests.visitor import Visitor, sign_in

ME = "/api/v1/me"
THERE = "https://app.example.com"
ALLOW = "Access-Control-Allow-Origin"
FROM_THERE = {"Origin": THERE}
PREFLIGHT = FROM_THERE | {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization"}


@pytest.fixture(scope="module")
def workspace(lone_app: Flask) -> Workspace:
    """A workspace that has named one origin."""
    made = make_workspace(lone_app)
    with inside(lone_app, made) as session:
        cors.change_origins([THERE], actor=None)
        session.commit()
    return made


@pytest.fixture(scope="module")
def program(lone_app: Flask, workspace: Workspace) -> Program:
    return personal_token(lone_app, workspace, "viewer")


def cors_headers(answer: TestResponse) -> set[str]:
    return {name for name, _value in answer.headers.items() if name.startswith("Access-Control-")}


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", ME, {}, 200),
        ("HEAD", ME, {}, 200),
        ("GET", "/api/v1/nothing", {}, 404),
        ("PUT", ME, {}, 405),
        ("NONSENSE", ME, {}, 405),
        ("OPTIONS", ME, {}, 200),
        ("POST", "/api/v1/projects", {"json": {"name": "x"}}, 403),
        ("POST", "/api/v1/auth/token", {"data": b"{", "content_type": "application/json"}, 400),
        ("POST", "/oauth/token", {"data": {"grant_type": "nonsense"}}, 400),
        ("GET", "/oauth/userinfo", {}, 401),
        ("GET", "/.well-known/jwks.json", {}, 200),
    ],
)
def test_a_page_that_may_read_reads_whatever_is_answered(
    program: Program, method: str, path: str, options: dict[str, Any], status: int
) -> None:
    answer = program.open(method, path, headers=FROM_THERE, **options)
    assert answer.status_code == status
    assert answer.headers[ALLOW] == THERE
    assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]
    assert "Origin" in answer.vary
    elsewhere = program.open(method, path, headers={"Origin": "https://evil.example"}, **options)
    assert cors_headers(elsewhere) == set()
    assert "Origin" in elsewhere.vary


def test_it_reads_that_nothing_has_changed(program: Program) -> None:
    tag = program.get(ME).headers["ETag"]
    answer = program.get(ME, headers=FROM_THERE | {"If-None-Match": tag})
    assert (answer.status_code, answer.headers[ALLOW]) == (304, THERE)
    assert "Origin" in answer.vary


def test_it_reads_that_it_is_to_wait(
    lone_app: Flask, workspace: Workspace, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan(address=1, caller=1, tenant=1, sign_in=1)
    monkeypatch.setattr(lone_app.extensions["limits"], "plans", {DEFAULT_PLAN: limits._items(plan)})
    lone_app.extensions["limits"].storage.reset()
    for one in (program, Program(lone_app, workspace.host, address="192.0.2.7")):
        one.get(ME)
        answer = one.get(ME, headers=FROM_THERE)
        assert (answer.status_code, answer.headers[ALLOW]) == (429, THERE)
        exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
        told = {"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After", "X-Request-ID"}
        assert told <= set(exposed) & set(answer.headers.keys())
    lone_app.extensions["limits"].storage.reset()


@pytest.mark.parametrize(("fault", "status"), [(ArithmeticError, 500), (DatabaseUnavailable, 503)])
def test_it_reads_that_something_went_wrong(
    lone_app: Flask, program: Program, monkeypatch: pytest.MonkeyPatch, fault: type[Exception], status: int
) -> None:
    def fail(**_: Any) -> None:
        raise fault

    monkeypatch.setattr(lone_app, "testing", False)
    monkeypatch.setitem(lone_app.view_functions, "projects_api.list_projects", _with_access(lone_app, fail))
    answer = program.get("/api/v1/projects", headers=FROM_THERE)
    assert (answer.status_code, answer.headers[ALLOW]) == (status, THERE)
    assert answer.content_type == "application/problem+json"


def _with_access(app: Flask, view: Any) -> Any:
    view.access = app.view_functions["projects_api.list_projects"].access  # type: ignore[attr-defined]
    return view


@pytest.mark.parametrize(
    "path",
    ["/", "/auth/login", "/account/", "/oauth/authorize", "/oauth/introspect", "/static/app.css", "/scim/v2/Users",
     "/healthz", "/api", "/apix/v1/me", "/branding/style.css"],
)  # fmt: skip
def test_pages_and_what_is_for_servers_are_read_by_nobody_elsewhere(program: Program, path: str) -> None:
    for method, headers in (("GET", FROM_THERE), ("OPTIONS", PREFLIGHT)):
        assert cors_headers(program.open(method, path, headers=headers)) == set()


@pytest.mark.parametrize(
    "origin",
    ["null", "", "*", f"{THERE}, {THERE}", f"{THERE} {THERE}", f"{THERE}:443", f" {THERE} x", "https://app.example.com.",
     "https://app.example.comx", "https://xapp.example.com", "HTTPS://app.example.com", "https://app.example.com%00",
     "https://app.example.com@evil.example", "file://", "https://аpp.example.com".encode().decode("latin-1")],
)  # fmt: skip
def test_what_only_looks_like_the_origin_is_another(program: Program, origin: str) -> None:
    assert cors_headers(program.get(ME, headers={"Origin": origin})) == set()
    assert cors_headers(program.open("OPTIONS", ME, headers=PREFLIGHT | {"Origin": origin})) == set()


@pytest.mark.parametrize("path", [ME, "/api/v1/nothing", "/api/v1/projects/no-id", "/oauth/token"])
def test_a_preflight_says_the_same_wherever_it_asks(program: Program, path: str) -> None:
    answer = program.open("OPTIONS", path, headers=PREFLIGHT | {"Access-Control-Request-Private-Network": "true"})
    assert (answer.status_code, answer.data) == (204, b"")
    assert cors_headers(answer) == {
        "Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers",
        "Access-Control-Expose-Headers", "Access-Control-Max-Age",
    }  # fmt: skip
    # Fixed: neither what is asked for, nor our pages' token, nor a network that is not public.
    allowed = answer.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert "authorization" in allowed
    assert not {"*", "cookie", "x-csrftoken"} & set(allowed)


def test_a_preflight_costs_what_opening_costs(lone_app: Flask, workspace: Workspace) -> None:
    stranger = Program(lone_app, workspace.host)
    stranger.get("/api/problems")
    with counted(lone_app) as opening:
        stranger.get("/api/problems")
    with counted(lone_app) as sent:
        stranger.open("OPTIONS", ME, headers=PREFLIGHT)
    assert len(sent) <= len(opening)
    assert not [one for one in sent if one.startswith(("INSERT", "UPDATE"))]


def test_an_origin_of_one_workspace_means_nothing_to_another(lone_app: Flask, workspace: Workspace) -> None:
    other = Program(lone_app, make_workspace(lone_app).host)
    assert cors_headers(other.get(ME, headers=FROM_THERE | {"X-Forwarded-Host": workspace.host})) == set()
    assert cors_headers(other.open("OPTIONS", ME, headers=PREFLIGHT)) == set()


def test_a_cookie_is_worth_nothing_there_for_reading_nor_for_changing(lone_app: Flask, workspace: Workspace) -> None:
    owner = sign_in(lone_app, workspace, "owner")
    token = owner.csrf_token()
    for path in (ME, "/api/v1/nothing"):
        assert cors_headers(owner.get(path, headers=FROM_THERE)) == set()
    # Not even by who knows our pages' token, nor with a token of nobody's beside the cookie.
    for headers in ({"X-CSRFToken": token}, {"X-CSRFToken": token, "Sec-Fetch-Site": "same-origin"}):
        assert owner.post_json("/api/v1/projects", {"name": "x"}, headers=FROM_THERE | headers).status_code == 400
    for shown in ("Bearer x", "Basic eDp4", "bearer", ""):
        headers = FROM_THERE | {"Authorization": shown}
        assert owner.post_json("/api/v1/projects", {"name": "x"}, headers=headers).status_code in (400, 401)
    assert Visitor(lone_app, workspace.host).get(ME).status_code == 401
    assert owner.get("/api/v1/projects").json["total"] == 0


@pytest.mark.parametrize("place", ["/api/v1/projects", "/projects/new"])
def test_a_simple_request_of_a_page_elsewhere_does_nothing(lone_app: Flask, workspace: Workspace, place: str) -> None:
    owner = sign_in(lone_app, workspace, "owner")
    for origin in (THERE, "null"):
        for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            answer = owner.client.post(
                place, base_url=owner.base, data=b'{"name": "x"}', content_type=content_type, headers={"Origin": origin}
            )
            assert answer.status_code == 400
            assert cors_headers(answer) == set()


@pytest.mark.parametrize(
    "given",
    [
        "https://[::1]x", "https://[v1.x]", "https://[::1%eth0]", "https://[::1%25eth0]", "https://app.exa\nmple.com",
        "https://app.exa\tmple.com", "https://app.example.com:0", "https://app.example.com;x", "https:app.example.com",
        "https:///app.example.com", "https://localhost%2eevil.example", "https://a\0b.example", "https://ü" + "ü" * 300,
        "https://app.example.com ", "https://app.example.com\u2028x", "blob:https://app.example.com", "https://.", "http://[::2]",
        "https://xn--\u00fc.example", "https://app.example.com:443:443",
    ],
    ids=range(20),
)  # fmt: skip
def test_no_origin_is_kept_that_is_another_than_was_written(lone_app: Flask, given: str) -> None:
    with lone_app.test_request_context():
        if given.strip() == THERE:
            assert normal_origin(given) == THERE
            return
        with pytest.raises(InvalidOrigin):
            normal_origin(given)


def test_an_address_is_kept_as_browsers_write_it(lone_app: Flask) -> None:
    with lone_app.test_request_context():
        assert normal_origin("https://[2001:DB8:0::0:1]:8443") == "https://[2001:db8::1]:8443"
        assert normal_origin("http://[0:0::1]") == "http://[::1]"
        assert normal_origin("https://bücher。example") == "https://xn--bcher-kva.example"


def test_a_million_letters_are_not_computed_with(
    lone_app: Flask, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cors.idna, "encode", lambda *_, **__: pytest.fail("computed"))
    with inside(lone_app, workspace):
        assert "db" in g
        for given in (["https://" + "ü" * 900_000], [f"https://ü{number}.example" for number in range(10_000)]):
            with pytest.raises(InvalidOrigin):
                cors.change_origins(given, actor=None)
