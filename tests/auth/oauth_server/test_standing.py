"""Whatever would have a bearer refused has the rest refused, too: introspection, refresh tokens, codes, userinfo.

And nothing that ends tokens leaves one behind that was being given in that moment.
"""

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from itertools import product
from threading import Thread
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, func, select, update

from auth import clients, service_accounts, tenant_settings, users
from auth.client_models import Consent, OAuthClient
from auth.models import User
from auth.oauth_server import issuing, standing
from auth.policy_changes import change_policy
from auth.token_models import ApiToken, RefreshToken
from tenants.db import now
from tenants.lifecycle import resume_tenant, suspend_tenant
from tests.auth import helpers
from tests.auth.helpers import inside
from tests.auth.oauth_server.programs import (
    Program,
    account_of,
    allow,
    answered,
    employ,
    obtain,
    register,
    row_of,
)
from tests.factories import Workspace, make_workspace
from tests.visitor import Visitor, sign_in

CREDENTIALS = {"grant_type": "client_credentials"}


def _enforce(workspace: Workspace, domains: dict[str, str]) -> None:
    tenant_settings.keep(tenant_settings.lock(), "enforcement", {"domains": domains, "break_glass": None})


def _write(session: Any, model: Any, **values: Any) -> None:
    session.execute(update(model).values(**values))


# What would have a bearer refused, and what undoes it; straight in the tables, so that no row of a token is deleted.
REFUSALS: dict[str, tuple[Callable[..., Any], Callable[..., Any] | None]] = {
    "signs in elsewhere only": (
        lambda session, at: _enforce(at, {f"{at.slug}.example": str(uuid.uuid4())}),
        lambda session, at: _enforce(at, {}),
    ),
    "has to have a second factor": (
        lambda session, at: change_policy({"second_factor": "all"}, actor=None),
        lambda session, at: change_policy({"second_factor": "optional"}, actor=None),
    ),
    "is elsewhere": (
        lambda session, at: change_policy({"networks": ("203.0.113.0/24",)}, actor=None),
        lambda session, at: change_policy({"networks": ()}, actor=None),
    ),
    "is deactivated": (
        lambda session, at: _write(session, User, active=User.kind != "person"),
        lambda session, at: _write(session, User, active=True),
    ),
    "has taken the consent back": (lambda session, at: session.execute(delete(Consent)), None),
    "the app is switched off": (
        lambda session, at: session.execute(update(OAuthClient).where(OAuthClient.kind == "app").values(active=False)),
        lambda session, at: _write(session, OAuthClient, active=True),
    ),
    "the time is over": (
        lambda session, at: [_write(session, model, expires_at=now()) for model in (ApiToken, RefreshToken)],
        lambda session, at: _write(session, RefreshToken, expires_at=now() + timedelta(days=1)),
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_would_have_a_bearer_refused_has_all_the_rest_refused(
    app: Flask, acme: Workspace, member: Visitor, name: str
) -> None:
    program, guard = register(app, acme), employ(app, acme, "admin")
    tokens, code = obtain(member, program), answered(allow(member, program))["code"]
    refuse, undo = REFUSALS[name]
    with inside(app, acme) as session:
        refuse(session, acme)
    for path in ("/api/v1/projects", "/oauth/userinfo"):
        assert program.call(path, tokens["access_token"]).status_code in (401, 403)
    for token in (tokens["access_token"], tokens["refresh_token"]):
        for asking in (program, guard):
            told = asking.post("/oauth/introspect", asking.own({"token": token}))
            assert (told.status_code, told.get_json()) in ((200, {"active": False}), (401, told.get_json()))
    assert program.refresh(tokens["refresh_token"]).status_code in (400, 401)
    if name != "the time is over":
        assert program.redeem(code).status_code in (400, 401)
    if undo is not None:
        with inside(app, acme) as session:
            undo(session, acme)
        assert program.refresh(tokens["refresh_token"]).status_code == 200  # nobody has used it up


def test_a_suspended_workspace_tells_nothing_of_its_tokens(app: Flask, acme: Workspace, member: Visitor) -> None:
    program = register(app, acme)
    tokens = obtain(member, program)
    asked = program.own({"token": tokens["access_token"]})
    with app.app_context():
        suspend_tenant(acme.slug)
    for path in ("/oauth/introspect", "/oauth/userinfo", "/oauth/token"):
        answer = program.post(path, asked)
        assert answer.status_code == 403
        assert "active" not in (answer.get_json(silent=True) or {})
    with app.app_context():
        resume_tenant(acme.slug)
    assert program.post("/oauth/introspect", asked).get_json()["active"] is True


@contextmanager
def meanwhile(monkeypatch: pytest.MonkeyPatch, work: Callable[[], Any]) -> Iterator[None]:
    """Do that while tokens are being given: it waits for that transaction, or has come to its end."""
    give, threads = issuing.give, []

    def give_slowly(*given: Any, **options: Any) -> Any:
        threads.append(Thread(target=work))
        threads[0].start()
        answer = give(*given, **options)
        threads[0].join(0.4)
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(issuing, "give", give_slowly)
        yield
        threads[0].join()


@contextmanager
def just_before(monkeypatch: pytest.MonkeyPatch, work: Callable[[], Any]) -> Iterator[None]:
    """Do that, and commit it, when a program has proved itself and nothing is locked yet."""
    hold = standing.hold

    def hold_late(*given: Any) -> bool:
        with ThreadPoolExecutor(1) as thread:
            thread.submit(work).result(10)
        return hold(*given)

    with monkeypatch.context() as patch:
        patch.setattr(standing, "hold", hold_late)
        yield


def _do(app: Flask, workspace: Workspace, work: Callable[[], Any]) -> Callable[[], None]:
    def done() -> None:
        with inside(app, workspace):
            work()

    return done


def ends_of(app: Flask, at: Workspace, program: Program, tokens: dict[str, str]) -> dict[str, list[Callable[[], Any]]]:
    """What ends tokens, and what makes possible again that there are some."""
    person = at.people["member"]
    return {
        "switched off": [
            _do(app, at, lambda: clients.switch(row_of(program), active=False, actor=None)),
            _do(app, at, lambda: clients.switch(row_of(program), active=True, actor=None)),
        ],
        "removed": [_do(app, at, lambda: clients.remove(row_of(program), actor=None))],
        "deactivated": [
            _do(app, at, lambda: users.deactivate_user(helpers.row_of(person), actor=None)),
            _do(app, at, lambda: users.reactivate_user(helpers.row_of(person), actor=None)),
        ],
        "revoked": [lambda: program.post("/oauth/revoke", program.own({"token": tokens["refresh_token"]}))],
    }


@pytest.mark.parametrize(
    ("grant", "end"),
    [("refresh", "revoked"), *product(["refresh", "code"], ["switched off", "removed", "deactivated"])],
)
def test_what_ends_tokens_ends_those_that_are_just_being_given(
    app: Flask, acme: Workspace, member: Visitor, monkeypatch: pytest.MonkeyPatch, grant: str, end: str
) -> None:
    program = register(app, acme)
    tokens = obtain(member, program)
    code = answered(allow(member, program))["code"]
    work, *undo = ends_of(app, acme, program, tokens)[end]
    with meanwhile(monkeypatch, work):
        answer = program.refresh(tokens["refresh_token"]) if grant == "refresh" else program.redeem(code)
    for again in undo:
        again()
    given = answer.get_json()
    assert program.call("/api/v1/projects", given.get("access_token", "none")).status_code == 401
    assert program.refresh(given.get("refresh_token", "none")).status_code in (400, 401)
    with inside(app, acme) as session:
        for model in (ApiToken, RefreshToken):
            assert session.scalar(select(func.count(model.id)).where(model.client_id == program.id)) == 0


def test_a_service_account_that_is_closed_keeps_no_token_that_it_is_just_being_given(
    app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    robot = employ(app, acme, "viewer")
    close = _do(app, acme, lambda: service_accounts.deactivate_account(account_of(robot), actor=None))
    with meanwhile(monkeypatch, close):
        given = robot.post("/oauth/token", robot.own(CREDENTIALS)).get_json()
    _do(app, acme, lambda: service_accounts.reactivate_account(account_of(robot), actor=None))()
    assert robot.call("/api/v1/projects", given.get("access_token", "none")).status_code == 401


@pytest.mark.postgres
class TestChangedSinceItProvedItself:
    """Between a program's proof and its tokens: on SQLite nobody changes anything there, one request writes at once."""

    @pytest.fixture
    def workspace(self, postgres_app: Flask) -> Workspace:
        return make_workspace(postgres_app)

    @pytest.mark.parametrize("grant", ["refresh", "code"])
    @pytest.mark.parametrize("end", ["switched off", "removed", "deactivated", "secret renewed"])
    def test_an_app_is_given_nothing(
        self, postgres_app: Flask, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, grant: str, end: str
    ) -> None:
        app, program = postgres_app, register(postgres_app, workspace)
        member = sign_in(app, workspace)
        tokens, code = obtain(member, program), answered(allow(member, program))["code"]
        renew = [_do(app, workspace, lambda: clients.renew_secret(row_of(program), actor=None))]
        work, *undo = ({"secret renewed": renew} | ends_of(app, workspace, program, tokens))[end]
        with just_before(monkeypatch, work):
            answer = program.refresh(tokens["refresh_token"]) if grant == "refresh" else program.redeem(code)
        for again in undo:
            again()
        assert answer.status_code in (400, 401)
        assert "access_token" not in answer.get_json()

    @pytest.mark.parametrize("end", ["closed", "removed", "secret renewed"])
    def test_a_service_account_is_given_nothing(
        self, postgres_app: Flask, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, end: str
    ) -> None:
        robot = employ(postgres_app, workspace, "viewer")
        # That it was used is noted now, and not while something else is changed.
        assert robot.post("/oauth/token", robot.own(CREDENTIALS)).status_code == 200
        ends = {
            "closed": lambda: service_accounts.deactivate_account(account_of(robot), actor=None),
            "removed": lambda: clients.remove(row_of(robot), actor=None),
            "secret renewed": lambda: clients.renew_secret(row_of(robot), actor=None),
        }
        with just_before(monkeypatch, _do(postgres_app, workspace, ends[end])):
            answer = robot.post("/oauth/token", robot.own(CREDENTIALS))
        assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_client")

    def test_a_person_allows_nothing_to_an_app_that_is_removed_in_this_moment(
        self, postgres_app: Flask, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        program, member = register(postgres_app, workspace), sign_in(postgres_app, workspace)
        remove = _do(postgres_app, workspace, lambda: clients.remove(row_of(program), actor=None))
        csrf = member.csrf_token()
        with just_before(monkeypatch, remove):
            answer = member.post(program.ask(), {"decision": "allow"}, csrf=csrf)
        assert answer.status_code == 400
        assert "Location" not in answer.headers
