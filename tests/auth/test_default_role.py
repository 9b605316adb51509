"""The role of people whom nothing else gives one."""

import secrets
import uuid
from collections.abc import Iterator

import pytest
from flask import Flask, g
from sqlalchemy import select

from auth import default_role, groups, invitations, provisioning, role_editor, roles
from auth.audit_models import AuditEvent
from auth.errors import NotAllowed
from auth.identity import Identity, snapshot_of
from auth.models import Grant, Invitation, User
from auth.providers import configs
from auth.providers.base import ExternalIdentity
from auth.providers.models import ProviderConfig
from tenants.db import now
from tests.auth import directories
from tests.auth.helpers import inside, row_of
from tests.auth.sources import own
from tests.auth.test_role_editor import actor, make, role_of
from tests.factories import Workspace, add_person
from tests.servers import openldap, require
from tests.servers.openldap import OpenLdapServer


def choose(app: Flask, workspace: Workspace, name: str | None) -> None:
    """Choose the default role by the command line."""
    with inside(app, workspace):
        default_role.set_default_role(roles.get_role(name) if name else None, actor=None)


def chosen(app: Flask, workspace: Workspace) -> str | None:
    with inside(app, workspace):
        role = default_role.current()
        return role.name if role is not None else None


@pytest.fixture
def source(app: Flask, acme: Workspace) -> uuid.UUID:
    """A provider that may bring people of acme's domain."""
    domain = own(app, acme, f"{acme.slug}.example")
    with inside(app, acme):
        settings = {"issuer": "https://id.example", "client_id": "x"}
        config = configs.add_provider("work", "oidc", settings, actor=None, secret="secret", domains=[domain])
        config.rehearsed_at = now()
        return config.id


def arrive(app: Flask, workspace: Workspace, source: uuid.UUID, *groups: str, subject: str = "") -> uuid.UUID:
    """Let somebody come from the source, for the first time unless a subject is given; gives back the user's id."""
    subject = subject or secrets.token_hex(4)
    with inside(app, workspace) as session:
        config = session.find(ProviderConfig, source)
        person = ExternalIdentity(
            provider=str(source), subject=subject, login=subject, email=f"{subject}@{workspace.slug}.example",
            email_vouched=True, name="Vera", groups=frozenset(groups),
        )  # fmt: skip
        return provisioning.user_for(person, config).id


def given(app: Flask, workspace: Workspace, user_id: uuid.UUID) -> list[tuple[str, str]]:
    """The roles that a user has by themselves, each with its origin."""
    with inside(app, workspace) as session:
        return [
            (grant.role.name, grant.origin) for grant in session.scalars(select(Grant).where(Grant.user_id == user_id))
        ]


def test_a_workspace_has_none_until_it_chooses_one(app: Flask, acme: Workspace, source: uuid.UUID) -> None:
    assert chosen(app, acme) is None
    assert given(app, acme, arrive(app, acme, source)) == []


def test_whoever_comes_from_a_source_without_a_role_is_given_it(app: Flask, acme: Workspace, source: uuid.UUID) -> None:
    choose(app, acme, "viewer")
    user = arrive(app, acme, source)
    assert given(app, acme, user) == [("viewer", "default")]
    with inside(app, acme) as session:
        event = session.scalars(select(AuditEvent).where(AuditEvent.kind == "role given", AuditEvent.target_id == user))
        assert (said := event.one()).details == {"role": "viewer", "on": None, "origin": "default"}
        assert said.actor_kind == "system"


def test_whom_a_group_gives_a_role_is_not_given_it(app: Flask, acme: Workspace, source: uuid.UUID) -> None:
    choose(app, acme, "viewer")
    with inside(app, acme):
        groups.map_group(configs.get_config("work"), "staff", "staff", "member", actor=None)
    assert given(app, acme, arrive(app, acme, source, "staff")) == []
    assert given(app, acme, arrive(app, acme, source, "others")) == [("viewer", "default")]


def test_it_is_given_once_and_not_again_to_whom_it_was_taken_from(
    app: Flask, acme: Workspace, source: uuid.UUID
) -> None:
    choose(app, acme, "viewer")
    user = arrive(app, acme, source, subject="vera")
    with inside(app, acme) as session:
        roles.revoke_role(session.get_one(User, (acme.tenant.id, user)), "viewer", actor=None)
    assert arrive(app, acme, source, subject="vera") == user
    assert given(app, acme, user) == []


def test_an_invitation_without_a_role_gives_it(app: Flask, acme: Workspace) -> None:
    with inside(app, acme), pytest.raises(NotAllowed):
        invitations.invite(["vera@x.example"], "", actor=None)
    choose(app, acme, "viewer")
    with inside(app, acme) as session:
        invitations.invite(["vera@x.example"], "", actor=actor(acme.people["admin"]))
        assert session.scalars(select(Invitation)).one().role.name == "viewer"


def test_it_is_known_by_its_id_and_keeps_its_place_under_a_new_name(app: Flask, acme: Workspace) -> None:
    role = make(app, acme, "newcomer", "project:read")
    choose(app, acme, "newcomer")
    with inside(app, acme):
        role_editor.change_role(role_of(role), name="arrival", actor=None)
    assert chosen(app, acme) == "arrival"


@pytest.mark.parametrize("replacement", ["viewer", None])
def test_its_replacement_takes_its_place_when_it_is_deleted(
    app: Flask, acme: Workspace, replacement: str | None
) -> None:
    role = make(app, acme, "newcomer", "project:read")
    choose(app, acme, "newcomer")
    with inside(app, acme):
        other = roles.get_role(replacement) if replacement else None
        role_editor.delete_role(role_of(role), replacement=other, actor=None)
    assert chosen(app, acme) == replacement


def test_nobody_chooses_what_they_do_not_hold_nor_the_role_of_owner(app: Flask, acme: Workspace) -> None:
    make(app, acme, "manager", "role:manage", "project:read")
    make(app, acme, "newcomer", "project:read")
    person = add_person(app, acme, role="manager")
    for name, allowed in (("viewer", False), ("admin", False), ("owner", False), ("newcomer", True)):
        with inside(app, acme):
            role, acting = roles.get_role(name), actor(person)
            if allowed:
                default_role.set_default_role(role, actor=acting)
                continue
            with pytest.raises(NotAllowed):
                default_role.set_default_role(role, actor=acting)
    assert chosen(app, acme) == "newcomer"
    with inside(app, acme):
        owner = actor(acme.people["owner"])
        for name in ("owner", "project-editor"):
            with pytest.raises(NotAllowed):
                default_role.set_default_role(roles.get_role(name), actor=owner)


def test_nobody_takes_from_newcomers_what_they_do_not_hold(app: Flask, acme: Workspace) -> None:
    make(app, acme, "manager", "role:manage")
    person = add_person(app, acme, role="manager")
    choose(app, acme, "viewer")
    with inside(app, acme), pytest.raises(NotAllowed):
        default_role.set_default_role(None, actor=actor(person))
    assert chosen(app, acme) == "viewer"


def test_the_choice_is_in_the_audit_log_once(app: Flask, acme: Workspace) -> None:
    for _ in range(2):
        with inside(app, acme):
            default_role.set_default_role(roles.get_role("viewer"), actor=actor(acme.people["admin"]))
    with inside(app, acme):
        event = g.db.scalars(select(AuditEvent).where(AuditEvent.kind == "default role changed")).one()
        assert event.details == {"role": [None, "viewer"]}
        assert event.actor_id == acme.people["admin"].id


def test_another_tenants_choice_is_not_touched(app: Flask, acme: Workspace, globex: Workspace) -> None:
    choose(app, acme, "viewer")
    assert chosen(app, globex) is None


@pytest.fixture
def directory() -> Iterator[OpenLdapServer]:
    with require(openldap.start) as server:
        for uid in ("user1", "user2", "user3"):
            server.add_person(uid, password="the password at work")
        yield server


def test_a_sync_gives_it_to_those_whom_no_group_gives_a_role(
    app: Flask, acme: Workspace, directory: OpenLdapServer
) -> None:
    choose(app, acme, "viewer")
    directory.add_group("staff", [f"uid=user1,{directory.people}"])
    directories.connect(app, acme, directory, creates_users="sync")
    directories.map_group(app, acme, "staff", "member")
    assert directories.sync(app, acme).created == 3
    with inside(app, acme) as session:
        people = {user.email.partition("@")[0]: user.id for user in session.scalars(select(User))}
    assert given(app, acme, people["user1"]) == []
    assert given(app, acme, people["user2"]) == given(app, acme, people["user3"]) == [("viewer", "default")]


def test_a_source_that_would_give_it_takes_its_permissions(app: Flask, acme: Workspace) -> None:
    with inside(app, acme):
        admin = Identity(acme.people["admin"].id, snapshot_of(acme.people["admin"].id))
        settings = {"issuer": "https://login.example.com", "client_id": "x"}
        config = configs.add_provider("work", "oidc", settings, secret="s3cret", actor=admin)
        strong = roles.create_role("Strong", ["project:delete"], actor=None)
        default_role.set_default_role(strong, actor=None)
        weak = roles.create_role("Weak", ["provider:manage"], actor=None)
        roles.grant_role(row_of(acme.people["viewer"]), weak.name, actor=None)
        viewer = Identity(acme.people["viewer"].id, snapshot_of(acme.people["viewer"].id))
        with pytest.raises(NotAllowed, match="project:delete"):
            configs.enable_provider(config, actor=viewer, untried=True)
        with pytest.raises(NotAllowed, match="project:delete"):
            configs.add_provider("other", "oidc", settings, secret="s3cret", actor=viewer)
