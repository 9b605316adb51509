"""A role for many at once, within the guards."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import event, select

from auth import bulk_grants, members, roles
from auth.audit_models import AuditEvent
from auth.errors import NotAllowed
from auth.identity import Identity, snapshot_of
from auth.models import Grant
from tenants.db import now
from tests.auth.helpers import inside, row_of
from tests.factories import Person, Workspace, add_person


def actor(person: Person) -> Identity:
    snapshot = snapshot_of(person.id)
    assert snapshot is not None
    return Identity(person.id, snapshot)


def test_all_have_it_and_who_had_it_keeps_one_grant(app: Flask, acme: Workspace) -> None:
    people = [add_person(app, acme, role=None) for _ in range(3)]
    with inside(app, acme):
        roles.grant_role(row_of(people[0]), "viewer", actor=None)
        rows = [row_of(person) for person in people]
        admin = actor(acme.people["admin"])
        assert bulk_grants.give_to_many(rows, roles.get_role("viewer"), actor=admin) == 2
    with inside(app, acme) as session:
        for person in people:
            assert len(session.scalars(select(Grant).where(Grant.user_id == person.id)).all()) == 1
            assert members.describe(row_of(person)).roles == ["viewer"]


def test_an_end_is_set_and_moved_and_recorded(app: Flask, acme: Workspace) -> None:
    viewer, end = acme.people["viewer"], now() + timedelta(days=3)
    with inside(app, acme):
        bulk_grants.give_to_many([row_of(viewer)], roles.get_role("viewer"), actor=None, expires_at=end)
        bulk_grants.give_to_many([row_of(viewer)], roles.get_role("member"), actor=None, expires_at=end)
    with inside(app, acme) as session:
        grants = session.scalars(select(Grant).where(Grant.user_id == viewer.id)).all()
        assert [grant.expires_at for grant in grants] == [end, end]
        told = session.scalars(select(AuditEvent).order_by(AuditEvent.id.desc()).limit(2)).all()
    assert [event.details["ends"] for event in told] == [[None, end.isoformat()]] * 2


def test_it_costs_the_same_for_many(app: Flask, acme: Workspace) -> None:
    people = [add_person(app, acme, role=None) for _ in range(12)]

    def cost(some: list[Person]) -> int:
        with inside(app, acme) as session:
            rows, role, sent = [row_of(person) for person in some], roles.get_role("viewer"), list[str]()
            event.listen(session.connection(), "before_cursor_execute", lambda *args: sent.append(args[2]))
            bulk_grants.give_to_many(rows, role, actor=None)
            return len(sent)

    assert cost(people[:2]) == cost(people[2:])


@pytest.mark.parametrize(
    ("role", "days", "said"),
    [("owner", None, "Only owners"), ("member", -1, "in the future"), ("project-editor", None, "one project")],
)
def test_what_one_could_not_give_to_one_is_not_given_to_many(
    app: Flask, acme: Workspace, role: str, days: int | None, said: str
) -> None:
    with inside(app, acme):
        end = now() + timedelta(days=days) if days else None
        rows = [row_of(acme.people["viewer"]), row_of(acme.people["member"])]
        with pytest.raises(NotAllowed, match=said):
            bulk_grants.give_to_many(rows, roles.get_role(role), actor=actor(acme.people["admin"]), expires_at=end)


def test_what_one_does_not_hold_is_not_given(app: Flask, acme: Workspace) -> None:
    with inside(app, acme):
        roles.create_role("giving", ["role:manage"], actor=None)
    person = add_person(app, acme, role="giving")
    with inside(app, acme), pytest.raises(NotAllowed, match="do not hold"):
        bulk_grants.give_to_many([row_of(person)], roles.get_role("admin"), actor=actor(person))


def test_an_owner_is_not_made_one_for_a_time(app: Flask, acme: Workspace) -> None:
    with inside(app, acme):
        owner, end = acme.people["owner"], now() + timedelta(days=1)
        with pytest.raises(NotAllowed, match="for a time"):
            bulk_grants.give_to_many([row_of(owner)], roles.get_role("owner"), actor=actor(owner), expires_at=end)


def test_too_many_at_once_are_refused(app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_grants, "MOST_AT_ONCE", 1)
    with inside(app, acme), pytest.raises(NotAllowed, match="At most 1"):
        bulk_grants.give_to_many(
            [row_of(acme.people["viewer"]), row_of(acme.people["member"])], roles.get_role("viewer"), actor=None
        )
