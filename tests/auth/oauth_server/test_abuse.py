"""Attacks on the OAuth 2 server: odd input, rules that are made stricter, races, and what an app would like to keep."""

import json
import time
import uuid
from threading import Thread
from typing import Any

import pytest
from flask import Flask
from joserfc import jws
from joserfc.jwk import ECKey
from sqlalchemy import select

from auth.client_models import Consent
from auth.models import LoginSession
from auth.oauth_server import issuing
from auth.policy_changes import change_policy
from auth.providers.models import ProviderConfig
from tests.auth.helpers import NEW_PASSWORD, inside
from tests.auth.oauth_server.programs import Program, allow, answered, employ, obtain, register
from tests.factories import Workspace
from tests.visitor import Visitor, sign_in

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
CREDENTIALS = {"grant_type": "client_credentials"}
ODD = {"nul": "a\x00b", "surrogate": "\ud800", "control": "\x85", "letters": "é" * 300, "long": "a" * 5000}
ASKED = ["client_id", "nonce", "state", "scope", "redirect_uri", "code_challenge", "prompt", "max_age"]
SENT = ["client_id", "client_secret", "code", "refresh_token", "token", "scope", "code_verifier", "client_assertion"]


def raw(text: str) -> Any:
    return text.encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_an_odd_parameter_breaks_no_page(app: Flask, acme: Workspace, member: Visitor, name: str, odd: str) -> None:
    path = register(app, acme).ask(**{name: raw(odd)})
    page = member.get(path)
    assert page.status_code in (200, 303, 400)
    if page.status_code == 200:
        assert member.post(path, {"decision": "allow"}).status_code in (303, 400)


@pytest.mark.parametrize("endpoint", ["token", "revoke", "introspect"])
@pytest.mark.parametrize("name", SENT)
def test_odd_parameters_break_no_endpoint(app: Flask, acme: Workspace, name: str, endpoint: str) -> None:
    program = employ(app, acme, "viewer")
    for odd in ODD.values():
        for grant in ("client_credentials", "authorization_code", "refresh_token"):
            form = program.own({"grant_type": grant, "token": "x", "code": "x", "refresh_token": "x"})
            if name == "client_assertion":
                del form["client_secret"]
                form["client_assertion_type"] = ASSERTION
            answer = program.post(f"/oauth/{endpoint}", form | {name: raw(odd)})
            assert answer.status_code in (200, 400, 401)


@pytest.mark.parametrize("shown", ["", "!!!", "AAAA", "/w==", "OjoA", "YToA", "AGE6Yg==", "7aCAOmE="])
def test_odd_credentials_are_refused(app: Flask, acme: Workspace, shown: str) -> None:
    program = employ(app, acme, "viewer")
    answer = program.post("/oauth/token", CREDENTIALS, headers={"Authorization": f"Basic {shown}"})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": 10**400}, {"iat": -(10**400)}, {"nbf": 10**400}, {"exp": "1"}, {"exp": [1]}, {"exp": None},
        {"exp": True}, {"aud": {}}, {"aud": [[]]}, {"aud": []}, {"sub": None}, {"sub": 5}, {"sub": {}},
        {"sub": "\x00"}, {"sub": "\ud800"}, {"iss": []}, {"jti": 5}, {"jti": ""},
    ],
    ids=json.dumps,
)  # fmt: skip
def test_an_assertion_with_an_odd_claim_is_refused(app: Flask, acme: Workspace, changed: dict[str, Any]) -> None:
    key = ECKey.generate_key("P-256", auto_kid=True)
    program, moment = employ(app, acme, "viewer", key=key), int(time.time())
    claims = {
        "iss": program.client_id, "sub": program.client_id, "aud": program.token_url, "iat": moment,
        "exp": moment + 60, "jti": str(uuid.uuid4()),
    }  # fmt: skip
    for said, status in ((claims, 200), (claims | {"jti": "other"} | changed, 401)):
        text = jws.serialize_compact({"alg": "ES256", "kid": key.kid}, json.dumps(said), key)
        form = {**CREDENTIALS, "client_assertion_type": ASSERTION, "client_assertion": text}
        assert program.post("/oauth/token", form).status_code == status


def test_an_app_gets_nothing_by_whom_the_rules_now_want_a_second_factor_of(
    app: Flask, acme: Workspace, member: Visitor
) -> None:
    program = register(app, acme)
    tokens = obtain(member, program, "openid email project:read")
    with inside(app, acme):
        change_policy({"second_factor": "all"}, actor=None)
    for path in ("/api/v1/projects", "/oauth/userinfo"):
        assert program.call(path, tokens["access_token"]).status_code == 403
    assert program.refresh(tokens["refresh_token"]).get_json()["error"] == "invalid_grant"
    told = program.post("/oauth/introspect", program.own({"token": tokens["access_token"]})).get_json()
    assert told == {"active": False}
    with inside(app, acme):
        change_policy({"second_factor": "optional"}, actor=None)
    assert program.refresh(tokens["refresh_token"]).status_code == 200  # it was not used up


def test_who_has_come_by_an_identity_provider_is_asked_for_a_second_factor_there(
    app: Flask, acme: Workspace, member: Visitor
) -> None:
    program = register(app, acme)
    with inside(app, acme) as session:
        source = ProviderConfig(kind="oidc", name="entra", label="Entra", settings={}, enabled=True)
        session.add(source)
        session.flush()
        login = session.scalars(select(LoginSession)).one()
        login.provider, login.methods = str(source.id), "single sign-on"
        change_policy({"second_factor": "all"}, actor=None)
    tokens = obtain(member, program)
    assert program.call("/api/v1/projects", tokens["access_token"]).status_code == 200


def test_the_rules_of_the_workspace_do_not_bind_service_accounts_to_a_second_factor(
    app: Flask, acme: Workspace
) -> None:
    robot = employ(app, acme, "viewer")
    with inside(app, acme):
        change_policy({"second_factor": "all"}, actor=None)
    token = robot.post("/oauth/token", robot.own(CREDENTIALS)).get_json()["access_token"]
    assert robot.call("/api/v1/projects", token).status_code == 200


def test_from_elsewhere_than_the_workspaces_networks_nothing_is_given(
    app: Flask, acme: Workspace, member: Visitor
) -> None:
    program, robot = register(app, acme), employ(app, acme, "viewer")
    tokens = obtain(member, program)
    code = answered(allow(member, program))["code"]
    with inside(app, acme):
        change_policy({"networks": ("203.0.113.0/24",)}, actor=None)
    assert program.call("/oauth/userinfo", tokens["access_token"]).status_code == 401
    assert program.refresh(tokens["refresh_token"]).status_code == 400
    assert program.redeem(code).status_code == 400
    assert robot.post("/oauth/token", robot.own(CREDENTIALS)).get_json()["error"] == "unauthorized_client"
    with inside(app, acme):
        change_policy({"networks": ()}, actor=None)
    assert program.refresh(tokens["refresh_token"]).status_code == 200  # it was not used up


def test_a_new_password_ends_what_apps_have(app: Flask, acme: Workspace, member: Visitor) -> None:
    program = register(app, acme)
    tokens, code = obtain(member, program), answered(allow(member, program))["code"]
    old = acme.people["member"].password
    form = {"password": old, "new_password": NEW_PASSWORD, "new_password_confirm": NEW_PASSWORD}
    assert member.post("/auth/change", form).status_code == 302
    assert program.call("/api/v1/projects", tokens["access_token"]).status_code == 401
    assert program.refresh(tokens["refresh_token"]).status_code == 400
    assert program.redeem(code).status_code == 400


def test_an_app_that_is_just_being_given_tokens_loses_them_when_it_is_allowed_nothing_any_more(
    app: Flask, acme: Workspace, member: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = register(app, acme)
    tokens = obtain(member, program)
    with inside(app, acme) as session:
        consent = session.scalars(select(Consent)).one().id
    csrf, give, threads = member.csrf_token(), issuing.give, []

    def give_slowly(*given: Any, **options: Any) -> Any:
        thread = Thread(target=lambda: member.post(f"/account/apps/{consent}/revoke", csrf=csrf))
        thread.start()
        threads.append(thread)
        answer = give(*given, **options)
        thread.join(0.5)  # it waits for this transaction, or has come to its end
        return answer

    monkeypatch.setattr(issuing, "give", give_slowly)
    anew = program.refresh(tokens["refresh_token"]).get_json()
    threads[0].join()
    monkeypatch.undo()
    assert "Planner" not in member.get("/account/apps/").text
    assert program.call("/api/v1/projects", anew.get("access_token", "none")).status_code == 401
    assert program.refresh(anew.get("refresh_token", "none")).status_code == 400


def test_a_consent_to_less_is_asked_about_more(app: Flask, acme: Workspace, member: Visitor) -> None:
    program = register(app, acme)
    allow(member, program, "openid project:read")
    assert member.get(program.ask("project:read")).status_code == 303
    assert member.get(program.ask("project:read project:create")).status_code == 200
    refused = member.get(program.ask("project:read project:create", prompt="none"))
    assert answered(refused.location)["error"] == "consent_required"


def test_tokens_count_on_each_host_of_their_workspace_and_codes_of_other_workspaces_on_none(
    app: Flask, acme: Workspace, globex: Workspace, member: Visitor
) -> None:
    program = register(app, acme)
    code = answered(allow(member, program))["code"]
    elsewhere = Program(app, globex.host, program.id, program.client_id, program.secret)
    assert elsewhere.redeem(code).status_code == 401  # no such client there
    assert program.redeem(code).status_code == 200


class TestOneselfByApi:
    """What one has allowed, seen and taken back by API."""

    def test_a_person_sees_and_takes_back_what_they_have_allowed(
        self, app: Flask, acme: Workspace, member: Visitor
    ) -> None:
        program = register(app, acme)
        tokens = obtain(member, program)
        (item,) = member.get("/api/v1/me/apps").get_json()["items"]
        assert (item["name"], item["permissions"], item["scopes"]) == ("Planner", ["project:read"], ["openid"])
        path = f"/api/v1/me/apps/{item['id']}"
        headers = {"Origin": member.base, "X-CSRFToken": member.csrf_token()}
        assert member.client.delete(path, base_url=member.base, headers=headers).status_code == 204
        assert program.call("/api/v1/projects", tokens["access_token"]).status_code == 401
        assert member.client.delete(path, base_url=member.base, headers=headers).status_code == 404

    def test_an_app_sees_none_of_it_nor_does_anybody_else(self, app: Flask, acme: Workspace, member: Visitor) -> None:
        program = register(app, acme)
        tokens = obtain(member, program)
        assert program.call("/api/v1/me/apps", tokens["access_token"]).status_code == 403
        assert sign_in(app, acme, "viewer").get("/api/v1/me/apps").get_json()["items"] == []


def test_a_credentials_secret_is_renewed_by_api(app: Flask, acme: Workspace) -> None:
    robot, admin = employ(app, acme, "viewer"), sign_in(app, acme, "admin")
    path = f"/api/v1/service-accounts/{robot.account}/credentials/{robot.id}/secret"
    made = admin.post_json(path, {})
    assert made.status_code == 200, made.text
    assert robot.post("/oauth/token", robot.own(CREDENTIALS)).status_code == 401
    robot.secret = made.get_json()["client_secret"]
    assert robot.post("/oauth/token", robot.own(CREDENTIALS)).status_code == 200
    other = employ(app, acme, "viewer", name="Other")
    assert admin.post_json(path.replace(str(robot.id), str(other.id)), {}).status_code == 404
