"""Attacks on bearer identity: what the holder of a token, or a former user of an account, would like to do."""

import json
import uuid
from threading import Thread
from typing import Any

import pytest
from flask import Flask

from auth import api_tokens, refresh_tokens, users
from auth.errors import NotAllowed
from auth.identity import Identity, snapshot_of
from auth.permissions import access_of
from tests.auth.helpers import NEW_PASSWORD, ask_reset_link, change, inside, row_of
from tests.auth.oauth_server.programs import employ
from tests.factories import Workspace
from tests.program import Program, personal_token, signed_in_program
from tests.visitor import Visitor, sign_in

TEXTS = {"nul": "a\x00b", "surrogate": "\ud800", "control": "\x85", "long": "a" * 1000, "dots": "..", "bidi": "\u202e"}
ED25519 = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"


def send(program: Program, path: str, body: Any) -> int:
    text = json.dumps(body)
    return program.open("POST", path, data=text, headers={"Content-Type": "application/json"}).status_code


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_an_odd_text_is_no_way_to_a_token(app: Flask, acme: Workspace, text: str) -> None:
    program, email = Program(app, acme.host), acme.people["member"].email
    for body in (
        {"grant": "password", "username": text, "password": "x"},
        {"grant": "password", "username": email, "password": text},
        {"grant": "second-factor", "challenge": text, "code": "x"},
        {"grant": "refresh", "refresh_token": text},
        {"grant": text},
    ):
        assert send(program, "/api/v1/auth/token", body) in (400, 401, 422)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_an_odd_text_breaks_nothing_that_makes_tokens_and_apps(app: Flask, acme: Workspace, text: str) -> None:
    owner = signed_in_program(app, acme, "owner")
    assert send(owner, "/api/v1/tokens", {"name": "x", "permissions": [text]}) in (400, 403, 422)
    assert send(owner, "/api/v1/tokens", {"name": text, "permissions": ["project:read"]}) in (201, 400, 403, 422)
    app_values = {"name": "x", "redirect_uris": ["https://a.example/"]}
    assert send(owner, "/api/v1/apps", app_values | {"redirect_uris": [text]}) in (400, 422)
    assert send(owner, "/api/v1/apps", app_values | {"permissions": [text]}) in (400, 422)
    for key in (
        {"kty": "EC", "crv": "P-256", "x": text, "y": text},
        {"kty": "OKP", "crv": "Ed25519", "x": ED25519, "kid": text},
        {"kty": "OKP", "crv": "Ed25519", "x": ED25519, "alg": text, "key_ops": [text]},
        {"kty": "RSA", "n": text, "e": "AQAB"},
        {"kty": "RSA", "n": "_" * 400, "e": text},
        {"kty": text},
    ):
        body = app_values | {"auth_method": "private_key_jwt", "jwks": {"keys": [key]}}
        assert send(owner, "/api/v1/apps", body) in (201, 400, 422)


def test_a_token_that_may_little_gets_nowhere_else(app: Flask, acme: Workspace) -> None:
    weak = personal_token(app, acme, "owner", only={"project:read"})
    open_to_it = set()
    for rule in app.url_map.iter_rules():
        values = {
            name: uuid.UUID(int=1) if "UUID" in type(one).__name__ else "x" for name, one in rule._converters.items()
        }
        built, access = rule.build(values), access_of(app, rule.endpoint)
        if built is None or access is None or access.public:
            continue
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            status = weak.open(method, built[1], headers={"Accept": "application/json"}).status_code
            assert status in (200, 308, 401, 403, 404), (method, built[1], status)
            if status == 200:
                open_to_it.add(f"{method} {built[1]}")
    assert open_to_it == {"GET /api/v1/me", "GET /api/v1/projects"}


def test_a_token_that_may_little_does_not_decide_about_its_owners_others(app: Flask, acme: Workspace) -> None:
    weak = personal_token(app, acme, "owner", only={"member:manage"})
    strong = personal_token(app, acme, "owner")
    person = acme.people["owner"].id
    with inside(app, acme):
        ids = [row.id for row in api_tokens.list_of(person)]
    assert {weak.delete(f"/api/v1/members/{person}/tokens/{id}").status_code for id in ids} == {403}
    assert strong.is_signed_in


def test_a_token_is_not_told_what_another_one_of_its_owner_was_answered(app: Flask, acme: Workspace) -> None:
    strong, weak = personal_token(app, acme, "owner"), personal_token(app, acme, "owner", only={"client:manage"})
    headers = {"Idempotency-Key": "first"}
    body = {"name": "x", "redirect_uris": ["https://a.example/"], "permissions": ["role:manage"]}
    made = strong.post("/api/v1/apps", body, headers=headers)
    assert made.status_code == 201
    again = weak.post("/api/v1/apps", body, headers=headers)
    assert again.status_code == 403  # another caller, who may not do it
    assert "client_secret" not in again.text
    assert strong.post("/api/v1/apps", body, headers=headers).json == made.json


def test_a_service_account_is_no_member_with_tokens(app: Flask, acme: Workspace) -> None:
    robot = employ(app, acme, "viewer")
    assert signed_in_program(app, acme, "owner").get(f"/api/v1/members/{robot.account}/tokens").status_code == 404


class TestANewPassword:
    """Whoever has known the former password could have made tokens: they end with it."""

    def test_a_change_ends_all_that_programs_show(self, app: Flask, acme: Workspace, member: Visitor) -> None:
        personal, signed_in = personal_token(app, acme), signed_in_program(app, acme)
        old = acme.people["member"].password
        form = {"password": old, "new_password": NEW_PASSWORD, "new_password_confirm": NEW_PASSWORD}
        assert member.post("/auth/change", form).status_code == 302
        assert member.is_signed_in()
        assert not personal.is_signed_in
        assert not signed_in.is_signed_in
        assert signed_in.refresh().status_code == 401

    def test_a_reset_ends_all_that_programs_show(self, app: Flask, acme: Workspace, visitor: Visitor) -> None:
        personal, signed_in = personal_token(app, acme), signed_in_program(app, acme)
        link = ask_reset_link(app, visitor, acme.people["member"])
        form = {"password": NEW_PASSWORD, "password_confirm": NEW_PASSWORD}
        assert visitor.post(link, form).status_code == 302
        assert not personal.is_signed_in
        assert not signed_in.is_signed_in
        assert signed_in.refresh().status_code == 401


@pytest.mark.parametrize("changed", [{"fs_uniquifier": "another"}, {"active": False}], ids=["password", "closed"])
def test_whoever_was_signed_in_until_this_moment_makes_no_token(
    app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]
) -> None:
    monkeypatch.setattr(api_tokens, "check_recently_proved", lambda _owner: None)
    with inside(app, acme):
        person = acme.people["member"].id
        owner = Identity(person, snapshot_of(person))
    change(app, acme, acme.people["member"], **changed)
    with inside(app, acme), pytest.raises(NotAllowed):
        api_tokens.create(owner, "x", ["project:read"], None)


def test_a_program_that_refreshes_while_its_owner_is_deactivated_gets_nothing_that_lasts(
    app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, person, give, threads = signed_in_program(app, acme), acme.people["member"], refresh_tokens._give, []

    def deactivate() -> None:
        with inside(app, acme):
            users.deactivate_user(row_of(person), actor=None)

    def give_slowly(*given: Any) -> Any:
        threads.append(Thread(target=deactivate))
        threads[0].start()
        tokens = give(*given)
        threads[0].join(0.4)
        return tokens

    monkeypatch.setattr(refresh_tokens, "_give", give_slowly)
    program.refresh()
    threads[0].join()
    monkeypatch.undo()
    with inside(app, acme):
        users.reactivate_user(row_of(person), actor=None)
    assert not program.is_signed_in
    assert program.refresh().status_code == 401


def test_a_program_that_refreshes_while_it_is_signed_out_is_signed_out(
    app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, browser = signed_in_program(app, acme), sign_in(app, acme)
    csrf, give, threads = browser.csrf_token(), refresh_tokens._give, []

    def give_slowly(*given: Any) -> Any:
        thread = Thread(target=lambda: browser.post("/account/sessions/end", csrf=csrf))
        thread.start()
        threads.append(thread)
        thread.join(0.5)  # it waits for this transaction, or has come to its end
        return give(*given)

    monkeypatch.setattr(refresh_tokens, "_give", give_slowly)
    answer = program.refresh()
    threads[0].join()
    monkeypatch.undo()
    assert answer.status_code in (200, 401)
    assert not browser.is_signed_in()
    assert not program.is_signed_in
    assert program.refresh().status_code == 401


def test_an_administrator_sees_and_revokes_a_members_tokens_on_their_page(app: Flask, acme: Workspace) -> None:
    admin, token = sign_in(app, acme, "admin"), personal_token(app, acme)
    person = acme.people["member"].id
    with inside(app, acme):
        (row_id,) = [row.id for row in api_tokens.list_of(person)]
    path = f"/admin/members/{person}/tokens/{row_id}/revoke"
    assert path in admin.get(f"/admin/members/{person}").text
    assert admin.post(path.replace(str(person), str(acme.people["viewer"].id))).status_code == 404
    assert admin.post(path).status_code == 302
    assert not token.is_signed_in
