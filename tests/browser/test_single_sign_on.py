"""Signing in at a company's identity provider, as its people meet it in a browser."""

import uuid
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.auth import sources
from tests.browser.conftest import Open
from tests.browser.site import Site
from tests.browser.steps import (
    come_in,
    expect_signed_in,
    expect_signed_out,
    form_with,
    heading,
    leave,
    menu,
    on_both,
    send,
    sign_in_there,
)
from tests.factories import Person, Workspace, add_person
from tests.servers import oidc, require
from tests.servers.oidc import OidcServer

pytestmark = [pytest.mark.browser, pytest.mark.postgres]


@pytest.fixture(scope="module")
def other_provider() -> Iterator[OidcServer]:
    with require(oidc.start) as server:
        yield server


def connect(site: Site, workspace: Workspace, provider: OidcServer, **settings: object) -> uuid.UUID:
    """Connect the workspace, at the port on which it is served, for its own domain."""
    domain = sources.own(site.app, workspace, f"{workspace.slug}.example")
    given = {"label": f"{workspace.slug} ID", "domains": [domain]} | settings
    return sources.connect(site.app, workspace, provider, host=site.url(workspace, ""), **given)


def address_of(name: str, workspace: Workspace) -> str:
    """An address of the workspace's domain."""
    return f"{name}@{workspace.slug}.example"


def known_there(provider: OidcServer, workspace: Workspace, name: str = "alice", **claims: object) -> str:
    """Somebody at the provider with an address of the workspace's domain; gives back the login."""
    login = f"{name}-{workspace.slug}"
    said = {"email": address_of(name, workspace), "email_verified": True, "name": name.title()}
    provider.add_person(login, **said | claims)
    return login


def set_out(page: Page, address: str = "/auth/login") -> None:
    """Choose the source on the sign-in page."""
    page.goto(address)
    page.locator("main a[href*='/sso/']").click()


def by_address(page: Page, email: str) -> None:
    """Type the address alone, on the way to a page that is for everybody who is signed in."""
    page.goto("/account/sessions")
    form = form_with(page, "email")
    form.locator("[name=email]").fill(email)
    send(form)


def by_password(page: Page, person: Person) -> None:
    """Type an address and a password, where there are other ways, too."""
    page.goto("/auth/login?step=password")
    form = form_with(page, "password")
    form.locator("[name=email]").fill(person.email)
    form.locator("[name=password]").fill(person.password)
    send(form)


@on_both
def test_two_workspaces_are_signed_in_to_by_their_own_providers_at_once(
    site: Site, acme: Workspace, globex: Workspace, provider: OidcServer, other_provider: OidcServer,
    open_context: Callable[..., BrowserContext],
) -> None:  # fmt: skip
    context, pages = open_context(), []
    for workspace, theirs in ((acme, provider), (globex, other_provider)):
        connect(site, workspace, theirs)
        page = context.new_page()
        set_out(page, site.url(workspace))
        pages.append((page, workspace, theirs))
    for page, workspace, theirs in pages:  # both are under way
        sign_in_there(page, known_there(theirs, workspace))
        expect_signed_in(page)
    for page, workspace, _theirs in pages:
        page.goto(site.url(workspace, "/account/"))
        expect(page.locator("header")).to_contain_text(workspace.tenant.name)
        expect(page.locator("main")).to_contain_text(address_of("alice", workspace))


def test_the_address_alone_leads_to_the_provider_and_the_broker_leads_back(
    page: Page, site: Site, acme: Workspace, provider: OidcServer
) -> None:
    connect(site, acme, provider, broker=True)
    login, email = known_there(provider, acme), address_of("alice", acme)
    came_by = []
    page.on("request", lambda request: came_by.append(request.url) if "/broker/" in request.url else None)
    by_address(page, email)
    expect(page.locator("[name=login]")).to_have_value(email)
    sign_in_there(page, login)
    expect_signed_in(page)
    expect(page).to_have_url(site.url(acme, "/account/sessions"))
    assert came_by
    assert came_by[0].startswith(site.url("auth.localhost", "/broker/"))
    assert [cookie for cookie in page.context.cookies() if "auth.localhost" in cookie["domain"]] == []


def test_it_works_without_scripts(open_page: Open, site: Site, acme: Workspace, provider: OidcServer) -> None:
    connect(site, acme, provider)
    page = open_page(acme, java_script_enabled=False)
    by_address(page, address_of("alice", acme))
    sign_in_there(page, known_there(provider, acme))
    expect_signed_in(page)


def test_signing_out_here_signs_out_there_and_comes_back(
    page: Page, site: Site, acme: Workspace, provider: OidcServer
) -> None:
    connect(site, acme, provider)
    set_out(page)
    sign_in_there(page, known_there(provider, acme))
    expect_signed_in(page)
    leave(page)
    page.locator("button[name=logout][value=yes]").click()
    expect_signed_out(page)
    expect(page.get_by_role("status")).to_contain_text(f"signed out, here and at {acme.slug} ID")
    set_out(page)
    expect(page.locator("[name=login]")).to_be_visible()  # there, too, one has to sign in again


def test_signing_out_there_ends_the_session_here(page: Page, site: Site, acme: Workspace, provider: OidcServer) -> None:
    connect(site, acme, provider)
    login = known_there(provider, acme)
    set_out(page)
    sign_in_there(page, login)
    expect_signed_in(page)
    assert [failure for _client, failure in provider.sign_out(login)] == [None]
    page.locator("header a[href='/']").first.click()
    expect_signed_out(page)


def test_an_account_is_joined_by_both_proofs_and_parted_again(
    page: Page, site: Site, acme: Workspace, provider: OidcServer
) -> None:
    person = add_person(site.app, acme, email=address_of("both", acme))
    connect(site, acme, provider)
    set_out(page)
    sign_in_there(page, known_there(provider, acme, "both"))
    expect(page.get_by_text("there is an account with your e-mail address already")).to_be_visible()
    by_password(page, person)
    expect_signed_in(page)
    page.goto("/account/")
    expect(page.get_by_text("Connected", exact=True)).to_be_visible()
    page.locator("form[action*='/account/disconnect/'] button").click()
    page.locator("#confirm button[value=yes]").click()
    expect(page.get_by_text("no longer connected")).to_be_visible()
    by_password(page, person)
    expect_signed_in(page)
    page.goto("/account/")
    expect(page.locator("main a[href$='/connect']")).to_be_visible()


def test_an_account_is_connected_from_within(page: Page, site: Site, acme: Workspace, provider: OidcServer) -> None:
    connect(site, acme, provider)
    come_in(page, site, acme)
    page.goto("/account/")
    page.locator("main a[href$='/connect']").click()
    send(page.locator("main form"))
    sign_in_there(page, known_there(provider, acme, "elsewhere"))
    expect(page.get_by_text("Connected", exact=True)).to_be_visible()


def test_a_rehearsal_shows_what_a_sign_in_would_come_to(
    page: Page, site: Site, acme: Workspace, provider: OidcServer
) -> None:
    connect(site, acme, provider, enabled=False, rehearsed=False)
    sources.map_group(site.app, acme, "engineering", "member")
    come_in(page, site, acme, "owner")
    page.goto("/admin/sign-in/")
    page.locator("main a[href$='/rehearse']").click()
    send(page.locator("main form"))
    sign_in_there(page, known_there(provider, acme, groups=["engineering", "choir"]))
    outcome = page.locator("section[aria-labelledby=outcome] li")
    expect(outcome.first).to_contain_text(f"Would be made a new user, {address_of('alice', acme)}.")
    expect(outcome.get_by_text("engineering")).to_contain_text("gives a role")
    expect(outcome.get_by_text("choir")).not_to_contain_text("gives a role")
    expect(outcome.last).to_contain_text("member")
    claims = page.locator("section[aria-labelledby=claims]")
    expect(claims.get_by_text(address_of("alice", acme))).to_be_visible()
    expect(menu(page)).to_contain_text(acme.people["owner"].email)  # nobody else was signed in
    page.goto("/admin/sign-in/")
    expect(page.locator("section[aria-labelledby=sources] li")).not_to_contain_text("rovisional")


def test_once_a_source_is_enforced_sessions_from_elsewhere_end_and_passwords_count_no_more(
    page: Page, site: Site, acme: Workspace, provider: OidcServer
) -> None:
    config_id = connect(site, acme, provider)
    come_in(page, site, acme)
    sources.enforce(site.app, acme, config_id)
    page.locator("nav a[href$='/projects/']").click()
    expect_signed_out(page)
    by_password(page, acme.people["member"])
    expect(page.get_by_role("alert")).to_contain_text(f"sign in with {acme.slug} ID")


def test_where_a_source_is_enforced_the_address_leads_to_it(
    page: Page, site: Site, acme: Workspace, provider: OidcServer
) -> None:
    sources.enforce(site.app, acme, connect(site, acme, provider))
    by_address(page, address_of("alice", acme))
    sign_in_there(page, known_there(provider, acme))
    expect_signed_in(page)


def test_the_owner_who_is_named_gets_in_by_password_all_the_same_and_it_is_seen(
    page: Page, site: Site, acme: Workspace, provider: OidcServer
) -> None:
    sources.enforce(site.app, acme, connect(site, acme, provider))
    by_password(page, acme.people["owner"])
    expect_signed_in(page)
    page.goto("/admin/sign-in/")
    expect(page.get_by_role("status")).to_contain_text(acme.people["owner"].email)


def test_somebody_who_says_no_there_is_told_so(page: Page, site: Site, acme: Workspace, provider: OidcServer) -> None:
    connect(site, acme, provider)
    set_out(page)
    page.locator("button[name=cancel]").click()
    expect(heading(page)).to_have_text("You were not signed in")


def test_who_says_no_there_to_being_connected_is_led_back_to_their_account(
    page: Page, site: Site, acme: Workspace, provider: OidcServer
) -> None:
    config_id = connect(site, acme, provider)
    come_in(page, site, acme)
    page.goto(f"/sso/{config_id}/connect")
    send(page.locator("main form"))
    page.locator("button[name=cancel]").click()
    page.locator("main a.btn").click()
    expect(page.locator("main a[href$='/connect']")).to_be_visible()


def test_a_provider_that_does_not_answer_is_told_and_keeps_nobody_else_out(
    page: Page, site: Site, acme: Workspace
) -> None:
    with require(oidc.start) as provider:
        connect(site, acme, provider)
        provider.stop()
        set_out(page)
        expect(heading(page)).to_contain_text("cannot be reached")
    by_password(page, acme.people["owner"])
    expect_signed_in(page)


def test_two_tabs_of_one_browser_both_arrive(page: Page, site: Site, acme: Workspace, provider: OidcServer) -> None:
    connect(site, acme, provider)
    login = known_there(provider, acme)
    second = page.context.new_page()
    for tab in (page, second):
        set_out(tab, site.url(acme, "/auth/login"))
        expect(tab.locator("[name=login]")).to_be_visible()
    for tab in (page, second):
        sign_in_there(tab, login)
        expect_signed_in(tab)
