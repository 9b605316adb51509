"""Whatever hostile admins do, in any mixture and order, they and their friends hold no more than they did."""

import secrets
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import pytest
from flask import Flask, g
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from auth import (
    acceptance,
    bulk_grants,
    default_role,
    groups,
    invitation_links,
    invitations,
    local_groups,
    member_import,
    provisioning,
    role_editor,
    roles,
    users,
)
from auth.errors import AuthError, NotAllowed
from auth.holdings import effective, find_holders
from auth.identity import Identity, snapshot_of
from auth.models import Group, Invitation, User
from auth.permissions import OWNER
from auth.providers import configs
from auth.providers.base import ExternalIdentity
from tenants.db import now
from tests.auth.helpers import inside, row_of
from tests.factories import Person, Workspace, add_person, make_workspace

HOSTILE = {
    "chief": ["member:manage", "member:read", "project:read", "provider:manage", "role:manage", "role:read"],
    "clerk": ["project:update", "role:manage"],
}
FRIENDS = ("friend", "stranger")
"""Who holds nothing, and would like to."""
OTHERS = {"keeper": "eraser", "owner": "owner", "admin": "admin"}
PERMISSIONS = ["project:read", "project:update", "project:delete", "member:manage", "role:manage", "audit:read"]
OWN = {
    "eraser": ["project:delete"],
    "auditor": ["audit:read"],
    "reader": ["project:read"],
    "writer": ["project:update"],
    "opener": ["role:manage"],
}
"""Roles that there are besides; some are theirs to give, some are not."""
NAMES = ["owner", "Owner", "admin", "viewer", "project-editor", *HOSTILE, *OWN, "one", "two"]
LOCAL = ("Board", "Club")

who = st.sampled_from(sorted(HOSTILE))
whom = st.sampled_from([*sorted(HOSTILE), *FRIENDS, *OTHERS])
others = st.sampled_from([*FRIENDS, *OTHERS])
# Theirs as often as all the others: what is refused at once leads nowhere.
role_names = st.sampled_from(["reader", "writer", "opener", "one"]) | st.sampled_from(NAMES)
new_names = st.sampled_from(["one", "two", "three", "four", "Owner", "eraser"])
permission_sets = st.sets(st.sampled_from(PERMISSIONS), max_size=2)
local_groups_ = st.sampled_from(LOCAL)


class HostileAdmins(RuleBasedStateMachine):
    """Two who may manage roles and members, and not everything, in a workspace where others hold more."""

    app: ClassVar[Flask]

    @initialize()
    def found(self) -> None:
        """Make the workspace."""
        self.workspace: Workspace = make_workspace(self.app)
        self.people: dict[str, Person] = {name: self.workspace.people[name] for name in ("owner", "admin")}
        with inside(self.app, self.workspace):
            for name, permissions in {**HOSTILE, **OWN}.items():
                roles.create_role(name, permissions, actor=None)
            settings_ = {"issuer": "https://id.example", "client_id": "x"}
            config = configs.add_provider("work", "oidc", settings_, actor=None, secret="secret")
            config.rehearsed_at = now()
            groups.map_group(config, "erasers", "erasers", "eraser", actor=None)
            board = local_groups.create_group("Board", actor=None)
            local_groups.give_role(board, roles.get_role("eraser"), actor=None)
            local_groups.create_group("Club", actor=None)
        for name, role in {
            **{name: name for name in HOSTILE},
            "friend": None,
            "stranger": None,
            "keeper": "eraser",
        }.items():
            self.people[name] = add_person(self.app, self.workspace, role=role)
        self.ours = [*HOSTILE, *FRIENDS]
        self.most = frozenset[str]().union(*HOSTILE.values())

    def act(self, name: str, work: Callable[[Identity], object]) -> None:
        """Let one of them do that, in a request of its own, if it is not refused."""
        try:
            with inside(self.app, self.workspace):
                snapshot = snapshot_of(self.people[name].id)
                if snapshot is not None:
                    work(Identity(self.people[name].id, snapshot))
        except (AuthError, ValueError):
            pass

    @rule(who=who, whom=whom, name=role_names)
    def give(self, who: str, whom: str, name: str) -> None:
        self.act(who, lambda actor: roles.grant_role(row_of(self.people[whom]), name, actor=actor))

    @rule(who=who, whom=whom, name=role_names, kind=st.sampled_from(["project", "report"]))
    def give_on_an_object(self, who: str, whom: str, name: str, kind: str) -> None:
        place = (kind, uuid.UUID(int=1))
        self.act(who, lambda actor: roles.grant_role(row_of(self.people[whom]), name, actor=actor, on=place))

    @rule(who=who, whom=whom, name=role_names)
    def give_to_many(self, who: str, whom: str, name: str) -> None:
        def work(actor: Identity) -> None:
            people = [row_of(self.people[each]) for each in (whom, "friend")]
            bulk_grants.give_to_many(people, roles.get_role(name), actor=actor)

        self.act(who, work)

    @rule(who=who, whom=st.none() | whom, name=st.just("") | role_names)
    def import_a_file(self, who: str, whom: str | None, name: str) -> None:
        """A friend comes in by a file, or one who is there is given a role by it."""
        address = self.people[whom].email if whom else f"{secrets.token_hex(4)}@x.example"

        def work(actor: Identity) -> None:
            if member_import.apply(f"email,name,role\n{address},Renamed,{name}\n", actor=actor).applied and not whom:
                self.befriend(users.get_by_email(address))

        self.act(who, work)

    @rule(who=who, whom=others, name=role_names)
    def take(self, who: str, whom: str, name: str) -> None:
        self.act(who, lambda actor: roles.revoke_role(row_of(self.people[whom]), name, actor=actor))

    @rule(who=who, name=new_names, permissions=permission_sets)
    def create(self, who: str, name: str, permissions: set[str]) -> None:
        self.act(who, lambda actor: roles.create_role(name, permissions, actor=actor))

    @rule(who=who, name=role_names, permissions=permission_sets)
    def edit(self, who: str, name: str, permissions: set[str]) -> None:
        self.act(who, lambda actor: role_editor.change_role(roles.get_role(name), permissions=permissions, actor=actor))

    @rule(who=who, name=role_names, other=new_names)
    def rename(self, who: str, name: str, other: str) -> None:
        self.act(who, lambda actor: role_editor.change_role(roles.get_role(name), name=other, actor=actor))

    @rule(who=who, name=role_names, other=new_names)
    def clone(self, who: str, name: str, other: str) -> None:
        self.act(who, lambda actor: role_editor.clone_role(roles.get_role(name), other, actor=actor))

    @rule(who=who, name=role_names, other=st.none() | role_names)
    def delete(self, who: str, name: str, other: str | None) -> None:
        def work(actor: Identity) -> None:
            replacement = roles.get_role(other) if other else None
            role_editor.delete_role(roles.get_role(name), replacement=replacement, actor=actor)

        self.act(who, work)

    @rule(who=who, name=st.none() | role_names)
    def choose_default(self, who: str, name: str | None) -> None:
        self.act(who, lambda actor: default_role.set_default_role(roles.get_role(name) if name else None, actor=actor))

    @rule(who=who, group=local_groups_, name=role_names, gives=st.booleans())
    def change_a_groups_roles(self, who: str, group: str, name: str, gives: bool) -> None:
        change = local_groups.give_role if gives else local_groups.take_role
        self.act(who, lambda actor: change(group_of(group), roles.get_role(name), actor=actor))

    @rule(who=who, group=local_groups_, whom=whom, joins=st.booleans())
    def change_a_groups_members(self, who: str, group: str, whom: str, joins: bool) -> None:
        change = local_groups.add_member if joins else local_groups.remove_member
        self.act(who, lambda actor: change(group_of(group), row_of(self.people[whom]), actor=actor))

    @rule(who=who, key=st.sampled_from(["erasers", "staff"]), name=role_names, maps=st.booleans())
    def map_a_group(self, who: str, key: str, name: str, maps: bool) -> None:
        def work(actor: Identity) -> None:
            config = configs.get_config("work")
            if maps:
                groups.map_group(config, key, key, name, actor=actor)
            else:
                groups.unmap_group(config, key, name, actor=actor)

        self.act(who, work)

    @rule(key=st.sampled_from(["staff", "others"]))
    def arrive(self, key: str) -> None:
        """A friend comes from the source, for the first time."""

        def work(_actor: Identity) -> None:
            config, subject = configs.get_config("work"), secrets.token_hex(4)
            person = ExternalIdentity(
                provider=str(config.id), subject=subject, login=subject, email=f"{subject}@x.example",
                email_vouched=True, name="Friend", groups=frozenset({key}),
            )  # fmt: skip
            user = provisioning.create_linked(person, config)
            g.db.flush()
            groups.set_memberships(config, user, person.groups)
            default_role.give_where_none([user.id])
            self.befriend(user)

        self.act("chief", work)

    @rule(who=who, name=st.just("") | role_names)
    def invite(self, who: str, name: str) -> None:
        """A friend is invited, and accepts."""
        address = f"{secrets.token_hex(4)}@x.example"
        self.act(who, lambda actor: invitations.invite([address], name, actor=actor))

    @rule()
    def accept(self) -> None:
        """All who are invited accept."""
        with inside(self.app, self.workspace) as session:
            tokens = [invitation_links.token_of(invitation) for invitation in session.scalars(select(Invitation))]
        for token in tokens:

            def work(_actor: Identity, token: str = token) -> None:
                self.befriend(acceptance.accept_with_password(token, "Friend", "correct horse battery staple"))

            self.act("chief", work)

    @rule(who=who, whom=others, opens=st.booleans())
    def close_or_open_an_account(self, who: str, whom: str, opens: bool) -> None:
        change = users.reactivate_user if opens else users.deactivate_user
        self.act(who, lambda actor: change(row_of(self.people[whom]), actor=actor))

    def befriend(self, user: User) -> None:
        name = f"friend {user.id}"
        self.people[name] = Person(user.id, user.email)
        self.ours.append(name)

    @invariant()
    def they_hold_no_more_and_others_no_less(self) -> None:
        """None of them holds what no hostile one held at the start; others keep what they could not have given."""
        with inside(self.app, self.workspace):
            holders = {holder.user_id: holder for holder in find_holders(select(User.id))}
        for name in self.ours:
            holder = holders[self.people[name].id]
            held = frozenset[str]().union(*effective(holder.held).values())
            assert held <= self.most, (name, held - self.most)
            assert OWNER.name not in {one.role for one in holder.held}
        keeper, owner = (holders[self.people[name].id] for name in ("keeper", "owner"))
        assert any("project:delete" in one.permissions for one in keeper.held)
        assert owner.active
        assert "Renamed" not in (keeper.name, owner.name)
        assert OWNER.name in {one.role for one in owner.held}


def group_of(name: str) -> Group:
    group: Group = g.db.scalars(select(Group).where(Group.name == name, Group.origin == "manual")).one()
    return group


def test_hostile_admins_never_end_up_with_more_than_they_had(lone_app: Flask) -> None:
    class InThisApplication(HostileAdmins):
        app = lone_app

    run_state_machine_as_test(
        InThisApplication,
        settings=settings(
            max_examples=12,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.postgres
def test_of_a_hundred_owners_who_remove_each_other_at_once_one_stays(postgres_app: Flask) -> None:
    workspace = make_workspace(postgres_app)
    people = [workspace.people["owner"], *(add_person(postgres_app, workspace, role="owner") for _ in range(99))]
    with inside(postgres_app, workspace):
        identities = [Identity(person.id, snapshot_of(person.id)) for person in people]

    def remove(number: int) -> str:
        acting, target = identities[number], people[(number + 1) % len(people)]
        try:
            with inside(postgres_app, workspace):
                if number % 2:
                    users.deactivate_user(row_of(target), actor=acting)
                else:
                    roles.revoke_role(row_of(target), "owner", actor=acting)
        except NotAllowed:
            return "refused"
        return "removed"

    with ThreadPoolExecutor(20) as threads:
        outcomes = list(threads.map(remove, range(len(people))))

    assert (outcomes.count("removed"), outcomes.count("refused")) == (99, 1)
    with inside(postgres_app, workspace):
        left = [user for user_id in roles.owners() if (user := g.db.find(User, user_id)) is not None and user.active]
        assert len(left) == 1
