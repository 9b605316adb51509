"""Orders of lists, and places in them: on projects, which have every type of column that can be sorted by."""

import uuid
from datetime import UTC, date, datetime

import pytest
from flask import Flask, g
from sqlalchemy import select

from saas.projects.models import Project
from tenants.keysets import Orders, filled
from tests.auth.helpers import inside
from tests.factories import Workspace, make_project

LATE = date(9999, 12, 31)
ORDERS = Orders(
    Project.id,
    created=(),
    name=(Project.name,),
    updated=(Project.updated_at,),
    due=(filled(Project.due_on, LATE),),
    both=(Project.status, filled(Project.due_on, LATE)),
)
ID = str(uuid.UUID(int=7))


def listed(sort: str, after: list[str] | None = None) -> list[Project]:
    order = ORDERS[sort]
    place = order.read(after) if after is not None else None
    return list(g.db.scalars(order.page(select(Project), after=place)))


@pytest.fixture
def varied(app: Flask, acme: Workspace) -> None:
    for number in range(8):
        make_project(
            app,
            acme,
            ("Beta", "alpha", "Álpha", "Alpha")[number // 2],
            due_on=date(2030, 1, 1 + number // 3) if number % 3 else None,
            updated_at=datetime(2030, 1, 1 + number // 4, tzinfo=UTC),
            status="done" if number % 2 else "active",
        )


@pytest.mark.parametrize("sort", list(ORDERS))
@pytest.mark.usefixtures("varied")
def test_behind_the_place_of_each_row_are_just_those_that_follow_it(app: Flask, acme: Workspace, sort: str) -> None:
    with inside(app, acme):
        rows = listed(sort)
        assert len(rows) == 8
        for number, row in enumerate(rows):
            assert listed(sort, ORDERS[sort].write(row)) == rows[number + 1 :]


@pytest.mark.parametrize("sort", list(ORDERS))
@pytest.mark.usefixtures("varied")
def test_a_place_outlives_its_row(app: Flask, acme: Workspace, sort: str) -> None:
    with inside(app, acme) as session:
        rows = listed(sort)
        place = ORDERS[sort].write(rows[3])
        session.delete(rows[3])
        session.flush()
        assert listed(sort, place) == rows[4:]


@pytest.mark.usefixtures("varied")
def test_what_is_not_set_stands_where_its_filling_does(app: Flask, acme: Workspace) -> None:
    with inside(app, acme):
        assert [row.due_on is None for row in listed("due")] == [False] * 5 + [True] * 3
        assert [row.due_on is None for row in listed("-due")] == [True] * 3 + [False] * 5


@pytest.mark.parametrize(
    ("sort", "place"),
    [
        ("created", ["x"]),
        ("created", []),
        ("created", ["created", ID]),
        ("name", ["due", "x", ID]),
        ("name", ["name", ID]),
        ("name", ["name", "x", ID, ID]),
        ("name", []),
        ("due", ["due", "tomorrow", ID]),
        ("due", ["due", "2030-01-01", "x"]),
        ("updated", ["updated", "2030-01-01T00:00:00", ID]),
        ("updated", ["updated", "9999-12-31T23:59:59-12:00", ID]),
        ("updated", ["updated", "0001-01-01T00:00:00+12:00", ID]),
    ],
)
def test_what_is_no_place_of_the_order_is_refused(sort: str, place: list[str]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # of many kinds, all of them alike to whoever calls
        ORDERS[sort].read(place)
