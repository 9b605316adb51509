"""`Idempotency-Key`: whose a key is, what may be done again after a failure, and what it costs."""

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask, g
from sqlalchemy import select, update

from auth import api_tokens, invitations
from auth.bearer import OAUTH
from auth.client_models import Consent
from auth.errors import Busy
from saas import idempotency
from saas.idempotency import IdempotencyKey
from tenants.db import now
from tests.auth.helpers import at_once, inside
from tests.factories import Workspace
from tests.program import Program, personal_token, signed_in_program
from tests.statements import counted

PROJECTS = "/api/v1/projects"
KEY = {"Idempotency-Key": "one"}
PERMISSIONS = ["project:create", "project:read"]
INVITATION = {"emails": ["new@x.example"], "role": "member"}


def create(program: Program, name: str = "Apollo", **headers: str) -> Any:
    return program.post(PROJECTS, {"name": name}, headers=KEY | headers)


def problem(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json["type"].partition("#")[2]


def test_two_tokens_of_one_person_are_two_callers(app: Flask, acme: Workspace) -> None:
    programs = [signed_in_program(app, acme), personal_token(app, acme), personal_token(app, acme)]
    answers = [create(program) for program in programs]
    assert [answer.status_code for answer in answers] == [201] * 3
    assert len({answer.json["id"] for answer in answers}) == 3
    assert [create(program).json["id"] for program in programs] == [answer.json["id"] for answer in answers]


def test_an_app_is_one_caller_whichever_token_it_shows(app: Flask, acme: Workspace) -> None:
    owner = signed_in_program(app, acme, "owner")
    ids = [
        owner.post(
            "/api/v1/apps",
            {"name": name, "redirect_uris": ["https://x.example/"], "permissions": PERMISSIONS},
        ).json["id"]
        for name in ("One", "Other")
    ]
    programs, member = [], acme.people["member"].id
    with inside(app, acme) as session:
        session.add_all(Consent(user_id=member, client_id=uuid.UUID(one), scopes=PERMISSIONS) for one in ids)
        session.commit()
    for client_id in (ids[0], ids[0], ids[1]):
        with inside(app, acme) as session:
            _row, secret = api_tokens.issue(
                member, kind=OAUTH, permissions=PERMISSIONS,
                expires_at=now() + timedelta(minutes=5), client_id=uuid.UUID(client_id),
            )  # fmt: skip
            session.commit()
        programs.append(Program(app, acme.host, secret))
    answers = [create(program) for program in programs]
    assert [answer.status_code for answer in answers] == [201] * 3, answers[0].text
    first, fresh, other = (answer.json["id"] for answer in answers)
    assert first == fresh != other


def test_a_secret_is_told_again_to_the_same_caller_only(app: Flask, acme: Workspace) -> None:
    owner, token = signed_in_program(app, acme, "owner"), personal_token(app, acme, "owner")
    body = {"name": "Robot"}
    account = owner.post("/api/v1/service-accounts", body).json["id"]
    address = f"/api/v1/service-accounts/{account}/credentials"
    answers = [owner.post(address, {"name": "x"}, headers=KEY) for _ in range(2)]
    assert answers[0].status_code == 201, answers[0].text
    assert answers[0].data == answers[1].data
    assert token.post(address, {"name": "x"}, headers=KEY).data != answers[0].data
    assert Program(app, acme.host).post(address, {"name": "x"}, headers=KEY).status_code == 401
    assert signed_in_program(app, acme, "member").post(address, {"name": "x"}, headers=KEY).status_code == 403


def test_the_same_in_other_bytes_is_another_request(app: Flask, acme: Workspace) -> None:
    program = signed_in_program(app, acme)
    body = {"name": "Apollo", "description": "x"}
    texts = [json.dumps(body), json.dumps(body, indent=1), json.dumps(dict(reversed(body.items())))]
    answers = [
        program.open("POST", PROJECTS, data=text, content_type="application/json", headers=KEY) for text in texts
    ]
    assert [answer.status_code for answer in answers] == [201, 422, 422]
    assert problem(answers[1]) == (422, "idempotency-key-reused")


def test_another_tenant_method_or_address_has_nothing_of_it(app: Flask, acme: Workspace, globex: Workspace) -> None:
    program = signed_in_program(app, acme)
    made = create(program).json["id"]
    assert create(signed_in_program(app, globex)).json["id"] != made
    for _ in range(2):  # only what a POST does is kept
        assert program.open("PATCH", f"{PROJECTS}/{made}", json={"name": "B"}, headers=KEY).status_code == 200
        assert program.get(PROJECTS, headers=KEY).json["total"] == 1


def test_the_answer_is_whole(app: Flask, acme: Workspace) -> None:
    program = signed_in_program(app, acme)
    first, again = create(program), create(program)
    same = ("Content-Type", "Content-Length", "Location", "ETag", "Cache-Control", "Vary")
    assert [first.headers.get(name) for name in same] == [again.headers.get(name) for name in same]
    assert first.headers["X-Request-ID"] != again.headers["X-Request-ID"]


def test_what_could_not_be_done_just_now_can_be_tried_again(
    app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = signed_in_program(app, acme, "owner")

    def be_busy(*_: Any) -> None:
        g.db.release()
        raise Busy

    with monkeypatch.context() as patch:
        patch.setattr(invitations, "_count", be_busy)
        for _ in range(2):
            assert owner.post("/api/v1/invitations", INVITATION, headers=KEY).status_code == 503
    assert owner.post("/api/v1/invitations", INVITATION, headers=KEY).status_code == 201


def test_what_broke_half_way_is_not_done_twice(app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "testing", False)
    owner = signed_in_program(app, acme, "owner")

    def break_down(*_: Any) -> None:
        g.db.release()
        raise ArithmeticError

    with monkeypatch.context() as patch:
        patch.setattr(invitations, "_count", break_down)
        assert owner.post("/api/v1/invitations", INVITATION, headers=KEY).status_code == 500
    assert problem(owner.post("/api/v1/invitations", INVITATION, headers=KEY)) == (409, "idempotency-key-in-use")


def test_whose_account_is_removed_in_this_moment_breaks_nothing(
    app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, name = signed_in_program(app, acme), idempotency._name

    def remove(key: str) -> str:
        g.identity.user_id = uuid.uuid4()
        return name(key)

    monkeypatch.setattr(idempotency, "_name", remove)
    assert problem(create(program)) == (409, "idempotency-key-in-use")


def test_after_a_day_twins_do_it_once_again(app: Flask, acme: Workspace) -> None:
    programs = [signed_in_program(app, acme) for _ in range(4)]
    before = create(programs[0]).json["id"]
    with inside(app, acme) as session:
        session.execute(update(IdempotencyKey).values(created_at=now() - timedelta(hours=24)))
        session.commit()
    answers = at_once([lambda one=one: create(one) for one in programs])
    assert [answer.status_code for answer in answers] == [201] * 4
    (after,) = {answer.json["id"] for answer in answers}
    assert after != before


def test_twins_with_other_bodies_have_one_effect(app: Flask, acme: Workspace) -> None:
    programs = [signed_in_program(app, acme) for _ in range(4)]
    answers = at_once([lambda one=one, n=n: create(one, f"Project {n}") for n, one in enumerate(programs)])
    assert sorted(answer.status_code for answer in answers) == [201, 422, 422, 422]
    assert programs[0].get(PROJECTS).json["total"] == 1


@pytest.mark.parametrize("key", ["a\0b", "a\tb", "\x7f", "clé", " " * 256, "x" * 5000])
def test_a_key_from_the_edges_is_refused(app: Flask, acme: Workspace, key: str) -> None:
    answer = create(signed_in_program(app, acme), **{"Idempotency-Key": key})
    assert problem(answer) == (400, "malformed-request")
    assert "Idempotency-Key" in answer.json["detail"]


def test_a_key_is_not_readable_in_the_database(app: Flask, acme: Workspace) -> None:
    create(signed_in_program(app, acme), **{"Idempotency-Key": "invoice 4711"})
    with inside(app, acme) as session:
        (kept,) = session.scalars(select(IdempotencyKey.key)).all()
    assert "4711" not in kept


def test_a_key_costs_two_statements_and_an_answer_given_again_as_many(
    app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = personal_token(app, acme)
    monkeypatch.setattr(idempotency, "_SWEPT_EVERY", 2**200)

    def cost(headers: dict[str, str]) -> int:
        with counted(app) as sent:
            assert program.post(PROJECTS, {"name": "Apollo"}, headers=headers).status_code == 201
        return len(sent)

    cost({})
    plain = cost({})
    assert cost(KEY) == plain + 2
    with counted(app) as sent:
        program.get("/api/v1/me")
    assert cost(KEY) == len(sent) + 2
    monkeypatch.setattr(idempotency, "_SWEPT_EVERY", 1)
    assert cost({"Idempotency-Key": "two"}) == plain + 3
