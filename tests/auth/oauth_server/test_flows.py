"""The grants from end to end, as an Authlib client walks them."""

import time
from typing import Any

import pytest
from authlib.oidc.core import CodeIDToken, UserInfo
from flask import Flask
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from auth import clients
from tests.auth.oauth_server.programs import BACK, Program, allow, employ, obtain, register
from tests.factories import Workspace
from tests.visitor import sign_in


def discover(program: Program) -> dict[str, Any]:
    found: dict[str, Any] = program.post("/.well-known/openid-configuration", {}, method="GET").get_json()
    return found


@pytest.mark.parametrize("method", [clients.SECRET, clients.KEYS, clients.NONE])
def test_an_app_acts_for_a_person_who_allows_it(app: Flask, acme: Workspace, method: str) -> None:
    program, member = register(app, acme, auth_method=method), sign_in(app, acme, "member")
    session, metadata = program.session(scope="project:read"), discover(program)
    url, state = session.create_authorization_url(metadata["authorization_endpoint"], code_verifier=program.verifier)
    page = member.get(url.removeprefix(acme.url))
    assert page.status_code == 200, page.text
    assert "Planner" in page.text
    back = member.post(url.removeprefix(acme.url), {"decision": "allow"})
    assert back.status_code == 303
    assert back.location.startswith(f"{BACK}?")
    token = session.fetch_token(
        metadata["token_endpoint"], authorization_response=back.location, state=state, code_verifier=program.verifier
    )
    assert token["scope"] == "project:read"
    assert token["access_token"].startswith("tnt_at_")
    assert session.get(f"{acme.url}/api/v1/projects").status_code == 200
    assert session.get(f"{acme.url}/api/v1/members").status_code == 403

    fresh = session.refresh_token(metadata["token_endpoint"])
    assert fresh["access_token"] != token["access_token"]
    assert session.get(f"{acme.url}/api/v1/projects").status_code == 200
    assert session.revoke_token(metadata["revocation_endpoint"], fresh["refresh_token"]).status_code == 200
    assert session.get(f"{acme.url}/api/v1/projects").status_code == 401


def test_a_person_signs_in_to_another_tool_with_this_product(app: Flask, acme: Workspace) -> None:
    program, member = register(app, acme, permissions=[]), sign_in(app, acme, "member")
    session, metadata = program.session(scope="openid profile email"), discover(program)
    url, state = session.create_authorization_url(
        metadata["authorization_endpoint"], nonce="n-0S6", code_verifier=program.verifier
    )
    back = member.post(url.removeprefix(acme.url), {"decision": "allow"})
    token = session.fetch_token(
        metadata["token_endpoint"], authorization_response=back.location, state=state, code_verifier=program.verifier
    )
    keys = KeySet.import_key_set(session.get(metadata["jwks_uri"], withhold_token=True).json())
    read = jwt.decode(token["id_token"], keys, algorithms=metadata["id_token_signing_alg_values_supported"])
    claims = CodeIDToken(
        read.claims,
        read.header,
        options={
            "iss": {"essential": True, "value": acme.url},
            "aud": {"essential": True, "value": program.client_id},
            "auth_time": {"essential": True},
        },
        params={"nonce": "n-0S6", "access_token": token["access_token"], "client_id": program.client_id},
    )
    claims.validate(leeway=5)
    assert claims["at_hash"]
    assert claims["sub"] == str(acme.people["member"].id)
    assert claims["email"] == acme.people["member"].email
    assert claims["email_verified"] is True
    assert abs(claims["auth_time"] - time.time()) < 600

    person = UserInfo(session.get(metadata["userinfo_endpoint"]).json())
    assert person == {
        "sub": claims["sub"], "name": "Member", "email": claims["email"], "email_verified": True
    }  # fmt: skip


def test_a_service_account_gets_a_token_by_its_secret(app: Flask, acme: Workspace) -> None:
    robot = employ(app, acme, "viewer")
    for method in ("client_secret_basic", "client_secret_post"):
        session = robot.session(token_endpoint_auth_method=method)
        token = session.fetch_token(robot.token_url, grant_type="client_credentials")
        assert token["token_type"] == "Bearer"
        assert "refresh_token" not in token
        assert "project:read" in token["scope"].split()
        me = session.get(f"{acme.url}/api/v1/me")
        assert me.status_code == 200, me.text
        assert session.get(f"{acme.url}/api/v1/projects").status_code == 200


def test_a_service_account_gets_a_token_by_its_key(app: Flask, acme: Workspace) -> None:
    robot = employ(app, acme, "viewer", key=ECKey.generate_key("P-256", auto_kid=True))
    session = robot.session(scope="project:read")
    token = session.fetch_token(robot.token_url, grant_type="client_credentials")
    assert token["scope"] == "project:read"
    assert session.get(f"{acme.url}/api/v1/projects").status_code == 200


def test_what_a_person_has_allowed_is_not_asked_again(app: Flask, acme: Workspace) -> None:
    program, member = register(app, acme), sign_in(app, acme, "member")
    obtain(member, program)
    assert member.get(program.ask()).status_code == 303
    assert member.get(program.ask("openid project:read project:create")).status_code == 200
    assert allow(member, program, "openid").startswith(BACK)
