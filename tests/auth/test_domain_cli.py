"""`flask domains ...`: from a domain's name to an owner, and its record looked for every day."""

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import Result
from flask import Flask, g

from auth import domains
from saas import create_app
from tenants.lifecycle import suspend_tenant
from tests.auth.conftest import Clock
from tests.auth.helpers import inside, mail_to
from tests.conftest import Database
from tests.factories import Workspace
from tests.servers.dns import NameServer


@pytest.fixture(scope="module")
def name_server() -> Iterator[NameServer]:
    with NameServer() as server:
        yield server


@pytest.fixture(scope="module")
def app(database: Database, name_server: NameServer) -> Iterator[Flask]:
    app = create_app(database.settings(name_servers=(name_server.address,)))
    yield app
    app.extensions["tenants"].engines.dispose()


@pytest.fixture
def domain() -> str:
    """One that no other test has: they all share a database."""
    return f"d{secrets.token_hex(5)}.example"


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch, acme: Workspace, globex: Workspace) -> None:
    """As if the installation had these two workspaces and no others."""
    found = [acme.tenant, globex.tenant]
    monkeypatch.setattr("auth.domain_cli.list_tenants", lambda: found)


def run(app: Flask, workspace: Workspace | None, *words: str, input: str | None = None) -> Result:
    named = ["--tenant", workspace.slug] if workspace else []
    return app.test_cli_runner().invoke(args=["domains", *words, *named], input=input)


def listed(app: Flask, workspace: Workspace) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run(app, workspace, "list", "--json").stdout)
    return found


def add(app: Flask, workspace: Workspace, domain: str, name_server: NameServer) -> str:
    """Add a domain and publish its record; gives back the record's name."""
    assert run(app, workspace, "add", domain).exit_code == 0
    (record,) = (one["record"] for one in listed(app, workspace) if one["domain"] == domain)
    name_server.publish(record["name"], record["value"])
    return str(record["name"])


def test_a_domain_is_added_proved_and_listed(app: Flask, acme: Workspace, domain: str, name_server: NameServer) -> None:
    added = run(app, acme, "add", domain.upper())
    assert added.exit_code == 0
    assert f'_tenantry.{domain}. TXT "tenantry-domain-verification=' in added.output
    value = added.output.split('"')[1]

    missing = run(app, acme, "check", domain)
    assert missing.exit_code == 1
    assert f"{domain}: pending; there is no TXT record" in missing.output
    name_server.publish(f"_tenantry.{domain}", value)
    proved = run(app, acme, "check", domain)
    assert proved.exit_code == 0
    assert f"{domain}: pending → proved; the record is there" in proved.output

    (found,) = listed(app, acme)
    assert found["domain"] == domain
    assert found["state"] == "proved"
    assert found["record"] == {"type": "TXT", "name": f"_tenantry.{domain}", "value": value}
    assert found["proved_at"]
    assert found["proved_at"] == found["checked_at"]
    assert f'proved    _tenantry.{domain}. TXT "{value}"' in run(app, acme, "list").output


def test_a_state_that_got_worse_stays_although_the_check_fails(
    app: Flask, acme: Workspace, domain: str, name_server: NameServer
) -> None:
    record = add(app, acme, domain, name_server)
    run(app, acme, "check", domain)
    name_server.publish(record, "something else")
    result = run(app, acme, "check", domain)
    assert result.exit_code == 1
    assert "proved → warning; there is a TXT record, with another value" in result.output
    assert listed(app, acme)[0]["state"] == "warning"


def test_name_servers_that_do_not_answer_are_told_from_a_missing_record(
    app: Flask, acme: Workspace, domain: str, name_server: NameServer
) -> None:
    name_server.fail(add(app, acme, domain, name_server))
    assert "no name server gave an answer" in run(app, acme, "check", domain).output


def test_a_domain_of_another_workspace_is_told_as_such_and_no_more(
    app: Flask, acme: Workspace, globex: Workspace, domain: str, name_server: NameServer
) -> None:
    run(app, acme, "vouch", domain)
    add(app, globex, domain, name_server)
    for words in (("check", domain), ("vouch", domain)):
        result = run(app, globex, *words)
        assert result.exit_code == 1
        assert "nother workspace has proved that the domain" in result.output
        assert acme.slug not in result.output


def test_an_operator_vouches_for_a_domain(app: Flask, acme: Workspace, domain: str) -> None:
    for _ in range(2):
        assert f"{domain}: proved, vouched for" in run(app, acme, "vouch", domain).output
    assert run(app, acme, "check", domain).exit_code == 0
    assert listed(app, acme)[0]["vouched"] is True
    assert "vouched for" in run(app, acme, "list").output


def test_a_removal_asks_first(app: Flask, acme: Workspace, domain: str) -> None:
    run(app, acme, "vouch", domain)
    assert run(app, acme, "remove", domain, input="n\n").exit_code == 1
    assert len(listed(app, acme)) == 1
    assert run(app, acme, "remove", domain, input="y\n").exit_code == 0
    assert listed(app, acme) == []
    run(app, acme, "add", domain)
    assert run(app, acme, "remove", domain, "--yes").exit_code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "gmail.com"), "anybody can have an address"),
        (("add", "no domain"), "is no domain of e-mail addresses"),
        (("vouch", "192.0.2.1"), "is no domain of e-mail addresses"),
        (("check", "acme.example"), "has no domain"),
        (("remove", "acme.example"), "has no domain"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_told_in_a_line_and_an_exit_code(
    app: Flask, acme: Workspace, words: tuple[str, ...], said: str
) -> None:
    result = run(app, acme, *words)
    assert result.exit_code == 1
    assert said in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", ["add", "list", "check", "vouch", "remove"])
def test_a_workspace_has_to_be_named(app: Flask, command: str) -> None:
    words = (command,) if command == "list" else (command, "acme.example")
    result = run(app, None, *words)
    assert result.exit_code == 2
    assert "--tenant" in result.output


class TestRecheck:
    """`flask domains recheck`, as a timer runs it."""

    def test_every_active_workspaces_domains_are_checked(
        self, app: Flask, acme: Workspace, globex: Workspace, domain: str, name_server: NameServer, only: None
    ) -> None:
        record = add(app, acme, f"a.{domain}", name_server)
        add(app, globex, f"g.{domain}", name_server)
        result = run(app, None, "recheck")
        assert result.exit_code == 0
        assert result.stdout == "2 workspaces: 2 domains checked, 0 got worse; 0 workspaces failed\n"
        assert f"{acme.slug}: a.{domain}: pending → proved; the record is there" in result.stderr
        assert f"{globex.slug}: g.{domain}: pending → proved" in result.stderr
        assert run(app, None, "recheck").stdout.startswith("2 workspaces: 0 domains checked")

        name_server.forget(record)
        assert "2 domains checked, 1 got worse" in run(app, None, "recheck", "--force").stdout
        assert record in mail_to(app, acme.people["owner"].email)[-1].body
        assert mail_to(app, globex.people["owner"].email) == []

    def test_an_hour_later_they_are_due_again(
        self, app: Flask, acme: Workspace, domain: str, name_server: NameServer, clock: Clock
    ) -> None:
        add(app, acme, domain, name_server)
        assert "1 workspaces: 1 domains checked" in run(app, acme, "recheck").stdout
        clock.advance(minutes=61)
        assert "1 workspaces: 1 domains checked" in run(app, acme, "recheck").stdout

    def test_one_workspaces_failure_does_not_stop_the_others(
        self,
        app: Flask,
        acme: Workspace,
        globex: Workspace,
        domain: str,
        name_server: NameServer,
        only: None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        add(app, acme, f"a.{domain}", name_server)
        add(app, globex, f"g.{domain}", name_server)
        work = domains.check_all

        def fail(*arguments: Any, **options: Any) -> Any:
            done = work(*arguments, **options)
            if g.tenant.id == acme.tenant.id:
                raise RuntimeError("hush")
            return done

        monkeypatch.setattr(domains, "check_all", fail)
        result = run(app, None, "recheck")
        assert result.exit_code == 1
        assert "2 workspaces: 1 domains checked, 0 got worse; 1 workspaces failed" in result.stdout
        assert f"{acme.slug}: not checked: RuntimeError" in result.stderr
        assert [one["state"] for one in listed(app, acme)] == ["pending"]  # nothing of it stays
        assert [one["state"] for one in listed(app, globex)] == ["proved"]

    def test_a_suspended_workspace_is_left_alone(
        self, app: Flask, acme: Workspace, domain: str, name_server: NameServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        record = add(app, acme, domain, name_server)
        with app.app_context():
            suspended = suspend_tenant(acme.slug)
        monkeypatch.setattr("auth.domain_cli.list_tenants", lambda: [suspended])
        assert run(app, None, "recheck").stdout.startswith("0 workspaces")
        assert record not in name_server.asked

    def test_within_a_bound_workspace_it_is_that_one(
        self, app: Flask, acme: Workspace, domain: str, name_server: NameServer
    ) -> None:
        add(app, acme, domain, name_server)
        words = ["tenants", "run", acme.slug, "--", "domains", "recheck"]
        result = app.test_cli_runner().invoke(args=words)
        assert result.exit_code == 0, result.output
        assert "1 workspaces: 1 domains checked" in result.stdout
        with inside(app, acme):
            assert domains.owned() == {domain}
