"""JSON of projects."""

import uuid
from datetime import date

import pytest
from flask import Flask

from saas.projects.models import ProjectStatus
from tests.factories import Workspace, add_person, make_project
from tests.visitor import Visitor, sign_in

PROJECTS = "/api/v1/projects"


def names(visitor: Visitor, query: str = "") -> list[str]:
    return [item["name"] for item in visitor.get(f"{PROJECTS}{query}").json["items"]]


def test_me_names_the_tenant_the_user_the_roles_and_the_permissions(member: Visitor, acme: Workspace) -> None:
    me = member.get("/api/v1/me").json
    assert me["tenant"] == {"id": str(acme.tenant.id), "slug": acme.slug, "name": acme.tenant.name}
    assert me["user"] == {"id": str(acme.people["member"].id), "email": acme.people["member"].email, "name": "Member"}
    assert me["roles"] == ["member"]
    assert me["permissions"] == ["member:read", "project:create", "project:read", "project:update"]


def test_nobody_is_told_to_sign_in_as_a_problem(visitor: Visitor) -> None:
    answer = visitor.get(PROJECTS)
    assert answer.status_code == 401
    assert answer.content_type == "application/problem+json"
    assert answer.json["status"] == 401
    assert answer.headers["WWW-Authenticate"]


def test_a_created_project_is_answered_and_listed(member: Visitor, acme: Workspace) -> None:
    answer = member.post_json(PROJECTS, {"name": "  Apollo ", "description": "To the moon", "due_on": "2030-01-31"})
    assert answer.status_code == 201
    assert answer.json["name"] == "Apollo"
    assert answer.json["due_on"] == "2030-01-31"
    assert answer.json["status"] == "active"
    assert answer.json["owner_id"] == str(acme.people["member"].id)
    assert answer.json["created_at"].endswith("Z")
    assert member.get(answer.headers["Location"]).status_code == 200
    assert member.get(PROJECTS).json == {"items": [answer.json], "next_cursor": None, "total": 1}


def test_the_list_gives_the_newest_first_and_pages_by_cursor(app: Flask, acme: Workspace, member: Visitor) -> None:
    for number in range(5):
        make_project(app, acme, f"Project {number}")
    first = member.get(f"{PROJECTS}?limit=2").json
    make_project(app, acme, "Inserted meanwhile")
    second = member.get(f"{PROJECTS}?limit=2&cursor={first['next_cursor']}").json
    third = member.get(f"{PROJECTS}?limit=2&cursor={second['next_cursor']}").json
    listed = [item["name"] for page in (first, second, third) for item in page["items"]]
    assert listed == ["Project 4", "Project 3", "Project 2", "Project 1", "Project 0"]
    assert first["total"] == 5
    assert second["total"] == 6
    assert third["next_cursor"] is None


def test_a_page_past_the_end_is_empty_and_still_counts(app: Flask, acme: Workspace, member: Visitor) -> None:
    make_project(app, acme, "First")
    make_project(app, acme, "Second")
    first = member.get(f"{PROJECTS}?limit=1").json
    with_first_gone = first["next_cursor"]
    last = member.get(f"{PROJECTS}?limit=1&cursor={with_first_gone}").json
    assert [item["name"] for item in last["items"]] == ["First"]
    assert last["next_cursor"] is None
    assert last["total"] == 2


def test_archived_projects_are_listed_only_when_asked_for(app: Flask, acme: Workspace, member: Visitor) -> None:
    make_project(app, acme, "Old", status=ProjectStatus.ARCHIVED)
    make_project(app, acme, "New")
    assert names(member) == ["New"]
    assert names(member, "?status=archived") == ["Old"]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("apol", ["Apollo"]),
        ("APOLLO", ["Apollo"]),
        ("moon", ["Apollo"]),
        ("100%", ["100% done"]),
        ("_", []),
        ("%", ["100% done"]),
    ],
)
def test_a_search_finds_what_name_or_description_contain(
    app: Flask, acme: Workspace, member: Visitor, search: str, found: list[str]
) -> None:
    make_project(app, acme, "Apollo", description="To the moon")
    make_project(app, acme, "100% done")
    answer = member.get(PROJECTS, query_string={"search": search})
    assert [item["name"] for item in answer.json["items"]] == found
    assert answer.json["total"] == len(found)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": 5}, "name"),
        ({"name": ["x"]}, "name"),
        ({"name": None}, "name"),
        ({"name": "x", "description": "y" * 20_001}, "description"),
        ({"name": "x", "status": "secret"}, "status"),
        ({"name": "x", "due_on": "31.1.2030"}, "due_on"),
        ({"name": "x", "owner_id": "me"}, "owner_id"),
        ({"name": "x", "owner_id": str(uuid.uuid4())}, "owner_id"),
        ({"name": "x", "tenant_id": str(uuid.uuid4())}, "tenant_id"),
        ({"name": "x", "id": str(uuid.uuid4())}, "id"),
    ],
)
def test_a_wrong_field_is_named(member: Visitor, body: dict[str, object], field: str) -> None:
    answer = member.post_json(PROJECTS, body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json["errors"]] == [field]
    assert answer.json["errors"][0]["message"]


def test_the_owner_of_a_project_is_of_the_same_tenant(member: Visitor, globex: Workspace) -> None:
    foreign = member.post_json(PROJECTS, {"name": "x", "owner_id": str(globex.people["owner"].id)})
    unknown = member.post_json(PROJECTS, {"name": "x", "owner_id": str(uuid.uuid4())})
    assert foreign.status_code == unknown.status_code == 422
    assert foreign.json["errors"] == unknown.json["errors"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"", 400),
        (b"[]", 400),
        (b'"x"', 400),
        (b"null", 400),
        (b'{"name": NaN}', 400),
        (b'{"name": "a\\u0000b"}', 400),
        (b'{"name": "a", "description": {"deep": ["\\u0000"]}}', 400),
        (b'{"name": "\xff"}', 400),
        (b"[" * 100_000, 400),
        (b'{"name": "' + b"x" * 1_100_000 + b'"}', 413),
    ],
)
def test_a_body_that_is_no_object_is_refused(member: Visitor, body: bytes, status: int) -> None:
    headers = {"Content-Type": "application/json", "X-CSRFToken": member.csrf_token()}
    answer = member.client.post(PROJECTS, base_url=member.base, data=body, headers=headers)
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"


def test_text_that_only_looks_like_an_escaped_nul_is_kept(member: Visitor) -> None:
    assert member.post_json(PROJECTS, {"name": "a\\u0000b"}).json["name"] == "a\\u0000b"


def test_another_type_than_json_is_refused(member: Visitor) -> None:
    headers = {"X-CSRFToken": member.csrf_token()}
    answer = member.client.post(PROJECTS, base_url=member.base, data={"name": "x"}, headers=headers)
    assert answer.status_code == 415


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "cursor=x", "cursor=W10", "cursor=WyJ4Il0", "status=x"]
)
def test_a_wrong_parameter_is_named(member: Visitor, query: str) -> None:
    answer = member.get(f"{PROJECTS}?{query}")
    assert answer.status_code == 422
    assert answer.json["errors"][0]["field"] == query.partition("=")[0]


def test_a_viewer_may_not_create(app: Flask, acme: Workspace) -> None:
    viewer = sign_in(app, acme, "viewer")
    token = viewer.csrf_token()
    answer = viewer.client.post(PROJECTS, base_url=viewer.base, json={"name": "x"}, headers={"X-CSRFToken": token})
    assert answer.status_code == 403
    assert answer.json["title"] == "Forbidden"


def test_who_has_no_role_sees_no_list(app: Flask, acme: Workspace) -> None:
    make_project(app, acme)
    stranger = Visitor(app, acme.host)
    stranger.sign_in(add_person(app, acme, role=None))
    assert stranger.get(PROJECTS).status_code == 403


def test_another_tenants_projects_are_not_listed(app: Flask, globex: Workspace, member: Visitor) -> None:
    make_project(app, globex, "Secret", due_on=date(2030, 1, 1))
    assert member.get(PROJECTS).json == {"items": [], "next_cursor": None, "total": 0}
