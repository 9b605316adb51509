"""Explanations: that they are what is decided, and that they name everything on the way."""

import uuid
from datetime import timedelta

from flask import Flask, g

from auth import explain as explanations
from auth import local_groups, roles
from auth.explain import chains_of, explain, vouchers_of
from auth.identity import Snapshot, snapshot_of
from auth.models import Group
from auth.providers.models import LinkedIdentity, ProviderConfig
from auth.roles import get_role, grant_role
from saas.projects.permissions import EDITOR, OBJECT_TYPE
from tenants.db import now
from tests.auth.helpers import inside, row_of
from tests.factories import Person, Workspace, add_person, make_project


def populate(app: Flask, acme: Workspace) -> tuple[dict[str, Person], uuid.UUID]:
    """People who hold things in every way there is, and a project that some hold them on."""
    project = make_project(app, acme)
    people = dict(acme.people)
    for name in ("nobody", "by-group", "own-role", "lapsed", "ending", "on-one", "deactivated"):
        people[name] = add_person(app, acme, role=None)
    with inside(app, acme):
        group = local_groups.create_group("Night shift", actor=None)
        local_groups.give_role(group, get_role("member"), actor=None)
        local_groups.add_member(group, row_of(people["by-group"]), actor=None)
        roles.create_role("clerk", ["project:delete", "role:read"], actor=None)
        grant_role(row_of(people["own-role"]), "clerk", actor=None)
        day = timedelta(days=1)
        grant_role(row_of(people["lapsed"]), "admin", actor=None, expires_at=now() - day)
        grant_role(row_of(people["ending"]), "admin", actor=None, expires_at=now() + day)
        grant_role(row_of(people["on-one"]), EDITOR.name, actor=None, on=(OBJECT_TYPE, project))
        grant_role(row_of(people["deactivated"]), "admin", actor=None)
        row_of(people["deactivated"]).active = False
    return people, project


def decided(snapshot: Snapshot | None, permission: str, on: tuple[str, uuid.UUID] | None) -> bool:
    """What a request is told."""
    if snapshot is None:
        return False
    return permission in snapshot.permissions or (on is not None and permission in snapshot.objects.get(on, ()))


def test_an_explanation_is_what_is_decided_for_every_permission(app: Flask, acme: Workspace) -> None:
    people, project = populate(app, acme)
    permitted = 0
    with inside(app, acme):
        for name, person in people.items():
            snapshot = snapshot_of(person.id)
            for permission in roles.catalogue().permissions:
                for on in (None, (OBJECT_TYPE, project), (OBJECT_TYPE, uuid.UUID(int=1))):
                    told = explain(person.id, permission, on=on)
                    assert told.allowed is decided(snapshot, permission, on), (name, permission, on)
                    permitted += told.allowed
    assert permitted


def test_an_explanation_uses_the_code_that_decides(app: Flask, acme: Workspace, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    with inside(app, acme):
        asked: list[uuid.UUID] = []
        original = explanations.find_holder
        monkeypatch.setattr(explanations, "find_holder", lambda user_id: asked.append(user_id) or original(user_id))
        explain(acme.people["member"].id, "project:update")
        assert asked == [acme.people["member"].id]


def test_what_is_missing_names_the_workspaces_own_roles(app: Flask, acme: Workspace) -> None:
    populate(app, acme)
    with inside(app, acme):
        assert explain(acme.people["viewer"].id, "project:delete").missing == ("owner", "admin", "clerk")
        assert explain(acme.people["owner"].id, "project:delete").missing == ()


def test_a_role_for_single_objects_is_missing_on_such_an_object_only(app: Flask, acme: Workspace) -> None:
    people, project = populate(app, acme)
    with inside(app, acme):
        nobody = people["nobody"].id
        assert EDITOR.name not in explain(nobody, "project:update").missing
        assert EDITOR.name in explain(nobody, "project:update", on=(OBJECT_TYPE, project)).missing
        assert EDITOR.name not in explain(nobody, "project:update", on=("invoice", project)).missing


def test_every_missing_role_would_permit_it(app: Flask, acme: Workspace) -> None:
    people, project = populate(app, acme)
    nobody, on = people["nobody"], (OBJECT_TYPE, project)
    with inside(app, acme):
        for permission in roles.catalogue().permissions:
            for name in explain(nobody.id, permission, on=on).missing:
                g.db.flush()
                saved = g.db.begin_nested()
                place = on if name == EDITOR.name else None
                grant_role(row_of(nobody), name, actor=None, on=place)
                g.db.flush()
                assert explain(nobody.id, permission, on=on).allowed, (permission, name)
                saved.rollback()


def test_a_lapsed_grant_is_told_with_its_end(app: Flask, acme: Workspace) -> None:
    people, _project = populate(app, acme)
    with inside(app, acme):
        told = explain(people["lapsed"].id, "role:manage")
        assert (told.allowed, told.through) == (False, ())
        assert [held.role for held in told.lapsed] == ["admin"]
        assert told.lapsed[0].expires_at is not None


def test_a_chain_names_the_group_its_origin_and_the_giver(app: Flask, acme: Workspace) -> None:
    people, _project = populate(app, acme)
    with inside(app, acme):
        group = g.db.query(Group).one()
        (held,) = explain(people["by-group"].id, "project:create").through
        chain = chains_of([held])[held.grant_id]
        assert (chain.group_id, chain.group_origin, chain.giver) == (group.id, "manual", None)
        grant = grant_role(row_of(people["nobody"]), "viewer", actor=None)
        grant.granted_by = acme.people["owner"].id
    with inside(app, acme):
        (held,) = explain(people["nobody"].id, "project:read").through
        chain = chains_of([held])[held.grant_id]
        assert (chain.group_id, chain.giver) == (None, "Owner")


def test_the_sources_that_vouch_for_somebody_are_named(app: Flask, acme: Workspace) -> None:
    with inside(app, acme):
        member = row_of(acme.people["member"])
        assert [(one.provider, one.login) for one in vouchers_of(member)] == [(None, member.email)]
        config = ProviderConfig(name="office", label="Head office", kind="ldap")
        g.db.add(config)
        g.db.flush()
        link = LinkedIdentity(user_id=member.id, provider_id=config.id, subject="1", login="vera", departed_at=now())
        g.db.add(link)
        g.db.flush()
        told = vouchers_of(member)
        assert [(one.provider, one.login, one.departed) for one in told] == [
            (config, "vera", True),
            (None, member.email, False),
        ]
        member.password = None
        g.db.flush()
        assert [one.provider for one in vouchers_of(member)] == [config]
