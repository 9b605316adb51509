"""Which passwords we accept, and how they are changed, reset and confirmed by mail."""

import unicodedata

import pytest
from flask import Flask

from auth import passwords, users
from auth.errors import UnsuitablePassword
from auth.throttle import PER_ACCOUNT
from tests.auth.conftest import Clock
from tests.auth.helpers import (
    NEW_PASSWORD,
    ask_reset_link,
    change,
    inside,
    link_in,
    mail_to,
    path_of,
    post_json,
)
from tests.factories import PASSWORD, Workspace, add_person
from tests.visitor import Visitor, sign_in

EMOJI = "😀😁😂🤣😃😄😅😆😉😊"
HANGUL = "한글로된비밀번호"
LONGEST = 1024

ACCEPTED = {
    "eight characters": "k7-Qz!pw",
    "spaces inside": "a b c d e f g",
    "spaces around": "  a good one  ",
    "eight of any script": HANGUL,
    "four-byte characters": EMOJI,
    "1,024 letters": ("correct horse battery staple " * 40)[:LONGEST],
    "1,024 four-byte characters": (EMOJI * 110)[:LONGEST],
    "1,024 Hangul syllables": (HANGUL * 130)[:LONGEST],
    "1,024 Hangul syllables, decomposed": unicodedata.normalize("NFD", (HANGUL * 130)[:LONGEST]),
}
REFUSED = {
    "seven characters": "k7-Qz!p",
    "a common one": "password1",
    "a common one in another case": "PassWord1",
    "one character again and again": "aaaaaaaaaaaa",
    "two characters again and again": "abababababab",
    "1,025 letters": ("correct horse battery staple " * 40)[: LONGEST + 1],
    "1,025 four-byte characters": (EMOJI * 110)[: LONGEST + 1],
    "eight spaces": " " * 8,
}


def change_password(visitor: Visitor, old: str, new: str, again: str | None = None) -> int:
    answer = visitor.post(
        "/auth/change",
        {"password": old, "new_password": new, "new_password_confirm": new if again is None else again},
    )
    return answer.status_code


def signs_in(app: Flask, workspace: Workspace, email: str, password: str) -> bool:
    visitor = Visitor(app, workspace.host)
    visitor.post("/auth/login", {"email": email, "password": password})
    return visitor.is_signed_in()


@pytest.mark.parametrize("password", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_a_password_is_accepted_and_signs_in(app: Flask, acme: Workspace, member: Visitor, password: str) -> None:
    assert change_password(member, PASSWORD, password) == 302

    email = acme.people["member"].email
    assert signs_in(app, acme, email, password)
    assert not signs_in(app, acme, email, PASSWORD)


@pytest.mark.parametrize("password", REFUSED.values(), ids=REFUSED.keys())
def test_a_password_is_refused_and_the_old_one_stays(
    app: Flask, acme: Workspace, member: Visitor, password: str
) -> None:
    assert change_password(member, PASSWORD, password) == 200

    email = acme.people["member"].email
    assert not signs_in(app, acme, email, password)
    assert signs_in(app, acme, email, PASSWORD)


@pytest.mark.parametrize("kind", ["seven characters", "a common one", "1,025 four-byte characters"])
def test_a_reset_refuses_what_a_change_refuses(app: Flask, acme: Workspace, visitor: Visitor, kind: str) -> None:
    password = REFUSED[kind]
    link = ask_reset_link(app, visitor, acme.people["member"])

    assert visitor.post(link, {"password": password, "password_confirm": password}).status_code == 200
    assert not signs_in(app, acme, acme.people["member"].email, password)


@pytest.mark.parametrize("password", REFUSED.values(), ids=REFUSED.keys())
def test_a_new_user_gets_no_such_password(app: Flask, acme: Workspace, password: str) -> None:
    with inside(app, acme), pytest.raises(UnsuitablePassword):
        users.create_user(f"new@{acme.slug}.example", password=password)


@pytest.mark.parametrize("character", ["x", "😀", "한"])
def test_no_password_is_ever_cut_off(app: Flask, acme: Workspace, member: Visitor, character: str) -> None:
    password = ("ab" + character) * 400
    password = password[:LONGEST]
    change_password(member, PASSWORD, password)

    email = acme.people["member"].email
    assert signs_in(app, acme, email, password)
    assert not signs_in(app, acme, email, password[:-1])
    assert not signs_in(app, acme, email, password + "x")
    assert not signs_in(app, acme, email, password[:72])


def test_a_password_is_the_same_however_its_accents_are_typed(app: Flask, acme: Workspace, member: Visitor) -> None:
    password = "crème brûlée à la carte"
    change_password(member, PASSWORD, unicodedata.normalize("NFC", password))

    assert signs_in(app, acme, acme.people["member"].email, unicodedata.normalize("NFD", password))


def test_spaces_around_a_password_belong_to_it(app: Flask, acme: Workspace, member: Visitor) -> None:
    change_password(member, PASSWORD, f" {NEW_PASSWORD} ")

    assert not signs_in(app, acme, acme.people["member"].email, NEW_PASSWORD)


def test_a_password_with_nul_is_refused(app: Flask, acme: Workspace, member: Visitor) -> None:
    assert change_password(member, PASSWORD, "one\0and two") == 400
    assert signs_in(app, acme, acme.people["member"].email, PASSWORD)


def test_a_password_with_nul_from_a_program_is_never_taken_for_its_beginning(
    app: Flask, acme: Workspace, member: Visitor
) -> None:
    hidden = "a good beginning\0and an end"
    body = {"password": PASSWORD, "new_password": hidden, "new_password_confirm": hidden}

    assert post_json(member, "/auth/change", body).status_code < 500
    assert not signs_in(app, acme, acme.people["member"].email, "a good beginning")


def test_a_change_asks_for_the_old_password(app: Flask, acme: Workspace, member: Visitor) -> None:
    assert change_password(member, "wrong horse battery", NEW_PASSWORD) == 200
    assert change_password(member, "", NEW_PASSWORD) == 200

    assert not signs_in(app, acme, acme.people["member"].email, NEW_PASSWORD)


def test_a_change_to_the_same_password_is_refused(member: Visitor) -> None:
    assert change_password(member, PASSWORD, PASSWORD) == 200


def test_a_change_to_the_same_password_typed_otherwise_is_refused(member: Visitor) -> None:
    accented = "crème brûlée à la carte"
    change_password(member, PASSWORD, unicodedata.normalize("NFC", accented))

    assert change_password(member, accented, unicodedata.normalize("NFD", accented)) == 200


def test_a_new_password_is_typed_twice(app: Flask, acme: Workspace, member: Visitor) -> None:
    assert change_password(member, PASSWORD, NEW_PASSWORD, "something else entirely") == 200
    assert not signs_in(app, acme, acme.people["member"].email, NEW_PASSWORD)


def test_the_owner_of_an_address_hears_of_a_change(app: Flask, acme: Workspace, member: Visitor) -> None:
    change_password(member, PASSWORD, NEW_PASSWORD)

    assert len(mail_to(app, acme.people["member"].email)) == 1


def test_a_person_without_password_adds_one_soon_after_signing_in(app: Flask, acme: Workspace, member: Visitor) -> None:
    change(app, acme, acme.people["member"], password=None)

    assert change_password(member, "", NEW_PASSWORD) == 302
    assert signs_in(app, acme, acme.people["member"].email, NEW_PASSWORD)


def test_a_person_without_password_adds_none_long_after_signing_in(
    app: Flask, clock: Clock, acme: Workspace, member: Visitor
) -> None:
    change(app, acme, acme.people["member"], password=None)
    clock.advance(minutes=20)

    change_password(member, "", NEW_PASSWORD)

    assert not signs_in(app, acme, acme.people["member"].email, NEW_PASSWORD)


def test_a_forgotten_password_is_replaced_by_a_link(app: Flask, acme: Workspace, visitor: Visitor) -> None:
    link = ask_reset_link(app, visitor, acme.people["member"])
    assert visitor.get(link).status_code == 200

    answer = visitor.post(link, {"password": NEW_PASSWORD, "password_confirm": NEW_PASSWORD})

    assert answer.status_code == 302
    assert not visitor.is_signed_in()
    assert signs_in(app, acme, acme.people["member"].email, NEW_PASSWORD)


def test_links_lead_to_the_workspaces_own_host(app: Flask, acme: Workspace, visitor: Visitor) -> None:
    visitor.post("/auth/reset", {"email": acme.people["member"].email})

    assert link_in(mail_to(app, acme.people["member"].email)[0]).startswith(f"http://{acme.host}/auth/reset/")


def test_a_forged_host_reaches_no_link(app: Flask, acme: Workspace, visitor: Visitor) -> None:
    token = visitor.csrf_token()
    email = acme.people["member"].email
    for headers in ({"X-Forwarded-Host": "evil.example"}, {"Forwarded": "host=evil.example"}):
        visitor.post("/auth/reset", {"email": email}, csrf=token, headers=headers)

    messages = mail_to(app, email)
    assert messages
    assert not any("evil.example" in message.body + str(message.alternatives) for message in messages)


def test_a_reset_link_works_once(app: Flask, acme: Workspace, visitor: Visitor) -> None:
    link = ask_reset_link(app, visitor, acme.people["member"])
    visitor.post(link, {"password": NEW_PASSWORD, "password_confirm": NEW_PASSWORD})

    assert visitor.get(link).location == "/auth/reset"
    again = visitor.post(link, {"password": "a third horse battery", "password_confirm": "a third horse battery"})
    assert again.location == "/auth/reset"
    assert signs_in(app, acme, acme.people["member"].email, NEW_PASSWORD)


def test_an_older_reset_link_dies_with_the_password_that_it_was_for(
    app: Flask, acme: Workspace, visitor: Visitor, member: Visitor
) -> None:
    link = ask_reset_link(app, visitor, acme.people["member"])
    change_password(member, PASSWORD, NEW_PASSWORD)

    assert visitor.get(link).location == "/auth/reset"


def test_a_reset_link_expires(app: Flask, clock: Clock, acme: Workspace, visitor: Visitor) -> None:
    link = ask_reset_link(app, visitor, acme.people["member"])
    clock.advance(days=1, minutes=1)

    assert visitor.get(link).location == "/auth/reset"
    answer = visitor.post(link, {"password": NEW_PASSWORD, "password_confirm": NEW_PASSWORD})
    assert answer.location == "/auth/reset"
    assert not signs_in(app, acme, acme.people["member"].email, NEW_PASSWORD)


@pytest.mark.parametrize("token", ["x", "a.b.c", "é", "%00", "x" * 2000, "WyJ4Il0.x.y"])
def test_an_invented_link_is_refused(app: Flask, visitor: Visitor, token: str) -> None:
    for kind in ("reset", "confirm", "change-email"):
        assert visitor.get(f"/auth/{kind}/{token}").status_code in (302, 400, 404)


def test_a_reset_link_does_not_confirm_an_address(app: Flask, acme: Workspace, visitor: Visitor) -> None:
    link = ask_reset_link(app, visitor, acme.people["member"])
    token = link.rsplit("/", 1)[1]
    for kind in ("confirm", "change-email"):
        assert visitor.get(f"/auth/{kind}/{token}").status_code == 302
    assert visitor.get(link).status_code == 200


def test_a_reset_does_not_let_a_deactivated_person_in(app: Flask, acme: Workspace, visitor: Visitor) -> None:
    link = ask_reset_link(app, visitor, acme.people["member"])
    change(app, acme, acme.people["member"], active=False)

    visitor.post(link, {"password": NEW_PASSWORD, "password_confirm": NEW_PASSWORD})

    assert not signs_in(app, acme, acme.people["member"].email, NEW_PASSWORD)


def test_a_confirmation_link_confirms_once(app: Flask, acme: Workspace, visitor: Visitor) -> None:
    person = acme.people["member"]
    change(app, acme, person, confirmed_at=None)
    visitor.post("/auth/confirm", {"email": person.email})
    message = mail_to(app, person.email)[-1]
    assert link_in(message).startswith(f"http://{acme.host}/auth/confirm/")

    assert visitor.get(path_of(link_in(message))).status_code == 302

    assert not visitor.is_signed_in()
    assert signs_in(app, acme, person.email, PASSWORD)
    assert visitor.get(path_of(link_in(message))).location == "/auth/confirm"


def test_a_confirmation_link_expires(app: Flask, clock: Clock, acme: Workspace, visitor: Visitor) -> None:
    person = acme.people["member"]
    change(app, acme, person, confirmed_at=None)
    visitor.post("/auth/confirm", {"email": person.email})
    clock.advance(days=2, minutes=1)

    visitor.get(path_of(link_in(mail_to(app, person.email)[-1])))

    assert not signs_in(app, acme, person.email, PASSWORD)


def ask_new_address(app: Flask, visitor: Visitor, address: str) -> str | None:
    """Ask to change the address; gives back the path of the link, if one was sent."""
    visitor.post("/auth/change-email", {"email": address})
    messages = mail_to(app, address)
    return path_of(link_in(messages[-1])) if messages else None


def my_address(visitor: Visitor) -> str:
    return str(visitor.get("/api/v1/me").get_json()["user"]["email"])


def test_an_address_changes_when_the_link_is_opened(app: Flask, acme: Workspace, member: Visitor) -> None:
    new = f"new@{acme.slug}.example"
    link = ask_new_address(app, member, new)
    assert my_address(member) == acme.people["member"].email

    member.get(link)

    assert my_address(member) == new
    assert signs_in(app, acme, new, PASSWORD)
    assert not signs_in(app, acme, acme.people["member"].email, PASSWORD)


def test_a_link_to_change_an_address_works_once(app: Flask, acme: Workspace, member: Visitor) -> None:
    first = ask_new_address(app, member, f"first@{acme.slug}.example")
    member.get(first)
    second = ask_new_address(app, member, f"second@{acme.slug}.example")
    member.get(second)

    member.get(first)

    assert my_address(member) == f"second@{acme.slug}.example"


def test_a_link_to_change_an_address_expires(app: Flask, clock: Clock, acme: Workspace, member: Visitor) -> None:
    link = ask_new_address(app, member, f"new@{acme.slug}.example")
    clock.advance(hours=2, minutes=1)

    member.get(link)

    assert my_address(member) == acme.people["member"].email


@pytest.mark.parametrize("spelling", [str.lower, str.upper])
def test_an_address_that_somebody_has_is_not_given_twice(
    app: Flask, acme: Workspace, member: Visitor, spelling: object
) -> None:
    taken = spelling(acme.people["owner"].email)  # type: ignore[operator]
    free = member.post("/auth/change-email", {"email": f"new@{acme.slug}.example"})
    refused = member.post("/auth/change-email", {"email": taken})

    assert mail_to(app, acme.people["owner"].email) == mail_to(app, taken) == []
    assert refused.status_code == free.status_code


@pytest.mark.parametrize("spelling", [str.lower, str.title])
def test_an_address_taken_while_the_link_was_on_its_way_is_refused(
    app: Flask, acme: Workspace, member: Visitor, spelling: object
) -> None:
    address = spelling(f"new@{acme.slug}.example")  # type: ignore[operator]
    member.post("/auth/change-email", {"email": address})
    outbox = app.extensions["mailman"].outbox
    link = path_of(link_in(outbox[-1]))
    add_person(app, acme, email=f"new@{acme.slug}.example")

    assert member.get(link).status_code == 302

    assert my_address(member) == acme.people["member"].email


def test_an_address_of_another_workspace_can_be_taken(
    app: Flask, acme: Workspace, globex: Workspace, member: Visitor
) -> None:
    address = globex.people["owner"].email
    member.get(ask_new_address(app, member, address))

    assert my_address(member) == address
    assert signs_in(app, globex, address, PASSWORD)


@pytest.mark.parametrize("address", ["", "no address", "a@", "@b", "a" * 400 + "@example.com"])
def test_what_is_no_address_is_refused_with_a_message(member: Visitor, acme: Workspace, address: str) -> None:
    page = member.post("/auth/change-email", {"email": address})

    assert page.status_code == 200
    assert 'aria-invalid="true"' in page.text
    assert my_address(member) == acme.people["member"].email


def test_a_change_of_address_asks_for_a_recent_sign_in(
    app: Flask, clock: Clock, acme: Workspace, member: Visitor
) -> None:
    clock.advance(minutes=20)

    answer = member.post("/auth/change-email", {"email": f"new@{acme.slug}.example"})

    assert answer.location.startswith("/auth/verify")
    assert mail_to(app, f"new@{acme.slug}.example") == []


def test_a_welcome_link_sets_the_first_password(app: Flask, acme: Workspace, visitor: Visitor) -> None:
    address = f"new@{acme.slug}.example"
    with inside(app, acme):
        users.send_welcome(users.create_user(address))
    link = link_in(mail_to(app, address)[0])
    assert link.startswith(f"http://{acme.host}/auth/reset/")

    visitor.post(path_of(link), {"password": NEW_PASSWORD, "password_confirm": NEW_PASSWORD})

    assert signs_in(app, acme, address, NEW_PASSWORD)


def test_passwords_are_kept_as_argon2id_hashes(app: Flask, acme: Workspace) -> None:
    with inside(app, acme):
        assert passwords.hash_new(NEW_PASSWORD).startswith("$argon2id$")
        assert passwords.hash_new(NEW_PASSWORD) != passwords.hash_new(NEW_PASSWORD)


def test_a_reset_link_does_not_outlive_the_address_that_it_was_sent_to(
    app: Flask, acme: Workspace, member: Visitor, visitor: Visitor
) -> None:
    stale = ask_reset_link(app, visitor, acme.people["member"])
    member.get(ask_new_address(app, member, f"new@{acme.slug}.example"))

    visitor.post(stale, {"password": NEW_PASSWORD, "password_confirm": NEW_PASSWORD})

    assert not signs_in(app, acme, f"new@{acme.slug}.example", NEW_PASSWORD)
    assert signs_in(app, acme, f"new@{acme.slug}.example", PASSWORD)


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_a_change_of_address_ends_the_other_sessions(
    app: Flask, acme: Workspace, member: Visitor, visitor: Visitor, where: str
) -> None:
    other = sign_in(app, acme, "member")
    link = ask_new_address(app, member, f"new@{acme.slug}.example")

    (member if where == "here" else visitor).get(link)

    assert not other.is_signed_in()
    assert member.is_signed_in() == (where == "here")
    assert not visitor.is_signed_in()


def test_the_former_address_hears_of_a_change(app: Flask, acme: Workspace, member: Visitor) -> None:
    member.get(ask_new_address(app, member, f"new@{acme.slug}.example"))

    notice = mail_to(app, acme.people["member"].email)[-1]
    assert notice.subject == "Your e-mail address was changed"
    assert "has been changed" in notice.body


@pytest.mark.parametrize("known", [True, False])
def test_nobody_has_mail_sent_to_strangers_without_end(
    app: Flask, acme: Workspace, member: Visitor, known: bool
) -> None:
    addresses = [acme.people["owner"].email if known else f"new{number}@{acme.slug}.example" for number in range(12)]

    statuses = [member.post("/auth/change-email", {"email": address}).status_code for address in addresses]

    assert statuses == [200] * PER_ACCOUNT + [429] * 2
    assert mail_to(app, addresses[-1]) == []
