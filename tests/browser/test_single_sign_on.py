"""Signing in at a company's identity provider, as its people meet it in a browser."""

import uuid
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from auth import users
from auth.providers import configs
from auth.providers.models import ProviderConfig
from tests.auth import sources
from tests.auth.helpers import inside
from tests.browser.conftest import Open
from tests.browser.site import Site
from tests.browser.steps import (
    come_in,
    expect_signed_in,
    expect_signed_out,
    heading,
    on_both,
    send,
)
from tests.factories import Person, Workspace, add_person
from tests.servers import oidc, require
from tests.servers.oidc import PASSWORD, OidcServer

pytestmark = [pytest.mark.browser, pytest.mark.postgres]


@pytest.fixture(scope="module")
def server() -> Iterator[OidcServer]:
    with require(oidc.start) as server:
        yield server


@pytest.fixture(scope="module")
def other_server() -> Iterator[OidcServer]:
    with require(oidc.start) as server:
        yield server


def connect(site: Site, workspace: Workspace, server: OidcServer, **settings: object) -> uuid.UUID:
    """Connect the workspace, at the port on which it is served, for its own domain."""
    domain = sources.own(site.app, workspace, f"{workspace.slug}.example")
    given = {"label": f"{workspace.slug} ID", "domains": [domain]} | settings
    return sources.connect(site.app, workspace, server, host=site.url(workspace, "").rstrip("/"), **given)


def known_there(server: OidcServer, workspace: Workspace, name: str = "alice", **claims: object) -> str:
    """Somebody at the provider with an address of the workspace's domain; gives back the login."""
    sub = f"{name}-{workspace.slug}"
    email = f"{name}@{workspace.slug}.example"
    server.add_person(sub, **{"email": email, "email_verified": True, "name": name.title()} | claims)
    return sub


def sign_in_there(page: Page, login: str) -> None:
    """Fill the provider's own page in."""
    page.locator("[name=login]").fill(login)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("button[type=submit]:not([name=cancel])").click()


def set_out(page: Page, address: str = "/auth/login") -> None:
    """Choose the source on the sign-in page."""
    page.goto(address)
    page.locator("a[href*='/sso/']").click()


def by_password(page: Page, person: Person) -> None:
    """Type an address and a password, where there are other ways, too."""
    page.goto("/auth/login?step=password")
    form = page.locator("main form:has([name=password])")
    form.locator("[name=email]").fill(person.email)
    form.locator("[name=password]").fill(person.password)
    send(form)


def enforce(site: Site, acme: Workspace, config_id: uuid.UUID) -> None:
    with inside(site.app, acme) as session:
        config = session.find(ProviderConfig, config_id)
        assert config is not None
        config.admin_seen_at = config.rehearsed_at
        configs.enforce_provider(config, users.get_by_email(acme.people["owner"].email), actor=None)


@on_both
def test_two_workspaces_are_signed_in_to_by_their_own_providers_at_once(
    site: Site, acme: Workspace, globex: Workspace, server: OidcServer, other_server: OidcServer,
    open_context: Callable[..., BrowserContext],
) -> None:  # fmt: skip
    context, pages = open_context(), []
    for workspace, provider in ((acme, server), (globex, other_server)):
        connect(site, workspace, provider)
        page = context.new_page()
        page.goto(site.url(workspace))
        page.locator("a[href*='/sso/']").click()
        pages.append((page, workspace, provider))
    for page, workspace, provider in pages:  # both are under way
        sign_in_there(page, known_there(provider, workspace))
        expect_signed_in(page)
        expect(page.locator("header")).to_contain_text(workspace.tenant.name)


def test_the_address_alone_leads_to_the_provider_and_the_broker_leads_back(
    page: Page, site: Site, acme: Workspace, server: OidcServer
) -> None:
    connect(site, acme, server, broker=True)
    login = known_there(server, acme)
    came_by = []
    page.on("request", lambda request: came_by.append(request.url) if "/broker/" in request.url else None)
    page.goto("/account/sessions")
    page.locator("main [name=email]").fill(f"alice@{acme.slug}.example")
    send(page.locator("main form:has([name=email])"))
    expect(page.locator("[name=login]")).to_have_value(f"alice@{acme.slug}.example")
    sign_in_there(page, login)
    expect_signed_in(page)
    expect(page).to_have_url(site.url(acme, "/account/sessions"))
    assert came_by
    assert came_by[0].startswith(site.url("auth.localhost", "/broker/"))
    assert [cookie for cookie in page.context.cookies() if "auth.localhost" in cookie["domain"]] == []


def test_it_works_without_scripts(open_page: Open, site: Site, acme: Workspace, server: OidcServer) -> None:
    connect(site, acme, server)
    page = open_page(acme, java_script_enabled=False)
    page.goto("/")
    page.locator("main [name=email]").fill(f"alice@{acme.slug}.example")
    send(page.locator("main form:has([name=email])"))
    sign_in_there(page, known_there(server, acme))
    expect_signed_in(page)


def test_signing_out_here_signs_out_there_and_comes_back(
    page: Page, site: Site, acme: Workspace, server: OidcServer
) -> None:
    connect(site, acme, server)
    set_out(page)
    sign_in_there(page, known_there(server, acme))
    expect_signed_in(page)
    page.locator("details.menu summary").click()
    page.locator("form[action$='/auth/logout'] button").click()
    page.locator("button[name=logout][value=yes]").click()
    expect_signed_out(page)
    expect(page.get_by_role("status").or_(page.get_by_role("alert")).first).to_contain_text(f"at {acme.slug} ID")
    set_out(page)
    expect(page.locator("[name=login]")).to_be_visible()  # there, too, one has to sign in again


def test_signing_out_there_ends_the_session_here(page: Page, site: Site, acme: Workspace, server: OidcServer) -> None:
    connect(site, acme, server)
    login = known_there(server, acme)
    set_out(page)
    sign_in_there(page, login)
    expect_signed_in(page)
    assert [failure for _client, failure in server.sign_out(login)] == [None]
    page.goto("/projects/")
    expect_signed_out(page)


def test_an_account_is_joined_by_both_proofs_and_parted_again(
    page: Page, site: Site, acme: Workspace, server: OidcServer
) -> None:
    person = add_person(site.app, acme, email=f"both@{acme.slug}.example")
    connect(site, acme, server)
    login = known_there(server, acme, "both")
    set_out(page)
    sign_in_there(page, login)
    expect(page.get_by_text("there is an account with your e-mail address already")).to_be_visible()
    by_password(page, person)
    expect_signed_in(page)
    page.goto("/account/")
    expect(page.get_by_text("Connected", exact=True)).to_be_visible()
    page.locator("form[action*='/account/disconnect/'] button").click()
    page.locator("#confirm button[value=yes]").click()
    expect(page.get_by_text("no longer connected")).to_be_visible()


def test_an_account_is_connected_from_within(page: Page, site: Site, acme: Workspace, server: OidcServer) -> None:
    connect(site, acme, server)
    by_password(page, acme.people["member"])
    expect_signed_in(page)
    page.goto("/account/")
    page.locator("a[href*='/sso/']").click()
    send(page.locator("main form"))
    sign_in_there(page, known_there(server, acme, "elsewhere"))
    expect(page.get_by_text("Connected", exact=True)).to_be_visible()


def test_a_rehearsal_shows_what_a_sign_in_would_come_to(
    page: Page, site: Site, acme: Workspace, server: OidcServer
) -> None:
    connect(site, acme, server, enabled=False, rehearsed=False)
    sources.map_group(site.app, acme, "engineering", "member")
    by_password(page, acme.people["owner"])
    expect_signed_in(page)
    page.goto("/admin/sign-in/")
    page.locator("a[href*='/rehearse']").click()
    send(page.locator("main form"))
    sign_in_there(page, known_there(server, acme, groups=["engineering"]))
    expect(page.get_by_text(f"Would be made a new user, alice@{acme.slug}.example.")).to_be_visible()
    expect(page.get_by_text("gives a role")).to_be_visible()
    expect(page.locator("#claims")).to_be_visible()
    expect_signed_in(page)
    page.goto("/admin/sign-in/")
    expect(page.get_by_text("Rehearsed", exact=False).first).to_be_visible()


def test_enforcement_closes_the_other_ways_at_the_next_click(
    page: Page, open_page: Open, site: Site, acme: Workspace, server: OidcServer
) -> None:
    config_id = connect(site, acme, server)
    come_in(page, site, acme)
    enforce(site, acme, config_id)
    page.goto("/projects/")
    expect_signed_out(page)
    by_password(page, acme.people["member"])
    expect(page.get_by_role("alert")).to_contain_text(f"sign in with {acme.slug} ID")

    named = open_page(acme)
    by_password(named, acme.people["owner"])
    expect_signed_in(named)
    named.goto("/admin/sign-in/")
    expect(named.get_by_role("status")).to_contain_text(acme.people["owner"].email)


def test_somebody_who_says_no_there_is_told_so(page: Page, site: Site, acme: Workspace, server: OidcServer) -> None:
    connect(site, acme, server)
    set_out(page)
    page.locator("button[name=cancel]").click()
    expect(heading(page)).to_have_text("You were not signed in")


def test_a_provider_that_does_not_answer_is_told_and_keeps_nobody_else_out(
    page: Page, site: Site, acme: Workspace
) -> None:
    with require(oidc.start) as server:
        connect(site, acme, server)
        server.stop()
        set_out(page)
        expect(heading(page)).to_contain_text("cannot be reached")
    by_password(page, acme.people["owner"])
    expect_signed_in(page)


def test_two_tabs_of_one_browser_both_arrive(page: Page, site: Site, acme: Workspace, server: OidcServer) -> None:
    connect(site, acme, server)
    login = known_there(server, acme)
    second = page.context.new_page()
    for tab in (page, second):
        set_out(tab, site.url(acme, "/auth/login"))
        expect(tab.locator("[name=login]")).to_be_visible()
    for tab in (page, second):
        sign_in_there(tab, login)
        expect_signed_in(tab)
