"""What was found by reading: each of these was possible once."""

import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from joserfc.jwk import ECKey, OKPKey, RSAKey

from auth import users
from auth.errors import InvalidProvider, NotAllowed
from auth.identity import Identity, snapshot_of
from auth.policy_changes import change_policy
from auth.providers import configs
from auth.providers.models import ProviderConfig
from tests.auth import sources
from tests.auth.helpers import add_passkey, give_code, grant, inside, set_up_app
from tests.factories import Person, Workspace, add_person
from tests.servers import oidc, require
from tests.servers.oidc import OidcServer
from tests.visitor import Visitor

OIDC = {"issuer": "https://login.example.com", "client_id": "tenantry"}


@pytest.fixture(scope="module")
def server() -> Iterator[OidcServer]:
    with require(oidc.start) as server:
        yield server


@pytest.fixture
def work(app: Flask, acme: Workspace, server: OidcServer) -> uuid.UUID:
    domain = sources.own(app, acme, f"{acme.slug}.example")
    return sources.connect(app, acme, server, domains=[domain])


def actor(person: Person) -> Identity:
    snapshot = snapshot_of(person.id)
    assert snapshot is not None
    return Identity(person.id, snapshot)


class TestEnforcement:
    """Nobody closes the ways in of somebody who holds more."""

    def enforce(self, app: Flask, acme: Workspace, work: uuid.UUID, role: str) -> None:
        with inside(app, acme) as session:
            config = session.find(ProviderConfig, work)
            named = users.get_by_email(acme.people["owner"].email)
            configs.enforce_provider(config, named, actor=actor(acme.people[role]))

    @pytest.fixture
    def ready(self, app: Flask, acme: Workspace, work: uuid.UUID) -> uuid.UUID:
        with inside(app, acme) as session:
            config = session.find(ProviderConfig, work)
            config.admin_seen_at = config.rehearsed_at
        grant(app, acme, add_person(app, acme), "owner")
        return work

    def test_an_administrator_enforces_nothing_for_owners(self, app: Flask, acme: Workspace, ready: uuid.UUID) -> None:
        with pytest.raises(NotAllowed, match="Only owners"):
            self.enforce(app, acme, ready, "admin")

    def test_an_owner_does(self, app: Flask, acme: Workspace, ready: uuid.UUID) -> None:
        self.enforce(app, acme, ready, "owner")
        assert sources.config_of(app, acme, ready).enforced_at is not None

    def test_nor_by_a_domain_that_an_enforced_source_gets(self, app: Flask, acme: Workspace, ready: uuid.UUID) -> None:
        other = sources.own(app, acme, f"other.{acme.slug}.example")
        self.enforce(app, acme, ready, "owner")
        owner = add_person(app, acme, email=f"second@{other}")
        grant(app, acme, owner, "owner")
        with inside(app, acme) as session:
            config = session.find(ProviderConfig, ready)
            mine = [*config.domains, other]
            with pytest.raises(NotAllowed, match="Only owners"):
                configs.change_provider(config, actor=actor(acme.people["admin"]), domains=mine)
            session.rollback()


@pytest.mark.usefixtures("steady")
class TestSecondStep:
    """What a source has vouched for counts while it is as it was."""

    @pytest.fixture
    def half(
        self, app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID, member: Visitor
    ) -> tuple[Visitor, Any]:
        """A browser in which the first factor was proved at the source, and the device that gives the second."""
        device = set_up_app(app, member)
        joined = Visitor(app, acme.host)
        sub = sources.add_person(server, acme.people["member"].email)
        sources.sign_in(joined, server, work, sub)
        joined.sign_in(acme.people["member"])
        give_code(joined, device.code(0))
        visitor = Visitor(app, acme.host)
        sources.sign_in(visitor, server, work, sub)
        return visitor, device

    def test_a_source_that_is_switched_off_meanwhile_lets_nobody_in(
        self, app: Flask, acme: Workspace, work: uuid.UUID, half: tuple[Visitor, Any]
    ) -> None:
        visitor, device = half
        with inside(app, acme) as session:
            configs.disable_provider(session.find(ProviderConfig, work), actor=None)
        give_code(visitor, device.code(1))
        assert not visitor.is_signed_in()

    def test_nor_does_one_that_is_set_to_something_else(
        self, app: Flask, acme: Workspace, work: uuid.UUID, half: tuple[Visitor, Any]
    ) -> None:
        visitor, device = half
        with inside(app, acme) as session:
            config = session.find(ProviderConfig, work)
            config.settings = config.settings | {"prompt": "login"}
        give_code(visitor, device.code(1))
        assert not visitor.is_signed_in()

    def test_one_that_is_as_it_was_does(self, half: tuple[Visitor, Any]) -> None:
        visitor, device = half
        give_code(visitor, device.code(1))
        assert visitor.is_signed_in()


@pytest.mark.parametrize(
    ("key", "good"),
    [
        (RSAKey.generate_key(2048), True),
        (ECKey.generate_key("P-384"), True),
        (OKPKey.generate_key("Ed25519"), True),
        (OKPKey.generate_key("X25519"), False),
        (OKPKey.generate_key("Ed448"), False),
        (ECKey.generate_key("secp256k1"), False),
    ],
    ids=["RSA", "P-384", "Ed25519", "X25519", "Ed448", "secp256k1"],
)
def test_a_key_that_cannot_sign_is_refused_when_it_is_saved(app: Flask, acme: Workspace, key: Any, good: bool) -> None:
    pem = key.as_pem(private=True).decode()
    with inside(app, acme):
        if good:
            configs.add_provider("work", "oidc", OIDC | {"client_auth": "private_key_jwt"}, secret=pem, actor=None)
        else:
            with pytest.raises((InvalidProvider, ValueError), match="private key"):
                configs.add_provider("work", "oidc", OIDC | {"client_auth": "private_key_jwt"}, secret=pem, actor=None)


class TestLastWay:
    """What a workspace's rules forbid is no way in."""

    def test_a_password_that_is_none_is_not_counted(
        self, app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID, owner: Visitor
    ) -> None:
        add_passkey(owner)
        visitor = Visitor(app, acme.host)
        sources.join(visitor, server, work, acme.people["member"])
        with inside(app, acme):
            change_policy({"methods": ["passkey"]}, actor=None)
        answer = visitor.post(f"/account/disconnect/{work}")
        assert "only way in" in visitor.get(answer.headers["Location"]).text
        assert sources.subjects_of(app, acme, acme.people["member"].email)

    def test_nor_does_it_join_what_waits(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, owner: Visitor
    ) -> None:
        add_passkey(owner)
        with inside(app, acme):
            change_policy({"methods": ["passkey"]}, actor=None)
        sources.sign_in(visitor, server, work, sources.add_person(server, acme.people["member"].email))
        visitor.sign_in(acme.people["member"])
        assert not visitor.is_signed_in()
        assert sources.subjects_of(app, acme, acme.people["member"].email) == []


class TestAsked:
    """What a source is set to ask for is asked for."""

    @pytest.mark.parametrize(
        ("settings", "asked"),
        [
            ({"prompt": "select_account"}, {"prompt": "select_account"}),
            ({"max_age": 3600}, {"max_age": "3600"}),
            ({"acr_values": ["mfa", "basic"]}, {"acr_values": "mfa basic"}),
            ({"hosted_domains": ["acme.example"]}, {"hd": "acme.example"}),
        ],
        ids=str,
    )
    def test_by_its_name(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, settings: dict[str, Any],
        asked: dict[str, str],
    ) -> None:  # fmt: skip
        work = sources.connect(app, acme, server, **settings)
        query = parse_qs(urlsplit(sources.depart(visitor, work)).query)
        assert {name: query[name][0] for name in asked} == asked
