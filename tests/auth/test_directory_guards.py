"""What a directory must not bring about: rights nobody gave, accounts opened again, sign-ins at the wrong place."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask, g
from sqlalchemy import func, select, update

from auth import groups, linking, users
from auth.errors import InvalidProvider, NotAllowed, SyncStopped
from auth.models import User
from auth.providers import configs
from auth.providers.base import ExternalIdentity
from auth.providers.models import ProviderConfig
from auth.providers.registry import list_configs, provider_of
from auth.provisioning import preview
from auth.routing import route_of
from auth.sync import Report, Sync
from tenants.db import now
from tests.auth.directories import connect, map_group, sign_in, sync, unique
from tests.auth.helpers import inside
from tests.auth.test_provider_guards import ELSEWHERE, KEY, SETTINGS, actor, manager, new_provider
from tests.factories import PASSWORD, Workspace, add_person
from tests.servers import openldap, require
from tests.servers.openldap import OpenLdapServer
from tests.visitor import Visitor

AT_WORK = "the password at work"


@pytest.fixture(scope="module")
def directory() -> Iterator[OpenLdapServer]:
    with require(openldap.start) as server:
        yield server


@pytest.fixture
def uid(directory: OpenLdapServer) -> str:
    """Somebody who is in the directory."""
    name = unique("alice")
    directory.add_person(name, password=AT_WORK)
    return name


@pytest.fixture
def bound(app: Flask, acme: Workspace) -> Iterator[Workspace]:
    with inside(app, acme):
        yield acme


def user_of(session: Any, uid: str) -> User:
    user: User = session.scalar(select(User).where(User.email == f"{uid}@acme.example"))
    return user


def is_active(app: Flask, workspace: Workspace, uid: str) -> bool:
    with inside(app, workspace) as session:
        return user_of(session, uid).active


def vouch(app: Flask, workspace: Workspace, uid: str, name: str) -> None:
    """Have another directory vouch for the user, too."""
    with inside(app, workspace) as session:
        config = configs.get_config(name)
        linking.connect(user_of(session, uid), ExternalIdentity(str(config.id), f"{uid} there", login=uid), config)


class TestRights:
    """Nobody decides by a directory about rights that they do not have."""

    @pytest.mark.parametrize(
        "attempt",
        [
            lambda config, by: configs.change_provider(config, actor=by, settings=ELSEWHERE, secret="x"),
            lambda config, by: configs.remove_provider(config, actor=by),
            lambda config, by: configs.disable_provider(config, actor=by),
            lambda config, by: configs.enable_provider(config, actor=by),
        ],
        ids=["change", "remove", "disable", "enable"],
    )
    def test_who_manages_a_directory_has_to_hold_all_that_its_groups_give(self, bound: Workspace, attempt: Any) -> None:
        config = new_provider()
        by = actor(manager(bound, "provider:manage"))
        groups.map_group(config, KEY, "engineers", "admin", actor=None)
        g.db.flush()
        with pytest.raises(NotAllowed, match="do not hold"):
            attempt(config, by)
        assert config.settings["servers"] == SETTINGS["servers"]
        assert not config.enabled

    def test_nobody_is_joined_with_a_person_whose_groups_give_more_than_the_administrator_has(
        self, bound: Workspace
    ) -> None:
        config = new_provider()
        groups.map_group(config, KEY, "engineers", "admin", actor=None)
        g.db.flush()
        person = manager(bound, "member:manage")
        me = g.db.find(User, person.id)
        chief = ExternalIdentity(str(config.id), "chief", groups=frozenset({KEY}))
        with pytest.raises(NotAllowed, match="do not hold"):
            linking.connect_for(me, chief, config, actor=actor(person))
        linking.connect_for(me, ExternalIdentity(str(config.id), "clerk"), config, actor=actor(person))

    @pytest.mark.parametrize(
        "faulty",
        [{"settings": {"servers": []}}, {"domains": ["no domain"]}, {"creates_users": "now and then"}, {"label": " "}],
        ids=lambda faulty: next(iter(faulty)),
    )
    def test_of_a_faulty_directory_nothing_stays(self, app: Flask, acme: Workspace, faulty: dict[str, Any]) -> None:
        with inside(app, acme) as session:
            with pytest.raises(InvalidProvider):
                configs.add_provider("office", "ldap", actor=None, **{"settings": SETTINGS} | faulty)
            session.commit()
        with inside(app, acme):
            assert list_configs() == []

    def test_a_mapping_is_taken_back_by_any_spelling_of_the_groups_name(
        self, app: Flask, acme: Workspace, directory: OpenLdapServer
    ) -> None:
        team = unique("team")
        directory.add_group(team, [directory.nobody])
        connect(app, acme, directory)
        map_group(app, acme, team, "member")
        spelling = f"CN={team.upper()} , {directory.groups.upper()}"
        result = app.test_cli_runner().invoke(
            args=["providers", "unmap", "office", spelling, "member", "--tenant", acme.slug]
        )
        assert result.exit_code == 0, result.output
        with inside(app, acme):
            assert groups.mappings_of(configs.get_config("office")) == []


class TestClosedAccounts:
    """Whom an administrator has deactivated no directory lets in again."""

    @pytest.mark.parametrize("sources", [1, 2])
    def test_a_directory_that_drops_and_lists_them_again_does_not_open_the_account(
        self, app: Flask, acme: Workspace, directory: OpenLdapServer, uid: str, sources: int
    ) -> None:
        connect(app, acme, directory)
        sign_in(Visitor(app, acme.host), uid, AT_WORK)
        if sources == 2:
            connect(app, acme, directory, "second", enabled=False)
            vouch(app, acme, uid, "second")
        with inside(app, acme) as session:
            users.deactivate_user(user_of(session, uid), actor=None)
        directory.disable(f"uid={uid},{directory.people}")
        assert sync(app, acme, most_departures=100).departed == []
        directory.modify(f"uid={uid},{directory.people}", pwdAccountLockedTime=None)
        assert sync(app, acme).returned == 0
        assert "deactivated" in sign_in(Visitor(app, acme.host), uid, AT_WORK).text
        assert not is_active(app, acme, uid)

    def test_who_is_deactivated_while_a_sync_runs_stays_so(
        self, app: Flask, acme: Workspace, directory: OpenLdapServer, uid: str
    ) -> None:
        connect(app, acme, directory)
        sign_in(Visitor(app, acme.host), uid, AT_WORK)
        directory.disable(f"uid={uid},{directory.people}")
        closed: list[bool] = []

        def close(report: Report) -> None:
            if not closed:
                closed.append(True)
                with inside(app, acme) as session:
                    users.deactivate_user(user_of(session, uid), actor=None)

        with inside(app, acme):
            report = Sync(configs.get_config("office"), close).run(most_departures=100)
        assert (closed, report.departed) == ([True], [])
        directory.modify(f"uid={uid},{directory.people}", pwdAccountLockedTime=None)
        assert sync(app, acme).returned == 0
        assert not is_active(app, acme, uid)

    def test_a_rehearsal_does_not_promise_them_to_get_in(
        self, app: Flask, acme: Workspace, directory: OpenLdapServer, uid: str
    ) -> None:
        connect(app, acme, directory)
        sign_in(Visitor(app, acme.host), uid, AT_WORK)
        with inside(app, acme) as session:
            config = configs.get_config("office")
            person = provider_of(config).find(uid)
            assert preview(person, config).happens == "known"
            users.deactivate_user(user_of(session, uid), actor=None)
            assert preview(person, config).happens == "refused"

    @pytest.mark.parametrize("known", [True, False])
    def test_nor_those_who_are_disabled_there(
        self, app: Flask, acme: Workspace, directory: OpenLdapServer, uid: str, known: bool
    ) -> None:
        connect(app, acme, directory)
        if known:
            sign_in(Visitor(app, acme.host), uid, AT_WORK)
        directory.disable(f"uid={uid},{directory.people}")
        with inside(app, acme):
            config = configs.get_config("office")
            assert preview(provider_of(config).find(uid), config).happens == "refused"


class TestSync:
    """A sync that removes much, nothing, or what another one is removing."""

    @pytest.fixture
    def crew(self, app: Flask, acme: Workspace, directory: OpenLdapServer) -> list[str]:
        """Four people, all users of the workspace by its directory, which lists nobody else."""
        name = unique("crew")
        connect(app, acme, directory, creates_users="sync", user_filter=f"(uid={name}-*)", page_size=2)
        found = [f"{name}-{number}" for number in range(4)]
        for uid in found:
            directory.add_person(uid, password=AT_WORK)
        assert sync(app, acme).created == 4
        return found

    def test_what_was_removed_once_is_not_counted_again(
        self, app: Flask, acme: Workspace, directory: OpenLdapServer, crew: list[str]
    ) -> None:
        connect(app, acme, directory, "second")
        vouch(app, acme, crew[0], "second")
        for uid in crew[:3]:
            directory.delete(f"uid={uid},{directory.people}")
        with pytest.raises(SyncStopped, match="2 of 4"):
            sync(app, acme)
        assert sorted(sync(app, acme, most_departures=100).departed) == [f"{uid}@acme.example" for uid in crew[1:3]]
        assert sync(app, acme, most_departures=0).departed == []
        assert is_active(app, acme, crew[0])

    def test_where_none_may_depart_nobody_is_deactivated(
        self, app: Flask, acme: Workspace, directory: OpenLdapServer, crew: list[str]
    ) -> None:
        directory.delete(f"uid={crew[0]},{directory.people}")
        with pytest.raises(SyncStopped, match="Nobody was deactivated"):
            sync(app, acme, most_departures=0)
        assert is_active(app, acme, crew[0])

    def test_one_that_was_too_slow_stops_and_leaves_the_turn_to_the_next(
        self, app: Flask, acme: Workspace, directory: OpenLdapServer, crew: list[str]
    ) -> None:
        directory.delete(f"uid={crew[0]},{directory.people}")
        turn = now() + timedelta(minutes=7)

        def take_over(report: Report) -> None:
            with inside(app, acme) as session:
                session.execute(update(ProviderConfig).values(syncing_until=turn))

        with inside(app, acme), pytest.raises(SyncStopped, match="has begun"):
            Sync(configs.get_config("office"), take_over).run(most_departures=100)
        with inside(app, acme):
            assert configs.get_config("office").syncing_until == turn
        assert is_active(app, acme, crew[0])


class TestLinking:
    """Whoever knew the former password of an account is out once a directory vouches for it."""

    @pytest.mark.parametrize("way", ["by both passwords", "in my account"])
    def test_other_browsers_are_signed_out_and_this_one_belongs_to_the_directory(
        self, app: Flask, acme: Workspace, visitor: Visitor, stranger: Visitor, directory: OpenLdapServer, way: str
    ) -> None:
        person, name = add_person(app, acme), unique("both")
        directory.add_person(name, password=AT_WORK, email=person.email)
        connect(app, acme, directory)
        stranger.sign_in(person)
        assert stranger.is_signed_in()
        if way == "by both passwords":
            sign_in(visitor, name, AT_WORK)
            sign_in(visitor, person.email, PASSWORD)
        else:
            visitor.sign_in(person)
            with inside(app, acme):
                path = f"/account/connect/{configs.get_config('office').id}"
            assert visitor.post(path, {"login": name, "password": AT_WORK}).status_code == 302
        assert (visitor.is_signed_in(), stranger.is_signed_in()) == (True, False)

        arguments = ["providers", "disable", "office", "--end-sessions", "--tenant", acme.slug]
        assert "1 login sessions ended" in app.test_cli_runner().invoke(args=arguments).output
        assert not visitor.is_signed_in()


class TestStepUp:
    """The password once more, of the very person who is signed in."""

    def test_a_directory_that_knows_people_by_address_only_is_asked_for_it(
        self, app: Flask, acme: Workspace, visitor: Visitor, directory: OpenLdapServer, uid: str
    ) -> None:
        connect(app, acme, directory, login_attributes=["mail"])
        assert sign_in(visitor, f"{uid}@acme.example", AT_WORK).status_code == 302
        assert visitor.post("/auth/verify", {"password": "wrong"}).status_code == 200
        assert visitor.post("/auth/verify", {"password": AT_WORK}).status_code == 302

    @pytest.mark.parametrize("searches", [True, False])
    def test_who_has_got_the_user_name_since_is_somebody_else(
        self, app: Flask, acme: Workspace, visitor: Visitor, directory: OpenLdapServer, uid: str, searches: bool
    ) -> None:
        template = "" if searches else f"uid={{login}},{directory.people}"
        connect(app, acme, directory, user_dn_template=template, group_strategy="none")
        assert sign_in(visitor, uid, AT_WORK).status_code == 302
        directory.delete(f"uid={uid},{directory.people}")
        directory.add_person(uid, password="the successor's", email=f"other-{uid}@acme.example")
        for password in ("the successor's", AT_WORK):
            assert visitor.post("/auth/verify", {"password": password}).status_code == 200
        with inside(app, acme) as session:
            assert user_of(session, f"other-{uid}") is None
            assert session.scalar(select(func.count(User.id))) == len(acme.people) + 1


class TestRouting:
    """Which of two directories sees a password first."""

    def test_a_domain_leads_to_its_directory_in_every_spelling(
        self, app: Flask, acme: Workspace, directory: OpenLdapServer
    ) -> None:
        connect(app, acme, directory, "first")
        connect(app, acme, directory, "second", domains=["bücher.example"])
        with inside(app, acme):
            for domain in ("bücher.example", "BÜCHER.example", "xn--bcher-kva.example", "XN--BCHER-KVA.EXAMPLE"):
                sources = route_of(f"jo@{domain}").sources
                assert [config.name for config in sources if config is not None] == ["second"], domain

    def test_where_somebody_has_the_user_name_is_asked_first(
        self, app: Flask, acme: Workspace, visitor: Visitor, directory: OpenLdapServer, uid: str
    ) -> None:
        connect(app, acme, directory, "first", user_filter="(uid=nobody)")
        connect(app, acme, directory, "second")
        with inside(app, acme):
            assert [config and config.name for config in route_of(uid).sources] == ["first", "second", None]
        sign_in(visitor, uid, AT_WORK)
        with inside(app, acme):
            for login in (uid, uid.upper()):
                assert [config and config.name for config in route_of(login).sources] == ["second", "first", None]
