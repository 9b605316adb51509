"""JSON of domains of e-mail addresses."""

import uuid

import pytest
from flask import Flask

from auth import domains
from auth.domain_records import Finding
from tests.auth.helpers import inside
from tests.factories import Workspace
from tests.saas.admin.test_providers_api import send
from tests.visitor import Visitor, sign_in

BASE = "/api/v1/domains"


@pytest.fixture
def admin(app: Flask, acme: Workspace) -> Visitor:
    return sign_in(app, acme, "admin")


def test_a_domain_is_taken_up_checked_and_given_up(
    app: Flask, acme: Workspace, admin: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(domains, "look_up", lambda records, _servers: [Finding.FOUND for _ in records])
    name = f"{acme.slug}.example"
    answer = admin.post_json(BASE, {"domain": name})
    assert answer.status_code == 201
    made = answer.get_json()
    assert (made["domain"], made["state"]) == (name, "pending")
    assert (made["record"]["type"], made["record"]["name"]) == ("TXT", f"_tenantry.{name}")
    path = f"{BASE}/{made['id']}"
    checked = admin.post_json(f"{path}/check", {}).get_json()
    assert (checked["state"], checked["finding"]) == ("proved", "found")
    assert admin.get(path).get_json()["state"] == "proved"
    assert [one["id"] for one in admin.get(BASE).get_json()["items"]] == [made["id"]]
    assert send(admin, "DELETE", path).status_code == 204
    assert admin.get(BASE).get_json() == {"items": [], "next_cursor": None}


@pytest.mark.parametrize("body", [{}, {"domain": "no domain"}, {"domain": 7}, {"domain": "a.example", "more": 1}])
def test_a_faulty_body_is_named(admin: Visitor, body: dict[str, object]) -> None:
    answer = admin.post_json(BASE, body)
    assert answer.status_code == 422
    assert answer.get_json()["errors"]


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_members_and_viewers_are_refused(app: Flask, acme: Workspace, role: str) -> None:
    visitor = sign_in(app, acme, role)
    with inside(app, acme):
        path = f"{BASE}/{domains.add_domain(f'{acme.slug}.example', actor=None).id}"
    assert visitor.get(BASE).status_code == 403
    assert visitor.get(path).status_code == 403
    assert visitor.post_json(BASE, {"domain": "x.example"}).status_code == 403
    assert visitor.post_json(f"{path}/check", {}).status_code == 403
    assert send(visitor, "DELETE", path).status_code == 403


def test_another_workspaces_domain_is_not_there(app: Flask, acme: Workspace, globex: Workspace, admin: Visitor) -> None:
    with inside(app, globex):
        foreign = domains.add_domain(f"{globex.slug}.example", actor=None).id
    for row in (foreign, uuid.uuid4()):
        assert admin.get(f"{BASE}/{row}").status_code == 404
        assert admin.post_json(f"{BASE}/{row}/check", {}).status_code == 404
        assert send(admin, "DELETE", f"{BASE}/{row}").status_code == 404
    assert admin.get(BASE).get_json()["items"] == []
