"""Signing in and out by e-mail and password."""

import re
from collections.abc import Callable

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from auth import users
from tests.auth.helpers import JSON, change, inside, mail_to, payload, post_json
from tests.factories import PASSWORD, Person, Workspace, add_person
from tests.visitor import Visitor

WRONG = "wrong horse battery staple"


def attempt(visitor: Visitor, email: str, password: str = PASSWORD) -> TestResponse:
    return visitor.post("/auth/login", {"email": email, "password": password})


def without_what_differs(page: TestResponse, email: str) -> str:
    """A page without CSRF tokens and without what the visitor has typed."""
    return re.sub(r'value="[^"]*"', "", page.text).replace(email, "")


def test_a_right_password_signs_in(visitor: Visitor, acme: Workspace) -> None:
    answer = visitor.sign_in(acme.people["member"])

    assert answer.status_code == 302
    assert answer.location == "/"
    me = visitor.get("/api/v1/me").get_json()
    assert me["user"]["email"] == acme.people["member"].email
    assert me["tenant"]["slug"] == acme.slug
    assert me["roles"] == ["member"]


@pytest.mark.parametrize("change_case", [str.upper, str.title])
def test_an_address_is_the_same_in_any_case(
    visitor: Visitor, acme: Workspace, change_case: Callable[[str], str]
) -> None:
    assert attempt(visitor, change_case(acme.people["member"].email)).status_code == 302
    assert visitor.is_signed_in()


def test_a_program_signs_in_with_json(visitor: Visitor, acme: Workspace) -> None:
    answer = post_json(visitor, "/auth/login", {"email": acme.people["member"].email, "password": PASSWORD})

    assert answer.status_code == 200
    assert visitor.is_signed_in()


def test_a_wrong_password_signs_nobody_in(visitor: Visitor, acme: Workspace) -> None:
    assert attempt(visitor, acme.people["member"].email, WRONG).status_code == 200
    assert not visitor.is_signed_in()


def test_an_unknown_person_is_not_signed_in(visitor: Visitor, acme: Workspace) -> None:
    assert attempt(visitor, f"nobody@{acme.slug}.example").status_code == 200
    assert not visitor.is_signed_in()


def test_a_deactivated_person_with_the_right_password_is_not_signed_in(
    app: Flask, visitor: Visitor, acme: Workspace
) -> None:
    change(app, acme, acme.people["member"], active=False)

    answer = attempt(visitor, acme.people["member"].email)

    assert answer.status_code == 200
    assert not visitor.is_signed_in()


def test_an_unconfirmed_person_with_the_right_password_is_not_signed_in(
    app: Flask, visitor: Visitor, acme: Workspace
) -> None:
    change(app, acme, acme.people["member"], confirmed_at=None)

    assert attempt(visitor, acme.people["member"].email).status_code == 200
    assert not visitor.is_signed_in()


@pytest.mark.parametrize("password", [PASSWORD, " ", "None", "a password that nobody has"])
def test_a_person_without_password_is_not_signed_in_by_any(
    app: Flask, visitor: Visitor, acme: Workspace, password: str
) -> None:
    change(app, acme, acme.people["member"], password=None)

    assert attempt(visitor, acme.people["member"].email, password).status_code == 200
    assert not visitor.is_signed_in()


@pytest.mark.parametrize("missing", ["email", "password"])
def test_an_empty_field_signs_nobody_in(visitor: Visitor, acme: Workspace, missing: str) -> None:
    data = {"email": acme.people["member"].email, "password": PASSWORD, missing: ""}

    assert visitor.post("/auth/login", data).status_code == 200
    assert not visitor.is_signed_in()


def test_the_password_of_the_same_person_in_another_workspace_does_not_count(
    app: Flask, acme: Workspace, globex: Workspace
) -> None:
    email = "ada@everywhere.example"
    with inside(app, acme):
        users.create_user(email, password="the password at acme")
    with inside(app, globex):
        users.create_user(email, password="the password at globex")
    at_acme, at_globex = Visitor(app, acme.host), Visitor(app, globex.host)

    attempt(at_acme, email, "the password at globex")
    attempt(at_globex, email, "the password at globex")

    assert not at_acme.is_signed_in()
    assert at_globex.is_signed_in()


def test_a_person_of_another_workspace_is_nobody_here(app: Flask, acme: Workspace, globex: Workspace) -> None:
    visitor = Visitor(app, globex.host)

    attempt(visitor, acme.people["owner"].email)

    assert not visitor.is_signed_in()


def kinds_of_failure(app: Flask, workspace: Workspace) -> dict[str, str]:
    """Addresses for which a wrong password fails, each for another reason."""
    without = add_person(app, workspace)
    change(app, workspace, without, password=None)
    deactivated = add_person(app, workspace)
    change(app, workspace, deactivated, active=False)
    unconfirmed = add_person(app, workspace)
    change(app, workspace, unconfirmed, confirmed_at=None)
    return {
        "unknown": f"nobody@{workspace.slug}.example",
        "known": workspace.people["member"].email,
        "without password": without.email,
        "deactivated": deactivated.email,
        "unconfirmed": unconfirmed.email,
    }


def test_a_failed_sign_in_looks_the_same_whoever_it_was_for(app: Flask, visitor: Visitor, acme: Workspace) -> None:
    seen = set()
    for email in kinds_of_failure(app, acme).values():
        answer = attempt(visitor, email, WRONG)
        seen.add((answer.status_code, without_what_differs(answer, email), tuple(sorted(answer.headers.keys()))))

    assert len(seen) == 1


def test_a_failed_sign_in_of_a_program_looks_the_same_whoever_it_was_for(
    app: Flask, visitor: Visitor, acme: Workspace
) -> None:
    seen = set()
    for email in kinds_of_failure(app, acme).values():
        answer = post_json(visitor, "/auth/login", {"email": email, "password": WRONG})
        seen.add((answer.status_code, str(payload(answer))))

    assert len(seen) == 1


def test_a_sign_in_computes_one_hash_whoever_it_is_for(
    app: Flask, visitor: Visitor, acme: Workspace, hashes: list[str]
) -> None:
    counts = {}
    for kind, email in kinds_of_failure(app, acme).items():
        hashes.clear()
        attempt(visitor, email, WRONG)
        counts[kind] = list(hashes)

    assert set(map(tuple, counts.values())) == {("verify",)}


@pytest.mark.parametrize("path", ["/auth/reset", "/auth/confirm"])
def test_asking_for_mail_computes_as_many_hashes_whoever_it_is_for(
    app: Flask, visitor: Visitor, acme: Workspace, hashes: list[str], path: str
) -> None:
    counts = {}
    for kind, email in kinds_of_failure(app, acme).items():
        hashes.clear()
        visitor.post(path, {"email": email})
        counts[kind] = len(hashes)

    assert len(set(counts.values())) == 1, counts


@pytest.mark.parametrize("path", ["/auth/reset", "/auth/confirm"])
def test_asking_for_mail_looks_the_same_whoever_it_is_for(
    app: Flask, visitor: Visitor, acme: Workspace, path: str
) -> None:
    seen = set()
    for email in kinds_of_failure(app, acme).values():
        answer = visitor.post(path, {"email": email})
        seen.add((answer.status_code, without_what_differs(answer, email)))

    assert len(seen) == 1


@pytest.mark.parametrize("path", ["/auth/reset", "/auth/confirm"])
def test_only_who_is_meant_gets_mail(app: Flask, visitor: Visitor, acme: Workspace, path: str) -> None:
    addresses = kinds_of_failure(app, acme)
    for email in addresses.values():
        visitor.post(path, {"email": email})

    reached = {kind for kind, email in addresses.items() if mail_to(app, email)}
    assert reached == ({"known", "without password"} if path == "/auth/reset" else {"unconfirmed"})


def test_signing_out_ends_the_session(member: Visitor) -> None:
    answer = member.post("/auth/logout")

    assert answer.status_code == 302
    assert not member.is_signed_in()


def test_a_cookie_from_before_signing_out_is_worth_nothing(app: Flask, acme: Workspace, member: Visitor) -> None:
    kept = member.cookies()
    member.post("/auth/logout")
    thief = Visitor(app, acme.host)
    thief.take_cookies(kept)

    assert not thief.is_signed_in()


def test_a_link_signs_nobody_out(member: Visitor) -> None:
    assert member.get("/auth/logout").status_code == 405
    assert member.is_signed_in()


def test_who_is_signed_in_is_led_away_from_the_sign_in_form(member: Visitor) -> None:
    assert member.get("/auth/login").location == "/"


def test_who_is_signed_in_cannot_try_passwords_of_others(member: Visitor, acme: Workspace, hashes: list[str]) -> None:
    answer = attempt(member, acme.people["owner"].email, WRONG)

    assert answer.status_code == 302
    assert hashes == []


def test_a_token_in_header_or_query_is_no_way_in(app: Flask, acme: Workspace, visitor: Visitor) -> None:
    answer = post_json(
        visitor, "/auth/login?include_auth_token", {"email": acme.people["member"].email, "password": PASSWORD}
    )
    token = payload(answer)["user"].get("authentication_token", "none")
    other = Visitor(app, acme.host)

    assert other.get("/api/v1/me", headers={"Authentication-Token": token}).status_code == 401
    assert other.get("/api/v1/me", query_string={"auth_token": token}).status_code == 401


def test_http_basic_authentication_is_no_way_in(visitor: Visitor, acme: Workspace) -> None:
    assert visitor.get("/api/v1/me", auth=(acme.people["member"].email, PASSWORD)).status_code == 401
    assert visitor.get("/auth/change", headers=JSON, auth=(acme.people["member"].email, PASSWORD)).status_code == 401


def test_what_was_typed_is_still_there_after_a_failed_sign_in(visitor: Visitor, acme: Workspace) -> None:
    page = visitor.post("/auth/login", {"email": acme.people["member"].email, "password": WRONG, "remember": "y"}).text

    assert acme.people["member"].email in page
    assert re.search(r'<input[^>]*name="remember"[^>]*checked|<input[^>]*checked[^>]*name="remember"', page)
    assert WRONG not in page


def test_where_somebody_wanted_to_go_is_where_they_arrive(visitor: Visitor, acme: Workspace) -> None:
    asked = visitor.get("/account/sessions?x=1")
    person: Person = acme.people["member"]

    answer = visitor.post(asked.location, {"email": person.email, "password": person.password})

    assert answer.location == "/account/sessions?x=1"
