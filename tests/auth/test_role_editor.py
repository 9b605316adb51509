"""A tenant's own roles: made, changed, deleted, and by whom."""

import uuid
from collections.abc import Collection
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask, g
from sqlalchemy import select

from auth import default_role, groups, invitations, policy_changes, role_editor, role_preview, roles
from auth.audit_models import AuditEvent
from auth.errors import NotAllowed, RoleChanged, UnknownPermission, UnsuitableName
from auth.holdings import find_holder
from auth.identity import Identity, snapshot_of
from auth.models import Grant, Group, Invitation, Membership, Role
from auth.providers import configs
from auth.role_preview import Difference
from tenants.db import now
from tests.auth.helpers import grant, inside, row_of
from tests.factories import Person, Workspace, add_person, make_project

ALL_BUT = frozenset({"project:delete"})


def actor(person: Person) -> Identity:
    """The person as the one who acts."""
    snapshot = snapshot_of(person.id)
    assert snapshot is not None
    return Identity(person.id, snapshot)


def make(app: Flask, workspace: Workspace, name: str, *permissions: str) -> uuid.UUID:
    """Make a role by the command line."""
    with inside(app, workspace):
        return roles.create_role(name, permissions, actor=None).id


def role_of(role_id: uuid.UUID) -> Role:
    role = role_editor.find_role(role_id)
    assert role is not None
    return role


def held(app: Flask, workspace: Workspace, person: Person) -> frozenset[str]:
    with inside(app, workspace):
        return actor(person).permissions


def events(kind: str) -> list[AuditEvent]:
    return list(g.db.scalars(select(AuditEvent).where(AuditEvent.kind == kind).order_by(AuditEvent.id)))


@pytest.fixture
def manager(app: Flask, acme: Workspace) -> Person:
    """Somebody who manages roles, and holds little else."""
    make(app, acme, "role manager", "role:manage", "role:read", "project:read", "project:update")
    return add_person(app, acme, role="role manager")


def make_group(app: Flask, workspace: Workspace, name: str, role: str, *members: Person) -> uuid.UUID:
    """A local group with that role."""
    with inside(app, workspace) as session:
        group = Group(name=name)
        session.add(group)
        session.flush()
        session.add_all([Membership(user_id=person.id, group_id=group.id) for person in members])
        roles.grant_to_group(group, roles.get_role(role), actor=None, origin="manual", reason="")
        return group.id


# Names


@pytest.mark.parametrize("name", ["owner", "Owner", "ADMIN", "Administrator", "project-editor", "auditor", "Auditor"])
def test_a_role_is_not_called_like_another_one(app: Flask, acme: Workspace, name: str) -> None:
    make(app, acme, "auditor")
    other = make(app, acme, "other")
    with inside(app, acme):
        with pytest.raises(UnsuitableName):
            roles.create_role(name, [], actor=None)
        with pytest.raises(UnsuitableName):
            role_editor.change_role(role_of(other), name=name, actor=None)


@pytest.mark.parametrize("name", ["", "   ", "x" * 81, "a\u202eb", "a\x07b"])
def test_a_name_has_letters_that_can_be_seen(app: Flask, acme: Workspace, name: str) -> None:
    with inside(app, acme), pytest.raises(UnsuitableName):
        roles.create_role(name, [], actor=None)


def test_a_role_may_change_the_case_of_its_own_name(app: Flask, acme: Workspace) -> None:
    role = make(app, acme, "auditor")
    with inside(app, acme):
        assert role_editor.change_role(role_of(role), name=" Auditor  of books", actor=None).name == "Auditor of books"
        assert role_editor.change_role(role_of(role), name="AUDITOR of books", actor=None).name == "AUDITOR of books"


# Changing


def test_what_a_role_permits_changes_for_its_holders_at_once(app: Flask, acme: Workspace) -> None:
    role = make(app, acme, "reader", "project:read")
    person = add_person(app, acme, role="reader")
    with inside(app, acme):
        role_editor.change_role(role_of(role), permissions=["project:update"], actor=actor(acme.people["admin"]))
    assert held(app, acme, person) == {"project:update"}


def test_what_is_left_out_of_a_change_stays(app: Flask, acme: Workspace) -> None:
    role = make(app, acme, "reader", "project:read")
    with inside(app, acme):
        role_editor.change_role(role_of(role), description="Reads.", actor=None)
    with inside(app, acme):
        changed = role_editor.change_role(role_of(role), name="Reads", actor=None)
        assert (changed.name, changed.description, changed.stored_permissions) == ("Reads", "Reads.", ["project:read"])


@pytest.mark.parametrize("name", ["owner", "admin", "member", "viewer", "project-editor"])
def test_built_in_roles_are_neither_changed_nor_deleted(app: Flask, acme: Workspace, name: str) -> None:
    with inside(app, acme):
        role, owner = roles.get_role(name), actor(acme.people["owner"])
        for acting in (None, owner):
            with pytest.raises(NotAllowed):
                role_editor.change_role(role, name="mine", actor=acting)
            with pytest.raises(NotAllowed):
                role_editor.change_role(role, permissions=["project:read"], actor=acting)
            with pytest.raises(NotAllowed):
                role_editor.delete_role(role, actor=acting)


@pytest.mark.parametrize("person", ["member", "viewer"])
def test_who_does_not_manage_roles_changes_none(app: Flask, acme: Workspace, person: str) -> None:
    role = make(app, acme, "reader", "project:read")
    with inside(app, acme):
        acting = actor(acme.people[person])
        with pytest.raises(NotAllowed):
            role_editor.change_role(role_of(role), permissions=[], actor=acting)
        with pytest.raises(NotAllowed):
            role_editor.clone_role(role_of(role), "copy", actor=acting)
        with pytest.raises(NotAllowed):
            role_editor.delete_role(role_of(role), actor=acting)
        with pytest.raises(NotAllowed):
            default_role.set_default_role(role_of(role), actor=acting)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["project:read"], ["project:read", "project:delete"]),
        ([], ["member:manage"]),
        (["project:read", "project:delete"], ["project:read"]),
        (["project:delete"], []),
    ],
)
def test_nobody_adds_or_removes_what_they_do_not_hold(
    app: Flask, acme: Workspace, manager: Person, before: list[str], after: list[str]
) -> None:
    role = make(app, acme, "reader", *before)
    with inside(app, acme), pytest.raises(NotAllowed):
        role_editor.change_role(role_of(role), permissions=after, actor=actor(manager))
    with inside(app, acme):
        assert role_of(role).stored_permissions == sorted(before)


def test_what_one_does_not_hold_stays_while_the_rest_is_edited(app: Flask, acme: Workspace, manager: Person) -> None:
    role = make(app, acme, "reader", "project:delete", "project:read")
    with inside(app, acme):
        wanted = ["project:delete", "project:update"]
        role_editor.change_role(role_of(role), permissions=wanted, actor=actor(manager))
    with inside(app, acme):
        assert role_of(role).stored_permissions == wanted


@pytest.mark.parametrize("change", [{"name": "harmless"}, {"description": "Harmless."}])
def test_nobody_renames_a_role_that_permits_more_than_they_may(
    app: Flask, acme: Workspace, manager: Person, change: dict[str, Any]
) -> None:
    role = make(app, acme, "eraser", "project:delete")
    with inside(app, acme), pytest.raises(NotAllowed):
        role_editor.change_role(role_of(role), actor=actor(manager), **change)


def test_a_role_holds_registered_permissions_of_the_tenant_only(app: Flask, acme: Workspace) -> None:
    role = make(app, acme, "reader")
    with inside(app, acme), pytest.raises(UnknownPermission):
        role_editor.change_role(role_of(role), permissions=["project:dream"], actor=None)


def test_a_permission_that_this_release_does_not_know_is_kept(app: Flask, acme: Workspace) -> None:
    role = make(app, acme, "reader", "project:read")
    with inside(app, acme):
        role_of(role).stored_permissions = ["project:read", "report:read"]
    with inside(app, acme):
        role_editor.change_role(role_of(role), permissions=["project:update"], actor=None)
        assert role_of(role).stored_permissions == ["project:update", "report:read"]


def test_a_role_that_has_changed_since_it_was_looked_at_is_not_saved(app: Flask, acme: Workspace) -> None:
    role = make(app, acme, "reader", "project:read")
    with inside(app, acme):
        seen = role_editor.fingerprint_of(role_of(role))
        role_editor.change_role(role_of(role), permissions=["project:update"], actor=None, seen=seen)
    with inside(app, acme), pytest.raises(RoleChanged):
        role_editor.change_role(role_of(role), permissions=[], actor=None, seen=seen)


def test_the_rules_of_signing_in_follow_a_role_to_its_new_name(app: Flask, acme: Workspace) -> None:
    role = make(app, acme, "reader", "project:read")
    rules = {"second_factor": "roles", "second_factor_roles": ["reader"]}
    with inside(app, acme):
        policy_changes.change_policy(rules, actor=None)
    with inside(app, acme):
        role_editor.change_role(role_of(role), name="scribe", actor=actor(acme.people["admin"]))
    with inside(app, acme):
        assert g.tenant.settings["policy"]["second_factor_roles"] == ["scribe"]
        with pytest.raises(NotAllowed):
            role_editor.delete_role(role_of(role), actor=actor(acme.people["owner"]))


def test_a_clone_permits_the_same_and_nobody_clones_more_than_they_hold(
    app: Flask, acme: Workspace, manager: Person
) -> None:
    with inside(app, acme):
        admin = actor(acme.people["admin"])
        clone = role_editor.clone_role(roles.get_role("member"), "contractor", actor=admin)
        assert roles.permissions_of(clone) == roles.permissions_of(roles.get_role("member"))
        with pytest.raises(NotAllowed):
            role_editor.clone_role(roles.get_role("admin"), "second admin", actor=actor(manager))


def test_every_change_is_in_the_audit_log(app: Flask, acme: Workspace) -> None:
    person = acme.people["viewer"]
    with inside(app, acme):
        admin = actor(acme.people["admin"])
        role = roles.create_role("reader", ["project:read"], actor=admin)
        ends = now() + timedelta(days=3)
        roles.grant_role(row_of(person), "reader", actor=admin, expires_at=ends)
        role_editor.change_role(role, name="scribe", permissions=["project:update"], actor=admin)
        roles.revoke_role(row_of(person), "scribe", actor=admin)
        role_editor.delete_role(role, actor=admin)
    with inside(app, acme):
        (created,), (changed,), (deleted,) = (events(f"role {what}") for what in ("created", "changed", "deleted"))
        given, taken = events("role given")[-1], events("role taken")[-1]
        assert {event.actor_id for event in (created, changed, deleted, given, taken)} == {acme.people["admin"].id}
        assert created.details["permissions"] == ["project:read"]
        assert changed.details == {
            "name": ["reader", "scribe"],
            "permissions": [["project:read"], ["project:update"]],
        }
        assert (given.target_id, taken.target_id) == (person.id, person.id)
        assert given.details == {"role": "reader", "on": None, "origin": "manual", "ends": [None, ends.isoformat()]}
        assert taken.details == {"role": "scribe", "on": None, "origin": "manual"}
        assert deleted.target == "scribe"


# Deleting


def test_without_a_replacement_the_holders_lose_the_role(app: Flask, acme: Workspace) -> None:
    role = make(app, acme, "reader", "project:read")
    person, member = add_person(app, acme, role="reader"), add_person(app, acme, role=None)
    make_group(app, acme, "Readers", "reader", member)
    with inside(app, acme):
        role_editor.delete_role(role_of(role), actor=actor(acme.people["admin"]))
    assert held(app, acme, person) == held(app, acme, member) == frozenset()
    with inside(app, acme):
        assert events("role deleted")[-1].details["members"] == [person.email]
        assert events("role deleted")[-1].details["groups"] == ["Readers"]


def test_members_groups_and_invitations_are_given_the_replacement(app: Flask, acme: Workspace) -> None:
    role = make(app, acme, "reader", "project:read")
    person, member = add_person(app, acme, role="reader"), add_person(app, acme, role=None)
    make_group(app, acme, "Readers", "reader", member)
    with inside(app, acme):
        invitations.invite(["vera@x.example"], "reader", actor=None)
    with inside(app, acme):
        admin = actor(acme.people["admin"])
        role_editor.delete_role(role_of(role), replacement=roles.get_role("member"), actor=admin)
    assert "project:create" in held(app, acme, person)
    assert "project:create" in held(app, acme, member)
    with inside(app, acme) as session:
        invitation = session.scalars(select(Invitation)).one()
        assert (invitation.role.name, invitation.invited_by) == ("member", acme.people["admin"].id)


def test_an_invitation_is_answered_for_by_somebody_who_may_invite(app: Flask, acme: Workspace, manager: Person) -> None:
    role = make(app, acme, "reader", "project:read")
    make(app, acme, "writer", "project:update")
    with inside(app, acme):
        invitations.invite(["vera@x.example"], "reader", actor=actor(acme.people["admin"]))
    with inside(app, acme) as session:
        role_editor.delete_role(role_of(role), replacement=roles.get_role("writer"), actor=actor(manager))
        assert session.scalars(select(Invitation)).one().invited_by == acme.people["admin"].id


def test_an_invitation_with_a_role_that_is_deleted_is_revoked(app: Flask, acme: Workspace) -> None:
    role = make(app, acme, "reader", "project:read")
    with inside(app, acme):
        invitations.invite(["vera@x.example"], "reader", actor=None)
    with inside(app, acme):
        role_editor.delete_role(role_of(role), actor=None)
    with inside(app, acme) as session:
        assert session.scalars(select(Invitation)).all() == []
        assert events("invitation revoked")[-1].target == "vera@x.example"


def test_who_has_the_replacement_already_has_it_once_and_for_the_longer_time(app: Flask, acme: Workspace) -> None:
    role = make(app, acme, "reader", "project:read")
    person, soon, late = add_person(app, acme, role=None), now() + timedelta(days=1), now() + timedelta(days=9)
    grant(app, acme, person, "viewer", expires_at=soon)
    grant(app, acme, person, "reader", expires_at=late)
    with inside(app, acme):
        role_editor.delete_role(role_of(role), replacement=roles.get_role("viewer"), actor=None)
    with inside(app, acme) as session:
        found = session.scalars(select(Grant).where(Grant.user_id == person.id)).one()
        assert found.expires_at == late


def test_an_end_and_an_origin_stay_with_the_replacement_and_what_has_ended_does_not_return(
    app: Flask, acme: Workspace
) -> None:
    role = make(app, acme, "reader", "project:read")
    person, gone = add_person(app, acme, role=None), add_person(app, acme, role=None)
    ends = now() + timedelta(days=9)
    grant(app, acme, person, "reader", expires_at=ends, origin="invitation")
    grant(app, acme, gone, "reader", expires_at=now() - timedelta(days=1))
    with inside(app, acme):
        role_editor.delete_role(role_of(role), replacement=roles.get_role("viewer"), actor=None)
    with inside(app, acme) as session:
        found = session.scalars(select(Grant).where(Grant.user_id == person.id)).one()
        assert (found.role.name, found.expires_at, found.origin) == ("viewer", ends, "invitation")
        assert session.scalars(select(Grant).where(Grant.user_id == gone.id)).all() == []


def test_on_single_objects_only_a_role_of_the_tenants_own_is_a_replacement(app: Flask, acme: Workspace) -> None:
    make(app, acme, "other", "project:read")
    project = ("project", make_project(app, acme))
    for replacement, left in (("viewer", 0), ("other", 1)):
        role = make(app, acme, "reader", "project:read")
        person = add_person(app, acme, role=None)
        grant(app, acme, person, "reader", on=project)
        with inside(app, acme) as session:
            role_editor.delete_role(role_of(role), replacement=roles.get_role(replacement), actor=None)
            assert len(session.scalars(select(Grant).where(Grant.user_id == person.id)).all()) == left


def test_a_mapping_of_a_source_follows_the_replacement_or_ends(app: Flask, acme: Workspace) -> None:
    for replacement in ("viewer", None):
        role = make(app, acme, "reader", "project:read")
        with inside(app, acme):
            name = f"work-{replacement}".lower()
            settings = {"issuer": "https://id.example", "client_id": "x"}
            config = configs.add_provider(name, "oidc", settings, actor=None, secret="secret")
            groups.map_group(config, "staff", "staff", "reader", actor=None)
            other = roles.get_role(replacement) if replacement else None
            role_editor.delete_role(role_of(role), replacement=other, actor=None)
            assert [given for _group, given in groups.mappings_of(config)] == ([replacement] if replacement else [])
            assert len(groups.mapped_groups(config)) == (1 if replacement else 0)


@pytest.mark.parametrize(
    ("deleted", "replacement"),
    [("eraser", None), ("eraser", "reader"), ("reader", "eraser"), ("reader", "admin"), ("reader", "owner"),
     ("reader", "reader"), ("reader", "project-editor")],
)  # fmt: skip
def test_nobody_takes_or_gives_by_a_replacement_what_they_do_not_hold(
    app: Flask, acme: Workspace, manager: Person, deleted: str, replacement: str | None
) -> None:
    known = {"eraser": make(app, acme, "eraser", "project:delete"), "reader": make(app, acme, "reader", "project:read")}
    with inside(app, acme):
        other = roles.get_role(replacement) if replacement else None
        acting, role = actor(manager), role_of(known[deleted])
        with pytest.raises(NotAllowed):
            role_editor.delete_role(role, replacement=other, actor=acting)
    with inside(app, acme):
        assert role_of(known[deleted]).name == deleted


def test_not_even_an_owner_makes_all_holders_of_a_role_owners(app: Flask, acme: Workspace) -> None:
    role = make(app, acme, "reader", "project:read")
    with inside(app, acme):
        owner = actor(acme.people["owner"])
        with pytest.raises(NotAllowed):
            role_editor.delete_role(role_of(role), replacement=roles.get_role("owner"), actor=owner)


# Preview


def differences(role_id: uuid.UUID, permissions: Collection[str]) -> dict[str, Difference]:
    found = role_preview.preview_change(role_of(role_id), permissions)
    return {effect.name: effect.difference for effect in (*found.members, *found.groups)}


def test_the_preview_says_what_members_and_groups_gain_and_lose(app: Flask, acme: Workspace) -> None:
    role = make(app, acme, "reader", "project:read", "member:read")
    direct = add_person(app, acme, role="reader", email=f"direct@{acme.slug}.example")
    by_group = add_person(app, acme, role=None, email=f"bygroup@{acme.slug}.example")
    make_group(app, acme, "Readers", "reader", by_group)
    with inside(app, acme):
        expected = Difference(gains=frozenset({"project:update"}), loses=frozenset({"member:read"}))
        found = differences(role, ["project:read", "project:update"])
        assert found == {"Direct": expected, "Bygroup": expected, "Readers": expected}
    with inside(app, acme):  # and that is what happens
        role_editor.change_role(role_of(role), permissions=["project:read", "project:update"], actor=None)
    assert held(app, acme, direct) == held(app, acme, by_group) == {"project:read", "project:update"}


def test_who_holds_it_by_another_grant_neither_gains_nor_loses(app: Flask, acme: Workspace) -> None:
    role = make(app, acme, "reader", "project:read")
    grant(app, acme, acme.people["member"], "reader")
    with inside(app, acme):
        found = role_preview.preview_change(role_of(role), ["project:update"])
        assert (found.members, found.groups, found.unaffected) == ((), (), 1)
        assert "Member" in {effect.name for effect in role_preview.preview_change(role_of(role), ALL_BUT).members}


def test_a_grant_that_has_ended_is_in_no_preview(app: Flask, acme: Workspace) -> None:
    role = make(app, acme, "reader", "project:read")
    person = add_person(app, acme, role=None)
    grant(app, acme, person, "reader", expires_at=now() - timedelta(days=1))
    with inside(app, acme):
        assert differences(role, []) == {}


def test_a_change_on_a_single_object_is_told_apart(app: Flask, acme: Workspace) -> None:
    role = make(app, acme, "reader", "project:read")
    person = add_person(app, acme, role=None, email=f"single@{acme.slug}.example")
    grant(app, acme, person, "reader", on=("project", make_project(app, acme)))
    with inside(app, acme):
        assert differences(role, ["project:update"]) == {
            "Single": Difference(
                gains_on_objects=frozenset({"project:update"}), loses_on_objects=frozenset({"project:read"})
            )
        }
    grant(app, acme, person, "viewer")
    with inside(app, acme):
        assert differences(role, ["project:update"]) == {
            "Single": Difference(gains_on_objects=frozenset({"project:update"}))
        }


def test_the_preview_of_a_deletion_is_what_happens(app: Flask, acme: Workspace) -> None:
    make(app, acme, "other", "project:create")
    role = make(app, acme, "reader", "project:read", "member:read")
    person = add_person(app, acme, role="reader")
    grant(app, acme, person, "reader", on=("project", make_project(app, acme)))
    for replacement in ("viewer", "other", None):
        with inside(app, acme):
            other = roles.get_role(replacement) if replacement else None
            found = role_preview.preview_deletion(role_of(role), other)
            before = actor(person)
            with g.db.begin_nested() as savepoint:
                role_editor.delete_role(role_of(role), replacement=other, actor=None)
                holder = find_holder(person.id)
                assert holder is not None
                after = frozenset[str]().union(*(one.permissions for one in holder.held if one.object_id is None))
                savepoint.rollback()
            effect = next((effect.difference for effect in found.members), Difference())
            assert effect.gains == after - before.permissions
            assert effect.loses == before.permissions - after
