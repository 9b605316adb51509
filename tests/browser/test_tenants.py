"""Workspaces side by side in one browser: each on its own host, and none knows of the other."""

import re

import pytest
from playwright.sync_api import Page, expect

from tenants.lifecycle import resume_tenant, suspend_tenant
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
)
from tests.factories import Workspace, make_project

pytestmark = pytest.mark.browser


@on_both
def test_signed_in_at_one_workspace_is_nobody_at_the_other(
    member: Page, site: Site, acme: Workspace, globex: Workspace
) -> None:
    member.goto(site.url(globex))
    expect_signed_out(member)

    member.goto(site.url(acme))
    expect_signed_in(member)
    assert "localhost" not in {cookie.get("domain") for cookie in member.context.cookies()}


@pytest.mark.postgres
def test_the_password_of_one_workspace_does_not_open_the_other(
    open_page: Open, acme: Workspace, globex: Workspace
) -> None:
    page = open_page(globex)
    enter(page, acme.people["owner"])
    expect(page.get_by_role("alert")).to_be_visible()
    expect_signed_out(page)


@on_both
def test_the_address_of_a_project_leads_nowhere_in_another_workspace(
    open_page: Open, site: Site, acme: Workspace, globex: Workspace
) -> None:
    address = f"/projects/{make_project(site.app, acme, 'Acme only')}"
    page = open_page(globex)
    come_in(page, site, globex, "owner")

    for path in (address, f"{address}/edit", f"{address}/delete"):
        assert go(page, path) == 404
        expect(page.get_by_text("Acme only")).to_have_count(0)


@pytest.mark.postgres
def test_signed_in_at_both_each_tab_stays_who_it_is(
    member: Page, site: Site, acme: Workspace, globex: Workspace
) -> None:
    make_project(site.app, acme, "Acme only")
    make_project(site.app, globex, "Globex only")
    second = member.context.new_page()
    come_in(second, site, globex, "owner")

    for page, workspace, name in ((member, acme, "Acme only"), (second, globex, "Globex only")):
        page.goto(site.url(workspace, "/projects/"))
        expect(page.locator("main tbody th")).to_have_text([name])


@pytest.mark.postgres
def test_a_suspended_workspace_says_so_at_the_next_click_and_serves_again_when_resumed(
    member: Page, site: Site, acme: Workspace
) -> None:
    with site.app.app_context():
        suspend_tenant(acme.slug)
    with member.expect_response(lambda response: response.request.is_navigation_request()) as answer:
        member.locator("nav a[href$='/projects/']").click()
    assert answer.value.status == 403
    expect(heading(member)).to_contain_text("suspended")
    expect(member.locator("form, nav")).to_have_count(0)
    assert go(member, "/auth/login") == 403

    with site.app.app_context():
        resume_tenant(acme.slug)
    assert go(member, "/projects/") == 200
    expect_signed_in(member)


@pytest.mark.postgres
def test_the_apex_leads_to_the_workspace_that_is_typed(open_page: Open, site: Site, acme: Workspace) -> None:
    page = open_page("localhost")
    page.goto("/")
    form = form_with(page, "workspace")
    form.locator("[name=workspace]").fill(f" {acme.slug.upper()} ")
    send(form)

    expect(page).to_have_url(re.compile(re.escape(site.url(acme, "/auth/login"))))
    expect(form_with(page, "password")).to_be_visible()


@pytest.mark.postgres
def test_a_name_that_no_workspace_can_have_is_explained_and_kept(open_page: Open) -> None:
    page = open_page("localhost")
    page.goto("/")
    form = form_with(page, "workspace")
    form.locator("[name=workspace]").fill("no such thing!")
    send(form)

    field = form.locator("[name=workspace]")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_value("no such thing!")
    expect(page.get_by_role("alert")).to_be_visible()


@pytest.mark.postgres
def test_a_host_without_workspace_is_a_page_without_any_way_in(open_page: Open) -> None:
    page = open_page("nobody-here.localhost")

    assert go(page, "/") == 404
    expect(heading(page)).to_be_visible()
    expect(page.locator("form")).to_have_count(0)
