"""Throttling: by account and by address, on every route, and without locking anybody out for ever."""

from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from auth.models import Attempts
from auth.throttle import PER_ACCOUNT, PER_ADDRESS
from auth.users import find_by_email
from tests.auth.conftest import Clock
from tests.auth.helpers import (
    NEW_PASSWORD,
    ask_reset_link,
    at_once,
    give_code,
    inside,
    mail_to,
    make_recovery_codes,
    post_json,
    set_up_app,
)
from tests.factories import PASSWORD, Workspace, add_person
from tests.visitor import Visitor, sign_in

WRONG = "wrong horse battery staple"


def try_password(visitor: Visitor, email: str, password: str = WRONG) -> TestResponse:
    return visitor.post("/auth/login", {"email": email, "password": password}, csrf=token_of(visitor))


def token_of(visitor: Visitor) -> str:
    """A token of the browser's session, fetched once."""
    kept: str = visitor.__dict__.setdefault("kept_token", None) or visitor.csrf_token()
    visitor.__dict__["kept_token"] = kept
    return kept


def exhaust(visitor: Visitor, email: str) -> None:
    for _ in range(PER_ACCOUNT):
        assert try_password(visitor, email).status_code == 200


def test_so_many_attempts_on_an_account_are_looked_at_and_no_more(
    visitor: Visitor, acme: Workspace, hashes: list[str]
) -> None:
    exhaust(visitor, acme.people["member"].email)
    assert len(hashes) == PER_ACCOUNT

    answer = try_password(visitor, acme.people["member"].email, PASSWORD)

    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 15 * 60
    assert len(hashes) == PER_ACCOUNT
    assert not visitor.is_signed_in()


def test_an_unknown_account_is_throttled_like_a_known_one(visitor: Visitor, acme: Workspace) -> None:
    email = f"nobody@{acme.slug}.example"
    exhaust(visitor, email)

    assert try_password(visitor, email).status_code == 429


def test_a_program_is_throttled_like_a_person(visitor: Visitor, acme: Workspace) -> None:
    body = {"email": acme.people["member"].email, "password": WRONG}
    statuses = [post_json(visitor, "/auth/login", body).status_code for _ in range(PER_ACCOUNT + 1)]

    assert statuses == [400] * PER_ACCOUNT + [429]
    assert try_password(visitor, acme.people["member"].email, PASSWORD).status_code == 429


@pytest.mark.parametrize(
    "spell",
    [str.upper, str.title, lambda email: f" {email}", lambda email: email.replace("@t", "@ｔ")],
    ids=["upper", "title", "space", "wide"],
)
def test_an_address_spelled_otherwise_is_the_same_account(
    visitor: Visitor, acme: Workspace, spell: Callable[[str], str]
) -> None:
    email = acme.people["member"].email
    exhaust(visitor, email)

    try_password(visitor, spell(email), PASSWORD)

    assert not visitor.is_signed_in()


def test_what_was_typed_is_kept_when_throttled(visitor: Visitor, acme: Workspace) -> None:
    exhaust(visitor, acme.people["member"].email)

    assert f'value="{acme.people["member"].email}"' in try_password(visitor, acme.people["member"].email).text


def test_the_end_of_the_window_frees_an_account(clock: Clock, visitor: Visitor, acme: Workspace) -> None:
    exhaust(visitor, acme.people["member"].email)
    for _ in range(5):  # trying on does not move the end
        clock.advance(minutes=2)
        assert try_password(visitor, acme.people["member"].email, PASSWORD).status_code == 429
    clock.advance(minutes=5, seconds=1)

    try_password(visitor, acme.people["member"].email, PASSWORD)

    assert visitor.is_signed_in()


def test_other_accounts_are_not_throttled(app: Flask, visitor: Visitor, acme: Workspace) -> None:
    exhaust(visitor, acme.people["member"].email)

    try_password(visitor, acme.people["owner"].email, PASSWORD)

    assert visitor.is_signed_in()


def test_the_same_address_in_another_workspace_is_not_throttled(
    app: Flask, visitor: Visitor, acme: Workspace, globex: Workspace
) -> None:
    exhaust(visitor, globex.people["member"].email)
    elsewhere = Visitor(app, globex.host)

    try_password(elsewhere, globex.people["member"].email, PASSWORD)

    assert elsewhere.is_signed_in()


def test_attempts_are_counted_for_all_browsers_and_addresses_together(app: Flask, acme: Workspace) -> None:
    email = acme.people["member"].email
    for number in range(PER_ACCOUNT):
        try_password(Visitor(app, acme.host, f"198.51.100.{number}"), email)

    assert try_password(Visitor(app, acme.host, "203.0.113.1"), email, PASSWORD).status_code == 429


def test_a_sign_in_takes_its_own_attempt_back(app: Flask, acme: Workspace) -> None:
    for _ in range(PER_ACCOUNT + 2):
        visitor = Visitor(app, acme.host)
        assert try_password(visitor, acme.people["member"].email, PASSWORD).status_code == 302

    with inside(app, acme) as session:
        assert session.scalar(select(func.max(Attempts.count))) == 0


def test_a_sign_in_does_not_forgive_the_guesses_before_it(app: Flask, acme: Workspace) -> None:
    email = acme.people["member"].email
    stranger = Visitor(app, acme.host)
    for _ in range(PER_ACCOUNT - 1):
        try_password(stranger, email)
    try_password(Visitor(app, acme.host), email, PASSWORD)

    assert try_password(stranger, email).status_code == 200
    assert try_password(stranger, email).status_code == 429


def test_an_address_that_tries_many_accounts_is_throttled(
    app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auth.throttle.PER_ADDRESS", 20)
    assert PER_ADDRESS >= 20
    attacker = Visitor(app, acme.host, "198.51.100.1")
    for number in range(20):
        assert try_password(attacker, f"user{number}@{acme.slug}.example").status_code == 200

    assert try_password(attacker, acme.people["member"].email, PASSWORD).status_code == 429
    elsewhere = Visitor(app, acme.host, "198.51.100.2")
    assert try_password(elsewhere, acme.people["member"].email, PASSWORD).status_code == 302


def test_addresses_of_one_ipv6_network_are_one(app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auth.throttle.PER_ADDRESS", 10)
    for number in range(10):
        attacker = Visitor(app, acme.host, f"2001:db8:1:1::{number + 1:x}")
        try_password(attacker, f"user{number}@{acme.slug}.example")

    assert try_password(Visitor(app, acme.host, "2001:db8:1:1:ffff::1"), "x@y.example").status_code == 429
    assert try_password(Visitor(app, acme.host, "2001:db8:1:2::1"), "x@y.example").status_code == 200


def test_a_forwarded_address_is_not_believed_without_a_proxy(
    app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auth.throttle.PER_ADDRESS", 5)
    attacker = Visitor(app, acme.host, "198.51.100.1")
    statuses = [
        attacker.post(
            "/auth/login",
            {"email": f"user{number}@{acme.slug}.example", "password": WRONG},
            csrf=token_of(attacker),
            headers={"X-Forwarded-For": f"203.0.113.{number}"},
        ).status_code
        for number in range(6)
    ]

    assert statuses == [200] * 5 + [429]


def test_the_owner_of_an_account_signs_in_from_a_known_device_while_strangers_are_throttled(
    app: Flask, acme: Workspace, stranger: Visitor, member: Visitor
) -> None:
    member.post("/auth/logout")
    exhaust(stranger, acme.people["member"].email)
    assert try_password(stranger, acme.people["member"].email, PASSWORD).status_code == 429

    member.sign_in(acme.people["member"])

    assert member.is_signed_in()


def test_a_known_device_has_a_limit_too(acme: Workspace, member: Visitor) -> None:
    member.post("/auth/logout")
    exhaust(member, acme.people["member"].email)

    assert try_password(member, acme.people["member"].email, PASSWORD).status_code == 429


def test_a_device_of_one_person_is_a_stranger_to_the_account_of_another(
    app: Flask, acme: Workspace, stranger: Visitor, member: Visitor
) -> None:
    member.post("/auth/logout")
    exhaust(stranger, acme.people["owner"].email)

    assert try_password(member, acme.people["owner"].email, PASSWORD).status_code == 429


@pytest.mark.parametrize("value", ["x", "", "a.b.c", "WyJhIiwgImIiXQ.x.y"])
def test_a_forged_device_is_a_stranger(app: Flask, acme: Workspace, stranger: Visitor, value: str) -> None:
    exhaust(stranger, acme.people["member"].email)
    forged = Visitor(app, acme.host)
    forged.take_cookies({"device": value})

    assert try_password(forged, acme.people["member"].email, PASSWORD).status_code == 429


def test_thirty_attempts_at_once_are_not_more_looked_at(app: Flask, acme: Workspace, hashes: list[str]) -> None:
    email = acme.people["member"].email
    browsers = [Visitor(app, acme.host) for _ in range(30)]
    for browser in browsers:
        token_of(browser)

    answers = at_once([lambda browser=browser: try_password(browser, email) for browser in browsers])  # type: ignore[misc]

    assert len(hashes) == PER_ACCOUNT
    assert sorted(answer.status_code for answer in answers) == [200] * PER_ACCOUNT + [429] * (30 - PER_ACCOUNT)


def test_no_route_avoids_the_limit_on_passwords(app: Flask, acme: Workspace, member: Visitor) -> None:
    """The form for signing in, stepping up and changing the password share one count."""
    bodies = {
        "/auth/verify": {"password": PASSWORD},
        "/auth/change": {
            "password": PASSWORD,
            "new_password": "a" * 20 + "bc",
            "new_password_confirm": "a" * 20 + "bc",
        },
    }
    for _ in range(PER_ACCOUNT):
        member.post("/auth/verify", {"password": WRONG})

    for path, body in bodies.items():
        assert member.post(path, body).status_code == 429, path
        assert post_json(member, path, body).status_code == 429, path
    member.post("/auth/logout")
    assert try_password(member, acme.people["member"].email, PASSWORD).status_code == 429


@pytest.mark.parametrize("path", ["/auth/verify", "/auth/change"])
def test_guessing_in_a_stolen_session_is_throttled(member: Visitor, path: str, hashes: list[str]) -> None:
    body = {"password": WRONG, "new_password": "a new password", "new_password_confirm": "a new password"}
    statuses = [member.post(path, body).status_code for _ in range(PER_ACCOUNT + 2)]

    assert statuses == [200] * PER_ACCOUNT + [429] * 2
    assert hashes.count("verify") == PER_ACCOUNT


@pytest.mark.parametrize("path", ["/auth/tf-validate", "/auth/mf-recovery"])
def test_guessing_codes_is_throttled(app: Flask, acme: Workspace, member: Visitor, steady: None, path: str) -> None:
    authenticator, codes = set_up_app(app, member), make_recovery_codes(member)
    visitor = Visitor(app, acme.host)
    visitor.sign_in(acme.people["member"])
    for _ in range(PER_ACCOUNT):
        assert give_code(visitor, "000000", path).status_code == 200

    for other, code in (("/auth/tf-validate", authenticator.code()), ("/auth/mf-recovery", codes[0])):
        answer = give_code(visitor, code, other)
        assert answer.status_code == 429
        assert "Retry-After" in answer.headers
    assert not visitor.is_signed_in()


def test_starting_over_does_not_give_more_guesses_at_a_code(
    app: Flask, acme: Workspace, member: Visitor, steady: None
) -> None:
    authenticator = set_up_app(app, member)
    for _ in range(PER_ACCOUNT):
        visitor = Visitor(app, acme.host)
        visitor.sign_in(acme.people["member"])
        give_code(visitor, "000000")
    visitor = Visitor(app, acme.host)
    visitor.sign_in(acme.people["member"])

    assert give_code(visitor, authenticator.code()).status_code == 429
    assert not visitor.is_signed_in()


@pytest.mark.parametrize("path", ["/auth/reset", "/auth/confirm"])
@pytest.mark.parametrize("known", [True, False])
def test_nobodys_mailbox_is_flooded_and_the_limit_tells_nothing(
    app: Flask, visitor: Visitor, acme: Workspace, path: str, known: bool
) -> None:
    email = acme.people["member"].email if known else f"nobody@{acme.slug}.example"
    statuses = [visitor.post(path, {"email": email}).status_code for _ in range(PER_ACCOUNT + 2)]

    assert statuses == [200] * PER_ACCOUNT + [429] * 2
    assert len(mail_to(app, email)) <= PER_ACCOUNT


@pytest.mark.parametrize(
    "spell",
    [str.upper, lambda email: email.replace("@t", "@ｔ"), lambda email: f" {email}"],
    ids=["upper", "wide", "space"],
)
def test_a_mailbox_spelled_otherwise_is_the_same(
    app: Flask, visitor: Visitor, acme: Workspace, spell: Callable[[str], str]
) -> None:
    email = acme.people["member"].email
    for _ in range(PER_ACCOUNT):
        visitor.post("/auth/reset", {"email": email})

    visitor.post("/auth/reset", {"email": spell(email)})

    assert len(mail_to(app, email)) == PER_ACCOUNT


def test_asking_for_mail_does_not_throttle_signing_in(visitor: Visitor, acme: Workspace) -> None:
    for _ in range(PER_ACCOUNT + 1):
        visitor.post("/auth/reset", {"email": acme.people["member"].email})

    visitor.sign_in(acme.people["member"])

    assert visitor.is_signed_in()


def test_attempts_are_kept_without_the_addresses_that_they_were_on(
    app: Flask, visitor: Visitor, acme: Workspace
) -> None:
    try_password(visitor, acme.people["member"].email)
    with inside(app, acme) as session:
        keys = list(session.scalars(select(Attempts.key)))

    assert len(keys) == 2
    assert all(len(key) == 64 and "@" not in key for key in keys)


def test_counts_whose_window_is_over_are_deleted(app: Flask, clock: Clock, visitor: Visitor, acme: Workspace) -> None:
    try_password(visitor, acme.people["member"].email)
    clock.advance(minutes=16)
    try_password(visitor, add_person(app, acme).email)
    with inside(app, acme) as session:
        assert session.scalar(select(func.count()).select_from(Attempts)) == 2


def test_a_throttled_account_stays_signed_in_where_it_is(
    app: Flask, acme: Workspace, stranger: Visitor, member: Visitor
) -> None:
    exhaust(stranger, acme.people["member"].email)

    assert member.is_signed_in()
    assert sign_in(app, acme, "owner").is_signed_in()


@pytest.mark.parametrize("letter", ["İ", "I", "ı"])
def test_letters_that_only_the_database_takes_for_the_same_give_no_more_guesses(
    app: Flask, visitor: Visitor, acme: Workspace, letter: str
) -> None:
    email = add_person(app, acme, email=f"ivan@{acme.slug}.example").email
    exhaust(visitor, email)

    stranger = Visitor(app, acme.host, "198.51.100.7")
    try_password(stranger, letter + email[1:], PASSWORD)

    assert not stranger.is_signed_in()
    with inside(app, acme):
        found = find_by_email(letter + email[1:])
    assert (found is not None) == (letter == "I")


def test_addresses_of_ipv4_written_as_ipv6_are_not_one(
    app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auth.throttle.PER_ADDRESS", 2)
    attacker = Visitor(app, acme.host, "::ffff:198.51.100.1")
    for number in range(2):
        try_password(attacker, f"user{number}@{acme.slug}.example")

    assert try_password(attacker, "x@y.example").status_code == 429
    assert try_password(Visitor(app, acme.host, "198.51.100.1"), "x@y.example").status_code == 429
    assert try_password(Visitor(app, acme.host, "::ffff:198.51.100.2"), "x@y.example").status_code == 200


def test_an_address_that_is_throttled_adds_no_counts(
    app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auth.throttle.PER_ADDRESS", 2)
    attacker = Visitor(app, acme.host, "198.51.100.1")
    for number in range(6):
        try_password(attacker, f"user{number}@{acme.slug}.example")

    with inside(app, acme) as session:
        assert session.scalar(select(func.count()).select_from(Attempts)) == 3


@pytest.mark.parametrize("way", ["change", "reset"])
def test_a_new_password_makes_every_other_device_a_stranger(
    app: Flask, acme: Workspace, stranger: Visitor, member: Visitor, way: str
) -> None:
    person, here = acme.people["member"], sign_in(app, acme, "member")
    if way == "change":
        body = {"password": PASSWORD, "new_password": NEW_PASSWORD, "new_password_confirm": NEW_PASSWORD}
        assert here.post("/auth/change", body).status_code == 302
    else:
        here.post("/auth/logout")
        link = ask_reset_link(app, here, person)
        assert here.post(link, {"password": NEW_PASSWORD, "password_confirm": NEW_PASSWORD}).status_code == 302
    here.post("/auth/logout")
    member.post("/auth/logout")
    exhaust(stranger, person.email)

    assert try_password(member, person.email, NEW_PASSWORD).status_code == 429
    assert try_password(here, person.email, NEW_PASSWORD).status_code == 302
