"""The company's directory, as its people meet it in a browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.auth.directories import connect, map_group, sync, unique
from tests.browser.conftest import Open
from tests.browser.site import Site
from tests.browser.steps import expect_signed_in, expect_signed_out, on_both, send
from tests.factories import PASSWORD, Workspace, add_person
from tests.servers import openldap, require
from tests.servers.openldap import OpenLdapServer

pytestmark = [pytest.mark.browser, pytest.mark.postgres]

AT_WORK = "the password at work"


@pytest.fixture(scope="module")
def directory() -> Iterator[OpenLdapServer]:
    with require(openldap.start) as server:
        yield server


def enter(page: Page, login: str, password: str) -> None:
    """Type a name and a password into the sign-in form."""
    page.goto("/auth/login")
    page.locator("[name=email]").fill(login)
    page.locator("[name=password]").fill(password)
    send(page.locator("main form:has([name=password])"))


@on_both
def test_a_nested_group_gives_a_role_until_one_leaves_it_and_a_sync_signs_a_leaver_out(
    page: Page, site: Site, acme: Workspace, directory: OpenLdapServer
) -> None:
    uid, team, around = unique("alice"), unique("web-team"), unique("engineering")
    dn = directory.add_person(uid, password=AT_WORK, name="Alice Adams")
    inner = directory.add_group(team, [dn, directory.nobody])
    directory.add_group(around, [inner])
    connect(site.app, acme, directory, label="Acme staff")
    map_group(site.app, acme, around, "member")

    enter(page, uid, AT_WORK)
    expect_signed_in(page)
    page.goto("/account/")
    expect(page.get_by_text(f"through the group “{around}”")).to_be_visible()
    page.goto("/projects/new")
    expect(page.locator("main [name=name]")).to_be_visible()

    directory.remove_member(inner, dn)
    sync(site.app, acme)
    page.goto("/account/")
    expect(page.get_by_text("You have no role in this workspace yet.")).to_be_visible()

    directory.disable(dn)
    sync(site.app, acme)
    page.goto("/account/")
    expect_signed_out(page)


def test_an_account_and_a_person_of_the_directory_are_connected_by_both_passwords(
    page: Page, open_page: Open, site: Site, acme: Workspace, directory: OpenLdapServer
) -> None:
    person, uid = add_person(site.app, acme), unique("both")
    directory.add_person(uid, password=AT_WORK, email=person.email)
    connect(site.app, acme, directory, label="Acme staff")

    enter(page, uid, AT_WORK)
    expect(page.get_by_role("alert")).to_contain_text("there is an account with your e-mail address already")
    enter(page, person.email, PASSWORD)
    expect_signed_in(page)
    expect(page.get_by_text("Your account is connected with Acme staff.")).to_be_visible()

    again = open_page(acme)
    enter(again, person.email, PASSWORD)
    expect(again.get_by_role("alert")).to_be_visible()
    enter(again, uid, AT_WORK)
    expect_signed_in(again)


def test_a_directory_that_cannot_be_reached_is_told_and_keeps_nobody_else_out(
    page: Page, site: Site, acme: Workspace, directory: OpenLdapServer
) -> None:
    connect(site.app, acme, directory, servers=["ldaps://localhost:1"])
    enter(page, "alice", AT_WORK)
    expect(page.get_by_role("alert")).to_contain_text("The company directory cannot be reached")
    enter(page, acme.people["owner"].email, PASSWORD)
    expect_signed_in(page)
