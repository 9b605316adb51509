"""Guards: nobody gives what they do not hold, only owners make owners, and one owner always stays."""

import contextlib
import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, g
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from auth import roles, users
from auth.errors import NotAllowed, UnknownPermission
from auth.identity import Identity, snapshot_of
from auth.models import Grant, Group, Membership, User
from auth.roles import get_role, grant_role, revoke_role
from tenants.context import bound
from tenants.lifecycle import find_tenant
from tests.auth.helpers import at_once, grant, inside, row_of
from tests.factories import Person, Workspace, add_person, make_workspace
from tests.visitor import sign_in


def actor(person: Person) -> Identity:
    """The person as the one who acts."""
    snapshot = snapshot_of(person.id)
    assert snapshot is not None
    return Identity(person.id, snapshot)


def owners(app: Flask, workspace: Workspace) -> set[str]:
    """E-mail addresses of the active owners."""
    with inside(app, workspace):
        return {
            user.email
            for user in g.db.scalars(select(User).where(User.active))
            if "owner" in actor(Person(user.id, user.email)).roles
        }


def test_an_admin_gives_and_takes_what_admins_hold(app: Flask, acme: Workspace) -> None:
    with inside(app, acme):
        admin, viewer = actor(acme.people["admin"]), row_of(acme.people["viewer"])
        for role in ("admin", "member", "viewer"):
            grant_role(viewer, role, actor=admin)
            assert revoke_role(viewer, role, actor=admin) == 1


@pytest.mark.parametrize("giver", ["member", "viewer"])
@pytest.mark.parametrize("role", ["owner", "admin", "member", "viewer"])
def test_who_does_not_manage_roles_gives_and_takes_none(app: Flask, acme: Workspace, giver: str, role: str) -> None:
    with inside(app, acme):
        acting, target = actor(acme.people[giver]), row_of(acme.people["viewer"])
        with pytest.raises(NotAllowed):
            grant_role(target, role, actor=acting)
        with pytest.raises(NotAllowed):
            revoke_role(target, role, actor=acting)


def test_an_admin_neither_makes_nor_unmakes_an_owner(app: Flask, acme: Workspace) -> None:
    grant(app, acme, acme.people["member"], "owner")
    with inside(app, acme):
        admin = actor(acme.people["admin"])
        with pytest.raises(NotAllowed):
            grant_role(row_of(acme.people["admin"]), "owner", actor=admin)
        with pytest.raises(NotAllowed):
            revoke_role(row_of(acme.people["member"]), "owner", actor=admin)
        with pytest.raises(NotAllowed):
            users.deactivate_user(row_of(acme.people["member"]), actor=admin)


def test_holding_every_permission_does_not_make_an_owner(app: Flask, acme: Workspace) -> None:
    """The role itself is what counts, not what is in it today."""
    with inside(app, acme):
        everything = roles.permissions_of(get_role("owner"))
        roles.create_role("second in command", everything, actor=None)
    grant(app, acme, acme.people["viewer"], "second in command")
    with inside(app, acme), pytest.raises(NotAllowed):
        grant_role(row_of(acme.people["viewer"]), "owner", actor=actor(acme.people["viewer"]))


def test_an_owner_makes_and_unmakes_an_owner(app: Flask, acme: Workspace) -> None:
    with inside(app, acme):
        grant_role(row_of(acme.people["member"]), "owner", actor=actor(acme.people["owner"]))
    with inside(app, acme):
        revoke_role(row_of(acme.people["owner"]), "owner", actor=actor(acme.people["member"]))

    assert owners(app, acme) == {acme.people["member"].email}


def test_a_custom_role_with_more_than_one_holds_is_neither_made_nor_given_nor_taken(
    app: Flask, acme: Workspace
) -> None:
    with inside(app, acme):
        roles.create_role("manager of roles", ["role:manage"], actor=None)
        roles.create_role("eraser", ["project:delete"], actor=None)
    person = add_person(app, acme, role="manager of roles")
    with inside(app, acme):
        acting, target = actor(person), row_of(acme.people["viewer"])
        grant_role(target, "manager of roles", actor=acting)
        with pytest.raises(NotAllowed):
            grant_role(target, "eraser", actor=acting)
        with pytest.raises(NotAllowed):
            revoke_role(target, "eraser", actor=acting)
        with pytest.raises(NotAllowed):
            roles.create_role("mine", ["project:delete"], actor=acting)


def test_a_role_is_made_of_registered_permissions_only(app: Flask, acme: Workspace) -> None:
    with inside(app, acme), pytest.raises(UnknownPermission):
        roles.create_role("dreamer", ["project:dream"], actor=None)


def test_nobody_is_appointed_owner_for_a_time(app: Flask, acme: Workspace) -> None:
    with inside(app, acme), pytest.raises(NotAllowed):
        grant_role(row_of(acme.people["member"]), "owner", actor=None, expires_at=users.now())


def test_the_last_owner_cannot_be_taken_away(app: Flask, acme: Workspace) -> None:
    with inside(app, acme):
        owner = row_of(acme.people["owner"])
        for acting in (None, actor(acme.people["owner"])):
            with pytest.raises(NotAllowed):
                revoke_role(owner, "owner", actor=acting)
            with pytest.raises(NotAllowed):
                users.deactivate_user(owner, actor=acting)

    assert owners(app, acme) == {acme.people["owner"].email}


def test_a_deactivated_owner_is_no_reason_to_let_the_last_one_go(app: Flask, acme: Workspace) -> None:
    grant(app, acme, acme.people["member"], "owner")
    with inside(app, acme):
        users.deactivate_user(row_of(acme.people["member"]), actor=None)
    with inside(app, acme), pytest.raises(NotAllowed):
        revoke_role(row_of(acme.people["owner"]), "owner", actor=None)


def test_an_owner_through_a_group_is_an_owner(app: Flask, acme: Workspace) -> None:
    with inside(app, acme) as session:
        group = Group(name="Board")
        session.add(group)
        session.flush()
        session.add(Membership(user_id=acme.people["member"].id, group_id=group.id))
        session.add(Grant(group_id=group.id, role_id=get_role("owner").id))
    with inside(app, acme):
        revoke_role(row_of(acme.people["owner"]), "owner", actor=actor(acme.people["member"]))

    assert owners(app, acme) == {acme.people["member"].email}
    with inside(app, acme), pytest.raises(NotAllowed):
        users.deactivate_user(row_of(acme.people["member"]), actor=None)


def test_the_one_of_two_owners_goes_and_the_other_stays(app: Flask, acme: Workspace) -> None:
    grant(app, acme, acme.people["member"], "owner")
    with inside(app, acme):
        users.deactivate_user(row_of(acme.people["owner"]), actor=actor(acme.people["member"]))

    assert owners(app, acme) == {acme.people["member"].email}


def remove(app: Flask, workspace: Workspace, me: Identity, target: Person, how: str) -> Callable[[], str]:
    """One owner removing another, in a transaction of its own."""

    def work() -> str:
        try:
            with app.app_context(), bound(find_tenant(workspace.slug)):
                if how == "revoke":
                    revoke_role(row_of(target), "owner", actor=me)
                else:
                    users.deactivate_user(row_of(target), actor=me)
        except NotAllowed:
            return "refused"
        return "removed"

    return work


@pytest.mark.parametrize("how", ["revoke", "deactivate", "both"])
def test_owners_who_remove_each_other_at_once_leave_exactly_one(app: Flask, how: str) -> None:
    workspace = make_workspace(app)
    people = [workspace.people["owner"], *(add_person(app, workspace, role="owner") for _ in range(9))]
    ways = ("revoke", "deactivate") if how == "both" else (how, how)
    with inside(app, workspace):  # all of them come in as owners, whatever happens meanwhile
        identities = [actor(person) for person in people]
    # Each is removed by two others: twenty at once.
    works = [
        remove(app, workspace, identities[(place + step) % 10], person, ways[step % 2])
        for place, person in enumerate(people)
        for step in (1, 2)
    ]

    outcomes = at_once(works)

    assert outcomes.count("removed") >= 9
    assert len(owners(app, workspace)) == 1


def test_two_owners_who_did_other_work_before_do_not_wait_for_each_other_for_ever(app: Flask) -> None:
    workspace = make_workspace(app)
    first, second = workspace.people["owner"], add_person(app, workspace, role="owner")

    def work(acting: Person, target: Person) -> Callable[[], str]:
        def run() -> str:
            with app.app_context(), bound(find_tenant(workspace.slug)):
                users.create_user(f"by-{acting.id.hex}@{workspace.slug}.example")
                try:
                    revoke_role(row_of(target), "owner", actor=None)
                except NotAllowed:
                    return "refused"
            return "removed"

        return run

    assert sorted(at_once([work(first, second), work(second, first)])) == ["refused", "removed"]
    assert len(owners(app, workspace)) == 1


def test_a_failed_removal_undoes_the_rest_of_its_transaction(app: Flask, acme: Workspace) -> None:
    def rename_and_remove() -> None:
        with inside(app, acme):
            row_of(acme.people["member"]).name = "Changed"
            users.deactivate_user(row_of(acme.people["owner"]), actor=None)

    with pytest.raises(NotAllowed):
        rename_and_remove()
    with inside(app, acme):
        assert row_of(acme.people["member"]).name != "Changed"
        assert row_of(acme.people["owner"]).active
    assert sign_in(app, acme, "owner").is_signed_in()


# Hostile admins

PEOPLE = ("admin", "member", "viewer", "helper")
ROLES = ("owner", "admin", "member", "viewer", "auditor", "invented")
OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["grant", "revoke", "create", "deactivate", "reactivate"]),
        st.sampled_from(PEOPLE),  # who acts
        st.sampled_from(["owner", *PEOPLE]),  # on whom
        st.sampled_from(ROLES),
        st.sets(st.sampled_from(["role:manage", "member:manage", "project:delete", "project:read", "audit:read"])),
    ),
    max_size=12,
)


def attempt(operation: tuple[str, str, str, str, set[str]], people: dict[str, Person]) -> None:
    what, who, whom, role, permissions = operation
    snapshot = snapshot_of(people[who].id)
    if snapshot is None:
        return
    acting, target = Identity(people[who].id, snapshot), row_of(people[whom])
    if what == "grant":
        grant_role(target, role, actor=acting)
    elif what == "revoke":
        revoke_role(target, role, actor=acting)
    elif what == "create":
        roles.create_role(role, permissions, actor=acting)
    elif what == "deactivate":
        users.deactivate_user(target, actor=acting)
    else:
        users.reactivate_user(target, actor=acting)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=OPERATIONS)
def test_hostile_admins_never_end_up_with_more_than_they_had(app: Flask, operations: Any) -> None:
    workspace = make_workspace(app)
    people = {**workspace.people, "helper": add_person(app, workspace, role=None)}
    with inside(app, workspace):
        roles.create_role("auditor", ["role:read", "project:read"], actor=None)
        held = {name: actor(people[name]).permissions for name in PEOPLE}
    together = frozenset[str]().union(*held.values())
    assert "role:manage" in together
    for operation in operations:
        try:
            with inside(app, workspace):
                attempt(operation, people)
        except (NotAllowed, UnknownPermission, LookupError):
            continue
    with inside(app, workspace):
        for name in PEOPLE:
            snapshot = snapshot_of(people[name].id)
            if snapshot is not None:
                assert snapshot.permissions <= together, (name, operations)
                assert "owner" not in snapshot.roles
        assert row_of(people["owner"]).active
        assert "owner" in actor(people["owner"]).roles


def test_managing_members_and_roles_needs_its_permission(app: Flask, acme: Workspace) -> None:
    with app.app_context(), bound(acme.tenant):
        member, target = actor(acme.people["member"]), row_of(acme.people["viewer"])
        with pytest.raises(NotAllowed):
            users.deactivate_user(target, actor=member)
        with pytest.raises(NotAllowed):
            users.reactivate_user(target, actor=member)
        with pytest.raises(NotAllowed):
            roles.create_role("mine", ["project:read"], actor=member)


def test_an_admin_does_not_bring_a_deactivated_owner_back(app: Flask, acme: Workspace) -> None:
    second = add_person(app, acme, role="owner")
    with app.app_context(), bound(acme.tenant):
        users.deactivate_user(row_of(second), actor=None)
        with pytest.raises(NotAllowed):
            users.reactivate_user(row_of(second), actor=actor(acme.people["admin"]))
        users.reactivate_user(row_of(second), actor=actor(acme.people["owner"]))


def test_an_owner_appointed_while_being_deactivated_is_not_the_last_one_left(
    app: Flask, acme: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the question whether somebody is an owner and the deactivation the workspace changes hands."""
    heir, is_owner = acme.people["member"], roles.is_owner
    started: list[threading.Thread] = []

    def change_hands() -> None:
        grant(app, acme, heir, "owner")
        with contextlib.suppress(NotAllowed), inside(app, acme):
            revoke_role(row_of(acme.people["owner"]), "owner", actor=None)

    def ask(user_id: uuid.UUID) -> bool:
        answer = is_owner(user_id)
        started.append(threading.Thread(target=change_hands))
        started[0].start()
        started[0].join(1)
        return answer

    monkeypatch.setattr(roles, "is_owner", ask)
    with inside(app, acme):
        users.deactivate_user(row_of(heir), actor=actor(acme.people["admin"]))
    started[0].join()

    assert owners(app, acme)
