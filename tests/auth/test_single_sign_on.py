"""Signing in at an OpenID Connect provider, and who one is here then."""

import uuid
from collections.abc import Iterator

import pytest
from flask import Flask

from tests.auth import sources
from tests.factories import Workspace
from tests.servers import oidc, require
from tests.servers.oidc import OidcServer
from tests.visitor import Visitor


@pytest.fixture(scope="module")
def server() -> Iterator[OidcServer]:
    with require(oidc.start) as server:
        yield server


@pytest.fixture
def alice(server: OidcServer, acme: Workspace) -> str:
    """A person at the provider, with an address of acme's domain."""
    email = f"alice@{acme.slug}.example"
    sub = f"alice-{uuid.uuid4().hex[:8]}"
    server.add_person(sub, email=email, email_verified=True, name="Alice Adams", groups=["engineering"])
    return sub


@pytest.fixture
def work(app: Flask, acme: Workspace, server: OidcServer) -> uuid.UUID:
    """acme's source, which makes users of its proved domain."""
    domain = sources.own(app, acme, f"{acme.slug}.example")
    return sources.connect(app, acme, server, label="Acme ID", domains=[domain])


def test_a_person_is_made_at_their_first_sign_in_and_known_at_the_second(
    app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, alice: str
) -> None:
    sources.map_group(app, acme, "engineering", "member")
    answer = sources.sign_in(visitor, server, work, alice)
    assert answer.status_code == 302, answer.text
    me = visitor.get("/api/v1/me").get_json()
    assert me["user"]["email"] == f"alice@{acme.slug}.example"
    assert me["roles"] == ["member"]
    again = Visitor(app, acme.host)
    assert sources.sign_in(again, server, work, alice).headers["Location"] == "/"
    assert again.get("/api/v1/me").get_json()["user"]["id"] == me["user"]["id"]


def test_through_the_broker(app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, alice: str) -> None:
    domain = sources.own(app, acme, f"{acme.slug}.example")
    brokered = sources.connect(app, acme, server, broker=True, domains=[domain])
    answer = sources.sign_in(visitor, server, brokered, alice, next="/projects/")
    assert answer.status_code == 302, answer.text
    assert answer.headers["Location"] == "/projects/"
    assert visitor.is_signed_in()
