"""The session cookie: what it looks like, when it changes, and that it is worth nothing elsewhere."""

from collections.abc import Callable
from http.cookies import SimpleCookie
from typing import Any

import pytest
from flask import Flask
from itsdangerous import BadSignature
from sqlalchemy import select
from werkzeug.test import TestResponse

from auth import cookies
from auth.cookies import HostSessions
from auth.models import LoginSession
from tests.auth.helpers import (
    NEW_PASSWORD,
    ask_reset_link,
    change,
    inside,
    link_in,
    mail_to,
    path_of,
    payload,
    post_json,
    set_up_app,
    start_passkey,
)
from tests.factories import PASSWORD, Workspace
from tests.visitor import Visitor, sign_in

OLD_KEY, NEW_KEY = "o" * 40, "n" * 40


def set_cookies(response: TestResponse) -> dict[str, Any]:
    """The cookies that an answer sets, with their attributes."""
    parsed: SimpleCookie = SimpleCookie()
    for header in response.headers.getlist("Set-Cookie"):
        parsed.load(header)
    return dict(parsed)


def contents(app: Flask, host: str, value: str) -> dict[str, Any]:
    """What is in a session cookie of that host."""
    assert isinstance(app.session_interface, HostSessions)
    content: dict[str, Any] = app.session_interface.serializer_for(app, host).loads(value)
    return content


def resign(app: Flask, host: str, content: dict[str, Any]) -> str:
    """A session cookie of that host, as only the application could sign it."""
    assert isinstance(app.session_interface, HostSessions)
    return str(app.session_interface.serializer_for(app, host).dumps(content))


def https_visitor(app: Flask, workspace: Workspace) -> Visitor:
    visitor = Visitor(app, workspace.host)
    visitor.base = f"https://{workspace.host}"
    return visitor


def test_cookies_belong_to_one_host_and_are_hidden_from_scripts(visitor: Visitor, acme: Workspace) -> None:
    found = set_cookies(visitor.sign_in(acme.people["member"]))

    assert set(found) == {"session", "device"}
    for cookie in found.values():
        assert cookie["domain"] == ""
        assert cookie["httponly"] is True
        assert cookie["samesite"] == "Lax"
        assert cookie["path"] == "/"


def test_cookies_are_locked_to_the_host_under_https(make_app: Callable[..., Flask], acme: Workspace) -> None:
    visitor = https_visitor(make_app(scheme="https"), acme)

    found = set_cookies(visitor.sign_in(acme.people["member"]))

    assert set(found) == {"__Host-session", "__Host-device"}
    for cookie in found.values():
        assert cookie["secure"] is True
        assert cookie["domain"] == ""
        assert cookie["path"] == "/"
        assert cookie["httponly"] is True
        assert cookie["samesite"] == "Lax"
    assert visitor.is_signed_in()


def test_a_sign_in_without_remember_me_ends_with_the_browser(visitor: Visitor, acme: Workspace) -> None:
    cookie = set_cookies(visitor.sign_in(acme.people["member"]))["session"]

    assert cookie["expires"] == cookie["max-age"] == ""


def test_the_session_cookie_is_not_sent_again_with_every_answer(member: Visitor) -> None:
    member.get("/api/v1/me")

    assert set_cookies(member.get("/api/v1/me")) == {}


def test_the_cookie_does_not_hold_what_the_row_is_found_by(app: Flask, acme: Workspace, member: Visitor) -> None:
    token = contents(app, acme.host, member.cookies()["session"])["sid"]
    with inside(app, acme) as session:
        stored = set(session.scalars(select(LoginSession.token_hash)))

    assert token not in stored


def test_a_sign_in_changes_the_session_id(app: Flask, visitor: Visitor, acme: Workspace) -> None:
    visitor.sign_in(acme.people["member"])
    first = contents(app, acme.host, visitor.cookies()["session"])["sid"]
    visitor.post("/auth/logout")
    visitor.sign_in(acme.people["member"])

    assert contents(app, acme.host, visitor.cookies()["session"])["sid"] != first


def test_a_session_id_planted_before_signing_in_is_not_kept(app: Flask, acme: Workspace, visitor: Visitor) -> None:
    visitor.take_cookies({"session": resign(app, acme.host, {"sid": "planted by somebody"})})
    visitor.sign_in(acme.people["member"])
    assert visitor.is_signed_in()

    handle = contents(app, acme.host, visitor.cookies()["session"])["_user_id"]
    thief = Visitor(app, acme.host)
    thief.take_cookies({"session": resign(app, acme.host, {"sid": "planted by somebody", "_user_id": handle})})
    assert not thief.is_signed_in()


def test_a_csrf_token_from_before_signing_in_is_worth_nothing_after(visitor: Visitor, acme: Workspace) -> None:
    before = visitor.csrf_token()
    visitor.sign_in(acme.people["member"])

    assert visitor.post("/account/sessions/end", csrf=before).status_code == 400


def test_a_step_up_changes_the_session_id_and_voids_the_former_cookie(
    app: Flask, acme: Workspace, member: Visitor
) -> None:
    thief = Visitor(app, acme.host)
    thief.take_cookies(member.cookies())
    assert thief.is_signed_in()

    assert member.post("/auth/verify", {"password": PASSWORD}).status_code == 302

    assert member.is_signed_in()
    assert not thief.is_signed_in()


def test_a_failed_step_up_keeps_the_session(app: Flask, acme: Workspace, member: Visitor) -> None:
    before = contents(app, acme.host, member.cookies()["session"])["sid"]

    assert member.post("/auth/verify", {"password": "wrong"}).status_code == 200

    assert contents(app, acme.host, member.cookies()["session"])["sid"] == before
    assert member.is_signed_in()


def test_a_tampered_cookie_is_nobodys(app: Flask, acme: Workspace, member: Visitor) -> None:
    value = member.cookies()["session"]
    thief = Visitor(app, acme.host)
    for tampered in (value[:-2], value[1:], "." + value, value.replace(".", "", 1), "x", "a.b.c"):
        thief.take_cookies({"session": tampered})
        assert not thief.is_signed_in()


def test_a_cookie_of_one_workspace_is_nobodys_on_the_host_of_another(
    app: Flask, globex: Workspace, member: Visitor
) -> None:
    thief = Visitor(app, globex.host)
    thief.take_cookies(member.cookies())

    assert not thief.is_signed_in()


def test_the_signature_of_a_cookie_alone_keeps_it_on_its_host(
    app: Flask, acme: Workspace, globex: Workspace, member: Visitor
) -> None:
    with pytest.raises(BadSignature):
        contents(app, globex.host, member.cookies()["session"])


def test_the_look_up_alone_keeps_a_session_in_its_workspace(
    app: Flask, acme: Workspace, globex: Workspace, member: Visitor
) -> None:
    content = contents(app, acme.host, member.cookies()["session"])
    thief = Visitor(app, globex.host)
    thief.take_cookies({"session": resign(app, globex.host, content)})

    assert not thief.is_signed_in()


def test_a_session_of_one_workspace_with_the_handle_of_a_user_of_another_is_nobodys(
    app: Flask, acme: Workspace, globex: Workspace, member: Visitor
) -> None:
    at_globex = sign_in(app, globex, "owner")
    mixed = contents(app, globex.host, at_globex.cookies()["session"])
    mixed["sid"] = contents(app, acme.host, member.cookies()["session"])["sid"]
    thief = Visitor(app, globex.host)
    thief.take_cookies({"session": resign(app, globex.host, mixed)})

    assert not thief.is_signed_in()


def test_a_cookie_with_the_handle_of_another_user_is_nobodys(
    app: Flask, acme: Workspace, member: Visitor, owner: Visitor
) -> None:
    mixed = contents(app, acme.host, member.cookies()["session"])
    mixed["_user_id"] = contents(app, acme.host, owner.cookies()["session"])["_user_id"]
    thief = Visitor(app, acme.host)
    thief.take_cookies({"session": resign(app, acme.host, mixed)})

    assert not thief.is_signed_in()


def test_a_cookie_without_a_session_id_is_nobodys(app: Flask, acme: Workspace, member: Visitor) -> None:
    content = contents(app, acme.host, member.cookies()["session"])
    del content["sid"]
    thief = Visitor(app, acme.host)
    thief.take_cookies({"session": resign(app, acme.host, content)})

    assert not thief.is_signed_in()


@pytest.mark.parametrize("sid", [None, 1, [], {}, "", True])
def test_a_session_id_of_a_wrong_type_is_nobodys(app: Flask, acme: Workspace, member: Visitor, sid: object) -> None:
    content = contents(app, acme.host, member.cookies()["session"]) | {"sid": sid}
    thief = Visitor(app, acme.host)
    thief.take_cookies({"session": resign(app, acme.host, content)})

    assert not thief.is_signed_in()


def test_a_reset_link_of_one_workspace_is_refused_at_another(
    app: Flask, acme: Workspace, globex: Workspace, visitor: Visitor
) -> None:
    link = ask_reset_link(app, visitor, acme.people["member"])
    elsewhere = Visitor(app, globex.host)

    assert elsewhere.get(link).location == "/auth/reset"
    answer = elsewhere.post(link, {"password": NEW_PASSWORD, "password_confirm": NEW_PASSWORD})

    assert answer.location == "/auth/reset"
    assert visitor.get(link).status_code == 200


def test_a_confirmation_link_of_one_workspace_is_refused_at_another(
    app: Flask, acme: Workspace, globex: Workspace, visitor: Visitor
) -> None:
    person = acme.people["member"]
    change(app, acme, person, confirmed_at=None)
    visitor.post("/auth/confirm", {"email": person.email})
    link = path_of(link_in(mail_to(app, person.email)[-1]))

    Visitor(app, globex.host).get(link)

    visitor.sign_in(person)
    assert not visitor.is_signed_in()
    visitor.get(link)
    visitor.sign_in(person)
    assert visitor.is_signed_in()


def test_a_link_to_change_an_address_is_refused_at_another_workspace(
    app: Flask, acme: Workspace, globex: Workspace, member: Visitor
) -> None:
    member.post("/auth/change-email", {"email": f"new@{acme.slug}.example"})
    link = path_of(link_in(mail_to(app, f"new@{acme.slug}.example")[-1]))

    Visitor(app, globex.host).get(link)

    assert member.get("/api/v1/me").get_json()["user"]["email"] == acme.people["member"].email


def test_the_state_of_a_second_factor_set_up_is_refused_at_another_workspace(
    app: Flask, globex: Workspace, member: Visitor, steady: None
) -> None:
    begun = payload(post_json(member, "/auth/tf-setup", {"setup": "authenticator"}))
    elsewhere = sign_in(app, globex)
    authenticator = set_up_app(app, sign_in(app, globex, "owner"))  # any code: the state is refused before

    answer = post_json(elsewhere, f"/auth/tf-setup/{begun['tf_state_token']}", {"code": authenticator.code()})

    assert answer.status_code == 400
    assert "code" not in payload(answer).get("field_errors", {})


def test_the_state_of_a_passkey_is_refused_at_another_workspace(app: Flask, globex: Workspace, member: Visitor) -> None:
    token = start_passkey(member)["wan_state"]
    elsewhere = sign_in(app, globex)

    answer = post_json(elsewhere, f"/auth/wan-register/{token}", {"credential": "{}"})

    assert answer.status_code == 400
    assert "credential" not in payload(answer).get("field_errors", {})


@pytest.mark.parametrize("purpose", ["remember_token", "reset", "change_email", "confirm", "tf_setup", "wan", "login"])
def test_what_is_signed_for_one_workspace_is_not_signed_for_another(
    app: Flask, acme: Workspace, globex: Workspace, purpose: str
) -> None:
    serializer = getattr(app.extensions["security"], f"{purpose}_serializer")
    with inside(app, acme):
        value = serializer.dumps(["x"])
        assert serializer.loads(value) == ["x"]
    with inside(app, globex), pytest.raises(BadSignature):
        serializer.loads(value)


def test_a_former_secret_key_still_verifies_cookies_and_links(make_app: Callable[..., Flask], acme: Workspace) -> None:
    before = make_app(secret_key=OLD_KEY)
    after = make_app(secret_key=NEW_KEY, secret_key_fallbacks=(OLD_KEY,))
    signed_in, link = sign_in(before, acme), ask_reset_link(before, Visitor(before, acme.host), acme.people["viewer"])

    visitor = Visitor(after, acme.host)
    visitor.take_cookies(signed_in.cookies())

    assert visitor.is_signed_in()
    assert Visitor(after, acme.host).get(link).status_code == 200


def test_the_new_secret_key_signs_cookies_and_links(make_app: Callable[..., Flask], acme: Workspace) -> None:
    rotated = make_app(secret_key=NEW_KEY, secret_key_fallbacks=(OLD_KEY,))
    only_new, only_old = make_app(secret_key=NEW_KEY), make_app(secret_key=OLD_KEY)
    signed_in, link = (
        sign_in(rotated, acme),
        ask_reset_link(rotated, Visitor(rotated, acme.host), acme.people["viewer"]),
    )

    for app, accepts in ((only_new, True), (only_old, False)):
        visitor = Visitor(app, acme.host)
        visitor.take_cookies(signed_in.cookies())
        assert visitor.is_signed_in() is accepts
        assert (Visitor(app, acme.host).get(link).status_code == 200) is accepts


def test_a_key_that_is_no_longer_listed_verifies_nothing(make_app: Callable[..., Flask], acme: Workspace) -> None:
    signed_in = sign_in(make_app(secret_key=OLD_KEY), acme)
    visitor = Visitor(make_app(secret_key=NEW_KEY), acme.host)
    visitor.take_cookies(signed_in.cookies())

    assert not visitor.is_signed_in()


def test_a_form_opened_before_the_key_was_changed_can_still_be_sent(
    make_app: Callable[..., Flask], acme: Workspace
) -> None:
    before = make_app(secret_key=OLD_KEY)
    after = make_app(secret_key=NEW_KEY, secret_key_fallbacks=(OLD_KEY,))
    signed_in = sign_in(before, acme)
    token = signed_in.csrf_token()
    visitor = Visitor(after, acme.host)
    visitor.take_cookies(signed_in.cookies())

    assert (
        visitor.post("/account/profile", {"name": "New", "locale": "", "timezone": ""}, csrf=token).status_code == 302
    )


def test_cookies_written_for_demo_data_sign_in_on_their_host_only(
    app: Flask, acme: Workspace, globex: Workspace
) -> None:
    from_member = sign_in(app, acme)
    content = contents(app, acme.host, from_member.cookies()["session"])
    header, csrf = cookies.write(app, acme.host, content["_user_id"], content["sid"])
    name, value = header.split("=", 1)
    here, elsewhere = Visitor(app, acme.host), Visitor(app, globex.host)
    here.take_cookies({name: value})
    elsewhere.take_cookies({name: value})

    assert here.is_signed_in()
    assert not elsewhere.is_signed_in()
    assert here.post("/account/profile", {"name": "X", "locale": "", "timezone": ""}, csrf=csrf).status_code == 302
