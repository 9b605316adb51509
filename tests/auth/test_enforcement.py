"""One source as the only way in, for the people of a proved domain."""

import re
import secrets
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask, g
from sqlalchemy import select
from werkzeug.test import TestResponse

from auth import domains, enforcement, roles
from auth.domain_records import PATIENCE, Finding
from auth.errors import InvalidProvider, NotAllowed
from auth.identity import Identity, snapshot_of
from auth.models import LoginSession
from auth.providers import configs
from auth.providers.base import ExternalIdentity
from auth.providers.models import MailDomain, ProviderConfig
from tenants.db import now
from tests.auth import sources
from tests.auth.helpers import (
    JSON,
    NEW_PASSWORD,
    add_passkey,
    ask_reset_link,
    change,
    give_code,
    grant,
    inside,
    link_in,
    mail_to,
    path_of,
    row_of,
    set_up_app,
    use_passkey,
)
from tests.factories import Person, Workspace, add_person
from tests.servers import oidc, require
from tests.servers.oidc import OidcServer
from tests.visitor import Visitor, sign_in

ELSEWHERE = "sign in with Acme ID"


@pytest.fixture(scope="module")
def server() -> Iterator[OidcServer]:
    with require(oidc.start) as server:
        yield server


@pytest.fixture
def domain(app: Flask, acme: Workspace) -> str:
    """A domain that acme has proved, by a record."""
    return sources.own(app, acme, f"{acme.slug}.example", vouched=False)


@pytest.fixture
def work(app: Flask, acme: Workspace, server: OidcServer, domain: str) -> uuid.UUID:
    """acme's source, for its proved domain."""
    return sources.connect(app, acme, server, label="Acme ID", domains=[domain])


@pytest.fixture
def member_there(app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID) -> str:
    """Who the member is at the source, with which the account is joined."""
    return sources.join(Visitor(app, acme.host), server, work, acme.people["member"])


@pytest.fixture
def enforced(app: Flask, acme: Workspace, work: uuid.UUID) -> uuid.UUID:
    """The source, as the only way in; the owner is named for emergencies."""
    sources.enforce(app, acme, work)
    return work


def typed(visitor: Visitor, email: str, password: str) -> TestResponse:
    """Type an address and a password into the sign-in form."""
    return visitor.post("/auth/login", {"email": email, "password": password})


def page_of(answer: TestResponse, email: str) -> str:
    """The page, without what differs from one to the next in any case."""
    text = re.sub(r'name="csrf_token"[^>]*value="[^"]+"', "", answer.text)
    return text.replace(email, "SOMEBODY")


def config_in(session: Any, config_id: uuid.UUID) -> ProviderConfig:
    found: ProviderConfig = session.get_one(ProviderConfig, (g.tenant.id, config_id))
    return found


class TestConditions:
    """What has to be so before a source can be enforced."""

    def enforce(self, app: Flask, acme: Workspace, work: uuid.UUID, named: Person | None = None) -> None:
        with inside(app, acme) as session:
            person = row_of(named or acme.people["owner"])
            configs.enforce_provider(config_in(session, work), person, actor=None)

    @pytest.fixture
    def ready(self, app: Flask, acme: Workspace, work: uuid.UUID) -> uuid.UUID:
        """A source that can be enforced."""
        with inside(app, acme) as session:
            config_in(session, work).admin_seen_at = now()
        return work

    def test_the_source_has_to_be_one_that_people_get_in_by(
        self, app: Flask, acme: Workspace, ready: uuid.UUID
    ) -> None:
        for name, value, said in (
            ("enabled", False, "it is switched off"),
            ("rehearsed_at", None, "it is provisional"),
            ("admin_seen_at", None, "no administrator has signed in through it"),
            ("domains", [], "none of its domains is proved"),
            ("domains", ["elsewhere.example"], "none of its domains is proved"),
            ("kind", "ldap", "only a web source can be enforced"),
        ):
            with inside(app, acme) as session:
                config = config_in(session, ready)
                before = getattr(config, name)
                setattr(config, name, value)
                with pytest.raises(InvalidProvider, match=said):
                    configs.enforce_provider(config, row_of(acme.people["owner"]), actor=None)
                assert enforcement.required_source(acme.people["member"].email) is None
                setattr(config, name, before)
        self.enforce(app, acme, ready)

    @pytest.mark.parametrize(("state", "enough"), [("pending", False), ("lapsed", False), ("warning", True)])
    def test_a_domain_has_to_be_the_workspaces(
        self, app: Flask, acme: Workspace, ready: uuid.UUID, state: str, enough: bool
    ) -> None:
        with inside(app, acme) as session:
            session.scalars(select(MailDomain)).one().state = state
        if enough:
            self.enforce(app, acme, ready)
        else:
            with pytest.raises(InvalidProvider, match="none of its domains is proved"):
                self.enforce(app, acme, ready)

    @pytest.mark.parametrize(
        ("role", "values", "said"),
        [
            ("admin", {}, "is no active owner"),
            ("owner", {"active": False}, "is no active owner"),
            ("owner", {"confirmed_at": None}, "cannot be enforced"),
            ("owner", {"password": None}, "neither a password nor a passkey"),
        ],
        ids=str,
    )
    def test_the_named_one_has_to_be_an_owner_with_a_way_in_of_their_own(
        self, app: Flask, acme: Workspace, ready: uuid.UUID, role: str, values: dict[str, Any], said: str
    ) -> None:
        named = add_person(app, acme, role=role)
        change(app, acme, named, **values)
        with pytest.raises(InvalidProvider, match=said):
            self.enforce(app, acme, ready, named)

    @pytest.mark.parametrize(("usage", "enough"), [("first", True), ("secondary", False)])
    def test_a_passkey_is_a_way_in_if_it_is_not_only_a_second_factor(
        self, app: Flask, acme: Workspace, owner: Visitor, ready: uuid.UUID, usage: str, enough: bool
    ) -> None:
        add_passkey(owner, usage)
        change(app, acme, acme.people["owner"], password=None)
        if enough:
            self.enforce(app, acme, ready)
        else:
            with pytest.raises(InvalidProvider, match="neither a password nor a passkey"):
                self.enforce(app, acme, ready)

    @pytest.mark.parametrize(("role", "seen"), [("owner", True), ("admin", True), ("member", False)])
    def test_an_administrator_who_signs_in_by_it_is_noted(
        self, app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID, role: str, seen: bool
    ) -> None:
        sub = sources.add_person(server, acme.people[role].email)
        sources.sign_in(sign_in(app, acme, role), server, work, sub, "connect")
        assert sources.config_of(app, acme, work).admin_seen_at is None  # that was no sign-in
        sources.sign_in(Visitor(app, acme.host), server, work, sub)
        assert (sources.config_of(app, acme, work).admin_seen_at is not None) is seen

    def test_an_administrator_who_signs_in_another_way_is_not(
        self, app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID
    ) -> None:
        sub = sources.add_person(server, acme.people["owner"].email)
        sources.sign_in(sign_in(app, acme, "owner"), server, work, sub, "connect")
        sign_in(app, acme, "owner")
        assert sources.config_of(app, acme, work).admin_seen_at is None

    @pytest.mark.parametrize("change", [{"settings": {"name_claim": "nick"}}, {"secret": "another"}], ids=str)
    def test_other_settings_have_to_be_tried_again(
        self, app: Flask, acme: Workspace, ready: uuid.UUID, change: dict[str, Any]
    ) -> None:
        with inside(app, acme) as session:
            config = config_in(session, ready)
            changes = {name: config.settings | value if name == "settings" else value for name, value in change.items()}
            configs.change_provider(config, actor=None, **changes)
            config.rehearsed_at = now()
        with pytest.raises(InvalidProvider, match="no administrator has signed in through it"):
            self.enforce(app, acme, ready)

    @pytest.mark.parametrize("role", ["member", "admin"])
    def test_it_takes_the_rights_of_those_whom_it_is_enforced_for(
        self, app: Flask, acme: Workspace, server: OidcServer, ready: uuid.UUID, role: str
    ) -> None:
        sources.join(Visitor(app, acme.host), server, ready, acme.people["owner"])
        with inside(app, acme) as session:
            actor = Identity(acme.people[role].id, snapshot_of(acme.people[role].id))
            for attempt in (
                lambda config: configs.enforce_provider(config, row_of(acme.people["owner"]), actor=actor),
                lambda config: configs.relax_provider(config, actor=actor),
            ):
                with pytest.raises(NotAllowed):
                    attempt(config_in(session, ready))

    def test_it_is_noted_with_its_domains_and_so_is_its_end(
        self, app: Flask, acme: Workspace, enforced: uuid.UUID, domain: str
    ) -> None:
        relax(app, acme, enforced)
        assert sources.events_of(app, acme, "sign-in enforced") == [str([domain])]
        assert sources.events_of(app, acme, "sign-in no longer enforced") == [""]


class TestOtherWays:
    """What else people get in by."""

    def test_every_password_at_an_address_of_the_domain_looks_the_same(
        self, app: Flask, acme: Workspace, enforced: uuid.UUID, hashes: list[str]
    ) -> None:
        member, owner = acme.people["member"].email, acme.people["owner"].email
        second = add_person(app, acme, role="owner").email
        tried = [(member, "right"), (member, "wrong"), (second, "right"), (owner, "wrong"),
                 (f"nobody@{acme.slug}.example", "right"), (f"nobody@{acme.slug}.example", "wrong")]  # fmt: skip
        found = set()
        for email, password in tried:
            visitor = Visitor(app, acme.host)
            hashes.clear()
            answer = typed(visitor, email, acme.people["member"].password if password == "right" else "guessed")
            found.add((answer.status_code, page_of(answer, email), tuple(hashes)))
            assert ELSEWHERE in answer.text
            assert not visitor.is_signed_in()
        assert len(found) == 1

    def test_no_spelling_of_the_address_opens_it(
        self, acme: Workspace, visitor: Visitor, enforced: uuid.UUID, domain: str
    ) -> None:
        for email in (f"member@{domain.upper()}", f" member@{domain} ", f"MEMBER@{domain}"):
            assert "with Acme ID" in typed(visitor, email, acme.people["member"].password).text
            assert not visitor.is_signed_in()

    def test_programs_do_not_get_in_by_a_password_either(
        self, acme: Workspace, visitor: Visitor, enforced: uuid.UUID
    ) -> None:
        member = acme.people["member"]
        body = {"email": member.email, "password": member.password}
        answer = visitor.post_json("/auth/login", body, headers=JSON)
        assert answer.status_code == 400
        assert ELSEWHERE in answer.text
        assert not visitor.is_signed_in()

    def test_guesses_are_counted_and_after_many_every_address_looks_the_same_still(
        self, acme: Workspace, visitor: Visitor, enforced: uuid.UUID
    ) -> None:
        token = visitor.csrf_token()
        for email in (acme.people["owner"].email, acme.people["member"].email, f"nobody@{acme.slug}.example"):
            form = {"email": email, "password": "guessed"}
            answers = [visitor.post("/auth/login", form, csrf=token).status_code for _ in range(11)]
            assert answers == [200] * 10 + [429], email

    def test_a_new_password_is_not_mailed_but_where_to_sign_in(
        self, app: Flask, acme: Workspace, visitor: Visitor, enforced: uuid.UUID
    ) -> None:
        member, unknown = acme.people["member"].email, f"nobody@{acme.slug}.example"
        pages = {page_of(visitor.post("/auth/reset", {"email": email}), email) for email in (member, unknown)}
        assert len(pages) == 1
        (message,) = mail_to(app, member)
        assert "belongs to Acme ID" in message.body
        assert "/auth/reset/" not in message.body
        assert mail_to(app, unknown) == []

    def test_a_mailed_link_from_before_sets_no_password(
        self, app: Flask, acme: Workspace, visitor: Visitor, stranger: Visitor, work: uuid.UUID
    ) -> None:
        member = acme.people["member"]
        link = ask_reset_link(app, visitor, member)
        sources.enforce(app, acme, work)
        answer = visitor.post(link, {"password": NEW_PASSWORD, "password_confirm": NEW_PASSWORD})
        assert "belongs to Acme ID" in answer.text
        relax(app, acme, work)
        typed(stranger, member.email, NEW_PASSWORD)
        assert not stranger.is_signed_in()

    def test_neither_password_nor_address_is_changed_here(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, member_there: str, enforced: uuid.UUID
    ) -> None:
        sources.sign_in(visitor, server, enforced, member_there)
        proof = {"password": acme.people["member"].password}
        new = {"new_password": NEW_PASSWORD, "new_password_confirm": NEW_PASSWORD}
        assert "belongs to Acme ID" in visitor.post("/auth/change", proof | new).text
        assert "belongs to Acme ID" in visitor.post("/auth/change-email", proof | {"email": "a@else.example"}).text
        assert mail_to(app, "a@else.example") == []

    def test_the_source_gets_them_in(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, member_there: str, enforced: uuid.UUID
    ) -> None:
        assert sources.sign_in(visitor, server, enforced, member_there).headers["Location"] == "/"
        assert visitor.is_signed_in()

    def test_a_passkey_is_closed(
        self, app: Flask, acme: Workspace, member: Visitor, visitor: Visitor, work: uuid.UUID
    ) -> None:
        device = add_passkey(member)
        assert use_passkey(Visitor(app, acme.host), device).status_code == 200
        sources.enforce(app, acme, work)
        answer = use_passkey(visitor, device)
        assert answer.status_code == 400
        assert "signed in to by Acme ID" in answer.text
        assert not visitor.is_signed_in()

    @pytest.mark.usefixtures("steady")
    def test_a_second_step_that_was_under_way_is_closed(
        self, app: Flask, acme: Workspace, member: Visitor, visitor: Visitor, work: uuid.UUID
    ) -> None:
        authenticator = set_up_app(app, member)
        visitor.sign_in(acme.people["member"])
        sources.enforce(app, acme, work)
        give_code(visitor, authenticator.code())
        assert not visitor.is_signed_in()
        assert sources.events_of(app, acme, "sign-in refused, enforced elsewhere") == ["database"]

    def test_an_existing_browser_is_signed_out_with_its_next_request(
        self, app: Flask, acme: Workspace, member: Visitor, work: uuid.UUID
    ) -> None:
        assert member.is_signed_in()
        sources.enforce(app, acme, work)
        assert member.get("/projects/").status_code == 302
        assert not member.is_signed_in()

    def test_sessions_of_another_source_end_and_its_own_stay(
        self, app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID, member_there: str
    ) -> None:
        second = sources.connect(app, acme, server, "second")
        other_there = sources.add_person(server, "m@two.example")
        sources.sign_in(sign_in(app, acme, "member"), server, second, other_there, "connect")
        by_second, by_work = Visitor(app, acme.host), Visitor(app, acme.host)
        sources.sign_in(by_second, server, second, other_there)
        sources.sign_in(by_work, server, work, member_there)
        assert by_second.is_signed_in()
        sources.enforce(app, acme, work)
        assert not by_second.is_signed_in()
        assert by_work.is_signed_in()

    def test_another_source_is_closed(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID
    ) -> None:
        second = sources.connect(app, acme, server, "second")
        there = sources.add_person(server, "m@two.example")
        sources.sign_in(sign_in(app, acme, "member"), server, second, there, "connect")
        sources.enforce(app, acme, work)
        sources.sign_in(visitor, server, second, there)
        assert not visitor.is_signed_in()
        assert sources.events_of(app, acme, "sign-in refused, enforced elsewhere") == [str(second)]
        assert ELSEWHERE in visitor.get("/auth/login?step=password").text

    def test_a_directory_is_closed_by_whichever_name(
        self, app: Flask, acme: Workspace, visitor: Visitor, enforced: uuid.UUID, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = {"servers": ["ldaps://ldap.example"], "base_dn": "dc=example"}
        office = sources.add(app, acme, "office", "ldap", settings)
        identity = ExternalIdentity(str(office), "1", email=f"uid@{acme.slug}.example", email_vouched=True, login="uid")

        class Directory:
            def authenticate(self, login: str, password: str, *, count: Callable[[str], None]) -> ExternalIdentity:
                return identity

        monkeypatch.setattr("auth.routing.provider_of", lambda config: Directory())
        for login in ("uid", f"uid@{acme.slug}.example"):
            typed(visitor, login, "the password at work")
            assert not visitor.is_signed_in()
        with inside(app, acme) as session:
            assert session.scalars(select(LoginSession)).all() == []

    def test_another_browser_of_somebody_who_comes_by_the_source_is_not_touched(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, member_there: str
    ) -> None:
        sources.sign_in(visitor, server, work, member_there)
        sources.enforce(app, acme, work)
        with inside(app, acme) as session:
            provided = set(session.scalars(select(LoginSession.provider)))
        assert provided == {str(work)}
        assert visitor.is_signed_in()


class TestExceptions:
    """Whom it does not concern, and the owner who is named to get in whatever happens."""

    def test_people_of_other_domains_are_not_touched(
        self, app: Flask, acme: Workspace, work: uuid.UUID, domain: str
    ) -> None:
        places = ("private.example", f"mail.{domain}", f"not{domain}", f"{domain}.example")
        people = [add_person(app, acme, email=f"{secrets.token_hex(4)}@{place}") for place in places]
        browsers = [Visitor(app, acme.host) for _ in people]
        for visitor, person in zip(browsers, people, strict=True):
            visitor.sign_in(person)
        sources.enforce(app, acme, work)
        for visitor, person in zip(browsers, people, strict=True):
            assert visitor.is_signed_in(), person.email
            again = Visitor(app, acme.host)
            assert again.sign_in(person).status_code == 302
            assert again.is_signed_in()
        assert "/auth/reset/" in ask_reset_link(app, Visitor(app, acme.host), people[0])

    def test_a_wrong_password_of_theirs_is_told_as_ever(
        self, app: Flask, acme: Workspace, visitor: Visitor, enforced: uuid.UUID
    ) -> None:
        answer = typed(visitor, f"{secrets.token_hex(4)}@private.example", "guessed")
        assert "is wrong" in answer.text
        assert ELSEWHERE not in answer.text

    def test_another_workspace_is_not_touched(
        self, app: Flask, globex: Workspace, enforced: uuid.UUID, domain: str
    ) -> None:
        person = add_person(app, globex, email=f"p@{domain}")
        visitor = Visitor(app, globex.host)
        visitor.sign_in(person)
        assert visitor.is_signed_in()

    def test_a_domain_in_letters_of_its_own_is_one_domain(
        self, app: Flask, acme: Workspace, server: OidcServer
    ) -> None:
        name = f"bücher-{acme.slug}.example"
        person = add_person(app, acme, email=f"leser@{name}")
        with inside(app, acme):
            domains.add_domain(name, actor=None, vouched=True)
        work = sources.connect(app, acme, server, label="Acme ID", domains=[name])
        visitor = Visitor(app, acme.host)
        visitor.sign_in(person)
        assert visitor.is_signed_in()
        sources.enforce(app, acme, work)
        assert not visitor.is_signed_in()
        assert ELSEWHERE in typed(visitor, person.email, person.password).text
        with inside(app, acme) as session:
            assert session.scalars(select(LoginSession).where(LoginSession.user_id == person.id)).all() == []

    def test_the_named_owner_gets_in_by_their_password_and_every_owner_is_told_each_time(
        self, app: Flask, acme: Workspace, enforced: uuid.UUID
    ) -> None:
        owner, second = acme.people["owner"], add_person(app, acme, role="owner")
        for times in (1, 2):
            visitor = Visitor(app, acme.host)
            visitor.sign_in(owner)
            assert visitor.is_signed_in()
            assert sources.events_of(app, acme, "break-glass sign-in") == ["database"] * times
            for address in (owner.email, second.email):
                messages = mail_to(app, address)
                assert len(messages) == times
                assert owner.email in messages[-1].body
        assert mail_to(app, acme.people["admin"].email) == []
        assert "Signed in by the emergency way" in visitor.get("/admin/sign-in/").text

    def test_the_named_owners_sessions_from_before_stay(
        self, app: Flask, acme: Workspace, owner: Visitor, work: uuid.UUID
    ) -> None:
        sources.enforce(app, acme, work)
        assert owner.is_signed_in()

    def test_the_named_owners_passkey_stays_a_way_in(
        self, app: Flask, acme: Workspace, owner: Visitor, visitor: Visitor, work: uuid.UUID
    ) -> None:
        device = add_passkey(owner)
        sources.enforce(app, acme, work)
        assert use_passkey(visitor, device).status_code == 200
        assert visitor.is_signed_in()
        assert sources.events_of(app, acme, "break-glass sign-in") == ["database"]

    def test_the_named_owner_may_ask_for_a_new_password(
        self, app: Flask, acme: Workspace, visitor: Visitor, enforced: uuid.UUID
    ) -> None:
        owner = acme.people["owner"]
        link = ask_reset_link(app, visitor, owner)
        visitor.post(link, {"password": NEW_PASSWORD, "password_confirm": NEW_PASSWORD})
        visitor.sign_in(Person(owner.id, owner.email, NEW_PASSWORD))
        assert visitor.is_signed_in()

    @pytest.mark.usefixtures("steady")
    def test_the_named_owners_second_factor_is_asked_for(
        self, app: Flask, acme: Workspace, owner: Visitor, visitor: Visitor, work: uuid.UUID
    ) -> None:
        authenticator = set_up_app(app, owner)
        sources.enforce(app, acme, work)
        visitor.sign_in(acme.people["owner"])
        assert not visitor.is_signed_in()
        assert sources.events_of(app, acme, "break-glass sign-in") == []
        give_code(visitor, authenticator.code())
        assert visitor.is_signed_in()
        assert sources.events_of(app, acme, "break-glass sign-in") == ["database"]

    def test_the_named_owners_way_by_the_source_is_no_emergency(
        self, app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID
    ) -> None:
        sub = sources.join(Visitor(app, acme.host), server, work, acme.people["owner"])
        sources.enforce(app, acme, work)
        sources.sign_in(Visitor(app, acme.host), server, work, sub)
        assert sources.events_of(app, acme, "break-glass sign-in") == []

    def test_another_owner_is_not_let_in(self, app: Flask, acme: Workspace, visitor: Visitor, work: uuid.UUID) -> None:
        second = add_person(app, acme, role="owner")
        before = Visitor(app, acme.host)
        before.sign_in(second)
        sources.enforce(app, acme, work)
        assert ELSEWHERE in typed(visitor, second.email, second.password).text
        assert not visitor.is_signed_in()
        assert not before.is_signed_in()

    def test_who_is_named_and_no_owner_any_more_is_not_let_in(
        self, app: Flask, acme: Workspace, owner: Visitor, visitor: Visitor, work: uuid.UUID
    ) -> None:
        grant(app, acme, acme.people["admin"], "owner")
        sources.enforce(app, acme, work)
        with inside(app, acme) as session:  # behind the guard that keeps them one
            named = row_of(acme.people["owner"])
            for held in session.scalars(select(roles.Grant).where(roles.Grant.user_id == named.id)):
                session.delete(held)
        assert not owner.is_signed_in()
        typed(visitor, acme.people["owner"].email, acme.people["owner"].password)
        assert not visitor.is_signed_in()

    def test_another_owner_can_be_named(
        self, app: Flask, acme: Workspace, owner: Visitor, visitor: Visitor, enforced: uuid.UUID
    ) -> None:
        second = add_person(app, acme, role="owner")
        sources.enforce(app, acme, enforced, second)
        visitor.sign_in(second)
        assert visitor.is_signed_in()
        assert not owner.is_signed_in()


class TestNotYetJoined:
    """Somebody who has an account here, and is not known at the source so far."""

    def test_the_source_and_then_the_password_join_them_in_one_browser(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, enforced: uuid.UUID
    ) -> None:
        member = acme.people["member"]
        sub = sources.join(visitor, server, enforced, member)
        assert visitor.is_signed_in()
        assert sources.subjects_of(app, acme, member.email) == [sub]
        again = Visitor(app, acme.host)
        sources.sign_in(again, server, enforced, sub)
        assert again.is_signed_in()
        typed(Visitor(app, acme.host), member.email, member.password)
        assert sources.events_of(app, acme, "break-glass sign-in") == []

    def test_a_wrong_password_joins_nothing(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, enforced: uuid.UUID
    ) -> None:
        member = acme.people["member"]
        sources.sign_in(visitor, server, enforced, sources.add_person(server, member.email))
        assert ELSEWHERE in typed(visitor, member.email, "guessed").text
        assert not visitor.is_signed_in()
        assert sources.subjects_of(app, acme, member.email) == []

    def test_in_another_browser_the_password_stays_closed(
        self, app: Flask, acme: Workspace, visitor: Visitor, stranger: Visitor, server: OidcServer, enforced: uuid.UUID
    ) -> None:
        member = acme.people["member"]
        sources.sign_in(visitor, server, enforced, sources.add_person(server, member.email))
        assert ELSEWHERE in typed(stranger, member.email, member.password).text
        assert not stranger.is_signed_in()

    def test_somebody_else_there_opens_no_password(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, enforced: uuid.UUID
    ) -> None:
        member = acme.people["member"]
        sources.sign_in(visitor, server, enforced, sources.add_person(server, acme.people["viewer"].email))
        assert ELSEWHERE in typed(visitor, member.email, member.password).text
        assert not visitor.is_signed_in()

    def test_another_source_opens_no_account_of_the_domain(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, enforced: uuid.UUID
    ) -> None:
        member = acme.people["member"]
        second = sources.connect(app, acme, server, "second")
        sources.sign_in(visitor, server, second, sources.add_person(server, member.email))
        typed(visitor, member.email, member.password)
        assert not visitor.is_signed_in()
        assert sources.subjects_of(app, acme, member.email) == []

    def test_another_source_opens_no_mailed_link_either(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, enforced: uuid.UUID
    ) -> None:
        member = acme.people["member"]
        second = sources.connect(app, acme, server, "second")
        sources.sign_in(visitor, server, second, sources.add_person(server, member.email))
        visitor.post("/auth/reset", {"email": member.email})
        (message,) = mail_to(app, member.email)
        assert "/auth/reset/" not in message.body

    def test_somebody_new_is_made_as_ever(
        self, app: Flask, visitor: Visitor, server: OidcServer, enforced: uuid.UUID, domain: str
    ) -> None:
        sources.sign_in(visitor, server, enforced, sources.add_person(server, f"new@{domain}"))
        assert visitor.get("/api/v1/me").get_json()["user"]["email"] == f"new@{domain}"


def relax(app: Flask, acme: Workspace, work: uuid.UUID) -> None:
    """Enforce the source no more."""
    with inside(app, acme) as session:
        configs.relax_provider(config_in(session, work), actor=None)


class TestEnds:
    """How long it lasts, and for whom it begins later."""

    @pytest.fixture
    def check(self, app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch) -> Callable[[Finding], str]:
        """Look for the domain's record, with that finding; gives back the domain's state."""

        def check(finding: Finding) -> str:
            monkeypatch.setattr(domains, "look_up", lambda records, _servers: [finding] * len(records))
            with inside(app, acme) as session:
                return domains.check(session.scalars(select(MailDomain)).one()).state

        return check

    def is_open(self, app: Flask, acme: Workspace) -> bool:
        """Whether the member gets in by their password."""
        visitor = Visitor(app, acme.host)
        visitor.sign_in(acme.people["member"])
        return visitor.is_signed_in()

    def test_relaxed_it_lets_everybody_in_again_and_former_sessions_stay_ended(
        self, app: Flask, acme: Workspace, member: Visitor, work: uuid.UUID
    ) -> None:
        sources.enforce(app, acme, work)
        relax(app, acme, work)
        assert not member.is_signed_in()
        assert self.is_open(app, acme)

    def test_a_former_session_of_who_was_named_before_stays_ended_too(
        self, app: Flask, acme: Workspace, owner: Visitor, work: uuid.UUID
    ) -> None:
        sources.enforce(app, acme, work)
        sources.enforce(app, acme, work, add_person(app, acme, role="owner"))
        relax(app, acme, work)
        assert not owner.is_signed_in()

    def test_a_missing_record_keeps_it(
        self, app: Flask, acme: Workspace, enforced: uuid.UUID, check: Callable[[Finding], str]
    ) -> None:
        assert check(Finding.ABSENT) == "warning"
        assert not self.is_open(app, acme)

    def test_a_lapsed_domain_ends_it_and_a_record_that_is_found_again_resumes_it(
        self, app: Flask, acme: Workspace, enforced: uuid.UUID, domain: str, check: Callable[[Finding], str]
    ) -> None:
        check(Finding.ABSENT)
        with inside(app, acme) as session:
            session.scalars(select(MailDomain)).one().proved_at = now() - 2 * PATIENCE
        assert check(Finding.ABSENT) == "lapsed"
        meanwhile = sign_in(app, acme, "member")
        assert check(Finding.FOUND) == "proved"
        assert not meanwhile.is_signed_in()
        assert not self.is_open(app, acme)
        with inside(app, acme) as session:
            provided = session.scalars(select(LoginSession).where(LoginSession.user_id == acme.people["member"].id))
            assert provided.all() == []

    def test_a_domain_that_is_given_up_ends_it(
        self, app: Flask, acme: Workspace, member: Visitor, work: uuid.UUID
    ) -> None:
        sources.enforce(app, acme, work)
        with inside(app, acme) as session:
            domains.remove_domain(session.scalars(select(MailDomain)).one(), None)
        assert self.is_open(app, acme)
        assert not member.is_signed_in()

    def test_a_domain_that_is_the_sources_no_more_is_free(
        self, app: Flask, acme: Workspace, enforced: uuid.UUID
    ) -> None:
        with inside(app, acme) as session:
            configs.change_provider(config_in(session, enforced), actor=None, domains=[])
        assert self.is_open(app, acme)

    def test_a_further_domain_is_closed_when_it_is_proved(
        self, app: Flask, acme: Workspace, enforced: uuid.UUID, domain: str
    ) -> None:
        person = add_person(app, acme, email=f"p@{acme.slug}.second.example")
        visitor = Visitor(app, acme.host)
        visitor.sign_in(person)
        with inside(app, acme) as session:
            further = [domain, f"{acme.slug}.second.example"]
            configs.change_provider(config_in(session, enforced), actor=None, domains=further)
        assert visitor.is_signed_in()
        with inside(app, acme):
            domains.add_domain(f"{acme.slug}.second.example", actor=None, vouched=True)
        assert not visitor.is_signed_in()
        assert ELSEWHERE in typed(visitor, person.email, person.password).text

    def test_an_enforced_source_is_neither_switched_off_nor_removed(
        self, app: Flask, acme: Workspace, enforced: uuid.UUID
    ) -> None:
        for attempt in (configs.disable_provider, configs.remove_provider):
            with inside(app, acme) as session, pytest.raises(InvalidProvider, match="Relax it first"):
                attempt(config_in(session, enforced), actor=None)
        assert sources.config_of(app, acme, enforced).enabled
        relax(app, acme, enforced)
        with inside(app, acme) as session:
            configs.remove_provider(config_in(session, enforced), actor=None)
        assert self.is_open(app, acme)

    def test_other_settings_keep_it(
        self, app: Flask, acme: Workspace, server: OidcServer, member_there: str, enforced: uuid.UUID
    ) -> None:
        with inside(app, acme) as session:
            config = config_in(session, enforced)
            configs.change_provider(config, actor=None, settings=config.settings | {"name_claim": "nick"})
        assert not self.is_open(app, acme)
        visitor = Visitor(app, acme.host)
        sources.sign_in(visitor, server, enforced, member_there)  # it is provisional, and knows people again
        assert visitor.is_signed_in()

    @pytest.fixture
    def outside(self, app: Flask, acme: Workspace) -> Person:
        return add_person(app, acme, email=f"{secrets.token_hex(4)}@private.example")

    def move(self, app: Flask, visitor: Visitor, person: Person, address: str) -> None:
        """Change the address, by the link that is mailed to the new one."""
        visitor.post("/auth/change-email", {"email": address, "password": person.password})
        visitor.get(path_of(link_in(mail_to(app, address)[-1])))

    def test_who_moves_into_the_domain_is_signed_out_with_the_next_request_and_comes_by_the_source(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, enforced: uuid.UUID, domain: str,
        outside: Person,
    ) -> None:  # fmt: skip
        visitor.sign_in(outside)
        self.move(app, visitor, outside, f"moved@{domain}")
        assert sources.user_at(app, acme, f"moved@{domain}") is not None
        assert not visitor.is_signed_in()
        moved = Person(outside.id, f"moved@{domain}")
        assert ELSEWHERE in typed(visitor, moved.email, moved.password).text
        sources.join(visitor, server, enforced, moved)
        assert visitor.is_signed_in()

    def test_the_former_session_of_who_moved_into_the_domain_stays_ended_too(
        self, app: Flask, acme: Workspace, visitor: Visitor, enforced: uuid.UUID, domain: str, outside: Person
    ) -> None:
        visitor.sign_in(outside)
        self.move(app, visitor, outside, f"moved@{domain}")
        relax(app, acme, enforced)
        assert not visitor.is_signed_in()

    def test_whom_somebody_else_moves_into_the_domain_is_signed_out_the_same(
        self, app: Flask, acme: Workspace, visitor: Visitor, enforced: uuid.UUID, domain: str, outside: Person
    ) -> None:
        visitor.sign_in(outside)
        change(app, acme, outside, email=f"moved@{domain}")
        assert not visitor.is_signed_in()
