"""The second factor: one-time codes of an app, and recovery codes."""

from typing import Any

import pytest
from flask import Flask, g
from sqlalchemy import select

from auth import sessions
from auth.models import User
from tests.auth.authenticator import AuthenticatorApp
from tests.auth.conftest import Clock
from tests.auth.helpers import (
    JSON,
    NEW_PASSWORD,
    add_passkey,
    ask_reset_link,
    at_once,
    change,
    give_code,
    inside,
    make_recovery_codes,
    payload,
    post_json,
    row_of,
    set_up_app,
    token_on,
)
from tests.auth.test_cookies import contents, resign
from tests.auth.test_sessions import sessions_of
from tests.factories import Person, Workspace, add_person
from tests.visitor import Visitor, sign_in

pytestmark = pytest.mark.usefixtures("steady")


def first_step(app: Flask, workspace: Workspace, role: str = "member") -> Visitor:
    """A browser in which the password was right and the second factor is asked for."""
    visitor = Visitor(app, workspace.host)
    answer = visitor.sign_in(workspace.people[role])
    assert answer.location.startswith("/auth/tf-validate"), answer.location
    return visitor


def test_setting_up_shows_a_picture_and_a_key(member: Visitor, acme: Workspace) -> None:
    page = member.post("/auth/tf-setup", {"setup": "authenticator"})

    assert page.status_code == 200
    assert 'src="data:image/svg+xml;base64,' in page.text


def test_the_app_is_told_which_workspace_the_code_is_for(member: Visitor, acme: Workspace) -> None:
    begun = payload(post_json(member, "/auth/tf-setup", {"setup": "authenticator"}))

    assert begun["tf_authr_issuer"] == acme.tenant.name
    assert f"issuer={acme.tenant.name}" in begun["tf_authr_uri"]


def test_the_second_factor_is_on_only_after_a_right_code(app: Flask, acme: Workspace, member: Visitor) -> None:
    begun = payload(post_json(member, "/auth/tf-setup", {"setup": "authenticator"}))
    refused = post_json(member, f"/auth/tf-setup/{begun['tf_state_token']}", {"code": "000000"})

    assert refused.status_code == 400
    assert Visitor(app, acme.host).sign_in(acme.people["member"]).location == "/"


def test_signing_in_asks_for_the_code(app: Flask, acme: Workspace, member: Visitor) -> None:
    authenticator = set_up_app(app, member)
    visitor = first_step(app, acme)
    assert not visitor.is_signed_in()

    answer = give_code(visitor, authenticator.code())

    assert answer.status_code == 302
    assert visitor.is_signed_in()
    assert sessions_of(app, acme)[-1].methods == "password,authenticator"


def test_a_program_signs_in_with_a_code(app: Flask, acme: Workspace, member: Visitor) -> None:
    authenticator = set_up_app(app, member)
    visitor = Visitor(app, acme.host)
    person = acme.people["member"]
    answer = post_json(visitor, "/auth/login", {"email": person.email, "password": person.password})
    assert payload(answer)["tf_required"] is True

    headers = {"X-CSRFToken": token_on(visitor, "/auth/tf-validate")}
    answer = visitor.client.post(
        "/auth/tf-validate", base_url=visitor.base, json={"code": authenticator.code()}, headers=headers
    )
    assert answer.status_code == 200
    assert visitor.is_signed_in()


def test_signing_in_with_a_code_changes_the_session_id(app: Flask, acme: Workspace, member: Visitor) -> None:
    authenticator = set_up_app(app, member)
    visitor = first_step(app, acme)
    assert "sid" not in contents(app, acme.host, visitor.cookies()["session"])
    give_code(visitor, authenticator.code())
    content = contents(app, acme.host, visitor.cookies()["session"])

    assert content["sid"]
    assert not {"tf_user_id", "tf_state"} & content.keys()


@pytest.mark.parametrize("code", ["000000", "", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "-1"])
def test_a_wrong_code_signs_nobody_in(app: Flask, acme: Workspace, member: Visitor, code: str) -> None:
    set_up_app(app, member)
    visitor = first_step(app, acme)

    assert give_code(visitor, code).status_code == 200
    assert not visitor.is_signed_in()


@pytest.mark.parametrize("step", [-3, -2, 2, 3])
def test_a_code_of_another_time_signs_nobody_in(app: Flask, acme: Workspace, member: Visitor, step: int) -> None:
    authenticator = set_up_app(app, member)
    visitor = first_step(app, acme)

    give_code(visitor, authenticator.code(step))

    assert not visitor.is_signed_in()


def test_a_code_counts_once(app: Flask, acme: Workspace, member: Visitor) -> None:
    authenticator = set_up_app(app, member)
    code = authenticator.code()
    first, second = first_step(app, acme), first_step(app, acme)

    give_code(first, code)
    give_code(second, code)

    assert first.is_signed_in()
    assert not second.is_signed_in()


def test_an_older_code_does_not_count_after_a_newer_one(app: Flask, acme: Workspace, member: Visitor) -> None:
    authenticator = set_up_app(app, member)
    first, second = first_step(app, acme), first_step(app, acme)

    give_code(first, authenticator.code(1))
    give_code(second, authenticator.code(0))

    assert first.is_signed_in()
    assert not second.is_signed_in()


def test_the_code_that_turned_the_second_factor_on_does_not_sign_in(
    app: Flask, acme: Workspace, member: Visitor
) -> None:
    authenticator = set_up_app(app, member)
    visitor = first_step(app, acme)

    give_code(visitor, authenticator.code(-1))

    assert not visitor.is_signed_in()


def test_of_eight_browsers_at_once_a_code_lets_one_in(app: Flask, acme: Workspace, member: Visitor) -> None:
    code = set_up_app(app, member).code()
    browsers = [first_step(app, acme) for _ in range(8)]
    tokens = [token_on(browser, "/auth/tf-validate") for browser in browsers]

    at_once(
        [
            lambda browser=browser, token=token: browser.post("/auth/tf-validate", {"code": code}, csrf=token)  # type: ignore[misc]
            for browser, token in zip(browsers, tokens, strict=True)
        ]
    )

    assert sum(browser.is_signed_in() for browser in browsers) == 1


def test_a_code_of_another_user_signs_nobody_in(app: Flask, acme: Workspace, member: Visitor, owner: Visitor) -> None:
    set_up_app(app, member)
    of_owner = set_up_app(app, owner)
    visitor = first_step(app, acme)

    give_code(visitor, of_owner.code())

    assert not visitor.is_signed_in()


def test_the_first_step_counts_for_a_while_only(app: Flask, clock: Clock, acme: Workspace, member: Visitor) -> None:
    authenticator = set_up_app(app, member)
    visitor = first_step(app, acme)
    clock.advance(minutes=11)

    give_code(visitor, authenticator.code())

    assert not visitor.is_signed_in()


def test_the_first_step_does_not_outlive_the_password_that_it_was_made_with(
    app: Flask, acme: Workspace, member: Visitor
) -> None:
    authenticator = set_up_app(app, member)
    visitor = first_step(app, acme)
    member.post(
        "/auth/change",
        {
            "password": acme.people["member"].password,
            "new_password": NEW_PASSWORD,
            "new_password_confirm": NEW_PASSWORD,
        },
    )

    give_code(visitor, authenticator.code())

    assert not visitor.is_signed_in()


def test_who_is_deactivated_between_the_steps_stays_out(app: Flask, acme: Workspace, member: Visitor) -> None:
    authenticator = set_up_app(app, member)
    visitor = first_step(app, acme)
    change(app, acme, acme.people["member"], active=False)

    answer = give_code(visitor, authenticator.code())

    assert answer.status_code < 500
    assert not visitor.is_signed_in()
    change(app, acme, acme.people["member"], active=True)
    assert not visitor.is_signed_in()


def test_without_the_second_step_nobody_is_signed_in_anywhere(app: Flask, acme: Workspace, member: Visitor) -> None:
    set_up_app(app, member)
    half = first_step(app, acme)
    stranger = Visitor(app, acme.host)
    stranger.csrf_token()
    different = {
        "security.two_factor_token_validation",
        "security.mf_recovery",
        "security.wan_signin",  # the second step itself
    }
    for rule in app.url_map.iter_rules():
        if rule.endpoint in different or rule.endpoint.endswith("static"):
            continue
        values = dict.fromkeys(rule.arguments, "00000000-0000-0000-0000-000000000000")
        _, path = rule.build(values, append_unknown=False) or ("", "")
        for method in rule.methods & {"GET", "POST"}:
            answers = []
            for browser in (half, stranger):
                kept = browser.cookies()
                answer = (
                    browser.get(path, headers=JSON) if method == "GET" else browser.post(path, csrf="x", headers=JSON)
                )
                answers.append(answer.status_code)
                browser.take_cookies(kept)
            assert answers[0] == answers[1], (method, path)
    assert not half.is_signed_in()


def test_the_second_step_cannot_be_claimed_without_the_first(app: Flask, acme: Workspace, member: Visitor) -> None:
    authenticator = set_up_app(app, member)
    visitor = Visitor(app, acme.host)

    give_code(visitor, authenticator.code())

    assert not visitor.is_signed_in()


def test_the_first_step_of_one_workspace_is_worth_nothing_at_another(
    app: Flask, acme: Workspace, globex: Workspace, member: Visitor
) -> None:
    authenticator = set_up_app(app, member)
    half = first_step(app, acme)
    content = contents(app, acme.host, half.cookies()["session"])
    thief = Visitor(app, globex.host)
    thief.take_cookies({"session": resign(app, globex.host, content)})

    give_code(thief, authenticator.code())

    assert not thief.is_signed_in()


def test_no_code_is_ever_mailed(app: Flask, acme: Workspace, member: Visitor) -> None:
    set_up_app(app, member)
    half = first_step(app, acme)

    assert half.get("/auth/tf-rescue").status_code == 403
    assert half.post("/auth/tf-rescue", {"help_setup": "email"}).status_code == 403


def test_the_key_of_the_app_is_encrypted_in_the_database(app: Flask, acme: Workspace, member: Visitor) -> None:
    begun = payload(post_json(member, "/auth/tf-setup", {"setup": "authenticator"}))
    key = begun["tf_authr_b32key"]
    set_up_app(app, member)
    with inside(app, acme):
        stored = row_of(acme.people["member"]).tf_totp_secret or ""

    assert '"enckey"' in stored
    assert key not in stored
    assert '"key"' not in stored


def test_the_key_is_not_shown_again(app: Flask, member: Visitor) -> None:
    authenticator = set_up_app(app, member)

    page = member.get("/auth/tf-setup").text + member.get("/account/").text

    assert authenticator._totp.base32_key not in page.replace(" ", "")


def test_the_key_is_not_in_the_cookie_in_clear(app: Flask, acme: Workspace, member: Visitor) -> None:
    begun = payload(post_json(member, "/auth/tf-setup", {"setup": "authenticator"}))

    assert begun["tf_authr_b32key"] not in str(contents(app, acme.host, member.cookies()["session"]))


@pytest.mark.parametrize("setup", ["authenticator", "disable"])
def test_changing_the_second_factor_asks_for_a_recent_sign_in(
    app: Flask, clock: Clock, acme: Workspace, member: Visitor, setup: str
) -> None:
    set_up_app(app, member)
    clock.advance(minutes=16)

    assert member.post("/auth/tf-setup", {"setup": setup}).location.startswith("/auth/verify")
    assert post_json(member, "/auth/tf-setup", {"setup": setup}).status_code == 401
    first_step(app, acme)


def test_after_a_step_up_the_second_factor_can_be_turned_off(
    app: Flask, clock: Clock, acme: Workspace, member: Visitor
) -> None:
    set_up_app(app, member)
    clock.advance(minutes=16)
    member.post("/auth/verify", {"password": acme.people["member"].password})

    assert member.post("/auth/tf-setup", {"setup": "disable"}).status_code == 302

    assert Visitor(app, acme.host).sign_in(acme.people["member"]).location == "/"


def test_a_set_up_begun_by_another_user_cannot_be_finished(
    app: Flask, clock: Clock, acme: Workspace, member: Visitor
) -> None:
    """An attacker with a stolen old session would otherwise bring their own app along."""
    clock.advance(minutes=16)
    attacker = sign_in(app, acme, "viewer")
    begun = payload(post_json(attacker, "/auth/tf-setup", {"setup": "authenticator"}))
    code = AuthenticatorApp(app, begun["tf_authr_b32key"]).code()
    answer = post_json(member, f"/auth/tf-setup/{begun['tf_state_token']}", {"code": code})

    assert answer.status_code == 400
    assert Visitor(app, acme.host).sign_in(acme.people["member"]).location == "/"


def test_a_set_up_expires(app: Flask, clock: Clock, acme: Workspace, member: Visitor) -> None:
    begun = payload(post_json(member, "/auth/tf-setup", {"setup": "authenticator"}))
    authenticator = AuthenticatorApp(app, begun["tf_authr_b32key"])
    clock.advance(minutes=31)

    answer = post_json(member, f"/auth/tf-setup/{begun['tf_state_token']}", {"code": authenticator.code()})

    assert answer.status_code == 400


def test_a_recovery_code_signs_in_once(app: Flask, acme: Workspace, member: Visitor) -> None:
    set_up_app(app, member)
    codes = make_recovery_codes(member)
    first, second = first_step(app, acme), first_step(app, acme)

    assert give_code(first, codes[0], "/auth/mf-recovery").status_code == 302
    give_code(second, codes[0], "/auth/mf-recovery")

    assert first.is_signed_in()
    assert sessions_of(app, acme)[-1].methods == "password,recovery code"
    assert not second.is_signed_in()
    give_code(second, codes[1], "/auth/mf-recovery")
    assert second.is_signed_in()


def test_of_eight_browsers_at_once_a_recovery_code_lets_one_in(app: Flask, acme: Workspace, member: Visitor) -> None:
    set_up_app(app, member)
    code = make_recovery_codes(member)[0]
    browsers = [first_step(app, acme) for _ in range(8)]
    tokens = [token_on(browser, "/auth/mf-recovery") for browser in browsers]

    at_once(
        [
            lambda browser=browser, token=token: browser.post("/auth/mf-recovery", {"code": code}, csrf=token)  # type: ignore[misc]
            for browser, token in zip(browsers, tokens, strict=True)
        ]
    )

    assert sum(browser.is_signed_in() for browser in browsers) == 1


def test_new_recovery_codes_void_the_former(app: Flask, acme: Workspace, member: Visitor) -> None:
    set_up_app(app, member)
    former = make_recovery_codes(member)
    make_recovery_codes(member)
    visitor = first_step(app, acme)

    give_code(visitor, former[0], "/auth/mf-recovery")

    assert not visitor.is_signed_in()


def test_a_recovery_code_of_another_user_signs_nobody_in(
    app: Flask, acme: Workspace, member: Visitor, owner: Visitor
) -> None:
    set_up_app(app, member)
    set_up_app(app, owner)
    make_recovery_codes(member)
    of_owner = make_recovery_codes(owner)
    visitor = first_step(app, acme)

    give_code(visitor, of_owner[0], "/auth/mf-recovery")

    assert not visitor.is_signed_in()


def test_recovery_codes_are_encrypted_in_the_database(app: Flask, acme: Workspace, member: Visitor) -> None:
    codes = make_recovery_codes(member)
    with inside(app, acme):
        stored = list(row_of(acme.people["member"]).mf_recovery_codes or ())

    assert len(stored) == len(codes) == 10
    assert not any(code in kept for code in codes for kept in stored)


def test_recovery_codes_are_shown_soon_after_signing_in_only(clock: Clock, member: Visitor) -> None:
    codes = make_recovery_codes(member)
    assert codes[0] in member.get("/auth/mf-recovery-codes?show_codes=1").text
    clock.advance(minutes=16)

    assert member.get("/auth/mf-recovery-codes?show_codes=1").location.startswith("/auth/verify")
    assert member.get("/auth/mf-recovery-codes", headers=JSON).status_code == 401
    assert post_json(member, "/auth/mf-recovery-codes", {}).status_code == 401


def test_a_person_with_a_second_factor_stays_signed_in_as_long_as_asked(
    app: Flask, acme: Workspace, member: Visitor
) -> None:
    authenticator = set_up_app(app, member)
    visitor = Visitor(app, acme.host)
    visitor.sign_in(acme.people["member"], remember=True)
    give_code(visitor, authenticator.code())

    assert sessions_of(app, acme)[-1].remembered
    assert set(visitor.cookies()) == {"session", "device"}


def test_remember_me_does_not_spare_the_second_factor_next_time(app: Flask, acme: Workspace, member: Visitor) -> None:
    authenticator = set_up_app(app, member)
    visitor = Visitor(app, acme.host)
    visitor.sign_in(acme.people["member"], remember=True)
    give_code(visitor, authenticator.code())
    visitor.post("/auth/logout")

    visitor.sign_in(acme.people["member"])

    assert not visitor.is_signed_in()


def test_a_password_reset_does_not_turn_the_second_factor_off(app: Flask, acme: Workspace, member: Visitor) -> None:
    set_up_app(app, member)
    visitor = Visitor(app, acme.host)
    person = acme.people["member"]
    link = ask_reset_link(app, visitor, person)
    visitor.post(link, {"password": NEW_PASSWORD, "password_confirm": NEW_PASSWORD})

    assert not visitor.is_signed_in()
    visitor.sign_in(Person(person.id, person.email, NEW_PASSWORD))
    assert not visitor.is_signed_in()


def test_everybody_else_signs_in_as_before(app: Flask, acme: Workspace, member: Visitor) -> None:
    set_up_app(app, member)
    other = add_person(app, acme)
    visitor = Visitor(app, acme.host)

    visitor.sign_in(other)

    assert visitor.is_signed_in()
    with inside(app, acme):
        assert len(list(g.db.scalars(select(User).where(User.tf_primary_method.is_not(None))))) == 1


def begin_set_up(app: Flask, visitor: Visitor) -> AuthenticatorApp:
    return AuthenticatorApp(
        app, payload(post_json(visitor, "/auth/tf-setup", {"setup": "authenticator"}))["tf_authr_b32key"]
    )


def test_a_set_up_is_finished_with_its_state_only(app: Flask, acme: Workspace, member: Visitor, steady: None) -> None:
    authenticator = begin_set_up(app, member)

    answer = member.post("/auth/tf-validate", {"code": authenticator.code()})

    assert answer.location == "/"
    assert post_json(member, "/auth/tf-validate", {"code": authenticator.code()}).status_code == 400
    assert member.is_signed_in()
    assert Visitor(app, acme.host).sign_in(acme.people["member"]).location == "/"


def test_a_link_to_the_second_step_signs_nobody_out(member: Visitor) -> None:
    member.get("/auth/tf-validate")

    assert member.is_signed_in()


def test_a_set_up_is_not_kept_for_who_signs_in_next(app: Flask, acme: Workspace, member: Visitor) -> None:
    """With a passkey, when the login session that began it is over without a sign-out."""
    device = add_passkey(sign_in(app, acme, "viewer"))
    begin_set_up(app, member)
    with inside(app, acme):
        sessions.end_all(acme.people["member"].id)
    # The sign-in page would forget the set-up.
    headers = JSON | {"X-CSRFToken": token_on(member, "/auth/wan-signin"), "Origin": member.base}
    options: dict[str, Any] = {"base_url": member.base, "headers": headers}
    begun = payload(member.client.post("/auth/wan-signin", json={}, **options))
    body = {"credential": device.get(begun["credential_options"])}
    member.client.post(f"/auth/wan-signin/{begun['wan_state']}", json=body, **options)
    assert member.is_signed_in()

    kept = contents(app, acme.host, member.cookies()["session"])
    assert not {"tf_totp_secret", "tf_primary_method", "tf_state"} & set(kept)
