"""`If-Match`, `If-None-Match` and `ETag`: what is no condition, and who changes the same without one."""

import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask, request
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from werkzeug.test import TestResponse

from auth.models import Group, Role, User
from saas import openapi, operations
from saas.projects.models import Project
from tenants.db import Base
from tenants.models import TenantRow
from tests.auth import sources
from tests.auth.helpers import inside
from tests.factories import Workspace, make_project, make_workspace
from tests.program import Program, personal_token, signed_in_program
from tests.saas.things import SETTINGS, things
from tests.statements import counted
from tests.visitor import sign_in

PROJECTS = "/api/v1/projects"


def change(program: Program, path: str, name: str = "Artemis", **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return program.open("PATCH", path, json={"name": name}, headers=named)


def etag(program: Program, path: str) -> str:
    return str(program.get(path).headers["ETag"])


@pytest.fixture
def program(app: Flask, acme: Workspace) -> Program:
    return personal_token(app, acme, "owner")


@pytest.fixture
def project(app: Flask, acme: Workspace) -> str:
    return f"{PROJECTS}/{make_project(app, acme)}"


def test_what_is_no_condition_is_not_taken_for_none(program: Program, project: str) -> None:
    seen = etag(program, project)
    for header in ("If-Match", "If-None-Match"):
        for value in ("", " ", ",", ", ,", '"abc', seen[:-1], "a b", "undefined undefined"):
            answer = program.open("PATCH", project, json={"name": "Artemis"}, headers={header: value})
            assert (header, value, answer.status_code) == (header, value, 400)
            assert header in answer.json["detail"]
    assert etag(program, project) == seen


@pytest.mark.parametrize(
    "tag",
    ['"other"', '""', '"*"', '"a", "b"', 'W/"{}"', 'w/"{}"', '"{}x"', '"{}", *'.replace("{}", "x"), "undefined", '"{'],
)
def test_another_state_is_none(program: Program, project: str, tag: str) -> None:
    seen = etag(program, project)
    answer = change(program, project, If_Match=tag.replace("{}", seen.strip('"')))
    assert answer.status_code in (400, 412)
    assert etag(program, project) == seen


def test_one_of_several_states_will_do(program: Program, project: str) -> None:
    seen = etag(program, project)
    assert change(program, project, If_Match=f'"other", W/"x", {seen}').status_code == 200


def test_who_wants_to_change_anything_but_a_state_is_heard_too(program: Program, project: str) -> None:
    seen = etag(program, project)
    for tag in (seen, f"W/{seen}", "*"):
        assert change(program, project, If_None_Match=tag).status_code == 412
    assert change(program, project, If_Match=seen, If_None_Match=seen).status_code == 412
    assert etag(program, project) == seen
    assert change(program, project, If_None_Match='"other"').status_code == 200
    assert change(program, f"{PROJECTS}/{uuid.uuid4()}", If_None_Match="*").status_code == 404


def test_a_change_tells_the_state_that_a_read_does(app: Flask, acme: Workspace) -> None:
    program = signed_in_program(app, acme, "owner")
    ids = things(app, acme)
    bodies = {
        "/api/v1/projects/{project_id}": {"description": "New", "due_on": "2031-01-31"},
        "/api/v1/groups/{group_id}": {"name": "Others"},
        "/api/v1/roles/{role_id}": {"name": "Writer"},
        "/api/v1/members/{user_id}": {"name": "Another"},
        "/api/v1/apps/{client_id}": {"name": "Renamed"},
        "/api/v1/service-accounts/{account_id}": {"name": "Machine"},
        "/api/v1/providers/{config_id}": {"label": "Other"},
        "/api/v1/policy": {"shortest_password": 11},
        "/api/v1/workspace": {"name": "Other"},
    }
    for path, body in bodies.items():
        address = path.format(**ids)
        before = etag(program, address)
        answer = program.open("PATCH", address, json=body, headers={"If-Match": before})
        assert (path, answer.status_code) == (path, 200)
        assert (path, answer.headers["ETag"]) == (path, etag(program, address))
        assert (path, answer.headers["ETag"]) != (path, before)
        narrow = program.open("PATCH", f"{address}?fields={next(iter(body))}", json=body)
        assert (path, narrow.headers["ETag"]) == (path, etag(program, address))


CONDITIONAL: Mapping[str, tuple[str, dict[str, Any] | None]] = {
    "/api/v1/members/{user_id}/roles/{role}": ("PUT", {"ends_at": "2100-01-31T12:00:00Z"}),
    "/api/v1/members/{user_id}/roles/viewer": ("DELETE", None),
    "/api/v1/service-accounts/{account_id}/roles/{role_id}": ("DELETE", None),
    "/api/v1/groups/{group_id}/roles/{role_id}": ("DELETE", None),
    "/api/v1/groups/{group_id}/members/{user_id}": ("DELETE", None),
    "/api/v1/projects/{project_id}/editors/{user_id}": ("DELETE", None),
    "/api/v1/providers/{config_id}/provisioning/tokens/{provisioning_token_id}": ("DELETE", None),
}


def test_what_is_given_is_changed_and_taken_as_it_was_seen(app: Flask, acme: Workspace) -> None:
    owner, ids = signed_in_program(app, acme, "owner"), things(app, acme)
    for path, (method, body) in CONDITIONAL.items():
        address, options = path.format(**ids), {"json": body} if body is not None else {}
        seen = etag(owner, address)
        other = owner.open(method, address, headers={"If-Match": '"other"'}, **options)
        assert (path, other.status_code) == (path, 412)
        assert (path, etag(owner, address)) == (path, seen)
        done = owner.open(method, address, headers={"If-Match": seen}, **options)
        assert (path, done.status_code) == (path, 204), done.text
        left = owner.get(address)
        assert (path, left.status_code) == (path, 404 if method == "DELETE" else 200)
        assert left.headers.get("ETag") != seen


def test_the_order_of_providers_is_changed_as_it_was_seen(app: Flask, acme: Workspace) -> None:
    owner, address = signed_in_program(app, acme, "owner"), "/api/v1/providers/order"
    first, second = (str(sources.add(app, acme, name, "oidc", SETTINGS, secret="x")) for name in ("one", "two"))
    seen, turned = etag(owner, address), {"ids": [second, first]}
    assert owner.get(address).json == {"ids": [first, second]}
    assert owner.open("PUT", address, json=turned, headers={"If-Match": seen}).status_code == 200
    assert owner.get(address).json == turned
    again = owner.open("PUT", address, json={"ids": [first, second]}, headers={"If-Match": seen})
    assert (again.status_code, owner.get(address).json) == (412, turned)


def test_what_can_be_changed_can_be_read(app: Flask) -> None:
    with app.app_context():
        paths = openapi.describe(app)["paths"]
    changed = {path: methods for path, methods in paths.items() if methods.keys() & {"put", "patch", "delete"}}
    assert len(changed) > 25
    assert {path for path, methods in changed.items() if "get" not in methods} == set()


def test_a_change_at_our_pages_is_a_change(app: Flask, acme: Workspace, program: Program, project: str) -> None:
    seen, owner = etag(program, project), sign_in(app, acme, "owner")
    page = project.removeprefix("/api/v1")
    assert owner.post(f"{page}/edit", {"name": "By hand", "status": "active"}).status_code == 302
    assert change(program, project, If_Match=seen).status_code == 412
    assert program.get(project).json["name"] == "By hand"


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("path", "models"),
    [
        ("/api/v1/projects/{project_id}", [Project]),
        ("/api/v1/members/{user_id}", [TenantRow, User]),
        ("/api/v1/groups/{group_id}", [TenantRow, Group]),
        ("/api/v1/roles/{role_id}", [TenantRow, Role]),
        ("/api/v1/policy", [TenantRow]),
        ("/api/v1/workspace", [TenantRow]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_nobody_changes_it_between_the_look_and_the_change(
    postgres_app: Flask, monkeypatch: pytest.MonkeyPatch, path: str, models: list[Any]
) -> None:
    workspace = make_workspace(postgres_app)
    program = signed_in_program(postgres_app, workspace, "owner")
    address = path.format(**things(postgres_app, workspace))
    held: list[bool] = []
    looked = _watch(monkeypatch, lambda: held.extend(_is_held(postgres_app, workspace, one, address) for one in models))
    body = {"shortest_password": 11} if path.endswith("policy") else {"name": "Other"}
    answer = program.open("PATCH", address, json=body, headers={"If-Match": etag(program, address)})
    assert (answer.status_code, looked(), held) == (200, 1, [True] * len(models))


def _watch(monkeypatch: pytest.MonkeyPatch, look: Callable[[], Any]) -> Callable[[], int]:
    """Have something done once the condition was found to hold, before the change."""
    done, check = [], operations._check_precondition

    def checked() -> None:
        check()
        if "If-Match" in request.headers:
            look()
            done.append(1)

    monkeypatch.setattr(operations, "_check_precondition", checked)
    return lambda: len(done)


def _is_held(app: Flask, workspace: Workspace, model: type[Base], address: str) -> bool:
    """Whether another transaction that wants to change the row has to wait."""
    row_id = workspace.tenant.id if model is TenantRow else uuid.UUID(address.rpartition("/")[2])
    engine = app.extensions["tenants"].engines.shared
    table = model.__table__
    wanted = select(table.c.id).where(table.c.id == row_id).with_for_update(nowait=True, key_share=True)
    with engine.connect() as connection:
        connection.execute(text("SELECT set_config('app.tenant_id', :id, false)"), {"id": str(workspace.tenant.id)})
        try:
            connection.execute(wanted)
        except OperationalError:
            return True
        finally:
            connection.rollback()
            connection.execute(text("RESET app.tenant_id"))
    return False


def test_who_is_in_the_middle_of_changing_it_is_waited_for(
    app: Flask, acme: Workspace, program: Program, project: str
) -> None:
    seen = etag(program, project)
    with ThreadPoolExecutor(1) as thread, inside(app, acme) as session:
        session.scalars(select(Project)).one().name = "By hand"
        session.flush()
        answer = thread.submit(change, program, project, If_Match=seen)
        session.commit()
        assert answer.result().status_code == 412
    assert program.get(project).json["name"] == "By hand"


def test_a_condition_costs_few_statements(app: Flask, acme: Workspace, program: Program, project: str) -> None:
    def cost(**headers: str) -> int:
        with counted(app) as sent:
            assert change(program, project, f"Name {uuid.uuid4()}", **headers).status_code == 200
        return len(sent)

    cost()
    plain, tag = cost(), etag(program, project)
    the_lock_the_tenant_and_a_read = 4
    assert cost(If_Match=tag) <= plain + the_lock_the_tenant_and_a_read
