"""Working with projects, and what those see who may not."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.browser.site import Site
from tests.browser.steps import come_in, expect_signed_out, form_with, go, heading, on_both, send, sign_in, sign_out
from tests.factories import Workspace, make_project

pytestmark = pytest.mark.browser

postgres = pytest.mark.postgres


def names(page: Page) -> list[str]:
    """The projects of the list that is shown."""
    return page.locator("main tbody th").all_inner_texts()


@on_both
def test_a_member_signs_in_works_with_a_project_and_signs_out(page: Page, acme: Workspace) -> None:
    member = page
    sign_in(member, acme.people["member"])
    member.locator("main a[href$='/projects/new']").first.click()
    form = form_with(member, "description")
    form.locator("[name=name]").fill("Apollo")
    form.locator("[name=description]").fill("To the moon\nand back")
    send(form)
    expect(heading(member)).to_have_text("Apollo")
    expect(member.get_by_role("status")).to_be_visible()

    member.locator("main a[href$='/edit']").click()
    form = form_with(member, "description")
    expect(form.locator("[name=description]")).to_have_value("To the moon\nand back")
    form.locator("[name=name]").fill("Apollo 11")
    form.locator("[name=due_on]").fill("2030-07-20")
    send(form)
    expect(heading(member)).to_have_text("Apollo 11")
    expect(member.locator("main time[datetime='2030-07-20']")).to_be_visible()

    form = form_with(member, "body")
    form.locator("[name=body]").fill("<b>Landed</b>\nsafely")
    send(form)
    expect(member.locator("#updates .lines")).to_have_text("<b>Landed</b>\nsafely", use_inner_text=True)

    member.goto("/")
    expect(member.get_by_role("link", name="Apollo 11").first).to_be_visible()
    sign_out(member)
    assert go(member, "/") == 200
    expect_signed_out(member)


@postgres
def test_a_mistake_in_a_form_is_shown_at_its_field_and_nothing_typed_is_lost(member: Page, acme: Workspace) -> None:
    member.goto("/projects/new")
    form = form_with(member, "description")
    form.locator("[name=name]").fill("   ")
    form.locator("[name=description]").fill("Typed with care")
    form.locator("[name=status]").select_option("planned")
    form.locator("[name=owner_id]").select_option(str(acme.people["admin"].id))
    form.locator("[name=due_on]").fill("2031-01-02")
    send(form)

    name = form.locator("[name=name]")
    expect(name).to_have_attribute("aria-invalid", "true")
    expect(name).to_be_focused()
    expect(name).to_have_accessible_description(re.compile("required"))
    expect(form.locator("[name=description]")).to_have_value("Typed with care")
    expect(form.locator("[name=status]")).to_have_value("planned")
    expect(form.locator("[name=owner_id]")).to_have_value(str(acme.people["admin"].id))
    expect(form.locator("[name=due_on]")).to_have_value("2031-01-02")

    name.fill("Gemini")
    send(form)
    expect(heading(member)).to_have_text("Gemini")


@postgres
def test_an_update_that_is_too_long_comes_back_to_be_shortened(member: Page, site: Site, acme: Workspace) -> None:
    member.goto(f"/projects/{make_project(site.app, acme)}")
    form = form_with(member, "body")
    form.locator("[name=body]").fill("x" * 20_001)
    send(form)

    expect(form.locator("[name=body]")).to_have_attribute("aria-invalid", "true")
    expect(form.locator("[name=body]")).to_have_value("x" * 20_001)


@on_both
def test_the_list_is_searched_filtered_sorted_and_paged(member: Page, site: Site, acme: Workspace) -> None:
    for number in range(21):
        make_project(site.app, acme, f"Mission {number:02}")
    make_project(site.app, acme, "Zephyr 100%", description="a gentle wind", status="done")

    member.goto("/projects/")
    assert len(names(member)) == 20
    member.locator("a[rel=next]").click()
    expect(member.locator("main tbody tr")).to_have_count(2)
    member.locator("a[rel=prev]").click()
    expect(member.locator("main tbody tr")).to_have_count(20)

    member.locator("th a[href*='sort=name']").click()
    expect(member.locator("th[aria-sort=ascending]")).to_be_visible()
    assert names(member)[:2] == ["Mission 00", "Mission 01"]
    member.locator("th a[href*='sort=-name']").click()
    expect(member.locator("th[aria-sort=descending]")).to_be_visible()
    assert names(member)[:2] == ["Zephyr 100%", "Mission 20"]

    search = form_with(member, "search")
    for text in ("zephyr", "GENTLE", "100%"):
        search.locator("[name=search]").fill(text)
        send(search)
        expect(member.locator("main tbody tr")).to_have_count(1)
        assert names(member) == ["Zephyr 100%"]
        expect(search.locator("[name=search]")).to_have_value(text)
    search.locator("[name=search]").fill("")
    search.locator("[name=status]").select_option("done")
    send(search)
    expect(member).to_have_url(re.compile("status=done"))
    assert names(member) == ["Zephyr 100%"]
    search.locator("[name=search]").fill("100_")
    send(search)
    expect(member.locator("main tbody tr")).to_have_count(0)


@postgres
def test_an_archived_project_leaves_the_list_until_it_is_restored(member: Page, site: Site, acme: Workspace) -> None:
    address = f"/projects/{make_project(site.app, acme, 'Skylab')}"
    member.goto(address)
    member.locator("form[action$='/archive'] button").click()
    expect(member.locator("form[action$='/restore'] button")).to_be_visible()
    member.goto("/projects/")
    assert names(member) == []
    member.goto("/projects/?status=archived")
    assert names(member) == ["Skylab"]

    member.goto(address)
    member.locator("form[action$='/restore'] button").click()
    expect(member.locator("form[action$='/archive'] button")).to_be_visible()
    member.goto("/projects/")
    assert names(member) == ["Skylab"]


@on_both
def test_an_owner_is_asked_before_a_project_is_deleted(page: Page, site: Site, acme: Workspace) -> None:
    address = f"/projects/{make_project(site.app, acme, 'Mir')}"
    come_in(page, site, acme, "owner")
    page.goto(address)
    page.locator("main a[href$='/delete']").click()
    expect(heading(page)).to_contain_text("Mir")
    page.locator(f"main a[href$='{address}']").click()
    expect(heading(page)).to_have_text("Mir")

    page.locator("main a[href$='/delete']").click()
    page.locator("main form button[type=submit]").click()
    expect(page).to_have_url(re.compile("/projects/$"))
    expect(page.get_by_role("status")).to_contain_text("Mir")
    assert names(page) == []
    assert go(page, address) == 404


@postgres
def test_a_member_is_not_offered_to_delete_and_is_refused(member: Page, site: Site, acme: Workspace) -> None:
    address = f"/projects/{make_project(site.app, acme)}"
    member.goto(address)
    expect(member.locator("main a[href$='/edit']")).to_be_visible()
    expect(member.locator("main a[href$='/delete']")).to_have_count(0)
    assert go(member, f"{address}/delete") == 403


@on_both
def test_a_viewer_sees_no_way_to_edit_and_is_refused_at_its_address(page: Page, site: Site, acme: Workspace) -> None:
    address = f"/projects/{make_project(site.app, acme, 'Voyager')}"
    come_in(page, site, acme, "viewer")
    expect(page.locator("a[href$='/projects/new']")).to_have_count(0)
    page.goto("/projects/")
    expect(page.locator("a[href$='/projects/new']")).to_have_count(0)
    page.get_by_role("link", name="Voyager").click()
    expect(heading(page)).to_have_text("Voyager")
    expect(page.locator("main a[href$='/edit'], main a[href$='/delete'], main form")).to_have_count(0)

    for path in (f"{address}/edit", f"{address}/delete", "/projects/new"):
        assert go(page, path) == 403
        expect(heading(page)).to_be_visible()
        expect(page.locator("form")).to_have_count(0)


@postgres
def test_an_editor_of_one_project_edits_that_one_only(open_page: Open, site: Site, acme: Workspace) -> None:
    theirs, other = make_project(site.app, acme, "Theirs"), make_project(site.app, acme, "Other")
    owner, viewer = open_page(acme), open_page(acme)
    come_in(owner, site, acme, "owner")
    owner.goto(f"/projects/{theirs}")
    form = form_with(owner, "email")
    form.locator("[name=email]").fill("nobody@example.com")
    send(form)
    expect(form.locator("[name=email]")).to_have_attribute("aria-invalid", "true")
    form.locator("[name=email]").fill(acme.people["viewer"].email)
    send(form)
    expect(owner.locator("#editors li")).to_contain_text(acme.people["viewer"].email)

    come_in(viewer, site, acme, "viewer")
    assert go(viewer, f"/projects/{theirs}/edit") == 200
    assert go(viewer, f"/projects/{other}/edit") == 403

    owner.locator("#editors form[action$='/remove'] button").click()
    expect(owner.locator("#editors li")).to_have_count(0)
    assert go(viewer, f"/projects/{theirs}/edit") == 403


@postgres
def test_after_signing_out_the_back_button_shows_nothing(member: Page, site: Site, acme: Workspace) -> None:
    answer = member.goto(f"/projects/{make_project(site.app, acme, 'Secret')}")
    assert answer is not None
    assert "no-store" in answer.headers["cache-control"]
    expect(heading(member)).to_have_text("Secret")
    sign_out(member)
    member.go_back()

    expect_signed_out(member)
    expect(member.get_by_text("Secret")).to_have_count(0)


@postgres
def test_after_signing_in_one_is_where_one_wanted_to_go(page: Page, site: Site, acme: Workspace) -> None:
    address = f"/projects/{make_project(site.app, acme, 'Hubble')}"
    page.goto(address)
    expect_signed_out(page)
    form = form_with(page, "password")
    form.locator("[name=email]").fill(acme.people["member"].email)
    form.locator("[name=password]").fill("a wrong password")
    send(form)
    expect(page.get_by_role("alert")).to_be_visible()
    expect(form.locator("[name=email]")).to_have_value(acme.people["member"].email)
    form.locator("[name=password]").fill(acme.people["member"].password)
    send(form)

    expect(heading(page)).to_have_text("Hubble")
