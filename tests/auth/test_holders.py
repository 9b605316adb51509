"""Who can: exactly those to whom it is permitted, page by page, in a constant number of statements."""

import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask import Flask, g
from sqlalchemy import event, insert, select

from auth import local_groups, roles
from auth.errors import UnknownPermission
from auth.explain import Object, explain
from auth.holders import count_holders, list_holders, list_holders_after
from auth.models import Membership, User
from auth.roles import get_role
from saas.projects.permissions import OBJECT_TYPE
from tests.auth.helpers import inside
from tests.auth.test_explain import populate
from tests.factories import Workspace


@contextmanager
def counted(app: Flask) -> Iterator[list[str]]:
    """The statements that are sent within the block."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        sent.append(statement)

    engine = app.extensions["tenants"].engines.shared
    event.listen(engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine, "before_cursor_execute", note)


def by_pages(permission: str, on: Object | None, size: int = 2) -> list[uuid.UUID]:
    """All holders, a page after the other."""
    found: list[uuid.UUID] = []
    while page := list_holders(permission, on=on, limit=size, offset=len(found)).people:
        found += [one.user_id for one in page]
    return found


def test_those_who_can_are_those_to_whom_it_is_permitted(app: Flask, acme: Workspace) -> None:
    _people, project = populate(app, acme)
    with inside(app, acme):
        everybody = g.db.scalars(select(User.id)).all()
        for permission in roles.catalogue().permissions:
            for on in (None, (OBJECT_TYPE, project), (OBJECT_TYPE, uuid.UUID(int=1))):
                expected = {user_id for user_id in everybody if explain(user_id, permission, on=on).allowed}
                found = by_pages(permission, on)
                assert len(found) == len(set(found)) == count_holders(permission, on=on)
                assert set(found) == expected, (permission, on)


def test_a_holder_is_told_with_all_that_permits_it(app: Flask, acme: Workspace) -> None:
    people, project = populate(app, acme)
    with inside(app, acme):
        for on in (None, (OBJECT_TYPE, project)):
            found = list_holders("project:update", on=on)
            for one in found.people:
                told = explain(one.user_id, "project:update", on=on)
                assert {held.grant_id for held in one.through} == {held.grant_id for held in told.through}
                assert {held.grant_id for held in one.through} <= found.chains.keys()
        names = [one.user_id for one in list_holders("project:update", on=(OBJECT_TYPE, project)).people]
        assert people["on-one"].id in names


def test_after_somebody_come_those_whose_accounts_are_younger(app: Flask, acme: Workspace) -> None:
    populate(app, acme)
    with inside(app, acme):
        found: list[uuid.UUID] = []
        place = None
        while page := list_holders_after(place, "project:read", limit=2).people:
            found += [one.user_id for one in page]
            place = found[-1]
        assert found == sorted(found)
        assert set(found) == set(by_pages("project:read", None))


def test_a_permission_that_there_is_not_has_no_holders(app: Flask, acme: Workspace) -> None:
    with inside(app, acme), pytest.raises(UnknownPermission):
        list_holders("role:mangle")


def test_another_workspaces_holders_are_not_listed(app: Flask, acme: Workspace, globex: Workspace) -> None:
    with inside(app, acme):
        found = set(by_pages("project:read", None))
    assert found == {person.id for person in acme.people.values()}
    assert not found & {person.id for person in globex.people.values()}


def test_many_holders_cost_no_more_statements_than_few(app: Flask, acme: Workspace) -> None:
    def statements() -> int:
        with inside(app, acme):
            g.db.scalar(select(User.id).limit(1))  # the transaction is open
            with counted(app) as sent:
                count_holders("project:create")
                list_holders("project:create", limit=50)
            return len(sent)

    few = statements()
    with inside(app, acme):
        group = local_groups.create_group("All", actor=None)
        local_groups.give_role(group, get_role("member"), actor=None)
        ids = [uuid.uuid4() for _ in range(300)]
        g.db.execute(
            insert(User),
            [{"id": one, "email": f"{one}@x.example", "name": secrets.token_hex(4)} for one in ids],
        )
        g.db.execute(insert(Membership), [{"user_id": one, "group_id": group.id} for one in ids])
    assert statements() <= few + 1  # who gave it, and the group: asked for once
    with inside(app, acme):
        assert count_holders("project:create") == 303
        assert len(list_holders("project:create", limit=50).people) == 50
