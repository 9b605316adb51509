"""Nobody gets rights by way of a directory that they could not give themselves."""

from collections.abc import Iterator

import pytest
from flask import Flask, g
from sqlalchemy import select

from auth import groups, linking, roles, users
from auth.errors import InvalidProvider, NotAllowed
from auth.identity import Identity, snapshot_of
from auth.models import Grant, User
from auth.providers import configs
from auth.providers.base import ExternalIdentity
from auth.providers.models import ProviderConfig
from tests.auth.helpers import inside
from tests.factories import Person, Workspace

SETTINGS = {"servers": ["ldaps://ldap.acme.example"], "base_dn": "dc=acme,dc=example"}
ELSEWHERE = SETTINGS | {"servers": ["ldaps://mine.example"]}
KEY = "cn=engineers,dc=acme,dc=example"


@pytest.fixture
def bound(app: Flask, acme: Workspace) -> Iterator[Workspace]:
    with inside(app, acme):
        yield acme


def actor(person: Person) -> Identity:
    return Identity(person.id, snapshot_of(person.id))


def manager(workspace: Workspace, *permissions: str) -> Person:
    """Somebody with these permissions and no others."""
    roles.create_role("directory manager", permissions, actor=None)
    g.db.flush()
    user = users.create_user(f"manager@{workspace.slug}.example")
    roles.grant_role(user, "directory manager", actor=None)
    g.db.flush()
    return Person(user.id, user.email)


def new_provider(name: str = "office") -> ProviderConfig:
    return configs.add_provider(name, "ldap", SETTINGS, actor=None, secret="secret")


def link(config: ProviderConfig, person: Person, subject: str = "1") -> None:
    user = g.db.find(User, person.id)
    linking.connect(user, ExternalIdentity(str(config.id), subject), config)
    g.db.flush()


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_managing_directories_needs_its_permission(bound: Workspace, role: str) -> None:
    config = new_provider()
    by = actor(bound.people[role])
    for attempt in (
        lambda: configs.add_provider("mine", "ldap", SETTINGS, actor=by),
        lambda: configs.change_provider(config, actor=by, label="mine"),
        lambda: configs.enable_provider(config, actor=by),
        lambda: configs.disable_provider(config, actor=by),
        lambda: configs.remove_provider(config, actor=by),
        lambda: groups.map_group(config, KEY, "engineers", "viewer", actor=by),
    ):
        with pytest.raises(NotAllowed):
            attempt()


def test_an_administrator_may(bound: Workspace) -> None:
    by = actor(bound.people["admin"])
    config = configs.add_provider("mine", "ldap", SETTINGS, actor=by)
    configs.enable_provider(config, actor=by)
    groups.map_group(config, KEY, "engineers", "member", actor=by)
    g.db.flush()
    assert config.enabled
    (grant,) = g.db.scalars(select(Grant).where(Grant.origin == config.origin))
    assert grant.granted_by == by.user_id


def test_a_group_never_makes_owners(bound: Workspace) -> None:
    for by in (None, actor(bound.people["owner"]), actor(bound.people["admin"])):
        with pytest.raises(NotAllowed):
            groups.map_group(new_provider(f"p{id(by)}"), KEY, "engineers", "owner", actor=by)


def test_a_role_with_more_than_one_holds_cannot_be_mapped(bound: Workspace) -> None:
    person = manager(bound, "provider:manage", "role:manage")
    by = actor(person)
    config = configs.add_provider("mine", "ldap", SETTINGS, actor=by)
    with pytest.raises(NotAllowed):
        groups.map_group(config, KEY, "engineers", "admin", actor=by)
    with pytest.raises(NotAllowed):
        groups.map_group(config, KEY, "engineers", "member", actor=by)
    groups.map_group(config, KEY, "engineers", "directory manager", actor=by)


def test_who_would_decide_how_an_owner_signs_in_has_to_be_one(bound: Workspace) -> None:
    config = new_provider()
    link(config, bound.people["owner"])
    by = actor(bound.people["admin"])
    for attempt in (
        lambda: configs.change_provider(
            config, actor=by, settings=SETTINGS | {"servers": ["ldaps://mine"]}, secret="x"
        ),
        lambda: configs.remove_provider(config, actor=by),
        lambda: configs.disable_provider(config, actor=by),
    ):
        with pytest.raises(NotAllowed, match="Only owners"):
            attempt()
    configs.change_provider(config, actor=actor(bound.people["owner"]), label="ours")


def test_who_would_decide_how_somebody_with_more_rights_signs_in_may_not(bound: Workspace) -> None:
    person = manager(bound, "provider:manage")
    config = new_provider()
    configs.change_provider(config, actor=actor(person), label="nobody is linked yet")
    link(config, bound.people["admin"])
    with pytest.raises(NotAllowed):
        configs.change_provider(config, actor=actor(person), label="mine")


def test_an_administrator_joins_no_owner_with_a_person_of_a_directory(bound: Workspace) -> None:
    config = new_provider()
    owner = g.db.find(User, bound.people["owner"].id)
    with pytest.raises(NotAllowed, match="Only owners"):
        linking.connect_for(owner, ExternalIdentity(str(config.id), "1"), config, actor=actor(bound.people["admin"]))


def test_two_directories_cannot_have_one_domain(bound: Workspace) -> None:
    configs.add_provider("first", "ldap", SETTINGS, actor=None, domains=["Acme.Example"])
    with pytest.raises(InvalidProvider, match="first"):
        configs.add_provider("second", "ldap", SETTINGS, actor=None, domains=["acme.example"])


def test_a_mapping_that_exists_is_not_made_twice(bound: Workspace) -> None:
    config = new_provider()
    groups.map_group(config, KEY, "engineers", "member", actor=None)
    groups.map_group(config, KEY, "engineers", "member", actor=None)
    g.db.flush()
    assert len(g.db.scalars(select(Grant).where(Grant.origin == config.origin)).all()) == 1


def test_two_groups_of_one_name_are_told_apart(bound: Workspace) -> None:
    config = new_provider()
    first = groups.map_group(config, KEY, "engineers", "member", actor=None)
    second = groups.map_group(config, f"ou=else,{KEY}", "engineers", "member", actor=None)
    assert (first.name, second.name) == ("engineers", "engineers (2)")
