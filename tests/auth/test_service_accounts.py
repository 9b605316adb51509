"""Service accounts: users that are programs, hold roles, never sign in, and are nobody's member."""

import pytest
from flask import Flask, g
from sqlalchemy import select

from auth import clients, guards, local_groups, members, overview, roles, service_accounts, users
from auth.audit_models import AuditEvent
from auth.errors import InvalidClient, NotAllowed
from auth.members import Filter
from auth.models import Grant, User
from auth.token_models import ApiToken
from tests.auth.helpers import inside
from tests.auth.oauth_server.programs import account_of, actor, employ, make_role, row_of
from tests.factories import PASSWORD, Workspace, add_person
from tests.visitor import Visitor, sign_in

GRANT = {"grant_type": "client_credentials"}


def test_nobody_signs_in_as_one_or_finds_it_by_its_address(app: Flask, acme: Workspace, visitor: Visitor) -> None:
    robot = employ(app, acme, "admin")
    with inside(app, acme):
        account = account_of(robot)
        address, handle = account.email, account.fs_webauthn_user_handle
        assert users.find_by_email(address) is None
        store = app.extensions["security"].datastore
        for look in ({"email": address}, {"fs_uniquifier": account.fs_uniquifier}, {"fs_webauthn_user_handle": handle}):
            assert store.find_user(**look) is None
        account.password = g.db.find(User, acme.people["owner"].id).password
    assert visitor.post("/auth/login", {"email": address, "password": PASSWORD}).status_code == 200
    assert not visitor.is_signed_in()
    visitor.post("/auth/reset", {"email": address})
    assert not [mail for mail in getattr(app.extensions["mailman"], "outbox", []) if address in mail.to]


def test_nobody_can_have_an_address_like_one(app: Flask, acme: Workspace) -> None:
    with inside(app, acme), pytest.raises(ValueError, match="special-use"):
        users.create_user("somebody@service.invalid")


def test_it_is_no_member(app: Flask, acme: Workspace) -> None:
    with inside(app, acme):
        before = members.find(Filter(), limit=50).total
        alone = overview.members_by_source()[-1].people
    robot = employ(app, acme, "member")
    with inside(app, acme):
        account = account_of(robot)
        page = members.find(Filter(), limit=50)
        assert page.total == before
        assert account.id not in {member.user.id for member in page.members}
        assert account.id not in {member.user.id for member in members.after(Filter(), None, limit=50)}
        assert members.find_all([account.id]) == []
        assert members.find_one(account.id) is None
        assert account not in users.list_users()
        assert overview.members_by_source()[-1].people == alone
        with pytest.raises(NotAllowed):
            local_groups.add_member(local_groups.create_group("Team", actor=None), account, actor=None)
    owner = sign_in(app, acme, "owner")
    for path in (f"/admin/members/{robot.account}", f"/api/v1/members/{robot.account}"):
        assert owner.get(path).status_code == 404


def test_it_is_never_an_owner(app: Flask, acme: Workspace) -> None:
    robot = employ(app, acme)
    with inside(app, acme):
        account = account_of(robot)
        with pytest.raises(NotAllowed):
            service_accounts.give_role(account, "owner", actor=None)
        # Put there past the guards, it does not count as the one that a workspace keeps.
        g.db.add(Grant(user_id=account.id, role_id=roles.get_role("owner").id))
        g.db.flush()
        assert guards.owners(active_only=True) == {acme.people["owner"].id}
        with pytest.raises(NotAllowed):
            guards.keep_an_owner(without=acme.people["owner"].id)


def test_it_takes_the_permission_to_manage_one(app: Flask, acme: Workspace) -> None:
    robot = employ(app, acme, "viewer")
    with inside(app, acme):
        member, account = actor(acme.people["member"]), account_of(robot)
        for work in (
            lambda: service_accounts.create_account("x", actor=member),
            lambda: service_accounts.rename_account(account, "x", actor=member),
            lambda: service_accounts.deactivate_account(account, actor=member),
            lambda: service_accounts.reactivate_account(account, actor=member),
            lambda: service_accounts.remove_account(account, actor=member),
            lambda: service_accounts.give_role(account, "viewer", actor=member),
            lambda: service_accounts.take_role(account, "viewer", actor=member),
            lambda: clients.add_credential(account, "x", actor=member),
            lambda: clients.renew_secret(row_of(robot), actor=member),
            lambda: clients.remove(row_of(robot), actor=member),
        ):
            with pytest.raises(NotAllowed):
                work()


def test_nobody_is_made_more_by_a_service_account(app: Flask, acme: Workspace) -> None:
    make_role(app, acme, "registrar", "client:manage", "client:read", "role:manage")
    strong = employ(app, acme, "admin")
    person = add_person(app, acme, role="registrar")
    with inside(app, acme):
        registrar, account = actor(person), account_of(strong)
        own = service_accounts.create_account("own", actor=registrar)
        service_accounts.give_role(own, "registrar", actor=registrar)
        clients.add_credential(own, "x", actor=registrar)
        for work in (
            lambda: service_accounts.give_role(own, "admin", actor=registrar),
            lambda: clients.add_credential(account, "x", actor=registrar),
            lambda: clients.renew_secret(row_of(strong), actor=registrar),
            lambda: clients.remove(row_of(strong), actor=registrar),
            lambda: service_accounts.rename_account(account, "x", actor=registrar),
            lambda: service_accounts.deactivate_account(account, actor=registrar),
            lambda: service_accounts.remove_account(account, actor=registrar),
            lambda: service_accounts.take_role(account, "admin", actor=registrar),
        ):
            with pytest.raises(NotAllowed):
                work()


def test_deactivated_it_can_do_nothing(app: Flask, acme: Workspace) -> None:
    robot = employ(app, acme, "viewer")
    token = robot.post("/oauth/token", robot.own(GRANT)).get_json()["access_token"]
    assert robot.call("/api/v1/projects", token).status_code == 200
    with inside(app, acme):
        service_accounts.deactivate_account(account_of(robot), actor=None)
    assert robot.call("/api/v1/projects", token).status_code == 401
    assert robot.post("/oauth/token", robot.own(GRANT)).status_code == 401
    with inside(app, acme):
        service_accounts.reactivate_account(account_of(robot), actor=None)
    assert robot.call("/api/v1/projects", token).status_code == 401  # what it had has ended
    assert robot.post("/oauth/token", robot.own(GRANT)).status_code == 200


def test_a_role_that_it_is_given_or_loses_counts_at_once(app: Flask, acme: Workspace) -> None:
    robot = employ(app, acme, "viewer")
    token = robot.post("/oauth/token", robot.own(GRANT)).get_json()["access_token"]
    with inside(app, acme):
        service_accounts.take_role(account_of(robot), "viewer", actor=None)
    assert robot.call("/api/v1/projects", token).status_code == 403


def test_removed_it_leaves_nothing_behind(app: Flask, acme: Workspace) -> None:
    robot = employ(app, acme, "viewer")
    token = robot.post("/oauth/token", robot.own(GRANT)).get_json()["access_token"]
    with inside(app, acme):
        service_accounts.remove_account(account_of(robot), actor=None)
    assert robot.call("/api/v1/projects", token).status_code == 401
    assert robot.post("/oauth/token", robot.own(GRANT)).status_code == 401
    with inside(app, acme) as session:
        assert not session.scalars(select(ApiToken)).all()
        assert not clients.credentials_of(robot.account)
        events = session.scalars(select(AuditEvent).where(AuditEvent.target_id == robot.account)).all()
        assert {event.target_kind for event in events} == {"service"}
        assert "service account removed" in {event.kind for event in events}


def test_another_workspaces_is_not_known(app: Flask, acme: Workspace, globex: Workspace) -> None:
    foreign = employ(app, globex, "viewer")
    with inside(app, acme):
        assert service_accounts.find_account(foreign.account) is None
        assert clients.find_active(foreign.client_id) is None


def test_a_person_is_no_service_account(app: Flask, acme: Workspace) -> None:
    with inside(app, acme):
        assert service_accounts.find_account(acme.people["member"].id) is None


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "a\nb\x07"])
def test_a_name_that_cannot_be_seen_is_refused(app: Flask, acme: Workspace, name: str) -> None:
    with inside(app, acme), pytest.raises(InvalidClient):
        service_accounts.create_account(name, actor=None)
