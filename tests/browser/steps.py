"""What people do again and again. Found by field names and addresses, so that wording and language do not matter."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests import visitor
from tests.browser.site import Site
from tests.factories import Person, Workspace
from tests.servers import oidc

on_both = pytest.mark.parametrize(
    "site", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
"""Runs a test on SQLite and on PostgreSQL."""

SIGN_IN = re.compile(r"/auth/login(\?|$)")


def form_with(page: Page, field: str) -> Locator:
    """The form that has a field of that name."""
    return page.locator(f"main form:has([name={field}]:not([type=hidden]))")


def send(form: Locator) -> None:
    """Press a form's own button."""
    form.locator("button[type=submit]").click()


def menu(page: Page) -> Locator:
    """The menu of the signed-in person."""
    return page.locator("details.menu")


def enter(page: Page, person: Person, *, password: str | None = None, remember: bool = False) -> None:
    """Fill the sign-in page in and send it; what comes then is up to the test."""
    page.goto("/auth/login")
    form = form_with(page, "password")
    form.locator("[name=email]").fill(person.email)
    form.locator("[name=password]").fill(password or person.password)
    form.locator("[name=remember]").set_checked(remember)
    send(form)


def sign_in(page: Page, person: Person, *, password: str | None = None, remember: bool = False) -> None:
    """Come in by e-mail and password."""
    enter(page, person, password=password, remember=remember)
    expect_signed_in(page)


def come_in(page: Page, site: Site, workspace: Workspace, role: str = "member") -> None:
    """Be signed in, for what comes after it: the cookies are those of a sign-in without a screen."""
    cookies = visitor.sign_in(site.app, workspace, role).cookies()
    page.context.add_cookies(
        [{"name": name, "value": value, "url": site.url(workspace)} for name, value in cookies.items()]
    )
    page.goto(site.url(workspace))
    expect_signed_in(page)


def sign_in_there(page: Page, login: str) -> None:
    """Fill the sign-in page of an identity provider in; what comes then is up to the test."""
    page.locator("[name=login]").fill(login)
    page.locator("[name=password]").fill(oidc.PASSWORD)
    page.locator("button[type=submit]:not([name=cancel])").click()


def leave(page: Page) -> None:
    """Press what signs out in the menu; what comes then is up to the test."""
    menu(page).locator("summary").click()
    page.locator("form[action$='/auth/logout'] button").click()


def sign_out(page: Page) -> None:
    """Leave by the menu."""
    leave(page)
    expect_signed_out(page)


def expect_signed_in(page: Page) -> None:
    expect(menu(page)).to_be_visible()


def expect_signed_out(page: Page) -> None:
    expect(page).to_have_url(SIGN_IN)
    expect(menu(page)).to_have_count(0)


def go(page: Page, path: str) -> int:
    """Type an address; gives back the status of the answer."""
    response = page.goto(path)
    assert response is not None
    return response.status


def heading(page: Page) -> Locator:
    """The page's own title."""
    return page.locator("main h1")
