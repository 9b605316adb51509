"""Personal tokens by API: one's own, and a member's for whoever manages members."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from auth.policy_changes import change_policy
from tenants.db import now
from tests.auth.helpers import inside
from tests.factories import Workspace
from tests.program import Program, personal_token, signed_in_program
from tests.visitor import Visitor, sign_in

TOKENS = "/api/v1/tokens"
NEW: dict[str, Any] = {"name": "Nightly report", "permissions": ["project:read"]}


@pytest.fixture
def program(app: Flask, acme: Workspace) -> Program:
    return signed_in_program(app, acme)


def test_a_token_is_made_and_its_secret_shown_once(app: Flask, acme: Workspace, program: Program) -> None:
    answer = program.post(TOKENS, NEW)
    assert answer.status_code == 201
    made = Program(app, acme.host, answer.json["token"])
    assert made.get("/api/v1/me").json["permissions"] == ["project:read"]
    shown = program.get(f"{TOKENS}/{answer.json['id']}").json
    assert shown == {
        "id": answer.json["id"],
        "name": "Nightly report",
        "permissions": ["project:read"],
        "created_at": answer.json["created_at"],
        "expires_at": None,
        "last_used_at": shown["last_used_at"],
    }
    assert shown["last_used_at"] is not None
    assert program.get(TOKENS).json == {"items": [shown], "next_cursor": None}


def test_a_time_of_another_zone_is_told_as_it_is_kept(program: Program) -> None:
    made = program.post(TOKENS, NEW | {"expires_at": "2040-01-01T02:30:00+02:30"})
    assert made.json["expires_at"] == "2040-01-01T00:00:00Z"
    assert program.get(f"{TOKENS}/{made.json['id']}").json["expires_at"] == made.json["expires_at"]


def test_a_browser_makes_one_too(member: Visitor) -> None:
    assert member.post_json(TOKENS, NEW).status_code == 201
    # Without the token of our pages it is another site that asks.
    assert member.client.post(TOKENS, base_url=member.base, json=NEW).status_code == 400


def test_a_token_makes_no_token_and_sees_none(app: Flask, acme: Workspace) -> None:
    program = personal_token(app, acme)
    assert program.post(TOKENS, NEW).status_code == 403
    assert program.get(TOKENS).status_code == 403
    assert program.delete(f"{TOKENS}/{uuid.uuid4()}").status_code == 403


@pytest.mark.parametrize(
    "body",
    [{}, NEW | {"name": ""}, NEW | {"permissions": []}, NEW | {"permissions": "project:read"}, NEW | {"owner": "x"},
     NEW | {"expires_at": "tomorrow"}, NEW | {"expires_at": "2030-01-01T00:00:00"}, NEW | {"name": "x" * 101}],
    ids=["nothing", "no name", "no permissions", "text", "unknown", "no time", "no zone", "long"],
)  # fmt: skip
def test_a_body_that_is_wrong_is_refused(program: Program, body: dict[str, Any]) -> None:
    assert program.post(TOKENS, body).status_code == 422


@pytest.mark.parametrize(
    "body",
    [NEW | {"permissions": ["audit:read"]}, NEW | {"permissions": ["made:up"]},
     NEW | {"expires_at": "2020-01-01T00:00:00Z"}, NEW | {"expires_at": "9999-12-31T23:59:59Z"}],
    ids=["not held", "unknown", "over", "too far"],
)  # fmt: skip
def test_what_is_not_allowed_is_refused(program: Program, body: dict[str, Any]) -> None:
    answer = program.post(TOKENS, body)
    assert answer.status_code == 403
    assert answer.json["type"].endswith("#guarded")


def test_the_rules_can_ask_for_an_end(app: Flask, acme: Workspace, program: Program) -> None:
    with inside(app, acme):
        change_policy({"longest_token_days": 30}, actor=None)
    assert program.post(TOKENS, NEW).status_code == 403
    ends = (now() + timedelta(days=29)).isoformat()
    assert program.post(TOKENS, NEW | {"expires_at": ends}).status_code == 201


def test_the_rule_is_set_and_shown_by_api(app: Flask, acme: Workspace) -> None:
    owner = signed_in_program(app, acme, "owner")
    changed = owner.open("PATCH", "/api/v1/policy", json={"longest_token_days": 30})
    assert (changed.status_code, changed.json["longest_token_days"]) == (200, 30)
    assert owner.get("/api/v1/policy").json["longest_token_days"] == 30
    assert owner.open("PATCH", "/api/v1/policy", json={"longest_token_days": 0}).status_code == 422


def test_the_rule_is_set_on_its_page(app: Flask, acme: Workspace) -> None:
    owner = sign_in(app, acme, "owner")
    form = {"methods": ["password", "passkey"], "second_factor": "optional", "longest_token_days": "30"}
    assert owner.post("/admin/policy/", form).status_code == 302
    assert owner.get("/api/v1/policy").json["longest_token_days"] == 30


def test_a_token_is_revoked_at_once(app: Flask, acme: Workspace, program: Program) -> None:
    made = program.post(TOKENS, NEW).json
    other = Program(app, acme.host, made["token"])
    assert other.is_signed_in
    assert program.delete(f"{TOKENS}/{made['id']}").status_code == 204
    assert not other.is_signed_in
    assert program.get(f"{TOKENS}/{made['id']}").status_code == 404


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_anothers_token_is_not_there(app: Flask, acme: Workspace, program: Program, method: str) -> None:
    owners = signed_in_program(app, acme, "owner").post(TOKENS, NEW).json
    assert program.open(method, f"{TOKENS}/{owners['id']}").status_code == 404
    assert program.open(method, f"{TOKENS}/{uuid.uuid4()}").status_code == 404
    assert Program(app, acme.host, owners["token"]).is_signed_in


class TestOfMembers:
    """What whoever manages members sees of their tokens, and ends."""

    def test_an_administrator_sees_and_revokes_a_members_token(
        self, app: Flask, acme: Workspace, program: Program
    ) -> None:
        made = program.post(TOKENS, NEW).json
        admin = signed_in_program(app, acme, "admin")
        address = f"/api/v1/members/{acme.people['member'].id}/tokens"
        (listed,) = admin.get(address).json["items"]
        assert listed["id"] == made["id"]
        assert "token" not in listed
        assert admin.delete(f"{address}/{made['id']}").status_code == 204
        assert not Program(app, acme.host, made["token"]).is_signed_in

    def test_a_member_sees_nobodys(self, acme: Workspace, program: Program) -> None:
        address = f"/api/v1/members/{acme.people['owner'].id}/tokens"
        assert program.get(address).status_code == 403
        assert program.delete(f"{address}/{uuid.uuid4()}").status_code == 403

    def test_an_administrator_does_not_revoke_an_owners(self, app: Flask, acme: Workspace) -> None:
        made = signed_in_program(app, acme, "owner").post(TOKENS, NEW).json
        admin = signed_in_program(app, acme, "admin")
        address = f"/api/v1/members/{acme.people['owner'].id}/tokens/{made['id']}"
        assert admin.delete(address).status_code == 403
        assert Program(app, acme.host, made["token"]).is_signed_in

    def test_who_is_not_there_has_none(self, app: Flask, acme: Workspace, globex: Workspace) -> None:
        admin = signed_in_program(app, acme, "admin")
        for user in (uuid.uuid4(), globex.people["member"].id):
            assert admin.get(f"/api/v1/members/{user}/tokens").status_code == 404
            assert admin.delete(f"/api/v1/members/{user}/tokens/{uuid.uuid4()}").status_code == 404

    def test_a_token_is_found_under_its_owner_only(self, app: Flask, acme: Workspace, program: Program) -> None:
        made = program.post(TOKENS, NEW).json
        admin = signed_in_program(app, acme, "admin")
        assert admin.delete(f"/api/v1/members/{acme.people['viewer'].id}/tokens/{made['id']}").status_code == 404
