"""Signing in with the account that people have at work, on a real directory."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from sqlalchemy import select

from auth.models import LoginSession, User
from auth.providers import configs
from auth.providers.models import LinkedIdentity
from tests.auth.directories import connect, map_group, roles_of, sign_in, unique
from tests.auth.helpers import (
    add_passkey,
    ask_reset_link,
    at_once,
    give_code,
    inside,
    link_in,
    mail_to,
    path_of,
    set_up_app,
    use_passkey,
)
from tests.conftest import Database
from tests.factories import PASSWORD, Workspace, add_person, make_workspace
from tests.servers import hostile_ldap, openldap, require
from tests.servers.openldap import OpenLdapServer
from tests.visitor import Visitor

AT_WORK = "the password at work"


@pytest.fixture(scope="module")
def directory() -> Iterator[OpenLdapServer]:
    with require(openldap.start) as server:
        yield server


@pytest.fixture
def uid(directory: OpenLdapServer) -> str:
    """Somebody who is in the directory."""
    name = unique("alice")
    directory.add_person(name, password=AT_WORK, name="Alice Adams")
    return name


def email_of(directory: OpenLdapServer, uid: str) -> str:
    return f"{uid}@acme.example"


def user_named(app: Flask, workspace: Workspace, email: str) -> User | None:
    with inside(app, workspace) as session:
        user: User | None = session.scalar(select(User).where(User.email == email))
        return user


class TestSigningIn:
    """Somebody of the directory."""

    @pytest.mark.parametrize("form", ["{uid}", "{uid}@acme.example", "{UID}", " {uid} ", "{UID}@ACME.example"])
    def test_the_user_name_and_the_address_both_sign_in(
        self, app: Flask, acme: Workspace, visitor: Visitor, directory: OpenLdapServer, uid: str, form: str
    ) -> None:
        connect(app, acme, directory)
        assert sign_in(visitor, form.format(uid=uid, UID=uid.upper()), AT_WORK).status_code == 302
        me = visitor.get("/api/v1/me").get_json()
        assert me["user"]["email"] == email_of(directory, uid)
        assert me["user"]["name"] == "Alice Adams"

    def test_the_second_sign_in_is_the_same_user(
        self, app: Flask, acme: Workspace, directory: OpenLdapServer, uid: str
    ) -> None:
        connect(app, acme, directory)
        first, second = Visitor(app, acme.host), Visitor(app, acme.host)
        sign_in(first, uid, AT_WORK)
        sign_in(second, email_of(directory, uid), AT_WORK)
        assert first.get("/api/v1/me").get_json()["user"] == second.get("/api/v1/me").get_json()["user"]

    @pytest.mark.parametrize("password", ["", " ", "wrong", AT_WORK.upper(), "*", PASSWORD])
    def test_another_password_signs_nobody_in(
        self, app: Flask, acme: Workspace, visitor: Visitor, directory: OpenLdapServer, uid: str, password: str
    ) -> None:
        connect(app, acme, directory)
        sign_in(visitor, uid, password)
        assert not visitor.is_signed_in()
        assert user_named(app, acme, email_of(directory, uid)) is None

    def test_a_directory_that_is_off_is_not_asked(
        self, app: Flask, acme: Workspace, visitor: Visitor, directory: OpenLdapServer, uid: str
    ) -> None:
        connect(app, acme, directory, enabled=False)
        sign_in(visitor, uid, AT_WORK)
        assert not visitor.is_signed_in()

    def test_the_directory_of_one_workspace_is_not_asked_by_another(
        self, app: Flask, acme: Workspace, globex: Workspace, directory: OpenLdapServer, uid: str
    ) -> None:
        connect(app, acme, directory)
        visitor = Visitor(app, globex.host)
        sign_in(visitor, uid, AT_WORK)
        assert not visitor.is_signed_in()

    def test_a_renamed_and_moved_person_with_a_new_address_stays_the_same_user(
        self, app: Flask, acme: Workspace, directory: OpenLdapServer, uid: str
    ) -> None:
        connect(app, acme, directory)
        visitor = Visitor(app, acme.host)
        sign_in(visitor, uid, AT_WORK)
        before = visitor.get("/api/v1/me").get_json()["user"]
        renamed = unique("alicia")
        directory.modify(f"uid={uid},{directory.people}", mail=f"{renamed}@acme.example", cn="Alicia Brown")
        directory.rename(f"uid={uid},{directory.people}", f"uid={renamed}")

        again = Visitor(app, acme.host)
        sign_in(again, renamed, AT_WORK)

        after = again.get("/api/v1/me").get_json()["user"]
        assert after == {"id": before["id"], "email": f"{renamed}@acme.example", "name": "Alicia Brown"}

    def test_a_user_name_that_changed_hands_is_another_user(
        self, app: Flask, acme: Workspace, directory: OpenLdapServer, uid: str
    ) -> None:
        connect(app, acme, directory)
        first, second = Visitor(app, acme.host), Visitor(app, acme.host)
        sign_in(first, uid, AT_WORK)
        directory.delete(f"uid={uid},{directory.people}")
        directory.add_person(uid, password="another person", email=f"other-{uid}@acme.example")
        sign_in(second, uid, "another person")
        assert first.get("/api/v1/me").get_json()["user"]["id"] != second.get("/api/v1/me").get_json()["user"]["id"]

    def test_an_address_that_an_account_has_is_not_taken_over(
        self, app: Flask, acme: Workspace, visitor: Visitor, directory: OpenLdapServer, uid: str
    ) -> None:
        connect(app, acme, directory)
        sign_in(visitor, uid, AT_WORK)
        directory.modify(f"uid={uid},{directory.people}", mail=acme.people["owner"].email)
        again = Visitor(app, acme.host)
        assert sign_in(again, uid, AT_WORK).status_code == 302
        assert again.get("/api/v1/me").get_json()["user"]["email"] == email_of(directory, uid)

    def test_who_has_no_address_is_told(
        self, app: Flask, acme: Workspace, visitor: Visitor, directory: OpenLdapServer
    ) -> None:
        connect(app, acme, directory)
        name = unique("nomail")
        directory.add_person(name, password=AT_WORK, email=None)
        assert "has no e-mail address of you" in sign_in(visitor, name, AT_WORK).text
        assert not visitor.is_signed_in()

    def test_a_workspace_that_makes_no_users_lets_in_whom_it_knows_only(
        self, app: Flask, acme: Workspace, visitor: Visitor, directory: OpenLdapServer, uid: str
    ) -> None:
        connect(app, acme, directory, creates_users="never")
        assert "You have no account here yet" in sign_in(visitor, uid, AT_WORK).text
        assert not visitor.is_signed_in()

    def test_who_must_change_the_password_is_told_so_after_the_right_one_only(
        self, app: Flask, acme: Workspace, visitor: Visitor, directory: OpenLdapServer
    ) -> None:
        connect(app, acme, directory)
        name = unique("new")
        directory.add_person(name, password=AT_WORK, pwdReset="TRUE")
        assert "have to change your password" in sign_in(visitor, name, AT_WORK).text
        assert "have to change your password" not in sign_in(visitor, name, "wrong").text
        assert not visitor.is_signed_in()

    def test_a_disabled_person_looks_like_a_wrong_password(
        self, app: Flask, acme: Workspace, visitor: Visitor, directory: OpenLdapServer, uid: str
    ) -> None:
        connect(app, acme, directory)
        directory.disable(f"uid={uid},{directory.people}")
        assert "is wrong" in sign_in(visitor, uid, AT_WORK).text
        assert not visitor.is_signed_in()

    def test_a_user_who_was_deactivated_here_is_not_let_in(
        self, app: Flask, acme: Workspace, directory: OpenLdapServer, uid: str
    ) -> None:
        connect(app, acme, directory)
        sign_in(Visitor(app, acme.host), uid, AT_WORK)
        with inside(app, acme) as session:
            session.scalar(select(User).where(User.email == email_of(directory, uid))).active = False
        visitor = Visitor(app, acme.host)
        assert "deactivated" in sign_in(visitor, uid, AT_WORK).text
        assert not visitor.is_signed_in()

    def test_the_login_session_names_the_directory(
        self, app: Flask, acme: Workspace, visitor: Visitor, directory: OpenLdapServer, uid: str
    ) -> None:
        connect(app, acme, directory, label="Acme staff")
        sign_in(visitor, uid, AT_WORK)
        with inside(app, acme) as session:
            assert session.scalars(select(LoginSession.provider)).all() == [str(configs.get_config("office").id)]
        assert "Acme staff" in visitor.get("/account/sessions").text

    def test_the_secret_is_encrypted_and_of_no_use_in_another_row(
        self, app: Flask, acme: Workspace, globex: Workspace, directory: OpenLdapServer, uid: str
    ) -> None:
        connect(app, acme, directory)
        connect(app, globex, directory, secret="something else")
        with inside(app, acme):
            stolen = configs.get_config("office").secret
        assert stolen is not None
        assert directory.service_password not in stolen
        with inside(app, globex):
            configs.get_config("office").secret = stolen
        visitor = Visitor(app, globex.host)
        assert "cannot be reached" in sign_in(visitor, uid, AT_WORK).text
        assert not visitor.is_signed_in()


class TestGroups:
    """Roles by the groups of the directory."""

    def test_a_group_and_a_group_around_it_give_their_roles(
        self, app: Flask, acme: Workspace, visitor: Visitor, directory: OpenLdapServer, uid: str
    ) -> None:
        inner, outer = unique("Web team"), unique("Engineering")
        group = directory.add_group(inner, [f"uid={uid},{directory.people}"])
        directory.add_group(outer, [group])
        connect(app, acme, directory)
        map_group(app, acme, inner.upper(), "viewer")
        map_group(app, acme, f"CN={outer} , {directory.groups}", "member")
        sign_in(visitor, uid, AT_WORK)
        assert roles_of(visitor) == ["member", "viewer"]

    def test_who_leaves_a_group_loses_the_role_at_the_next_sign_in(
        self, app: Flask, acme: Workspace, visitor: Visitor, directory: OpenLdapServer, uid: str
    ) -> None:
        name = unique("staff")
        group = directory.add_group(name, [f"uid={uid},{directory.people}", directory.nobody])
        connect(app, acme, directory)
        map_group(app, acme, name, "member")
        sign_in(visitor, uid, AT_WORK)
        directory.remove_member(group, f"uid={uid},{directory.people}")
        sign_in(Visitor(app, acme.host), uid, AT_WORK)
        assert roles_of(visitor) == []

    def test_a_role_of_another_origin_stays(
        self, app: Flask, acme: Workspace, visitor: Visitor, directory: OpenLdapServer, uid: str
    ) -> None:
        connect(app, acme, directory)
        sign_in(visitor, uid, AT_WORK)
        arguments = ["roles", "grant", email_of(directory, uid), "viewer", "--tenant", acme.slug]
        assert app.test_cli_runner().invoke(args=arguments).exit_code == 0
        sign_in(Visitor(app, acme.host), uid, AT_WORK)
        assert roles_of(visitor) == ["viewer"]

    def test_an_explanation_names_the_directory_and_the_group(
        self, app: Flask, acme: Workspace, visitor: Visitor, directory: OpenLdapServer, uid: str
    ) -> None:
        name = unique("staff")
        directory.add_group(name, [f"uid={uid},{directory.people}"])
        connect(app, acme, directory)
        map_group(app, acme, name, "member")
        sign_in(visitor, uid, AT_WORK)
        arguments = ["roles", "explain", email_of(directory, uid), "project:read", "--tenant", acme.slug]
        said = app.test_cli_runner().invoke(args=arguments).output
        assert "origin 'provider:" in said
        assert f"group '{name}'" in said
        assert "role 'member'" in said


class TestBelonging:
    """Whoever belongs to a directory is vouched for by nothing else."""

    @pytest.fixture
    def alice(self, app: Flask, acme: Workspace, directory: OpenLdapServer, uid: str) -> Visitor:
        """A browser in which somebody of the directory is signed in."""
        connect(app, acme, directory, label="Acme staff")
        visitor = Visitor(app, acme.host)
        assert sign_in(visitor, uid, AT_WORK).status_code == 302
        return visitor

    def test_no_password_of_ours_signs_them_in(
        self, app: Flask, acme: Workspace, alice: Visitor, directory: OpenLdapServer, uid: str
    ) -> None:
        with inside(app, acme) as session:
            hashed = session.scalar(select(User.password).where(User.email == acme.people["member"].email))
            session.scalar(select(User).where(User.email == email_of(directory, uid))).password = hashed
        visitor = Visitor(app, acme.host)
        for login in (uid, email_of(directory, uid)):
            sign_in(visitor, login, PASSWORD)
            assert not visitor.is_signed_in()

    def test_a_new_password_is_not_mailed_but_where_theirs_is_kept(
        self, app: Flask, acme: Workspace, alice: Visitor, directory: OpenLdapServer, uid: str
    ) -> None:
        visitor = Visitor(app, acme.host)
        answer = visitor.post("/auth/reset", {"email": email_of(directory, uid)})
        assert answer.status_code == 200
        (message,) = mail_to(app, email_of(directory, uid))
        assert "belongs to Acme staff" in message.body
        assert "/auth/reset/" not in message.body

    def test_a_link_from_before_sets_no_password(self, app: Flask, acme: Workspace, directory: OpenLdapServer) -> None:
        connect(app, acme, directory)
        person = add_person(app, acme)
        visitor = Visitor(app, acme.host)
        link = ask_reset_link(app, visitor, person)
        name = unique("linked")
        directory.add_person(name, password=AT_WORK, email=f"{name}@acme.example")
        arguments = ["providers", "link", "office", name, person.email, "--tenant", acme.slug]
        assert app.test_cli_runner().invoke(args=arguments).exit_code == 0
        visitor.post(link, {"password": "a password of my own", "password_confirm": "a password of my own"})
        sign_in(visitor, person.email, "a password of my own")
        assert not visitor.is_signed_in()

    @pytest.mark.parametrize(
        ("path", "data"),
        [
            ("/auth/change", {"new_password": "a password of mine", "new_password_confirm": "a password of mine"}),
            ("/auth/change-email", {"email": "somebody@else.example"}),
        ],
    )
    def test_what_the_directory_keeps_is_not_changed_here(
        self, app: Flask, alice: Visitor, path: str, data: dict[str, str]
    ) -> None:
        assert "belongs to Acme staff" in alice.post(path, data).text
        assert mail_to(app, "somebody@else.example") == []

    def test_a_passkey_does_not_replace_the_directory(self, app: Flask, acme: Workspace, alice: Visitor) -> None:
        device = add_passkey(alice)
        visitor = Visitor(app, acme.host)
        assert use_passkey(visitor, device).status_code == 400
        assert not visitor.is_signed_in()

    def test_a_second_factor_is_asked_for_as_ever(
        self, app: Flask, acme: Workspace, alice: Visitor, uid: str, steady: None
    ) -> None:
        authenticator = set_up_app(app, alice)
        visitor = Visitor(app, acme.host)
        sign_in(visitor, uid, AT_WORK)
        assert not visitor.is_signed_in()
        give_code(visitor, authenticator.code())
        assert visitor.is_signed_in()

    @pytest.mark.parametrize(("password", "passes"), [(AT_WORK, True), (PASSWORD, False), ("", False)])
    def test_step_up_asks_the_directory(self, alice: Visitor, password: str, passes: bool) -> None:
        assert (alice.post("/auth/verify", {"password": password}).status_code == 302) is passes

    def test_the_name_is_the_directorys(self, alice: Visitor) -> None:
        alice.post("/account/profile", {"name": "Mallory", "locale": "", "timezone": ""})
        assert alice.get("/api/v1/me").get_json()["user"]["name"] == "Alice Adams"

    def test_a_removed_directory_leaves_nothing_but_the_user(
        self, app: Flask, acme: Workspace, alice: Visitor, directory: OpenLdapServer, uid: str
    ) -> None:
        result = app.test_cli_runner().invoke(args=["providers", "remove", "office", "--yes", "--tenant", acme.slug])
        assert result.exit_code == 0, result.output
        assert not alice.is_signed_in()
        visitor = Visitor(app, acme.host)
        sign_in(visitor, uid, AT_WORK)
        assert not visitor.is_signed_in()
        visitor.post("/auth/reset", {"email": email_of(directory, uid)})
        link = path_of(link_in(mail_to(app, email_of(directory, uid))[-1]))
        visitor.post(link, {"password": "a password of my own", "password_confirm": "a password of my own"})
        sign_in(visitor, email_of(directory, uid), "a password of my own")
        assert visitor.is_signed_in()


class TestLinking:
    """An account that was there before."""

    @pytest.fixture
    def both(self, app: Flask, acme: Workspace, directory: OpenLdapServer) -> tuple[str, str]:
        """Somebody with an account here and one in the directory: the user name there, and the address."""
        person = add_person(app, acme)
        name = unique("both")
        directory.add_person(name, password=AT_WORK, email=person.email)
        connect(app, acme, directory, label="Acme staff")
        return name, person.email

    def test_the_directory_alone_does_not_open_the_account(
        self, app: Flask, visitor: Visitor, both: tuple[str, str]
    ) -> None:
        for login in both:
            assert "there is an account with your e-mail address" in sign_in(visitor, login, AT_WORK).text
            assert not visitor.is_signed_in()

    def test_both_passwords_one_after_the_other_connect_the_two(
        self, app: Flask, acme: Workspace, visitor: Visitor, both: tuple[str, str]
    ) -> None:
        sign_in(visitor, both[0], AT_WORK)
        assert sign_in(visitor, both[1], PASSWORD).status_code == 302
        assert "connected with Acme staff" in visitor.get("/account/").text
        again = Visitor(app, acme.host)
        sign_in(again, both[1], PASSWORD)
        assert not again.is_signed_in()
        sign_in(again, both[0], AT_WORK)
        assert again.get("/api/v1/me").get_json()["user"]["email"] == both[1]

    def test_groups_count_from_the_moment_of_connecting(
        self, app: Flask, acme: Workspace, visitor: Visitor, directory: OpenLdapServer, both: tuple[str, str]
    ) -> None:
        name = unique("staff")
        directory.add_group(name, [f"uid={both[0]},{directory.people}"])
        map_group(app, acme, name, "admin")
        sign_in(visitor, both[0], AT_WORK)
        sign_in(visitor, both[1], PASSWORD)
        assert roles_of(visitor) == ["admin", "member"]

    def test_what_one_browser_has_proved_is_not_finished_in_another(
        self, app: Flask, acme: Workspace, visitor: Visitor, stranger: Visitor, both: tuple[str, str]
    ) -> None:
        sign_in(visitor, both[0], AT_WORK)
        sign_in(stranger, both[1], PASSWORD)
        again = Visitor(app, acme.host)
        sign_in(again, both[1], PASSWORD)
        assert again.is_signed_in()
        with inside(app, acme) as session:
            assert session.scalars(select(LinkedIdentity)).all() == []

    def test_somebody_elses_sign_in_does_not_finish_it(
        self, app: Flask, acme: Workspace, visitor: Visitor, both: tuple[str, str]
    ) -> None:
        sign_in(visitor, both[0], AT_WORK)
        visitor.sign_in(acme.people["owner"])
        with inside(app, acme) as session:
            assert session.scalars(select(LinkedIdentity)).all() == []

    def test_who_is_signed_in_connects_by_the_password_there(
        self, app: Flask, acme: Workspace, visitor: Visitor, both: tuple[str, str]
    ) -> None:
        sign_in(visitor, both[1], PASSWORD)
        with inside(app, acme):
            path = f"/account/connect/{configs.get_config('office').id}"
        assert path in visitor.get("/account/").text
        assert "is wrong" in visitor.post(path, {"login": both[0], "password": "wrong"}).text
        assert visitor.post(path, {"login": both[0], "password": AT_WORK}).status_code == 302
        assert visitor.is_signed_in()
        again = Visitor(app, acme.host)
        sign_in(again, both[1], PASSWORD)
        assert not again.is_signed_in()

    def test_a_person_who_belongs_to_a_user_is_not_connected_with_another(
        self, app: Flask, acme: Workspace, directory: OpenLdapServer, uid: str, member: Visitor
    ) -> None:
        connect(app, acme, directory)
        sign_in(Visitor(app, acme.host), uid, AT_WORK)
        with inside(app, acme):
            path = f"/account/connect/{configs.get_config('office').id}"
        assert "connected with another one already" in member.post(path, {"login": uid, "password": AT_WORK}).text

    def test_connecting_asks_for_a_recent_proof(
        self, app: Flask, acme: Workspace, both: tuple[str, str], clock
    ) -> None:
        visitor = Visitor(app, acme.host)
        sign_in(visitor, both[1], PASSWORD)
        clock.advance(minutes=20)
        with inside(app, acme):
            path = f"/account/connect/{configs.get_config('office').id}"
        answer = visitor.post(path, {"login": both[0], "password": AT_WORK})
        assert answer.status_code == 302
        assert "/auth/verify" in answer.location


class TestRouting:
    """Which of several directories is asked."""

    def test_a_domain_leads_to_its_directory_alone(
        self, app: Flask, acme: Workspace, visitor: Visitor, directory: OpenLdapServer
    ) -> None:
        with hostile_ldap.Hostile() as other:
            connect(app, acme, directory, "first", servers=[other.url], insecure=True, ca_bundle=None)
            connect(app, acme, directory, "second", domains=["acme.example"])
            name = unique("alice")
            directory.add_person(name, password=AT_WORK)
            assert sign_in(visitor, f"{name}@acme.example", AT_WORK).status_code == 302
            assert other.connections == 0

    def test_directories_are_asked_in_order_until_one_knows_the_person(
        self, app: Flask, acme: Workspace, visitor: Visitor, directory: OpenLdapServer, uid: str
    ) -> None:
        with require(openldap.start) as first:
            connect(app, acme, first, "first")
            connect(app, acme, directory, "second")
            assert sign_in(visitor, uid, AT_WORK).status_code == 302

    def test_our_own_accounts_still_sign_in(
        self, app: Flask, acme: Workspace, visitor: Visitor, directory: OpenLdapServer
    ) -> None:
        connect(app, acme, directory)
        visitor.sign_in(acme.people["owner"])
        assert visitor.is_signed_in()

    def test_our_own_password_is_shown_to_no_directory(
        self, app: Flask, acme: Workspace, visitor: Visitor, directory: OpenLdapServer
    ) -> None:
        with hostile_ldap.Hostile() as other:
            connect(app, acme, directory, servers=[other.url], insecure=True, ca_bundle=None)
            visitor.sign_in(acme.people["owner"])
            assert visitor.is_signed_in()
            assert other.connections == 0


class TestOutage:
    """A directory that does not answer."""

    def down(self, app: Flask, workspace: Workspace, directory: OpenLdapServer, **options: object) -> None:
        dead = hostile_ldap.Refusing()
        with dead:
            connect(app, workspace, directory, servers=[dead.url.replace("ldap://", "ldaps://")], **options)

    def test_the_page_says_so(
        self, app: Flask, acme: Workspace, visitor: Visitor, directory: OpenLdapServer, uid: str
    ) -> None:
        self.down(app, acme, directory)
        answer = sign_in(visitor, uid, AT_WORK)
        assert "company directory cannot be reached" in answer.text
        assert answer.status_code == 503
        assert "Retry-After" in answer.headers

    def test_our_own_accounts_do_not_notice(
        self, app: Flask, acme: Workspace, visitor: Visitor, directory: OpenLdapServer
    ) -> None:
        self.down(app, acme, directory)
        visitor.sign_in(acme.people["owner"])
        assert visitor.is_signed_in()

    def test_our_own_accounts_do_not_wait_for_those_who_wait_for_it(
        self, app: Flask, acme: Workspace, visitor: Visitor, directory: OpenLdapServer
    ) -> None:
        with hostile_ldap.Silent() as silent, ThreadPoolExecutor(6) as threads:
            connect(app, acme, directory, servers=[silent.url], insecure=True, ca_bundle=None, timeout=3)
            waiting = [Visitor(app, acme.host) for _ in range(6)]
            tokens = [one.csrf_token() for one in waiting]
            forms = [{"email": f"alice{number}", "password": AT_WORK} for number in range(6)]
            asked = [
                threads.submit(one.post, "/auth/login", form, csrf=token)
                for one, form, token in zip(waiting, forms, tokens, strict=True)
            ]
            while silent.connections < 4:
                time.sleep(0.01)
            visitor.sign_in(acme.people["owner"])
            assert visitor.is_signed_in()
            assert not all(one.done() for one in asked)
            assert {one.result().status_code for one in asked} == {503}

    def test_who_is_signed_in_keeps_working(
        self, app: Flask, acme: Workspace, visitor: Visitor, directory: OpenLdapServer, uid: str
    ) -> None:
        connect(app, acme, directory)
        sign_in(visitor, uid, AT_WORK)
        with inside(app, acme):
            config = configs.get_config("office")
            configs.change_provider(
                config, actor=None, settings=config.settings | {"servers": ["ldaps://localhost:1"]}, secret="x"
            )
        assert visitor.is_signed_in()

    def test_nobody_who_belongs_to_it_gets_in_by_the_next_directory(
        self, app: Flask, acme: Workspace, directory: OpenLdapServer, uid: str
    ) -> None:
        with require(openldap.start) as other:
            other.add_person(uid, password=AT_WORK)
            connect(app, acme, directory, "first")
            connect(app, acme, other, "second")
            sign_in(Visitor(app, acme.host), uid, AT_WORK)
            with inside(app, acme):
                config = configs.get_config("first")
                configs.change_provider(
                    config, actor=None, settings=config.settings | {"servers": ["ldaps://localhost:1"]}, secret="x"
                )
            for login in (uid, f"{uid}@acme.example"):
                visitor = Visitor(app, acme.host)
                assert "cannot be reached" in sign_in(visitor, login, AT_WORK).text
                assert not visitor.is_signed_in()

    def test_an_unknown_name_is_not_tried_at_a_weaker_source(
        self, app: Flask, acme: Workspace, directory: OpenLdapServer, uid: str
    ) -> None:
        with require(openldap.start) as other:
            other.add_person(uid, password=AT_WORK)
            self.down(app, acme, directory)
            connect(app, acme, other, "second")
            visitor = Visitor(app, acme.host)
            assert "cannot be reached" in sign_in(visitor, uid, AT_WORK).text
            assert not visitor.is_signed_in()

    def test_guesses_at_our_own_accounts_count_all_the_same(
        self, app: Flask, acme: Workspace, directory: OpenLdapServer
    ) -> None:
        self.down(app, acme, directory)
        visitor = Visitor(app, acme.host)
        answers = [sign_in(visitor, acme.people["owner"].email, f"guess {number}").status_code for number in range(11)]
        assert answers[-1] == 429


class TestThrottle:
    """Guesses at one account."""

    def test_all_names_of_an_account_share_one_count(
        self, app: Flask, acme: Workspace, directory: OpenLdapServer, uid: str
    ) -> None:
        connect(app, acme, directory)
        visitor = Visitor(app, acme.host)
        spellings = [uid, uid.upper(), f"{uid}@acme.example", f"{uid}  ", uid.title()]
        answers = [sign_in(visitor, spellings[number % 5], "wrong").status_code for number in range(11)]
        assert answers[:10] == [200] * 10
        assert answers[10] == 429
        sign_in(visitor, uid, AT_WORK)
        assert not visitor.is_signed_in()

    def test_a_right_password_is_not_counted(
        self, app: Flask, acme: Workspace, directory: OpenLdapServer, uid: str
    ) -> None:
        connect(app, acme, directory)
        for _ in range(12):
            assert sign_in(Visitor(app, acme.host), uid, AT_WORK).status_code == 302


def test_the_first_sign_in_in_two_browsers_at_once_makes_one_user(
    app: Flask, acme: Workspace, directory: OpenLdapServer, uid: str
) -> None:
    connect(app, acme, directory)
    visitors = [Visitor(app, acme.host) for _ in range(4)]
    tokens = [visitor.csrf_token() for visitor in visitors]
    answers = at_once(
        [
            lambda visitor=visitor, token=token: visitor.post(
                "/auth/login", {"email": uid, "password": AT_WORK}, csrf=token
            )
            for visitor, token in zip(visitors, tokens, strict=True)
        ]
    )
    assert [answer.status_code for answer in answers] == [302] * 4
    with inside(app, acme) as session:
        assert len(session.scalars(select(LinkedIdentity)).all()) == 1


@pytest.mark.slow
def test_many_simultaneous_sign_ins_never_swap_users(postgres_database: Database, postgres_app: Flask) -> None:
    workspace = make_workspace(postgres_app)
    count = 100
    with require(openldap.start) as directory:
        directory.load_people(count, group_size=1)
        connect(postgres_app, workspace, directory)
        visitors = [Visitor(postgres_app, workspace.host, f"10.1.{number}.1") for number in range(count)]
        tokens = [visitor.csrf_token() for visitor in visitors]

        def enter(number: int) -> int:
            form = {"email": f"user{number}", "password": PASSWORD}
            return visitors[number].post("/auth/login", form, csrf=tokens[number]).status_code

        with ThreadPoolExecutor(40) as threads:
            assert set(threads.map(enter, range(count))) == {302}
        names = [visitor.get("/api/v1/me").get_json()["user"]["email"].partition("@")[0] for visitor in visitors]
        assert names == [f"user{number}" for number in range(count)]
