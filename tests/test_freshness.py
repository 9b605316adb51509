"""What is changed in one process is effective on the next request of another whose memory was warm."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask, g
from sqlalchemy import select, update

from auth import roles, sessions, users
from auth.models import Grant, Group, Membership, Role
from tenants.context import bound
from tenants.db import now
from tenants.lifecycle import rename_tenant, resume_tenant, suspend_tenant
from tests.conftest import Database
from tests.factories import Workspace, add_person
from tests.servers.second_process import SecondProcess
from tests.visitor import Visitor, sign_in

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def other(database: Database) -> Iterator[SecondProcess]:
    """Another process on the same database."""
    with SecondProcess(env="testing", database_url=database.url, argon2_memory_kib=64, argon2_rounds=1) as process:
        yield process


@pytest.fixture
def here(app: Flask, acme: Workspace) -> Callable[[Callable[[], Any]], Any]:
    """Do something in this process, as acme."""

    def do(work: Callable[[], Any]) -> Any:
        with app.app_context(), bound(acme.tenant):
            return work()

    return do


def permissions(other: SecondProcess, caller: Visitor) -> list[str]:
    status, body = other.get(caller)
    assert status == 200
    found: list[str] = body["permissions"]
    return found


Here = Callable[[Callable[[], Any]], Any]


def test_a_session_of_one_process_is_known_in_the_other(other: SecondProcess, member: Visitor, acme: Workspace) -> None:
    status, body = other.get(member)
    assert (status, body["user"]["email"]) == (200, acme.people["member"].email)


def test_a_role_that_is_given_counts_at_once(
    other: SecondProcess, member: Visitor, acme: Workspace, here: Here
) -> None:
    assert "member:manage" not in permissions(other, member)
    here(lambda: roles.grant_role(users.get_by_email(acme.people["member"].email), "admin", actor=None))
    assert "member:manage" in permissions(other, member)


def test_a_role_that_is_taken_is_gone_at_once(
    other: SecondProcess, member: Visitor, acme: Workspace, here: Here
) -> None:
    assert "project:create" in permissions(other, member)
    here(lambda: roles.revoke_role(users.get_by_email(acme.people["member"].email), "member", actor=None))
    assert permissions(other, member) == []
    assert other.get(member, "/api/v1/projects")[0] == 403


def test_a_session_that_is_ended_is_over_at_once(
    other: SecondProcess, member: Visitor, acme: Workspace, here: Here
) -> None:
    assert other.get(member)[0] == 200
    here(lambda: sessions.end_all(acme.people["member"].id))
    assert other.get(member)[0] == 401


def test_one_session_of_two_is_ended(other: SecondProcess, app: Flask, acme: Workspace, member: Visitor) -> None:
    second = sign_in(app, acme)
    assert other.get(member)[0] == other.get(second)[0] == 200
    assert second.post("/auth/logout").status_code == 302
    assert other.get(second)[0] == 401
    assert other.get(member)[0] == 200


def test_a_deactivated_user_is_out_at_once_and_stays_out(
    other: SecondProcess, member: Visitor, acme: Workspace, here: Here
) -> None:
    assert other.get(member)[0] == 200
    email = acme.people["member"].email
    here(lambda: users.deactivate_user(users.get_by_email(email), actor=None))
    assert other.get(member)[0] == 401
    here(lambda: users.reactivate_user(users.get_by_email(email), actor=None))
    assert other.get(member)[0] == 401


def test_a_suspended_tenant_is_not_served_and_a_resumed_one_is(
    other: SecondProcess, app: Flask, member: Visitor, acme: Workspace
) -> None:
    assert other.get(member)[0] == 200
    with app.app_context():
        suspend_tenant(acme.slug)
    assert other.get(member)[0] == 403
    with app.app_context():
        resume_tenant(acme.slug)
    assert other.get(member)[0] == 200


def test_a_renamed_tenant_is_called_so_at_once(
    other: SecondProcess, app: Flask, member: Visitor, acme: Workspace
) -> None:
    other.get(member)
    with app.app_context():
        rename_tenant(acme.slug, name="Renamed Ltd")
    assert other.get(member)[1]["tenant"]["name"] == "Renamed Ltd"


def test_a_host_that_is_given_up_leads_nowhere_at_once(
    other: SecondProcess, app: Flask, member: Visitor, acme: Workspace
) -> None:
    assert other.get(member)[0] == 200
    with app.app_context():
        rename_tenant(acme.slug, new_slug=f"n{acme.slug}")
    assert other.get(member)[0] == 404


@pytest.mark.parametrize("way", ["instance", "statement"])
def test_what_a_role_permits_is_changed_at_once(
    other: SecondProcess, app: Flask, acme: Workspace, here: Here, way: str
) -> None:
    person = add_person(app, acme, role=None)

    def prepare() -> None:
        roles.create_role("auditor", ["project:read", "member:read"], actor=None)
        g.db.flush()
        roles.grant_role(users.get_by_email(person.email), "auditor", actor=None)

    def change() -> None:
        if way == "instance":
            roles.get_role("auditor").stored_permissions = ["member:read"]
        else:
            g.db.execute(update(Role).where(Role.name == "auditor").values(stored_permissions=["member:read"]))

    here(prepare)
    caller = Visitor(app, acme.host)
    caller.sign_in(person)
    assert permissions(other, caller) == ["member:read", "project:read"]
    here(change)
    assert permissions(other, caller) == ["member:read"]


def test_a_grant_that_ends_is_over_when_its_time_has_come(
    other: SecondProcess, app: Flask, acme: Workspace, here: Here
) -> None:
    person = add_person(app, acme, role="viewer")
    caller = Visitor(app, acme.host)
    caller.sign_in(person)
    end = now() + timedelta(seconds=1.5)
    here(lambda: roles.grant_role(users.get_by_email(person.email), "admin", actor=None, expires_at=end))
    assert "member:manage" in permissions(other, caller)
    time.sleep(max(0.0, (end - now()).total_seconds()) + 0.05)
    assert "member:manage" not in permissions(other, caller)
    assert other.get(caller)[1]["roles"] == ["viewer"]


def test_a_grant_that_is_ended_early_is_over_at_once(
    other: SecondProcess, member: Visitor, acme: Workspace, here: Here
) -> None:
    assert "project:create" in permissions(other, member)
    person = acme.people["member"].id
    here(lambda: g.db.execute(update(Grant).where(Grant.user_id == person).values(expires_at=now())))
    assert permissions(other, member) == []


def test_who_joins_and_leaves_a_group_has_its_roles_and_loses_them(
    other: SecondProcess, app: Flask, acme: Workspace, here: Here
) -> None:
    person = add_person(app, acme, role="viewer")
    caller = Visitor(app, acme.host)
    caller.sign_in(person)

    def prepare() -> Any:
        group = Group(name="Operations")
        g.db.add(group)
        g.db.flush()
        g.db.add(Grant(group_id=group.id, role_id=roles.get_role("admin").id))
        return group.id

    group_id = here(prepare)
    assert "member:manage" not in permissions(other, caller)
    here(lambda: g.db.add(Membership(user_id=person.id, group_id=group_id)))
    assert "member:manage" in permissions(other, caller)
    here(lambda: g.db.delete(g.db.scalars(select(Membership).where(Membership.user_id == person.id)).one()))
    assert "member:manage" not in permissions(other, caller)


def test_a_changed_name_is_shown_at_once(other: SecondProcess, member: Visitor, acme: Workspace, here: Here) -> None:
    other.get(member)

    def rename() -> None:
        users.get_by_email(acme.people["member"].email).name = "Renamed Person"

    here(rename)
    assert other.get(member)[1]["user"]["name"] == "Renamed Person"


def test_what_is_changed_is_seen_by_nobody_before_it_is_committed(
    other: SecondProcess, app: Flask, member: Visitor, acme: Workspace
) -> None:
    assert "project:create" in permissions(other, member)
    with app.app_context(), bound(acme.tenant) as session:
        roles.revoke_role(users.get_by_email(acme.people["member"].email), "member", actor=None)
        session.flush()
        assert "project:create" in permissions(other, member)
    assert permissions(other, member) == []
