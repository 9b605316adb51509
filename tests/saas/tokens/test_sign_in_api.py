"""Signing in by API: through the one gate, in two steps where there are two, and without a cookie."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import inspect, select, text

from auth import api_sign_in, throttle
from auth.audit_models import AuditEvent
from auth.models import LoginSession
from auth.policy_changes import change_policy
from auth.token_models import ApiToken, RefreshToken
from tenants.db import now
from tenants.engines import create_owner_engine
from tests.auth.authenticator import AuthenticatorApp
from tests.auth.helpers import add_passkey, at_once, change, inside, make_recovery_codes, set_up_app
from tests.conftest import Database
from tests.factories import Workspace
from tests.program import Program, personal_token, signed_in_program
from tests.visitor import Visitor, sign_in

TOKEN = "/api/v1/auth/token"


@pytest.fixture
def program(app: Flask, acme: Workspace) -> Program:
    return Program(app, acme.host)


def kind_of(answer: Any) -> str:
    return str(answer.json["type"]).partition("#")[2]


class TestPassword:
    """The first step."""

    def test_a_password_gives_tokens(self, acme: Workspace, program: Program) -> None:
        answer = program.sign_in(acme.people["member"])
        assert answer.status_code == 200
        assert answer.json | {"access_token": "", "refresh_token": ""} == {
            "access_token": "",
            "token_type": "Bearer",
            "expires_in": 600,
            "refresh_token": "",
            "refresh_expires_in": 7 * 24 * 3600,
        }
        assert answer.json["refresh_token"].startswith("tnt_rt_")
        assert program.is_signed_in

    def test_null_is_as_good_as_left_out(self, acme: Workspace, program: Program) -> None:
        member, others = acme.people["member"], {"challenge": None, "code": None, "refresh_token": None}
        answer = program.ask_tokens(grant="password", username=member.email, password=member.password, **others)
        assert answer.status_code == 200, answer.text

    def test_no_cookie_is_set_and_none_is_changed(self, acme: Workspace, member: Visitor) -> None:
        before = member.cookies()
        owner = acme.people["owner"]
        body = {"grant": "password", "username": owner.email, "password": owner.password}
        answer = member.client.post(TOKEN, base_url=member.base, json=body)
        assert answer.status_code == 200
        assert "Set-Cookie" not in answer.headers
        assert member.cookies() == before
        assert member.get("/api/v1/me").json["user"]["email"] == acme.people["member"].email

    def test_an_address_is_taken_however_it_is_written(self, acme: Workspace, program: Program) -> None:
        member = acme.people["member"]
        answer = program.ask_tokens(grant="password", username=f" {member.email.upper()} ", password=member.password)
        assert answer.status_code == 200

    @pytest.mark.parametrize("username", ["member@{}.example", "nobody@{}.example", "nobody", "x" * 900])
    def test_a_wrong_password_and_an_unknown_name_are_answered_alike(
        self, acme: Workspace, program: Program, username: str
    ) -> None:
        answer = program.ask_tokens(grant="password", username=username.format(acme.slug), password="wrong")
        assert (answer.status_code, kind_of(answer)) == (401, "wrong-credentials")
        assert answer.json["detail"] == "The e-mail address or the password is wrong."

    def test_failures_are_counted_with_those_of_the_page(
        self, app: Flask, acme: Workspace, program: Program, visitor: Visitor
    ) -> None:
        member = acme.people["member"]
        for _ in range(throttle.PER_ACCOUNT):
            program.ask_tokens(grant="password", username=member.email, password="wrong")
        answer = program.sign_in(member)
        assert (answer.status_code, kind_of(answer)) == (429, "too-many-requests")
        assert int(answer.headers["Retry-After"]) > 0
        assert visitor.sign_in(member).status_code == 429

    def test_who_gets_in_has_failed_nowhere(self, acme: Workspace, program: Program) -> None:
        for _ in range(throttle.PER_ACCOUNT + 2):
            assert program.sign_in(acme.people["member"]).status_code == 200

    def test_a_deactivated_account_is_refused(self, app: Flask, acme: Workspace, program: Program) -> None:
        change(app, acme, acme.people["member"], active=False)
        assert program.sign_in(acme.people["member"]).status_code in (401, 403)

    def test_an_unconfirmed_address_is_refused(self, app: Flask, acme: Workspace, program: Program) -> None:
        change(app, acme, acme.people["member"], confirmed_at=None)
        answer = program.sign_in(acme.people["member"])
        assert (answer.status_code, kind_of(answer)) == (403, "sign-in-refused")

    def test_a_rule_about_networks_holds(self, app: Flask, acme: Workspace, program: Program) -> None:
        with inside(app, acme):
            change_policy({"networks": ["192.0.2.0/24"]}, actor=None)
        assert program.sign_in(acme.people["member"]).status_code == 403

    def test_a_rule_about_passwords_holds(self, app: Flask, acme: Workspace, program: Program) -> None:
        add_passkey(sign_in(app, acme, "owner"))
        with inside(app, acme):
            change_policy({"methods": ["passkey"]}, actor=None)
        assert program.sign_in(acme.people["member"]).status_code == 403

    def test_it_is_recorded(self, app: Flask, acme: Workspace, program: Program) -> None:
        program.ask_tokens(grant="password", username=acme.people["member"].email, password="wrong")
        program.sign_in(acme.people["member"])
        with inside(app, acme) as session:
            wanted = select(AuditEvent.kind, AuditEvent.details).order_by(AuditEvent.id)
            events = session.execute(wanted.where(AuditEvent.kind.in_(["signed in", "sign-in failed"]))).all()
        assert [kind for kind, _details in events] == ["sign-in failed", "signed in"]
        assert events[1].details == {"methods": "password", "source": "database", "by": "API"}

    def test_another_tenants_password_gives_nothing(self, app: Flask, acme: Workspace, globex: Workspace) -> None:
        assert Program(app, globex.host).sign_in(acme.people["member"]).status_code == 401

    def test_an_old_token_in_the_header_is_no_hindrance(self, app: Flask, acme: Workspace) -> None:
        program = Program(app, acme.host, "long over")
        assert program.sign_in(acme.people["member"]).status_code == 200


BODIES: dict[str, Any] = {
    "nothing": {},
    "no grant": {"username": "a", "password": "b"},
    "unknown grant": {"grant": "client_credentials"},
    "no password": {"grant": "password", "username": "a"},
    "another grant's": {"grant": "password", "username": "a", "password": "b", "code": "1"},
    "empty": {"grant": "password", "username": "", "password": ""},
    "a list": {"grant": "password", "username": ["a"], "password": "b"},
    "unknown": {"grant": "refresh", "refresh_token": "x", "scope": "all"},
    "no token": {"grant": "refresh"},
    "no code": {"grant": "second-factor", "challenge": "x"},
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_that_fits_no_grant_is_refused(program: Program, body: Any) -> None:
    answer = program.post(TOKEN, body)
    assert (answer.status_code, kind_of(answer)) == (422, "invalid-fields")


@pytest.mark.parametrize("data", ["", "{", "[]", '"x"', "null"], ids=["none", "half", "list", "text", "null"])
def test_what_is_no_object_is_refused(program: Program, data: str) -> None:
    answer = program.open("POST", TOKEN, data=data, content_type="application/json")
    assert answer.status_code == 400


def test_a_form_is_refused(program: Program) -> None:
    assert program.open("POST", TOKEN, data={"grant": "password"}).status_code == 415


@pytest.mark.usefixtures("steady")
class TestSecondFactor:
    """The second step."""

    @pytest.fixture
    def authenticator(self, app: Flask, member: Visitor) -> AuthenticatorApp:
        """The member's."""
        return set_up_app(app, member)

    @pytest.fixture
    def challenge(self, acme: Workspace, program: Program, authenticator: AuthenticatorApp) -> str:
        answer = program.sign_in(acme.people["member"])
        assert (answer.status_code, kind_of(answer)) == (401, "second-factor-needed")
        assert answer.json["methods"] == ["authenticator"]
        assert "Set-Cookie" not in answer.headers
        return str(answer.json["challenge"])

    def go_on(self, program: Program, challenge: str, code: str) -> Any:
        return program.ask_tokens(grant="second-factor", challenge=challenge, code=code)

    def test_the_password_alone_gives_nothing(self, app: Flask, acme: Workspace, challenge: str) -> None:
        assert not Program(app, acme.host, challenge).is_signed_in
        with inside(app, acme) as session:
            assert session.scalars(select(LoginSession).where(LoginSession.kind == "api")).all() == []

    def test_a_code_gives_tokens(
        self, app: Flask, acme: Workspace, program: Program, challenge: str, authenticator: AuthenticatorApp
    ) -> None:
        answer = self.go_on(program, challenge, authenticator.code())
        assert answer.status_code == 200
        assert "Set-Cookie" not in answer.headers
        assert program.is_signed_in
        with inside(app, acme) as session:
            (login,) = session.scalars(select(LoginSession).where(LoginSession.kind == "api")).all()
        assert login.methods == "password,authenticator"

    def test_a_recovery_code_gives_tokens_once(
        self, acme: Workspace, program: Program, member: Visitor, authenticator: AuthenticatorApp
    ) -> None:
        code = make_recovery_codes(member)[0]
        first = program.sign_in(acme.people["member"])
        assert first.json["methods"] == ["authenticator", "recovery code"]
        assert self.go_on(program, first.json["challenge"], code).status_code == 200
        second = program.sign_in(acme.people["member"])
        assert self.go_on(program, second.json["challenge"], code).status_code == 401

    def test_a_wrong_code_gives_nothing_and_the_challenge_lasts(
        self, app: Flask, acme: Workspace, program: Program, challenge: str, authenticator: AuthenticatorApp
    ) -> None:
        answer = self.go_on(program, challenge, "000000")
        assert (answer.status_code, kind_of(answer)) == (401, "wrong-credentials")
        assert self.go_on(program, challenge, authenticator.code()).status_code == 200
        with inside(app, acme) as session:
            failed = session.scalar(select(AuditEvent.details).where(AuditEvent.kind == "sign-in failed"))
        assert failed == {"step": "second factor", "reason": "wrong"}

    def test_a_code_counts_once(
        self, acme: Workspace, program: Program, challenge: str, authenticator: AuthenticatorApp
    ) -> None:
        code = authenticator.code()
        assert self.go_on(program, challenge, code).status_code == 200
        another = program.sign_in(acme.people["member"]).json["challenge"]
        assert self.go_on(program, another, code).status_code == 401

    def test_a_code_that_is_sent_twice_at_once_counts_once(
        self, app: Flask, acme: Workspace, challenge: str, authenticator: AuthenticatorApp
    ) -> None:
        code = authenticator.code()
        programs = [Program(app, acme.host) for _ in range(2)]
        answers = at_once([lambda one=one: self.go_on(one, challenge, code).status_code for one in programs])
        assert sorted(answers) == [200, 401]

    def test_a_challenge_counts_once(self, program: Program, challenge: str, authenticator: AuthenticatorApp) -> None:
        assert self.go_on(program, challenge, authenticator.code()).status_code == 200
        answer = self.go_on(program, challenge, authenticator.code(1))
        assert (answer.status_code, kind_of(answer)) == (401, "invalid-token")

    def test_codes_are_counted_and_guessing_ends(
        self, program: Program, challenge: str, authenticator: AuthenticatorApp
    ) -> None:
        for _ in range(throttle.PER_ACCOUNT):
            assert self.go_on(program, challenge, "000000").status_code == 401
        assert self.go_on(program, challenge, authenticator.code()).status_code == 429

    def test_right_passwords_are_not_counted_although_the_answer_is_401(
        self, acme: Workspace, program: Program, authenticator: AuthenticatorApp
    ) -> None:
        for _ in range(throttle.PER_ACCOUNT + 2):
            assert kind_of(program.sign_in(acme.people["member"])) == "second-factor-needed"

    def test_a_challenge_of_another_tenant_is_none(
        self, app: Flask, globex: Workspace, challenge: str, authenticator: AuthenticatorApp
    ) -> None:
        answer = self.go_on(Program(app, globex.host), challenge, authenticator.code())
        assert kind_of(answer) == "invalid-token"

    def test_a_challenge_of_a_former_password_is_none(
        self, app: Flask, acme: Workspace, program: Program, challenge: str, authenticator: AuthenticatorApp
    ) -> None:
        change(app, acme, acme.people["member"], fs_uniquifier="x" * 32)
        assert kind_of(self.go_on(program, challenge, authenticator.code())) == "invalid-token"

    @pytest.mark.parametrize("challenge_", ["x", "e30.x.y", "é"])
    def test_what_is_no_challenge_is_refused(self, program: Program, challenge_: str) -> None:
        assert kind_of(self.go_on(program, challenge_, "1")) == "invalid-token"

    def test_a_challenge_is_too_old_after_ten_minutes(
        self, program: Program, challenge: str, authenticator: AuthenticatorApp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(api_sign_in, "COUNTS_FOR", -1)
        assert kind_of(self.go_on(program, challenge, authenticator.code())) == "invalid-token"

    def test_an_account_that_is_deactivated_between_the_steps_is_refused(
        self, app: Flask, acme: Workspace, program: Program, challenge: str, authenticator: AuthenticatorApp
    ) -> None:
        change(app, acme, acme.people["member"], active=False)
        assert self.go_on(program, challenge, authenticator.code()).status_code == 403

    def test_a_passkey_as_second_factor_is_for_browsers(
        self, acme: Workspace, program: Program, member: Visitor
    ) -> None:
        add_passkey(member, "secondary")
        answer = program.sign_in(acme.people["member"])
        assert (answer.status_code, kind_of(answer)) == (403, "sign-in-refused")


class TestRefresh:
    """Refresh tokens are used once."""

    @pytest.fixture
    def program(self, app: Flask, acme: Workspace) -> Program:
        return signed_in_program(app, acme)

    def test_it_gives_new_tokens_of_the_same_login_session(self, program: Program) -> None:
        access, refresh = program.token, program.refresh_token
        assert program.refresh().status_code == 200
        assert program.token != access
        assert program.refresh_token != refresh
        assert program.is_signed_in
        assert len(program.get("/api/v1/sessions").json["items"]) == 1

    def test_one_that_is_used_twice_ends_all(self, app: Flask, acme: Workspace, program: Program) -> None:
        stolen = program.refresh_token
        assert program.refresh().status_code == 200
        answer = program.refresh(stolen)
        assert (answer.status_code, kind_of(answer)) == (401, "invalid-token")
        assert not program.is_signed_in
        assert program.refresh().status_code == 401
        with inside(app, acme) as session:
            assert session.scalars(select(RefreshToken)).all() == []
            assert session.scalars(select(LoginSession)).all() == []
            assert session.scalar(select(AuditEvent.kind).where(AuditEvent.kind == "refresh token used twice"))

    def test_another_sign_in_of_the_same_person_goes_on(self, app: Flask, acme: Workspace, program: Program) -> None:
        other = signed_in_program(app, acme)
        stolen = program.refresh_token
        program.refresh()
        program.refresh(stolen)
        assert other.is_signed_in
        assert other.refresh().status_code == 200

    def test_of_uses_at_once_exactly_one_succeeds(self, app: Flask, acme: Workspace, program: Program) -> None:
        programs = [Program(app, acme.host) for _ in range(4)]
        answers = at_once([lambda one=one: one.refresh(program.refresh_token).status_code for one in programs])
        assert sorted(answers) == [200, 401, 401, 401]

    def test_one_of_another_tenant_is_none(self, app: Flask, globex: Workspace, program: Program) -> None:
        assert Program(app, globex.host).refresh(program.refresh_token).status_code == 401
        assert program.refresh().status_code == 200

    @pytest.mark.parametrize("text_", ["x", "tnt_rt_x", "tnt_rt_" + "a" * 46, "é" * 100])
    def test_what_is_none_is_refused(self, program: Program, text_: str) -> None:
        assert program.refresh(text_).status_code == 401

    def test_one_that_nobody_has_used_for_a_week_is_over(self, app: Flask, acme: Workspace, program: Program) -> None:
        with inside(app, acme) as session:
            session.scalar(select(RefreshToken)).expires_at = now()
        assert program.refresh().status_code == 401

    def test_what_ends_the_login_session_ends_it(self, app: Flask, acme: Workspace, program: Program) -> None:
        with inside(app, acme) as session:
            session.delete(session.scalar(select(LoginSession)))
        assert program.refresh().status_code == 401

    def test_a_rule_about_networks_holds(self, app: Flask, acme: Workspace, program: Program) -> None:
        with inside(app, acme):
            change_policy({"networks": ["192.0.2.0/24"]}, actor=None)
        assert program.refresh().status_code == 401
        assert Program(app, acme.host, "", "192.0.2.7").refresh(program.refresh_token).status_code == 200

    def test_a_rule_about_the_length_of_sessions_holds(self, app: Flask, acme: Workspace, program: Program) -> None:
        with inside(app, acme) as session:
            session.scalar(select(LoginSession)).created_at = now() - timedelta(hours=2)
            change_policy({"session_hours": 1}, actor=None)
        assert not program.is_signed_in
        assert program.refresh().status_code == 401

    def test_tokens_end_with_the_session_by_a_rule_that_is_younger(
        self, app: Flask, acme: Workspace, program: Program
    ) -> None:
        with inside(app, acme) as session:
            session.scalar(select(LoginSession)).created_at = now() - timedelta(minutes=55)
            change_policy({"session_hours": 1}, actor=None)
        answer = program.refresh().json
        assert answer["expires_in"] <= 300
        assert answer["refresh_expires_in"] <= 300

    def test_a_rule_about_idle_sessions_holds(self, app: Flask, acme: Workspace, program: Program) -> None:
        with inside(app, acme):
            change_policy({"idle_minutes": 5}, actor=None)
        assert program.refresh().status_code == 200
        with inside(app, acme) as session:
            session.scalar(select(LoginSession)).seen_at = now() - timedelta(minutes=6)
        assert program.refresh().status_code == 401

    def test_a_rule_about_sessions_is_none_about_personal_tokens(self, app: Flask, acme: Workspace) -> None:
        token = personal_token(app, acme)
        with inside(app, acme) as session:
            session.scalar(select(ApiToken)).created_at = now() - timedelta(hours=30)
            change_policy({"session_hours": 1, "idle_minutes": 5, "longest_token_days": 2}, actor=None)
        assert token.is_signed_in
        with inside(app, acme):
            change_policy({"longest_token_days": 1}, actor=None)
        assert not token.is_signed_in

    def test_a_deactivated_owner_gets_none(self, app: Flask, acme: Workspace, program: Program) -> None:
        change(app, acme, acme.people["member"], active=False)
        assert program.refresh().status_code == 401

    def test_guesses_are_counted_by_address(self, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(throttle, "PER_ADDRESS", 2)
        for number in range(2):
            assert program.refresh(f"tnt_rt_{number}").status_code == 401
        assert program.refresh("tnt_rt_x").status_code == 429

    def test_used_ones_that_are_over_are_forgotten(self, app: Flask, acme: Workspace, program: Program) -> None:
        program.refresh()
        with inside(app, acme) as session:
            session.scalar(select(RefreshToken).where(RefreshToken.used_at.is_not(None))).expires_at = now()
        program.refresh()
        with inside(app, acme) as session:
            assert len(session.scalars(select(RefreshToken)).all()) == 2


class TestSigningOut:
    """`POST /api/v1/auth/revoke`."""

    def test_it_ends_its_own_login_session(self, app: Flask, acme: Workspace) -> None:
        program, other = signed_in_program(app, acme), signed_in_program(app, acme)
        assert program.post("/api/v1/auth/revoke").status_code == 204
        assert not program.is_signed_in
        assert program.refresh().status_code == 401
        assert other.is_signed_in

    def test_a_browser_signs_out_by_it_too(self, member: Visitor) -> None:
        assert member.post_json("/api/v1/auth/revoke", {}).status_code == 204
        assert not member.is_signed_in()

    def test_nobody_signs_out(self, program: Program) -> None:
        assert program.post("/api/v1/auth/revoke").status_code == 401


def test_secrets_are_kept_as_hashes_only(app: Flask, acme: Workspace, database: Database) -> None:
    program = signed_in_program(app, acme)
    made = program.post(
        "/api/v1/tokens", {"name": "x", "permissions": ["project:read"]}, headers={"Idempotency-Key": "1"}
    )
    assert made.status_code == 201
    secrets = [program.token.encode(), program.refresh_token.encode(), made.json["token"].encode()]
    engine = create_owner_engine(database.settings())
    with engine.connect() as connection:
        for table in inspect(engine).get_table_names():
            stored = repr(connection.execute(text(f'SELECT * FROM "{table}"')).all()).encode()
            assert not any(secret in stored for secret in secrets), table
    engine.dispose()
