"""Providers of the installation: one client, one redirect address, any tenant that takes them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from tests.auth import sources
from tests.auth.helpers import inside
from tests.factories import Workspace, make_workspace
from tests.servers import oidc, require
from tests.servers.oidc import OidcServer
from tests.visitor import Visitor

BROKER = "http://auth.localhost/broker/community/callback"


@pytest.fixture(scope="module")
def server() -> Iterator[OidcServer]:
    with require(oidc.start) as server:
        yield server


@pytest.fixture
def offering(make_app: Callable[..., Flask], server: OidcServer) -> Flask:
    """An installation that offers a provider."""
    client = server.add_client(redirect_uris=[BROKER])
    offer = {"label": "Community", "issuer": server.issuer, "insecure": True, "client_id": client.id,
             "client_secret": client.secret}  # fmt: skip
    return make_app(platform_providers={"community": offer})


def take(app: Flask, workspace: Workspace, **settings: Any) -> Any:
    """Let the workspace take it, for its own domain."""
    domain = sources.own(app, workspace, f"{workspace.slug}.example")
    given = {"platform": "community"} | settings
    return sources.add(app, workspace, "community", "platform", given, label="Community", domains=[domain])


def person(server: OidcServer, workspace: Workspace, **claims: Any) -> str:
    sub = f"alice-{workspace.slug}"
    server.add_person(sub, **{"email": f"alice@{workspace.slug}.example", "email_verified": True} | claims)
    return sub


def test_a_tenant_takes_it_without_a_client_of_its_own(offering: Flask, server: OidcServer) -> None:
    acme, globex = make_workspace(offering), make_workspace(offering)
    at_acme, at_globex = take(offering, acme), take(offering, globex)
    for workspace, config_id in ((acme, at_acme), (globex, at_globex)):
        visitor = Visitor(offering, workspace.host)
        assert sources.sign_in(visitor, server, config_id, person(server, workspace)).headers["Location"] == "/"
        assert visitor.get("/api/v1/me").json["tenant"]["slug"] == workspace.slug


def test_a_tenant_that_takes_it_not_lets_nobody_in_by_it(offering: Flask, server: OidcServer) -> None:
    acme, globex = make_workspace(offering), make_workspace(offering)
    config_id = take(offering, acme)
    visitor = Visitor(offering, globex.host)
    assert visitor.get(f"/sso/{config_id}/start").status_code == 404
    assert "Community" not in visitor.get("/auth/login").text


def test_people_of_other_domains_do_not_get_in(offering: Flask, server: OidcServer) -> None:
    acme = make_workspace(offering)
    config_id = take(offering, acme)
    visitor = Visitor(offering, acme.host)
    sub = person(server, acme, email="mallory@elsewhere.example")
    assert "/auth/login" in sources.sign_in(visitor, server, config_id, sub).headers["Location"]
    assert not visitor.is_signed_in()


def test_what_comes_back_for_one_tenant_is_worth_nothing_at_another(offering: Flask, server: OidcServer) -> None:
    acme, globex = make_workspace(offering), make_workspace(offering)
    at_acme, at_globex = take(offering, acme), take(offering, globex)
    visitor = Visitor(offering, acme.host)
    callback = oidc.sign_in(server, sources.depart(visitor, at_acme), person(server, acme))
    handed_over = sources.follow(visitor, callback).headers["Location"]
    assert handed_over.startswith(f"{acme.url}/sso/{at_acme}/finish?code=")
    moved = handed_over.replace(acme.host, globex.host).replace(str(at_acme), str(at_globex))
    assert sources.follow(visitor, moved).status_code == 400
    assert sources.follow(visitor, handed_over).headers["Location"] == "/"


def test_it_is_narrowed_by_the_tenant(offering: Flask, server: OidcServer) -> None:
    acme = make_workspace(offering)
    config_id = take(offering, acme, hosted_domains=["acme.example"])
    visitor = Visitor(offering, acme.host)
    refused = sources.sign_in(visitor, server, config_id, person(server, acme))
    assert refused.status_code == 502
    person(server, acme, hd="acme.example")
    assert sources.sign_in(visitor, server, config_id, f"alice-{acme.slug}").headers["Location"] == "/"


def test_one_that_is_offered_no_longer_lets_nobody_in(
    offering: Flask, server: OidcServer, make_app: Callable[..., Flask]
) -> None:
    acme = make_workspace(offering)
    config_id = take(offering, acme)
    without = make_app()
    assert Visitor(without, acme.host).get(f"/sso/{config_id}/start").status_code == 502


def test_its_secret_is_in_no_row_and_no_page(offering: Flask, server: OidcServer) -> None:
    acme = make_workspace(offering)
    config_id = take(offering, acme)
    secret = offering.extensions["tenants"].settings.platform_providers["community"]["client_secret"]
    config = sources.config_of(offering, acme, config_id)
    assert config.secret is None
    owner = Visitor(offering, acme.host)
    owner.sign_in(acme.people["owner"])
    for path in ("/admin/sign-in/", "/api/v1/providers", f"/sso/{config_id}/start"):
        answer = owner.get(path)
        assert secret not in answer.text + str(answer.headers)
    with inside(offering, acme):
        assert secret not in repr(offering.extensions["tenants"].settings)
