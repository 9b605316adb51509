"""The broker: one address to come back to, whatever the tenant and its host."""

import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from flask import Flask
from sqlalchemy import select, update

from auth.providers.models import SignInAttempt
from tenants.context import bound
from tenants.db import now
from tenants.models import Domain
from tests.auth import sources
from tests.auth.helpers import inside
from tests.factories import Workspace
from tests.servers import oidc, require
from tests.servers.oidc import OidcServer
from tests.visitor import Visitor


@pytest.fixture(scope="module")
def server() -> Iterator[OidcServer]:
    with require(oidc.start) as server:
        yield server


@pytest.fixture
def brokered(app: Flask, acme: Workspace, server: OidcServer) -> uuid.UUID:
    """acme's source, to which people go by the broker."""
    domain = sources.own(app, acme, f"{acme.slug}.example")
    server.add_person(f"alice-{acme.slug}", email=f"alice@{domain}", email_verified=True)
    return sources.connect(app, acme, server, broker=True, domains=[domain])


@pytest.fixture
def custom(app: Flask, acme: Workspace) -> str:
    """A verified host name of acme's own."""
    host = f"id.{acme.slug}.example"
    with inside(app, acme) as session:
        session.add(Domain(host=host, tenant_id=acme.tenant.id, verified_at=now()))
    return host


def come_to_broker(visitor: Visitor, server: OidcServer, config_id: uuid.UUID, login: str) -> str:
    """Sign in at the provider; the address at the broker to which one is sent back."""
    return oidc.sign_in(server, sources.depart(visitor, config_id), login)


def test_a_custom_domain_works_the_same(
    app: Flask, acme: Workspace, server: OidcServer, brokered: uuid.UUID, custom: str
) -> None:
    visitor = Visitor(app, custom)
    at_broker = come_to_broker(visitor, server, brokered, f"alice-{acme.slug}")
    assert urlsplit(at_broker).netloc == "auth.localhost"
    handed_over = sources.follow(visitor, at_broker).headers["Location"]
    assert urlsplit(handed_over).netloc == custom
    assert sources.follow(visitor, handed_over).headers["Location"] == "/"
    assert visitor.is_signed_in()


def test_nothing_is_handed_to_a_host_that_is_another_tenants_by_now(
    app: Flask, acme: Workspace, globex: Workspace, server: OidcServer, brokered: uuid.UUID, custom: str
) -> None:
    visitor = Visitor(app, custom)
    at_broker = come_to_broker(visitor, server, brokered, f"alice-{acme.slug}")
    with inside(app, acme) as session:
        session.execute(update(Domain).where(Domain.host == custom).values(verified_at=None))
    answer = sources.follow(visitor, at_broker)
    assert answer.status_code == 400
    assert "Location" not in answer.headers


def test_the_broker_keeps_and_reads_no_cookie(
    app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, brokered: uuid.UUID
) -> None:
    at_broker = come_to_broker(visitor, server, brokered, f"alice-{acme.slug}")
    answer = sources.follow(Visitor(app, "auth.localhost"), at_broker)
    assert "Set-Cookie" not in answer.headers
    assert sources.follow(visitor, answer.headers["Location"]).headers["Location"] == "/"


def test_no_token_is_in_an_address(acme: Workspace, visitor: Visitor, server: OidcServer, brokered: uuid.UUID) -> None:
    answer = sources.follow(visitor, come_to_broker(visitor, server, brokered, f"alice-{acme.slug}"))
    query = urlsplit(answer.headers["Location"]).query
    assert query.startswith("code=")
    assert len(query) < 60


def test_a_suspended_tenant_gets_nobody_back(
    app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, brokered: uuid.UUID
) -> None:
    at_broker = come_to_broker(visitor, server, brokered, f"alice-{acme.slug}")
    assert app.test_cli_runner().invoke(args=["tenants", "suspend", acme.slug]).exit_code == 0
    assert sources.follow(visitor, at_broker).status_code == 400


@pytest.mark.parametrize("host", ["localhost", "www.localhost", "{slug}.localhost", "auth.{slug}.localhost"])
def test_it_is_on_its_own_host_only(app: Flask, acme: Workspace, host: str) -> None:
    visitor = Visitor(app, host.format(slug=acme.slug))
    assert visitor.get(f"/broker/{uuid.uuid4()}/callback").status_code == 404


def test_a_tenants_pages_are_not_on_the_brokers_host(app: Flask, acme: Workspace, brokered: uuid.UUID) -> None:
    broker = Visitor(app, "auth.localhost")
    for path in ("/auth/login", "/account/", f"/sso/{brokered}/start", f"/sso/{brokered}/finish", "/api/v1/me"):
        assert broker.get(path).status_code == 404


def test_what_waits_to_be_fetched_is_encrypted(
    app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, brokered: uuid.UUID
) -> None:
    sources.follow(visitor, come_to_broker(visitor, server, brokered, f"alice-{acme.slug}"))
    with app.app_context(), bound(acme.tenant, writes=False) as session:
        (outcome,) = session.scalars(select(SignInAttempt.outcome)).all()
    assert outcome
    assert "alice" not in outcome
