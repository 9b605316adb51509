"""Hashing passwords is bounded, and holds nothing that others need."""

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from tests.auth.helpers import NEW_PASSWORD, ask_reset_link, at_once, change, post_json
from tests.factories import PASSWORD, Workspace
from tests.visitor import Visitor, sign_in


class Watched:
    """passlib's context, telling of every hash while it is computed."""

    def __init__(self, context: Any, watch: Callable[[], None]) -> None:
        self._context, self._watch = context, watch

    def verify(self, *arguments: Any, **options: Any) -> Any:
        self._watch()
        return self._context.verify(*arguments, **options)

    def hash(self, *arguments: Any, **options: Any) -> Any:
        self._watch()
        return self._context.hash(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


def watch(app: Flask, monkeypatch: pytest.MonkeyPatch, told: Callable[[], None]) -> None:
    bounded = app.extensions["security"].pwd_context
    monkeypatch.setattr(bounded, "_context", Watched(bounded._context, told))


def browsers(app: Flask, workspace: Workspace, number: int) -> list[Callable[[], Any]]:
    """So many sign-ins, ready to start."""
    made = []
    data = {"email": workspace.people["member"].email, "password": PASSWORD}
    for _ in range(number):
        visitor = Visitor(app, workspace.host)
        token = visitor.csrf_token()
        made.append(lambda visitor=visitor, token=token: visitor.post("/auth/login", data, csrf=token))
    return made


def test_no_two_passwords_are_hashed_at_once_when_one_may(
    make_app: Callable[..., Flask], acme: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(hashes_at_once=1)
    seen = SimpleNamespace(now=0, most=0)
    bounded = app.extensions["security"].pwd_context
    pause = threading.Event()

    class Slow(Watched):
        def verify(self, *arguments: Any, **options: Any) -> Any:
            seen.now += 1
            seen.most = max(seen.most, seen.now)
            pause.wait(0.02)
            fits = self._context.verify(*arguments, **options)
            seen.now -= 1
            return fits

    monkeypatch.setattr(bounded, "_context", Slow(bounded._context, lambda: None))

    answers = at_once(browsers(app, acme, 6))

    assert seen.most == 1
    assert {answer.status_code for answer in answers} == {302}


def test_as_many_passwords_are_hashed_at_once_as_may(
    make_app: Callable[..., Flask], acme: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(hashes_at_once=2)
    together = threading.Barrier(2)
    watch(app, monkeypatch, lambda: together.wait(10) and None)

    answers = at_once(browsers(app, acme, 2))

    assert {answer.status_code for answer in answers} == {302}


def test_who_waits_too_long_is_asked_to_come_back(
    make_app: Callable[..., Flask], acme: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(hashes_at_once=1, hash_wait_seconds=0.05)
    visitor = Visitor(app, acme.host)
    email, slots = acme.people["member"].email, app.extensions["security"].pwd_context._slots
    slots.acquire()
    try:
        page = visitor.post("/auth/login", {"email": email, "password": PASSWORD})
        problem = post_json(visitor, "/auth/login", {"email": email, "password": PASSWORD})
    finally:
        slots.release()

    for answer in (page, problem):
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
    assert visitor.sign_in(acme.people["member"]).status_code == 302


def test_a_password_that_nobody_looked_at_counts_against_nobody(
    make_app: Callable[..., Flask], acme: Workspace
) -> None:
    app = make_app(hashes_at_once=1, hash_wait_seconds=0.01)
    visitor = Visitor(app, acme.host)
    token, slots = visitor.csrf_token(), app.extensions["security"].pwd_context._slots
    data = {"email": acme.people["member"].email, "password": PASSWORD}
    slots.acquire()
    try:
        for _ in range(11):
            assert visitor.post("/auth/login", data, csrf=token).status_code == 503
    finally:
        slots.release()

    assert visitor.post("/auth/login", data, csrf=token).status_code == 302


def test_who_is_signed_in_does_not_wait_for_hashes(make_app: Callable[..., Flask], acme: Workspace) -> None:
    app = make_app(hashes_at_once=1)
    visitor = sign_in(app, acme)
    slots = app.extensions["security"].pwd_context._slots
    slots.acquire()
    try:
        assert visitor.is_signed_in()
    finally:
        slots.release()


def sign_in_again(app: Flask, workspace: Workspace) -> None:
    assert Visitor(app, workspace.host).sign_in(workspace.people["member"]).status_code == 302


def sign_in_wrongly(app: Flask, workspace: Workspace) -> None:
    data = {"email": workspace.people["member"].email, "password": "wrong horse"}
    assert Visitor(app, workspace.host).post("/auth/login", data).status_code == 200


def sign_in_unknown(app: Flask, workspace: Workspace) -> None:
    data = {"email": f"nobody@{workspace.slug}.example", "password": PASSWORD}
    assert Visitor(app, workspace.host).post("/auth/login", data).status_code == 200


def step_up(app: Flask, workspace: Workspace) -> None:
    assert sign_in(app, workspace).post("/auth/verify", {"password": PASSWORD}).status_code == 302


def change_password(app: Flask, workspace: Workspace) -> None:
    data = {"password": PASSWORD, "new_password": NEW_PASSWORD, "new_password_confirm": NEW_PASSWORD}
    assert sign_in(app, workspace).post("/auth/change", data).status_code == 302


def add_password(app: Flask, workspace: Workspace) -> None:
    visitor = sign_in(app, workspace)
    change(app, workspace, workspace.people["member"], password=None)
    data = {"password": "", "new_password": NEW_PASSWORD, "new_password_confirm": NEW_PASSWORD}
    assert visitor.post("/auth/change", data).status_code == 302


def ask_to_reset(app: Flask, workspace: Workspace) -> None:
    for email in (workspace.people["member"].email, f"nobody@{workspace.slug}.example"):
        assert Visitor(app, workspace.host).post("/auth/reset", {"email": email}).status_code == 200


def reset_password(app: Flask, workspace: Workspace) -> None:
    visitor = Visitor(app, workspace.host)
    link = ask_reset_link(app, visitor, workspace.people["member"])
    data = {"password": NEW_PASSWORD, "password_confirm": NEW_PASSWORD}
    assert visitor.post(link, data).status_code == 302


@pytest.mark.parametrize(
    "work",
    [
        sign_in_again, sign_in_wrongly, sign_in_unknown, step_up, change_password, add_password, ask_to_reset,
        reset_password,
    ],
)  # fmt: skip
def test_no_database_connection_is_held_while_hashing(
    app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch, work: Callable[[Flask, Workspace], None]
) -> None:
    pool, held = app.extensions["tenants"].engines.shared.pool, []
    watch(app, monkeypatch, lambda: held.append(pool.checkedout()))

    work(app, acme)

    assert held
    assert set(held) == {0}
