"""Why somebody may, or may not, and who can: pages and API."""

import html
import re
import uuid
from datetime import timedelta

import pytest
from flask import Flask

from auth import local_groups, roles
from auth.identity import snapshot_of
from auth.models import Group, Membership
from auth.providers.models import LinkedIdentity, ProviderConfig
from auth.roles import create_role, get_role, grant_role, grant_to_group
from saas.projects.permissions import EDITOR, OBJECT_TYPE
from tenants.db import now
from tests.auth.helpers import change, grant, inside, row_of
from tests.factories import Person, Workspace, add_person, make_project
from tests.visitor import Visitor, sign_in

API = "/api/v1/explain"


@pytest.fixture
def admin(app: Flask, acme: Workspace) -> Visitor:
    return sign_in(app, acme, "admin")


def why(person: Person, permission: str = "", **options: object) -> str:
    """The address of the page."""
    query = "".join(f"&{name}={value}" for name, value in options.items())
    return f"/admin/members/{person.id}/why" + (f"?permission={permission}{query}" if permission else "")


def text(page: str) -> str:
    """The words of a page."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def connect(app: Flask, workspace: Workspace, person: Person) -> None:
    """Let a directory know the person, and give them a role by one of its groups."""
    with inside(app, workspace) as session:
        config = ProviderConfig(name="office", label="Head office", kind="ldap")
        session.add(config)
        session.flush()
        session.add(LinkedIdentity(user_id=person.id, provider_id=config.id, subject="1", login="vera"))
        group = Group(name="Engineering", origin=config.origin, external_key="cn=engineering")
        session.add(group)
        session.flush()
        session.add(Membership(user_id=person.id, group_id=group.id))
        grant_to_group(group, get_role("admin"), actor=None, origin=config.origin, reason="group of Head office")


def test_the_question_offers_every_permission_and_the_projects(app: Flask, acme: Workspace, admin: Visitor) -> None:
    make_project(app, acme, "Apollo")
    page = admin.get(why(acme.people["member"])).text
    for feature in app.extensions["auth"].catalogue.features:
        for permission in feature.permissions:
            assert f'<option value="{permission.value}">' in page
    assert "Apollo" in page
    assert "What is missing" not in page
    assert "What permits it" not in page


def test_the_chain_is_told_from_the_source_to_the_permission(app: Flask, acme: Workspace, admin: Visitor) -> None:
    viewer = acme.people["viewer"]
    connect(app, acme, viewer)
    said = text(admin.get(why(viewer, "project:delete")).text)
    assert "Yes, Viewer may." in said
    chain = said.partition("What permits it")[2]
    links = ("Viewer", "Head office", "Engineering", "of Head office", "Grant", "Administrator", "project:delete")
    places = [chain.index(word) for word in links]
    assert places == sorted(places)


def test_what_is_missing_is_told_the_workspaces_own_roles_included(app: Flask, acme: Workspace, admin: Visitor) -> None:
    with inside(app, acme):
        create_role("Cleaner", ["project:delete"], actor=None)
    said = text(admin.get(why(acme.people["viewer"], "project:delete")).text)
    assert "No, Viewer may not." in said
    missing = said.partition("What is missing")[2]
    assert all(role in missing for role in ("Owner", "Administrator", "Cleaner"))
    assert "Project editor" not in missing


def test_a_question_about_one_project_is_answered_for_it(app: Flask, acme: Workspace, admin: Visitor) -> None:
    mine, other = make_project(app, acme, "Apollo"), make_project(app, acme, "Gemini")
    viewer = acme.people["viewer"]
    grant(app, acme, viewer, EDITOR.name, on=(OBJECT_TYPE, mine))
    said = text(admin.get(why(viewer, "project:update", project=mine)).text)
    assert "Yes, Viewer may." in said
    assert "On: Apollo" in said
    assert "on this one alone" in said
    said = text(admin.get(why(viewer, "project:update", project=other)).text)
    assert "No, Viewer may not." in said
    assert "Project editor" in said.partition("What is missing")[2]


def test_a_deactivated_account_and_a_lapsed_grant_are_told(app: Flask, acme: Workspace, admin: Visitor) -> None:
    viewer, member = acme.people["viewer"], acme.people["member"]
    grant(app, acme, viewer, "admin", expires_at=now() - timedelta(days=1))
    said = text(admin.get(why(viewer, "project:delete")).text)
    assert "What permitted it until its end" in said
    assert "Administrator" in said.partition("What permitted it")[2].partition("What is missing")[0]
    change(app, acme, member, active=False)
    said = text(admin.get(why(member, "project:update")).text)
    assert "No, Member may not." in said
    assert "The account is deactivated" in said


def test_the_giver_is_named_and_one_who_is_gone_is_a_former_member(app: Flask, acme: Workspace, admin: Visitor) -> None:
    viewer = acme.people["viewer"]
    with inside(app, acme):
        grant_role(row_of(viewer), "member", actor=None).granted_by = acme.people["owner"].id
    assert "given by Owner" in text(admin.get(why(viewer, "project:create")).text)
    with inside(app, acme):
        grant_role(row_of(viewer), "member", actor=None).granted_by = uuid.uuid4()
    assert "given by a former member" in text(admin.get(why(viewer, "project:create")).text)


@pytest.mark.parametrize("query", ["permission=role:mangle", "permission=project:read&project=x",
                                   "permission=project:read&project=01900000-0000-7000-8000-000000000000"])  # fmt: skip
def test_what_there_is_not_is_not_explained(acme: Workspace, admin: Visitor, query: str) -> None:
    assert admin.get(f"{why(acme.people['member'])}?{query}").status_code == 404


def test_a_project_that_the_asker_may_not_see_is_as_good_as_none(app: Flask, acme: Workspace) -> None:
    project = make_project(app, acme, "Secret plan")
    reader = add_person(app, acme, role=None)
    with inside(app, acme):
        create_role("reader", ["role:read"], actor=None)
        grant_role(row_of(reader), "reader", actor=None)
    visitor = Visitor(app, acme.host)
    visitor.sign_in(reader)
    page = visitor.get(why(acme.people["member"]))
    assert page.status_code == 200
    assert "Secret plan" not in page.text
    assert visitor.get(why(acme.people["member"], "project:read", project=project)).status_code == 404
    assert visitor.get(f"/admin/permissions/project:read?project={project}").status_code == 404
    api = f"{API}?user={acme.people['member'].id}&permission=project:read&object_type=project&object_id={project}"
    assert visitor.get(api).status_code == 404


def test_all_permissions_lead_to_who_can(app: Flask, admin: Visitor) -> None:
    page = admin.get("/admin/permissions/").text
    for feature in app.extensions["auth"].catalogue.features:
        for permission in feature.permissions:
            assert str(permission.description) in text(page)
            assert admin.get(f"/admin/permissions/{permission.value}").status_code == 200


def test_who_can_is_told_with_through_what(app: Flask, acme: Workspace, admin: Visitor) -> None:
    project = make_project(app, acme, "Apollo")
    viewer = acme.people["viewer"]
    with inside(app, acme):
        group = local_groups.create_group("Night shift", actor=None)
        local_groups.give_role(group, get_role("admin"), actor=None)
        local_groups.add_member(group, row_of(acme.people["member"]), actor=None)
    grant(app, acme, viewer, EDITOR.name, on=(OBJECT_TYPE, project))
    said = text(admin.get("/admin/permissions/project:update").text)
    assert viewer.email not in said
    assert "through the group Night shift" in said
    page = html.unescape(admin.get(f"/admin/permissions/project:update?project={project}").text)
    assert viewer.email in page
    assert why(viewer, "project:update", project=project) in page
    assert f"/admin/permissions/project:update?project={project}" in admin.get(f"/projects/{project}").text


def test_nobody_is_listed_for_what_there_is_not(admin: Visitor) -> None:
    assert admin.get("/admin/permissions/role:mangle").status_code == 404
    assert admin.get("/admin/permissions/project:read?page=0").status_code == 404
    assert "This page is empty" in admin.get("/admin/permissions/project:read?page=9").text


def test_the_api_explains_as_is_decided(app: Flask, acme: Workspace, admin: Visitor) -> None:
    project = make_project(app, acme, "Apollo")
    viewer = acme.people["viewer"]
    connect(app, acme, acme.people["member"])
    grant(app, acme, viewer, EDITOR.name, on=(OBJECT_TYPE, project))
    with inside(app, acme):
        snapshots = {name: snapshot_of(person.id) for name, person in acme.people.items()}
        permissions = sorted(roles.catalogue().permissions)
    for name, person in acme.people.items():
        snapshot = snapshots[name]
        assert snapshot is not None
        for permission in permissions:
            told = admin.get(f"{API}?user={person.id}&permission={permission}").json
            assert told["allowed"] is (permission in snapshot.permissions)
            assert bool(told["through"]) is not bool(told["missing"]["roles"])
        on = f"&object_type=project&object_id={project}"
        told = admin.get(f"{API}?user={person.id}&permission=project:update{on}").json
        assert told["allowed"] is True
        assert told["object"] == {"type": "project", "id": str(project)}


def test_the_api_gives_the_whole_chain(app: Flask, acme: Workspace, admin: Visitor) -> None:
    viewer = acme.people["viewer"]
    connect(app, acme, viewer)
    told = admin.get(f"{API}?user={viewer.id}&permission=project:delete").json
    assert [source["login"] for source in told["sources"]] == ["vera", viewer.email]
    (chain,) = told["through"]
    assert chain["role"] == "admin"
    assert (chain["group"]["name"], chain["group"]["origin"]) == ("Engineering", chain["grant"]["origin"])
    assert chain["grant"]["reason"] == "group of Head office"
    assert told["user"]["active"] is True


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 422),
        ("user=x&permission=project:read", 422),
        ("user={user}&permission=role:mangle", 422),
        ("user={user}", 422),
        ("user={missing}&permission=project:read", 404),
        ("user={user}&permission=project:read&object_type=invoice&object_id={missing}", 422),
        ("user={user}&permission=project:read&object_id={missing}", 422),
        ("user={user}&permission=project:read&object_type=project", 422),
        ("user={user}&permission=project:read&object_type=project&object_id={missing}", 404),
    ],
)
def test_the_api_says_what_is_wrong_with_a_question(acme: Workspace, admin: Visitor, query: str, status: int) -> None:
    asked = query.format(user=acme.people["member"].id, missing=uuid.UUID(int=7))
    answer = admin.get(f"{API}?{asked}")
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")


def test_the_api_lists_holders_page_by_page(app: Flask, acme: Workspace, admin: Visitor) -> None:
    found: list[str] = []
    cursor = ""
    while True:
        page = admin.get(f"/api/v1/permissions/project:create/holders?limit=2&cursor={cursor}").json
        assert page["total"] == 3
        found += [one["email"] for one in page["items"]]
        assert all(one["through"] for one in page["items"])
        if not (cursor := page["next_cursor"] or ""):
            break
    assert sorted(found) == sorted(acme.people[role].email for role in ("owner", "admin", "member"))
    assert admin.get("/api/v1/permissions/role:mangle/holders").status_code == 404


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_who_does_not_see_roles_is_refused_all_of_it(app: Flask, acme: Workspace, role: str) -> None:
    visitor, owner = sign_in(app, acme, role), acme.people["owner"]
    for path in (
        why(owner), why(owner, "project:read"), "/admin/permissions/", "/admin/permissions/project:read",
        f"{API}?user={owner.id}&permission=project:read", "/api/v1/permissions/project:read/holders",
    ):  # fmt: skip
        assert visitor.get(path).status_code == 403, path


def test_people_and_projects_of_another_workspace_are_none(app: Flask, acme: Workspace, globex: Workspace) -> None:
    project, owner = make_project(app, acme), sign_in(app, globex, "owner")
    theirs, own = acme.people["member"], globex.people["member"]
    on = f"object_type=project&object_id={project}"
    for path in (
        why(theirs), why(theirs, "project:read"), why(own, "project:read", project=project),
        f"/admin/permissions/project:read?project={project}", f"{API}?user={theirs.id}&permission=project:read",
        f"{API}?user={own.id}&permission=project:read&{on}", f"/api/v1/permissions/project:read/holders?{on}",
    ):  # fmt: skip
        assert owner.get(path).status_code == 404, path
    assert theirs.email not in owner.get("/admin/permissions/project:read").text
