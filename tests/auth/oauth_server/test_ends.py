"""What ends a token of an app: at its very next use, whatever the token says."""

import pytest
from flask import Flask
from sqlalchemy import select

from auth import clients, roles, users
from auth.audit_models import AuditEvent
from auth.client_models import AuthorizationCode, Consent
from auth.errors import NotAllowed
from auth.token_models import ApiToken, RefreshToken
from tenants.lifecycle import suspend_tenant
from tests.auth import helpers
from tests.auth.helpers import inside
from tests.auth.oauth_server.programs import (
    Program,
    actor,
    allow,
    answered,
    employ,
    make_role,
    obtain,
    register,
    row_of,
)
from tests.factories import Workspace, add_person
from tests.visitor import Visitor, sign_in

GRANT = {"grant_type": "client_credentials"}


def statuses(program: Program, tokens: dict[str, str]) -> tuple[int, int]:
    """How the API, and the token endpoint, answer to what the app has."""
    called = program.call("/api/v1/projects", tokens["access_token"]).status_code
    return called, program.refresh(tokens["refresh_token"]).status_code


def test_a_person_takes_back_what_they_have_allowed(app: Flask, acme: Workspace, member: Visitor) -> None:
    program, other = register(app, acme), register(app, acme, name="Other")
    tokens, kept = obtain(member, program), obtain(member, other)
    code = answered(allow(member, program))["code"]
    page = member.get("/account/apps/")
    assert "Planner" in page.text
    assert "Other" in page.text
    with inside(app, acme) as session:
        consent = session.scalars(select(Consent).where(Consent.client_id == program.id)).one().id
    assert member.post(f"/account/apps/{consent}/revoke").status_code == 302
    assert statuses(program, tokens) == (401, 400)
    assert program.redeem(code).status_code == 400
    assert statuses(other, kept) == (200, 200)
    assert "Planner" not in member.get("/account/apps/").text
    assert member.get(program.ask()).status_code == 200  # asked anew
    with inside(app, acme) as session:
        kinds = session.scalars(select(AuditEvent.kind).where(AuditEvent.target_id == program.id)).all()
        assert {"app added", "app allowed", "app no longer allowed"} <= set(kinds)


def test_nobody_takes_back_what_another_has_allowed(app: Flask, acme: Workspace, member: Visitor) -> None:
    program, viewer = register(app, acme), sign_in(app, acme, "viewer")
    tokens = obtain(member, program)
    with inside(app, acme) as session:
        consent = session.scalars(select(Consent)).one().id
    assert viewer.post(f"/account/apps/{consent}/revoke").status_code == 404
    assert statuses(program, tokens) == (200, 200)


def test_a_person_who_is_deactivated_lends_nothing(app: Flask, acme: Workspace, member: Visitor) -> None:
    program = register(app, acme)
    tokens, code = obtain(member, program), answered(allow(member, program))["code"]
    with inside(app, acme):
        users.deactivate_user(helpers.row_of(acme.people["member"]), actor=None)
    assert statuses(program, tokens) == (401, 400)
    assert program.redeem(code).status_code == 400


def test_a_person_who_loses_a_role_lends_less(app: Flask, acme: Workspace, member: Visitor) -> None:
    program = register(app, acme)
    tokens = obtain(member, program)
    with inside(app, acme):
        roles.revoke_role(helpers.row_of(acme.people["member"]), "member", actor=None)
    assert statuses(program, tokens) == (403, 200)


def test_an_app_that_is_switched_off_or_removed_has_nothing(app: Flask, acme: Workspace, member: Visitor) -> None:
    off, gone = register(app, acme), register(app, acme)
    had, lost = obtain(member, off), obtain(member, gone)
    with inside(app, acme):
        clients.switch(row_of(off), active=False, actor=None)
        clients.remove(row_of(gone), actor=None)
    assert statuses(off, had) == (401, 401)
    assert statuses(gone, lost) == (401, 401)
    with inside(app, acme) as session:
        clients.switch(row_of(off), active=True, actor=None)
        for model in (ApiToken, RefreshToken, AuthorizationCode):
            assert not session.scalars(select(model)).all()
    assert statuses(off, had) == (401, 400)


def test_an_app_that_may_have_less_has_less_at_once(app: Flask, acme: Workspace, member: Visitor) -> None:
    program = register(app, acme)
    tokens = obtain(member, program, "openid project:read member:read")
    with inside(app, acme):
        row = row_of(program)
        clients.change_app(row, name=row.name, redirects=row.redirect_uris, permissions=["member:read"], actor=None)
    assert program.call("/api/v1/projects", tokens["access_token"]).status_code in (401, 403)
    fresh = program.refresh(tokens["refresh_token"]).get_json()
    assert fresh["scope"] == "openid member:read"
    assert program.call("/api/v1/projects", fresh["access_token"]).status_code == 403


def test_a_suspended_workspace_gives_nothing(app: Flask, acme: Workspace, member: Visitor) -> None:
    program, robot = register(app, acme), employ(app, acme, "viewer")
    tokens = obtain(member, program)
    with app.app_context():
        suspend_tenant(acme.slug)
    assert statuses(program, tokens) == (403, 403)
    assert robot.post("/oauth/token", robot.own(GRANT)).status_code == 403


def test_a_client_ends_its_own_tokens_only(app: Flask, acme: Workspace, globex: Workspace, member: Visitor) -> None:
    program, other, foreign = register(app, acme), register(app, acme), register(app, globex)
    open_ = register(app, acme, auth_method=clients.NONE)
    tokens, lent = obtain(member, program), obtain(member, open_)
    for thief in (other, foreign, open_):
        for token in (tokens["access_token"], tokens["refresh_token"], "x"):
            assert thief.post("/oauth/revoke", thief.own({"token": token})).status_code == 200
    assert program.post("/oauth/revoke", {"token": tokens["refresh_token"]}).status_code == 401
    assert program.call("/api/v1/projects", tokens["access_token"]).status_code == 200
    data = program.own({"token": tokens["access_token"], "token_type_hint": "refresh_token"})
    assert program.post("/oauth/revoke", data).status_code == 200
    assert statuses(program, tokens) == (401, 200)
    assert open_.post("/oauth/revoke", open_.own({"token": lent["refresh_token"]})).status_code == 200
    assert statuses(open_, lent) == (401, 400)
    assert program.post("/oauth/revoke", program.own({})).get_json()["error"] == "invalid_request"


def test_a_client_is_told_of_its_own_tokens_and_a_service_that_may_see_programs_of_all(
    app: Flask, acme: Workspace, globex: Workspace, member: Visitor
) -> None:
    program, other, foreign = register(app, acme), register(app, acme), employ(app, globex, "admin")
    plain, guard = employ(app, acme, "viewer"), employ(app, acme, "admin")
    tokens = obtain(member, program)
    for stranger in (other, foreign, plain):
        for token in (tokens["access_token"], tokens["refresh_token"], "x"):
            assert stranger.post("/oauth/introspect", stranger.own({"token": token})).get_json() == {"active": False}
    for knows in (program, guard):
        told = knows.post("/oauth/introspect", knows.own({"token": tokens["access_token"]})).get_json()
        assert told["active"] is True
        assert told["scope"] == "openid project:read"
        assert told["client_id"] == program.client_id
        assert told["sub"] == str(acme.people["member"].id)
        assert told["iss"] == acme.url
        assert told["exp"] - told["iat"] == 600
    refresh = program.post("/oauth/introspect", program.own({"token": tokens["refresh_token"]})).get_json()
    assert refresh["active"] is True
    with inside(app, acme):
        roles.revoke_role(helpers.row_of(acme.people["member"]), "member", actor=None)
    told = guard.post("/oauth/introspect", guard.own({"token": tokens["access_token"]})).get_json()
    assert told["scope"] == "openid"
    with inside(app, acme):
        users.deactivate_user(helpers.row_of(acme.people["member"]), actor=None)
    told = guard.post("/oauth/introspect", guard.own({"token": tokens["access_token"]})).get_json()
    assert told == {"active": False}


def test_who_can_keep_no_secret_is_told_nothing(app: Flask, acme: Workspace, member: Visitor) -> None:
    open_ = register(app, acme, auth_method=clients.NONE)
    token = obtain(member, open_)["access_token"]
    assert open_.post("/oauth/introspect", open_.own({"token": token})).status_code == 401


def test_nobody_registers_or_changes_an_app_that_may_do_more_than_they(app: Flask, acme: Workspace) -> None:
    make_role(app, acme, "registrar", "client:manage", "client:read", "project:read")
    person, strong = add_person(app, acme, role="registrar"), register(app, acme, permissions=["workspace:manage"])
    with inside(app, acme):
        registrar, row, member = actor(person), row_of(strong), actor(acme.people["member"])
        made, _secret = clients.add_app("x", redirects=row.redirect_uris, permissions=["project:read"], actor=registrar)
        for work in (
            lambda: clients.add_app("y", redirects=row.redirect_uris, permissions=["role:manage"], actor=registrar),
            lambda: clients.change_app(
                made, name="x", redirects=row.redirect_uris, permissions=["role:manage"], actor=registrar
            ),
            lambda: clients.change_app(
                row, name="x", redirects=["https://evil.example/"], permissions=[], actor=registrar
            ),
            lambda: clients.renew_secret(row, actor=registrar),
            lambda: clients.switch(row, active=False, actor=registrar),
            lambda: clients.remove(row, actor=registrar),
            lambda: clients.add_app("z", redirects=row.redirect_uris, permissions=[], actor=member),
        ):
            with pytest.raises(NotAllowed):
                work()


def test_a_client_ends_what_came_of_a_refresh_token_that_it_has_used(
    app: Flask, acme: Workspace, member: Visitor
) -> None:
    program, other = register(app, acme), register(app, acme)
    former = obtain(member, program)
    tokens = program.refresh(former["refresh_token"]).get_json()
    assert other.post("/oauth/revoke", other.own({"token": former["refresh_token"]})).status_code == 200
    assert program.call("/api/v1/projects", tokens["access_token"]).status_code == 200
    assert program.post("/oauth/revoke", program.own({"token": former["refresh_token"]})).status_code == 200
    assert statuses(program, tokens) == (401, 400)
