"""A rehearsal on its page: each step arrives while the directory still thinks about the next one."""

import threading
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from auth import audit, default_role, rehearsals, roles
from auth.audit_models import AuditEvent
from auth.providers import configs
from tests.auth import directories
from tests.auth.helpers import inside
from tests.auth.providers.ldap.active_directory import ActiveDirectory
from tests.factories import Workspace
from tests.servers import hostile_ldap
from tests.visitor import Visitor, sign_in

BASE = "dc=acme,dc=example"
ALICE = "alice@acme.example"
BOUND = f"cn=service,{BASE}"
"""Shown by the step before the first search."""


class Thoughtful(ActiveDirectory):
    """Answers no search until it may; notes when a connection has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = threading.Event()
        self.left = threading.Event()
        self.passwords = {BOUND: "secret"}
        self.add(BASE)
        self.passwords[self.add(f"uid=alice,{BASE}", uid="alice", mail=ALICE, cn="Alice", entryUUID="1")] = "at work"

    def serve(self, connection: object) -> None:
        try:
            super().serve(connection)  # type: ignore[arg-type]  # a socket
        finally:
            self.left.set()

    def answers(self, request: hostile_ldap.Request) -> Iterable[bytes]:
        while request.operation == hostile_ldap.SEARCH_REQUEST and not self.may_answer.is_set():
            if not self.goes_on(0.01):
                break
        return super().answers(request)


@pytest.fixture
def directory() -> Iterator[Thoughtful]:
    with Thoughtful() as server:
        yield server


@pytest.fixture
def admin(app: Flask, acme: Workspace) -> Visitor:
    return sign_in(app, acme, "admin")


@pytest.fixture
def path(app: Flask, acme: Workspace, directory: Thoughtful) -> str:
    """Where acme's administrators rehearse a sign-in at that directory."""
    settings = {"servers": [directory.url], "base_dn": BASE, "bind_dn": BOUND, "insecure": True,
                "timeout": 10.0, "group_strategy": "none"}  # fmt: skip
    with inside(app, acme):
        config = configs.add_provider("office", "ldap", settings, actor=None, secret="secret")
        return f"/admin/sign-in/sources/{config.id}/rehearse"


def arriving(answer: TestResponse) -> Iterator[str]:
    """The parts of an answer, each when it comes."""
    for part in answer.iter_encoded():
        yield part.decode()


def until(parts: Iterator[str], text: str) -> str:
    """What arrives up to a text, and with it."""
    found = ""
    for part in parts:
        found += part
        if text in part:
            return found
    raise AssertionError(f"{text} never came: {found}")


def events(app: Flask, workspace: Workspace) -> list[AuditEvent]:
    with inside(app, workspace):
        return list(audit.search(kinds=("sign-in rehearsed",), limit=10))


def test_the_first_steps_are_there_before_the_directory_has_answered_the_last(
    app: Flask, admin: Visitor, path: str, directory: Thoughtful
) -> None:
    parts = arriving(admin.post(path, {"login": "alice"}))
    begun = until(parts, BOUND)
    assert begun.startswith("<!doctype html>")
    assert "Waiting for the directory" in begun
    assert "Base" not in begun.partition(BOUND)[2]
    assert app.extensions["tenants"].engines.shared.pool.checkedout() == 0
    directory.may_answer.set()
    rest = "".join(parts)
    for shown in ("Would get in", "Would be made a new member, alice@acme.example.", "</html>"):
        assert shown in rest
    assert "waiting" not in rest.partition("Outcome")[2]


def test_a_proxy_is_asked_to_hold_nothing_back(admin: Visitor, path: str, directory: Thoughtful) -> None:
    directory.may_answer.set()
    answer = admin.post(path, {"login": "alice"})
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert "no-store" in answer.headers["Cache-Control"]
    answer.close()


def test_steps_are_told_in_the_language_that_the_person_has_chosen(
    app: Flask, acme: Workspace, admin: Visitor, path: str, directory: Thoughtful
) -> None:
    directory.may_answer.set()
    admin.post("/account/language", {"locale": "es"})
    page = admin.post(path, {"login": "alice"}).text
    assert "Resultado" in page
    assert "Outcome" not in page


def test_when_the_browser_leaves_the_directory_is_left_too_and_the_attempt_recorded(
    app: Flask, acme: Workspace, admin: Visitor, path: str, directory: Thoughtful
) -> None:
    answer = admin.post(path, {"login": "alice", "password": "at work"})
    until(arriving(answer), BOUND)
    answer.close()
    directory.may_answer.set()
    assert directory.left.wait(30)
    assert not rehearsals._under_way
    [event] = events(app, acme)
    assert (event.actor, event.details["works"]) == (acme.people["admin"].email, False)
    assert "Would get in" in admin.post(path, {"login": "alice", "password": "at work"}).text


def test_when_the_browser_leaves_and_nothing_can_be_recorded_that_is_logged(
    admin: Visitor,
    path: str,
    directory: Thoughtful,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the disk is on fire")

    answer = admin.post(path, {"login": "alice"})
    until(arriving(answer), BOUND)
    monkeypatch.setattr(audit, "record", fail)
    with capture_logs() as logged:
        answer.close()
    assert "a rehearsal broke off" in [entry["event"] for entry in logged]
    assert not rehearsals._under_way


def test_while_one_is_under_way_another_is_refused_with_words(
    app: Flask, acme: Workspace, admin: Visitor, path: str, directory: Thoughtful
) -> None:
    other = sign_in(app, acme, "owner")
    parts = arriving(admin.post(path, {"login": "alice"}))
    until(parts, BOUND)
    with ThreadPoolExecutor(1) as elsewhere:  # this thread's context is that of the answer under way
        refused = elsewhere.submit(lambda: other.post(path, {"login": "alice"}).text).result()
    assert "Another rehearsal is under way" in refused
    assert "</html>" in refused
    directory.may_answer.set()
    assert "Would get in" in "".join(parts)


def test_a_failure_in_the_middle_is_told_and_logged_on_a_whole_page(
    app: Flask,
    acme: Workspace,
    admin: Visitor,
    path: str,
    directory: Thoughtful,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the disk is on fire")

    monkeypatch.setattr(rehearsals, "preview", fail)
    directory.may_answer.set()
    with capture_logs() as logged:
        page = admin.post(path, {"login": "alice"}).text
    assert "Something went wrong on our side" in page
    assert 'role="alert"' in page
    assert "on fire" not in page
    assert page.rstrip().endswith("</html>")
    assert "a rehearsal broke off" in [entry["event"] for entry in logged if entry.get("exc_info")]
    assert [event.details["works"] for event in events(app, acme)] == [False]
    assert not rehearsals._under_way


def test_guesses_are_counted_and_refused_on_a_whole_page(admin: Visitor, path: str, directory: Thoughtful) -> None:
    directory.may_answer.set()
    pages = [admin.post(path, {"login": "alice", "password": f"guess {number}"}).text for number in range(11)]
    assert ["Too many" in page for page in pages] == [False] * 10 + [True]
    assert pages[-1].rstrip().endswith("</html>")


def test_a_right_password_counts_as_none(admin: Visitor, path: str, directory: Thoughtful) -> None:
    directory.may_answer.set()
    for _ in range(12):
        assert "Would get in" in admin.post(path, {"login": "alice", "password": "at work"}).text


def test_a_rehearsal_is_recorded_by_who_has_asked_for_it(
    app: Flask, acme: Workspace, admin: Visitor, path: str, directory: Thoughtful
) -> None:
    directory.may_answer.set()
    assert admin.post(path, {"login": "alice"}).text
    [event] = events(app, acme)
    assert event.actor == acme.people["admin"].email
    assert event.details == {"login": "alice", "password": False, "works": True}
    assert event.target_id == uuid.UUID(path.split("/")[-2])


@pytest.mark.parametrize(
    ("default", "shown"), [("viewer", True), (None, False)], ids=["a default role", "no default role"]
)
def test_the_role_of_new_members_is_shown_to_whom_nothing_else_gives_one(
    app: Flask, acme: Workspace, admin: Visitor, path: str, directory: Thoughtful, default: str | None, shown: bool
) -> None:
    directory.may_answer.set()
    with inside(app, acme):
        default_role.set_default_role(roles.get_role(default) if default else None, actor=None)
    page = admin.post(path, {"login": "alice"}).text
    assert ("Role of new members" in page) is shown
    answer = admin.post_json(f"/api/v1/providers/{path.split('/')[-2]}/rehearsal", {"login": "alice"}).get_json()
    assert answer["sign_in"]["default_role"] == default


@pytest.mark.parametrize("happens", ["a group gives a role", "an account is there already"])
def test_the_role_of_new_members_is_not_promised_to_others(
    app: Flask, acme: Workspace, admin: Visitor, path: str, directory: Thoughtful, happens: str
) -> None:
    directory.may_answer.set()
    alice = f"uid=alice,{BASE}"
    if happens == "an account is there already":
        directory.entries[alice] = {**directory.entries[alice], "mail": [acme.people["member"].email.encode()]}
    else:
        staff = directory.add(f"cn=staff,{BASE}", cn="staff", member=alice)
        directory.entries[alice] = {**directory.entries[alice], "memberOf": [staff.encode()]}
    with inside(app, acme):
        default_role.set_default_role(roles.get_role("viewer"), actor=None)
        config = configs.get_config("office")
        settings = config.settings | {"group_strategy": "member-of", "nested_groups": False}
        configs.change_provider(config, actor=None, settings=settings)
    if happens == "a group gives a role":
        directories.map_group(app, acme, "staff", "member")
    page = admin.post(path, {"login": "alice"}).text
    assert "What a sign-in would do" in page
    assert "Role of new members" not in page


def test_what_is_typed_cannot_stand_for_a_part_of_the_page(admin: Visitor, path: str, directory: Thoughtful) -> None:
    directory.may_answer.set()
    page = admin.post(path, {"login": "<!-- steps --><!-- result -->"}).text
    assert page.count("Step by step") == 1
    assert page.index("Step by step") < page.index(BOUND)
    assert "<!-- " not in page.partition("</form>")[0]


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_who_does_not_manage_sources_rehearses_none(app: Flask, acme: Workspace, path: str, role: str) -> None:
    assert sign_in(app, acme, role).post(path, {"login": "alice"}).status_code == 403
