"""How long an app acts for a person: no longer than the workspace's rules allow, also such as were made later."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from auth.client_models import AuthorizationCode
from auth.oauth_server import lifetimes
from auth.policy_changes import change_policy
from auth.token_models import RefreshToken
from tenants.db import now
from tests.auth.conftest import Clock
from tests.auth.helpers import inside
from tests.auth.oauth_server.programs import Program, allow, answered, employ, obtain, register
from tests.factories import Workspace
from tests.visitor import Visitor


def rule(app: Flask, workspace: Workspace, **values: Any) -> None:
    with inside(app, workspace):
        change_policy(values, actor=None)


def calls(program: Program, tokens: dict[str, Any]) -> int:
    return program.call("/api/v1/projects", tokens["access_token"]).status_code


def is_active(program: Program, token: str) -> bool:
    told = program.post("/oauth/introspect", program.own({"token": token})).get_json()
    return bool(told["active"])


def test_an_app_acts_no_longer_than_a_login_session_lasts(
    app: Flask, acme: Workspace, member: Visitor, clock: Clock
) -> None:
    rule(app, acme, session_hours=2)
    program = register(app, acme)
    tokens = obtain(member, program)
    clock.advance(hours=1, minutes=55)
    last = program.refresh(tokens["refresh_token"]).get_json()
    assert last["expires_in"] <= 301
    told = program.post("/oauth/introspect", program.own({"token": last["access_token"]})).get_json()
    assert told["exp"] - told["iat"] <= 301
    clock.advance(minutes=6)
    assert calls(program, last) == 401
    assert program.refresh(last["refresh_token"]).get_json()["error"] == "invalid_grant"


def test_its_time_counts_from_when_the_person_had_signed_in(
    app: Flask, acme: Workspace, member: Visitor, clock: Clock
) -> None:
    rule(app, acme, session_hours=1)
    program = register(app, acme)
    clock.advance(minutes=25)
    assert member.is_signed_in()
    clock.advance(minutes=25)
    tokens = obtain(member, program)
    clock.advance(minutes=11)
    assert program.refresh(tokens["refresh_token"]).status_code == 400


RULES = {"session": ({"session_hours": 2}, {"hours": 3}), "token": ({"longest_token_days": 1}, {"hours": 25})}


@pytest.mark.parametrize(("values", "later"), RULES.values(), ids=RULES)
def test_a_rule_that_is_made_later_holds_for_apps_that_were_allowed_before(
    app: Flask, acme: Workspace, member: Visitor, clock: Clock, values: dict[str, int], later: dict[str, int]
) -> None:
    program = register(app, acme)
    tokens = obtain(member, program)
    clock.advance(**later)
    tokens = program.refresh(tokens["refresh_token"]).get_json()
    assert calls(program, tokens) == 200
    rule(app, acme, **values)
    assert calls(program, tokens) == 401
    assert program.call("/oauth/userinfo", tokens["access_token"]).status_code == 401
    assert not is_active(program, tokens["access_token"])
    assert not is_active(program, tokens["refresh_token"])
    assert program.refresh(tokens["refresh_token"]).get_json()["error"] == "invalid_grant"


def test_a_rule_that_is_loosened_gives_an_app_no_more_time_than_it_had(
    app: Flask, acme: Workspace, member: Visitor, clock: Clock
) -> None:
    rule(app, acme, longest_token_days=1)
    program = register(app, acme)
    tokens = obtain(member, program)
    rule(app, acme, longest_token_days=None)
    clock.advance(hours=25)
    assert program.refresh(tokens["refresh_token"]).status_code == 400


def test_an_app_that_asks_for_nothing_is_idle(app: Flask, acme: Workspace, member: Visitor, clock: Clock) -> None:
    program = register(app, acme)
    tokens = obtain(member, program)
    rule(app, acme, idle_minutes=5)
    clock.advance(minutes=14)
    tokens = program.refresh(tokens["refresh_token"]).get_json()
    clock.advance(minutes=16)
    assert program.refresh(tokens["refresh_token"]).get_json()["error"] == "invalid_grant"


def test_a_code_gives_nothing_that_would_be_over(app: Flask, acme: Workspace, member: Visitor) -> None:
    program = register(app, acme)
    code = answered(allow(member, program))["code"]
    with inside(app, acme) as session:
        session.execute(update(AuthorizationCode).values(signed_in_at=now() - timedelta(hours=2)))
    rule(app, acme, session_hours=1)
    assert program.redeem(code).get_json()["error"] == "invalid_grant"
    rule(app, acme, session_hours=3)
    assert program.redeem(code).status_code == 200  # it was not used up


def test_a_refresh_token_that_does_not_know_its_beginning_has_begun_at_the_latest_thirty_days_before_its_end(
    app: Flask, acme: Workspace, member: Visitor
) -> None:
    program = register(app, acme)
    tokens = obtain(member, program)
    with inside(app, acme) as session:
        begun = now() - timedelta(hours=2)
        values = {"signed_in_at": None, "allowed_at": None, "family_expires_at": begun + lifetimes.FAMILY_FOR}
        session.execute(update(RefreshToken).values(values))
    rule(app, acme, session_hours=1)
    assert program.refresh(tokens["refresh_token"]).status_code == 400
    rule(app, acme, session_hours=3)
    assert program.refresh(tokens["refresh_token"]).status_code == 200


def test_each_token_of_a_family_knows_when_it_began(app: Flask, acme: Workspace, member: Visitor, clock: Clock) -> None:
    program = register(app, acme)
    tokens = obtain(member, program)
    clock.advance(days=2)
    program.refresh(tokens["refresh_token"])
    with inside(app, acme) as session:
        rows = session.scalars(select(RefreshToken).order_by(RefreshToken.created_at)).all()
        assert len({(row.signed_in_at, row.allowed_at, row.family_expires_at) for row in rows}) == 1
        assert rows[0].signed_in_at <= rows[0].allowed_at <= rows[0].created_at < rows[1].created_at


def test_a_service_account_is_not_bound_by_rules_about_people(app: Flask, acme: Workspace, clock: Clock) -> None:
    rule(app, acme, session_hours=1, idle_minutes=5, longest_token_days=1)
    robot = employ(app, acme, "viewer")
    clock.advance(days=3)
    tokens = robot.post("/oauth/token", robot.own({"grant_type": "client_credentials"})).get_json()
    assert tokens["expires_in"] == 600
    assert calls(robot, tokens) == 200
