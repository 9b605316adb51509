"""What holds for every page: it fits a phone, and works by keyboard, without scripts and with a screen reader."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Open
from tests.browser.places import walk, walk_admin, walk_hosts, walk_provider
from tests.browser.site import Site
from tests.browser.steps import (
    come_in,
    expect_signed_in,
    expect_signed_out,
    form_with,
    heading,
    send,
    sign_in,
)
from tests.factories import Workspace, make_project
from tests.servers.oidc import OidcServer

pytestmark = pytest.mark.browser

postgres = pytest.mark.postgres

PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "has_touch": True}
STANDARD = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
CHECK = """
async (standard) => {
  const found = await axe.run({runOnly: standard, resultTypes: ["violations"], preload: false});
  return found.violations.flatMap(rule => rule.nodes.map(node => `${rule.id}: ${node.html}: ${node.failureSummary}`));
}
"""


def check(page: Page) -> list[str]:
    """What axe-core finds against WCAG 2.2, levels A and AA."""
    page.evaluate(AXE_FILE_PATH.read_text(encoding="utf-8"))
    found: list[str] = page.evaluate(CHECK, STANDARD)
    return found


def problems(page: Page, walked: Iterator[str]) -> dict[str, list[str]]:
    """What axe-core finds on the pages of a walk, by their names."""
    return {name: found for name in walked if (found := check(page))}


def too_wide(page: Page, walked: Iterator[str], locale: str) -> dict[str, int]:
    """The widths of a walk's pages that a phone cannot show, by their names; all are in that language."""
    found = {}
    for name in walked:
        assert page.locator("html").get_attribute("lang") == locale[:2], name
        width = page.evaluate("document.scrollingElement.scrollWidth")
        if width > 360:
            found[name] = width
    return found


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until the focus is there, and can be seen."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            break
    expect(target).to_be_focused()
    visible = "element => { const s = getComputedStyle(element); return s.outlineStyle + s.boxShadow; }"
    assert target.evaluate(visible) != "nonenone"


@pytest.mark.parametrize("locale", ["en-GB", "es-ES"])
@postgres
def test_no_page_is_wider_than_a_phone(open_page: Open, site: Site, acme: Workspace, locale: str) -> None:
    page = open_page(acme, locale=locale, **PHONE)
    assert too_wide(page, chain(walk(page, site, acme), walk_hosts(page, site)), locale) == {}


@postgres
def test_no_page_on_the_way_to_a_provider_is_wider_than_a_phone(
    open_page: Open, site: Site, acme: Workspace, provider: OidcServer
) -> None:
    page = open_page(acme, locale="es-ES", **PHONE)
    assert too_wide(page, walk_provider(page, site, acme, provider), "es-ES") == {}


@postgres
def test_an_accessibility_checker_has_nothing_to_say(open_page: Open, site: Site, acme: Workspace) -> None:
    page = open_page(acme)
    assert problems(page, chain(walk(page, site, acme), walk_hosts(page, site))) == {}


@postgres
def test_an_accessibility_checker_has_nothing_to_say_of_the_way_to_a_provider(
    open_page: Open, site: Site, acme: Workspace, provider: OidcServer
) -> None:
    page = open_page(acme)
    assert problems(page, walk_provider(page, site, acme, provider)) == {}


@postgres
def test_an_accessibility_checker_has_nothing_to_say_of_the_administration(
    open_page: Open, site: Site, acme: Workspace
) -> None:
    page = open_page(acme)
    assert problems(page, walk_admin(page, site, acme)) == {}


@postgres
def test_no_page_of_the_administration_is_wider_than_a_phone(open_page: Open, site: Site, acme: Workspace) -> None:
    page = open_page(acme, locale="es-ES", **PHONE)  # the longer words
    assert too_wide(page, walk_admin(page, site, acme), "es-ES") == {}


@postgres
def test_an_accessibility_checker_has_nothing_to_say_of_a_phone_either(
    open_page: Open, site: Site, acme: Workspace
) -> None:
    page = open_page(acme, locale="es-ES", **PHONE)
    make_project(site.app, acme)
    come_in(page, site, acme, "owner")
    paths = ("/", "/projects/", "/projects/new", "/account/", "/account/sessions", "/admin/sign-in/")
    assert problems(page, (path for path in paths if page.goto(path))) == {}


@postgres
def test_the_essential_works_without_scripts(open_page: Open, acme: Workspace) -> None:
    page = open_page(acme, java_script_enabled=False)
    sign_in(page, acme.people["owner"])
    page.goto("/projects/new")
    form = form_with(page, "description")
    form.locator("[name=name]").fill("Apollo")
    send(form)
    expect(heading(page)).to_have_text("Apollo")

    form = form_with(page, "body")
    form.locator("[name=body]").fill("On its way")
    send(form)
    expect(page.locator("#updates .lines")).to_have_text("On its way")
    page.locator("main a[href$='/delete']").click()
    page.locator("main form button[type=submit]").click()
    expect(page.locator("main tbody tr")).to_have_count(0)

    page.locator("footer select").select_option("es")
    page.locator("footer button").click()
    expect(page.locator("html")).to_have_attribute("lang", "es")
    page.locator("details.menu summary").click()
    page.locator("form[action$='/auth/logout'] button").click()
    expect_signed_out(page)


@postgres
def test_without_scripts_what_would_be_asked_first_is_still_done(open_page: Open, site: Site, acme: Workspace) -> None:
    page = open_page(acme, java_script_enabled=False)
    come_in(page, site, acme)
    page.goto("/account/sessions")
    page.locator("form[action$='/account/sessions/end'] button").click()
    expect_signed_out(page)


@postgres
def test_a_keyboard_is_enough(page: Page, acme: Workspace) -> None:
    person, keyboard = acme.people["member"], page.keyboard
    page.goto("/auth/login")
    tab_to(page, page.locator(".skip-link"))
    keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    tab_to(page, page.locator("main [name=email]"))
    keyboard.type(person.email)
    tab_to(page, page.locator("main [name=password]"))
    keyboard.type(person.password)
    keyboard.press("Enter")
    expect_signed_in(page)

    tab_to(page, page.locator("nav a[href$='/projects/']"))
    keyboard.press("Enter")
    expect(heading(page)).to_have_count(1)
    page.wait_for_url("**/projects/")
    tab_to(page, page.locator("main a[href$='/projects/new']").first)
    keyboard.press("Enter")
    page.wait_for_url("**/projects/new")
    tab_to(page, page.locator("main [name=name]"))
    keyboard.type("Apollo")
    tab_to(page, form_with(page, "description").locator("button[type=submit]"))
    keyboard.press("Enter")
    expect(heading(page)).to_have_text("Apollo")

    tab_to(page, page.locator("details.menu summary"))
    keyboard.press("Enter")
    tab_to(page, page.locator("form[action$='/auth/logout'] button"))
    keyboard.press("Escape")
    expect(page.locator("details.menu summary")).to_be_focused()
    keyboard.press("Enter")
    tab_to(page, page.locator("form[action$='/auth/logout'] button"))
    keyboard.press("Enter")
    expect_signed_out(page)


@postgres
def test_a_question_keeps_the_keyboard_inside_until_it_is_answered(member: Page) -> None:
    member.goto("/account/sessions")
    button = member.locator("form[action$='/account/sessions/end'] button")
    button.focus()
    member.keyboard.press("Enter")
    expect(member.locator("#confirm button[value=no]")).to_be_focused()
    member.keyboard.press("Enter")
    expect(member.locator("#confirm")).to_be_hidden()
    expect(button).to_be_focused()
    member.keyboard.press("Enter")
    member.keyboard.press("Tab")
    member.keyboard.press("Enter")
    expect_signed_out(member)


@postgres
def test_a_double_click_makes_one_project(member: Page) -> None:
    member.goto("/projects/new")
    form = form_with(member, "description")
    form.locator("[name=name]").fill("Once")
    form.locator("button[type=submit]").dblclick()
    expect(heading(member)).to_have_text("Once")
    member.goto("/projects/")
    expect(member.locator("main tbody tr")).to_have_count(1)
