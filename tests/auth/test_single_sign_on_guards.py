"""What web sources must not open: found by attackers' eyes, and kept closed."""

import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from sqlalchemy import func, select

from auth import audit, domains, enforcement, links, provider_sessions, users
from auth.audit_models import AuditEvent
from auth.errors import NotAllowed
from auth.providers import configs
from auth.providers.models import MailDomain, ProviderConfig
from auth.providers.oauth import OidcProvider
from tenants.context import bound
from tenants.db import now
from tests.auth import sources
from tests.auth.conftest import Clock
from tests.auth.helpers import (
    NEW_PASSWORD,
    add_passkey,
    ask_reset_link,
    change,
    give_code,
    inside,
    link_in,
    mail_to,
    path_of,
    row_of,
    set_up_app,
    token_on,
    use_passkey,
)
from tests.factories import Person, Workspace, add_person
from tests.servers import oidc, require
from tests.servers.oidc import OidcServer
from tests.visitor import Visitor, sign_in


@pytest.fixture(scope="module")
def server() -> Iterator[OidcServer]:
    with require(oidc.start) as server:
        yield server


@pytest.fixture
def work(app: Flask, acme: Workspace, server: OidcServer) -> uuid.UUID:
    """acme's source, for its proved domain."""
    domain = sources.own(app, acme, f"{acme.slug}.example")
    return sources.connect(app, acme, server, label="Acme ID", domains=[domain])


def known_there(server: OidcServer, email: str, **claims: Any) -> str:
    """Somebody at the provider with that address."""
    sub = f"p-{uuid.uuid4().hex[:8]}"
    server.add_person(sub, **{"email": email, "email_verified": True} | claims)
    return sub


def enforce(app: Flask, acme: Workspace, work: uuid.UUID) -> None:
    """Enforce the source, as after an administrator's sign-in."""
    with inside(app, acme) as session:
        config = session.find(ProviderConfig, work)
        assert config is not None
        config.admin_seen_at = now()
        configs.enforce_provider(config, users.get_by_email(acme.people["owner"].email), actor=None)


def join(visitor: Visitor, server: OidcServer, work: uuid.UUID, person: Person) -> str:
    """Join an account with somebody at the provider; gives back who."""
    sub = known_there(server, person.email)
    sources.sign_in(visitor, server, work, sub)
    assert visitor.sign_in(person).status_code == 302
    return sub


def test_an_unverified_address_makes_no_account_and_mails_nobody(
    app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID
) -> None:
    address = f"ceo@{acme.slug}.example"
    sources.sign_in(visitor, server, work, known_there(server, address, email_verified=False))
    assert not visitor.is_signed_in()
    assert mail_to(app, address) == []
    with inside(app, acme):
        assert users.find_by_email(address) is None


def test_a_pending_change_of_address_leads_nobody_out_of_an_enforced_domain(
    app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID
) -> None:
    member, elsewhere = acme.people["member"], f"{uuid.uuid4().hex[:8]}@private.example"
    visitor = sign_in(app, acme, "member")
    visitor.post("/auth/change-email", {"email": elsewhere, "password": member.password})
    link = path_of(link_in(mail_to(app, elsewhere)[-1]))
    enforce(app, acme, work)
    visitor.get(link)
    with inside(app, acme):
        assert users.find_by_email(elsewhere) is None
    assert not visitor.is_signed_in()


@pytest.mark.usefixtures("steady")
def test_a_refused_arrival_lends_its_source_to_no_other_second_step(
    app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID
) -> None:
    member, other = acme.people["member"], add_person(app, acme)
    device = set_up_app(
        app,
        sign_in(app, acme, "member"),
    )
    joined = Visitor(app, acme.host)
    sub = join(joined, server, work, other)
    change(app, acme, other, active=False)
    visitor = Visitor(app, acme.host)
    visitor.sign_in(member)  # the first step
    enforce(app, acme, work)
    sources.sign_in(visitor, server, work, sub)  # refused, for the account is closed
    give_code(visitor, device.code())
    assert not visitor.is_signed_in()


def test_whoever_has_no_password_is_joined_with_an_enforced_source_by_the_link_in_a_mail(
    app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID
) -> None:
    invited = add_person(app, acme, email=f"invited@{acme.slug}.example")
    change(app, acme, invited, password=None)
    enforce(app, acme, work)
    visitor = Visitor(app, acme.host)
    sources.sign_in(visitor, server, work, known_there(server, invited.email))
    path = ask_reset_link(app, visitor, invited)
    visitor.post(path, {"password": NEW_PASSWORD, "password_confirm": NEW_PASSWORD}, csrf=token_on(visitor, path))
    visitor.sign_in(Person(invited.id, invited.email, NEW_PASSWORD))
    assert visitor.is_signed_in()
    with inside(app, acme):
        assert links.links_of(invited.id)


def test_in_another_browser_the_mail_stays_closed(
    app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID, stranger: Visitor
) -> None:
    member = acme.people["member"]
    enforce(app, acme, work)
    sources.sign_in(Visitor(app, acme.host), server, work, known_there(server, member.email))
    before = len(mail_to(app, member.email))
    stranger.post("/auth/reset", {"email": member.email})
    assert "kept here" in mail_to(app, member.email)[before].subject


def test_a_source_that_was_switched_off_meanwhile_lets_nobody_in(
    app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    sub = known_there(server, f"alice@{acme.slug}.example")
    back = oidc.sign_in(server, sources.depart(visitor, work), sub)
    meanwhile(app, acme, work, monkeypatch, lambda config: configs.disable_provider(config, actor=None))
    assert sources.follow(visitor, back).status_code == 404
    assert not visitor.is_signed_in()


def test_a_rehearsal_of_former_settings_says_nothing_of_the_new_ones(
    app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = sign_in(app, acme, "owner")
    back = oidc.sign_in(server, sources.depart(owner, work, "rehearse"), known_there(server, "x@y.example"))
    meanwhile(
        app, acme, work, monkeypatch,
        lambda config: configs.change_provider(config, actor=None, settings=config.settings | {"name_claim": "nick"}),
    )  # fmt: skip
    assert sources.follow(owner, back).status_code == 400
    assert sources.config_of(app, acme, work).rehearsed_at is None


def meanwhile(app: Flask, acme: Workspace, work: uuid.UUID, monkeypatch: pytest.MonkeyPatch, do: Any) -> None:
    """Have somebody do something while the provider is asked."""
    redeem = OidcProvider.redeem

    def interrupted(self: Any, *arguments: Any) -> Any:
        visit = redeem(self, *arguments)
        with app.app_context(), bound(acme.tenant) as session:
            do(session.find(ProviderConfig, work))
        return visit

    monkeypatch.setattr(OidcProvider, "redeem", interrupted)


def test_the_owner_named_for_emergencies_cannot_be_deactivated_or_stop_being_one(
    app: Flask, acme: Workspace, work: uuid.UUID
) -> None:
    enforce(app, acme, work)
    second = add_person(app, acme, role="owner")
    with inside(app, acme):
        named = row_of(acme.people["owner"])
        with pytest.raises(NotAllowed, match="named to get in"):
            users.deactivate_user(named, actor=None)
        users.deactivate_user(row_of(second), actor=None)


def test_who_is_named_for_emergencies_is_not_told_to_strangers(
    app: Flask, acme: Workspace, work: uuid.UUID, stranger: Visitor
) -> None:
    enforce(app, acme, work)
    answers = {
        stranger.sign_in(Person(uuid.uuid4(), email, "not the password")).text.count("sign in with Acme ID")
        for email in (acme.people["owner"].email, acme.people["member"].email, f"nobody@{acme.slug}.example")
    }
    assert answers == {1}


def test_under_enforcement_only_the_source_proves_once_more_that_it_is_them(
    app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID, clock: Clock
) -> None:
    member, visitor = acme.people["member"], Visitor(app, acme.host)
    join(visitor, server, work, member)
    passkeys = add_passkey(visitor, "secondary")
    enforce(app, acme, work)
    clock.advance(minutes=20)
    visitor.post("/auth/verify", {"password": member.password})
    assert "/auth/verify" in visitor.get("/auth/tf-setup").headers.get("Location", "")
    assert use_passkey(visitor, passkeys, "wan-verify").status_code == 400
    assert sources.depart(visitor, work, "verify").startswith(server.issuer)


def test_the_source_proves_it_once_more_and_another_person_there_does_not(
    app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID
) -> None:
    visitor = Visitor(app, acme.host)
    sub = join(visitor, server, work, acme.people["member"])
    enforce(app, acme, work)
    before = visitor.cookies()["session"]
    stranger = known_there(server, f"bob@{acme.slug}.example")
    refused = sources.sign_in(visitor, server, work, stranger, "verify", next="/auth/tf-setup")
    assert "/auth/verify" in refused.headers["Location"]
    done = sources.sign_in(visitor, server, work, sub, "verify", next="/auth/tf-setup")
    assert done.headers["Location"] == "/auth/tf-setup"
    thief = Visitor(app, acme.host)
    thief.take_cookies({"session": before})
    assert not thief.is_signed_in()
    assert visitor.is_signed_in()


def test_a_changed_password_leaves_the_session_to_the_source_that_opened_it(
    app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID
) -> None:
    member = acme.people["member"]
    sub = join(visitor, server, work, member)
    visitor.post(
        "/auth/change",
        {"password": member.password, "new_password": NEW_PASSWORD, "new_password_confirm": NEW_PASSWORD},
    )
    assert visitor.is_signed_in()
    with inside(app, acme) as session:
        config = session.find(ProviderConfig, work)
        assert config is not None
        ended = provider_sessions.end(config, subject=f"{server.issuer} {sub}")
    assert ended == 1
    assert not visitor.is_signed_in()


def test_a_directorys_people_do_not_get_around_it_by_a_web_source(
    app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID
) -> None:
    member = acme.people["member"]
    sub = join(visitor, server, work, member)
    with inside(app, acme):
        directory = configs.add_provider(
            "office", "ldap", {"servers": ["ldaps://ldap.example"], "base_dn": "dc=example"}, actor=None
        )
        identity = SimpleNamespace(provider=str(directory.id), subject="x", login="m", place="")
        links.link(row_of(member), identity, directory)  # type: ignore[arg-type]
    again = Visitor(app, acme.host)
    sources.sign_in(again, server, work, sub)
    assert not again.is_signed_in()


def test_an_administrator_ends_no_enforcement_of_owners_by_giving_the_domain_up(
    app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID
) -> None:
    join(Visitor(app, acme.host), server, work, acme.people["owner"])
    enforce(app, acme, work)
    with inside(app, acme) as session:
        row = session.scalars(select(MailDomain)).one()
        weaker = SimpleNamespace(
            user_id=acme.people["admin"].id, roles=("admin",), permissions=frozenset({"provider:manage"})
        )
        with pytest.raises(NotAllowed):
            domains.remove_domain(row, weaker)  # type: ignore[arg-type]
        assert enforcement.required_source(f"x@{row.domain}") == str(work)


def test_strangers_write_nothing_into_the_administrators_page(
    app: Flask, acme: Workspace, stranger: Visitor, work: uuid.UUID
) -> None:
    address = sources.depart(stranger, work)
    state = parse_qs(urlsplit(address).query)["state"][0]
    answer = stranger.get(f"/sso/{work}/callback?error=Call+555-0100&error_description=for+support&state={state}")
    assert answer.status_code in (400, 502)
    with inside(app, acme):
        assert not [event for event in audit.search() if "555" in str(event.details)]


def test_a_flood_of_failures_is_kept_to_a_hundred_events(
    app: Flask, acme: Workspace, work: uuid.UUID, stranger: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auth.sso.MOST_FAILURES", 3)
    for _ in range(5):
        state = parse_qs(urlsplit(sources.depart(stranger, work)).query)["state"][0]
        iss = sources.config_of(app, acme, work).settings["issuer"]
        stranger.get(f"/sso/{work}/callback", query_string={"error": "access_denied", "state": state, "iss": iss})
    with inside(app, acme) as session:
        assert session.scalar(select(func.count(AuditEvent.id)).where(AuditEvent.kind == "single sign-on failed")) == 3


def test_starting_is_throttled_by_address(
    acme: Workspace, work: uuid.UUID, stranger: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auth.sso.MOST_STARTS", 2)
    answers = [stranger.get(f"/sso/{work}/start").status_code for _ in range(3)]
    assert answers == [302, 302, 429]
