"""An app that people allow to act for them, through a real browser: where the ways lead that policies could bar."""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from auth import clients
from tests.auth.helpers import inside
from tests.auth.oauth_server.programs import Program
from tests.browser.site import Site
from tests.browser.steps import form_with, send, sign_in
from tests.factories import Workspace

pytestmark = [pytest.mark.browser, pytest.mark.postgres]

BACK = "https://app.example/back"


def register(site: Site, workspace: Workspace, back: str = BACK) -> Program:
    with inside(site.app, workspace):
        app, secret = clients.add_app("Planner", redirects=[back], permissions=["project:read"], actor=None)
        return Program(site.app, workspace.host, app.id, app.client_id, secret, redirect_uri=back)


def receive(page: Page, address: str = "https://app.example/**") -> None:
    """Stand for the app, wherever it is."""

    def answer(route: Route) -> None:
        route.fulfill(status=200, content_type="text/html", body="<title>the app</title>")

    page.route(address, answer)


def test_who_is_not_signed_in_signs_in_allows_the_app_and_is_back_there(
    page: Page, site: Site, acme: Workspace
) -> None:
    program, person = register(site, acme), acme.people["member"]
    receive(page)
    page.goto(site.url(acme, program.ask()))
    form = form_with(page, "password")
    form.locator("[name=email]").fill(person.email)
    form.locator("[name=password]").fill(person.password)
    send(form)
    page.locator("main button[value=allow]").click()
    expect(page).to_have_title("the app")
    expect(page).to_have_url(re.compile(r"[?&]code=tnt_ac_"))


def test_who_has_allowed_it_before_signs_in_and_is_back_without_being_asked(
    page: Page, site: Site, acme: Workspace
) -> None:
    program, person = register(site, acme), acme.people["member"]
    receive(page)
    sign_in(page, person)
    page.goto(site.url(acme, program.ask()))
    page.locator("main button[value=allow]").click()
    expect(page).to_have_title("the app")
    page.context.clear_cookies()
    page.goto(site.url(acme, program.ask(state="again")))
    form = form_with(page, "password")
    form.locator("[name=email]").fill(person.email)
    form.locator("[name=password]").fill(person.password)
    send(form)
    expect(page).to_have_title("the app")
    expect(page).to_have_url(re.compile(r"[?&]state=again(&|$)"))


def test_who_does_not_allow_it_is_back_there_as_well(page: Page, site: Site, acme: Workspace) -> None:
    program = register(site, acme, "http://127.0.0.1:8/back")
    receive(page, "http://127.0.0.1:8/**")
    sign_in(page, acme.people["member"])
    page.goto(site.url(acme, program.ask()))
    page.locator("main button[value=deny]").click()
    expect(page).to_have_title("the app")
    expect(page).to_have_url(re.compile(r"error=access_denied"))
