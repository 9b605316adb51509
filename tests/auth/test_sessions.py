"""Login sessions: how long they last, and who ends them."""

import re
import uuid

import pytest
from flask import Flask, g
from sqlalchemy import select

from auth import users
from auth.models import LoginSession
from tests.auth.conftest import Clock
from tests.auth.helpers import NEW_PASSWORD, ask_reset_link, inside, row_of
from tests.auth.test_cookies import set_cookies
from tests.factories import PASSWORD, Workspace
from tests.visitor import Visitor, sign_in


def sessions_of(app: Flask, workspace: Workspace, role: str = "member") -> list[LoginSession]:
    with inside(app, workspace) as session:
        return list(
            session.scalars(
                select(LoginSession).where(LoginSession.user_id == workspace.people[role].id).order_by(LoginSession.id)
            )
        )


def remembered(app: Flask, workspace: Workspace) -> Visitor:
    visitor = Visitor(app, workspace.host)
    assert visitor.sign_in(workspace.people["member"], remember=True).status_code == 302
    return visitor


def test_remember_me_makes_the_cookie_last(visitor: Visitor, acme: Workspace) -> None:
    cookie = set_cookies(visitor.sign_in(acme.people["member"], remember=True))["session"]

    assert cookie["expires"]


@pytest.mark.parametrize("remember", [False, True])
def test_there_is_no_second_cookie_that_signs_in(visitor: Visitor, acme: Workspace, remember: bool) -> None:
    answer = visitor.sign_in(acme.people["member"], remember=remember)

    assert set(set_cookies(answer)) == {"session", "device"}
    assert visitor.is_signed_in()
    assert set(visitor.cookies()) == {"session", "device"}


def test_a_remember_cookie_of_flask_login_signs_nobody_in(app: Flask, acme: Workspace, visitor: Visitor) -> None:
    with inside(app, acme):
        handle = row_of(acme.people["member"]).fs_uniquifier
    visitor.take_cookies({"remember_token": f"{handle}|0"})

    assert not visitor.is_signed_in()


def test_the_device_cookie_alone_signs_nobody_in(app: Flask, acme: Workspace, member: Visitor) -> None:
    other = Visitor(app, acme.host)
    other.take_cookies({"device": member.cookies()["device"]})

    assert not other.is_signed_in()


def test_an_idle_session_ends(app: Flask, clock: Clock, member: Visitor) -> None:
    idle = app.extensions["tenants"].settings.session_idle_minutes
    clock.advance(minutes=idle - 1)
    assert member.is_signed_in()
    clock.advance(minutes=idle + 1)
    assert not member.is_signed_in()


def test_a_used_session_outlives_the_idle_limit_but_not_the_absolute_one(
    app: Flask, clock: Clock, member: Visitor
) -> None:
    settings = app.extensions["tenants"].settings
    passed = 0
    while passed + settings.session_idle_minutes - 5 < settings.session_hours * 60:
        clock.advance(minutes=settings.session_idle_minutes - 5)
        passed += settings.session_idle_minutes - 5
        assert member.is_signed_in()
    clock.advance(minutes=settings.session_hours * 60 - passed + 1)
    assert not member.is_signed_in()


def test_a_remembered_session_outlives_both_limits_of_others(app: Flask, clock: Clock, acme: Workspace) -> None:
    visitor = remembered(app, acme)
    clock.advance(hours=app.extensions["tenants"].settings.session_hours + 1)

    assert visitor.is_signed_in()


def test_a_remembered_session_ends_at_its_age_although_it_is_used(app: Flask, clock: Clock, acme: Workspace) -> None:
    visitor = remembered(app, acme)
    days = app.extensions["tenants"].settings.session_remembered_days
    clock.advance(days=days - 1)
    assert visitor.is_signed_in()
    clock.advance(days=1, minutes=1)
    assert not visitor.is_signed_in()


def test_a_step_up_does_not_lengthen_a_session(app: Flask, clock: Clock, acme: Workspace, member: Visitor) -> None:
    before = sessions_of(app, acme)[0].expires_at
    clock.advance(hours=1)
    member.post("/auth/verify", {"password": PASSWORD})

    assert sessions_of(app, acme)[0].expires_at == before


def test_that_a_session_is_used_is_noted_once_a_minute_at_most(
    app: Flask, clock: Clock, acme: Workspace, member: Visitor
) -> None:
    began = sessions_of(app, acme)[0].seen_at
    clock.advance(seconds=30)
    member.get("/api/v1/me")
    assert sessions_of(app, acme)[0].seen_at == began
    clock.advance(seconds=31)
    member.get("/api/v1/me")
    noted = sessions_of(app, acme)[0].seen_at
    assert noted > began
    clock.advance(seconds=30)
    member.get("/api/v1/me")
    assert sessions_of(app, acme)[0].seen_at == noted


def test_that_a_session_is_used_is_noted_also_when_the_request_is_refused(
    app: Flask, clock: Clock, acme: Workspace, member: Visitor
) -> None:
    began = sessions_of(app, acme)[0].seen_at
    clock.advance(minutes=2)
    assert member.get(f"/projects/{uuid.uuid4()}").status_code == 404

    assert sessions_of(app, acme)[0].seen_at > began


def test_every_sign_in_is_a_session_of_its_own(app: Flask, acme: Workspace) -> None:
    for _ in range(3):
        sign_in(app, acme)

    assert len({row.token_hash for row in sessions_of(app, acme)}) == 3


def test_signing_in_again_in_the_same_browser_leaves_one_session(app: Flask, acme: Workspace, member: Visitor) -> None:
    member.post("/auth/logout")
    member.sign_in(acme.people["member"])

    assert len(sessions_of(app, acme)) == 1


def test_a_session_remembers_how_and_from_where_it_came(app: Flask, acme: Workspace) -> None:
    visitor = Visitor(app, acme.host, "198.51.100.9")
    visitor.client.environ_base["HTTP_USER_AGENT"] = "Lynx/2.9"
    visitor.sign_in(acme.people["member"])
    row = sessions_of(app, acme)[0]

    assert (row.provider, row.methods, row.address) == ("database", "password", "198.51.100.9")
    assert not row.remembered


def test_an_over_long_user_agent_does_not_keep_anybody_out(app: Flask, acme: Workspace, visitor: Visitor) -> None:
    person = acme.people["member"]
    answer = visitor.post(
        "/auth/login", {"email": person.email, "password": person.password}, headers={"User-Agent": "x" * 5000}
    )

    assert answer.status_code == 302
    assert visitor.is_signed_in()


def test_a_person_sees_their_own_sessions_only(app: Flask, acme: Workspace, member: Visitor, owner: Visitor) -> None:
    sign_in(app, acme)
    page = member.get("/account/sessions").text

    assert all(str(row.id) in page for row in sessions_of(app, acme))
    assert not any(str(row.id) in page for row in sessions_of(app, acme, "owner"))


def test_the_list_of_sessions_does_not_hold_what_they_are_found_by(
    app: Flask, acme: Workspace, member: Visitor
) -> None:
    page = member.get("/account/sessions").text

    assert not any(row.token_hash in page for row in sessions_of(app, acme))


def test_a_person_ends_one_session_and_keeps_the_others(app: Flask, acme: Workspace, member: Visitor) -> None:
    lost = sign_in(app, acme)
    kept = sign_in(app, acme)
    row = sessions_of(app, acme)[1]

    assert member.post(f"/account/sessions/{row.id}/end").status_code == 302

    assert not lost.is_signed_in()
    assert kept.is_signed_in()
    assert member.is_signed_in()


def test_nobody_ends_the_session_of_another_person(
    app: Flask, acme: Workspace, member: Visitor, owner: Visitor
) -> None:
    row = sessions_of(app, acme, "owner")[0]

    assert member.post(f"/account/sessions/{row.id}/end").status_code == 404
    assert owner.is_signed_in()


def test_not_even_an_owner_ends_the_session_of_another_person_there(
    app: Flask, acme: Workspace, member: Visitor, owner: Visitor
) -> None:
    row = sessions_of(app, acme)[0]

    assert owner.post(f"/account/sessions/{row.id}/end").status_code == 404
    assert member.is_signed_in()


def test_a_session_of_another_workspace_is_as_good_as_none(
    app: Flask, acme: Workspace, globex: Workspace, member: Visitor
) -> None:
    elsewhere = sign_in(app, globex)
    row = sessions_of(app, globex)[0]

    foreign = member.post(f"/account/sessions/{row.id}/end")
    missing = member.post(f"/account/sessions/{uuid.uuid4()}/end")

    assert foreign.status_code == missing.status_code == 404
    assert elsewhere.is_signed_in()


def test_signing_out_everywhere_ends_all_sessions_of_that_person(
    app: Flask, acme: Workspace, member: Visitor, owner: Visitor
) -> None:
    others = [sign_in(app, acme) for _ in range(2)]

    assert member.post("/account/sessions/end").status_code == 302

    assert not any(browser.is_signed_in() for browser in (member, *others))
    assert owner.is_signed_in()
    assert sessions_of(app, acme) == []


def test_a_password_change_ends_the_other_sessions_and_keeps_this_one(
    app: Flask, acme: Workspace, member: Visitor
) -> None:
    other = sign_in(app, acme)
    before = member.cookies()

    answer = member.post(
        "/auth/change",
        {"password": PASSWORD, "new_password": NEW_PASSWORD, "new_password_confirm": NEW_PASSWORD},
    )

    assert answer.status_code == 302
    assert member.is_signed_in()
    assert not other.is_signed_in()
    thief = Visitor(app, acme.host)
    thief.take_cookies(before)
    assert not thief.is_signed_in()


def test_a_remembered_session_stays_remembered_when_the_password_is_changed(app: Flask, acme: Workspace) -> None:
    visitor = remembered(app, acme)
    visitor.post(
        "/auth/change",
        {"password": PASSWORD, "new_password": NEW_PASSWORD, "new_password_confirm": NEW_PASSWORD},
    )

    assert sessions_of(app, acme)[0].remembered


def test_a_password_reset_ends_every_session(app: Flask, acme: Workspace, member: Visitor, visitor: Visitor) -> None:
    link = ask_reset_link(app, visitor, acme.people["member"])

    visitor.post(link, {"password": NEW_PASSWORD, "password_confirm": NEW_PASSWORD})

    assert not member.is_signed_in()
    assert sessions_of(app, acme) == []


def test_a_deactivation_ends_every_session_with_the_next_request(app: Flask, acme: Workspace, member: Visitor) -> None:
    other = sign_in(app, acme)
    with inside(app, acme):
        users.deactivate_user(row_of(acme.people["member"]), actor=None)

    assert not member.is_signed_in()
    assert not other.is_signed_in()


def test_sessions_do_not_come_back_when_a_person_is_reactivated(app: Flask, acme: Workspace, member: Visitor) -> None:
    with inside(app, acme):
        users.deactivate_user(row_of(acme.people["member"]), actor=None)
    with inside(app, acme):
        users.reactivate_user(row_of(acme.people["member"]), actor=None)

    assert not member.is_signed_in()
    assert sign_in(app, acme).is_signed_in()


def test_a_user_switched_off_in_the_database_alone_is_out_too(app: Flask, acme: Workspace, member: Visitor) -> None:
    with inside(app, acme):
        row_of(acme.people["member"]).active = False

    assert not member.is_signed_in()


def test_a_deleted_session_row_is_nobody(app: Flask, acme: Workspace, member: Visitor) -> None:
    with inside(app, acme):
        for row in g.db.scalars(select(LoginSession)):
            g.db.delete(row)

    assert not member.is_signed_in()
    assert re.match(r"/auth/login\b", member.get("/").location)
