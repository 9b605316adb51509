"""A company's directory, connected on the pages of the administration: from the form to the first who comes by it."""

import re
import uuid
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.auth.directories import unique
from tests.browser.conftest import Open
from tests.browser.site import Site
from tests.browser.steps import come_in, enter, expect_signed_in, form_with, heading, send
from tests.factories import Person, Workspace
from tests.servers import openldap, require
from tests.servers.openldap import OpenLdapServer

pytestmark = [pytest.mark.browser, pytest.mark.postgres]

AT_WORK = "the password at work"
STEPS = ["Connection", "Encryption", "Service account", "Base", "Person", "Attributes", "Groups", "Password"]


@pytest.fixture(scope="module")
def directory() -> Iterator[OpenLdapServer]:
    with require(openldap.start) as server:
        yield server


def add_directory(page: Page, directory: OpenLdapServer) -> None:
    """From the start page to a source, by what an administrator clicks and types."""
    page.locator("header a", has_text="Administration").click()
    page.locator("nav a", has_text="Signing in").click()
    page.get_by_role("link", name="Connect a source").first.click()
    page.get_by_role("link", name="OpenLDAP").click()
    form = form_with(page, "label")
    for name, value in {
        "label": "Acme staff", "servers": directory.tls_url, "base_dn": directory.people,
        "bind_dn": directory.service_dn, "secret": directory.service_password,
    }.items():  # fmt: skip
        form.locator(f"[name={name}]").fill(value)
    form.locator("details summary").click()
    form.locator("[name=ca_bundle]").fill(directory.ca)
    form.locator("[name=group_base]").fill(directory.groups)
    send(form)


def rehearse(page: Page, login: str, password: str) -> None:
    """Rehearse a sign-in, on the page of a source."""
    page.locator("main a[href$='/rehearse']").first.click()
    form = form_with(page, "login")
    form.locator("[name=login]").fill(login)
    form.locator("[name=password]").fill(password)
    send(form)


def map_group(page: Page, group: str, role: str) -> None:
    """Have a group give a role, on the page of a source."""
    form = form_with(page, "group")
    form.locator("[name=group]").fill(group)
    form.locator("[name=role]").select_option(role)
    send(form)
    expect(page.locator("section[aria-labelledby=mappings] tbody")).to_contain_text(group)


def change_timeout(page: Page, seconds: str) -> None:
    """Change a setting of a source, on its page."""
    page.get_by_role("link", name="Change", exact=True).click()
    form = form_with(page, "timeout")
    form.locator("details summary").click()
    form.locator("[name=timeout]").fill(seconds)
    send(form)


def test_a_directory_is_connected_rehearsed_mapped_and_switched_on_and_its_people_come(
    page: Page, open_page: Open, site: Site, acme: Workspace, directory: OpenLdapServer
) -> None:
    uid, team = unique("alice"), unique("admins")
    directory.add_group(team, [directory.add_person(uid, password=AT_WORK, name="Alice Adams")])

    come_in(page, site, acme, "admin")
    add_directory(page, directory)
    expect(heading(page)).to_have_text("Acme staff")
    expect(page.locator("main")).to_contain_text("It is switched off")
    source = page.url

    rehearse(page, uid, AT_WORK)
    steps = page.locator("section[aria-labelledby=steps] li:not(.waiting) h3")
    expect(steps).to_have_text([*(re.compile(f"^{step} Went well$") for step in STEPS), "Outcome Would get in"])
    expect(page.locator(".waiting").last).to_be_hidden()
    preview = page.locator("section:has(#preview)")
    expect(preview).to_contain_text(f"Would be made a new member, {uid}@acme.example.")
    expect(preview).to_contain_text("Roles by groups None")

    page.goto(source)
    map_group(page, team, "admin")
    page.get_by_role("button", name="Switch on").click()
    expect(page.locator("section[aria-labelledby=facts] .state")).to_have_text("On")
    change_timeout(page, "4")
    expect(page.locator("main")).to_contain_text("The new settings are provisional.")

    alice = open_page(acme)
    enter(alice, Person(uuid.uuid4(), uid, AT_WORK))
    expect_signed_in(alice)
    alice.goto(source)
    expect(heading(alice)).to_have_text("Acme staff")  # as an administrator, by her group
    page.goto(source)
    expect(page.locator("main")).not_to_contain_text("The new settings are provisional.")

    page.goto("/admin/audit/")
    for told in ("Source added", "Sign-in rehearsed", "Group of a source gives a role", "Source switched on",
                 "Source changed"):  # fmt: skip
        expect(page.locator("main tbody")).to_contain_text(told)
    expect(page.locator("main tbody")).to_contain_text(uid)
