"""My account: passwords, second factor, passkeys, devices, language."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from auth.roles import grant_role, revoke_role
from tests.auth.authenticator import AuthenticatorApp
from tests.auth.helpers import NEW_PASSWORD, inside, link_in, mail_to, row_of
from tests.browser.conftest import Open
from tests.browser.site import Site
from tests.browser.steps import (
    come_in,
    enter,
    expect_signed_in,
    expect_signed_out,
    form_with,
    go,
    heading,
    on_both,
    send,
    sign_in,
    sign_out,
)
from tests.factories import Workspace, make_project

pytestmark = pytest.mark.browser

postgres = pytest.mark.postgres


def set_up_app(page: Page, site: Site) -> AuthenticatorApp:
    """Turn the second factor on by the account pages; uses up the code of half a minute ago."""
    page.goto("/account/")
    page.locator("main a[href*='/auth/tf-setup']").click()
    send(page.locator("main form:has([name=setup][value=authenticator])"))
    expect(page.locator("main img[src^='data:image/svg']")).to_be_visible()
    authenticator = AuthenticatorApp(site.app, page.locator(".secret-key").inner_text())
    give_code(page, authenticator.code(-1))
    expect_signed_in(page)
    expect(page.get_by_role("status").first).to_be_visible()
    return authenticator


def give_code(page: Page, code: str) -> None:
    """Type a code into the form that asks for one."""
    form = form_with(page, "code")
    form.locator("[name=code]").fill(code)
    send(form)


def confirm(page: Page, button: Locator) -> None:
    """Press a button that asks first, and say yes."""
    button.click()
    page.locator("#confirm button[value=yes]").click()


def add_device(page: Page) -> None:
    """Give the browser a built-in authenticator that knows its owner's finger."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})


@pytest.mark.usefixtures("steady")
@on_both
def test_a_second_factor_is_set_up_and_asked_for_at_the_next_sign_in(member: Page, site: Site, acme: Workspace) -> None:
    authenticator = set_up_app(member, site)
    sign_out(member)

    enter(member, acme.people["member"])
    expect(member).to_have_url(re.compile("/auth/tf-validate"))
    assert go(member, "/projects/") == 200
    expect_signed_out(member)

    enter(member, acme.people["member"])
    give_code(member, "000000" if authenticator.code() != "000000" else "000001")
    expect(member.locator("[name=code]")).to_have_attribute("aria-invalid", "true")
    give_code(member, authenticator.code())
    expect_signed_in(member)


@pytest.mark.usefixtures("steady")
@postgres
def test_a_recovery_code_signs_in_once(member: Page, site: Site, acme: Workspace) -> None:
    set_up_app(member, site)
    member.goto("/account/")
    member.locator("main a[href*='/auth/mf-recovery-codes']").click()
    send(member.locator("main form[method=post]"))
    codes = member.locator("#codes li").all_inner_texts()
    assert len(set(codes)) == 10
    sign_out(member)

    enter(member, acme.people["member"])
    member.locator("main a[href*='/auth/mf-recovery']").click()
    give_code(member, codes[0])
    expect_signed_in(member)
    sign_out(member)

    enter(member, acme.people["member"])
    member.locator("main a[href*='/auth/mf-recovery']").click()
    give_code(member, codes[0])
    expect(member.locator("[name=code]")).to_have_attribute("aria-invalid", "true")
    give_code(member, codes[1])
    expect_signed_in(member)


@pytest.mark.usefixtures("steady")
@postgres
def test_the_second_factor_is_turned_off_after_a_question(member: Page, site: Site, acme: Workspace) -> None:
    set_up_app(member, site)
    member.goto("/auth/tf-setup")
    turn_off = member.locator("main form:has([name=setup][value=disable]) button")
    turn_off.click()
    member.keyboard.press("Escape")
    expect(member.locator("#confirm")).to_be_hidden()
    confirm(member, turn_off)
    expect(turn_off).to_have_count(0)
    sign_out(member)

    sign_in(member, acme.people["member"])


@postgres
def test_a_passkey_signs_in_where_it_was_made_and_nowhere_else(
    member: Page, site: Site, acme: Workspace, globex: Workspace
) -> None:
    add_device(member)
    member.goto("/account/")
    member.locator("main a[href*='/auth/wan-register']").click()
    form = form_with(member, "name")
    form.locator("[name=name]").fill("laptop")
    form.locator("[name=usage][value=first]").check()
    send(form)
    expect(member.locator("main li").filter(has_text="laptop")).to_be_visible()
    sign_out(member)

    member.locator("main a[href*='/auth/wan-signin']").click()
    send(member.locator("main form[action*='/auth/wan-signin']"))
    expect_signed_in(member)

    member.goto(site.url(globex, "/auth/wan-signin"))
    send(member.locator("main form[action*='/auth/wan-signin']"))
    expect(member.locator("[data-passkey-problem]")).to_be_visible()
    member.goto(site.url(globex))
    expect_signed_out(member)


@postgres
def test_a_passkey_is_removed_after_a_question(member: Page) -> None:
    add_device(member)
    member.goto("/auth/wan-register")
    form = form_with(member, "name")
    form.locator("[name=name]").fill("Zoë's “old” key (2)")
    send(form)
    expect(member.locator("main li").filter(has_text="Zoë's “old” key (2)")).to_be_visible()
    member.goto("/auth/wan-register")
    key = member.locator("main li").filter(has_text="Zoë's “old” key (2)")
    confirm(member, key.locator("button"))
    expect(key).to_have_count(0)


@postgres
def test_a_forgotten_password_is_replaced_by_the_mailed_link(page: Page, site: Site, acme: Workspace) -> None:
    person = acme.people["member"]
    page.goto("/auth/login")
    page.locator("main a[href*='/auth/reset']").click()
    form = form_with(page, "email")
    form.locator("[name=email]").fill(person.email)
    send(form)
    expect(page.get_by_role("status").or_(page.get_by_role("alert"))).to_be_visible()
    link = link_in(mail_to(site.app, person.email)[-1])
    assert link.startswith(site.url(acme, "/auth/reset/"))

    page.goto(link)
    form = form_with(page, "password_confirm")
    form.locator("[name=password]").fill("short")
    form.locator("[name=password_confirm]").fill("short")
    send(form)
    expect(form.locator("[name=password]")).to_have_attribute("aria-invalid", "true")
    form.locator("[name=password]").fill(NEW_PASSWORD)
    form.locator("[name=password_confirm]").fill(NEW_PASSWORD)
    send(form)
    expect(page.get_by_role("status")).to_be_visible()

    enter(page, person)
    expect(page.get_by_role("alert")).to_be_visible()
    sign_in(page, person, password=NEW_PASSWORD)
    page.goto(link)
    expect(form_with(page, "password_confirm")).to_have_count(0)


@postgres
def test_a_changed_password_ends_the_sessions_of_other_browsers(open_page: Open, site: Site, acme: Workspace) -> None:
    person = acme.people["member"]
    here, elsewhere = open_page(acme), open_page(acme)
    come_in(here, site, acme)
    sign_in(elsewhere, person, remember=True)

    here.goto("/account/")
    here.locator("main a[href$='/auth/change']").click()
    form = form_with(here, "new_password")
    form.locator("[name=password]").fill(person.password)
    form.locator("[name=new_password]").fill(NEW_PASSWORD)
    form.locator("[name=new_password_confirm]").fill(NEW_PASSWORD)
    send(form)
    expect(here).to_have_url(re.compile("/account/$"))

    elsewhere.locator("nav a[href$='/projects/']").click()
    expect_signed_out(elsewhere)
    here.goto("/projects/")
    expect_signed_in(here)


@on_both
def test_signing_out_everywhere_ends_the_other_browser_at_its_next_click(
    open_page: Open, site: Site, acme: Workspace
) -> None:
    here, elsewhere = open_page(acme), open_page(acme)
    come_in(here, site, acme)
    come_in(elsewhere, site, acme)

    here.goto("/account/sessions")
    confirm(here, here.locator("form[action$='/account/sessions/end'] button"))
    expect_signed_out(here)
    elsewhere.locator("nav a[href$='/projects/']").click()
    expect_signed_out(elsewhere)


@postgres
def test_one_session_is_ended_and_the_others_stay(open_page: Open, site: Site, acme: Workspace) -> None:
    here, second, third = open_page(acme), open_page(acme), open_page(acme, user_agent="Mozilla/5.0 Firefox/140.0")
    come_in(here, site, acme)
    come_in(second, site, acme)
    sign_in(third, acme.people["member"])

    here.goto("/account/sessions")
    rows = here.locator("main li:has(form)")
    expect(rows).to_have_count(3)
    rows.filter(has_text="Firefox").locator("button").click()
    expect(rows).to_have_count(2)
    expect(rows.filter(has_text="Firefox")).to_have_count(0)

    third.locator("nav a[href$='/projects/']").click()
    expect_signed_out(third)
    for page in (here, second):
        page.locator("nav a[href$='/projects/']").click()
        expect(page).to_have_url(re.compile("/projects/$"))
        expect_signed_in(page)


@on_both
def test_a_right_that_is_taken_away_is_gone_at_the_next_click(member: Page, site: Site, acme: Workspace) -> None:
    person = acme.people["member"]
    member.goto(f"/projects/{make_project(site.app, acme, 'Apollo')}")
    with inside(site.app, acme):
        revoke_role(row_of(person), "member", actor=None)
        grant_role(row_of(person), "viewer", actor=None)
    with member.expect_response(re.compile("/edit$")) as answer:
        member.locator("main a[href$='/edit']").click()
    assert answer.value.status == 403
    expect(heading(member)).to_be_visible()
    member.goto("/projects/")
    expect(member.locator("a[href$='/projects/new']")).to_have_count(0)

    with inside(site.app, acme):
        revoke_role(row_of(person), "viewer", actor=None)
    assert go(member, "/projects/") == 403
    assert go(member, "/") == 200
    expect(member.get_by_text("Apollo")).to_have_count(0)


@postgres
def test_what_is_typed_before_a_right_is_taken_away_changes_nothing(member: Page, site: Site, acme: Workspace) -> None:
    address = f"/projects/{make_project(site.app, acme, 'Apollo')}"
    member.goto(f"{address}/edit")
    form = form_with(member, "description")
    form.locator("[name=name]").fill("Changed")
    with inside(site.app, acme):
        revoke_role(row_of(acme.people["member"]), "member", actor=None)
        grant_role(row_of(acme.people["member"]), "viewer", actor=None)
    send(form)
    expect(member.locator("form")).to_have_count(0)
    member.goto(address)
    expect(heading(member)).to_have_text("Apollo")


@postgres
def test_the_language_is_changed_to_spanish_and_back(member: Page) -> None:
    document = member.locator("html")
    expect(document).to_have_attribute("lang", "en")
    form, english = member.locator("footer form"), heading(member).inner_text()
    for code in ("es", "en"):
        form.locator("[name=locale]").select_option(code)
        send(form)
        expect(document).to_have_attribute("lang", code)
        expect(member).to_have_url(re.compile(r":\d+/$"))
        assert (heading(member).inner_text() == english) is (code == "en")


@postgres
def test_the_language_is_chosen_before_signing_in_and_kept(page: Page, acme: Workspace) -> None:
    page.goto("/auth/login")
    english = heading(page).inner_text()
    page.locator("footer button[value=es]").click()
    expect(page.locator("html")).to_have_attribute("lang", "es")
    expect(heading(page)).not_to_have_text(english)
    sign_in(page, acme.people["member"])
    expect(page.locator("html")).to_have_attribute("lang", "es")


@postgres
def test_a_browser_that_prefers_spanish_gets_spanish(open_page: Open, acme: Workspace) -> None:
    page = open_page(acme, locale="es-MX")
    page.goto("/auth/login")
    expect(page.locator("html")).to_have_attribute("lang", "es")


@postgres
def test_the_profile_keeps_name_language_and_time_zone(member: Page) -> None:
    member.goto("/account/")
    form = form_with(member, "timezone")
    form.locator("[name=name]").fill("Zoë Ångström")
    form.locator("[name=locale]").select_option("es")
    form.locator("[name=timezone]").select_option("Asia/Tokyo")
    send(form)

    expect(member.locator("html")).to_have_attribute("lang", "es")
    expect(form.locator("[name=name]")).to_have_value("Zoë Ångström")
    expect(form.locator("[name=timezone]")).to_have_value("Asia/Tokyo")
    expect(member.locator("details.menu summary")).to_contain_text("Zoë Ångström")


@postgres
def test_a_remembered_sign_in_outlives_the_browser_window_and_a_plain_one_does_not(
    open_context: Callable[..., BrowserContext], open_page: Open, site: Site, acme: Workspace
) -> None:
    for remember in (True, False):
        page = open_page(acme)
        sign_in(page, acme.people["member"], remember=remember)
        kept = [cookie for cookie in page.context.cookies() if cookie.get("expires", -1) > 0]
        later = open_context(base_url=site.url(acme), storage_state={"cookies": kept, "origins": []}).new_page()
        later.goto("/")
        (expect_signed_in if remember else expect_signed_out)(later)
