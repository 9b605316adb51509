"""Administrators at work, and what becomes of it in other people's open browsers."""

import pytest
from playwright.sync_api import Page, expect

from tests.auth.helpers import link_in, mail_to
from tests.browser.conftest import Open
from tests.browser.site import Site
from tests.browser.steps import (
    come_in,
    expect_signed_in,
    expect_signed_out,
    form_with,
    heading,
    menu,
    on_both,
    send,
)
from tests.factories import PASSWORD, Workspace

pytestmark = pytest.mark.browser

postgres = pytest.mark.postgres


def invite(page: Page, address: str, role: str) -> None:
    """Ask somebody in, on the pages of the administration."""
    page.goto("/admin/invitations/")
    page.locator("main a[href$='/admin/invitations/new']").first.click()
    page.locator("[name=emails]").fill(address)
    page.locator("[name=role]").select_option(role)
    send(page.locator("main form"))
    expect(page.locator("main tbody")).to_contain_text(address)


def accept(page: Page, site: Site, address: str, name: str) -> None:
    """Open the mailed link and become a user by a password."""
    page.goto(link_in(mail_to(site.app, address)[-1]))
    page.locator("[name=name]").fill(name)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("[name=password_confirm]").fill(PASSWORD)
    send(page.locator("main form:has([name=password_confirm])"))


@on_both
def test_somebody_is_asked_in_and_comes(page: Page, open_page: Open, site: Site, acme: Workspace) -> None:
    address = f"vera@{acme.slug}.example"
    come_in(page, site, acme, "admin")
    invite(page, address, "viewer")
    vera = open_page(acme)
    accept(vera, site, address, "Vera")
    expect_signed_in(vera)
    expect(menu(vera)).to_contain_text("Vera")
    vera.goto("/projects/")
    expect(vera.locator("main a[href$='/projects/new']")).to_have_count(0)
    page.reload()
    expect(page.locator("main")).not_to_contain_text(address)


@postgres
def test_an_invitation_that_is_revoked_lets_nobody_in(page: Page, open_page: Open, site: Site, acme: Workspace) -> None:
    address = f"vera@{acme.slug}.example"
    come_in(page, site, acme, "admin")
    invite(page, address, "viewer")
    page.locator("main tbody tr", has_text=address).locator("form[action$='/revoke'] button").click()
    page.locator("#confirm button[value=yes]").click()
    expect(page.locator("main")).not_to_contain_text(f"{address},")
    vera = open_page(acme)
    vera.goto(link_in(mail_to(site.app, address)[-1]))
    expect(vera.locator("[name=password]")).to_have_count(0)
    expect(heading(vera)).to_have_text("This invitation does not count")


@postgres
def test_a_rule_holds_from_the_next_click_of_an_open_browser_on(
    page: Page, open_page: Open, site: Site, acme: Workspace
) -> None:
    member = open_page(acme)
    come_in(member, site, acme, "member")
    come_in(page, site, acme, "admin")
    page.goto("/admin/policy/")
    page.locator("[name=second_factor][value=roles]").check()
    page.locator("[name=second_factor_roles][value=member]").check()
    send(page.locator("main form"))
    member.goto("/projects/")
    expect(member).to_have_url(site.url(acme, "/auth/tf-setup"))
    expect(member.locator("main")).to_contain_text("asks for a second factor")


@postgres
def test_a_name_and_a_colour_are_on_the_sign_in_page_too(
    page: Page, open_page: Open, site: Site, acme: Workspace
) -> None:
    come_in(page, site, acme, "admin")
    page.goto("/admin/workspace/")
    page.locator("[name=name]").fill("Acme & Sons")
    page.locator("[name=accent]").fill("#7a1fa2")
    send(page.locator("main form"))
    stranger = open_page(acme)
    stranger.goto("/auth/login")
    expect_signed_out(stranger)
    expect(stranger.locator("main")).to_contain_text("Acme & Sons")
    expect(stranger.locator("main button.btn-primary").first).to_have_css("background-color", "rgb(122, 31, 162)")


@postgres
def test_a_role_is_made_given_explained_and_taken_again(
    page: Page, open_page: Open, site: Site, acme: Workspace
) -> None:
    viewer = acme.people["viewer"]
    open_browser = open_page(acme)
    come_in(open_browser, site, acme, "viewer")
    come_in(page, site, acme, "owner")

    page.goto("/admin/roles/new")
    page.locator("[name=name]").fill("Planner")
    page.locator("[name=permissions][value='project:create']").check()
    page.locator("main button[value=preview]").click()
    expect(heading(page)).to_contain_text("Planner")
    page.locator("main button[value=save]").click()
    expect(heading(page)).to_contain_text("Planner")

    member = f"/admin/members/{viewer.id}"
    page.goto(member)
    form = form_with(page, "role")
    form.locator("[name=role]").select_option("Planner")
    send(form)
    open_browser.goto("/projects/")
    expect(open_browser.locator("main a[href$='/projects/new']").first).to_be_visible()

    page.goto(f"{member}/why?permission=project:create")
    expect(page.locator("main")).to_contain_text("Yes, Viewer may.")
    expect(page.locator("main")).to_contain_text("Planner")

    page.goto(member)
    page.locator("main li", has_text="Planner").locator("button").click()
    page.locator("#confirm button[value=yes]").click()
    expect(page.locator("section[aria-labelledby=roles]")).not_to_contain_text("Planner from")
    open_browser.goto("/projects/")
    expect(open_browser.locator("main a[href$='/projects/new']")).to_have_count(0)

    page.goto("/admin/audit/")
    for kind in ("Role created", "Role given", "Role taken"):
        expect(page.locator("main tbody")).to_contain_text(kind)
    verified = site.app.test_cli_runner().invoke(args=["audit", "verify", acme.slug])
    assert verified.exit_code == 0, verified.output
