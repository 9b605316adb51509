"""Signing in at an OpenID Connect provider, and who one is here then."""

import uuid
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from flask import Flask
from joserfc.jwk import ECKey, OKPKey, RSAKey
from sqlalchemy import select

from auth import provider_sessions
from auth.models import LoginSession, User
from auth.providers import configs
from auth.providers.models import LinkedIdentity, MailDomain, ProviderConfig
from auth.providers.oauth.metadata import issuers
from auth.providers.registry import open_secret
from tests.auth import sources
from tests.auth.conftest import Clock
from tests.auth.directories import roles_of
from tests.auth.helpers import (
    NEW_PASSWORD,
    at_once,
    change,
    give_code,
    grant,
    inside,
    link_in,
    mail_to,
    path_of,
    set_up_app,
)
from tests.factories import Person, Workspace, add_person
from tests.servers import oidc, require
from tests.servers.oidc import OidcServer
from tests.visitor import Visitor, sign_in

NO_ACCOUNT = "You have no account here yet"


@pytest.fixture(scope="module")
def server() -> Iterator[OidcServer]:
    with require(oidc.start) as server:
        yield server


@pytest.fixture(scope="module")
def other_server() -> Iterator[OidcServer]:
    """Another provider, which says everything in the ID token."""
    with require(partial(oidc.start, claims_in_id_token=True)) as server:
        yield server


@pytest.fixture
def email(acme: Workspace) -> str:
    """An address of acme's domain that no user has."""
    return f"alice@{acme.slug}.example"


@pytest.fixture
def alice(server: OidcServer, email: str) -> str:
    """A person at the provider, with an address of acme's domain."""
    return sources.add_person(server, email, name="Alice Adams", groups=["engineering"])


@pytest.fixture
def domain(app: Flask, acme: Workspace) -> str:
    """A domain that acme has proved."""
    return sources.own(app, acme, f"{acme.slug}.example")


@pytest.fixture
def work(app: Flask, acme: Workspace, server: OidcServer, domain: str) -> uuid.UUID:
    """acme's source, which makes users of its proved domain."""
    return sources.connect(app, acme, server, label="Acme ID", domains=[domain])


def me_in(visitor: Visitor) -> dict[str, Any]:
    """Who is signed in."""
    me: dict[str, Any] = visitor.get("/api/v1/me").get_json()
    return me


def told(visitor: Visitor) -> str:
    """The page on which somebody who was sent away finds out why."""
    return visitor.get("/auth/login?step=password").text


def joined(app: Flask, workspace: Workspace, server: OidcServer, config_id: uuid.UUID) -> tuple[Person, str]:
    """A member who signs in by their password and by the source, and who they are there."""
    person = workspace.people["member"]
    return person, sources.join(Visitor(app, workspace.host), server, config_id, person)


class TestFirstSignIn:
    """Somebody whom the workspace does not know."""

    def test_a_person_is_made_at_their_first_sign_in_and_known_at_the_second(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, alice: str, email: str
    ) -> None:
        sources.map_group(app, acme, "engineering", "member")
        answer = sources.sign_in(visitor, server, work, alice)
        assert answer.status_code == 302, answer.text
        me = me_in(visitor)
        assert (me["user"]["email"], me["user"]["name"]) == (email, "Alice Adams")
        assert me["roles"] == ["member"]
        again = Visitor(app, acme.host)
        assert sources.sign_in(again, server, work, alice).headers["Location"] == "/"
        assert me_in(again)["user"]["id"] == me["user"]["id"]

    def test_whoever_is_made_has_a_confirmed_address_and_no_password(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, alice: str, email: str
    ) -> None:
        sources.sign_in(visitor, server, work, alice)
        user = sources.user_at(app, acme, email)
        assert user is not None
        assert user.confirmed_at is not None
        assert user.password is None

    def test_a_domain_that_is_not_proved_just_now_makes_nobody(
        self, app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID, alice: str, email: str
    ) -> None:
        for state in ("pending", "warning", "lapsed"):
            with inside(app, acme) as session:
                session.scalars(select(MailDomain)).one().state = state
            visitor = Visitor(app, acme.host)
            sources.sign_in(visitor, server, work, alice)
            assert NO_ACCOUNT in told(visitor), state
            assert not visitor.is_signed_in()
            assert sources.user_at(app, acme, email) is None

    def test_a_proved_domain_that_is_not_the_sources_makes_nobody(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, domain: str, alice: str, email: str
    ) -> None:
        work = sources.connect(app, acme, server, domains=["elsewhere.example"])
        sources.sign_in(visitor, server, work, alice)
        assert NO_ACCOUNT in told(visitor)
        assert sources.user_at(app, acme, email) is None

    def test_a_domain_that_another_workspace_has_proved_makes_nobody(
        self, app: Flask, acme: Workspace, globex: Workspace, visitor: Visitor, server: OidcServer
    ) -> None:
        theirs = sources.own(app, globex, f"{globex.slug}.example")
        work = sources.connect(app, acme, server, domains=[theirs])
        sources.sign_in(visitor, server, work, sources.add_person(server, f"alice@{theirs}"))
        assert NO_ACCOUNT in told(visitor)
        assert sources.user_at(app, acme, f"alice@{theirs}") is None

    def test_a_subdomain_is_another_domain(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, domain: str
    ) -> None:
        sources.sign_in(visitor, server, work, sources.add_person(server, f"alice@mail.{domain}"))
        assert sources.user_at(app, acme, f"alice@mail.{domain}") is None

    def test_a_source_that_never_makes_users_makes_nobody(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, domain: str, alice: str, email: str
    ) -> None:
        work = sources.connect(app, acme, server, domains=[domain], creates_users="never")
        sources.sign_in(visitor, server, work, alice)
        assert NO_ACCOUNT in told(visitor)
        assert sources.user_at(app, acme, email) is None

    def test_an_address_that_the_provider_has_not_verified_makes_nobody(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, email: str
    ) -> None:
        for said in (False, "true", 1, None):
            sources.sign_in(visitor, server, work, sources.add_person(server, email, email_verified=said))
            assert NO_ACCOUNT in told(visitor), said
            assert sources.user_at(app, acme, email) is None

    def test_a_source_that_may_speak_for_the_domain_makes_users_of_unverified_addresses(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, domain: str, email: str
    ) -> None:
        work = sources.connect(app, acme, server, domains=[domain], trust_email=True)
        sources.sign_in(visitor, server, work, sources.add_person(server, email, email_verified=False))
        assert me_in(visitor)["user"]["email"] == email

    def test_it_may_speak_for_no_other_domain(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, domain: str
    ) -> None:
        known = add_person(app, acme, email=f"bob-{acme.slug}@private.example")
        work = sources.connect(app, acme, server, domains=[domain, "private.example"], trust_email=True)
        for name in (f"new-{acme.slug}@private.example", known.email):
            sources.sign_in(visitor, server, work, sources.add_person(server, name, email_verified=False))
            assert NO_ACCOUNT in told(visitor)
        visitor.sign_in(known)
        assert sources.subjects_of(app, acme, known.email) == []

    def test_who_has_no_usable_address_is_not_made(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, domain: str
    ) -> None:
        for address in (None, "", "alice", f"@{domain}", f"a@b@{domain}", f"a b@{domain}"):
            answer = sources.sign_in(visitor, server, work, sources.add_person(server, address))
            assert answer.status_code == 302, address
            assert not visitor.is_signed_in()
        with inside(app, acme) as session:
            assert session.scalars(select(LinkedIdentity)).all() == []

    def test_the_first_sign_in_in_two_browsers_at_once_makes_one_user(
        self, app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        sources.map_group(app, acme, "engineering", "member")
        visitors = [Visitor(app, acme.host) for _ in range(3)]
        backs = [oidc.sign_in(server, sources.depart(visitor, work), alice) for visitor in visitors]
        answers = at_once([partial(sources.follow, *one) for one in zip(visitors, backs, strict=True)])
        assert [answer.headers["Location"] for answer in answers] == ["/"] * 3
        assert {me_in(visitor)["user"]["id"] for visitor in visitors} == {me_in(visitors[0])["user"]["id"]}
        assert [roles_of(visitor) for visitor in visitors] == [["member"]] * 3

    @pytest.fixture
    def provisional(self, app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID) -> uuid.UUID:
        """The source, at which nobody has rehearsed a sign-in."""
        with inside(app, acme) as session:
            session.find(ProviderConfig, work).rehearsed_at = None
        return work

    def test_a_provisional_source_makes_nobody(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, provisional: uuid.UUID, alice: str
    ) -> None:
        sources.sign_in(visitor, server, provisional, alice)
        assert NO_ACCOUNT in told(visitor)
        assert sources.user_at(app, acme, f"alice@{acme.slug}.example") is None

    def test_a_provisional_source_joins_nobody(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, provisional: uuid.UUID
    ) -> None:
        member = acme.people["member"]
        sources.sign_in(visitor, server, provisional, sources.add_person(server, member.email))
        assert NO_ACCOUNT in told(visitor)
        visitor.sign_in(member)
        assert sources.subjects_of(app, acme, member.email) == []

    def test_a_refusal_is_noted_for_administrators(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, alice: str
    ) -> None:
        work = sources.connect(app, acme, server)
        sources.sign_in(visitor, server, work, alice)
        assert sources.events_of(app, acme, "single sign-on refused") == [f"{server.issuer} {alice}"]

    def test_the_language_of_the_provider_is_taken_if_it_is_offered(
        self, app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID, domain: str
    ) -> None:
        for name, locale, taken in (("es", "es-MX", "es"), ("tlh", "tlh", None)):
            sub = sources.add_person(server, f"{name}@{domain}", locale=locale)
            sources.sign_in(Visitor(app, acme.host), server, work, sub)
            user = sources.user_at(app, acme, f"{name}@{domain}")
            assert user is not None
            assert user.locale == taken

    def test_the_login_session_names_the_source(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        sources.sign_in(visitor, server, work, alice)
        with inside(app, acme) as session:
            row = session.scalars(select(LoginSession)).one()
        assert (row.provider, row.methods) == (str(work), "single sign-on")
        assert "Acme ID" in visitor.get("/account/sessions").text


class TestKnownPeople:
    """Somebody who has signed in before."""

    @pytest.fixture
    def signed_in(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, alice: str
    ) -> Visitor:
        """A browser in which alice is signed in by the source."""
        sources.sign_in(visitor, server, work, alice)
        return visitor

    def test_a_new_name_and_address_are_followed_and_the_user_stays_the_same(
        self, app: Flask, acme: Workspace, signed_in: Visitor, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        before = me_in(signed_in)["user"]
        server.add_person(alice, email=f"alicia@{acme.slug}.example", email_verified=True, name="Alicia Brown")
        again = Visitor(app, acme.host)
        sources.sign_in(again, server, work, alice)
        assert me_in(again)["user"] == {
            "id": before["id"], "email": f"alicia@{acme.slug}.example", "name": "Alicia Brown"
        }  # fmt: skip

    def test_a_link_that_was_mailed_to_the_former_address_is_worth_nothing(
        self, app: Flask, acme: Workspace, signed_in: Visitor, server: OidcServer, work: uuid.UUID, alice: str,
        email: str,
    ) -> None:  # fmt: skip
        stranger = Visitor(app, acme.host)
        stranger.post("/auth/reset", {"email": email})
        link = path_of(link_in(mail_to(app, email)[-1]))
        server.add_person(alice, email=f"alicia@{acme.slug}.example", email_verified=True)
        sources.sign_in(Visitor(app, acme.host), server, work, alice)
        stranger.post(link, {"password": NEW_PASSWORD, "password_confirm": NEW_PASSWORD})
        assert not stranger.is_signed_in()
        user = sources.user_at(app, acme, f"alicia@{acme.slug}.example")
        assert user is not None
        assert user.password is None

    def test_an_address_of_another_domain_or_account_is_not_taken_over(
        self, app: Flask, acme: Workspace, signed_in: Visitor, server: OidcServer, work: uuid.UUID, alice: str,
        email: str,
    ) -> None:  # fmt: skip
        for new in ("alice@elsewhere.example", acme.people["owner"].email):
            server.add_person(alice, email=new, email_verified=True)
            sources.sign_in(signed_in, server, work, alice)
            assert me_in(signed_in)["user"]["email"] == email

    def test_an_account_with_a_password_keeps_its_name_and_address(
        self, app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID
    ) -> None:
        member, sub = joined(app, acme, server, work)
        server.add_person(sub, email=f"new@{acme.slug}.example", email_verified=True, name="Another Name")
        visitor = Visitor(app, acme.host)
        sources.sign_in(visitor, server, work, sub)
        assert me_in(visitor)["user"] == {"id": str(member.id), "email": member.email, "name": "Member"}

    def test_somebody_who_has_the_address_now_is_not_who_had_it_before(
        self, app: Flask, acme: Workspace, signed_in: Visitor, server: OidcServer, work: uuid.UUID, email: str
    ) -> None:
        visitor = Visitor(app, acme.host)
        sources.sign_in(visitor, server, work, sources.add_person(server, email))
        assert not visitor.is_signed_in()

    def test_a_user_who_was_deactivated_here_is_not_let_in(
        self, app: Flask, acme: Workspace, signed_in: Visitor, server: OidcServer, work: uuid.UUID, alice: str,
        email: str,
    ) -> None:  # fmt: skip
        with inside(app, acme) as session:
            session.scalar(select(User).where(User.email == email)).active = False
        visitor = Visitor(app, acme.host)
        sources.sign_in(visitor, server, work, alice)
        assert "deactivated" in told(visitor)
        assert not visitor.is_signed_in()
        assert not signed_in.is_signed_in()

    def test_a_provisional_source_lets_in_whom_it_knows(
        self, app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID, alice: str, email: str
    ) -> None:
        sources.sign_in(Visitor(app, acme.host), server, work, alice)
        with inside(app, acme) as session:
            session.find(ProviderConfig, work).rehearsed_at = None
        visitor = Visitor(app, acme.host)
        sources.sign_in(visitor, server, work, alice)
        assert me_in(visitor)["user"]["email"] == email

    def test_a_provisional_source_moves_nobody_to_another_address(
        self, app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID, alice: str, email: str
    ) -> None:
        sources.sign_in(Visitor(app, acme.host), server, work, alice)
        with inside(app, acme) as session:
            session.find(ProviderConfig, work).rehearsed_at = None
        server.add_person(alice, email=f"moved@{acme.slug}.example", email_verified=True)
        visitor = Visitor(app, acme.host)
        sources.sign_in(visitor, server, work, alice)
        assert me_in(visitor)["user"]["email"] == email

    def test_a_source_that_is_switched_off_is_not_there(
        self, app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        visitor = Visitor(app, acme.host)
        back = oidc.sign_in(server, sources.depart(visitor, work), alice)
        with inside(app, acme):
            configs.disable_provider(configs.get_config("work"), actor=None)
        assert visitor.get(f"/sso/{work}/start").status_code == 404
        assert sources.follow(visitor, back).status_code == 404
        assert "Acme ID" not in visitor.get("/auth/login").text
        assert not visitor.is_signed_in()


class TestGroups:
    """Roles by the groups that the provider names."""

    def test_they_give_and_take_roles_at_each_sign_in(
        self, app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID, alice: str, email: str
    ) -> None:
        sources.map_group(app, acme, "engineering", "member")
        sources.map_group(app, acme, "leads", "admin")
        visitor, browser = Visitor(app, acme.host), oidc.Browser(server)
        found = []
        for names in (["engineering"], ["engineering", "leads", "unmapped"], ["leads"], [], "engineering"):
            server.add_person(alice, email=email, email_verified=True, groups=names)
            sources.sign_in(visitor, server, work, alice, browser=browser)
            found.append(roles_of(visitor))
        assert found == [["member"], ["admin", "member"], ["admin"], [], ["member"]]

    def test_a_lost_role_is_lost_in_every_browser(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, alice: str, email: str
    ) -> None:
        sources.map_group(app, acme, "engineering", "member")
        sources.sign_in(visitor, server, work, alice)
        server.add_person(alice, email=email, email_verified=True)
        sources.sign_in(Visitor(app, acme.host), server, work, alice)
        assert roles_of(visitor) == []

    def test_grants_of_another_origin_are_not_touched(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, alice: str, email: str
    ) -> None:
        sources.map_group(app, acme, "engineering", "member")
        sources.sign_in(visitor, server, work, alice)
        user = sources.user_at(app, acme, email)
        assert user is not None
        for role in ("member", "viewer"):
            grant(app, acme, Person(user.id, email), role)
        server.add_person(alice, email=email, email_verified=True, groups=[])
        sources.sign_in(visitor, server, work, alice)
        assert roles_of(visitor) == ["member", "viewer"]

    def test_they_may_stand_deep_in_a_claim(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, domain: str, email: str
    ) -> None:
        work = sources.connect(
            app, acme, server, domains=[domain], groups_claim="realm_access.roles", scopes=["openid", "email", "roles"]
        )
        sources.map_group(app, acme, "leads", "admin")
        sub = sources.add_person(server, email, realm_access={"roles": ["leads"]}, groups=["other"])
        sources.sign_in(visitor, server, work, sub)
        assert roles_of(visitor) == ["admin"]

    def test_an_explanation_names_the_source_and_the_group(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, alice: str, email: str
    ) -> None:
        sources.map_group(app, acme, "engineering", "member")
        sources.sign_in(visitor, server, work, alice)
        arguments = ["roles", "explain", email, "project:read", "--tenant", acme.slug]
        said = app.test_cli_runner().invoke(args=arguments).output
        assert f"origin 'provider:{work}'" in said
        assert "group 'engineering'" in said


class TestProviders:
    """How the provider is asked."""

    @pytest.mark.parametrize("asked", [True, False])
    def test_what_is_not_in_the_token_is_asked_for_and_only_then(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, other_server: OidcServer, domain: str,
        email: str, asked: bool,
    ) -> None:  # fmt: skip
        provider = server if asked else other_server
        work = sources.connect(app, acme, provider, domains=[domain])
        sources.map_group(app, acme, "engineering", "member")
        sub = sources.add_person(provider, email, name="Alice Adams", groups=["engineering"])
        before = provider.requests().count(("GET", "/me"))
        sources.sign_in(visitor, provider, work, sub)
        me = me_in(visitor)
        assert (me["user"]["email"], me["user"]["name"], me["roles"]) == (email, "Alice Adams", ["member"])
        assert provider.requests().count(("GET", "/me")) == before + asked

    @pytest.mark.parametrize("method", ["client_secret_post", "none"])
    def test_a_client_proves_itself_as_the_provider_wants(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, domain: str, alice: str, method: str
    ) -> None:
        client = {"token_endpoint_auth_method": method}
        work = sources.connect(app, acme, server, domains=[domain], client=client, client_auth=method)
        sources.sign_in(visitor, server, work, alice)
        assert visitor.is_signed_in()

    @pytest.mark.parametrize(("kind", "size"), [(RSAKey, 2048), (ECKey, "P-256"), (OKPKey, "Ed25519")])
    def test_a_client_may_prove_itself_by_its_own_key(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, domain: str, alice: str, kind: Any,
        size: Any,
    ) -> None:  # fmt: skip
        key = kind.generate_key(size, auto_kid=True)
        jwks = {"keys": [key.as_dict(private=False)]}
        work = sources.connect(
            app, acme, server, domains=[domain], key=key.as_pem(private=True).decode(), client_auth="private_key_jwt",
            client={"token_endpoint_auth_method": "private_key_jwt", "jwks": jwks}, key_id=key.kid,
        )  # fmt: skip
        sources.sign_in(visitor, server, work, alice)
        assert visitor.is_signed_in()

    def test_a_refusal_there_is_told_as_one(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID
    ) -> None:
        answer = sources.follow(visitor, oidc.Browser(server).cancel(sources.depart(visitor, work)))
        assert answer.status_code == 403
        assert "You were not signed in" in answer.text
        assert sources.events_of(app, acme, "single sign-on failed") == ["denied"]

    def test_a_provider_that_does_not_answer_is_told_as_one(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        back = oidc.sign_in(server, sources.depart(visitor, work), alice)
        server.stop()
        try:
            answer = sources.follow(visitor, back)
        finally:
            server.start()
        assert answer.status_code == 503
        assert "Acme ID cannot be reached" in answer.text
        assert answer.headers["Retry-After"]
        assert sources.events_of(app, acme, "single sign-on failed")[0].startswith("unreachable")

    def test_who_has_an_account_of_their_own_gets_in_while_it_does_not_answer(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID
    ) -> None:
        issuers.forget()
        server.stop()
        try:
            assert visitor.get(f"/sso/{work}/start").status_code == 503
            assert visitor.sign_in(acme.people["member"]).status_code == 302
        finally:
            server.start()

    def test_keys_that_were_changed_there_are_fetched(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        issuers.forget()
        sources.sign_in(Visitor(app, acme.host), server, work, alice)
        server.rotate_keys()
        issuers.forget()  # it is asked for keys once a minute at most
        sources.sign_in(visitor, server, work, alice)
        assert visitor.is_signed_in()

    @pytest.mark.parametrize(
        ("step", "told"),
        [
            ("start", "You were not signed in"),
            ("connect", "Your account was not connected"),
            ("rehearse", "The rehearsal was broken off"),
        ],
    )
    def test_a_refusal_is_told_as_what_did_not_happen(
        self, owner: Visitor, server: OidcServer, work: uuid.UUID, step: str, told: str
    ) -> None:
        answer = sources.follow(owner, oidc.Browser(server).cancel(sources.depart(owner, work, step)))
        assert f">{told}</h1>" in answer.text

    def test_the_secret_is_in_no_page_address_or_answer(
        self, app: Flask, acme: Workspace, owner: Visitor, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        with inside(app, acme):
            config = configs.get_config("work")
            secret, stored = open_secret(config), config.secret
        assert secret is not None
        assert stored is not None
        away = sources.depart(owner, work)
        failed = sources.follow(owner, oidc.Browser(server).cancel(away))
        rehearsed = sources.sign_in(owner, server, work, alice, "rehearse")
        pages = [owner.get(path) for path in ("/admin/sign-in/", "/api/v1/providers", "/account/", "/auth/login")]
        assert [page.status_code for page in (rehearsed, *pages[:3])] == [200] * 4
        shown = away + "".join(page.text for page in (failed, rehearsed, *pages))
        assert secret.get_secret_value() not in shown
        assert stored not in shown
        for words in (["providers", "show", "work"], ["providers", "list", "--json"]):
            said = app.test_cli_runner().invoke(args=[*words, "--tenant", acme.slug]).output
            assert "has_secret" in said
            assert secret.get_secret_value() not in said
            assert stored not in said

    def test_the_secret_is_encrypted_and_of_no_use_in_another_row(
        self, app: Flask, acme: Workspace, globex: Workspace, server: OidcServer, work: uuid.UUID
    ) -> None:
        theirs = sources.connect(app, globex, server)
        stolen = sources.config_of(app, acme, work).secret
        with inside(app, globex) as session:
            session.find(ProviderConfig, theirs).secret = stolen
        answer = Visitor(app, globex.host).get(f"/sso/{theirs}/start")
        assert answer.status_code == 502
        assert sources.events_of(app, globex, "single sign-on failed") == ["secret-lost"]


class TestWayBack:
    """From the provider to the page that one wanted."""

    def test_where_one_wanted_to_go_is_kept(
        self, visitor: Visitor, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        assert "next=/projects/" in visitor.get("/auth/login?next=/projects/").text
        answer = sources.sign_in(visitor, server, work, alice, next="/projects/?page=2")
        assert answer.headers["Location"] == "/projects/?page=2"

    def test_nobody_is_led_elsewhere(self, visitor: Visitor, server: OidcServer, work: uuid.UUID, alice: str) -> None:
        browser = oidc.Browser(server)
        for foreign in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:x"):
            answer = sources.sign_in(visitor, server, work, alice, browser=browser, next=foreign)
            assert answer.headers["Location"] == "/"

    def test_through_the_broker(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, domain: str, alice: str
    ) -> None:
        brokered = sources.connect(app, acme, server, broker=True, domains=[domain])
        answer = sources.sign_in(visitor, server, brokered, alice, next="/projects/")
        assert answer.status_code == 302, answer.text
        assert answer.headers["Location"] == "/projects/"
        assert visitor.is_signed_in()

    def test_two_tabs_both_arrive(self, visitor: Visitor, server: OidcServer, work: uuid.UUID, alice: str) -> None:
        tabs = [sources.depart(visitor, work, next=path) for path in ("/account/", "/projects/")]
        # Each signs in there on its own: the tests' provider forgets the first code of a browser with its second.
        backs = [oidc.sign_in(server, address, alice) for address in tabs]
        assert sources.follow(visitor, backs[1]).headers["Location"] == "/projects/"
        assert sources.follow(visitor, backs[0]).headers["Location"] == "/account/"
        assert visitor.is_signed_in()

    def test_two_tabs_of_a_new_browser_that_set_out_in_the_same_moment_both_arrive(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        visitor.get("/auth/login")
        tab = Visitor(app, acme.host)
        tab.take_cookies(visitor.cookies())
        backs = [oidc.sign_in(server, sources.depart(one, work), alice) for one in (visitor, tab)]
        visitor.take_cookies(tab.cookies())  # whichever answer came last
        assert [sources.follow(visitor, back).status_code for back in backs] == [302, 302]

    def test_a_way_back_is_gone_once(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        back = oidc.sign_in(server, sources.depart(visitor, work), alice)
        assert sources.follow(visitor, back).status_code == 302
        assert sources.follow(visitor, back).status_code == 400

    def test_another_browser_neither_arrives_nor_keeps_the_first_from_it(
        self, visitor: Visitor, stranger: Visitor, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        back = oidc.sign_in(server, sources.depart(visitor, work), alice)
        stranger.get(f"/sso/{work}/start")  # it is a browser that has set out, too
        assert sources.follow(stranger, back).status_code == 400
        assert not stranger.is_signed_in()
        assert sources.follow(visitor, back).status_code == 302

    def test_after_ten_minutes_nobody_arrives(
        self, visitor: Visitor, server: OidcServer, work: uuid.UUID, alice: str, clock: Clock
    ) -> None:
        back = oidc.sign_in(server, sources.depart(visitor, work), alice)
        clock.advance(minutes=11)
        answer = sources.follow(visitor, back)
        assert answer.status_code == 400
        assert "longer than ten minutes" in answer.text

    def test_whoever_was_signed_in_before_is_no_longer(
        self, app: Flask, acme: Workspace, member: Visitor, server: OidcServer, work: uuid.UUID, alice: str, email: str
    ) -> None:
        former = member.cookies()
        sources.sign_in(member, server, work, alice)
        assert me_in(member)["user"]["email"] == email
        thief = Visitor(app, acme.host)
        thief.take_cookies(former)
        assert not thief.is_signed_in()


@pytest.mark.usefixtures("steady")
class TestFurtherProofs:
    """A second factor, and one more proof of somebody who is signed in."""

    SENSITIVE = "/auth/tf-setup"

    def test_a_second_factor_is_asked_for_whoever_vouches_for_the_first(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        sources.sign_in(visitor, server, work, alice)
        authenticator = set_up_app(app, visitor)
        again = Visitor(app, acme.host)
        answer = sources.sign_in(again, server, work, alice, next="/projects/")
        assert "/auth/tf-validate" in answer.headers["Location"]
        assert not again.is_signed_in()
        give_code(again, "000000")
        assert not again.is_signed_in()
        give_code(again, authenticator.code())
        assert again.is_signed_in()
        with inside(app, acme) as session:
            found = {(row.provider, row.methods) for row in session.scalars(select(LoginSession))}
        assert (str(work), "single sign-on,authenticator") in found

    def test_where_one_wanted_to_go_is_kept_over_the_second_factor(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        sources.sign_in(visitor, server, work, alice)
        authenticator = set_up_app(app, visitor)
        again = Visitor(app, acme.host)
        asked = sources.sign_in(again, server, work, alice, next="/projects/").headers["Location"]
        assert give_code(again, authenticator.code(), asked).headers["Location"] == "/projects/"

    def test_a_session_that_has_ended_there_meanwhile_signs_nobody_in(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        sources.sign_in(visitor, server, work, alice)
        authenticator = set_up_app(app, visitor)
        again = Visitor(app, acme.host)
        sources.sign_in(again, server, work, alice)
        with inside(app, acme):
            provider_sessions.end(configs.get_config("work"), subject=f"{server.issuer} {alice}")
        give_code(again, authenticator.code())
        assert not again.is_signed_in()
        assert "signed out there meanwhile" in told(again)

    def test_the_first_step_counts_for_ten_minutes(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, alice: str,
        clock: Clock,
    ) -> None:  # fmt: skip
        sources.sign_in(visitor, server, work, alice)
        authenticator = set_up_app(app, visitor)
        again = Visitor(app, acme.host)
        sources.sign_in(again, server, work, alice)
        clock.advance(minutes=11)
        assert "waited too long" in give_code(again, authenticator.code()).text
        assert not again.is_signed_in()

    def test_a_deactivated_user_is_not_asked_for_a_second_factor(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID
    ) -> None:
        member, sub = joined(app, acme, server, work)
        set_up_app(app, sign_in(app, acme, "member"))
        change(app, acme, member, active=False)
        answer = sources.sign_in(visitor, server, work, sub)
        assert "tf-validate" not in answer.headers["Location"]

    @pytest.fixture
    def known(self, app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID) -> str:
        """Who the member is at the source."""
        return joined(app, acme, server, work)[1]

    @pytest.fixture
    def stale(self, app: Flask, acme: Workspace, clock: Clock, known: str) -> Visitor:
        """A browser in which the member has signed in twenty minutes ago."""
        clock.offset = timedelta(minutes=-20)
        visitor = sign_in(app, acme, "member")
        clock.offset = timedelta()
        assert "/auth/verify" in visitor.get(self.SENSITIVE).headers["Location"]
        return visitor

    def test_the_source_opens_what_takes_a_recent_proof(
        self, stale: Visitor, server: OidcServer, work: uuid.UUID, known: str
    ) -> None:
        assert f"/sso/{work}/verify" in stale.get(f"/auth/verify?next={self.SENSITIVE}").text
        answer = sources.sign_in(stale, server, work, known, "verify", next=self.SENSITIVE)
        assert answer.headers["Location"] == self.SENSITIVE
        assert stale.get(self.SENSITIVE).status_code == 200

    def test_the_login_session_has_a_new_id_after_one_more_proof(
        self, app: Flask, acme: Workspace, stale: Visitor, server: OidcServer, work: uuid.UUID, known: str
    ) -> None:
        former = stale.cookies()
        sources.sign_in(stale, server, work, known, "verify")
        thief = Visitor(app, acme.host)
        thief.take_cookies(former)
        assert not thief.is_signed_in()
        assert stale.is_signed_in()

    def test_another_person_there_opens_nothing(
        self, stale: Visitor, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        answer = sources.sign_in(stale, server, work, alice, "verify", next=self.SENSITIVE)
        assert answer.headers["Location"] == f"/auth/verify?next={self.SENSITIVE}"
        assert "another person" in stale.get(answer.headers["Location"]).text
        assert "/auth/verify" in stale.get(self.SENSITIVE).headers["Location"]
        assert stale.is_signed_in()

    def test_another_user_there_opens_nothing_either(
        self, app: Flask, acme: Workspace, stale: Visitor, server: OidcServer, work: uuid.UUID
    ) -> None:
        sub = sources.join(Visitor(app, acme.host), server, work, acme.people["viewer"])
        sources.sign_in(stale, server, work, sub, "verify")
        assert "/auth/verify" in stale.get(self.SENSITIVE).headers["Location"]
        assert me_in(stale)["user"]["email"] == acme.people["member"].email

    def test_who_is_signed_in_there_is_asked_for_the_password_all_the_same(
        self, stale: Visitor, server: OidcServer, work: uuid.UUID, known: str
    ) -> None:
        browser = oidc.Browser(server)
        sources.sign_in(stale, server, work, known, browser=browser)
        with pytest.raises(oidc.Refused, match="Wrong login or password"):
            browser.sign_in(sources.depart(stale, work, "verify"), known, "guessed")

    def test_a_source_that_does_not_know_the_user_is_no_way(self, owner: Visitor, work: uuid.UUID, known: str) -> None:
        assert f"/sso/{work}" not in owner.get("/auth/verify").text
        assert owner.get(f"/sso/{work}/verify").headers["Location"] == "/auth/verify"

    def test_one_more_proof_is_of_no_use_to_whoever_is_signed_in_by_then(
        self, acme: Workspace, stale: Visitor, server: OidcServer, work: uuid.UUID, known: str
    ) -> None:
        back = oidc.sign_in(server, sources.depart(stale, work, "verify"), known)
        sources.sign_in(stale, server, work, sources.add_person(server, f"bob@{acme.slug}.example"))
        assert sources.follow(stale, back).status_code in (400, 403)
        assert me_in(stale)["user"]["email"] == f"bob@{acme.slug}.example"

    def test_nobody_who_is_not_signed_in_sets_out_for_one_more_proof(self, visitor: Visitor, work: uuid.UUID) -> None:
        assert "/auth/login" in visitor.get(f"/sso/{work}/verify").headers["Location"]


class TestWorkspaces:
    """Several workspaces, and several sources."""

    def test_each_has_its_own_provider(
        self, app: Flask, acme: Workspace, globex: Workspace, visitor: Visitor, server: OidcServer,
        other_server: OidcServer, work: uuid.UUID, alice: str, email: str,
    ) -> None:  # fmt: skip
        theirs = sources.own(app, globex, f"{globex.slug}.example")
        other = sources.connect(app, globex, other_server, domains=[theirs])
        other_server.add_person(alice, email=f"other@{theirs}", email_verified=True)
        elsewhere = Visitor(app, globex.host)
        back, back_elsewhere = (
            oidc.sign_in(provider, sources.depart(who, config_id), alice)
            for who, provider, config_id in ((visitor, server, work), (elsewhere, other_server, other))
        )
        sources.follow(visitor, back)
        sources.follow(elsewhere, back_elsewhere)
        assert (me_in(visitor)["user"]["email"], me_in(elsewhere)["user"]["email"]) == (email, f"other@{theirs}")

    def test_the_source_of_one_is_none_of_anothers(self, app: Flask, globex: Workspace, work: uuid.UUID) -> None:
        elsewhere = Visitor(app, globex.host)
        for path in ("start", "callback?state=x&code=y", "finish?code=x", "signed-out"):
            assert elsewhere.get(f"/sso/{work}/{path}").status_code == 404

    def test_an_answer_for_one_is_worth_nothing_at_another(
        self, app: Flask, acme: Workspace, globex: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID,
        alice: str,
    ) -> None:  # fmt: skip
        theirs = sources.connect(app, globex, server)
        back = oidc.sign_in(server, sources.depart(visitor, work), alice)
        moved = back.replace(acme.host, globex.host).replace(str(work), str(theirs))
        elsewhere = Visitor(app, globex.host)
        elsewhere.get(f"/sso/{theirs}/start")
        assert sources.follow(elsewhere, moved).status_code == 400
        assert not elsewhere.is_signed_in()

    def test_the_same_person_in_two_is_two_users(
        self, app: Flask, acme: Workspace, globex: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID,
        alice: str, email: str,
    ) -> None:  # fmt: skip
        theirs = sources.connect(app, globex, server)
        there = add_person(app, globex, email=email, role="viewer")
        sources.map_group(app, acme, "engineering", "member")
        sources.sign_in(visitor, server, work, alice)
        elsewhere = Visitor(app, globex.host)
        sources.sign_in(elsewhere, server, theirs, alice)
        assert not elsewhere.is_signed_in()
        elsewhere.sign_in(there)
        again = Visitor(app, globex.host)
        sources.sign_in(again, server, theirs, alice)
        assert me_in(again)["user"]["id"] == str(there.id) != me_in(visitor)["user"]["id"]
        assert (roles_of(visitor), roles_of(again)) == (["member"], ["viewer"])

    def test_one_account_may_have_two_sources(
        self, app: Flask, acme: Workspace, member: Visitor, server: OidcServer, other_server: OidcServer,
        work: uuid.UUID,
    ) -> None:  # fmt: skip
        second = sources.connect(app, acme, other_server, "second", label="Second ID")
        subs = {
            work: sources.add_person(server, "m@one.example"),
            second: sources.add_person(other_server, "m@two.example"),
        }
        providers = {work: server, second: other_server}
        for config_id, provider in providers.items():
            sources.sign_in(member, provider, config_id, subs[config_id], "connect")
        assert sources.subjects_of(app, acme, acme.people["member"].email) == list(subs.values())
        for config_id, provider in providers.items():
            visitor = Visitor(app, acme.host)
            sources.sign_in(visitor, provider, config_id, subs[config_id])
            assert me_in(visitor)["user"]["email"] == acme.people["member"].email

    def test_each_source_of_an_account_gives_roles_of_its_own(
        self, app: Flask, acme: Workspace, server: OidcServer, other_server: OidcServer, work: uuid.UUID
    ) -> None:
        second = sources.connect(app, acme, other_server, "second")
        sources.map_group(app, acme, "leads", "admin")
        sources.map_group(app, acme, "leads", "viewer", "second")
        member = sign_in(app, acme, "member")
        first_sub = sources.add_person(server, "m@one.example", groups=["leads"])
        second_sub = sources.add_person(other_server, "m@two.example", groups=["leads"])
        sources.sign_in(member, server, work, first_sub, "connect")
        sources.sign_in(member, other_server, second, second_sub, "connect")
        assert roles_of(member) == ["admin", "member", "viewer"]
        other_server.add_person(second_sub, email="m@two.example", groups=[])
        sources.sign_in(Visitor(app, acme.host), other_server, second, second_sub)
        assert roles_of(member) == ["admin", "member"]
