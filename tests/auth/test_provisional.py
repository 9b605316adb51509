"""New settings of a source in use: undone after a quarter of an hour, unless an administrator has come in by them."""

import json
import uuid
from collections.abc import Iterator
from functools import partial

import pytest
from flask import Flask, g
from sqlalchemy import select

from auth import audit, provider_changes, provisional, roles, visits
from auth.errors import InvalidProvider, NotAllowed, NoWayIn
from auth.first_factor import FirstFactor
from auth.identity import Identity, snapshot_of
from auth.models import User
from auth.providers import configs
from auth.providers.models import LinkedIdentity, ProviderConfig
from auth.providers.registry import list_configs, open_secret
from tenants.db import now
from tenants.models import TenantRow
from tests.auth import directories, sources
from tests.auth.conftest import Clock
from tests.auth.helpers import add_passkey, at_once, inside, row_of
from tests.factories import Person, Workspace, make_workspace
from tests.servers import oidc, openldap, require
from tests.servers.oidc import OidcServer
from tests.servers.openldap import OpenLdapServer
from tests.visitor import Visitor, sign_in

OIDC = {"issuer": "https://login.example.com", "client_id": "tenantry"}
LDAP = {"servers": ["ldaps://ldap.example.com"], "base_dn": "dc=example,dc=com"}
SECRET = "s3cret-of-the-client"


@pytest.fixture(scope="module")
def server() -> Iterator[OidcServer]:
    with require(oidc.start) as server:
        yield server


@pytest.fixture(scope="module")
def directory() -> Iterator[OpenLdapServer]:
    with require(openldap.start) as server:
        yield server


@pytest.fixture
def work(app: Flask, acme: Workspace) -> uuid.UUID:
    """A web source that is on."""
    return sources.add(app, acme, "work", "oidc", OIDC, secret=SECRET)


def actor(workspace: Workspace, role: str = "owner") -> Identity:
    person = workspace.people[role]
    return Identity(person.id, snapshot_of(person.id))


def change(app: Flask, workspace: Workspace, config_id: uuid.UUID, **changes: object) -> None:
    """Change settings as the owner does."""
    with inside(app, workspace) as session:
        config = session.get_one(ProviderConfig, (workspace.tenant.id, config_id))
        secret = changes.pop("secret", None)
        wanted = {**config.settings, **changes}
        provider_changes.change_provider(config, actor=actor(workspace), settings=wanted, secret=secret)


def setting(app: Flask, workspace: Workspace, config_id: uuid.UUID, name: str) -> object:
    config = sources.config_of(app, workspace, config_id)
    return config.settings[name]


def link(app: Flask, workspace: Workspace, person: Person, config_id: uuid.UUID) -> None:
    with inside(app, workspace) as session:
        session.add(LinkedIdentity(user_id=person.id, provider_id=config_id, subject=f"s {person.id}"))
        session.get_one(ProviderConfig, (workspace.tenant.id, config_id)).admin_seen_at = now()


def forget_passwords(app: Flask, workspace: Workspace, *roles: str) -> None:
    with inside(app, workspace):
        for role in roles:
            row_of(workspace.people[role]).password = None


def is_pending(app: Flask, workspace: Workspace) -> bool:
    with inside(app, workspace):
        return bool(provisional.pending())


def test_what_nobody_has_proved_is_undone_before_the_next_request(
    app: Flask, acme: Workspace, work: uuid.UUID, clock: Clock, visitor: Visitor
) -> None:
    change(app, acme, work, client_id="another", secret="another secret")
    clock.advance(minutes=14)
    visitor.get("/auth/login")
    assert setting(app, acme, work, "client_id") == "another"
    clock.advance(minutes=2)
    assert visitor.get("/auth/login").status_code == 200
    with inside(app, acme) as session:
        config = session.get_one(ProviderConfig, (acme.tenant.id, work))
        secret = open_secret(config)
        assert config.settings["client_id"] == "tenantry"
        assert config.rehearsed_at is not None
        assert secret is not None
        assert secret.get_secret_value() == SECRET
        assert not provisional.pending()
        event = next(event for event in audit.search(limit=5) if event.kind == "provider changed")
        assert (event.actor_kind, event.details["client_id"]) == ("system", ["another", "tenantry"])
        assert "secret" not in json.dumps(event.details).replace('"secret": "changed back"', "")


def test_it_is_undone_although_the_request_is_refused(
    app: Flask, acme: Workspace, work: uuid.UUID, clock: Clock, visitor: Visitor
) -> None:
    change(app, acme, work, client_id="another")
    clock.advance(minutes=16)
    assert visitor.get("/no/such/page").status_code == 404
    assert setting(app, acme, work, "client_id") == "tenantry"


def test_it_is_undone_before_a_command(app: Flask, acme: Workspace, work: uuid.UUID, clock: Clock) -> None:
    change(app, acme, work, client_id="another")
    clock.advance(minutes=16)
    shown = app.test_cli_runner().invoke(args=["providers", "show", "work", "--tenant", acme.slug])
    assert '"client_id": "tenantry"' in shown.output
    assert setting(app, acme, work, "client_id") == "tenantry"


def test_an_administrator_who_comes_in_by_it_makes_it_stay(
    app: Flask, acme: Workspace, server: OidcServer, clock: Clock, visitor: Visitor
) -> None:
    config_id = sources.connect(app, acme, server)
    subject = sources.join(visitor, server, config_id, acme.people["admin"])
    change(app, acme, config_id, login_claim="email")
    assert is_pending(app, acme)
    assert sources.sign_in(Visitor(app, acme.host), server, config_id, subject).status_code == 302
    assert not is_pending(app, acme)
    clock.advance(minutes=16)
    visitor.get("/auth/login")
    assert setting(app, acme, config_id, "login_claim") == "email"


def test_anybody_elses_sign_in_proves_nothing(
    app: Flask, acme: Workspace, server: OidcServer, visitor: Visitor
) -> None:
    config_id = sources.connect(app, acme, server)
    subject = sources.join(visitor, server, config_id, acme.people["member"])
    change(app, acme, config_id, login_claim="email")
    assert sources.sign_in(Visitor(app, acme.host), server, config_id, subject).status_code == 302
    sign_in(app, acme, "admin")  # by a password: that proves nothing of the source
    assert is_pending(app, acme)


def test_an_administrator_of_a_directory_makes_its_settings_stay(
    app: Flask, acme: Workspace, directory: OpenLdapServer, visitor: Visitor
) -> None:
    directories.connect(app, acme, directory)
    uid = directories.unique("alice")
    directory.add_person(uid, password="at work")
    directories.sign_in(visitor, uid, "at work")
    with inside(app, acme) as session:
        config_id = configs.get_config("office").id
        user_id = session.scalars(select(LinkedIdentity.user_id)).one()
        roles.grant_role(session.get_one(User, (acme.tenant.id, user_id)), "admin", actor=None)
    change(app, acme, config_id, timeout=4.0)
    assert is_pending(app, acme)
    assert directories.sign_in(Visitor(app, acme.host), uid, "at work").status_code == 302
    assert not is_pending(app, acme)


def test_a_proof_of_before_the_change_proves_nothing(app: Flask, acme: Workspace, work: uuid.UUID) -> None:
    before = int(now().timestamp()) - 60
    change(app, acme, work, client_id="another")
    with inside(app, acme):
        user = row_of(acme.people["admin"])
        visits.note_administrator(user, FirstFactor(str(user.id), str(work), at=before))
        assert provisional.pending()
        visits.note_administrator(user, FirstFactor(str(user.id), str(work), at=int(now().timestamp())))
        assert not provisional.pending()


def test_what_is_gone_back_to_is_what_was_proved_last(
    app: Flask, acme: Workspace, work: uuid.UUID, clock: Clock, visitor: Visitor
) -> None:
    change(app, acme, work, client_id="second")
    clock.advance(minutes=10)
    change(app, acme, work, client_id="third")
    clock.advance(minutes=10)  # since the first change the time is up, and not since the second
    visitor.get("/auth/login")
    assert setting(app, acme, work, "client_id") == "third"
    clock.advance(minutes=6)
    visitor.get("/auth/login")
    assert setting(app, acme, work, "client_id") == "tenantry"


def test_what_it_was_before_is_kept_encrypted(app: Flask, acme: Workspace, work: uuid.UUID) -> None:
    change(app, acme, work, client_id="another")
    with inside(app, acme) as session:
        kept = json.dumps(session.get_one(TenantRow, acme.tenant.id).settings)
        config = session.get_one(ProviderConfig, (acme.tenant.id, work))
        for hidden in ("tenantry", SECRET, config.secret):
            assert hidden not in kept
        entry = g.tenant.settings["provisional"][str(work)]["former"]
    other = sources.add(app, acme, "other", "oidc", OIDC, secret=SECRET)
    with inside(app, acme) as session:  # copied to another source, it is unreadable
        config = session.get_one(ProviderConfig, (acme.tenant.id, other))
        assert provisional._open(config, entry) is None


def test_an_operators_change_is_there_to_stay(app: Flask, acme: Workspace, work: uuid.UUID) -> None:
    change(app, acme, work, client_id="another")
    words = ["providers", "change", "work", "--client-id", "third", "--tenant", acme.slug]
    assert app.test_cli_runner().invoke(args=words).exit_code == 0
    assert not is_pending(app, acme)


@pytest.mark.parametrize("step", [provider_changes.disable_provider, provider_changes.remove_provider])
def test_of_a_source_that_is_off_or_gone_nothing_is_undone(
    app: Flask, acme: Workspace, work: uuid.UUID, step: object, clock: Clock, visitor: Visitor
) -> None:
    change(app, acme, work, client_id="another")
    with inside(app, acme) as session:
        assert callable(step)
        step(session.get_one(ProviderConfig, (acme.tenant.id, work)), actor=actor(acme))
    assert not is_pending(app, acme)
    clock.advance(minutes=16)
    assert visitor.get("/auth/login").status_code == 200


def test_what_is_typed_as_it_was_changes_nothing(app: Flask, acme: Workspace, work: uuid.UUID) -> None:
    change(app, acme, work)
    with inside(app, acme) as session:
        assert not provisional.pending()
        assert session.get_one(ProviderConfig, (acme.tenant.id, work)).rehearsed_at is not None


def test_going_back_takes_the_rights_of_a_change(app: Flask, acme: Workspace, work: uuid.UUID) -> None:
    change(app, acme, work, client_id="another")
    link(app, acme, acme.people["owner"], work)
    with inside(app, acme) as session:
        config = session.get_one(ProviderConfig, (acme.tenant.id, work))
        for role in ("admin", "member"):
            with pytest.raises(NotAllowed):
                provider_changes.undo_change(config, actor=actor(acme, role))
        assert provider_changes.undo_change(config, actor=actor(acme))
        assert not provider_changes.undo_change(config, actor=actor(acme))


@pytest.mark.parametrize("kind", ["oidc", "ldap"])
def test_a_source_by_which_all_administrators_come_is_not_changed_nor_closed(
    app: Flask, acme: Workspace, kind: str
) -> None:
    config_id = sources.add(app, acme, "work", kind, OIDC if kind == "oidc" else LDAP, secret=SECRET)
    for role in ("owner", "admin"):
        link(app, acme, acme.people[role], config_id)
    forget_passwords(app, acme, "owner", "admin")
    with inside(app, acme) as session:
        config = session.get_one(ProviderConfig, (acme.tenant.id, config_id))
        before = (dict(config.settings), config.secret, g.tenant)
        wanted = config.settings | ({"client_id": "x"} if kind == "oidc" else {"timeout": 4})
        with pytest.raises(NoWayIn):
            provider_changes.change_provider(config, actor=actor(acme), settings=wanted)
        with pytest.raises(NoWayIn):
            provider_changes.change_provider(config, actor=actor(acme), secret="another")
        with pytest.raises(NoWayIn):
            provider_changes.disable_provider(config, actor=actor(acme))
        with pytest.raises(NoWayIn):
            provider_changes.remove_provider(config, actor=actor(acme))
        assert (config.settings, config.secret, g.tenant) == before
        assert config.enabled
        provider_changes.change_provider(config, actor=actor(acme), label="A name closes nothing")


def test_a_password_beside_a_web_source_is_a_way_in_and_beside_a_directory_none(app: Flask, acme: Workspace) -> None:
    web = sources.add(app, acme, "web", "oidc", OIDC, secret=SECRET)
    office = sources.add(app, acme, "office", "ldap", LDAP, secret=SECRET)
    for role in ("owner", "admin"):
        link(app, acme, acme.people[role], web)
    change(app, acme, web, client_id="another")
    for role in ("owner", "admin"):
        link(app, acme, acme.people[role], office)
    with pytest.raises(NoWayIn):
        change(app, acme, office, timeout=4)


def test_a_passkey_is_a_way_in(app: Flask, acme: Workspace, work: uuid.UUID) -> None:
    add_passkey(sign_in(app, acme, "owner"))
    for role in ("owner", "admin"):
        link(app, acme, acme.people[role], work)
    forget_passwords(app, acme, "owner", "admin")
    change(app, acme, work, client_id="another")
    assert is_pending(app, acme)


def test_a_source_that_is_provisional_itself_is_no_way_in(app: Flask, acme: Workspace, work: uuid.UUID) -> None:
    second = sources.add(app, acme, "second", "oidc", OIDC, secret=SECRET)
    for role in ("owner", "admin"):
        link(app, acme, acme.people[role], work)
        link(app, acme, acme.people[role], second)
    forget_passwords(app, acme, "owner", "admin")
    change(app, acme, work, client_id="another")
    with pytest.raises(NoWayIn):
        change(app, acme, second, client_id="another")


def test_enforcing_for_all_administrators_leaves_the_named_owner_a_way_in(
    app: Flask, acme: Workspace, work: uuid.UUID
) -> None:
    domain = sources.own(app, acme, f"{acme.slug}.example")
    with inside(app, acme) as session:
        config = session.get_one(ProviderConfig, (acme.tenant.id, work))
        config.domains, config.admin_seen_at = [domain], now()
        provider_changes.enforce_provider(config, row_of(acme.people["owner"]), actor=actor(acme))
    change(app, acme, work, client_id="another")  # the named one has a password
    forget_passwords(app, acme, "owner")
    with pytest.raises(NoWayIn):
        change(app, acme, work, client_id="third")


def test_an_order_names_every_source_once(app: Flask, acme: Workspace, work: uuid.UUID) -> None:
    second = sources.add(app, acme, "second", "oidc", OIDC, secret=SECRET)
    with inside(app, acme):
        for wrong in ([work], [work, work], [work, second, uuid.uuid4()]):
            with pytest.raises(InvalidProvider):
                provider_changes.order_providers(wrong, actor=actor(acme))
        provider_changes.order_providers([second, work], actor=actor(acme))
        assert [config.id for config in list_configs()] == [second, work]


@pytest.mark.postgres
def test_two_who_each_rely_on_what_the_other_one_closes_do_not_both_close_it(postgres_app: Flask) -> None:
    acme = make_workspace(postgres_app)
    found = [sources.add(postgres_app, acme, name, "oidc", OIDC, secret=SECRET) for name in ("one", "two")]
    for config_id in found:
        for role in ("owner", "admin"):
            link(postgres_app, acme, acme.people[role], config_id)
    forget_passwords(postgres_app, acme, "owner", "admin")

    def close(config_id: uuid.UUID) -> bool:
        with inside(postgres_app, acme) as session:
            config = session.get_one(ProviderConfig, (acme.tenant.id, config_id))
            try:
                provider_changes.disable_provider(config, actor=actor(acme))
            except NoWayIn:
                return False
            return True

    assert sorted(at_once([partial(close, config_id) for config_id in found])) == [False, True]
