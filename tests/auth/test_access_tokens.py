"""Access tokens of our own sign-in by API: what one has to claim, and what it says nothing about."""

import base64
import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from auth import access_tokens, signing_keys
from auth.models import LoginSession
from tenants.db import now
from tenants.lifecycle import rename_tenant
from tests.auth.helpers import inside
from tests.factories import Workspace
from tests.program import Program, signed_in_program


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


@pytest.fixture
def program(app: Flask, acme: Workspace) -> Program:
    return signed_in_program(app, acme)


def resign(app: Flask, workspace: Workspace, claims: dict[str, Any], type_: str = access_tokens.TYPE) -> str:
    """A token with these claims that the workspace itself has signed."""
    with inside(app, workspace):
        return signing_keys.sign({name: value for name, value in claims.items() if value is not None}, type_=type_)


def test_a_token_says_whose_it_is_and_for_whom(app: Flask, acme: Workspace, program: Program) -> None:
    claims = claims_of(program.token)
    assert claims["iss"] == acme.url
    assert claims["aud"] == f"{acme.url}/api"
    assert claims["sub"] == str(acme.people["member"].id)
    assert claims["tenant"] == str(acme.tenant.id)
    assert claims["exp"] - claims["iat"] == access_tokens.LASTS
    with inside(app, acme) as session:
        login = session.find(LoginSession, uuid.UUID(claims["sid"]))
        assert (login.user_id, login.kind) == (acme.people["member"].id, "api")


def test_a_token_says_nothing_of_rights(program: Program) -> None:
    assert claims_of(program.token).keys() == {
        "iss", "aud", "sub", "client_id", "tenant", "sid", "jti", "iat", "exp",
    }  # fmt: skip


def test_no_two_tokens_have_the_same_id(program: Program) -> None:
    before = claims_of(program.token)["jti"]
    program.refresh()
    assert claims_of(program.token)["jti"] != before


WRONG: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "http://evil.localhost"},
    "no issuer": {"iss": None},
    "another audience": {"aud": "http://evil.localhost/api"},
    "several audiences": {"aud": ["http://evil.localhost/api"]},
    "no audience": {"aud": None},
    "another user": {"sub": str(uuid.UUID(int=1))},
    "no user": {"sub": None},
    "another tenant": {"tenant": str(uuid.UUID(int=1))},
    "no tenant": {"tenant": None},
    "another client": {"client_id": "app"},
    "no id": {"jti": None},
    "a number for an id": {"jti": 7},
    "no end": {"exp": None},
    "a text for an end": {"exp": "9999999999"},
    "true for an end": {"exp": True},
    "no beginning": {"iat": None},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_token_with_a_wrong_claim_is_refused(
    app: Flask, acme: Workspace, program: Program, wrong: dict[str, Any]
) -> None:
    claims = claims_of(program.token)
    assert Program(app, acme.host, resign(app, acme, claims)).is_signed_in
    assert not Program(app, acme.host, resign(app, acme, claims | wrong)).is_signed_in


@pytest.mark.parametrize(
    "times",
    [{"iat": -700, "exp": -100}, {"exp": 0}, {"iat": 60}, {"nbf": 60}],
    ids=["over", "just over", "made later", "not yet"],
)
def test_a_token_counts_in_its_time_only(app: Flask, acme: Workspace, program: Program, times: dict[str, int]) -> None:
    moment = int(now().timestamp())
    moved = {name: moment + seconds for name, seconds in times.items()}
    assert not Program(app, acme.host, resign(app, acme, claims_of(program.token) | moved)).is_signed_in


@pytest.mark.parametrize("type_", ["JWT", "id_token+jwt", "AT+JWT"])
def test_a_token_of_another_type_is_refused(app: Flask, acme: Workspace, program: Program, type_: str) -> None:
    token = resign(app, acme, claims_of(program.token), type_)
    assert not Program(app, acme.host, token).is_signed_in


def test_a_token_of_another_login_session_is_not_its_owners(app: Flask, acme: Workspace, program: Program) -> None:
    other = signed_in_program(app, acme, "owner")
    mixed = claims_of(program.token) | {"sid": claims_of(other.token)["sid"]}
    assert not Program(app, acme.host, resign(app, acme, mixed)).is_signed_in


def test_a_browsers_login_session_is_none_of_a_token(app: Flask, acme: Workspace, program: Program) -> None:
    claims = claims_of(program.token)
    with inside(app, acme) as session:
        session.find(LoginSession, uuid.UUID(claims["sid"])).kind = "browser"
    assert not program.is_signed_in


def test_a_token_of_another_tenant_is_nobodys(app: Flask, acme: Workspace, globex: Workspace, program: Program) -> None:
    signed_in_program(app, globex)  # so that it has keys of its own
    assert not Program(app, globex.host, program.token).is_signed_in


def test_a_token_never_outlasts_its_login_session(app: Flask, acme: Workspace, program: Program) -> None:
    sid = uuid.UUID(claims_of(program.token)["sid"])
    with inside(app, acme) as session:
        session.find(LoginSession, sid).expires_at = now() + timedelta(seconds=90)
    answer = program.refresh().json
    assert answer["expires_in"] <= 90
    assert answer["refresh_expires_in"] <= 90


def test_a_workspace_that_is_renamed_takes_no_token_of_its_former_host(
    app: Flask, acme: Workspace, program: Program
) -> None:
    with app.app_context():
        rename_tenant(acme.slug, new_slug=f"{acme.slug}x")
    assert not Program(app, f"{acme.slug}x.localhost", program.token).is_signed_in
