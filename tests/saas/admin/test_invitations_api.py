"""JSON of invitations."""

import uuid
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from auth import invitations
from tests.auth.helpers import inside, link_in, mail_to, path_of
from tests.factories import Workspace
from tests.visitor import Visitor, sign_in

BASE = "/api/v1/invitations"


@pytest.fixture
def admin(app: Flask, acme: Workspace) -> Visitor:
    return sign_in(app, acme, "admin")


def revoke(visitor: Visitor, invitation_id: str) -> TestResponse:
    headers = {"Origin": visitor.base, "X-CSRFToken": visitor.csrf_token()}
    return visitor.client.delete(f"{BASE}/{invitation_id}", base_url=visitor.base, headers=headers)


def listed(visitor: Visitor, query: str = "") -> dict[str, Any]:
    found: dict[str, Any] = visitor.get(f"{BASE}{query}").get_json()
    return found


def test_people_are_invited_listed_sent_anew_and_revoked(app: Flask, acme: Workspace, admin: Visitor) -> None:
    email = f"vera@{acme.slug}.example"
    body = {"emails": [email, "two@x.example"], "role": "viewer", "role_ends_at": "2099-01-01T00:00:00Z"}
    answer = admin.post_json(BASE, body)
    assert answer.status_code == 201, answer.text
    first = answer.get_json()["items"][0]
    assert (first["email"], first["role"], first["role_ends_at"]) == (email, "viewer", "2099-01-01T00:00:00Z")
    assert first["invited_by"] == str(acme.people["admin"].id)
    assert [item["email"] for item in listed(admin)["items"]] == ["two@x.example", email]
    again = admin.post_json(f"{BASE}/{first['id']}/resend", {})
    assert again.status_code == 200
    assert again.get_json()["sent_at"] > first["sent_at"]
    assert len(mail_to(app, email)) == 2
    assert revoke(admin, first["id"]).status_code == 204
    assert [item["email"] for item in listed(admin)["items"]] == ["two@x.example"]
    assert revoke(admin, first["id"]).status_code == 404


def test_neither_the_link_nor_what_it_is_made_of_is_told(app: Flask, acme: Workspace, admin: Visitor) -> None:
    email = f"vera@{acme.slug}.example"
    answer = admin.post_json(BASE, {"emails": [email], "role": "member"})
    token = path_of(link_in(mail_to(app, email)[-1])).rpartition("/")[2]
    for text in (answer.text, admin.get(BASE).text):
        assert token not in text
        assert "nonce" not in text


def test_the_list_is_paged(app: Flask, acme: Workspace, admin: Visitor) -> None:
    with inside(app, acme):
        invitations.invite([f"p{number}@x.example" for number in range(5)], "member", actor=None)
    seen, cursor = [], ""
    for _ in range(3):
        page = listed(admin, f"?limit=2&cursor={cursor}")
        assert page["total"] == 5
        seen += [item["email"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert sorted(seen) == [f"p{number}@x.example" for number in range(5)]
    assert admin.get(f"{BASE}?cursor=x").status_code == 422
    assert admin.get(f"{BASE}?limit=0").status_code == 422


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"emails": ["vera"]}, "emails"),
        ({"emails": []}, "emails"),
        ({"emails": "vera@x.example"}, "emails"),
        ({"emails": [f"p{number}@x.example" for number in range(101)]}, "emails"),
        ({"emails": [None]}, "emails.0"),
        ({"role": "nobody"}, "role"),
        ({"role": ""}, "role"),
        ({"role_ends_at": "tomorrow"}, "role_ends_at"),
        ({"role_ends_at": "2099-01-01T00:00:00"}, "role_ends_at"),
        ({"origin": "manual"}, "origin"),
    ],
)
def test_a_wrong_body_is_a_problem_that_names_the_field(admin: Visitor, body: dict[str, Any], field: str) -> None:
    answer = admin.post_json(BASE, {"emails": ["vera@x.example"], "role": "member"} | body)
    assert answer.status_code == 422
    assert answer.content_type == "application/problem+json"
    assert field in [fault["field"] for fault in answer.get_json()["errors"]]
    assert listed(admin)["items"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"role": "owner"},
        {"role": "project editor"},
        {"role": "member", "role_ends_at": "2001-01-01T00:00:00Z"},
    ],
)
def test_what_a_guard_refuses_is_refused_here_too(admin: Visitor, body: dict[str, Any]) -> None:
    assert admin.post_json(BASE, {"emails": ["vera@x.example"]} | body).status_code in (403, 422)
    assert listed(admin)["items"] == []


def test_sending_too_often_is_a_problem(admin: Visitor, acme: Workspace) -> None:
    email = f"often@{acme.slug}.example"
    made = admin.post_json(BASE, {"emails": [email], "role": "member"}).get_json()["items"][0]
    answers = [admin.post_json(f"{BASE}/{made['id']}/resend", {}).status_code for _ in range(invitations.MOST_TO_ONE)]
    assert answers == [200] * (invitations.MOST_TO_ONE - 1) + [422]


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_it_is_for_administrators(app: Flask, acme: Workspace, role: str) -> None:
    with inside(app, acme):
        one = str(invitations.invite(["vera@x.example"], "member", actor=None)[0].id)
    visitor = sign_in(app, acme, role)
    assert visitor.get(BASE).status_code == 403
    assert visitor.post_json(BASE, {"emails": ["x@x.example"], "role": "viewer"}).status_code == 403
    assert visitor.post_json(f"{BASE}/{one}/resend", {}).status_code == 403
    assert revoke(visitor, one).status_code == 403


def test_another_tenants_invitation_is_none(app: Flask, acme: Workspace, globex: Workspace, admin: Visitor) -> None:
    with inside(app, globex):
        one = str(invitations.invite(["of-globex@x.example"], "member", actor=None)[0].id)
    for unknown in (one, str(uuid.uuid4())):
        assert admin.post_json(f"{BASE}/{unknown}/resend", {}).status_code == 404
        assert revoke(admin, unknown).status_code == 404
    assert listed(admin)["items"] == []
