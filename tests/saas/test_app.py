"""The application as a whole: what every answer carries."""

import io
import re
from collections.abc import Iterator
from contextlib import redirect_stderr
from typing import Any

import pytest
import structlog
from flask import Flask

from config.settings import SettingsError
from saas import create_app
from tests.conftest import Database
from tests.factories import Workspace, make_workspace
from tests.visitor import Visitor

PATHS = ("/auth/login", "/", "/nothing", "/api/v1/me", "/static/app.css", "/healthz")


def headers_of(visitor: Visitor, path: str) -> Any:
    with visitor.get(path) as answer:
        answer.get_data()
        return answer.headers


def test_an_environment_that_is_incomplete_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAAS_ENV", "production")
    with pytest.raises(SettingsError):
        create_app()


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_carries_the_security_headers(visitor: Visitor, path: str) -> None:
    headers = headers_of(visitor, path)
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize("path", ["/auth/login", "/", "/nothing", "/api/v1/me"])
def test_what_is_a_tenants_is_kept_by_no_proxy(visitor: Visitor, path: str) -> None:
    headers = headers_of(visitor, path)
    assert headers["Cache-Control"] == "private, no-store"
    assert "Cookie" in headers["Vary"]


def test_a_static_file_sets_no_cookie(visitor: Visitor) -> None:
    assert "Set-Cookie" not in headers_of(visitor, "/static/app.css")


def test_https_is_asked_for_where_the_product_is_served_by_it(sqlite_database: Database) -> None:
    app = create_app(sqlite_database.settings(scheme="https"))
    answer = app.test_client().get("/healthz", base_url="https://acme.localhost")
    assert "max-age=" in answer.headers["Strict-Transport-Security"]
    app.extensions["tenants"].engines.dispose()


def test_every_answer_is_numbered(visitor: Visitor) -> None:
    numbers = {headers_of(visitor, "/auth/login")["X-Request-ID"] for _ in range(3)}
    assert len(numbers) == 3


@pytest.mark.parametrize("path", ["/static/app.css", "/healthz", "/no/such/page", "/api/v1/me", "/api/v1/nothing"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
@pytest.mark.parametrize("host", ["of a workspace", "nobodys.localhost", "localhost"])
def test_so_is_every_other_answer(app: Flask, acme: Workspace, path: str, method: str, host: str) -> None:
    base = acme.url if host == "of a workspace" else f"http://{host}"
    answer = app.test_client().open(path, method=method, base_url=base)
    assert len(answer.headers.getlist("X-Request-ID")) == 1
    assert len(answer.headers["X-Request-ID"]) == 32


def test_a_number_from_outside_is_not_taken_over(visitor: Visitor) -> None:
    answer = visitor.get("/auth/login", headers={"X-Request-ID": "given-from-outside"})
    assert answer.headers["X-Request-ID"] != "given-from-outside"


@pytest.mark.parametrize(
    ("given", "kept"), [("from-the-proxy-1", True), ("short", False), ("x" * 65, False), ("a b c d e f", False)]
)
def test_a_number_from_the_proxy_is_kept_if_it_is_one(sqlite_database: Database, given: str, kept: bool) -> None:
    app = create_app(sqlite_database.settings(trusted_proxies=1))
    answer = app.test_client().get("/healthz", headers={"X-Request-ID": given})
    assert (answer.headers["X-Request-ID"] == given) is kept
    app.extensions["tenants"].engines.dispose()


@pytest.fixture
def _logging_as_before() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.mark.usefixtures("_logging_as_before")
def test_a_log_line_names_the_request_and_the_tenant(sqlite_database: Database) -> None:
    with redirect_stderr(io.StringIO()) as logged:
        app = create_app(sqlite_database.settings())
    acme = make_workspace(app)
    answer = Visitor(app, acme.host).sign_in(acme.people["member"])
    (line,) = [line for line in logged.getvalue().splitlines() if "signed in" in line]
    assert answer.headers["X-Request-ID"] in line
    assert f"tenant={acme.slug}" in line
    assert structlog.contextvars.get_contextvars() == {}
    app.extensions["tenants"].engines.dispose()


def test_no_page_holds_a_script_or_a_style_of_its_own(visitor: Visitor) -> None:
    for path in ("/auth/login", "/nothing"):
        page = visitor.get(path).get_data(as_text=True)
        assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", page)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=", page)


def test_two_applications_do_not_share_their_state(sqlite_database: Database) -> None:
    one, two = (create_app(sqlite_database.settings()) for _ in range(2))
    assert one.extensions["tenants"] is not two.extensions["tenants"]
    assert one.extensions["auth"].catalogue is not two.extensions["auth"].catalogue
    for app in (one, two):
        assert app.test_client().get("/healthz").status_code == 200
        app.extensions["tenants"].engines.dispose()
