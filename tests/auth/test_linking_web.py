"""Accounts and people at web sources: joined by proof of both sides, listed, and parted again."""

import uuid
from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import delete, func, select

from auth import links
from auth.models import LoginSession
from auth.providers import configs
from auth.providers.models import LinkedIdentity, SignInAttempt
from tests.auth import sources
from tests.auth.conftest import Clock
from tests.auth.directories import roles_of
from tests.auth.helpers import add_passkey, change, give_code, inside, row_of, set_up_app
from tests.factories import Person, Workspace, add_person
from tests.servers import oidc, require
from tests.servers.oidc import OidcServer
from tests.visitor import Visitor, sign_in

TAKEN = "connected with another one already"


@pytest.fixture(scope="module")
def server() -> Iterator[OidcServer]:
    with require(oidc.start) as server:
        yield server


@pytest.fixture
def work(app: Flask, acme: Workspace, server: OidcServer) -> uuid.UUID:
    """acme's source, for its proved domain."""
    domain = sources.own(app, acme, f"{acme.slug}.example")
    return sources.connect(app, acme, server, label="Acme ID", domains=[domain])


@pytest.fixture
def person(acme: Workspace) -> Person:
    """Somebody with an account here."""
    return acme.people["member"]


@pytest.fixture
def there(server: OidcServer, person: Person) -> str:
    """Who they are at the provider, where they have the same address."""
    return sources.add_person(server, person.email, preferred_username="mem", groups=["leads"])


def signs_in(app: Flask, workspace: Workspace, server: OidcServer, config_id: uuid.UUID, sub: str) -> str | None:
    """Whom the source alone signs in, by the address; None for nobody."""
    visitor = Visitor(app, workspace.host)
    sources.sign_in(visitor, server, config_id, sub)
    me = visitor.get("/api/v1/me")
    return me.get_json()["user"]["email"] if me.status_code == 200 else None


class TestSameAddress:
    """An account that has the address of somebody who comes from the source."""

    def test_the_source_alone_does_not_open_it(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, person: Person,
        there: str,
    ) -> None:  # fmt: skip
        answer = sources.sign_in(visitor, server, work, there, next="/projects/")
        assert answer.headers["Location"] == "/auth/login?step=password&next=/projects/"
        assert "there is an account with your e-mail address" in visitor.get(answer.headers["Location"]).text
        assert not visitor.is_signed_in()
        assert sources.subjects_of(app, acme, person.email) == []

    def test_the_password_in_the_same_browser_joins_the_two(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, person: Person,
        there: str,
    ) -> None:  # fmt: skip
        sources.sign_in(visitor, server, work, there)
        visitor.sign_in(person)
        assert "connected with Acme ID" in visitor.get("/account/").text
        assert signs_in(app, acme, server, work, there) == person.email

    def test_the_login_session_and_the_groups_are_the_sources_from_then_on(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, person: Person,
        there: str,
    ) -> None:  # fmt: skip
        sources.map_group(app, acme, "leads", "admin")
        sources.sign_in(visitor, server, work, there)
        visitor.sign_in(person)
        assert roles_of(visitor) == ["admin", "member"]
        with inside(app, acme) as session:
            assert session.scalars(select(LoginSession.provider)).all() == [str(work)]

    def test_the_password_stays_beside_the_source(
        self, app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID, person: Person
    ) -> None:
        sources.join(Visitor(app, acme.host), server, work, person)
        assert sign_in(app, acme, "member").is_signed_in()

    def test_a_wrong_password_joins_nothing_and_the_right_one_after_it_does(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, person: Person,
        there: str,
    ) -> None:  # fmt: skip
        sources.sign_in(visitor, server, work, there)
        visitor.sign_in(Person(person.id, person.email, "guessed"))
        assert sources.subjects_of(app, acme, person.email) == []
        visitor.sign_in(person)
        assert sources.subjects_of(app, acme, person.email) == [there]

    def test_another_browser_joins_nothing(
        self, app: Flask, acme: Workspace, visitor: Visitor, stranger: Visitor, server: OidcServer, work: uuid.UUID,
        person: Person, there: str,
    ) -> None:  # fmt: skip
        sources.sign_in(visitor, server, work, there)
        sources.sign_in(stranger, server, work, sources.add_person(server, "nobody@private.example"))
        stranger.sign_in(person)
        assert stranger.is_signed_in()
        assert sources.subjects_of(app, acme, person.email) == []

    def test_after_ten_minutes_nothing_is_joined(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, person: Person,
        there: str, clock: Clock,
    ) -> None:  # fmt: skip
        sources.sign_in(visitor, server, work, there)
        clock.advance(minutes=11)
        visitor.sign_in(person)
        assert visitor.is_signed_in()
        assert sources.subjects_of(app, acme, person.email) == []

    def test_the_password_of_another_account_joins_nothing(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, there: str
    ) -> None:
        sources.sign_in(visitor, server, work, there)
        visitor.sign_in(acme.people["owner"])
        assert visitor.is_signed_in()
        with inside(app, acme) as session:
            assert session.scalars(select(LinkedIdentity)).all() == []

    def test_whoever_came_last_is_joined(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, person: Person,
        there: str,
    ) -> None:  # fmt: skip
        sources.sign_in(visitor, server, work, there)
        last = sources.add_person(server, person.email)
        sources.sign_in(visitor, server, work, last)
        visitor.sign_in(person)
        assert sources.subjects_of(app, acme, person.email) == [last]

    @pytest.mark.usefixtures("steady")
    def test_the_second_factor_belongs_to_the_proof(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, person: Person,
        there: str,
    ) -> None:  # fmt: skip
        authenticator = set_up_app(app, sign_in(app, acme, "member"))
        sources.sign_in(visitor, server, work, there)
        visitor.sign_in(person)
        give_code(visitor, "000000")
        assert sources.subjects_of(app, acme, person.email) == []
        give_code(visitor, authenticator.code())
        assert visitor.is_signed_in()
        assert sources.subjects_of(app, acme, person.email) == [there]

    def test_an_address_that_is_not_verified_leads_to_no_account(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, person: Person
    ) -> None:
        for said in (False, "true", None):
            sub = sources.add_person(server, person.email, email_verified=said)
            sources.sign_in(visitor, server, work, sub)
            page = visitor.get("/auth/login?step=password").text
            assert "You have no account here yet" in page
            assert "there is an account" not in page
        visitor.sign_in(person)
        assert sources.subjects_of(app, acme, person.email) == []

    def test_a_verified_address_of_any_domain_may_lead_to_an_account(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID
    ) -> None:
        person = add_person(app, acme, email=f"m-{acme.slug}@private.example")
        sub = sources.join(visitor, server, work, person)
        assert sources.subjects_of(app, acme, person.email) == [sub]

    def test_somebody_who_was_joined_elsewhere_meanwhile_is_not_joined_again(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, person: Person,
        there: str,
    ) -> None:  # fmt: skip
        sources.sign_in(visitor, server, work, there)
        sources.sign_in(sign_in(app, acme, "owner"), server, work, there, "connect")
        visitor.sign_in(person)
        assert visitor.is_signed_in()
        assert sources.subjects_of(app, acme, person.email) == []
        assert sources.subjects_of(app, acme, acme.people["owner"].email) == [there]
        with inside(app, acme) as session:
            assert set(session.scalars(select(LoginSession.provider))) == {"database"}

    def test_an_account_that_is_joined_with_somebody_is_joined_with_nobody_else(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, person: Person,
        there: str,
    ) -> None:  # fmt: skip
        first = sources.join(Visitor(app, acme.host), server, work, person)
        sources.sign_in(visitor, server, work, there)
        visitor.sign_in(person)
        assert sources.subjects_of(app, acme, person.email) == [first]

    def test_a_source_that_was_switched_off_meanwhile_joins_nobody(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, person: Person,
        there: str,
    ) -> None:  # fmt: skip
        sources.sign_in(visitor, server, work, there)
        with inside(app, acme):
            configs.disable_provider(configs.get_config("work"), actor=None)
        visitor.sign_in(person)
        assert visitor.is_signed_in()
        assert sources.subjects_of(app, acme, person.email) == []

    def test_a_source_that_was_set_to_something_else_meanwhile_joins_nobody(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, person: Person,
        there: str,
    ) -> None:  # fmt: skip
        sources.sign_in(visitor, server, work, there)
        with inside(app, acme):
            config = configs.get_config("work")
            configs.change_provider(config, actor=None, settings=config.settings | {"subject_claims": ["email"]})
        visitor.sign_in(person)
        assert visitor.is_signed_in()
        assert sources.subjects_of(app, acme, person.email) == []

    def test_what_waits_is_encrypted_and_gone_afterwards(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, person: Person,
        there: str,
    ) -> None:  # fmt: skip
        sources.sign_in(visitor, server, work, there)
        with inside(app, acme) as session:
            (outcome,) = session.scalars(select(SignInAttempt.outcome)).all()
        assert outcome
        assert there not in outcome
        visitor.sign_in(person)
        with inside(app, acme) as session:
            assert session.scalar(select(func.count(SignInAttempt.id))) == 0


class TestConnecting:
    """Somebody who is signed in here, and says that they are somebody there, too."""

    def test_whoever_signs_in_there_is_them_whatever_the_address(
        self, app: Flask, acme: Workspace, member: Visitor, server: OidcServer, work: uuid.UUID, person: Person
    ) -> None:
        sub = sources.add_person(server, "mem@private.example", email_verified=False, name="Another Name")
        assert f'href="/sso/{work}/connect"' in member.get("/account/").text
        answer = sources.sign_in(member, server, work, sub, "connect")
        assert answer.headers["Location"] == "/account/"
        assert "connected with Acme ID" in member.get("/account/").text
        assert signs_in(app, acme, server, work, sub) == person.email
        assert member.get("/api/v1/me").get_json()["user"]["name"] == "Member"

    def test_groups_count_from_that_moment(
        self, app: Flask, acme: Workspace, member: Visitor, server: OidcServer, work: uuid.UUID, there: str
    ) -> None:
        sources.map_group(app, acme, "leads", "admin")
        sources.sign_in(member, server, work, there, "connect")
        assert roles_of(member) == ["admin", "member"]

    def test_a_link_to_it_asks_first_and_begins_nothing(
        self, app: Flask, acme: Workspace, member: Visitor, work: uuid.UUID
    ) -> None:
        page = member.get(f"/sso/{work}/connect")
        assert page.status_code == 200
        assert 'http-equiv="refresh"' not in page.text
        assert member.post(f"/sso/{work}/connect", csrf="").status_code == 400
        with inside(app, acme) as session:
            assert session.scalars(select(SignInAttempt)).all() == []

    def test_it_takes_a_recent_proof(self, member: Visitor, work: uuid.UUID, clock: Clock) -> None:
        clock.advance(minutes=20)
        for answer in (member.get(f"/sso/{work}/connect"), member.post(f"/sso/{work}/connect")):
            assert answer.status_code == 302
            assert "/auth/verify" in answer.headers["Location"]

    def test_it_takes_somebody_who_is_signed_in(self, visitor: Visitor, work: uuid.UUID) -> None:
        assert "/auth/login" in visitor.get(f"/sso/{work}/connect").headers["Location"]

    def test_a_person_of_another_account_is_refused(
        self, app: Flask, acme: Workspace, member: Visitor, server: OidcServer, work: uuid.UUID, person: Person
    ) -> None:
        owner = acme.people["owner"]
        theirs = sources.join(Visitor(app, acme.host), server, work, owner)
        sources.sign_in(member, server, work, theirs, "connect")
        assert TAKEN in member.get("/account/").text
        assert sources.subjects_of(app, acme, person.email) == []
        assert signs_in(app, acme, server, work, theirs) == owner.email

    def test_an_account_is_one_person_there_only(
        self, app: Flask, acme: Workspace, member: Visitor, server: OidcServer, work: uuid.UUID, person: Person,
        there: str,
    ) -> None:  # fmt: skip
        sources.sign_in(member, server, work, there, "connect")
        sources.sign_in(member, server, work, sources.add_person(server, "second@private.example"), "connect")
        assert TAKEN in member.get("/account/").text
        assert sources.subjects_of(app, acme, person.email) == [there]

    def test_what_one_browser_has_begun_is_not_finished_in_another(
        self, app: Flask, acme: Workspace, member: Visitor, server: OidcServer, work: uuid.UUID, person: Person,
        there: str,
    ) -> None:  # fmt: skip
        back = oidc.sign_in(server, sources.depart(member, work, "connect"), there)
        another = sign_in(app, acme, "member")
        sources.depart(another, work, "connect")
        assert sources.follow(another, back).status_code == 400
        assert sources.subjects_of(app, acme, person.email) == []
        sources.follow(member, back)
        assert sources.subjects_of(app, acme, person.email) == [there]

    def test_what_one_person_has_begun_is_not_finished_by_another_in_the_same_browser(
        self, app: Flask, acme: Workspace, member: Visitor, server: OidcServer, work: uuid.UUID, there: str
    ) -> None:
        back = oidc.sign_in(server, sources.depart(member, work, "connect"), there)
        # Without signing out first: the browser is the same one, to the attempt.
        sources.sign_in(member, server, work, sources.add_person(server, f"eve@{acme.slug}.example"))
        assert member.get("/api/v1/me").get_json()["user"]["email"] == f"eve@{acme.slug}.example"
        assert sources.follow(member, back).status_code == 403
        with inside(app, acme):
            assert links.find_link(str(work), f"{server.issuer} {there}") is None

    def test_what_was_begun_is_not_finished_by_nobody(
        self, app: Flask, acme: Workspace, member: Visitor, server: OidcServer, work: uuid.UUID, person: Person,
        there: str,
    ) -> None:  # fmt: skip
        back = oidc.sign_in(server, sources.depart(member, work, "connect"), there)
        with inside(app, acme) as session:
            session.execute(delete(LoginSession))
        assert sources.follow(member, back).status_code == 403
        assert sources.subjects_of(app, acme, person.email) == []

    def test_the_address_for_directories_leads_on(self, member: Visitor, work: uuid.UUID) -> None:
        assert member.get(f"/account/connect/{work}").headers["Location"] == f"/sso/{work}/connect"


class TestDisconnecting:
    """Somebody who is signed in here, and is to be somebody there no more."""

    @pytest.fixture
    def there(self, app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID, person: Person) -> str:
        """Who the member is at the source, with which the account is joined."""
        return sources.join(
            Visitor(app, acme.host), server, work, person, preferred_username="mem", groups=["leads"]
        )  # fmt: skip

    def test_the_account_page_lists_it(self, member: Visitor, work: uuid.UUID, there: str) -> None:
        page = member.get("/account/").text
        assert "Acme ID" in page
        assert "mem" in page
        assert f'action="/account/disconnect/{work}"' in page
        assert f'href="/sso/{work}/connect"' not in page

    def test_the_source_alone_signs_in_no_more(
        self, app: Flask, acme: Workspace, member: Visitor, server: OidcServer, work: uuid.UUID, there: str
    ) -> None:
        assert member.post(f"/account/disconnect/{work}").status_code == 302
        assert "no longer connected with Acme ID" in member.get("/account/").text
        assert signs_in(app, acme, server, work, there) is None

    def test_login_sessions_that_it_has_opened_end_and_others_do_not(
        self, app: Flask, acme: Workspace, member: Visitor, server: OidcServer, work: uuid.UUID, there: str
    ) -> None:
        by_source = Visitor(app, acme.host)
        sources.sign_in(by_source, server, work, there)
        member.post(f"/account/disconnect/{work}")
        assert not by_source.is_signed_in()
        assert member.is_signed_in()

    def test_the_roles_of_its_groups_are_gone(
        self, app: Flask, acme: Workspace, member: Visitor, server: OidcServer, work: uuid.UUID, there: str
    ) -> None:
        sources.map_group(app, acme, "leads", "admin")
        sources.sign_in(Visitor(app, acme.host), server, work, there)
        assert roles_of(member) == ["admin", "member"]
        member.post(f"/account/disconnect/{work}")
        assert roles_of(member) == ["member"]

    def test_it_takes_a_recent_proof(
        self, app: Flask, acme: Workspace, member: Visitor, work: uuid.UUID, there: str, person: Person, clock: Clock
    ) -> None:
        clock.advance(minutes=20)
        assert "/auth/verify" in member.post(f"/account/disconnect/{work}").headers["Location"]
        assert sources.subjects_of(app, acme, person.email) == [there]

    def test_what_is_not_connected_is_not_disconnected(
        self, app: Flask, acme: Workspace, owner: Visitor, globex: Workspace, server: OidcServer, work: uuid.UUID,
        there: str,
    ) -> None:  # fmt: skip
        owner.post(f"/account/disconnect/{work}")
        assert "not connected with that" in owner.get("/account/").text
        theirs = sources.connect(app, globex, server)
        assert owner.post(f"/account/disconnect/{theirs}").status_code == 404
        assert owner.post(f"/account/disconnect/{uuid.uuid4()}").status_code == 404

    def test_a_source_that_is_switched_off_can_be_disconnected(
        self, app: Flask, acme: Workspace, member: Visitor, work: uuid.UUID, person: Person, there: str
    ) -> None:
        with inside(app, acme):
            configs.disable_provider(configs.get_config("work"), actor=None)
        member.post(f"/account/disconnect/{work}")
        assert sources.subjects_of(app, acme, person.email) == []

    def test_under_enforcement_nobody_disconnects_the_source(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, person: Person,
        there: str,
    ) -> None:  # fmt: skip
        sources.enforce(app, acme, work)
        sources.sign_in(visitor, server, work, there)
        visitor.post(f"/account/disconnect/{work}")
        assert "People with your address sign in with Acme ID" in visitor.get("/account/").text
        assert sources.subjects_of(app, acme, person.email) == [there]

    @pytest.fixture
    def without_password(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, person: Person
    ) -> str:
        """Who the member is at the source, by which they have just signed in: they have no password."""
        sub = sources.join(Visitor(app, acme.host), server, work, person)
        change(app, acme, person, password=None)
        sources.sign_in(visitor, server, work, sub)
        return sub

    def disconnect(self, app: Flask, acme: Workspace, visitor: Visitor, work: uuid.UUID, person: Person) -> bool:
        """Try to disconnect the source; whether it was."""
        visitor.post(f"/account/disconnect/{work}")
        return sources.subjects_of(app, acme, person.email) == []

    def test_the_last_way_in_stays(
        self, app: Flask, acme: Workspace, visitor: Visitor, work: uuid.UUID, person: Person, without_password: str
    ) -> None:
        assert not self.disconnect(app, acme, visitor, work, person)
        assert "your only way in" in visitor.get("/account/").text

    @pytest.mark.parametrize(("usage", "enough"), [("first", True), ("secondary", False)])
    def test_a_passkey_is_another_way_if_it_is_one(
        self, app: Flask, acme: Workspace, visitor: Visitor, work: uuid.UUID, person: Person, without_password: str,
        usage: str, enough: bool,
    ) -> None:  # fmt: skip
        add_passkey(visitor, usage)
        assert self.disconnect(app, acme, visitor, work, person) is enough

    @pytest.mark.parametrize("enabled", [True, False])
    def test_another_source_is_another_way_while_it_is_on(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, person: Person,
        without_password: str, enabled: bool,
    ) -> None:  # fmt: skip
        second = sources.connect(app, acme, server, "second")
        sources.sign_in(visitor, server, second, sources.add_person(server, "m@two.example"), "connect")
        if not enabled:
            with inside(app, acme):
                configs.disable_provider(configs.get_config("second"), actor=None)
        visitor.post(f"/account/disconnect/{work}")
        assert (without_password not in sources.subjects_of(app, acme, person.email)) is enabled

    def test_a_password_is_another_way(
        self, app: Flask, acme: Workspace, visitor: Visitor, work: uuid.UUID, person: Person, without_password: str
    ) -> None:
        with inside(app, acme):
            row_of(person).password = row_of(acme.people["owner"]).password
        assert self.disconnect(app, acme, visitor, work, person)
