"""Pages of groups, and those that explain permissions: for a phone, for a screen reader, and step by step."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from auth import local_groups, roles
from auth.models import Group, Membership
from auth.providers.models import LinkedIdentity, ProviderConfig
from auth.roles import get_role, grant_role, grant_to_group
from saas.projects.permissions import EDITOR, OBJECT_TYPE
from tenants.db import now
from tests.auth.helpers import inside, row_of
from tests.browser.conftest import Open
from tests.browser.places import LONG_NAME
from tests.browser.site import Site
from tests.browser.steps import come_in, form_with, send
from tests.browser.test_pages import PHONE, problems, too_wide
from tests.factories import Workspace, make_project

pytestmark = [pytest.mark.browser, pytest.mark.postgres]

EMPTY = ("/admin/groups/", "/admin/groups/?search=zebra", "/admin/groups/?page=9", "/admin/groups/new",
         "/admin/permissions/", "/admin/permissions/project:read?page=9")  # fmt: skip


def fill(site: Site, workspace: Workspace) -> list[str]:
    """Groups with much in them, and rights of every kind; gives back the paths that show them."""
    project = make_project(site.app, workspace, LONG_NAME)
    member = workspace.people["member"]
    with inside(site.app, workspace) as session:
        config = ProviderConfig(name="office", label=LONG_NAME[:100], kind="ldap")
        session.add(config)
        session.flush()
        session.add(LinkedIdentity(user_id=member.id, provider_id=config.id, subject="1", login=LONG_NAME))
        mapped = [Group(name=LONG_NAME + end, origin=config.origin, external_key=LONG_NAME * 2 + end) for end in "ab"]
        session.add_all(mapped)
        session.flush()
        session.add(Membership(user_id=member.id, group_id=mapped[0].id))
        for group in mapped:
            grant_to_group(group, get_role("member"), actor=None, origin=config.origin, reason=LONG_NAME)
        roles.create_role(LONG_NAME[:80], ["project:update"], actor=None)
        own = local_groups.create_group(LONG_NAME, actor=None)
        for role, days in ((LONG_NAME[:80], None), ("member", 3), ("viewer", None)):
            local_groups.give_role(
                own, get_role(role), actor=None, expires_at=now() + timedelta(days) if days else None
            )
        for person in workspace.people.values():
            local_groups.add_member(own, row_of(person), actor=None)
        grant_role(row_of(member), EDITOR.name, actor=None, on=(OBJECT_TYPE, project), reason=LONG_NAME)
        grant_role(row_of(member), "admin", actor=None, expires_at=now() - timedelta(days=1))
        groups = [f"/admin/groups/{group.id}" for group in (own, *mapped)]
        own_path = groups[0]
    whys = [f"/admin/members/{person.id}/why" for person in workspace.people.values()]
    asked = [f"{why}?permission={name}" for why in whys for name in ("project:update", "role:manage")]
    return [
        "/admin/groups/", *groups, f"{own_path}/rename", f"{own_path}/delete", f"{own_path}?page=9", whys[0], *asked,
        f"{whys[2]}?permission=project:update&project={project}", "/admin/permissions/project:update",
        f"/admin/permissions/project:update?project={project}", f"/projects/{project}",
    ]  # fmt: skip


def walk(page: Page, site: Site, workspace: Workspace) -> Iterator[str]:
    """Bring the page to all of these pages, with nothing and with much on them; gives the name of each."""
    come_in(page, site, workspace, "owner")
    for path in EMPTY:
        page.goto(path)
        yield f"{path}, with nothing in it"
    for path in fill(site, workspace):
        page.goto(path)
        yield path
    page.goto("/admin/groups/new")
    form = form_with(page, "name")
    form.locator("[name=name]").fill(LONG_NAME)
    send(form)
    expect(page.locator("[aria-invalid=true]")).to_be_visible()
    yield "a name that another group has"


def test_an_accessibility_checker_has_nothing_to_say(open_page: Open, site: Site, acme: Workspace) -> None:
    page = open_page(acme)
    assert problems(page, walk(page, site, acme)) == {}


def test_no_page_is_wider_than_a_phone_and_a_checker_has_nothing_to_say_there(
    open_page: Open, site: Site, acme: Workspace
) -> None:
    page = open_page(acme, locale="es-ES", **PHONE)
    wide: dict[str, int] = {}

    def narrow() -> Iterator[str]:
        for name in walk(page, site, acme):
            wide.update(too_wide(page, iter([name]), "es-ES"))
            yield name

    assert problems(page, narrow()) == {}
    assert wide == {}


def test_a_right_is_given_by_a_group_explained_and_taken_again(open_page: Open, site: Site, acme: Workspace) -> None:
    viewer = acme.people["viewer"]
    theirs, page = open_page(acme), open_page(acme)
    come_in(theirs, site, acme, "viewer")
    come_in(page, site, acme, "admin")
    page.goto("/admin/groups/new")
    form = form_with(page, "name")
    form.locator("[name=name]").fill("Night shift")
    send(form)
    form = form_with(page, "email")
    form.locator("[name=email]").fill(viewer.email)
    send(form)
    form = form_with(page, "ends_on")
    form.locator("[name=role]").select_option(label="Member")
    send(form)
    theirs.goto("/projects/")
    expect(theirs.get_by_role("link", name="New project")).to_be_visible()

    page.goto(f"/admin/members/{viewer.id}/why")
    form = form_with(page, "permission")
    form.locator("[name=permission]").select_option("project:create")
    send(form)
    expect(page.get_by_role("heading", name="Yes, Viewer may.")).to_be_visible()
    page.get_by_role("link", name="Night shift").click()
    page.get_by_role("button", name="Take out").click()
    page.locator("#confirm [value=yes]").click()
    expect(page.get_by_text("Nobody is in it")).to_be_visible()
    theirs.reload()
    expect(theirs.get_by_role("heading", level=1, name="Projects")).to_be_visible()
    expect(theirs.get_by_role("link", name="New project")).to_have_count(0)
