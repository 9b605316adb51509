"""Pages of roles, as administrators use them."""

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from auth import default_role, invitations, role_editor, roles, users
from auth.models import Group, Invitation, Role
from tenants.db import now
from tests.auth.helpers import grant, inside
from tests.factories import Workspace, add_person
from tests.statements import counted
from tests.visitor import Visitor, sign_in

LIST, NEW = "/admin/roles/", "/admin/roles/new"


@pytest.fixture
def admin(app: Flask, acme: Workspace) -> Visitor:
    return sign_in(app, acme, "admin")


def make(app: Flask, workspace: Workspace, name: str, *permissions: str) -> uuid.UUID:
    with inside(app, workspace):
        return roles.create_role(name, permissions, actor=None).id


def builtin(app: Flask, workspace: Workspace, name: str) -> uuid.UUID:
    with inside(app, workspace):
        return roles.get_role(name).id


def stored(app: Flask, workspace: Workspace, name: str) -> Role | None:
    with inside(app, workspace) as session:
        found: Role | None = session.scalar(select(Role).where(Role.name == name))
        return found


def manager(app: Flask, workspace: Workspace) -> Visitor:
    """A browser of somebody who manages roles, and holds little else."""
    make(app, workspace, "role manager", "role:manage", "role:read", "project:read", "project:update")
    visitor = Visitor(app, workspace.host)
    visitor.sign_in(add_person(app, workspace, role="role manager"))
    return visitor


def fields(step: str = "preview", **changes: Any) -> dict[str, Any]:
    return {"name": "Auditor", "description": "", "permissions": ["project:read"], "step": step, **changes}


def hidden(page: str) -> dict[str, Any]:
    """What the preview sends on."""
    found: dict[str, Any] = {"permissions": []}
    for name, value in re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)"', page):
        if name == "permissions":
            found["permissions"].append(value)
        elif name != "csrf_token":
            found[name] = value
    return found


def boxes(page: str) -> dict[str, tuple[bool, bool]]:
    """The matrix: permission → (ticked, disabled)."""
    found = re.findall(r'name="permissions" value="([^"]+)"([^>]*)>', page)
    return {name: ("checked" in rest, "disabled" in rest) for name, rest in found}


# Looking


def test_the_list_shows_built_in_roles_first_with_their_holders(app: Flask, acme: Workspace, admin: Visitor) -> None:
    make(app, acme, "aardvark", "project:read")
    with inside(app, acme) as session:
        group = Group(name="Readers")
        session.add(group)
        session.flush()
        roles.grant_to_group(group, roles.get_role("aardvark"), actor=None, origin="manual", reason="")
    grant(app, acme, acme.people["viewer"], "aardvark", expires_at=now() + timedelta(days=3))
    page = admin.get(LIST).text
    names = re.findall(r'href="/admin/roles/[0-9a-f-]{36}">([^<]+)<', page)
    assert names[-1] == "aardvark"
    assert set(names[:-1]) == {"Owner", "Administrator", "Member", "Viewer", "Project editor"}
    row = page[page.index(">aardvark<") :]
    cells = re.findall(r'data-label="[^"]+">([^<]+)<', row[: row.index("</tr>")])
    assert cells == ["Own", "1", "1", "1", "1"]
    assert "until" in page


def test_a_role_is_shown_with_what_it_permits_and_who_has_it(app: Flask, acme: Workspace, admin: Visitor) -> None:
    role = make(app, acme, "Auditor <b>", "project:read")
    grant(app, acme, acme.people["viewer"], "Auditor <b>", expires_at=now() + timedelta(days=3), reason="for the audit")
    grant(app, acme, acme.people["member"], "Auditor <b>", expires_at=now() - timedelta(days=3))
    page = admin.get(f"{LIST}{role}").text
    assert "Auditor &lt;b&gt;" in page
    assert "See projects and their updates." in page
    assert acme.people["viewer"].email in page
    assert acme.people["member"].email not in page
    assert "Ends soon" in page
    assert "for the audit" in page
    assert f"{LIST}{role}/edit" in page


def test_a_built_in_role_has_no_control_that_would_be_refused(app: Flask, acme: Workspace, admin: Visitor) -> None:
    role = builtin(app, acme, "member")
    page = admin.get(f"{LIST}{role}").text
    assert f"{LIST}{role}/edit" not in page
    assert f"{LIST}{role}/delete" not in page
    assert f"{NEW}?like={role}" in page
    for action in ("edit", "delete"):
        assert admin.get(f"{LIST}{role}/{action}").status_code == 403
        assert admin.post(f"{LIST}{role}/{action}", fields("save")).status_code == 403


def test_the_navigation_leads_to_the_roles(admin: Visitor) -> None:
    assert f'href="{LIST}"' in admin.get(LIST).text


@pytest.mark.parametrize("person", ["member", "viewer"])
def test_members_and_viewers_are_refused_every_page(app: Flask, acme: Workspace, person: str) -> None:
    role, visitor = make(app, acme, "auditor", "project:read"), sign_in(app, acme, person)
    for path in (LIST, NEW, f"{LIST}{role}", f"{LIST}{role}/edit", f"{LIST}{role}/delete"):
        assert visitor.get(path).status_code == 403
    for path in (NEW, f"{LIST}{role}/edit", f"{LIST}{role}/delete", f"{LIST}default"):
        assert visitor.post(path, fields("save")).status_code == 403
    assert stored(app, acme, "auditor") is not None
    assert f'href="{LIST}"' not in visitor.get("/").text


def test_who_may_only_see_roles_changes_none(app: Flask, acme: Workspace) -> None:
    role = make(app, acme, "onlooker", "role:read")
    visitor = Visitor(app, acme.host)
    visitor.sign_in(add_person(app, acme, role="onlooker"))
    assert visitor.get(LIST).status_code == visitor.get(f"{LIST}{role}").status_code == 200
    for page in (visitor.get(LIST).text, visitor.get(f"{LIST}{role}").text):
        assert not re.search(r"/admin/roles/(new|default|[0-9a-f-]{36}/(edit|delete))", page)
    assert visitor.post(NEW, fields("save")).status_code == 403
    assert visitor.post(f"{LIST}{role}/edit", fields("save")).status_code == 403


def test_another_tenants_role_is_as_good_as_none(
    app: Flask, acme: Workspace, globex: Workspace, admin: Visitor
) -> None:
    foreign, own = make(app, globex, "secret", "project:read"), make(app, acme, "own", "project:read")
    for role in (foreign, uuid.uuid4()):
        for path in (f"{LIST}{role}", f"{LIST}{role}/edit", f"{LIST}{role}/delete"):
            assert admin.get(path).status_code == 404
        assert admin.post(f"{LIST}{role}/edit", fields("save")).status_code == 404
        assert admin.post(f"{LIST}{role}/delete").status_code == 404
        assert admin.get(f"{LIST}{own}/delete?replacement={role}").status_code == 404
        assert admin.post(f"{LIST}{own}/delete", {"replacement": str(role)}).status_code == 404
        assert admin.post(f"{LIST}default", {"role": str(role)}).status_code == 422
    assert "secret" not in admin.get(f"{NEW}?like={foreign}").text
    assert stored(app, globex, "secret") is not None
    assert stored(app, acme, "own") is not None


# Making and editing


def test_a_role_is_previewed_and_then_made(app: Flask, acme: Workspace, admin: Visitor) -> None:
    preview = admin.post(NEW, fields(name="Auditor & co", permissions=["project:read", "member:read"]))
    assert preview.status_code == 200
    assert "Nobody has the role yet." in preview.text
    assert "See who the members are." in preview.text
    assert stored(app, acme, "Auditor & co") is None
    sent = hidden(preview.text) | {"name": "Auditor & co", "step": "save"}
    answer = admin.post(NEW, sent)
    assert answer.status_code == 302
    role = stored(app, acme, "Auditor & co")
    assert role is not None
    assert role.stored_permissions == ["member:read", "project:read"]
    assert answer.location == f"{LIST}{role.id}"
    assert "Auditor &amp; co" in admin.get(answer.location).text


def test_the_way_back_from_the_preview_loses_nothing(app: Flask, acme: Workspace, admin: Visitor) -> None:
    preview = admin.post(NEW, fields(description="Looks, and touches nothing", permissions=["project:read"]))
    answer = admin.post(NEW, hidden(preview.text) | {"step": "back"})
    assert answer.status_code == 200
    assert 'value="Auditor"' in answer.text
    assert 'value="Looks, and touches nothing"' in answer.text
    assert {name for name, (ticked, _disabled) in boxes(answer.text).items() if ticked} == {"project:read"}
    assert stored(app, acme, "Auditor") is None


@pytest.mark.parametrize("step", ["preview", "save"])
@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "x" * 81},
        {"name": "Owner"},
        {"name": "taken"},
        {"description": "x" * 256},
        {"permissions": ["project:dream"]},
        {"permissions": ["project:read", ""]},
    ],
)
def test_what_is_wrong_is_told_and_nothing_typed_is_lost(
    app: Flask, acme: Workspace, admin: Visitor, wrong: dict[str, Any], step: str
) -> None:
    make(app, acme, "taken")
    answer = admin.post(NEW, fields(step, **{"description": "Kept words"} | wrong))
    assert answer.status_code == 422
    assert "is-invalid" in answer.text or "invalid-feedback" in answer.text
    if "description" not in wrong:
        assert 'value="Kept words"' in answer.text
    assert boxes(answer.text)["project:read"] == ("project:dream" not in wrong.get("permissions", []), False)
    with inside(app, acme) as session:
        assert {role.name for role in session.scalars(select(Role).where(Role.builtin.is_(False)))} == {"taken"}


def test_a_clone_starts_with_what_the_role_permits_as_far_as_one_holds_it(app: Flask, acme: Workspace) -> None:
    visitor, member = manager(app, acme), builtin(app, acme, "member")
    page = visitor.get(f"{NEW}?like={member}").text
    assert "Copy of Member" in page
    found = boxes(page)
    assert {name for name, (ticked, _disabled) in found.items() if ticked} == {"project:read", "project:update"}
    assert found["project:create"] == (False, True)
    assert found["role:manage"] == (False, False)


def test_the_preview_of_a_change_says_who_gains_and_who_loses(app: Flask, acme: Workspace, admin: Visitor) -> None:
    role = make(app, acme, "Auditor", "project:read")
    person = add_person(app, acme, role="Auditor")
    grant(app, acme, acme.people["member"], "Auditor")
    page = admin.post(f"{LIST}{role}/edit", fields(permissions=["project:update"])).text
    assert person.email in page
    gained, lost = re.search(r"gains (.*?)</div>", page), re.search(r"loses (.*?)</div>", page)
    assert gained
    assert "project:update" in gained[1]
    assert lost
    assert "project:read" in lost[1]
    assert acme.people["member"].email not in page  # has both by another role
    assert "One more member has the role" in page
    current = stored(app, acme, "Auditor")
    assert current is not None
    assert current.stored_permissions == ["project:read"]


def test_a_previewed_change_is_saved(app: Flask, acme: Workspace, admin: Visitor) -> None:
    role = make(app, acme, "Auditor", "project:read")
    visitor = Visitor(app, acme.host)
    visitor.sign_in(add_person(app, acme, role="Auditor"))
    preview = admin.post(f"{LIST}{role}/edit", fields(name="Inspector", permissions=[]))
    assert "“Auditor” becomes “Inspector”" in preview.text
    assert visitor.get("/projects/").status_code == 200
    assert admin.post(f"{LIST}{role}/edit", hidden(preview.text) | {"step": "save"}).status_code == 302
    assert visitor.get("/projects/").status_code == 403
    assert stored(app, acme, "Inspector") is not None


def test_boxes_of_what_one_does_not_hold_cannot_be_changed_either_way(app: Flask, acme: Workspace) -> None:
    visitor, role = manager(app, acme), make(app, acme, "eraser", "project:delete", "project:read")
    path = f"{LIST}{role}/edit"
    found = boxes(visitor.get(path).text)
    assert found["project:delete"] == (True, True)
    assert found["member:manage"] == (False, True)
    assert found["project:read"] == (True, False)
    kept = fields(name="eraser", permissions=["project:update"])  # a browser does not send a disabled box
    preview = visitor.post(path, kept)
    assert preview.status_code == 200, preview.text
    assert visitor.post(path, hidden(preview.text) | {"step": "save"}).status_code == 302
    after = stored(app, acme, "eraser")
    assert after is not None
    assert after.stored_permissions == ["project:delete", "project:update"]
    for step in ("preview", "save"):
        answer = visitor.post(path, kept | {"permissions": ["member:manage"], "step": step})
        assert answer.status_code == 422
        assert "not yours to give or take" in answer.text
    seen = hidden(preview.text)["seen"]
    assert visitor.post(path, kept | {"name": "harmless", "step": "save", "seen": seen}).status_code == 422


def test_saving_looks_again_at_what_has_changed_since_the_preview(app: Flask, acme: Workspace, admin: Visitor) -> None:
    role = make(app, acme, "Auditor", "project:read")
    path = f"{LIST}{role}/edit"
    preview = admin.post(path, fields(permissions=["project:update"]))
    with inside(app, acme):
        found = role_editor.find_role(role)
        assert found is not None
        role_editor.change_role(found, permissions=["project:create", "project:read"], actor=None)
    answer = admin.post(path, hidden(preview.text) | {"step": "save"})
    assert answer.status_code == 422
    assert "Somebody has changed this role meanwhile" in answer.text
    assert boxes(answer.text)["project:update"] == (True, False)
    again = admin.post(path, fields(permissions=["project:update"]))
    assert admin.post(path, hidden(again.text) | {"step": "save"}).status_code == 302


def test_a_change_is_not_saved_without_its_preview(app: Flask, acme: Workspace, admin: Visitor) -> None:
    role = make(app, acme, "Auditor", "project:read")
    assert admin.post(f"{LIST}{role}/edit", fields("save", permissions=[])).status_code == 422


# Deleting


def test_the_page_says_whom_a_deletion_concerns_and_deletes_after_that(
    app: Flask, acme: Workspace, admin: Visitor
) -> None:
    role, viewer = make(app, acme, "Auditor", "member:manage"), builtin(app, acme, "viewer")
    person = add_person(app, acme, role="Auditor")
    with inside(app, acme):
        invitations.invite(["vera@x.example"], "Auditor", actor=None)
        default_role.set_default_role(roles.get_role("Auditor"), actor=None)
    page = admin.get(f"{LIST}{role}/delete").text
    assert "One member has the role." in page
    assert "One invitation is revoked." in page
    assert "New members are given no role any more." in page
    assert person.email in page
    assert stored(app, acme, "Auditor") is not None
    page = admin.get(f"{LIST}{role}/delete?replacement={viewer}").text
    assert "One invitation gives that role instead." in page
    assert re.search(r"gains .*project:read", page)
    assert admin.post(f"{LIST}{role}/delete", hidden(page)).status_code == 302
    assert stored(app, acme, "Auditor") is None
    with inside(app, acme) as session:
        assert session.scalars(select(Invitation)).one().role.name == "viewer"
        assert default_role.current() == roles.get_role("viewer")
    visitor = Visitor(app, acme.host)
    visitor.sign_in(person)
    assert visitor.get("/api/v1/me").json["roles"] == ["viewer"]


def test_a_deletion_that_is_not_the_actors_is_refused_with_the_reason(app: Flask, acme: Workspace) -> None:
    visitor, role = manager(app, acme), make(app, acme, "eraser", "project:delete")
    assert "not yours to give or take" in visitor.get(f"{LIST}{role}/delete").text
    answer = visitor.post(f"{LIST}{role}/delete")
    assert answer.status_code == 422
    assert "not yours to give or take" in answer.text
    harmless, member = make(app, acme, "harmless", "project:read"), builtin(app, acme, "member")
    assert visitor.post(f"{LIST}{harmless}/delete", {"replacement": str(member)}).status_code == 404
    assert stored(app, acme, "eraser") is not None
    assert stored(app, acme, "harmless") is not None


# The role of new members


def test_the_role_of_new_members_is_chosen(app: Flask, acme: Workspace, admin: Visitor) -> None:
    viewer = builtin(app, acme, "viewer")
    assert admin.post(f"{LIST}default", {"role": str(viewer)}).status_code == 302
    page = admin.get(LIST).text
    assert "For new members" in page
    assert f'<option selected value="{viewer}"' in page
    assert "Are given this role" in admin.get(f"{LIST}{viewer}").text
    assert admin.post(f"{LIST}default", {"role": ""}).status_code == 302
    assert "For new members" not in admin.get(LIST).text


@pytest.mark.parametrize("name", ["owner", "admin", "member"])
def test_a_role_that_is_not_the_actors_to_give_is_not_chosen(app: Flask, acme: Workspace, name: str) -> None:
    visitor, role = manager(app, acme), builtin(app, acme, name)
    answer = visitor.post(f"{LIST}default", {"role": str(role)})
    assert answer.status_code == 422
    assert "is-invalid" in answer.text
    with inside(app, acme):
        assert default_role.current() is None


# Many


@pytest.mark.parametrize("query", ["?page=0", "?page=-1", "?page=999999999"])
def test_a_page_that_cannot_be_is_not_found(app: Flask, acme: Workspace, admin: Visitor, query: str) -> None:
    assert admin.get(f"{LIST}{query}").status_code == 404
    assert admin.get(f"{LIST}{builtin(app, acme, 'owner')}{query}").status_code == 404


def test_pages_cost_the_same_with_many_roles_and_holders(app: Flask, acme: Workspace, admin: Visitor) -> None:
    role = make(app, acme, "auditor", "project:read")
    add_person(app, acme, role="auditor")
    paths = {
        LIST: lambda: admin.get(LIST),
        "show": lambda: admin.get(f"{LIST}{role}"),
        "delete": lambda: admin.get(f"{LIST}{role}/delete"),
        "preview": lambda: admin.post(f"{LIST}{role}/edit", fields(name="auditor", permissions=[]), csrf=token),
    }
    token = admin.csrf_token()

    def costs() -> dict[str, int]:
        found = {}
        for name, ask in paths.items():
            ask()
            with counted(app) as sent:
                assert ask().status_code == 200
            found[name] = len(sent)
        return found

    few = costs()
    with inside(app, acme):
        for number in range(60):
            roles.grant_role(users.create_user(f"p{number}@x.example"), "auditor", actor=None)
            roles.create_role(f"role {number:02}", ["project:read"], actor=None)
    assert costs() == few
    assert len(re.findall(r'role="rowheader"', admin.get(LIST).text)) == 50
    assert len(re.findall(r'role="rowheader"', admin.get(f"{LIST}{role}?page=2").text)) == 11
