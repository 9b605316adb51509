"""Whatever is refused below `/scim/` is refused in SCIM's words (RFC 7644, section 3.12), whoever refuses it."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.test import TestResponse

from auth.errors import Busy, Throttled
from auth.scim.storage import DatabaseStorage
from tenants.errors import DatabaseUnavailable
from tests.auth.scim.conftest import USER, Provider
from tests.factories import Workspace

ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"


def expect_error(answer: TestResponse, status: int) -> dict[str, Any]:
    """The error that was answered, which is a document of SCIM's and tells nothing of our insides."""
    assert (answer.status_code, answer.content_type) == (status, "application/scim+json"), answer.text
    error: dict[str, Any] = answer.get_json()
    assert error["schemas"] == [ERROR]
    assert error["status"] == str(status)
    assert "Traceback" not in answer.text
    assert "no-store" in answer.headers["Cache-Control"]
    return error


def breaking(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(DatabaseStorage, "search", fail)


@pytest.mark.parametrize(
    "error",
    [OperationalError("SELECT secret", {}, Exception("gone")), PoolTimeout("secret"), DatabaseUnavailable("secret"),
     Busy()],
    ids=["lost", "none left", "away", "busy"],
)  # fmt: skip
def test_what_cannot_be_reached_now_is_said_as_scim_does(
    provider: Provider, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    breaking(monkeypatch, error)
    answer = provider.get("/Users")
    assert "secret" not in expect_error(answer, 503)["detail"]
    assert int(answer.headers["Retry-After"]) > 0


def test_who_sends_too_much_is_told_when_to_come_again(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    breaking(monkeypatch, Throttled(7))
    answer = provider.get("/Users")
    expect_error(answer, 429)
    assert answer.headers["Retry-After"] == "7"


def test_a_fault_of_ours_tells_nothing_of_itself(
    app: Flask, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)
    breaking(monkeypatch, RuntimeError("secret"))
    assert "secret" not in expect_error(provider.get("/Users"), 500)["detail"]


def test_a_database_that_is_lost_at_the_commit_is_no_success(
    app: Flask, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)

    def fail(_session: Any) -> None:
        raise OperationalError("COMMIT", {}, Exception("gone"))

    monkeypatch.setattr("tenants.db.TenantSession.commit", fail)
    expect_error(provider.send("POST", "/Users", {"schemas": [USER], "userName": "bob"}), 503)


@pytest.mark.parametrize(
    "path", ["/scim", "/scim/", "/scim/v1/Users", "/scim/v3", "/scim/v2/Nothing", "/scim/v2/a/b/c"]
)
def test_an_unknown_address_is_not_found(provider: Provider, path: str) -> None:
    headers = {"Authorization": f"Bearer {provider.token}", "Accept": "text/html"}
    expect_error(provider.client.get(path, base_url=provider.base, headers=headers), 404)


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", "/Users"), ("POST", "/Schemas"), ("PUT", "/Bulk"), ("TRACE", "/Users")]
)
def test_a_method_that_an_address_does_not_take_is_refused_with_those_it_does(
    provider: Provider, method: str, path: str
) -> None:
    answer = provider.send(method, path)
    expect_error(answer, 405)
    assert answer.headers["Allow"]


def test_an_unknown_workspace_is_not_found(app: Flask, provider: Provider) -> None:
    provider.base = "http://nobody.localhost"
    expect_error(provider.get("/Users"), 404)


@pytest.mark.parametrize(
    ("body", "content_type", "status", "kind"),
    [
        (b"{", "application/scim+json", 400, "invalidSyntax"),
        (b"[" * 100, "application/scim+json", 400, "invalidSyntax"),
        (b"\xff", "application/scim+json", 400, "invalidSyntax"),
        (b"{}", "text/xml", 415, None),
        (b"x" * (1024 * 1024 + 1), "application/scim+json", 413, None),
    ],
    ids=["open", "deep", "binary", "no JSON", "large"],
)
def test_a_body_that_cannot_be_read_is_refused_with_its_reason(
    provider: Provider, body: bytes, content_type: str, status: int, kind: str | None
) -> None:
    answer = provider.send("POST", "/Users", data=body, content_type=content_type)
    assert expect_error(answer, status).get("scimType") == kind


def test_an_address_with_a_nul_is_refused(provider: Provider) -> None:
    expect_error(provider.get("/Users?filter=%00"), 400)


def test_elsewhere_nothing_speaks_scim(app: Flask, acme: Workspace, provider: Provider) -> None:
    for path in ("/scimitar", "/api/v1/nothing", "/nothing"):
        answer = provider.client.get(path, base_url=provider.base, headers={"Accept": "application/json"})
        assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
