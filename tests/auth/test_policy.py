"""A workspace's rules of signing in, and what follows from them."""

from typing import Any

import pytest
from flask import Flask, g

from auth import policy
from auth.errors import InvalidPolicy, NotAllowed, UnsuitablePassword
from auth.identity import Identity, snapshot_of
from auth.passwords import check_new
from auth.policy import Policy
from auth.policy_changes import change_policy
from tests.auth import sources
from tests.auth.authenticator import AuthenticatorApp
from tests.auth.conftest import Clock
from tests.auth.helpers import JSON, add_passkey, change, inside, payload, set_up_app, token_on, use_passkey
from tests.factories import Workspace, add_person
from tests.visitor import Visitor, sign_in

SET_UP = "/auth/tf-setup"


def rule(app: Flask, workspace: Workspace, **values: Any) -> None:
    """Set rules, as the command line does."""
    with inside(app, workspace):
        change_policy(values, actor=None)


class TestChange:
    """Who changes the rules, and to what."""

    @pytest.mark.parametrize(("role", "may"), [("owner", True), ("admin", True), ("member", False), ("viewer", False)])
    def test_it_takes_the_permission(self, app: Flask, acme: Workspace, role: str, may: bool) -> None:
        with inside(app, acme):
            person = acme.people[role]
            actor = Identity(person.id, snapshot_of(person.id))
            if may:
                change_policy({"shortest_password": 12}, actor=actor)
            else:
                with pytest.raises(NotAllowed):
                    change_policy({"shortest_password": 12}, actor=actor)
            assert policy.current().shortest_password == (12 if may else 8)

    def test_what_is_not_given_stays(self, app: Flask, acme: Workspace) -> None:
        rule(app, acme, shortest_password=12)
        rule(app, acme, idle_minutes=30)
        with inside(app, acme):
            assert policy.current() == Policy(shortest_password=12, idle_minutes=30)

    @pytest.mark.parametrize(
        "values",
        [
            {"shortest_password": 7},
            {"shortest_password": 129},
            {"methods": ["magic"]},
            {"second_factor": "never"},
            {"second_factor_roles": ["no such role"]},
            {"session_hours": 0},
            {"idle_minutes": 4},
            {"networks": ["10.0.0.0/33"]},
            {"networks": ["everywhere"]},
            {"unknown": 1},
        ],
        ids=str,
    )
    def test_a_rule_that_cannot_be_is_refused_by_name(
        self, app: Flask, acme: Workspace, values: dict[str, Any]
    ) -> None:
        with inside(app, acme):
            with pytest.raises(InvalidPolicy, match=f"^{next(iter(values))}"):
                change_policy(values, actor=None)
            assert policy.current() == Policy()

    def test_networks_are_kept_as_networks(self, app: Flask, acme: Workspace) -> None:
        rule(app, acme, networks=["192.0.2.77/24", " 2001:db8::1/32", "192.0.2.1/24"])
        with inside(app, acme):
            assert policy.current().networks == ("192.0.2.0/24", "2001:db8::/32")

    def test_other_settings_of_the_workspace_stay(self, app: Flask, acme: Workspace) -> None:
        work = sources.add(app, acme, "work", "oidc", {"issuer": "https://i.example", "client_id": "x"}, secret="s",
                           domains=[f"{acme.slug}.example"])  # fmt: skip
        sources.own(app, acme, f"{acme.slug}.example")
        sources.enforce(app, acme, work)
        rule(app, acme, idle_minutes=30)
        with inside(app, acme):
            assert set(g.tenant.settings) == {"enforcement", "policy"}

    def test_rules_without_any_way_in_for_an_owner_are_refused(self, app: Flask, acme: Workspace) -> None:
        with inside(app, acme), pytest.raises(InvalidPolicy, match="No owner could sign in"):
            change_policy({"methods": ["passkey"]}, actor=None)

    def test_an_owner_with_a_passkey_is_a_way_in(self, app: Flask, acme: Workspace, owner: Visitor) -> None:
        add_passkey(owner)
        rule(app, acme, methods=["passkey"])
        with inside(app, acme):
            assert policy.current().methods == ("passkey",)

    def test_it_is_recorded_with_the_old_and_the_new_value(self, app: Flask, acme: Workspace) -> None:
        rule(app, acme, idle_minutes=30)
        assert sources.events_of(app, acme, "policy changed") == ["[None, 30]"]

    def test_the_command_line_takes_them_back(self, app: Flask, acme: Workspace) -> None:
        rule(app, acme, networks=["192.0.2.0/24"])
        runner = app.test_cli_runner()
        assert "192.0.2.0/24" in runner.invoke(args=["policy", "show", "--tenant", acme.slug]).output
        assert runner.invoke(args=["policy", "reset", "--tenant", acme.slug]).exit_code == 0
        with inside(app, acme):
            assert policy.current() == Policy()


class TestMethods:
    """By what people with an account here sign in."""

    @pytest.fixture
    def keyless(self, app: Flask, acme: Workspace, owner: Visitor) -> None:
        """Passkeys only; the owner has one."""
        add_passkey(owner)
        rule(app, acme, methods=["passkey"])

    @pytest.mark.usefixtures("keyless")
    def test_a_password_lets_nobody_in(self, acme: Workspace, visitor: Visitor) -> None:
        answer = visitor.sign_in(acme.people["member"])
        assert not visitor.is_signed_in()
        assert "takes no passwords" in (answer.text + visitor.get("/auth/login").text)

    def test_a_passkey_does(self, app: Flask, acme: Workspace, member: Visitor, owner: Visitor) -> None:
        device = add_passkey(member)
        add_passkey(owner)
        rule(app, acme, methods=["passkey"])
        visitor = Visitor(app, acme.host)
        use_passkey(visitor, device)
        assert visitor.is_signed_in()

    def test_where_passkeys_are_none_they_let_nobody_in(self, app: Flask, acme: Workspace, member: Visitor) -> None:
        device = add_passkey(member)
        rule(app, acme, methods=["password"])
        visitor = Visitor(app, acme.host)
        use_passkey(visitor, device)
        assert not visitor.is_signed_in()
        visitor.sign_in(acme.people["member"])
        assert visitor.is_signed_in()


class TestPasswords:
    """How long a new one is."""

    def test_a_new_one_is_as_long_as_the_workspace_wants(self, app: Flask, acme: Workspace, globex: Workspace) -> None:
        rule(app, acme, shortest_password=12)
        with inside(app, acme):
            with pytest.raises(UnsuitablePassword, match="12 to"):
                check_new("k7-Qz!pwxyz")
            check_new("k7-Qz!pwxyzw")
        with inside(app, globex):
            check_new("k7-Qz!pwxyz")


class TestSecondFactor:
    """Who has to have one, and what they can do before."""

    def set_up(self, app: Flask, visitor: Visitor) -> AuthenticatorApp:
        headers = JSON | {"X-CSRFToken": token_on(visitor, SET_UP), "Origin": visitor.base}
        options: dict[str, Any] = {"base_url": visitor.base, "headers": headers}
        begun = payload(visitor.client.post(SET_UP, json={"setup": "authenticator"}, **options))
        device = AuthenticatorApp(app, begun["tf_authr_b32key"])
        done = visitor.client.post(f"{SET_UP}/{begun['tf_state_token']}", json={"code": device.code(-1)}, **options)
        assert done.status_code == 200, done.text
        return device

    def test_whoever_has_none_is_led_to_where_it_is_set_up(self, app: Flask, acme: Workspace, member: Visitor) -> None:
        rule(app, acme, second_factor="all")
        for path in ("/", "/projects/", "/account/", "/account/sessions", "/auth/change"):
            assert member.get(path).headers["Location"] == SET_UP, path
        assert "asks for a second factor" in member.get(SET_UP).text

    def test_a_program_is_refused(self, app: Flask, acme: Workspace, member: Visitor) -> None:
        rule(app, acme, second_factor="all")
        assert member.get("/api/v1/me").status_code == 403

    @pytest.mark.usefixtures("steady")
    def test_with_one_everything_is_as_before(self, app: Flask, acme: Workspace, member: Visitor) -> None:
        rule(app, acme, second_factor="all")
        self.set_up(app, member)
        assert member.get("/projects/").status_code == 200

    @pytest.mark.usefixtures("steady")
    def test_whoever_turns_it_off_is_asked_again(self, app: Flask, acme: Workspace, member: Visitor) -> None:
        rule(app, acme, second_factor="all")
        self.set_up(app, member)
        member.post(SET_UP, {"setup": "disable"}, csrf=token_on(member, SET_UP))
        assert member.get("/projects/").headers["Location"] == SET_UP

    def test_a_passkey_beside_the_password_is_one(self, app: Flask, acme: Workspace, member: Visitor) -> None:
        add_passkey(member, "secondary")
        rule(app, acme, second_factor="all")
        assert member.get("/projects/").status_code == 200

    def test_only_holders_of_the_roles_have_to(self, app: Flask, acme: Workspace, owner: Visitor) -> None:
        rule(app, acme, second_factor="roles", second_factor_roles=["admin", "owner"])
        assert owner.get("/").headers["Location"] == SET_UP
        assert sign_in(app, acme, "member").get("/").status_code == 200

    def test_signing_out_is_always_possible(self, app: Flask, acme: Workspace, member: Visitor) -> None:
        rule(app, acme, second_factor="all")
        member.post("/auth/logout", csrf=token_on(member, SET_UP))
        assert member.get(SET_UP).status_code == 302

    @pytest.mark.usefixtures("steady")
    def test_it_holds_for_those_who_have_one_already(self, app: Flask, acme: Workspace, member: Visitor) -> None:
        set_up_app(app, member)
        rule(app, acme, second_factor="all")
        assert member.is_signed_in()


class TestSessions:
    """How long a login session lasts."""

    def test_one_that_is_idle_for_longer_ends(self, app: Flask, acme: Workspace, member: Visitor, clock: Clock) -> None:
        rule(app, acme, idle_minutes=10)
        clock.advance(minutes=9)
        assert member.is_signed_in()
        clock.advance(minutes=11)
        assert not member.is_signed_in()

    def test_one_that_is_older_ends_although_it_is_used_and_remembered(
        self, app: Flask, acme: Workspace, clock: Clock
    ) -> None:
        visitor = Visitor(app, acme.host)
        visitor.sign_in(acme.people["member"], remember=True)
        rule(app, acme, session_hours=2)
        for _ in range(2):
            clock.advance(minutes=59)
            assert visitor.is_signed_in()
        clock.advance(minutes=3)
        assert not visitor.is_signed_in()

    def test_a_new_one_ends_by_the_rule(self, app: Flask, acme: Workspace, clock: Clock) -> None:
        rule(app, acme, session_hours=2)
        member = sign_in(app, acme)
        clock.advance(hours=2)
        assert not member.is_signed_in()

    def test_no_rule_lengthens_what_the_installation_allows(
        self, app: Flask, acme: Workspace, member: Visitor, clock: Clock
    ) -> None:
        rule(app, acme, session_hours=2000, idle_minutes=100_000)
        clock.advance(hours=25)
        assert not member.is_signed_in()


class TestNetworks:
    """From where people are served."""

    def test_from_elsewhere_nobody_is_signed_in_or_stays_so(self, app: Flask, acme: Workspace, member: Visitor) -> None:
        rule(app, acme, networks=["192.0.2.0/24", "2001:db8::/32"])
        assert not member.is_signed_in()
        for address, inside_it in (("192.0.2.7", True), ("2001:db8::7", True), ("::ffff:192.0.2.9", True),
                                   ("192.0.3.1", False), ("2001:db9::1", False)):  # fmt: skip
            visitor = Visitor(app, acme.host, address)
            visitor.sign_in(acme.people["member"])
            assert visitor.is_signed_in() is inside_it, address

    def test_one_is_told_why(self, app: Flask, acme: Workspace, visitor: Visitor) -> None:
        rule(app, acme, networks=["192.0.2.0/24"])
        answer = visitor.sign_in(acme.people["member"])
        assert "own networks only" in (answer.text + visitor.get("/auth/login").text)

    def test_a_cookie_that_is_carried_elsewhere_is_worth_nothing(self, app: Flask, acme: Workspace) -> None:
        rule(app, acme, networks=["192.0.2.0/24"])
        visitor = Visitor(app, acme.host, "192.0.2.7")
        visitor.sign_in(acme.people["member"])
        thief = Visitor(app, acme.host, "198.51.100.1")
        thief.take_cookies(visitor.cookies())
        assert not thief.is_signed_in()
        assert visitor.is_signed_in()

    def test_other_workspaces_are_not_concerned(self, app: Flask, acme: Workspace, globex: Workspace) -> None:
        rule(app, acme, networks=["192.0.2.0/24"])
        assert sign_in(app, globex).is_signed_in()


def test_a_new_user_is_bound_by_them_too(app: Flask, acme: Workspace, visitor: Visitor) -> None:
    rule(app, acme, second_factor="all")
    visitor.sign_in(add_person(app, acme))
    assert visitor.get("/").headers["Location"] == SET_UP


def test_what_is_kept_is_short(app: Flask, acme: Workspace) -> None:
    rule(app, acme, idle_minutes=30)
    rule(app, acme, idle_minutes=None)
    change(app, acme, acme.people["member"], name="Somebody")
    with inside(app, acme):
        assert "policy" not in g.tenant.settings
