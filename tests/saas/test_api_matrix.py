"""Every operation of the API, asked by everybody who might: what they hold decides, and the answer is described."""

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from auth import access_tokens, api_tokens, clients, service_accounts, token_secrets, users
from auth.models import LoginSession
from auth.permissions import Catalogue
from auth.token_models import ApiToken
from saas import openapi
from saas.problems import MEANINGS
from tenants.lifecycle import suspend_tenant
from tests.auth.helpers import inside, row_of
from tests.factories import PASSWORD, Workspace, add_person, make_workspace
from tests.program import Program, personal_token, signed_in_program
from tests.saas.things import belongings, things


@dataclass(frozen=True)
class Caller:
    """Somebody with a token, and what is to be expected of it; `refused` is the status that they always get."""

    program: Program
    holds: frozenset[str] = frozenset()
    in_person: bool = False
    refused: int | None = None
    ids: Mapping[str, str] = field(default_factory=dict)
    """Things of their workspace, by the names that they have in addresses."""


@dataclass(frozen=True)
class Full:
    """A workspace with one of everything."""

    workspace: Workspace
    ids: Mapping[str, str]


def fill(app: Flask) -> Full:
    workspace = make_workspace(app)
    return Full(workspace, things(app, workspace))


@pytest.fixture(scope="module")
def full(app: Flask) -> Full:
    """The workspace of all who take nothing away."""
    return fill(app)


def held(app: Flask, role: str) -> frozenset[str]:
    catalogue: Catalogue = app.extensions["auth"].catalogue
    return catalogue.of_builtin(role)


def signed_in(role: str, *, alone: bool = False) -> Callable[[Flask, Full], Caller]:
    """Somebody in person: in a workspace of their own, if they can take things away."""

    def make(app: Flask, full: Full) -> Caller:
        its = fill(app) if alone else full
        ids = dict(its.ids)
        if role != "owner":
            own = belongings(app, its.workspace, its.workspace.people[role], uuid.UUID(ids["client_id"]))
            ids |= {name: str(id) for name, id in own.items()}
        return Caller(signed_in_program(app, its.workspace, role), held(app, role), in_person=True, ids=ids)

    return make


def token_with_less(app: Flask, full: Full) -> Caller:
    only = frozenset({"project:read"})
    return Caller(personal_token(app, full.workspace, "owner", only=set(only)), only, ids=full.ids)


def service_account(app: Flask, full: Full) -> Caller:
    with inside(app, full.workspace):
        account = service_accounts.create_account("Robot", actor=None)
        service_accounts.give_role(account, "viewer", actor=None)
        client, secret = clients.add_credential(account, "key", actor=None)
        client_id = client.client_id
    program = Program(app, full.workspace.host)
    given = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    answer = program.client.post("/oauth/token", data=given, base_url=program.base)
    assert answer.status_code == 200, answer.text
    program.token = answer.json["access_token"]
    return Caller(program, held(app, "viewer"), ids=full.ids)


def of_another_tenant(app: Flask, full: Full) -> Caller:
    token = signed_in_program(app, make_workspace(app), "owner").token
    return Caller(Program(app, full.workspace.host, token), refused=401, ids=full.ids)


def expired(app: Flask, full: Full) -> Caller:
    program = signed_in_program(app, full.workspace, "owner")
    with inside(app, full.workspace) as session:
        login = session.query(LoginSession).filter_by(kind="api").order_by(LoginSession.created_at.desc()).first()
        begun = login.created_at.timestamp()
    with pytest.MonkeyPatch.context() as patch:  # the clock of whoever issues it, an hour ago
        patch.setattr(
            access_tokens, "now", lambda: login.created_at.fromtimestamp(begun - 3600, login.created_at.tzinfo)
        )
        with app.test_request_context(base_url=full.workspace.url), inside(app, full.workspace):
            program.token, _lasts = access_tokens.issue(login.id, login.user_id, login.expires_at)
    return Caller(program, refused=401, ids=full.ids)


def revoked(app: Flask, full: Full) -> Caller:
    program = personal_token(app, full.workspace, "owner")
    with inside(app, full.workspace) as session:
        row = session.query(ApiToken).filter_by(token_hash=token_secrets.digest(program.token)).one()
        api_tokens.revoke(row, actor=None)
    return Caller(program, refused=401, ids=full.ids)


def deactivated(app: Flask, full: Full) -> Caller:
    leaver = add_person(app, full.workspace, role="admin")
    program = Program(app, full.workspace.host)
    assert program.sign_in(leaver).status_code == 200
    with inside(app, full.workspace):
        users.deactivate_user(row_of(leaver), actor=None)
    return Caller(program, refused=401, ids=full.ids)


def suspended(app: Flask, full: Full) -> Caller:
    its = fill(app)
    program = signed_in_program(app, its.workspace, "owner")
    with app.app_context():
        suspend_tenant(its.workspace.slug)
    return Caller(program, refused=403, ids=its.ids)


CALLERS: Mapping[str, Callable[[Flask, Full], Caller]] = {
    "owner": signed_in("owner", alone=True),
    "admin": signed_in("admin", alone=True),
    "member": signed_in("member"),
    "viewer": signed_in("viewer"),
    "nobody": lambda app, full: Caller(Program(app, full.workspace.host), refused=401, ids=full.ids),
    "token with less": token_with_less,
    "service account": service_account,
    "of another tenant": of_another_tenant,
    "expired": expired,
    "revoked": revoked,
    "deactivated": deactivated,
    "suspended": suspended,
}

Operation = tuple[str, str, dict[str, Any]]
BODIES: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("POST", "auth/token"): {"username": "{email}", "password": PASSWORD},
    ("POST", "grants"): {"user_id": "{user_id}"},
    ("POST", "groups"): {"name": "Another"},
    ("POST", "groups/{group_id}/members"): {"email": "{email}"},
    ("POST", "members/roles"): {"member_ids": ["{user_id}"]},
    ("PATCH", "projects/{project_id}"): {"owner_id": "{user_id}"},
    ("POST", "providers"): {"name": "other"},
    ("POST", "providers/{config_id}/enforce"): {"break_glass": "{owner_email}"},
    ("PUT", "providers/order"): {"ids": ["{config_id}"]},
    ("PUT", "roles/default"): {"role_id": "{role_id}"},
}
"""What the examples of bodies cannot know of a workspace: its ids and addresses, and which names are taken."""
QUERIES: Mapping[str, str] = {"user": "{user_id}", "permission": "{permission}", "group": "staff", "role": "viewer"}
"""Values of those parameters that a query has to have."""
DISABLE, END_OTHERS, SIGN_OUT = "providers/{config_id}/disable", "sessions/end-others", "auth/revoke"


def turn(one: Operation) -> tuple[int, int, str]:
    """When an operation has its turn: what takes something away that others need comes late, the innermost first."""
    method, path, _told = one
    late = {DISABLE: 3, END_OTHERS: 5, SIGN_OUT: 6}
    rank = late.get(short(path), {"GET": 0, "PUT": 1, "PATCH": 1, "POST": 2, "DELETE": 4}[method])
    return rank, -path.count("/") if method == "DELETE" else 0, path


def short(path: str) -> str:
    return path.removeprefix(openapi.PREFIX)


def operations(app: Flask) -> Iterator[Operation]:
    with app.app_context():
        told = openapi.describe(app)
    for path, methods in told["paths"].items():
        for method, each in methods.items():
            answers = {
                status: told["components"]["responses"][answer["$ref"].split("/")[-1]] if "$ref" in answer else answer
                for status, answer in each["responses"].items()
            }
            yield method.upper(), path, each | {"responses": answers}


def put_in(value: Any, ids: Mapping[str, str]) -> Any:
    """The same with the things in the places that are named in braces."""
    if isinstance(value, str):
        return re.sub(r"{(\w+)}", lambda found: ids.get(found[1], found[0]), value)
    if isinstance(value, list):
        return [put_in(each, ids) for each in value]
    return {name: put_in(each, ids) for name, each in value.items()} if isinstance(value, dict) else value


def ask(caller: Caller, one: Operation) -> TestResponse:
    """Send the description's own example, about things that there are."""
    method, path, told = one
    query = {
        each["name"]: QUERIES[each["name"]]
        for each in told["parameters"]
        if each.get("required") and each["in"] == "query"
    }
    options: dict[str, Any] = {"query_string": put_in(query, caller.ids)}
    if "requestBody" in told:
        example = told["requestBody"]["content"]["application/json"]["example"]
        options["json"] = put_in(example | BODIES.get((method, short(path)), {}), caller.ids)
    return caller.program.open(method, put_in(path, caller.ids), **options)


def expected(caller: Caller, told: dict[str, Any]) -> int | None:
    """The refusal that the description and the caller's permissions lead to; None: they are let in."""
    if not told["security"]:
        return 403 if caller.refused == 403 else None
    if caller.refused is not None:
        return caller.refused
    needed = told.get("x-permission")
    takes_tokens = any("oauth2" in way for way in told["security"])
    if (needed and needed not in caller.holds) or not (takes_tokens or caller.in_person):
        return 403
    return None


OTHERWISE: Mapping[tuple[str, str], int] = {
    ("POST", "providers/rehearsal"): 422,  # of directories only, and the example is of another kind
    ("POST", "providers/{config_id}/rehearsal"): 404,  # the provider is none
    ("POST", "providers/{config_id}/go-back"): 404,  # nothing is on trial, for that takes a provider that answers
}
"""What those get who are let in, where the example can do nothing."""


@pytest.mark.parametrize("who", CALLERS)
def test_what_they_hold_decides(app: Flask, full: Full, who: str) -> None:
    caller = CALLERS[who](app, full)
    wrong: list[str] = []
    for one in sorted(operations(app), key=turn):
        method, path, told = one
        answer, refusal = ask(caller, one), expected(caller, told)
        status = answer.status_code
        otherwise = refusal or OTHERWISE.get((method, short(path)))
        is_right = status == otherwise if otherwise else 200 <= status < 300
        if not is_right or not _is_described(answer, told):
            wrong.append(f"{method} {path}: {status}, not {otherwise or 'done'}: {answer.text[:300]}")
    assert not wrong, "\n".join(wrong)


def test_what_is_another_workspaces_is_not_there(app: Flask, full: Full) -> None:
    stranger = Caller(signed_in_program(app, make_workspace(app), "owner"), ids=full.ids)
    wrong: list[str] = []
    asked = [one for one in operations(app) if "_id}" in one[1]]
    for one in asked:
        answer = ask(stranger, one)
        if answer.status_code != 404 or not _is_described(answer, one[2]):
            wrong.append(f"{one[0]} {one[1]}: {answer.status_code}: {answer.text[:300]}")
    assert not wrong, "\n".join(wrong)
    assert len(asked) > 70


def _is_described(answer: TestResponse, told: dict[str, Any]) -> bool:
    described = told["responses"].get(str(answer.status_code))
    if described is None:
        return answer.status_code == 403 and answer.json["type"].endswith("#suspended")
    if answer.status_code < 400:
        return answer.content_type in described.get("content", {}) or not answer.data
    kind = answer.json["type"].partition("#")[2]
    return answer.content_type == "application/problem+json" and kind in MEANINGS and "Traceback" not in answer.text


@pytest.mark.parametrize("who", ["nobody", "of another tenant", "expired", "revoked"])
def test_who_is_not_known_is_told_how_to_be(app: Flask, full: Full, who: str) -> None:
    program = CALLERS[who](app, full).program
    told = program.get("/api/v1/me").headers["WWW-Authenticate"]
    assert told.startswith(f'Bearer realm="{full.workspace.slug}"')
    assert ('error="invalid_token"' in told) is (who != "nobody")
    (about,) = re.findall(r'resource_metadata="([^"]+)"', told)
    assert program.client.get(about).json["resource"]
