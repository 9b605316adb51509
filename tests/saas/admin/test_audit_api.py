"""The audit log for programs."""

import uuid
from typing import Any

import pytest
from flask import Flask

from auth import audit, audit_chain
from tests.auth.helpers import inside
from tests.factories import Workspace
from tests.visitor import Visitor, sign_in

LIST = "/api/v1/audit"


@pytest.fixture
def admin(app: Flask, acme: Workspace) -> Visitor:
    return sign_in(app, acme, "admin")


def events(visitor: Visitor, query: str = "") -> list[dict[str, Any]]:
    answer = visitor.get(LIST + query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.get_json()["items"]
    return found


@pytest.mark.parametrize("role", ["viewer", "member"])
def test_it_is_for_administrators(app: Flask, acme: Workspace, role: str) -> None:
    assert sign_in(app, acme, role).get(LIST).status_code == 403
    assert Visitor(app, acme.host).get(LIST).status_code == 401


def test_an_event_says_it_all(app: Flask, acme: Workspace, admin: Visitor) -> None:
    person = acme.people["admin"]
    one = events(admin, "?kind=signed+in")[0]
    assert one["actor"] == one["target"] == {"kind": "user", "id": str(person.id), "name": person.email}
    assert one["address"] == "127.0.0.1"
    assert one["details"] == {"methods": "password", "source": "database"}
    assert one["at"].endswith("Z")
    assert (one["seq"], one["hash"]) == (None, None)
    assert one["request_id"]
    with inside(app, acme):
        audit_chain.seal_all()
    sealed = events(admin, "?kind=signed+in")[0]
    assert sealed["seq"] > 0
    assert len(sealed["hash"]) == 64


def test_it_is_filtered(app: Flask, acme: Workspace, admin: Visitor) -> None:
    with inside(app, acme):
        audit.record("role created", role := audit.Party("role", uuid.uuid4(), "one"))
        audit.record("role deleted", audit.Party("role", uuid.uuid4(), "two"))
    assert [row["kind"] for row in events(admin, "?kind=role+created&kind=role+deleted&who=o")] == [
        "role deleted",
        "role created",
    ]
    assert [row["kind"] for row in events(admin, f"?who={role.id}")] == ["role created"]
    moment = events(admin, f"?who={role.id}")[0]["at"]
    assert [row["kind"] for row in events(admin, f"?kind=role+created&since={moment}")] == ["role created"]
    assert events(admin, f"?kind=role+created&until={moment}") == []
    assert events(admin, "?since=2100-01-01T00:00:00%2B02:00") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("kind=nonsense", "kind"),
        ("since=yesterday", "since"),
        ("until=2030-01-01T00:00:00", "until"),
        ("since=0001-01-01T00:00:00Z", "since"),
        ("limit=0", "limit"),
        ("cursor=nonsense", "cursor"),
        ("cursor=WyJ4Il0", "cursor"),
    ],
)
def test_what_cannot_be_is_told(admin: Visitor, query: str, field: str) -> None:
    answer = admin.get(f"{LIST}?{query}")
    assert answer.status_code == 422
    assert answer.mimetype == "application/problem+json"
    assert [error["field"] for error in answer.get_json()["errors"]] == [field]


def test_it_is_paged_without_a_gap(app: Flask, acme: Workspace, admin: Visitor) -> None:
    with inside(app, acme):
        audit.record_all("role given", [audit.Party("user", uuid.uuid4(), f"p{number}") for number in range(7)])
    seen, cursor = [], ""
    for _ in range(4):
        page = admin.get(f"{LIST}?kind=role+given&who=p&limit=3{cursor}").get_json()
        seen += [row["target"]["name"] for row in page["items"] if len(row["target"]["name"]) == 2]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [f"p{number}" for number in reversed(range(7))]


def test_another_tenants_events_are_none(app: Flask, acme: Workspace, globex: Workspace, admin: Visitor) -> None:
    with inside(app, globex):
        audit.record("role created", role := audit.Party("role", uuid.uuid4(), "of globex alone"))
    for query in ("?limit=100", f"?who={role.id}", "?who=globex", "?kind=role+created"):
        assert "of globex alone" not in admin.get(LIST + query).text
