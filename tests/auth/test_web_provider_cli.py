"""`flask providers ...` for a web source: from an issuer's address to people who sign in there."""

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask
from joserfc.jwk import RSAKey

from tests.auth import sources
from tests.auth.directories import roles_of
from tests.factories import Workspace
from tests.servers import oidc, require
from tests.servers.oidc import Client, OidcServer
from tests.visitor import Visitor, sign_in


@pytest.fixture(scope="module")
def server() -> Iterator[OidcServer]:
    with require(oidc.start) as server:
        yield server


@pytest.fixture
def client(server: OidcServer) -> Client:
    return server.add_client(redirect_uris=["http://localhost/callback"])


def run(app: Flask, workspace: Workspace, *words: str, group: str = "providers", input: str | None = None) -> Result:
    return app.test_cli_runner().invoke(args=[group, *words, "--tenant", workspace.slug], input=input)


def address(result: Result, what: str) -> str:
    """An address that a command has printed."""
    found = re.search(rf"{what} +(\S+)", result.output)
    assert found, result.output
    return found.group(1)


def add(app: Flask, workspace: Workspace, server: OidcServer, client: Client, *words: str) -> Result:
    return run(
        app, workspace, "add", "work", "--kind", "oidc", "--label", "Acme ID", "--issuer", server.issuer, "--insecure",
        "--client-id", client.id, "--secret-stdin", *words, input=client.secret,
    )  # fmt: skip


@pytest.mark.parametrize("broker", [False, True])
def test_a_provider_is_connected_rehearsed_switched_on_and_signed_in_by(
    app: Flask, acme: Workspace, server: OidcServer, client: Client, broker: bool
) -> None:
    domain = f"{acme.slug}.example"
    added = add(app, acme, server, client, "--domain", domain, "--groups-claim", "teams", *["--broker"] * broker)
    assert added.exit_code == 0, added.output
    assert client.secret not in added.output
    redirect = address(added, "redirect address")
    assert ("auth.localhost/broker/" in redirect) == broker
    server.add_client(client_id=client.id, secret=client.secret, redirect_uris=[redirect])
    assert run(app, acme, "vouch", domain, group="domains").exit_code == 0
    assert run(app, acme, "map", "work", "engineering", "member").exit_code == 0
    refused = run(app, acme, "enable", "work")
    assert refused.exit_code == 1
    assert "provisional" in refused.output

    server.add_person(f"alice-{acme.slug}", email=f"alice@{domain}", email_verified=True, teams=["engineering"])
    config_id = uuid.UUID(json.loads(run(app, acme, "list", "--json").output)[0]["id"])
    page = sources.sign_in(sign_in(app, acme, "owner"), server, config_id, f"alice-{acme.slug}", "rehearse")
    assert page.status_code == 200, page.text
    assert run(app, acme, "enable", "work").exit_code == 0
    visitor = Visitor(app, acme.host)
    sources.sign_in(visitor, server, config_id, f"alice-{acme.slug}")
    assert roles_of(visitor) == ["member"]


def test_what_is_to_be_registered_is_printed(app: Flask, acme: Workspace, server: OidcServer, client: Client) -> None:
    add(app, acme, server, client)
    shown = run(app, acme, "show", "work")
    base = f"http://{acme.host}/sso/"
    for what in ("redirect address", "after signing out", "back channel", "to rehearse it"):
        assert address(shown, what).startswith(base)
    assert client.secret not in shown.output


def test_a_list_says_how_a_source_stands(app: Flask, acme: Workspace, server: OidcServer, client: Client) -> None:
    add(app, acme, server, client)
    assert "off, provisional" in run(app, acme, "list").output
    run(app, acme, "enable", "work", "--untried")
    assert "on, provisional" in run(app, acme, "list").output


def test_a_private_key_may_come_from_a_file(app: Flask, acme: Workspace, server: OidcServer, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(RSAKey.generate_key(2048).as_pem(private=True))
    result = run(
        app, acme, "add", "work", "--kind", "oidc", "--issuer", server.issuer, "--insecure", "--client-id", "x",
        "--client-auth", "private_key_jwt", "--secret-file", str(file),
    )  # fmt: skip
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["test", "work", "alice"], "it is rehearsed by"),
        (["sync", "work"], "is a web source"),
        (["enforce", "work", "--break-glass", "nobody@x.example"], "no user"),
        (["enforce", "work", "--break-glass", "owner@{slug}.example"], "it is switched off"),
        (["change", "work", "--server", "ldaps://x.example"], "no setting of a source of the kind oidc: servers"),
    ],
)
def test_what_a_web_source_has_not_is_said(
    app: Flask, acme: Workspace, server: OidcServer, client: Client, words: list[str], said: str
) -> None:
    add(app, acme, server, client)
    result = run(app, acme, *(word.format(slug=acme.slug) for word in words))
    assert result.exit_code == 1
    assert said in result.output


def test_enforcing_and_relaxing(app: Flask, acme: Workspace, server: OidcServer) -> None:
    domain = sources.own(app, acme, f"{acme.slug}.example")
    config_id = sources.connect(app, acme, server, domains=[domain])
    owner = acme.people["owner"].email
    sub = f"owner-{acme.slug}"
    server.add_person(sub, email=owner, email_verified=True)
    visitor = Visitor(app, acme.host)
    sources.sign_in(visitor, server, config_id, sub)
    visitor.sign_in(acme.people["owner"])
    sources.sign_in(visitor, server, config_id, sub)
    done = run(app, acme, "enforce", "work", "--break-glass", owner)
    assert done.exit_code == 0, done.output
    assert "enforced" in run(app, acme, "list").output
    assert run(app, acme, "disable", "work").exit_code == 1
    assert run(app, acme, "relax", "work").exit_code == 0
    assert run(app, acme, "disable", "work").exit_code == 0


def test_somebody_is_joined_by_an_administrator_who_answers_for_it(
    app: Flask, acme: Workspace, server: OidcServer
) -> None:
    config_id = sources.connect(app, acme, server)
    member, sub = acme.people["member"], f"m-{acme.slug}"
    done = run(app, acme, "link", "work", sub, member.email)
    assert done.exit_code == 0, done.output
    server.add_person(sub)  # no address at all
    visitor = Visitor(app, acme.host)
    sources.sign_in(visitor, server, config_id, sub)
    assert visitor.get("/api/v1/me").json["user"]["email"] == member.email
