"""What a hostile client, or one who has a token of one kind, tries at the endpoints for others (RFC 9700)."""

import base64
import re
import time
import uuid
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from joserfc import jwt
from joserfc.jwk import ECKey
from sqlalchemy import select
from werkzeug.test import TestResponse

from auth import clients
from auth.client_models import Consent
from tests.auth.helpers import grant, inside
from tests.auth.oauth_server.programs import Program, allow, answered, employ, obtain, register
from tests.factories import Workspace
from tests.program import Program as Api
from tests.program import personal_token, signed_in_program
from tests.visitor import Visitor, sign_in

ASSERTED = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
CREDENTIALS = {"grant_type": "client_credentials"}
INVALID_CLIENT = (401, "invalid_client")


def told(answer: TestResponse) -> tuple[int, str]:
    body = answer.get_json(silent=True) or {}
    return answer.status_code, str(body.get("error"))


def basic(program: Program) -> dict[str, str]:
    shown = base64.b64encode(f"{program.client_id}:{program.secret}".encode()).decode()
    return {"Authorization": f"Basic {shown}"}


def assertion(program: Program, key: ECKey, header: dict[str, Any] | None = None, **changed: Any) -> dict[str, str]:
    moment = int(time.time())
    claims = {
        "iss": program.client_id, "sub": program.client_id, "aud": program.token_url, "iat": moment,
        "exp": moment + 60, "jti": str(uuid.uuid4()),
    }  # fmt: skip
    text = jwt.encode({"alg": "ES256"} | (header or {}), claims | changed, key)
    return {"client_assertion_type": ASSERTED, "client_assertion": text}


class TestOneClientForAnother:
    """Programs that say they are others, or do what is for others."""

    def test_a_client_that_proves_to_be_one_and_says_it_is_another_is_neither(
        self, app: Flask, acme: Workspace
    ) -> None:
        key = ECKey.generate_key("P-256", auto_kid=True)
        robot, keyed, other = employ(app, acme, "viewer"), employ(app, acme, key=key), employ(app, acme, "admin")
        claimed = CREDENTIALS | {"client_id": other.client_id}
        assert told(robot.post("/oauth/token", claimed, headers=basic(robot))) == INVALID_CLIENT
        assert told(keyed.post("/oauth/token", claimed | assertion(keyed, key))) == INVALID_CLIENT
        own = CREDENTIALS | {"client_id": robot.client_id}
        assert robot.post("/oauth/token", own, headers=basic(robot)).status_code == 200
        own = CREDENTIALS | {"client_id": keyed.client_id}
        assert keyed.post("/oauth/token", own | assertion(keyed, key)).status_code == 200

    def test_a_service_account_sends_nobody_here_and_has_no_grant_of_an_app(
        self, app: Flask, acme: Workspace, member: Visitor
    ) -> None:
        program, robot = register(app, acme), employ(app, acme, "admin")
        tokens, code = obtain(member, program), answered(allow(member, program))["code"]
        page = member.get(robot.ask())
        assert (page.status_code, "Location" in page.headers) == (400, False)
        for form in (
            {"grant_type": "authorization_code", "code": code, "code_verifier": program.verifier},
            {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]},
        ):
            answer = robot.post("/oauth/token", robot.own(form | {"redirect_uri": program.redirect_uri}))
            assert told(answer) == (400, "unauthorized_client")
        assert program.redeem(code).status_code == 200

    def test_an_app_is_nobody_by_itself(self, app: Flask, acme: Workspace) -> None:
        secret, open_ = register(app, acme), register(app, acme, auth_method=clients.NONE)
        assert told(secret.post("/oauth/token", secret.own(CREDENTIALS))) == (400, "unauthorized_client")
        assert told(open_.post("/oauth/token", open_.own(CREDENTIALS))) == INVALID_CLIENT

    def test_a_client_id_in_the_address_counts_for_nothing(self, app: Flask, acme: Workspace) -> None:
        robot = employ(app, acme, "viewer")
        path = f"/oauth/token?client_id={robot.client_id}&grant_type=client_credentials"
        assert told(robot.post(path, {"client_secret": robot.secret})) == (400, "invalid_request")
        assert told(robot.post(path, CREDENTIALS | {"client_secret": robot.secret})) == INVALID_CLIENT

    @pytest.mark.parametrize("name", ["client_secret", "client_assertion", "refresh_token", "code", "token"])
    def test_a_secret_in_the_address_is_refused_wherever_it_is_good(
        self, app: Flask, acme: Workspace, name: str
    ) -> None:
        robot = employ(app, acme, "viewer")
        for path in ("/oauth/token", "/oauth/revoke", "/oauth/introspect"):
            answer = robot.post(f"{path}?{name}=x", robot.own(CREDENTIALS | {"token": "x"}))
            assert told(answer) == (400, "invalid_request")
            assert robot.post(f"{path}?{name}=x", {}, method="GET").status_code == 405


class TestAssertions:
    """private_key_jwt."""

    def test_a_header_that_says_more_than_it_may_is_refused(self, app: Flask, acme: Workspace) -> None:
        key = ECKey.generate_key("P-256", auto_kid=True)
        robot = employ(app, acme, "viewer", key=key)
        # `kid` names one of the client's own keys, and nothing that would be fetched, or looked for.
        for kid in ("../../key", "' OR 1=1 --", "\x00", "https://evil.example/jwks"):
            answer = robot.post("/oauth/token", CREDENTIALS | assertion(robot, key, {"kid": kid}))
            assert told(answer) == INVALID_CLIENT
        for header in ({"jku": "https://evil.example/"}, {"x5u": "https://evil.example/"}):
            answer = robot.post("/oauth/token", CREDENTIALS | assertion(robot, key, header))
            assert answer.status_code in (200, 401)

    def test_an_assertion_counts_at_one_endpoint_once(self, app: Flask, acme: Workspace) -> None:
        key = ECKey.generate_key("P-256", auto_kid=True)
        robot = employ(app, acme, "viewer", key=key)
        shown = assertion(robot, key)
        assert robot.post("/oauth/introspect", {"token": "x"} | shown).status_code == 200
        for path in ("/oauth/token", "/oauth/introspect", "/oauth/revoke"):
            assert told(robot.post(path, CREDENTIALS | {"token": "x"} | shown)) == INVALID_CLIENT

    def test_another_type_of_assertion_is_none(self, app: Flask, acme: Workspace) -> None:
        key = ECKey.generate_key("P-256", auto_kid=True)
        robot = employ(app, acme, "viewer", key=key)
        for type_ in ("", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer", ASSERTED.upper()):
            form = CREDENTIALS | assertion(robot, key) | {"client_assertion_type": type_}
            assert told(robot.post("/oauth/token", form)) == INVALID_CLIENT

    def test_a_token_of_ours_is_no_assertion(self, app: Flask, acme: Workspace, member: Visitor) -> None:
        program = register(app, acme)
        tokens = obtain(member, program)
        for token in (tokens["id_token"], signed_in_program(app, acme).token):
            form = CREDENTIALS | {"client_assertion_type": ASSERTED, "client_assertion": token}
            assert told(program.post("/oauth/token", form)) == INVALID_CLIENT


class TestOneKindOfTokenForAnother:
    """Each kind counts in one place."""

    @pytest.fixture
    def kinds(self, app: Flask, acme: Workspace, member: Visitor) -> tuple[Program, dict[str, str]]:
        program, signed = register(app, acme), signed_in_program(app, acme)
        tokens = obtain(member, program)
        return program, {
            "code": answered(allow(member, program))["code"],
            "access": tokens["access_token"],
            "refresh": tokens["refresh_token"],
            "id": tokens["id_token"],
            "personal": personal_token(app, acme).token,
            "jwt": signed.token,
            "own refresh": signed.refresh_token,
            "secret": program.secret,
        }

    def test_only_a_refresh_token_of_an_app_is_refreshed(self, kinds: tuple[Program, dict[str, str]]) -> None:
        program, tokens = kinds
        for name in tokens.keys() - {"refresh"}:
            assert told(program.refresh(tokens[name])) == (400, "invalid_grant"), name
        assert program.refresh(tokens["refresh"]).status_code == 200

    def test_only_a_code_is_redeemed(self, kinds: tuple[Program, dict[str, str]]) -> None:
        program, tokens = kinds
        for name in tokens.keys() - {"code"}:
            assert told(program.redeem(tokens[name])) == (400, "invalid_grant"), name
        assert program.redeem(tokens["code"]).status_code == 200

    def test_only_a_refresh_token_of_the_own_sign_in_is_refreshed_there(
        self, app: Flask, acme: Workspace, kinds: tuple[Program, dict[str, str]]
    ) -> None:
        for name in kinds[1].keys() - {"own refresh"}:
            assert Api(app, acme.host).refresh(kinds[1][name]).status_code == 401, name
        assert Api(app, acme.host).refresh(kinds[1]["own refresh"]).status_code == 200

    def test_only_access_tokens_are_shown(self, kinds: tuple[Program, dict[str, str]]) -> None:
        program, tokens = kinds
        expected = {"access", "personal", "jwt"}
        assert {
            name for name in tokens if program.call("/api/v1/projects", tokens[name]).status_code == 200
        } == expected
        userinfo = {name for name in tokens if program.call("/oauth/userinfo", tokens[name]).status_code == 200}
        assert userinfo == {"access"}
        for name in ("access_token", "token"):
            by_address = program.post(f"/oauth/userinfo?{name}={tokens['access']}", {}, method="GET")
            by_form = program.post("/oauth/userinfo", {name: tokens["access"]})
            assert (by_address.status_code, by_form.status_code) == (401, 401)

    def test_nothing_else_is_told_of_or_revoked(self, kinds: tuple[Program, dict[str, str]]) -> None:
        program, tokens = kinds
        for name in tokens.keys() - {"access", "refresh"}:
            form = program.own({"token": tokens[name]})
            assert program.post("/oauth/introspect", form).get_json() == {"active": False}, name
            assert program.post("/oauth/revoke", form).status_code == 200
        for name in ("access", "personal", "jwt"):
            assert program.call("/api/v1/projects", tokens[name]).status_code == 200
        assert program.redeem(tokens["code"]).status_code == 200


class TestWhatIsSentAlong:
    """Odd parameters and odd ways to send them: refused, or of no account, and never an error of ours."""

    BYTES = (b"\xff\xfe", b"\xc3\x28", b"a%00b", b"%ED%A0%80", b"%FF", b"\x00", b"%0d%0aSet-Cookie:%20x=1")

    @pytest.mark.parametrize("sent", BYTES, ids=range(len(BYTES)))
    def test_bytes_that_are_no_text(self, app: Flask, acme: Workspace, sent: bytes) -> None:
        program, type_ = register(app, acme), {"content_type": "application/x-www-form-urlencoded"}
        own = f"client_id={program.client_id}&client_secret={program.secret}&".encode()
        for path in ("/oauth/token", "/oauth/revoke", "/oauth/introspect"):
            for name in (b"grant_type", b"token", b"code", b"code_verifier", b"redirect_uri", b"scope", sent):
                for base in (own, b"", own + b"grant_type=refresh_token&refresh_token=x&"):
                    answer = program.post(path, base + name + b"=" + sent, **type_)
                    assert answer.status_code in (200, 400, 401), (path, name)
                    assert "Set-Cookie" not in answer.headers

    @pytest.mark.parametrize("sent", BYTES, ids=range(len(BYTES)))
    def test_bytes_that_are_no_text_in_the_address(
        self, app: Flask, acme: Workspace, member: Visitor, sent: bytes
    ) -> None:
        program, text = register(app, acme), quote(sent, safe="%")
        for name in (
            "client_id",
            "redirect_uri",
            "state",
            "scope",
            "nonce",
            "prompt",
            "resource",
            "id_token_hint",
            text,
        ):
            for separator in ("&", ";"):
                page = member.get(f"{program.ask(state=None)}{separator}{name}={text}")
                assert page.status_code in (200, 303, 400), name
                assert "Set-Cookie: x" not in str(page.headers)

    def test_a_state_comes_back_as_it_was(self, app: Flask, acme: Workspace, member: Visitor) -> None:
        program = register(app, acme)
        for state in ("\r\nSet-Cookie: x=1", "é&code=stolen#x", "a b+c%20d", "x" * 4000):
            location = allow(member, program, state=state)
            assert "\n" not in location
            assert answered(location)["state"] == state
            assert location.startswith(f"{program.redirect_uri}?code=tnt_ac_")

    def test_other_types_of_bodies_are_refused(self, app: Flask, acme: Workspace) -> None:
        robot = employ(app, acme, "viewer")
        form = robot.own(CREDENTIALS)
        for type_ in ("multipart/form-data", "multipart/form-data; boundary=x", "text/plain", "application/json", ""):
            answer = robot.post("/oauth/token", b"x", content_type=type_)
            assert told(answer) == (400, "invalid_request")
        charset = robot.post("/oauth/token", form, content_type="application/x-www-form-urlencoded; charset=utf-16")
        assert charset.status_code in (200, 400)

    def test_a_flood_of_parameters_is_refused_or_ignored(self, app: Flask, acme: Workspace, member: Visitor) -> None:
        robot, program = employ(app, acme, "viewer"), register(app, acme)
        many = {f"p{number}": "x" for number in range(3000)}
        assert robot.post("/oauth/token", robot.own(CREDENTIALS) | many).status_code in (200, 400, 413)
        large = robot.own(CREDENTIALS) | {"scope": "project:read " * 30_000}
        assert robot.post("/oauth/token", large).status_code in (200, 400, 413)
        assert member.get(program.ask(scope="project:read " * 3000)).status_code in (200, 400, 414)
        assert member.get(program.ask("project:read", **many)).status_code in (200, 400, 414)

    def test_a_scope_is_what_it_says_whatever_stands_between_its_words(
        self, app: Flask, acme: Workspace, member: Visitor
    ) -> None:
        program = register(app, acme, permissions=["project:read"])
        for scope in (
            "project:read\tproject:create",
            "project:read\u2003project:create",
            "project:read,project:create",
        ):
            assert answered(member.get(program.ask(scope)).location)["error"] == "invalid_scope"
        tokens = obtain(member, program, "project:read project:read  openid")
        for scope in ("project:read\u2003project:create", "project:read\x1cproject:create", "openid email"):
            assert told(program.refresh(tokens["refresh_token"], scope=scope))[1] == "invalid_scope", scope
        assert program.refresh(tokens["refresh_token"]).get_json()["scope"] == "openid project:read"


class TestTheBrowser:
    """What others make a person's browser do here."""

    def test_the_way_back_is_kept_nowhere_and_told_to_nobody_else(
        self, app: Flask, acme: Workspace, member: Visitor
    ) -> None:
        program = register(app, acme)
        allow(member, program)
        back = member.get(program.ask())
        assert back.status_code == 303
        assert "no-store" in back.headers["Cache-Control"]
        assert back.headers["Referrer-Policy"] in ("no-referrer", "same-origin", "strict-origin")

    def test_no_answer_of_ours_is_another_sites_to_read(self, app: Flask, acme: Workspace, member: Visitor) -> None:
        program = register(app, acme)
        tokens = obtain(member, program)
        origin = {"Origin": "https://evil.example"}
        answers = [
            member.get(program.ask(), headers=origin),
            program.post("/oauth/token", program.own({"grant_type": "refresh_token"}), headers=origin),
            program.post("/oauth/userinfo", {}, headers=origin | {"Authorization": f"Bearer {tokens['access_token']}"}),
        ]
        assert not [answer for answer in answers if "Access-Control-Allow-Origin" in answer.headers]

    def test_what_a_form_says_changes_nothing_of_what_was_asked(
        self, app: Flask, acme: Workspace, member: Visitor
    ) -> None:
        program = register(app, acme)
        form = {"decision": "allow", "scope": "member:read", "redirect_uri": "https://evil.example/", "state": "x"}
        location = member.post(program.ask("project:read"), form).location
        assert location.startswith(f"{program.redirect_uri}?code=")
        assert answered(location)["state"] == program.state
        assert program.redeem(answered(location)["code"]).get_json()["scope"] == "project:read"

    def test_who_holds_more_by_now_allows_no_more_than_they_were_shown(self, app: Flask, acme: Workspace) -> None:
        program, viewer = register(app, acme), sign_in(app, acme, "viewer")
        path = program.ask("project:read project:create")
        shown = re.search(r'name="given" value="([^"]*)"', viewer.get(path).text)
        assert shown is not None
        assert shown[1] == "project:read"
        grant(app, acme, acme.people["viewer"], "member")
        form = {"decision": "allow", "given": shown[1]}
        page = viewer.post(path, form)
        assert page.status_code == 200
        assert 'name="given" value="project:create project:read"' in page.text
        with inside(app, acme) as session:
            assert not session.scalars(select(Consent)).all()
        back = viewer.post(path, form | {"given": "project:create project:read"})
        assert program.redeem(answered(back.location)["code"]).get_json()["scope"] == "project:create project:read"

    @pytest.mark.parametrize("prompt", ["none", "none consent", "NONE", "none\u2003"])
    def test_without_a_session_no_prompt_gives_a_code(
        self, app: Flask, acme: Workspace, visitor: Visitor, prompt: str
    ) -> None:
        answer = visitor.get(register(app, acme).ask(prompt=prompt))
        assert "code=" not in answer.headers.get("Location", "").replace("response_type=code", "")
        assert answer.status_code in (302, 303)

    @pytest.mark.parametrize("age", ["0", "00", "999999999", "9999999999", "1e3", "٣", "-0", "+1"])
    def test_an_odd_age_breaks_nothing(self, app: Flask, acme: Workspace, member: Visitor, age: str) -> None:
        assert member.get(register(app, acme).ask(max_age=age)).status_code in (200, 302, 303)
