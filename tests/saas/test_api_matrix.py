"""Every operation of the API, asked by everybody who might: what they hold decides, and the answer is described."""

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from auth import access_tokens, api_tokens, clients, service_accounts, users
from auth.models import LoginSession
from auth.permissions import Catalogue
from auth.token_models import ApiToken
from saas import openapi
from saas.problems import MEANINGS
from tenants.lifecycle import suspend_tenant
from tests.auth.helpers import inside, row_of
from tests.factories import Workspace, make_workspace
from tests.program import Program, personal_token, signed_in_program

IN_PERSON = "in person"


@dataclass(frozen=True)
class Caller:
    """Somebody with a token, and what is to be expected of it; `refused` is the status that they always get."""

    program: Program
    holds: frozenset[str] = frozenset()
    in_person: bool = False
    refused: int | None = None


def held(app: Flask, role: str) -> frozenset[str]:
    catalogue: Catalogue = app.extensions["auth"].catalogue
    return catalogue.of_builtin(role)


def signed_in(role: str) -> Callable[[Flask, Workspace], Caller]:
    return lambda app, workspace: Caller(signed_in_program(app, workspace, role), held(app, role), in_person=True)


def token_with_less(app: Flask, workspace: Workspace) -> Caller:
    return Caller(personal_token(app, workspace, "owner", only={"project:read"}), frozenset({"project:read"}))


def service_account(app: Flask, workspace: Workspace) -> Caller:
    with inside(app, workspace):
        account = service_accounts.create_account("Robot", actor=None)
        service_accounts.give_role(account, "viewer", actor=None)
        client, secret = clients.add_credential(account, "key", actor=None)
        client_id = client.client_id
    program = Program(app, workspace.host)
    given = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    answer = program.client.post("/oauth/token", data=given, base_url=program.base)
    assert answer.status_code == 200, answer.text
    program.token = answer.json["access_token"]
    return Caller(program, held(app, "viewer"))


def of_another_tenant(app: Flask, workspace: Workspace) -> Caller:
    token = signed_in_program(app, make_workspace(app), "owner").token
    return Caller(Program(app, workspace.host, token), refused=401)


def expired(app: Flask, workspace: Workspace) -> Caller:
    program = signed_in_program(app, workspace, "owner")
    with inside(app, workspace) as session:
        login = session.query(LoginSession).filter_by(kind="api").one()
        begun = login.created_at.timestamp()
    with pytest.MonkeyPatch.context() as patch:  # the clock of whoever issues it, an hour ago
        patch.setattr(
            access_tokens, "now", lambda: login.created_at.fromtimestamp(begun - 3600, login.created_at.tzinfo)
        )
        with app.test_request_context(base_url=workspace.url), inside(app, workspace):
            program.token, _lasts = access_tokens.issue(login.id, login.user_id, login.expires_at)
    return Caller(program, refused=401)


def revoked(app: Flask, workspace: Workspace) -> Caller:
    program = personal_token(app, workspace, "owner")
    with inside(app, workspace) as session:
        api_tokens.revoke(session.query(ApiToken).one(), actor=None)
    return Caller(program, refused=401)


def deactivated(app: Flask, workspace: Workspace) -> Caller:
    program = signed_in_program(app, workspace, "admin")
    with inside(app, workspace):
        users.deactivate_user(row_of(workspace.people["admin"]), actor=None)
    return Caller(program, refused=401)


def suspended(app: Flask, workspace: Workspace) -> Caller:
    program = signed_in_program(app, workspace, "owner")
    with app.app_context():
        suspend_tenant(workspace.slug)
    return Caller(program, refused=403)


CALLERS: Mapping[str, Callable[[Flask, Workspace], Caller]] = {
    "owner": signed_in("owner"),
    "admin": signed_in("admin"),
    "member": signed_in("member"),
    "viewer": signed_in("viewer"),
    "nobody": lambda app, workspace: Caller(Program(app, workspace.host), refused=401),
    "token with less": token_with_less,
    "service account": service_account,
    "of another tenant": of_another_tenant,
    "expired": expired,
    "revoked": revoked,
    "deactivated": deactivated,
    "suspended": suspended,
}


def operations(app: Flask) -> Iterator[tuple[str, str, dict[str, Any]]]:
    with app.app_context():
        told = openapi.describe(app)
    for path, methods in told["paths"].items():
        for method, each in methods.items():
            answers = {
                status: told["components"]["responses"][answer["$ref"].split("/")[-1]] if "$ref" in answer else answer
                for status, answer in each["responses"].items()
            }
            yield method.upper(), path, each | {"responses": answers}


def ask(program: Program, method: str, path: str, told: dict[str, Any]) -> TestResponse:
    """Send the description's own example, about ids that there are not: nothing is to be destroyed."""
    address = re.sub(r"{(\w+)}", lambda found: str(uuid.uuid4()) if found[1].endswith("_id") else "nothing", path)
    query = {
        one["name"]: str(uuid.uuid4()) for one in told["parameters"] if one["in"] == "query" and one.get("required")
    }
    body = told["requestBody"]["content"]["application/json"]["example"] if "requestBody" in told else None
    return program.open(method, address, query_string=query, **({"json": body} if body is not None else {}))


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


@pytest.mark.parametrize("who", CALLERS)
def test_what_they_hold_decides(app: Flask, acme: Workspace, who: str) -> None:
    caller = CALLERS[who](app, acme)
    wrong: list[str] = []
    for method, path, told in operations(app):
        if path.endswith("/auth/revoke"):  # would sign the program out; tests/saas/tokens looks at it
            continue
        answer, refusal = ask(caller.program, method, path, told), expected(caller, told)
        status = answer.status_code
        is_right = status == refusal if refusal else status not in (401, 403) or _is_guarded(answer)
        if not told["security"] and refusal is None:
            is_right = status < 500
        if not is_right or not _is_described(answer, told):
            wrong.append(f"{method} {path}: {status}, not {refusal or 'let in'}: {answer.text[:200]}")
    assert not wrong, "\n".join(wrong)


def _is_guarded(answer: TestResponse) -> bool:
    """Whether they were let in, and a guard of the service has refused the very case."""
    return answer.status_code == 403 and answer.json["type"].endswith("#guarded")


def _is_described(answer: TestResponse, told: dict[str, Any]) -> bool:
    described = told["responses"].get(str(answer.status_code))
    if described is None:
        return answer.status_code == 403 and answer.json["type"].endswith("#suspended")
    if answer.status_code < 400:
        return answer.content_type in described.get("content", {}) or not answer.data
    kind = answer.json["type"].partition("#")[2]
    return answer.content_type == "application/problem+json" and kind in MEANINGS and "Traceback" not in answer.text


@pytest.mark.parametrize("who", ["nobody", "of another tenant", "expired", "revoked"])
def test_who_is_not_known_is_told_how_to_be(app: Flask, acme: Workspace, who: str) -> None:
    program = CALLERS[who](app, acme).program
    told = program.get("/api/v1/me").headers["WWW-Authenticate"]
    assert told.startswith(f'Bearer realm="{acme.slug}"')
    assert ('error="invalid_token"' in told) is (who != "nobody")
    (about,) = re.findall(r'resource_metadata="([^"]+)"', told)
    assert program.client.get(about).json["resource"]
