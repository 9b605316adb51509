"""Pages of invitations, as administrators use them."""

import re
import uuid
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from auth import invitations, roles
from auth.models import Invitation
from tenants.db import now
from tests.auth.helpers import change, inside, link_in, mail_to
from tests.factories import Workspace, add_person
from tests.statements import counted
from tests.visitor import Visitor, sign_in

LIST, NEW = "/admin/invitations/", "/admin/invitations/new"


@pytest.fixture
def admin(app: Flask, acme: Workspace) -> Visitor:
    return sign_in(app, acme, "admin")


def invited(app: Flask, workspace: Workspace, *emails: str, role: str = "member") -> list[uuid.UUID]:
    """Invite these people by the command line; gives back the ids."""
    with inside(app, workspace):
        return [row.id for row in invitations.invite(emails, role, actor=None)]


def pending(app: Flask, workspace: Workspace) -> list[Invitation]:
    with inside(app, workspace) as session:
        return list(session.scalars(select(Invitation).order_by(Invitation.email)))


def addresses(page: str) -> list[str]:
    """The addresses in the list, in their order."""
    return re.findall(r'role="rowheader"[^>]*>([^<]+)<', page)


def test_nobody_is_invited_yet_and_the_page_says_what_to_do(admin: Visitor) -> None:
    page = admin.get(LIST).text
    assert "Nobody is invited just now" in page
    assert NEW in page


def test_many_are_invited_by_one_form(app: Flask, acme: Workspace, admin: Visitor) -> None:
    typed = "a@x.example, b@x.example;c@x.example\r\nVera Vance <d@x.example>\r\n  e@x.example f@x.example\r\n"
    answer = admin.post(NEW, {"emails": typed, "role": "viewer", "ends_on": "2099-12-31"})
    assert answer.headers["Location"] == LIST
    assert "6 invitations are sent" in admin.get(LIST).text
    rows = pending(app, acme)
    assert [row.email for row in rows] == [f"{name}@x.example" for name in "abcdef"]
    assert {row.invited_by for row in rows} == {acme.people["admin"].id}
    assert {row.role_ends_at.isoformat() for row in rows if row.role_ends_at} == {"2099-12-31T23:59:59+00:00"}
    assert "/invitation/" in link_in(mail_to(app, "d@x.example")[-1])


def test_each_wrong_address_is_told_and_nothing_typed_is_lost(app: Flask, acme: Workspace, admin: Visitor) -> None:
    member = acme.people["member"].email
    typed = f"good@x.example\nno-address\n{member}\n<script>alert(1)</script>@x"
    answer = admin.post(NEW, {"emails": typed, "role": "viewer", "ends_on": "2099-12-31"})
    assert answer.status_code == 422
    assert "no-address: is no e-mail address" in answer.text
    assert f"{member}: is a member already" in answer.text
    assert "good@x.example" in answer.text
    assert 'value="2099-12-31"' in answer.text
    assert re.search(r'<option selected value="viewer"', answer.text)
    assert "<script>alert" not in answer.text
    assert pending(app, acme) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"emails": ""},
        {"emails": " , ;\n"},
        {"role": "nobody"},
        {"role": "owner"},
        {"role": ""},
        {"ends_on": "some day"},
        {"ends_on": "2001-01-01"},
        {"emails": " ".join(f"p{number}@x.example" for number in range(101))},
    ],
)
def test_a_wrong_form_invites_nobody(app: Flask, acme: Workspace, admin: Visitor, wrong: dict[str, str]) -> None:
    answer = admin.post(NEW, {"emails": "vera@x.example", "role": "member", "ends_on": ""} | wrong)
    assert answer.status_code == 422
    assert "is-invalid" in answer.text or "alert-danger" in answer.text
    assert pending(app, acme) == []


def test_only_roles_that_one_may_give_are_offered(app: Flask, acme: Workspace, admin: Visitor) -> None:
    def offered(visitor: Visitor) -> list[str]:
        return re.findall(r'<option (?:selected )?value="([a-z. -]+)">', visitor.get(NEW).text)

    assert {"admin", "member", "viewer"} <= set(offered(admin))
    assert not {"owner", "project-editor", "editor"} & set(offered(admin))
    assert "owner" in offered(sign_in(app, acme, "owner"))
    with inside(app, acme):
        roles.create_role("hiring", ["member:manage"], actor=None)
    person = add_person(app, acme, role="hiring")
    visitor = Visitor(app, acme.host)
    visitor.sign_in(person)
    assert "There is no role that you could invite with" in visitor.get(NEW).text


def test_too_many_mails_are_told_and_nothing_typed_is_lost(
    app: Flask, acme: Workspace, admin: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invitations, "MOST_MAILS", 1)
    answer = admin.post(NEW, {"emails": "a@x.example b@x.example", "role": "member", "ends_on": ""})
    assert answer.status_code == 429
    assert "a@x.example b@x.example" in answer.text
    assert pending(app, acme) == []


def test_the_list_shows_what_waits(app: Flask, acme: Workspace, admin: Visitor) -> None:
    invited(app, acme, "by-nobody@x.example", role="viewer")
    admin.post(NEW, {"emails": "by-admin@x.example", "role": "member", "ends_on": "2099-12-31"})
    with inside(app, acme) as session:
        session.scalars(select(Invitation).where(Invitation.email == "by-nobody@x.example")).one().expires_at = now()
    page = admin.get(LIST).text
    for shown in ("Viewer", "Member", "Command line", "Admin", "Expired", "until Dec 31, 2099"):
        assert shown in page
    assert addresses(page) == ["by-admin@x.example", "by-nobody@x.example"]


def test_it_is_searched_sorted_and_paged(app: Flask, acme: Workspace, admin: Visitor) -> None:
    with inside(app, acme) as session:
        role = roles.get_role("member")
        session.add_all(
            Invitation(
                email=f"p{number:03}@x.example",
                role_id=role.id,
                nonce="x",
                expires_at=now() + timedelta(days=1),
                sent_at=now() - timedelta(hours=number),
            )
            for number in range(101)
        )
    assert addresses(admin.get(LIST).text)[0] == "p000@x.example"
    assert addresses(admin.get(f"{LIST}?sort=-email").text)[0] == "p100@x.example"
    assert addresses(admin.get(f"{LIST}?sort=email&page=3").text) == ["p100@x.example"]
    assert addresses(admin.get(f"{LIST}?search=P05").text) == [f"p05{number}@x.example" for number in range(10)]
    assert "Nothing found" in admin.get(f"{LIST}?search=100%25").text
    assert "This page is empty" in admin.get(f"{LIST}?page=9").text
    for wrong in ("sort=nonce", "page=0", "page=1000000"):
        assert admin.get(f"{LIST}?{wrong}").status_code == 404


def test_a_long_list_takes_no_more_statements_than_a_short_one(app: Flask, acme: Workspace, admin: Visitor) -> None:
    def cost() -> int:
        admin.get(LIST)
        with counted(app) as sent:
            assert admin.get(LIST).status_code == 200
        return len(sent)

    invited(app, acme, "one@x.example")
    few = cost()
    for role in ("member", "viewer", "admin"):
        invited(app, acme, *(f"{role}{number}@x.example" for number in range(15)), role=role)
    assert cost() == few


def test_a_new_link_is_sent(app: Flask, acme: Workspace, admin: Visitor) -> None:
    (one,) = invited(app, acme, f"again@{acme.slug}.example")
    assert admin.post(f"{LIST}{one}/resend").headers["Location"] == LIST
    assert "A new link is sent" in admin.get(LIST).text
    first, second = (link_in(message) for message in mail_to(app, f"again@{acme.slug}.example"))
    assert first != second
    assert "Your name" in Visitor(app, acme.host).get("/" + second.split("/", 3)[3]).text


def test_sending_too_often_is_told(app: Flask, acme: Workspace, admin: Visitor) -> None:
    (one,) = invited(app, acme, f"often@{acme.slug}.example")
    for _ in range(invitations.MOST_TO_ONE + 1):
        admin.post(f"{LIST}{one}/resend")
    assert "wait a while" in admin.get(LIST).text


def test_an_invitation_is_revoked(app: Flask, acme: Workspace, admin: Visitor) -> None:
    (one,) = invited(app, acme, "gone@x.example")
    assert "data-confirm" in admin.get(LIST).text
    assert admin.post(f"{LIST}{one}/revoke").headers["Location"] == LIST
    assert "gone@x.example is revoked" in admin.get(LIST).text
    assert pending(app, acme) == []
    assert admin.post(f"{LIST}{one}/revoke").status_code == 404
    assert admin.post(f"{LIST}{one}/resend").status_code == 404


@pytest.mark.parametrize("step", ["resend", "revoke"])
def test_an_admin_changes_no_invitation_of_an_owner(app: Flask, acme: Workspace, admin: Visitor, step: str) -> None:
    (one,) = invited(app, acme, "boss@x.example", role="owner")
    answer = admin.post(f"{LIST}{one}/{step}")
    assert answer.status_code == 403
    assert "Only owners" in answer.text
    assert len(pending(app, acme)) == 1


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_it_is_for_administrators(app: Flask, acme: Workspace, role: str) -> None:
    (one,) = invited(app, acme, "vera@x.example")
    visitor = sign_in(app, acme, role)
    assert visitor.get(LIST).status_code == visitor.get(NEW).status_code == 403
    for path in (NEW, f"{LIST}{one}/resend", f"{LIST}{one}/revoke"):
        assert visitor.post(path, {"emails": "x@x.example", "role": "viewer"}).status_code == 403
    assert LIST not in visitor.get("/").text
    assert len(pending(app, acme)) == 1


def test_another_tenants_invitation_is_none(app: Flask, acme: Workspace, globex: Workspace, admin: Visitor) -> None:
    (one,) = invited(app, globex, "of-globex@x.example")
    for path in (f"{LIST}{one}/resend", f"{LIST}{one}/revoke"):
        assert admin.post(path).status_code == 404
    assert "of-globex@x.example" not in admin.get(LIST).text
    assert len(pending(app, globex)) == 1


def test_a_day_beyond_the_calendar_of_a_time_zone_is_refused(app: Flask, acme: Workspace) -> None:
    change(app, acme, acme.people["admin"], timezone="America/Los_Angeles")
    form = {"emails": f"vera@{acme.slug}.example", "role": "member", "ends_on": "9999-12-31"}
    answer = sign_in(app, acme, "admin").post("/admin/invitations/new", form)
    assert answer.status_code == 422
    assert "too far away" in answer.text
