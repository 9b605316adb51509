"""One's own login sessions by API."""

import uuid

import pytest
from flask import Flask

from tests.factories import Workspace
from tests.program import Program, personal_token, signed_in_program
from tests.visitor import Visitor, sign_in

SESSIONS = "/api/v1/sessions"


@pytest.fixture
def program(app: Flask, acme: Workspace) -> Program:
    return signed_in_program(app, acme)


def own(program: Program) -> str:
    (found,) = [one["id"] for one in program.get(SESSIONS).json["items"] if one["current"]]
    return str(found)


def test_browsers_and_programs_are_listed(program: Program, member: Visitor) -> None:
    listed = program.get(SESSIONS).json["items"]
    assert sorted(one["kind"] for one in listed) == ["api", "browser"]
    assert [one["kind"] for one in listed if one["current"]] == ["api"]
    assert [one["kind"] for one in member.get(SESSIONS).json["items"] if one["current"]] == ["browser"]


def test_nothing_of_a_secret_is_listed(program: Program) -> None:
    (listed,) = program.get(SESSIONS).json["items"]
    assert listed.keys() == {
        "id", "kind", "device", "address", "provider", "methods", "created_at", "seen_at", "current",
    }  # fmt: skip


def test_a_browser_is_signed_out(program: Program, member: Visitor) -> None:
    (browser,) = [one["id"] for one in program.get(SESSIONS).json["items"] if one["kind"] == "browser"]
    assert program.delete(f"{SESSIONS}/{browser}").status_code == 204
    assert not member.is_signed_in()
    assert program.is_signed_in


def test_the_own_one_ends_too(program: Program) -> None:
    assert program.delete(f"{SESSIONS}/{own(program)}").status_code == 204
    assert not program.is_signed_in


def test_all_others_end(app: Flask, acme: Workspace, program: Program, member: Visitor) -> None:
    other, stranger = signed_in_program(app, acme), sign_in(app, acme, "owner")
    answer = program.post(f"{SESSIONS}/end-others")
    assert answer.json == {"ended": 2}
    assert (program.is_signed_in, other.is_signed_in, member.is_signed_in()) == (True, False, False)
    assert stranger.is_signed_in()


def test_anothers_session_is_not_there(app: Flask, acme: Workspace, program: Program) -> None:
    owner = signed_in_program(app, acme, "owner")
    for session_id in (own(owner), uuid.uuid4()):
        assert program.delete(f"{SESSIONS}/{session_id}").status_code == 404
    assert owner.is_signed_in


def test_a_token_sees_no_login_sessions(app: Flask, acme: Workspace) -> None:
    program = personal_token(app, acme)
    assert program.get(SESSIONS).status_code == 403
    assert program.post(f"{SESSIONS}/end-others").status_code == 403
