"""JSON of groups."""

import uuid
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from auth import local_groups
from auth.models import Group
from auth.roles import get_role
from tests.auth.helpers import inside, row_of
from tests.factories import Workspace
from tests.visitor import Visitor, sign_in

GROUPS = "/api/v1/groups"


@pytest.fixture
def admin(app: Flask, acme: Workspace) -> Visitor:
    return sign_in(app, acme, "admin")


def send(visitor: Visitor, method: str, path: str, body: Any = None) -> TestResponse:
    headers = {"Origin": visitor.base, "X-CSRFToken": visitor.csrf_token()}
    return visitor.client.open(path, method=method, base_url=visitor.base, json=body, headers=headers)


def make(visitor: Visitor, name: str = "Night shift") -> str:
    """A group, made by that visitor; gives back its address."""
    answer = send(visitor, "POST", GROUPS, {"name": name})
    assert answer.status_code == 201, answer.text
    return str(answer.headers["Location"])


def role_id(app: Flask, workspace: Workspace, name: str) -> str:
    with inside(app, workspace):
        return str(get_role(name).id)


def test_a_group_lives_by_the_api(app: Flask, acme: Workspace, admin: Visitor) -> None:
    path = make(admin)
    viewer = acme.people["viewer"]
    assert send(admin, "PATCH", path, {"name": "Day shift"}).json["name"] == "Day shift"
    assert send(admin, "POST", f"{path}/members", {"email": viewer.email}).status_code == 201
    assert send(admin, "POST", f"{path}/members", {"email": viewer.email}).status_code == 200
    end = "2099-12-31T00:00:00Z"
    assert send(admin, "POST", f"{path}/roles", {"role": "member", "ends_at": end}).status_code == 201
    assert admin.get(path).json == {
        "id": path.rpartition("/")[2], "name": "Day shift", "origin": "manual", "key": None, "members": 1,
        "unseen": False,
        "roles": [{"id": role_id(app, acme, "member"), "name": "member", "label": "Member", "ends_at": end,
                   "lapsed": False}],
    }  # fmt: skip
    assert [one["email"] for one in admin.get(f"{path}/members").json["items"]] == [viewer.email]
    assert [one["name"] for one in admin.get(f"{path}/roles").json["items"]] == ["member"]
    assert "project:create" in sign_in(app, acme, "viewer").get("/api/v1/me").json["permissions"]
    assert send(admin, "DELETE", f"{path}/roles/{role_id(app, acme, 'member')}").status_code == 204
    assert send(admin, "DELETE", f"{path}/members/{viewer.id}").status_code == 204
    assert send(admin, "DELETE", f"{path}/members/{viewer.id}").status_code == 404
    assert send(admin, "DELETE", f"{path}/roles/{role_id(app, acme, 'member')}").status_code == 404
    assert send(admin, "DELETE", path).status_code == 204
    assert admin.get(path).status_code == 404


def test_groups_and_members_are_listed_page_by_page(app: Flask, acme: Workspace, admin: Visitor) -> None:
    path = make(admin)
    for number in range(2):
        make(admin, f"Group {number}")
    for person in acme.people.values():
        send(admin, "POST", f"{path}/members", {"email": person.email})
    for address, total in ((GROUPS, 3), (f"{path}/members", 4)):
        found: list[str] = []
        cursor = ""
        while True:
            page = admin.get(f"{address}?limit=2&cursor={cursor}").json
            assert page["total"] == total
            found += [one["id"] for one in page["items"]]
            if not (cursor := page["next_cursor"] or ""):
                break
        assert len(set(found)) == len(found) == total
        assert admin.get(f"{address}?cursor=x").status_code == 422


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": "x" * 201}, {"name": "a\tb\x1b"}, {"name": 1}, {"x": 1}])
def test_a_name_that_is_none_is_refused(admin: Visitor, body: dict[str, Any]) -> None:
    path = make(admin)
    for method, address in (("POST", GROUPS), ("PATCH", path)):
        answer = send(admin, method, address, body)
        assert (answer.status_code, answer.content_type) == (422, "application/problem+json")


def test_a_name_is_had_by_one_group(admin: Visitor) -> None:
    path = make(admin)
    make(admin, "Day shift")
    assert send(admin, "POST", GROUPS, {"name": "NIGHT shift"}).status_code == 422
    assert send(admin, "PATCH", path, {"name": "day shift"}).status_code == 422


def test_what_is_given_has_to_be_there(admin: Visitor) -> None:
    path = make(admin)
    assert send(admin, "POST", f"{path}/members", {"email": "nobody@x.example"}).status_code == 422
    assert send(admin, "POST", f"{path}/roles", {"role": "janitor"}).status_code == 422
    past = {"role": "member", "ends_at": "2020-01-01T00:00:00Z"}
    assert send(admin, "POST", f"{path}/roles", past).status_code == 422
    assert send(admin, "POST", f"{path}/roles", past | {"ends_at": "2099-01-01T00:00:00"}).status_code == 422


def test_what_the_actor_does_not_hold_is_not_theirs_to_give(app: Flask, acme: Workspace, admin: Visitor) -> None:
    path = make(admin)
    assert send(admin, "POST", f"{path}/roles", {"role": "owner"}).status_code == 403
    with inside(app, acme):
        group = local_groups.find_group(uuid.UUID(path.rpartition("/")[2]))
        assert group is not None
        local_groups.give_role(group, get_role("owner"), actor=None)
    mine = {"email": acme.people["admin"].email}
    assert send(admin, "POST", f"{path}/members", mine).status_code == 403
    assert send(admin, "PATCH", path, {"name": "Other"}).status_code == 403
    assert send(admin, "DELETE", path).status_code == 403
    assert send(admin, "DELETE", f"{path}/roles/{role_id(app, acme, 'owner')}").status_code == 403
    assert admin.get(path).json["members"] == 0


def test_a_group_of_a_source_is_read_only(app: Flask, acme: Workspace) -> None:
    with inside(app, acme) as session:
        group = Group(name="Engineering", origin=f"provider:{uuid.uuid4()}", external_key="engineering")
        session.add(group)
        session.flush()
        path = f"{GROUPS}/{group.id}"
    owner = sign_in(app, acme, "owner")
    told = owner.get(path).json
    assert (told["key"], told["unseen"]) == ("engineering", True)
    assert send(owner, "PATCH", path, {"name": "Mine"}).status_code == 403
    assert send(owner, "DELETE", path).status_code == 403
    assert send(owner, "POST", f"{path}/members", {"email": acme.people["member"].email}).status_code == 403
    assert send(owner, "POST", f"{path}/roles", {"role": "viewer"}).status_code == 403
    assert owner.get(path).json == told


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_who_does_not_see_roles_is_refused_all_of_it(app: Flask, acme: Workspace, admin: Visitor, role: str) -> None:
    path = make(admin)
    with inside(app, acme):
        group = local_groups.find_group(uuid.UUID(path.rpartition("/")[2]))
        assert group is not None
        local_groups.add_member(group, row_of(acme.people["member"]), actor=None)
    visitor = sign_in(app, acme, role)
    user, given = acme.people["member"].id, role_id(app, acme, "viewer")
    for method, address in (
        ("GET", GROUPS), ("POST", GROUPS), ("GET", path), ("PATCH", path), ("DELETE", path), ("GET", f"{path}/members"),
        ("POST", f"{path}/members"), ("DELETE", f"{path}/members/{user}"), ("GET", f"{path}/roles"),
        ("POST", f"{path}/roles"), ("DELETE", f"{path}/roles/{given}"),
    ):  # fmt: skip
        answer = send(visitor, method, address, {} if method in ("POST", "PATCH") else None)
        assert answer.status_code == 403, (method, address)


def test_a_group_of_another_workspace_is_none(app: Flask, acme: Workspace, globex: Workspace, admin: Visitor) -> None:
    path = make(admin)
    owner = sign_in(app, globex, "owner")
    for method, end, body in (
        ("GET", "", None), ("PATCH", "", {"name": "Mine"}), ("DELETE", "", None), ("GET", "/members", None),
        ("POST", "/members", {"email": globex.people["owner"].email}), ("GET", "/roles", None),
        ("POST", "/roles", {"role": "viewer"}),
    ):  # fmt: skip
        assert send(owner, method, path + end, body).status_code == 404, (method, end)
    assert owner.get(GROUPS).json["items"] == []
