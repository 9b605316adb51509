"""JSON of roles and of what they can permit."""

import uuid
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from auth import roles
from saas.api import write_cursor
from tests.auth.helpers import grant, inside
from tests.factories import Workspace, add_person
from tests.saas.admin.test_roles_views import builtin, make, manager, stored
from tests.visitor import Visitor, sign_in

BASE, DEFAULT, PERMISSIONS = "/api/v1/roles", "/api/v1/roles/default", "/api/v1/permissions"


@pytest.fixture
def admin(app: Flask, acme: Workspace) -> Visitor:
    return sign_in(app, acme, "admin")


def send(visitor: Visitor, method: str, path: str, body: Any = None) -> TestResponse:
    headers = {"Origin": visitor.base, "X-CSRFToken": visitor.csrf_token(), "Accept": "application/json"}
    given = {"json": body} if body is not None else {}
    return visitor.client.open(path, method=method, base_url=visitor.base, headers=headers, **given)


def test_the_catalogue_describes_each_permission_and_names_its_feature(admin: Visitor) -> None:
    answer = admin.get(f"{PERMISSIONS}?limit=100").json
    found = {item["name"]: item for item in answer["items"]}
    assert found["project:read"] == {
        "name": "project:read",
        "description": "See projects and their updates.",
        "feature": "Projects",
    }
    assert found["role:manage"]["feature"] == "Administration"
    assert all(item["description"] for item in answer["items"])
    assert answer["next_cursor"] is None


def test_the_catalogue_goes_on_behind_a_permission_that_there_is(admin: Visitor) -> None:
    first = admin.get(f"{PERMISSIONS}?limit=2").json
    second = admin.get(f"{PERMISSIONS}?limit=2&cursor={first['next_cursor']}").json
    everything = admin.get(f"{PERMISSIONS}?limit=100").json["items"]
    assert first["items"] + second["items"] == everything[:4]
    assert admin.get(f"{PERMISSIONS}?cursor={write_cursor('project:none')}").status_code == 422


def test_a_role_is_made_shown_changed_and_deleted(app: Flask, acme: Workspace, admin: Visitor) -> None:
    body = {"name": " Auditor ", "description": "Looks", "permissions": ["project:read", "member:read"]}
    made = send(admin, "POST", BASE, body)
    assert made.status_code == 201, made.text
    role = made.json
    assert role == {
        "id": role["id"],
        "name": "Auditor",
        "label": "Auditor",
        "description": "Looks",
        "builtin": False,
        "object_type": None,
        "permissions": ["member:read", "project:read"],
        "default": False,
        "holders": {"members": 0, "groups": 0, "ending": 0},
    }
    assert admin.get(made.headers["Location"]).status_code == 200
    assert admin.get(f"{BASE}/{role['id']}").json == role
    changed = send(admin, "PATCH", f"{BASE}/{role['id']}", {"permissions": ["project:read"]})
    assert changed.json == role | {"permissions": ["project:read"]}
    renamed = send(admin, "PATCH", f"{BASE}/{role['id']}", {"name": "Inspector", "description": ""}).json
    assert renamed["name"] == "Inspector", renamed
    assert send(admin, "DELETE", f"{BASE}/{role['id']}").status_code == 204
    assert admin.get(f"{BASE}/{role['id']}").status_code == 404
    assert send(admin, "DELETE", f"{BASE}/{role['id']}").status_code == 404


def test_the_list_is_paged_built_in_roles_first(app: Flask, acme: Workspace, admin: Visitor) -> None:
    for name in ("b", "a", "c"):
        make(app, acme, name)
    seen: list[tuple[bool, str]] = []
    cursor = ""
    while True:
        page = admin.get(f"{BASE}?limit=2{f'&cursor={cursor}' if cursor else ''}").json
        seen += [(item["builtin"], item["name"]) for item in page["items"]]
        assert page["total"] == 8
        if not (cursor := page["next_cursor"]):
            break
    assert seen == [
        *[(True, name) for name in ("admin", "member", "owner", "project-editor", "viewer")],
        *[(False, name) for name in "abc"],
    ]


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "cursor=x", "cursor=WyJ4IiwieSJd"])
def test_a_wrong_parameter_is_named(admin: Visitor, query: str) -> None:
    answer = admin.get(f"{BASE}?{query}")
    assert answer.status_code == 422
    assert answer.json["errors"][0]["field"] == query.partition("=")[0]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "x"}, "permissions"),
        ({"permissions": []}, "name"),
        ({"name": " ", "permissions": []}, "name"),
        ({"name": "x" * 81, "permissions": []}, "name"),
        ({"name": "Owner", "permissions": []}, "name"),
        ({"name": "x", "permissions": ["project:dream"]}, "permissions"),
        ({"name": "x", "permissions": [5]}, "permissions.0"),
        ({"name": "x", "permissions": [], "builtin": True}, "builtin"),
        ({"name": "x", "permissions": [], "description": "y" * 256}, "description"),
    ],
)
def test_a_wrong_field_is_named(app: Flask, acme: Workspace, admin: Visitor, body: Any, field: str) -> None:
    answer = send(admin, "POST", BASE, body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json["errors"]] == [field]


def test_nobody_gives_takes_or_deletes_what_they_do_not_hold(app: Flask, acme: Workspace) -> None:
    visitor, eraser = manager(app, acme), make(app, acme, "eraser", "project:delete")
    harmless, member = make(app, acme, "harmless", "project:read"), builtin(app, acme, "member")
    attempts: list[tuple[str, str, Any]] = [
        ("POST", BASE, {"name": "mine", "permissions": ["project:delete"]}),
        ("PATCH", f"{BASE}/{harmless}", {"permissions": ["project:read", "project:delete"]}),
        ("PATCH", f"{BASE}/{eraser}", {"permissions": []}),
        ("PATCH", f"{BASE}/{eraser}", {"name": "harmless too"}),
        ("DELETE", f"{BASE}/{eraser}", None),
        ("DELETE", f"{BASE}/{harmless}?replacement={member}", None),
        ("DELETE", f"{BASE}/{harmless}?replacement={eraser}", None),
        ("PUT", DEFAULT, {"role_id": str(member)}),
        ("POST", f"{BASE}/{harmless}/preview", {"permissions": ["project:delete"]}),
        ("POST", f"{BASE}/{eraser}/preview", {}),
    ]
    for method, path, body in attempts:
        answer = send(visitor, method, path, body)
        assert answer.status_code == 403, (method, path, body)
        assert answer.content_type == "application/problem+json"
        assert "not yours to give or take" in answer.json["detail"]
    for name, permissions in (("eraser", ["project:delete"]), ("harmless", ["project:read"])):
        role = stored(app, acme, name)
        assert role is not None
        assert role.stored_permissions == permissions


def test_built_in_roles_are_refused(app: Flask, acme: Workspace) -> None:
    owner, role = sign_in(app, acme, "owner"), builtin(app, acme, "viewer")
    assert send(owner, "PATCH", f"{BASE}/{role}", {"permissions": []}).status_code == 403
    assert send(owner, "DELETE", f"{BASE}/{role}").status_code == 403
    assert send(owner, "PUT", DEFAULT, {"role_id": str(builtin(app, acme, "owner"))}).status_code == 403


def test_a_preview_says_who_gains_and_loses_what(app: Flask, acme: Workspace, admin: Visitor) -> None:
    role = make(app, acme, "Auditor", "project:read")
    person = add_person(app, acme, role="Auditor", email=f"vera@{acme.slug}.example")
    grant(app, acme, acme.people["member"], "Auditor")
    found = send(admin, "POST", f"{BASE}/{role}/preview", {"permissions": ["project:update"]}).json
    assert found == {
        "members": [
            {
                "id": str(person.id),
                "name": "Vera",
                "email": person.email,
                "active": True,
                "gains": ["project:update"],
                "loses": ["project:read"],
                "on_objects": {"gains": [], "loses": []},
            }
        ],
        "groups": [],
        "affected": {"members": 1, "groups": 0},
        "unaffected": {"members": 1},
    }
    viewer = builtin(app, acme, "viewer")
    found = send(admin, "POST", f"{BASE}/{role}/preview", {"replacement": str(viewer)}).json
    assert (found["members"][0]["gains"], found["members"][0]["loses"]) == (["member:read"], [])
    both = {"replacement": str(viewer), "permissions": []}
    assert send(admin, "POST", f"{BASE}/{role}/preview", both).status_code == 422
    current = stored(app, acme, "Auditor")
    assert current is not None
    assert current.stored_permissions == ["project:read"]


def test_holders_are_given_the_replacement(app: Flask, acme: Workspace, admin: Visitor) -> None:
    role, viewer = make(app, acme, "Auditor", "member:manage"), builtin(app, acme, "viewer")
    visitor = Visitor(app, acme.host)
    visitor.sign_in(add_person(app, acme, role="Auditor"))
    assert send(admin, "DELETE", f"{BASE}/{role}?replacement={viewer}").status_code == 204
    assert visitor.get("/api/v1/me").json["roles"] == ["viewer"]


def test_the_role_of_new_members_is_chosen_and_taken_back(app: Flask, acme: Workspace, admin: Visitor) -> None:
    assert admin.get(DEFAULT).json == {"role_id": None, "role": None}
    viewer = str(builtin(app, acme, "viewer"))
    assert send(admin, "PUT", DEFAULT, {"role_id": viewer}).json == {"role_id": viewer, "role": "viewer"}
    assert admin.get(f"{BASE}/{viewer}").json["default"] is True
    assert send(admin, "PUT", DEFAULT, {"role_id": None}).json == {"role_id": None, "role": None}
    assert send(admin, "PUT", DEFAULT, {}).status_code == 422


def test_an_invitation_without_a_role_is_one_with_that_of_new_members(
    app: Flask, acme: Workspace, admin: Visitor
) -> None:
    invited = {"emails": ["vera@x.example"]}
    assert send(admin, "POST", "/api/v1/invitations", invited).status_code == 403
    send(admin, "PUT", DEFAULT, {"role_id": str(builtin(app, acme, "viewer"))})
    assert send(admin, "POST", "/api/v1/invitations", invited).json["items"][0]["role"] == "viewer"


@pytest.mark.parametrize("person", ["member", "viewer"])
def test_members_and_viewers_are_refused_everything(app: Flask, acme: Workspace, person: str) -> None:
    role, visitor = make(app, acme, "auditor", "project:read"), sign_in(app, acme, person)
    for path in (BASE, f"{BASE}/{role}", DEFAULT, PERMISSIONS):
        assert visitor.get(path).status_code == 403
    for method, path in (("POST", BASE), ("PATCH", f"{BASE}/{role}"), ("DELETE", f"{BASE}/{role}"),
                         ("POST", f"{BASE}/{role}/preview"), ("PUT", DEFAULT)):  # fmt: skip
        assert send(visitor, method, path, {}).status_code == 403
    assert stored(app, acme, "auditor") is not None


def test_another_tenants_role_is_no_role_here(app: Flask, acme: Workspace, globex: Workspace, admin: Visitor) -> None:
    foreign, own = make(app, globex, "secret", "project:read"), make(app, acme, "own", "project:read")
    for role in (foreign, uuid.uuid4()):
        assert admin.get(f"{BASE}/{role}").status_code == 404
        assert send(admin, "PATCH", f"{BASE}/{role}", {"permissions": []}).status_code == 404
        assert send(admin, "DELETE", f"{BASE}/{role}").status_code == 404
        assert send(admin, "POST", f"{BASE}/{role}/preview", {"permissions": []}).status_code == 404
        for method, path, body in (
            ("DELETE", f"{BASE}/{own}?replacement={role}", None),
            ("POST", f"{BASE}/{own}/preview", {"replacement": str(role)}),
            ("PUT", DEFAULT, {"role_id": str(role)}),
        ):
            assert send(admin, method, path, body).status_code == 422
    assert "secret" not in admin.get(BASE).text
    with inside(app, globex):
        assert roles.get_role("secret").stored_permissions == ["project:read"]
