"""Users, roles and login sessions follow the directory."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask, g
from sqlalchemy import event, select, update

from auth import api_tokens, audit, groups
from auth.errors import SyncStopped
from auth.models import Grant, LoginSession, Membership, User
from auth.providers import configs
from auth.providers.ldap.faults import DirectoryFault
from auth.providers.models import LinkedIdentity, ProviderConfig
from auth.sync import Report, Sync
from auth.users import deactivate_user
from tenants.db import now
from tests.auth.directories import connect, map_group, roles_of, sign_in, sync, unique
from tests.auth.helpers import inside
from tests.factories import Workspace, add_person
from tests.servers import openldap, require
from tests.servers.openldap import OpenLdapServer
from tests.visitor import Visitor

AT_WORK = "the password at work"
STAFF = [f"user{number}" for number in range(10)]


@pytest.fixture
def directory() -> Iterator[OpenLdapServer]:
    """A company of ten."""
    with require(openldap.start) as server:
        for uid in STAFF:
            server.add_person(uid, password=AT_WORK)
        yield server


@pytest.fixture
def company(app: Flask, acme: Workspace, directory: OpenLdapServer) -> Workspace:
    """A workspace that has all ten as users."""
    connect(app, acme, directory, creates_users="sync")
    assert sync(app, acme).created == len(STAFF)
    return acme


def dn(directory: OpenLdapServer, uid: str) -> str:
    return f"uid={uid},{directory.people}"


def active_users(app: Flask, workspace: Workspace) -> set[str]:
    """User names of the directory's active users."""
    with inside(app, workspace) as session:
        linked = select(LinkedIdentity.user_id)
        emails = session.scalars(select(User.email).where(User.active, User.id.in_(linked)))
        return {email.partition("@")[0] for email in emails}


def signed_in(app: Flask, workspace: Workspace, uid: str) -> Visitor:
    visitor = Visitor(app, workspace.host)
    assert sign_in(visitor, uid, AT_WORK).status_code == 302
    return visitor


def test_a_departed_person_is_deactivated_and_signed_out(
    app: Flask, company: Workspace, directory: OpenLdapServer
) -> None:
    leaver, other = signed_in(app, company, "user3"), signed_in(app, company, "user4")
    directory.delete(dn(directory, "user3"))
    report = sync(app, company)
    assert report.departed == ["user3@acme.example"]
    assert not leaver.is_signed_in()
    assert other.is_signed_in()
    assert active_users(app, company) == set(STAFF) - {"user3"}


def test_a_disabled_person_loses_the_login_session_within_one_sync(
    app: Flask, company: Workspace, directory: OpenLdapServer
) -> None:
    visitor = signed_in(app, company, "user3")
    directory.disable(dn(directory, "user3"))
    assert sync(app, company).departed == ["user3@acme.example"]
    assert not visitor.is_signed_in()
    with inside(app, company) as session:
        assert session.scalars(select(LoginSession)).all() == []


def test_what_programs_had_of_who_leaves_is_gone_when_they_come_back(
    app: Flask, company: Workspace, directory: OpenLdapServer
) -> None:
    signed_in(app, company, "user3")
    with inside(app, company) as session:
        person = session.scalar(select(User.id).where(User.email == "user3@acme.example"))
        api_tokens.issue(person, kind=api_tokens.PERSONAL, permissions=["project:read"], expires_at=None)
    directory.disable(dn(directory, "user3"))
    sync(app, company)
    directory.modify(dn(directory, "user3"), pwdAccountLockedTime=None)
    sync(app, company)
    with inside(app, company):
        assert not api_tokens.list_of(person)


def test_who_comes_back_is_let_in_again(app: Flask, company: Workspace, directory: OpenLdapServer) -> None:
    directory.disable(dn(directory, "user3"))
    sync(app, company)
    directory.modify(dn(directory, "user3"), pwdAccountLockedTime=None)
    assert sync(app, company).returned == 1
    signed_in(app, company, "user3")


def test_who_was_deactivated_here_is_not_opened_by_a_sync(
    app: Flask, company: Workspace, directory: OpenLdapServer
) -> None:
    with inside(app, company) as session:
        deactivate_user(session.scalar(select(User).where(User.email == "user3@acme.example")), actor=None)
    sync(app, company)
    assert "user3" not in active_users(app, company)


def test_who_departs_and_is_then_deactivated_here_stays_out(
    app: Flask, company: Workspace, directory: OpenLdapServer
) -> None:
    directory.disable(dn(directory, "user3"))
    sync(app, company)
    with inside(app, company) as session:
        deactivate_user(session.scalar(select(User).where(User.email == "user3@acme.example")), actor=None)
    directory.modify(dn(directory, "user3"), pwdAccountLockedTime=None)
    sync(app, company)
    assert "user3" not in active_users(app, company)


def test_users_of_another_source_are_left_alone(app: Flask, company: Workspace, member: Visitor) -> None:
    sync(app, company)
    assert member.is_signed_in()
    assert roles_of(member) == ["member"]


def test_names_and_addresses_follow(app: Flask, company: Workspace, directory: OpenLdapServer) -> None:
    directory.modify(dn(directory, "user3"), cn="Zoë Müller", mail="zoe@acme.example")
    assert sync(app, company).refreshed == 1
    with inside(app, company) as session:
        assert session.scalar(select(User.name).where(User.email == "zoe@acme.example")) == "Zoë Müller"
    assert sync(app, company).refreshed == 0


def test_groups_give_and_take_roles(app: Flask, company: Workspace, directory: OpenLdapServer) -> None:
    name = unique("staff")
    group = directory.add_group(name, [dn(directory, "user1"), dn(directory, "user2")])
    map_group(app, company, name, "member")
    assert sync(app, company).joined == 2
    visitor = signed_in(app, company, "user1")
    assert roles_of(visitor) == ["member"]
    directory.remove_member(group, dn(directory, "user1"))
    directory.add_member(group, dn(directory, "user3"))
    report = sync(app, company)
    assert (report.joined, report.left) == (1, 1)
    assert roles_of(visitor) == []


def test_roles_are_added_before_any_is_removed(app: Flask, company: Workspace, directory: OpenLdapServer) -> None:
    old, new = unique("old"), unique("new")
    leaving = directory.add_group(old, [dn(directory, "user1"), directory.nobody])
    map_group(app, company, old, "member")
    map_group(app, company, directory.add_group(new, [directory.nobody]), "viewer")
    sync(app, company)
    directory.add_member(f"cn={new},{directory.groups}", dn(directory, "user1"))
    directory.remove_member(leaving, dn(directory, "user1"))
    written: list[str] = []
    engine = app.extensions["tenants"].engines.shared

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "memberships" in statement and not statement.startswith("SELECT"):
            written.append(statement.split()[0])

    event.listen(engine, "before_cursor_execute", note)
    try:
        sync(app, company)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert written == ["INSERT", "DELETE"]


def test_a_grant_of_another_origin_is_never_removed(app: Flask, company: Workspace, directory: OpenLdapServer) -> None:
    with inside(app, company) as session:
        user = session.scalar(select(User).where(User.email == "user1@acme.example"))
        configs.roles.grant_role(user, "admin", actor=None)
    sync(app, company)
    assert roles_of(signed_in(app, company, "user1")) == ["admin"]


def test_too_many_departures_stop_the_sync_before_anything_is_removed(
    app: Flask, company: Workspace, directory: OpenLdapServer
) -> None:
    name = unique("staff")
    group = directory.add_group(name, [dn(directory, "user9"), directory.nobody])
    map_group(app, company, name, "member")
    sync(app, company)
    for uid in STAFF[:3]:
        directory.delete(dn(directory, uid))
    directory.remove_member(group, dn(directory, "user9"))
    with pytest.raises(SyncStopped, match=r"3 of 10 active users are gone.*at most 2 .20 %."):
        sync(app, company)
    assert active_users(app, company) == set(STAFF)
    with inside(app, company) as session:
        assert len(session.scalars(select(Membership)).all()) == 1
        assert configs.get_config("office").syncing_until is None


def test_as_many_departures_as_are_allowed_go_through(
    app: Flask, company: Workspace, directory: OpenLdapServer
) -> None:
    for uid in STAFF[:2]:
        directory.delete(dn(directory, uid))
    assert len(sync(app, company).departed) == 2


def test_more_departures_can_be_allowed_for_once(app: Flask, company: Workspace, directory: OpenLdapServer) -> None:
    for uid in STAFF[:5]:
        directory.delete(dn(directory, uid))
    assert len(sync(app, company, most_departures=50).departed) == 5


def test_a_directory_that_lists_nobody_deactivates_nobody(
    app: Flask, company: Workspace, directory: OpenLdapServer
) -> None:
    with inside(app, company):
        config = configs.get_config("office")
        configs.change_provider(config, actor=None, settings=config.settings | {"user_filter": "(uid=nobody)"})
    with pytest.raises(SyncStopped, match="lists nobody"):
        sync(app, company, most_departures=100)
    assert active_users(app, company) == set(STAFF)


def test_a_list_that_the_directory_cuts_off_deactivates_nobody(app: Flask, acme: Workspace) -> None:
    with require(lambda: openldap.start(size_limit=1000)) as small:
        small.load_people(50, group_size=1)
        connect(app, acme, small, creates_users="sync")
        sync(app, acme)
        small.close()
    with require(lambda: openldap.start(size_limit=20)) as smaller:
        smaller.load_people(50, group_size=1)
        with inside(app, acme):
            config = configs.get_config("office")
            changed = {"servers": [smaller.tls_url], "ca_bundle": smaller.ca, "page_size": 10}
            configs.change_provider(
                config, actor=None, settings=config.settings | changed, secret=smaller.service_password
            )
        with pytest.raises(DirectoryFault, match="too-many"):
            sync(app, acme, most_departures=100)
    assert len(active_users(app, acme)) == 50


def test_the_last_owner_stays_and_is_reported(app: Flask, company: Workspace, directory: OpenLdapServer) -> None:
    with inside(app, company) as session:
        user = session.scalar(select(User).where(User.email == "user1@acme.example"))
        configs.roles.grant_role(user, "owner", actor=None)
        session.flush()
        owner = session.find(User, company.people["owner"].id)
        configs.roles.revoke_role(owner, "owner", actor=None)
    directory.delete(dn(directory, "user1"))
    report = sync(app, company)
    assert (report.departed, report.kept) == ([], ["user1@acme.example"])
    assert "user1" in active_users(app, company)


def test_of_two_owners_who_leave_together_one_stays(app: Flask, company: Workspace, directory: OpenLdapServer) -> None:
    with inside(app, company) as session:
        for email in ("user1@acme.example", "user2@acme.example"):
            configs.roles.grant_role(session.scalar(select(User).where(User.email == email)), "owner", actor=None)
        session.flush()
        configs.roles.revoke_role(session.find(User, company.people["owner"].id), "owner", actor=None)
    directory.delete(dn(directory, "user1"))
    directory.delete(dn(directory, "user2"))
    report = sync(app, company)
    assert len(report.departed) == len(report.kept) == 1


def test_an_account_of_our_own_with_the_address_is_neither_taken_nor_doubled(
    app: Flask, acme: Workspace, directory: OpenLdapServer
) -> None:
    person = add_person(app, acme, email="user5@acme.example")
    connect(app, acme, directory, creates_users="sync")
    report = sync(app, acme)
    assert report.created == len(STAFF) - 1
    assert report.conflicts == ["user5@acme.example"]
    with inside(app, acme) as session:
        assert session.scalars(select(LinkedIdentity).where(LinkedIdentity.user_id == person.id)).all() == []


def test_without_being_asked_to_a_sync_makes_nobody(app: Flask, acme: Workspace, directory: OpenLdapServer) -> None:
    connect(app, acme, directory)
    report = sync(app, acme)
    assert (report.listed, report.created) == (len(STAFF), 0)


def test_a_mapped_group_that_is_gone_is_reported(app: Flask, company: Workspace, directory: OpenLdapServer) -> None:
    name = unique("team")
    group = directory.add_group(name, [directory.nobody])
    map_group(app, company, name, "member")
    directory.delete(group)
    assert sync(app, company).unknown_groups == [name]


def test_two_at_once_are_one_too_many(app: Flask, company: Workspace) -> None:
    with inside(app, company) as session:
        session.execute(update(ProviderConfig).values(syncing_until=now() + timedelta(minutes=1)))
    with pytest.raises(SyncStopped, match="is under way"):
        sync(app, company)


def test_a_sync_that_was_killed_frees_the_next_one(app: Flask, company: Workspace) -> None:
    with inside(app, company) as session:
        session.execute(update(ProviderConfig).values(syncing_until=now() - timedelta(seconds=1)))
    assert sync(app, company).listed == len(STAFF)


def test_an_interrupted_sync_leaves_what_it_has_added_and_is_finished_by_the_next(
    app: Flask, acme: Workspace, directory: OpenLdapServer
) -> None:
    connect(app, acme, directory, creates_users="sync", page_size=3)

    def interrupt(report: Report) -> None:
        if report.listed >= 6:
            raise KeyboardInterrupt

    with inside(app, acme):
        running = Sync(configs.get_config("office"), interrupt)
        with pytest.raises(KeyboardInterrupt):
            running.run()
        g.db.rollback()
    assert len(active_users(app, acme)) == 6
    assert sync(app, acme).created == 4
    assert active_users(app, acme) == set(STAFF)


def test_two_runs_that_overlap_do_no_harm(app: Flask, acme: Workspace, directory: OpenLdapServer) -> None:
    name = unique("staff")
    directory.add_group(name, [dn(directory, uid) for uid in STAFF])
    connect(app, acme, directory, creates_users="sync", page_size=3)
    map_group(app, acme, name, "member")
    inner: list[Report] = []

    def run_another(report: Report) -> None:
        if not inner:
            inner.append(Report())
            with inside(app, acme) as session:
                session.execute(update(ProviderConfig).values(syncing_until=None))
            inner.append(sync(app, acme))

    with inside(app, acme), pytest.raises(SyncStopped, match="another sync"):
        Sync(configs.get_config("office"), run_another).run()
    assert inner[1].departed == []
    assert active_users(app, acme) == set(STAFF)
    with inside(app, acme) as session:
        assert len(session.scalars(select(Membership)).all()) == len(STAFF)


def test_it_holds_no_transaction_while_it_asks_the_directory(
    app: Flask, company: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[bool] = []
    with inside(app, company):
        running = Sync(configs.get_config("office"), lambda report: None)
        everybody = running._provider.everybody

        def watched() -> Iterator[object]:
            for listing in everybody():
                held.append(g.db.in_transaction())
                yield listing

        monkeypatch.setattr(type(running._provider), "everybody", lambda self: watched())
        running.run()
    assert held == [False]


def test_a_directory_of_another_workspace_changes_nothing_here(
    app: Flask, company: Workspace, globex: Workspace, directory: OpenLdapServer
) -> None:
    connect(app, globex, directory, creates_users="sync")
    sync(app, globex)
    directory.delete(dn(directory, "user1"))
    sync(app, globex)
    assert active_users(app, company) == set(STAFF)
    assert "user1" not in active_users(app, globex)


def test_mappings_are_taken_back_whole(app: Flask, company: Workspace, directory: OpenLdapServer) -> None:
    name = unique("staff")
    directory.add_group(name, [dn(directory, "user1")])
    map_group(app, company, name, "member")
    sync(app, company)
    visitor = signed_in(app, company, "user1")
    with inside(app, company):
        assert groups.unmap_group(configs.get_config("office"), name, "member", actor=None) == 1
    assert roles_of(visitor) == []
    with inside(app, company) as session:
        origin = configs.get_config("office").origin
        assert session.scalars(select(Grant).where(Grant.origin == origin)).all() == []


def test_the_audit_log_tells_what_a_sync_has_done(app: Flask, company: Workspace, directory: OpenLdapServer) -> None:
    directory.delete(dn(directory, "user3"))
    sync(app, company)
    directory.add_person("user3", password=AT_WORK)
    directory.modify(dn(directory, "user4"), cn="Another Name")
    sync(app, company)
    with inside(app, company):
        told = [row for row in reversed(audit.search(limit=100)) if row.actor_kind == "provider"]
        kinds = Counter(row.kind for row in told)
        runs = [row.details for row in told if row.kind == "directory synchronised"]
    assert kinds["account created"] >= len(STAFF)
    assert kinds["account deactivated"] == 1
    assert [row.target for row in told if row.kind == "account deactivated"] == ["user3@acme.example"]
    assert (runs[0]["created"], runs[1]["departed"]) == (len(STAFF), 1)
    assert runs[0]["conflicts"] == 0


def test_the_audit_log_tells_why_a_sync_has_stopped(app: Flask, company: Workspace, directory: OpenLdapServer) -> None:
    for uid in STAFF[:6]:
        directory.delete(dn(directory, uid))
    with pytest.raises(SyncStopped):
        sync(app, company)
    with inside(app, company):
        (row,) = audit.search(kinds=["directory not synchronised"])
        assert row.actor_kind == row.target_kind == "provider"
        assert "6 of 10 active users are gone" in row.details["reason"]
        assert row.details["departed"] == 0
