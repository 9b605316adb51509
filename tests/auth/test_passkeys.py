"""Passkeys, with an authenticator in software."""

import json

import pytest
from flask import Flask
from sqlalchemy import select

from auth.models import Passkey
from tests.auth.authenticator import Passkeys
from tests.auth.conftest import Clock
from tests.auth.helpers import (
    add_passkey,
    ask_passkey,
    change,
    give_code,
    inside,
    payload,
    post_json,
    set_up_app,
    start_passkey,
    token_on,
    use_passkey,
)
from tests.auth.test_sessions import sessions_of
from tests.factories import Workspace
from tests.visitor import Visitor, sign_in


def passkeys_of(app: Flask, workspace: Workspace) -> list[str]:
    with inside(app, workspace) as session:
        return sorted(session.scalars(select(Passkey.name)))


def second_step(visitor: Visitor, device: Passkeys) -> int:
    """Answer with a passkey after the password."""
    headers = {"Accept": "application/json", "X-CSRFToken": token_on(visitor, "/auth/wan-signin")}
    options = {"base_url": visitor.base, "headers": headers}
    begun = payload(visitor.client.post("/auth/wan-signin", json={}, **options))
    assert begun["is_secondary"] is True
    credential = device.get(begun["credential_options"])
    answer = visitor.client.post(f"/auth/wan-signin/{begun['wan_state']}", json={"credential": credential}, **options)
    return answer.status_code


def test_a_registered_passkey_signs_in_without_password(app: Flask, acme: Workspace, member: Visitor) -> None:
    device = add_passkey(member)
    visitor = Visitor(app, acme.host)

    answer = use_passkey(visitor, device)

    assert answer.status_code == 200
    assert visitor.get("/api/v1/me").get_json()["user"]["email"] == acme.people["member"].email
    assert sessions_of(app, acme)[-1].methods == "webauthn"


def test_a_passkey_that_replaces_the_password_asks_the_device_who_is_there(acme: Workspace, member: Visitor) -> None:
    begun = start_passkey(member)
    credential = Passkeys(member.base, verifies_user=False).create(begun["credential_options"])

    assert post_json(member, f"/auth/wan-register/{begun['wan_state']}", {"credential": credential}).status_code == 400


def test_a_passkey_on_a_device_left_unlocked_does_not_spare_the_second_factor(
    app: Flask, acme: Workspace, member: Visitor, steady: None
) -> None:
    device = add_passkey(member)
    set_up_app(app, member)
    device.verifies_user = False
    visitor = Visitor(app, acme.host)

    use_passkey(visitor, device)

    assert not visitor.is_signed_in()


def test_an_answer_counts_once_in_the_same_browser(app: Flask, acme: Workspace, member: Visitor) -> None:
    device = add_passkey(member, counts=False)
    visitor = Visitor(app, acme.host)
    begun = ask_passkey(visitor)
    path, body = f"/auth/wan-signin/{begun['wan_state']}", {"credential": device.get(begun["credential_options"])}
    assert post_json(visitor, path, body).status_code == 200
    visitor.post("/auth/logout")

    post_json(visitor, path, body)

    assert not visitor.is_signed_in()


def test_an_answer_sent_again_with_the_cookie_of_then_is_refused(app: Flask, acme: Workspace, member: Visitor) -> None:
    device = add_passkey(member, counts=False)
    visitor = Visitor(app, acme.host)
    begun = ask_passkey(visitor)
    path, body = f"/auth/wan-signin/{begun['wan_state']}", {"credential": device.get(begun["credential_options"])}
    token, kept = visitor.csrf_token(), visitor.cookies()
    assert post_json(visitor, path, body).status_code == 200

    thief = Visitor(app, acme.host)
    thief.take_cookies(kept)
    thief.client.post(path, base_url=thief.base, json=body, headers={"X-CSRFToken": token})

    assert not thief.is_signed_in()


def test_a_copied_authenticator_that_counts_is_refused(app: Flask, acme: Workspace, member: Visitor) -> None:
    device = add_passkey(member)
    for _ in range(2):
        assert use_passkey(Visitor(app, acme.host), device).status_code == 200
    device.signatures -= 2
    visitor = Visitor(app, acme.host)

    assert use_passkey(visitor, device).status_code == 400
    assert not visitor.is_signed_in()


def test_a_challenge_given_to_another_browser_is_refused(app: Flask, acme: Workspace, member: Visitor) -> None:
    device = add_passkey(member)
    victim, attacker = Visitor(app, acme.host), Visitor(app, acme.host)
    begun = ask_passkey(attacker)
    ask_passkey(victim)

    body = {"credential": device.get(begun["credential_options"])}
    answer = post_json(victim, f"/auth/wan-signin/{begun['wan_state']}", body)

    assert answer.status_code == 400
    assert not victim.is_signed_in()


def test_a_challenge_of_another_workspace_is_refused(
    app: Flask, acme: Workspace, globex: Workspace, member: Visitor
) -> None:
    device = add_passkey(member)
    visitor, elsewhere = Visitor(app, acme.host), Visitor(app, globex.host)
    begun = ask_passkey(elsewhere)

    body = {"credential": device.get(begun["credential_options"] | {"rpId": acme.host})}
    answer = post_json(visitor, f"/auth/wan-signin/{begun['wan_state']}", body)

    assert answer.status_code == 400
    assert not visitor.is_signed_in()


def test_a_passkey_of_one_workspace_opens_no_other(
    app: Flask, acme: Workspace, globex: Workspace, member: Visitor
) -> None:
    device = add_passkey(member)
    device.origin = f"http://{globex.host}"
    elsewhere = Visitor(app, globex.host)

    assert use_passkey(elsewhere, device).status_code == 400
    assert not elsewhere.is_signed_in()


def test_an_answer_made_for_another_origin_is_refused(app: Flask, acme: Workspace, member: Visitor) -> None:
    device = add_passkey(member)
    for origin in ("http://evil.example", f"http://evil.{acme.host}", "http://localhost", f"https://{acme.host}"):
        device.origin = origin
        visitor = Visitor(app, acme.host)
        assert use_passkey(visitor, device).status_code == 400
        assert not visitor.is_signed_in()


def test_an_answer_signed_by_another_key_is_refused(app: Flask, acme: Workspace, member: Visitor) -> None:
    device, forged = add_passkey(member), Passkeys(member.base)
    forged.create({"user": {"id": "x"}, "rp": {"id": acme.host}, "challenge": "eA"})
    [(identifier, (_, handle))] = device.keys.items()
    [(_, (key, _))] = forged.keys.items()
    forged.keys = {identifier: (key, handle)}
    forged.signatures = 100
    visitor = Visitor(app, acme.host)

    assert use_passkey(visitor, forged).status_code == 400
    assert not visitor.is_signed_in()


def test_a_challenge_expires(app: Flask, clock: Clock, acme: Workspace, member: Visitor) -> None:
    device = add_passkey(member)
    visitor = Visitor(app, acme.host)
    begun = ask_passkey(visitor)
    clock.advance(minutes=2)

    body = {"credential": device.get(begun["credential_options"])}

    assert post_json(visitor, f"/auth/wan-signin/{begun['wan_state']}", body).status_code == 400
    assert not visitor.is_signed_in()


@pytest.mark.parametrize("values", [{"active": False}, {"confirmed_at": None}])
def test_a_passkey_lets_in_nobody_whom_the_gate_refuses(
    app: Flask, acme: Workspace, member: Visitor, values: dict[str, object]
) -> None:
    device = add_passkey(member)
    change(app, acme, acme.people["member"], **values)
    visitor = Visitor(app, acme.host)

    assert use_passkey(visitor, device).status_code in (400, 403)
    assert not visitor.is_signed_in()


def test_a_passkey_can_be_the_second_factor(app: Flask, acme: Workspace, member: Visitor) -> None:
    device = add_passkey(member, "secondary")
    visitor = Visitor(app, acme.host)
    assert visitor.sign_in(acme.people["member"]).location.startswith("/auth/wan-signin")
    assert not visitor.is_signed_in()

    assert second_step(visitor, device) == 200

    assert visitor.is_signed_in()
    assert sessions_of(app, acme)[-1].methods == "password,passkey"


def test_a_passkey_of_another_user_is_no_second_factor(
    app: Flask, acme: Workspace, member: Visitor, owner: Visitor
) -> None:
    add_passkey(member, "secondary")
    of_owner = add_passkey(owner, "secondary")
    visitor = Visitor(app, acme.host)
    visitor.sign_in(acme.people["member"])

    assert second_step(visitor, of_owner) == 400
    assert not visitor.is_signed_in()


def test_a_passkey_made_as_second_factor_does_not_replace_the_password(
    app: Flask, acme: Workspace, member: Visitor
) -> None:
    device = add_passkey(member, "secondary")
    visitor = Visitor(app, acme.host)

    assert use_passkey(visitor, device).status_code == 400
    assert not visitor.is_signed_in()


def test_the_second_step_by_passkey_comes_soon_after_the_first(
    app: Flask, clock: Clock, acme: Workspace, member: Visitor
) -> None:
    device = add_passkey(member, "secondary")
    visitor = Visitor(app, acme.host)
    visitor.sign_in(acme.people["member"])
    clock.advance(minutes=11)

    assert second_step(visitor, device) == 400
    assert not visitor.is_signed_in()


def test_a_passkey_confirms_who_one_is(app: Flask, clock: Clock, acme: Workspace, member: Visitor) -> None:
    device = add_passkey(member)
    clock.advance(minutes=16)
    assert member.get("/auth/wan-register").status_code == 302
    before = member.cookies()

    assert use_passkey(member, device, "wan-verify").status_code == 200

    assert member.get("/auth/wan-register").status_code == 200
    thief = Visitor(app, acme.host)
    thief.take_cookies(before)
    assert not thief.is_signed_in()


def test_a_passkey_of_another_user_confirms_nothing(app: Flask, clock: Clock, member: Visitor, owner: Visitor) -> None:
    of_owner = add_passkey(owner)
    clock.advance(minutes=16)

    assert use_passkey(member, of_owner, "wan-verify").status_code == 400
    assert member.get("/auth/wan-register").status_code == 302


def test_registering_asks_for_a_recent_sign_in(app: Flask, clock: Clock, acme: Workspace, member: Visitor) -> None:
    clock.advance(minutes=16)

    assert post_json(member, "/auth/wan-register", {"name": "x", "usage": "first"}).status_code == 401
    assert passkeys_of(app, acme) == []


def test_a_registration_begun_by_another_user_cannot_be_finished(
    app: Flask, clock: Clock, acme: Workspace, member: Visitor
) -> None:
    """An attacker with a stolen old session would otherwise bring their own passkey along."""
    clock.advance(minutes=16)
    attacker = sign_in(app, acme, "viewer")
    begun = start_passkey(attacker)
    credential = Passkeys(attacker.base).create(begun["credential_options"])

    answer = post_json(member, f"/auth/wan-register/{begun['wan_state']}", {"credential": credential})

    assert answer.status_code == 400
    assert passkeys_of(app, acme) == []


def test_a_registration_begun_in_another_browser_cannot_be_finished(
    app: Flask, acme: Workspace, member: Visitor
) -> None:
    other = sign_in(app, acme)
    begun = start_passkey(other)
    credential = Passkeys(other.base).create(begun["credential_options"])

    assert post_json(member, f"/auth/wan-register/{begun['wan_state']}", {"credential": credential}).status_code == 400


def test_a_registration_for_another_origin_is_refused(app: Flask, acme: Workspace, member: Visitor) -> None:
    begun = start_passkey(member)
    credential = Passkeys("http://evil.example").create(begun["credential_options"])

    assert post_json(member, f"/auth/wan-register/{begun['wan_state']}", {"credential": credential}).status_code == 400
    assert passkeys_of(app, acme) == []


def test_a_passkey_is_registered_once(app: Flask, acme: Workspace, member: Visitor) -> None:
    device = Passkeys(member.base)
    begun = start_passkey(member)
    body = {"credential": device.create(begun["credential_options"])}
    post_json(member, f"/auth/wan-register/{begun['wan_state']}", body)

    assert post_json(member, f"/auth/wan-register/{begun['wan_state']}", body).status_code == 400
    assert passkeys_of(app, acme) == ["laptop"]


def test_two_passkeys_of_a_person_have_different_names(app: Flask, acme: Workspace, member: Visitor) -> None:
    add_passkey(member)

    assert post_json(member, "/auth/wan-register", {"name": "laptop", "usage": "first"}).status_code == 400
    add_passkey(member, name="phone")
    assert passkeys_of(app, acme) == ["laptop", "phone"]


@pytest.mark.parametrize("name", ["", "x" * 65, "😀" * 65, "<b>"])
def test_an_unusable_name_of_a_passkey_is_refused(member: Visitor, name: str) -> None:
    assert post_json(member, "/auth/wan-register", {"name": name, "usage": "first"}).status_code == 400


def test_a_deleted_passkey_signs_nobody_in(app: Flask, acme: Workspace, member: Visitor) -> None:
    device = add_passkey(member)
    assert member.post("/auth/wan-delete", {"name": "laptop"}).status_code == 302
    assert passkeys_of(app, acme) == []
    visitor = Visitor(app, acme.host)

    assert use_passkey(visitor, device).status_code == 400
    assert not visitor.is_signed_in()


def test_nobody_deletes_the_passkey_of_another_person(
    app: Flask, acme: Workspace, member: Visitor, owner: Visitor
) -> None:
    add_passkey(owner, name="key of the owner")

    assert post_json(member, "/auth/wan-delete", {"name": "key of the owner"}).status_code == 400
    assert passkeys_of(app, acme) == ["key of the owner"]


def test_deleting_asks_for_a_recent_sign_in(app: Flask, clock: Clock, acme: Workspace, member: Visitor) -> None:
    add_passkey(member)
    clock.advance(minutes=16)

    member.post("/auth/wan-delete", {"name": "laptop"})

    assert passkeys_of(app, acme) == ["laptop"]


def test_asking_for_a_passkey_tells_nothing_of_anybody(app: Flask, acme: Workspace, member: Visitor) -> None:
    add_passkey(member)
    visitor = Visitor(app, acme.host)
    seen = []
    for identity in (acme.people["member"].email, f"nobody@{acme.slug}.example"):
        answer = payload(post_json(visitor, "/auth/wan-signin", {"identity": identity}))
        seen.append({**answer["credential_options"], "challenge": ""})

    assert seen[0] == seen[1]
    assert not seen[0]["allowCredentials"]


def test_a_person_with_both_chooses_between_app_and_passkey(
    app: Flask, acme: Workspace, member: Visitor, steady: None
) -> None:
    add_passkey(member, "secondary")
    authenticator = set_up_app(app, member)
    visitor = Visitor(app, acme.host)
    assert visitor.sign_in(acme.people["member"]).location.startswith("/auth/tf-select")

    token = token_on(visitor, "/auth/tf-select")
    chosen = visitor.post("/auth/tf-select", {"which": "authenticator"}, csrf=token)

    assert chosen.location.startswith("/auth/tf-validate")
    give_code(visitor, authenticator.code())
    assert visitor.is_signed_in()


@pytest.mark.parametrize(
    ("extensions", "kept"),
    [
        ('{"credProps": {"rk": true}}', True),
        ("{}", True),
        ("no JSON", False),
        ("[]", False),
        ("null", False),
        ('{"credProps": 1}', False),
        ('{"credProps": null}', False),
        ("[" * 5000, False),
        ({"credProps": {}}, False),
        (7, False),
    ],
)
def test_what_a_browser_says_of_a_passkey_never_spoils_the_page(
    app: Flask, acme: Workspace, member: Visitor, extensions: object, kept: bool
) -> None:
    begun = start_passkey(member)
    credential = json.loads(Passkeys(member.base).create(begun["credential_options"])) | {"extensions": extensions}

    body = {"credential": json.dumps(credential)}
    assert post_json(member, f"/auth/wan-register/{begun['wan_state']}", body).status_code == 200

    assert member.get("/auth/wan-register").status_code == 200
    with inside(app, acme) as session:
        assert session.scalar(select(Passkey.extensions)) == (extensions if kept else None)
