"""My account: what a person changes about themselves, and what not."""

import pytest
from flask import Flask

from tests.auth.helpers import inside, row_of
from tests.auth.test_permissions import permissions
from tests.factories import Workspace
from tests.visitor import Visitor, sign_in

PROFILE = {"name": "Mia Member", "locale": "es", "timezone": "Europe/Madrid"}


def test_a_profile_is_saved_and_shown_at_once(app: Flask, acme: Workspace, member: Visitor) -> None:
    assert member.post("/account/profile", PROFILE).status_code == 302

    assert member.get("/api/v1/me").get_json()["user"]["name"] == "Mia Member"
    page = member.get("/account/").text
    assert '<html lang="es">' in page
    assert "Europe/Madrid" in page
    with inside(app, acme):
        row = row_of(acme.people["member"])
        assert (row.name, row.locale, row.timezone) == ("Mia Member", "es", "Europe/Madrid")


def test_a_language_is_chosen_alone(member: Visitor) -> None:
    assert member.post("/account/language", {"locale": "es"}).status_code == 302
    assert '<html lang="es">' in member.get("/account/").text


def test_a_language_chosen_before_signing_in_counts_until_then(visitor: Visitor) -> None:
    assert visitor.post("/language", {"locale": "es"}).status_code == 302
    assert '<html lang="es">' in visitor.get("/auth/login").text


@pytest.mark.parametrize("path", ["/account/language", "/language"])
@pytest.mark.parametrize("locale", ["", "xx", "es'--", "../../etc", "x" * 5000])
def test_a_language_that_is_not_offered_is_refused(member: Visitor, path: str, locale: str) -> None:
    assert member.post(path, {"locale": locale}).status_code == 422


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "   "},
        {"name": "x" * 201},
        {"name": "😀" * 201},
        {"locale": "xx"},
        {"timezone": "Mars/Olympus"},
        {"timezone": "../etc/passwd"},
    ],
    ids=["empty", "spaces", "long", "long emoji", "language", "zone", "path"],
)
def test_a_fault_is_told_and_nothing_typed_is_lost(
    app: Flask, acme: Workspace, member: Visitor, wrong: dict[str, str]
) -> None:
    with inside(app, acme):
        before = row_of(acme.people["member"]).name

    page = member.post("/account/profile", {**PROFILE, **wrong})

    assert page.status_code == 422
    assert 'aria-invalid="true"' in page.text
    if wrong.get("name", "").strip():
        assert wrong["name"] in page.text
    elif "name" not in wrong:
        assert PROFILE["name"] in page.text
    with inside(app, acme):
        row = row_of(acme.people["member"])
        assert (row.name, row.locale) == (before, None)


@pytest.mark.parametrize("name", ["x", "x" * 200, "😀" * 200, "O'Neill <b>&amp;", "名前", "a\u202eb"])
def test_a_name_of_any_script_is_taken_and_never_markup(member: Visitor, name: str) -> None:
    assert member.post("/account/profile", {**PROFILE, "name": name}).status_code == 302

    assert member.get("/api/v1/me").get_json()["user"]["name"] == name
    assert "<b>" not in member.get("/account/").text


def test_nothing_else_about_oneself_is_changed_there(app: Flask, acme: Workspace, member: Visitor) -> None:
    with inside(app, acme):
        row = row_of(acme.people["member"])
        before = {column.key: getattr(row, column.key) for column in row.__table__.columns}
    extra = {
        "email": "evil@evil.example",
        "active": "",
        "confirmed_at": "2020-01-01",
        "password": "x",
        "fs_uniquifier": "x",
        "tenant_id": "x",
        "id": "x",
        "roles": "owner",
        "tf_primary_method": "authenticator",
        "tf_totp_secret": "x",
        "created_at": "2020-01-01",
        "mf_recovery_codes": "x",
    }

    assert member.post("/account/profile", {**PROFILE, **extra}).status_code == 302

    with inside(app, acme):
        row = row_of(acme.people["member"])
        after = {column.key: getattr(row, column.key) for column in row.__table__.columns}
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= {"name", "locale", "timezone"}


def test_nobody_gives_themselves_a_right_there(app: Flask, acme: Workspace) -> None:
    browser = sign_in(app, acme, "viewer")
    before = permissions(browser)
    browser.post("/account/profile", {**PROFILE, "role": "owner", "permissions": "role:manage"})

    assert permissions(browser) == before


@pytest.mark.parametrize("path", ["/account/", "/account/sessions"])
def test_the_account_is_for_who_is_signed_in(visitor: Visitor, path: str) -> None:
    assert visitor.get(path).location.startswith("/auth/login?next=")


def test_the_account_of_another_person_is_not_shown(app: Flask, acme: Workspace, member: Visitor) -> None:
    page = member.get("/account/").text

    assert acme.people["member"].email in page
    assert acme.people["owner"].email not in page
