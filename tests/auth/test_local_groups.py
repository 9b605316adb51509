"""Groups of the workspace's own: who may make, fill and empty them, and that an owner always stays."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask, g
from sqlalchemy import select

from auth import enforcement, local_groups, roles
from auth.audit_models import AuditEvent
from auth.errors import NotAllowed, UnsuitableName
from auth.identity import Identity, snapshot_of
from auth.models import Grant, Group, Membership
from auth.roles import get_role, grant_role
from tenants.db import now
from tests.auth.helpers import at_once, inside, row_of
from tests.factories import Person, Workspace, add_person, make_workspace

NIGHT = "Night shift"


def actor(person: Person) -> Identity:
    """The person as the one who acts."""
    snapshot = snapshot_of(person.id)
    assert snapshot is not None
    return Identity(person.id, snapshot)


def make_group(app: Flask, workspace: Workspace, *roles_given: str, people: tuple[Person, ...] = ()) -> uuid.UUID:
    """A group that gives these roles to these people, made by the system."""
    with inside(app, workspace):
        group = local_groups.create_group(NIGHT, actor=None)
        for role in roles_given:
            local_groups.give_role(group, get_role(role), actor=None)
        for person in people:
            local_groups.add_member(group, row_of(person), actor=None)
        return group.id


def get(group_id: uuid.UUID) -> Group:
    group = local_groups.find_group(group_id)
    assert group is not None
    return group


def what_it_is(group_id: uuid.UUID) -> tuple[str, list[uuid.UUID], list[str]] | None:
    """What the group is called, who is in it, and which roles it gives; None when it is gone."""
    group = local_groups.find_group(group_id)
    if group is None:
        return None
    members = g.db.scalars(select(Membership.user_id).where(Membership.group_id == group_id)).all()
    return group.name, sorted(members), [role.name for role, _grant in local_groups.roles_of(group)]


def make_clerk(app: Flask, workspace: Workspace) -> Person:
    """Somebody who manages roles, and holds hardly anything else."""
    clerk = add_person(app, workspace, role=None)
    with inside(app, workspace):
        roles.create_role("clerk", ["role:manage", "role:read"], actor=None)
        grant_role(row_of(clerk), "clerk", actor=None)
    return clerk


def events(kind: str) -> list[dict[str, Any]]:
    """The details of what was recorded of that kind, in the bound workspace."""
    return list(g.db.scalars(select(AuditEvent.details).where(AuditEvent.kind == kind).order_by(AuditEvent.id)))


CHANGES: dict[str, Callable[[Group, Workspace, Identity], object]] = {
    "rename": lambda group, _acme, acting: local_groups.rename_group(group, "Day shift", actor=acting),
    "delete": lambda group, _acme, acting: local_groups.delete_group(group, actor=acting),
    "add": lambda group, acme, acting: local_groups.add_member(group, row_of(acme.people["viewer"]), actor=acting),
    "remove": lambda group, acme, acting: local_groups.remove_member(
        group, row_of(acme.people["member"]), actor=acting
    ),
    "give": lambda group, _acme, acting: local_groups.give_role(group, get_role("viewer"), actor=acting),
    "take": lambda group, _acme, acting: local_groups.take_role(group, get_role("member"), actor=acting),
}
by_change = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


def test_being_in_a_group_gives_its_roles_and_being_taken_out_takes_them(app: Flask, acme: Workspace) -> None:
    viewer = acme.people["viewer"]
    group_id = make_group(app, acme, "member")
    with inside(app, acme):
        assert local_groups.add_member(get(group_id), row_of(viewer), actor=actor(acme.people["admin"]))
    with inside(app, acme):
        assert "project:create" in actor(viewer).permissions
        assert local_groups.remove_member(get(group_id), row_of(viewer), actor=actor(acme.people["admin"]))
    with inside(app, acme):
        assert "project:create" not in actor(viewer).permissions


def test_a_role_of_a_group_reaches_its_members_until_its_end(app: Flask, acme: Workspace) -> None:
    viewer = acme.people["viewer"]
    group_id = make_group(app, acme, people=(viewer,))
    admin, end = acme.people["admin"], now() + timedelta(days=1)
    with inside(app, acme):
        grant = local_groups.give_role(get(group_id), get_role("member"), actor=actor(admin), expires_at=end)
        assert (grant.expires_at, grant.granted_by, grant.origin) == (end, admin.id, "manual")
    with inside(app, acme):
        assert "project:create" in actor(viewer).permissions
        grant = g.db.scalars(select(Grant).where(Grant.group_id == group_id)).one()
        grant.expires_at = now() - timedelta(seconds=1)
    with inside(app, acme):
        assert "project:create" not in actor(viewer).permissions


def test_a_role_given_again_has_the_new_end(app: Flask, acme: Workspace) -> None:
    group_id = make_group(app, acme, "member")
    end = now() + timedelta(days=1)
    with inside(app, acme):
        local_groups.give_role(get(group_id), get_role("member"), actor=None, expires_at=end)
    with inside(app, acme):
        assert [grant.expires_at for _role, grant in local_groups.roles_of(get(group_id))] == [end]


def test_a_role_does_not_end_in_the_past(app: Flask, acme: Workspace) -> None:
    group_id = make_group(app, acme)
    with inside(app, acme), pytest.raises(NotAllowed):
        local_groups.give_role(get(group_id), get_role("member"), actor=None, expires_at=now() - timedelta(days=1))


@pytest.mark.parametrize("person", ["member", "viewer"])
@by_change
def test_who_does_not_manage_roles_changes_no_group(
    app: Flask, acme: Workspace, change: Callable[[Group, Workspace, Identity], object], person: str
) -> None:
    group_id = make_group(app, acme, "member", people=(acme.people["member"],))
    with inside(app, acme):
        with pytest.raises(NotAllowed):
            local_groups.create_group("Mine", actor=actor(acme.people[person]))
        with pytest.raises(NotAllowed):
            change(get(group_id), acme, actor(acme.people[person]))


@pytest.mark.parametrize("way", CHANGES)
def test_who_manages_roles_changes_a_group_whose_roles_they_hold(app: Flask, acme: Workspace, way: str) -> None:
    member, viewer = acme.people["member"], acme.people["viewer"]
    group_id = make_group(app, acme, "member", people=(member,))
    with inside(app, acme):
        CHANGES[way](get(group_id), acme, actor(acme.people["admin"]))
    with inside(app, acme):
        assert (
            what_it_is(group_id)
            == {
                "rename": ("Day shift", [member.id], ["member"]),
                "delete": None,
                "add": (NIGHT, sorted([member.id, viewer.id]), ["member"]),
                "remove": (NIGHT, [], ["member"]),
                "give": (NIGHT, [member.id], ["member", "viewer"]),
                "take": (NIGHT, [member.id], []),
            }[way]
        )


@by_change
def test_nobody_changes_a_group_that_gives_what_they_do_not_hold(
    app: Flask, acme: Workspace, change: Callable[[Group, Workspace, Identity], object]
) -> None:
    clerk = make_clerk(app, acme)
    group_id = make_group(app, acme, "member", people=(acme.people["member"],))
    with inside(app, acme):
        assert not local_groups.may_change(get(group_id), actor(clerk))
        with pytest.raises(NotAllowed):
            change(get(group_id), acme, actor(clerk))


@by_change
def test_only_owners_change_a_group_that_makes_owners(
    app: Flask, acme: Workspace, change: Callable[[Group, Workspace, Identity], object]
) -> None:
    group_id = make_group(app, acme, "owner", "member", people=(acme.people["member"],))
    with inside(app, acme):
        # Everything that an owner may, by a role of another name.
        everything = sorted(actor(acme.people["owner"]).permissions)
        roles.create_role("nearly", everything, actor=None)
        grant_role(row_of(acme.people["admin"]), "nearly", actor=None)
    with inside(app, acme):
        with pytest.raises(NotAllowed, match="owners"):
            change(get(group_id), acme, actor(acme.people["admin"]))
        change(get(group_id), acme, actor(acme.people["owner"]))


def test_nobody_gives_a_group_a_role_that_they_do_not_hold(app: Flask, acme: Workspace) -> None:
    clerk = make_clerk(app, acme)
    group_id = make_group(app, acme, people=(clerk,))
    with inside(app, acme):
        assert {role.name for role in local_groups.givable_roles(actor(clerk))} == {"clerk"}
        for role in ("admin", "member", "viewer"):
            with pytest.raises(NotAllowed):
                local_groups.give_role(get(group_id), get_role(role), actor=actor(clerk))


def test_only_owners_give_a_group_the_role_of_owner(app: Flask, acme: Workspace) -> None:
    group_id = make_group(app, acme)
    with inside(app, acme):
        with pytest.raises(NotAllowed, match="owners"):
            local_groups.give_role(get(group_id), get_role("owner"), actor=actor(acme.people["admin"]))
        with pytest.raises(NotAllowed):  # the workspace could be left without one
            local_groups.give_role(
                get(group_id), get_role("owner"), actor=actor(acme.people["owner"]), expires_at=now() + timedelta(1)
            )
        local_groups.give_role(get(group_id), get_role("owner"), actor=actor(acme.people["owner"]))


def test_a_role_for_single_objects_is_not_given_to_a_group(app: Flask, acme: Workspace) -> None:
    group_id = make_group(app, acme)
    with inside(app, acme), pytest.raises(NotAllowed):
        local_groups.give_role(get(group_id), get_role("project-editor"), actor=None)


@pytest.fixture
def only_by_group(app: Flask, acme: Workspace) -> uuid.UUID:
    """The workspace's one owner is one by a group alone."""
    group_id = make_group(app, acme, "owner", people=(acme.people["owner"],))
    with inside(app, acme):
        direct = select(Grant).where(Grant.user_id == acme.people["owner"].id)
        g.db.delete(g.db.scalars(direct).one())
    return group_id


LOSSES: dict[str, Callable[[Group, Workspace], object]] = {
    "membership": lambda group, acme: local_groups.remove_member(group, row_of(acme.people["owner"]), actor=None),
    "grant": lambda group, _acme: local_groups.take_role(group, get_role("owner"), actor=None),
    "group": lambda group, _acme: local_groups.delete_group(group, actor=None),
}


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
def test_the_last_active_owner_stays(
    app: Flask, acme: Workspace, only_by_group: uuid.UUID, lose: Callable[[Group, Workspace], object]
) -> None:
    with inside(app, acme):
        asleep = row_of(acme.people["viewer"])
        grant_role(asleep, "owner", actor=None)
        asleep.active = False
    with inside(app, acme), pytest.raises(NotAllowed, match="last owner"):
        lose(get(only_by_group), acme)
        # Whoever catches the refusal and goes on has changed nothing.
    with inside(app, acme):
        assert "owner" in actor(acme.people["owner"]).roles
        assert events("group left") == events("group deleted") == events("role taken") == []


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
def test_who_is_an_owner_otherwise_may_lose_the_group(
    app: Flask, acme: Workspace, lose: Callable[[Group, Workspace], object]
) -> None:
    group_id = make_group(app, acme, "owner", people=(acme.people["owner"],))
    with inside(app, acme):
        lose(get(group_id), acme)
    with inside(app, acme):
        assert "owner" in actor(acme.people["owner"]).roles


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
def test_the_owner_who_is_named_for_emergencies_stays_one(
    app: Flask,
    acme: Workspace,
    only_by_group: uuid.UUID,
    lose: Callable[[Group, Workspace], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with inside(app, acme):
        grant_role(row_of(acme.people["admin"]), "owner", actor=None)
    monkeypatch.setattr(enforcement, "is_break_glass", lambda user_id: user_id == acme.people["owner"].id)
    with inside(app, acme), pytest.raises(NotAllowed, match="named"):
        lose(get(only_by_group), acme)
    with inside(app, acme):
        assert "owner" in actor(acme.people["owner"]).roles


@pytest.mark.postgres
def test_two_owners_who_take_each_other_out_at_once_leave_one(postgres_app: Flask) -> None:
    workspace = make_workspace(postgres_app)
    first, second = workspace.people["owner"], workspace.people["admin"]
    group_id = make_group(postgres_app, workspace, "owner", people=(first, second))
    with inside(postgres_app, workspace):
        for grant in g.db.scalars(select(Grant).where(Grant.user_id.is_not(None))):
            g.db.delete(grant)

    def take_out(person: Person) -> bool:
        with inside(postgres_app, workspace):
            try:
                return local_groups.remove_member(get(group_id), row_of(person), actor=None)
            except NotAllowed:
                return False

    done = at_once([lambda: take_out(first), lambda: take_out(second)])

    assert sorted(done) == [False, True]


@by_change
def test_a_group_of_a_source_is_the_sources(
    app: Flask, acme: Workspace, change: Callable[[Group, Workspace, Identity], object]
) -> None:
    with inside(app, acme):
        group = Group(name="Engineering", origin=f"provider:{uuid.uuid4()}", external_key="engineering")
        g.db.add(group)
        g.db.flush()
        g.db.add(Membership(user_id=acme.people["member"].id, group_id=group.id))
        g.db.add(Grant(group_id=group.id, role_id=get_role("member").id, origin=group.origin))
        g.db.flush()
        with pytest.raises(NotAllowed, match="source"):
            change(group, acme, actor(acme.people["owner"]))
        with pytest.raises(NotAllowed, match="source"):
            change(group, acme, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "night SHIFT", " Night  shift ", "a\x1bb"])
def test_a_group_has_a_name_that_is_a_name_and_no_other_groups(app: Flask, acme: Workspace, name: str) -> None:
    make_group(app, acme)
    with inside(app, acme):
        other = local_groups.create_group("Other", actor=None)
        with pytest.raises(UnsuitableName):
            local_groups.create_group(name, actor=None)
        with pytest.raises(UnsuitableName):
            local_groups.rename_group(other, name, actor=None)


def test_a_group_may_be_called_as_it_is_in_other_letters(app: Flask, acme: Workspace) -> None:
    group_id = make_group(app, acme)
    with inside(app, acme):
        local_groups.rename_group(get(group_id), "NIGHT shift", actor=None)
        assert get(group_id).name == "NIGHT shift"


def test_a_group_deleted_meanwhile_is_not_changed(app: Flask, acme: Workspace) -> None:
    group_id = make_group(app, acme)
    with inside(app, acme):
        group = get(group_id)
        g.db.expunge(group)
        local_groups.delete_group(get(group_id), actor=None)
        with pytest.raises(NotAllowed, match="deleted"):
            local_groups.add_member(group, row_of(acme.people["member"]), actor=None)


def test_who_is_in_a_group_already_is_not_put_into_it_again(app: Flask, acme: Workspace) -> None:
    group_id = make_group(app, acme, people=(acme.people["member"],))
    with inside(app, acme):
        assert not local_groups.add_member(get(group_id), row_of(acme.people["member"]), actor=None)
        assert not local_groups.remove_member(get(group_id), row_of(acme.people["viewer"]), actor=None)
        assert len(events("group joined")) == 1
        assert events("group left") == []


def test_every_change_of_a_group_is_recorded_with_its_actor(app: Flask, acme: Workspace) -> None:
    with inside(app, acme):
        admin, person = actor(acme.people["admin"]), row_of(acme.people["viewer"])
        group = local_groups.create_group(NIGHT, actor=admin)
        local_groups.rename_group(group, "Day shift", actor=admin)
        local_groups.give_role(group, get_role("member"), actor=admin)
        local_groups.add_member(group, person, actor=admin)
        local_groups.remove_member(group, person, actor=admin)
        local_groups.take_role(group, get_role("member"), actor=admin)
        local_groups.delete_group(group, actor=admin)
    with inside(app, acme):
        by_admin = select(AuditEvent).where(AuditEvent.actor_id == acme.people["admin"].id).order_by(AuditEvent.id)
        told = g.db.scalars(by_admin).all()
        assert [event.kind for event in told] == [
            "group created", "group changed", "role given", "group joined", "group left", "role taken", "group deleted",
        ]  # fmt: skip
        assert told[1].details == {"name": [NIGHT, "Day shift"]}
        assert told[3].target == acme.people["viewer"].email
        assert told[3].details["group"] == "Day shift"
