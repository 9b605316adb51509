"""Lists of the API: what a long page costs, and that pages fit together without a gap."""

import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from auth import clients, invitations, local_groups, roles, service_accounts
from auth.scim.models import ScimResource
from saas import openapi
from saas.projects.models import ProjectUpdate
from tests.auth import sources
from tests.auth.helpers import inside, row_of
from tests.auth.scim.conftest import SETTINGS
from tests.factories import Workspace, add_person, make_project, make_workspace
from tests.program import Program, personal_token
from tests.statements import counted

MANY = 30


def lists(app: Flask) -> Iterator[str]:
    """The addresses of the lists that are paged."""
    with app.app_context():
        told = openapi.describe(app)
    for path, methods in told["paths"].items():
        if "get" in methods and "cursor" in {one["name"] for one in methods["get"]["parameters"]}:
            yield path


@pytest.fixture(scope="module")
def full(app: Flask) -> Workspace:
    """A workspace with many of everything that is listed."""
    acme = make_workspace(app)
    people = [add_person(app, acme) for _ in range(MANY)]
    project = make_project(app, acme)
    source = sources.add(app, acme, "work", "oidc", SETTINGS, secret="secret")
    for number in range(MANY):
        make_project(app, acme, f"Project {number}")
    with inside(app, acme) as session:
        group = local_groups.create_group("Everybody", actor=None)
        for number, person in enumerate(people):
            local_groups.add_member(group, row_of(person), actor=None)
            other = local_groups.create_group(f"Group {number}", actor=None)
            role = roles.create_role(f"Role {number}", ["project:read"], actor=None)
            local_groups.give_role(other, role, actor=None)
            roles.grant_role(row_of(person), f"Role {number}", actor=None)
            service_accounts.create_account(f"Robot {number}", actor=None)
            clients.add_app(f"App {number}", redirects=["https://app.example/"], permissions=[], actor=None)
            for kind, held in (("User", {"user_id": person.id}), ("Group", {"group_id": other.id})):
                session.add(ScimResource(provider_id=source, kind=kind, name_key=f"name {number}", **held))
            session.add(ProjectUpdate(project_id=project, author_id=person.id, body=f"Update {number}"))
        invitations.invite([f"guest{number}@example.com" for number in range(MANY)], "viewer", actor=None)
        ids = {"project_id": project, "group_id": group.id, "config_id": source}
    full_ids[acme.slug] = ids
    return acme


full_ids: dict[str, dict[str, uuid.UUID]] = {}


def address(path: str, workspace: Workspace) -> str:
    known = full_ids[workspace.slug]
    return re.sub(r"{(\w+)}", lambda found: str(known.get(found[1], "project:read")), path)


def pages(program: Program, path: str, limit: int) -> Iterator[dict[str, Any]]:
    cursor = ""
    while True:
        answer = program.get(path, query_string={"limit": limit, "cursor": cursor})
        assert answer.status_code == 200, (path, answer.text)
        yield answer.json
        if answer.json["next_cursor"] is None:
            return
        cursor = answer.json["next_cursor"]


def test_a_long_page_costs_no_more_statements_than_a_short_one(app: Flask, full: Workspace) -> None:
    program = personal_token(app, full, "owner")
    costs: dict[str, tuple[int, int]] = {}
    for path in lists(app):
        where, sent = address(path, full), []
        for limit in (2, MANY):
            program.get(where, query_string={"limit": limit})  # what is learned once is no part of it
            with counted(app) as statements:
                answer = program.get(where, query_string={"limit": limit})
            assert len(answer.json["items"]) > (2 if limit > 2 else 1), (where, answer.text[:300])
            sent.append(len(statements))
        costs[path] = (sent[0], sent[1])
    assert len(costs) > 8
    assert {path: cost for path, cost in costs.items() if cost[0] != cost[1]} == {}


def test_pages_fit_together_without_a_gap(app: Flask, full: Workspace) -> None:
    program = personal_token(app, full, "owner")
    for path in lists(app):
        if path.endswith("/audit"):  # grows while it is read, at the end that is read first
            continue
        where = address(path, full)
        short = [item["id"] for page in pages(program, where, 7) for item in page["items"]]
        assert short == [item["id"] for page in pages(program, where, 100) for item in page["items"]], path
        assert len(short) == len(set(short)), path
