"""/oauth/token and what it gives: codes and refresh tokens that count once, for one client, in one workspace."""

import json
from datetime import timedelta

import pytest
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from flask import Flask
from sqlalchemy import select, update

from auth.audit_models import AuditEvent
from auth.client_models import AuthorizationCode, OAuthClient
from auth.token_models import ApiToken, RefreshToken
from tenants.db import now
from tests.auth.helpers import at_once, inside
from tests.auth.oauth_server.programs import Program, allow, answered, employ, obtain, register
from tests.factories import Workspace
from tests.visitor import Visitor, sign_in


def code_of(visitor: Visitor, program: Program, scope: str = "openid project:read", **changed: str) -> str:
    return answered(allow(visitor, program, scope, **changed))["code"]


def calls(program: Program, token: str) -> int:
    return program.call("/api/v1/projects", token).status_code


def test_a_code_counts_once_and_a_second_time_ends_what_came_of_it(
    app: Flask, acme: Workspace, member: Visitor
) -> None:
    program = register(app, acme)
    code = code_of(member, program)
    tokens = program.redeem(code).get_json()
    assert calls(program, tokens["access_token"]) == 200
    again = program.redeem(code)
    assert (again.status_code, again.get_json()["error"]) == (400, "invalid_grant")
    assert calls(program, tokens["access_token"]) == 401
    assert program.refresh(tokens["refresh_token"]).status_code == 400
    with inside(app, acme) as session:
        event = session.scalars(select(AuditEvent).where(AuditEvent.kind == "app tokens revoked")).one()
        assert event.details["tokens"] == 2


def test_a_code_that_two_redeem_at_once_gives_nobody_anything(app: Flask, acme: Workspace, member: Visitor) -> None:
    program = register(app, acme)
    code = code_of(member, program)
    answers = at_once([lambda: program.redeem(code), lambda: program.redeem(code)])
    assert sorted(answer.status_code for answer in answers) == [200, 400]
    (given,) = [answer.get_json() for answer in answers if answer.status_code == 200]
    assert calls(program, given["access_token"]) == 401


def test_a_code_lasts_a_minute(app: Flask, acme: Workspace, member: Visitor) -> None:
    program = register(app, acme)
    code = code_of(member, program)
    with inside(app, acme) as session:
        row = session.scalars(select(AuthorizationCode)).one()
        assert row.expires_at - row.created_at <= timedelta(seconds=61)
        session.execute(update(AuthorizationCode).values(expires_at=now() - timedelta(seconds=1)))
    assert program.redeem(code).get_json()["error"] == "invalid_grant"


def test_a_code_is_worth_nothing_without_what_it_was_asked_with(
    app: Flask, acme: Workspace, globex: Workspace, member: Visitor
) -> None:
    program = register(app, acme, redirects=["https://app.example/back", "https://app.example/other"])
    other, foreign = register(app, acme, name="Other"), register(app, globex)
    code = code_of(member, program)
    wrong = {
        "another verifier": program.redeem(code, code_verifier="v" * 43),
        "a short verifier": program.redeem(code, code_verifier="v"),
        "the challenge": program.redeem(code, code_verifier=create_s256_code_challenge(program.verifier)),
        "no verifier": program.redeem(code, code_verifier=""),
        "another address": program.redeem(code, redirect_uri="https://app.example/other"),
        "no address": program.redeem(code, redirect_uri=""),
        "another app": other.redeem(code, code_verifier=program.verifier),
        "another workspace": foreign.redeem(code, code_verifier=program.verifier),
        "another code": program.redeem(code[:-1] + ("0" if code[-1] != "0" else "1")),
        "no code": program.redeem(""),
    }
    for name, answer in wrong.items():
        assert answer.status_code == 400, name
        assert answer.get_json()["error"] in ("invalid_grant", "invalid_request"), name
    assert program.redeem(code).status_code == 200  # nobody has used it up


def test_a_code_of_somebody_else_put_into_ones_own_browser_is_refused(
    app: Flask, acme: Workspace, member: Visitor
) -> None:
    attacked, attacking = register(app, acme, auth_method="none"), register(app, acme, auth_method="none")
    attacking.client_id = attacked.client_id  # the same app in another browser, with a verifier of its own
    code = code_of(member, attacked)
    assert attacking.redeem(code).get_json()["error"] == "invalid_grant"


def test_a_refresh_token_counts_once_and_a_second_time_ends_its_family(
    app: Flask, acme: Workspace, member: Visitor
) -> None:
    program = register(app, acme)
    first = obtain(member, program)
    other = obtain(member, program)
    second = program.refresh(first["refresh_token"]).get_json()
    assert second["refresh_token"] != first["refresh_token"]
    assert program.refresh(first["refresh_token"]).get_json()["error"] == "invalid_grant"
    for lost in (first, second):
        assert calls(program, lost["access_token"]) == 401
        assert program.refresh(lost["refresh_token"]).status_code == 400
    assert calls(program, other["access_token"]) == 200  # what came of another consent is another family


def test_a_refresh_token_that_two_use_at_once_ends_its_family(app: Flask, acme: Workspace, member: Visitor) -> None:
    program = register(app, acme)
    token = obtain(member, program)["refresh_token"]
    answers = at_once([lambda: program.refresh(token), lambda: program.refresh(token)])
    assert sorted(answer.status_code for answer in answers) == [200, 400]
    (given,) = [answer.get_json() for answer in answers if answer.status_code == 200]
    assert calls(program, given["access_token"]) == 401


def test_a_refresh_token_is_one_clients_and_one_workspaces(
    app: Flask, acme: Workspace, globex: Workspace, member: Visitor
) -> None:
    program, other, foreign = register(app, acme), register(app, acme), register(app, globex)
    tokens = obtain(member, program)
    for thief in (other, foreign):
        assert thief.refresh(tokens["refresh_token"]).get_json()["error"] == "invalid_grant"
    assert program.refresh(tokens["access_token"]).get_json()["error"] == "invalid_grant"
    assert program.refresh(tokens["refresh_token"]).status_code == 200


def test_a_refresh_can_ask_for_less_and_never_for_more(app: Flask, acme: Workspace, member: Visitor) -> None:
    program = register(app, acme)
    tokens = obtain(member, program, "project:read project:create")
    assert program.refresh(tokens["refresh_token"], scope="member:read").get_json()["error"] == "invalid_scope"
    less = program.refresh(tokens["refresh_token"], scope="project:read").get_json()
    assert less["scope"] == "project:read"
    assert program.refresh(less["refresh_token"]).get_json()["scope"] == "project:create project:read"


def test_a_family_ends_after_its_time_and_a_token_that_is_not_used_before(
    app: Flask, acme: Workspace, member: Visitor
) -> None:
    program = register(app, acme)
    tokens = obtain(member, program)
    with inside(app, acme) as session:
        row = session.scalars(select(RefreshToken)).one()
        assert row.expires_at - row.created_at <= timedelta(days=7, seconds=5)
        assert row.family_expires_at - row.created_at <= timedelta(days=30, seconds=5)
        session.execute(update(RefreshToken).values(family_expires_at=now() + timedelta(hours=1)))
    tokens = program.refresh(tokens["refresh_token"]).get_json()
    with inside(app, acme) as session:
        row = session.scalars(select(RefreshToken).where(RefreshToken.used_at.is_(None))).one()
        assert row.expires_at == row.family_expires_at < now() + timedelta(hours=2)
        session.execute(update(RefreshToken).values(expires_at=now() - timedelta(seconds=1)))
    assert program.refresh(tokens["refresh_token"]).status_code == 400


def test_an_access_token_lasts_ten_minutes_and_is_one_workspaces(
    app: Flask, acme: Workspace, globex: Workspace, member: Visitor
) -> None:
    program, foreign = register(app, acme), register(app, globex)
    tokens = obtain(member, program)
    assert tokens["expires_in"] == 600
    assert calls(foreign, tokens["access_token"]) == 401
    with inside(app, acme) as session:
        session.execute(update(ApiToken).values(expires_at=now() - timedelta(seconds=1)))
    assert calls(program, tokens["access_token"]) == 401


def test_nothing_but_hashes_is_kept(app: Flask, acme: Workspace, member: Visitor) -> None:
    program = register(app, acme)
    code = code_of(member, program)
    tokens = program.redeem(code).get_json()
    secrets = (program.secret, code, tokens["access_token"], tokens["refresh_token"], tokens["id_token"])
    with inside(app, acme) as session:
        for model in (OAuthClient, AuthorizationCode, ApiToken, RefreshToken, AuditEvent):
            kept = json.dumps([vars(row) for row in session.scalars(select(model))], default=str)
            assert not [secret for secret in secrets if secret in kept], model


def test_an_id_token_is_no_access_token(app: Flask, acme: Workspace, member: Visitor) -> None:
    program = register(app, acme)
    assert calls(program, obtain(member, program)["id_token"]) == 401


def test_a_token_of_an_app_does_nothing_that_takes_a_person(app: Flask, acme: Workspace) -> None:
    program, owner = register(app, acme), sign_in(app, acme, "owner")
    token = obtain(owner, program)["access_token"]
    assert program.call("/api/v1/tokens", token).status_code == 403
    assert program.call("/api/v1/sessions", token).status_code == 403
    # Beyond the API a token shows nothing at all.
    assert program.call("/account/apps/", token).status_code == 401
    assert program.call(program.ask(), token).status_code == 302
    assert program.call(program.ask(), token, "POST", data={"decision": "allow"}).status_code in (400, 401)


def test_only_an_app_with_openid_learns_who_the_person_is(app: Flask, acme: Workspace, member: Visitor) -> None:
    program = register(app, acme)
    plain, known = obtain(member, program, "profile project:read"), obtain(member, program, "openid")
    assert "id_token" not in plain
    refused = program.call("/oauth/userinfo", plain["access_token"])
    assert refused.status_code == 403
    assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]
    assert program.call("/oauth/userinfo", known["access_token"], "POST").get_json() == {
        "sub": str(acme.people["member"].id)
    }
    assert program.call("/oauth/userinfo", "tnt_at_x").status_code == 401
    by_cookie = member.get("/oauth/userinfo")
    assert by_cookie.status_code == 401
    assert by_cookie.headers["WWW-Authenticate"].startswith("Bearer ")


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "password", "username": "x", "password": "y"}, "unsupported_grant_type"),
        ({"grant_type": 'x"\\'}, "unsupported_grant_type"),
        ({"grant_type": "authorization_code"}, "invalid_request"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "client_credentials"}, "unauthorized_client"),
    ],
)
def test_a_wrong_request_is_told_apart(app: Flask, acme: Workspace, data: dict[str, str], error: str) -> None:
    program = register(app, acme)
    answer = program.post("/oauth/token", program.own(data))
    assert (answer.status_code, answer.get_json()["error"]) == (400, error)
    assert "no-store" in answer.headers["Cache-Control"]


def test_parameters_come_once_in_a_form(app: Flask, acme: Workspace) -> None:
    robot = employ(app, acme, "viewer")
    data = robot.own({"grant_type": "client_credentials"})
    json_ = robot.post("/oauth/token", {}, json=data)
    twice = robot.post("/oauth/token", data | {"grant_type": ["client_credentials"] * 2})
    address = robot.post(f"/oauth/token?client_secret={robot.secret}", {"grant_type": "client_credentials"})
    for answer in (json_, twice, address):
        assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_request")


def test_a_service_account_gets_what_it_holds_and_no_more(app: Flask, acme: Workspace) -> None:
    robot, idle = employ(app, acme, "viewer"), employ(app, acme)
    ask = {"grant_type": "client_credentials"}
    for scope in ("workspace:manage", "project:read workspace:manage", "openid", "no:such"):
        answer = robot.post("/oauth/token", robot.own(ask | {"scope": scope}))
        assert answer.get_json()["error"] == "invalid_scope", scope
    token = idle.post("/oauth/token", idle.own(ask)).get_json()
    assert token["scope"] == ""
    assert calls(idle, token["access_token"]) == 403


def test_what_a_service_account_does_is_recorded_by_its_name(app: Flask, acme: Workspace) -> None:
    robot = employ(app, acme, "member", name="Night shift")
    token = robot.post("/oauth/token", robot.own({"grant_type": "client_credentials"})).get_json()["access_token"]
    made = robot.call("/api/v1/roles", token, "POST", json={"name": "x", "permissions": []})
    assert made.status_code == 403
    with inside(app, acme) as session:
        event = session.scalars(select(AuditEvent).where(AuditEvent.kind == "access denied")).one()
        assert (event.actor_kind, event.actor_id, event.actor) == ("service", robot.account, "Night shift")
