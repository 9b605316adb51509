"""The list of members: its orders, its pages, and what it costs."""

import secrets
from datetime import timedelta

import pytest
from flask import Flask, g
from sqlalchemy import insert

from auth import members
from auth.members import SORTS, Filter
from auth.models import LoginSession, User
from tenants.db import now
from tests.auth.helpers import inside, row_of
from tests.factories import Workspace
from tests.statements import counted
from tests.visitor import sign_in


def names(sort: str) -> list[str]:
    """Who is listed, in that order."""
    return [member.user.name for member in members.find(Filter(), sort=sort, limit=50).members]


def use(user: User, minutes: int) -> None:
    """Have a session of theirs that was last used so long ago."""
    moment = now() - timedelta(minutes=minutes)
    values = {"token_hash": secrets.token_hex(32), "provider": "password", "methods": "password", "user_agent": ""}
    g.db.add(LoginSession(user_id=user.id, address="", seen_at=moment, expires_at=now() + timedelta(days=1), **values))
    g.db.flush()


def add_many(count: int) -> None:
    """More members, of whom some have the same name."""
    people = [{"email": f"p{number}@x.example", "name": f"P {number % 3}"} for number in range(count)]
    g.db.execute(insert(User), people)


def test_who_was_never_seen_comes_last_either_way(app: Flask, acme: Workspace) -> None:
    with inside(app, acme):
        for person, *minutes in (("viewer", 5), ("member", 90, 1), ("owner", 30)):
            for ago in minutes:
                use(row_of(acme.people[person]), ago)
        assert names("seen") == ["Owner", "Viewer", "Member", "Admin"]
        assert names("-seen") == ["Member", "Viewer", "Owner", "Admin"]


def test_whose_sessions_are_over_was_seen_when_they_last_signed_in(app: Flask, acme: Workspace) -> None:
    for role in ("viewer", "member", "viewer"):
        sign_in(app, acme, role).post("/auth/logout")
    with inside(app, acme):
        use(row_of(acme.people["owner"]), 5)
        assert names("-seen") == ["Viewer", "Member", "Owner", "Admin"]
        viewer, owner = (members.describe(row_of(acme.people[role])) for role in ("viewer", "owner"))
        assert viewer.seen_at == viewer.signed_in_at is not None
        assert (owner.seen_at is not None, owner.signed_in_at) == (True, None)


def test_who_never_signed_in_comes_last_either_way(app: Flask, acme: Workspace) -> None:
    for role in ("viewer", "owner"):
        sign_in(app, acme, role)
    with inside(app, acme):
        assert names("signed_in") == ["Viewer", "Owner", "Admin", "Member"]
        assert names("-signed_in") == ["Owner", "Viewer", "Member", "Admin"]


@pytest.mark.parametrize("sort", sorted(SORTS))
def test_a_list_is_gone_through_without_a_gap_or_a_repetition(app: Flask, acme: Workspace, sort: str) -> None:
    with inside(app, acme):
        add_many(7)
        for person, ago in (("viewer", 5), ("member", 5), ("owner", 30)):
            use(row_of(acme.people[person]), ago)
        all_at_once = [member.user.id for member in members.find(Filter(), sort=sort, limit=50).members]
        by_number = [
            member.user.id
            for offset in range(0, 12, 2)
            for member in members.find(Filter(), sort=sort, limit=2, offset=offset).members
        ]
        by_place, place = [], None
        while page := members.after(Filter(), place, sort=sort, limit=2):
            by_place += [member.user.id for member in page]
            place = page[-1].place(sort)
    assert len(set(all_at_once)) == 11
    assert by_number == by_place == all_at_once


def test_who_comes_in_between_moves_nobody_to_another_page(app: Flask, acme: Workspace) -> None:
    with inside(app, acme) as session:
        first = members.after(Filter(), None, limit=2)
        session.add(User(email="aaa@x.example", name="Aaa"))
        session.flush()
        second = members.after(Filter(), first[-1].place("email"), limit=2)
    assert [member.user.name for member in (*first, *second)] == ["Admin", "Member", "Owner", "Viewer"]


@pytest.mark.parametrize("sort", sorted(SORTS))
def test_a_page_of_many_costs_no_more_statements_than_one_of_few(app: Flask, acme: Workspace, sort: str) -> None:
    def cost() -> tuple[int, int]:
        with inside(app, acme):
            with counted(app) as by_number:
                first = members.find(Filter(), sort=sort, limit=2).members
            with counted(app) as by_place:
                members.after(Filter(), first[-1].place(sort), sort=sort, limit=50)
        return len(by_number), len(by_place)

    few = cost()
    with inside(app, acme):
        add_many(60)
    assert cost() == few
