"""Domains of e-mail addresses: proved by the DNS, owned by one workspace, and lost slowly."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import dns.resolver
import pytest
from flask import Flask, g
from sqlalchemy import select

from auth import domain_records, domains, enforcement, roles, users
from auth.audit_models import AuditEvent
from auth.domain_names import check_name
from auth.domain_records import LAPSED, PENDING, PROVED, WARNING, Finding, Record, look_up, next_state, record_of
from auth.domains import Checked
from auth.errors import DomainTaken, InvalidDomain, NotAllowed, UnknownDomain
from auth.identity import Identity, snapshot_of
from auth.providers.models import MailDomain, ProviderConfig
from config.settings import SettingsError, load_settings, socket_address
from saas import create_app
from tenants.db import now
from tests.auth.conftest import Clock
from tests.auth.helpers import at_once, change, inside, mail_to
from tests.conftest import Database
from tests.factories import Workspace, add_person
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
def impatient(monkeypatch: pytest.MonkeyPatch) -> float:
    """Seconds that a lookup takes at most."""
    monkeypatch.setattr(domain_records, "LIFETIME", 0.3)
    return 0.3


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[frozenset[str]]:
    """The domains that were owned whenever the enforcement was worked out anew."""
    seen: list[frozenset[str]] = []
    monkeypatch.setattr(enforcement, "publish", lambda: seen.append(domains.owned()))
    return seen


def ignore(_checked: Checked) -> None:
    """Show no progress."""


def add(app: Flask, workspace: Workspace, domain: str, **options: bool) -> Record:
    with inside(app, workspace):
        return record_of(domains.add_domain(domain, actor=None, **options))


def check(app: Flask, workspace: Workspace, domain: str) -> str:
    with inside(app, workspace):
        return domains.check(domains.get_domain(domain)).state


def recheck(app: Flask, workspace: Workspace, *, force: bool = False) -> dict[str, tuple[str, str]]:
    with inside(app, workspace):
        found = domains.check_all(ignore, force=force)
        return {one.row.domain: (one.before, one.row.state) for one in found}


def state_of(app: Flask, workspace: Workspace, domain: str) -> str:
    with inside(app, workspace):
        return domains.get_domain(domain).state


def prove(app: Flask, workspace: Workspace, domain: str, name_server: NameServer) -> Record:
    record = add(app, workspace, domain)
    name_server.publish(record.name, record.value)
    assert check(app, workspace, domain) == PROVED
    return record


class TestNames:
    """What can be a workspace's domain."""

    @pytest.mark.parametrize(
        ("typed", "name"),
        [
            ("ACME.Example", "acme.example"),
            (" acme.example. ", "acme.example"),
            ("@acme.example", "acme.example"),
            ("BÜCHER.example", "xn--bcher-kva.example"),
            ("bu\u0308cher.example", "xn--bcher-kva.example"),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
            ("ａｃｍｅ.example", "acme.example"),
            ("acme。example", "acme.example"),
            ("acme.example。", "acme.example"),
            ("ac\u200bme.example", "acme.example"),
            ("ac\u00adme.example", "acme.example"),
            ("mail.acme.co.uk", "mail.acme.co.uk"),
            ("1and1.example", "1and1.example"),
            ("acme.рф", "acme.xn--p1ai"),
        ],
        ids=ascii,
    )
    def test_spellings_of_one_domain_are_one_domain(self, app: Flask, typed: str, name: str) -> None:
        with app.app_context():
            assert check_name(typed) == name

    @pytest.mark.parametrize(
        ("one", "other"),
        [("acme.example", "асme.example"), ("strasse.example", "straße.example"), ("paypal.example", "рауpal.example")],
        ids=ascii,
    )
    def test_names_that_only_look_alike_are_different_ones(self, app: Flask, one: str, other: str) -> None:
        with app.app_context():
            assert check_name(one) != check_name(other)
            assert check_name(other).isascii()

    @pytest.mark.parametrize(
        "typed",
        [
            "", ".", "acme", "localhost", "acme..example", ".acme.example", "-acme.example", "acme-.example",
            "acme_corp.example", "acme.example/x", "acme.example:53", "jo@acme.example", "https://acme.example",
            "*.example", "a b.example", "192.0.2.1", "[192.0.2.1]", "2001:db8::1", "127.1", "0x7f.0x1", "１９２.0.2.1",
            "acme.1", "a" * 64 + ".example", ".".join(["b" * 61] * 4), "a." * 200 + "example",
            "acme.example\nx.example", "acme\0.example",
            "\u202eelpmaxe.emca", "☃.example", "xn--", "é" * 5000 + ".example", "ac\ud800me.example",
        ],
        ids=lambda typed: ascii(typed[:20]),
    )  # fmt: skip
    def test_what_is_no_domain_is_refused(self, app: Flask, acme: Workspace, typed: str) -> None:
        with inside(app, acme):
            with pytest.raises(InvalidDomain) as refused:
                domains.add_domain(typed, actor=None)
            assert str(refused.value).isprintable()
            assert len(str(refused.value)) < 150
            assert domains.list_domains() == []

    @pytest.mark.parametrize(
        "typed", ["gmail.com", "GoogleMail.com.", "outlook.com", "＠ICLOUD.com"[1:], "yahoo.co.uk"]
    )
    @pytest.mark.parametrize("vouched", [True, False])
    def test_where_anybody_can_have_an_address_is_no_workspaces_own(
        self, app: Flask, acme: Workspace, typed: str, vouched: bool
    ) -> None:
        with inside(app, acme), pytest.raises(InvalidDomain, match="anybody"):
            domains.add_domain(typed, actor=None, vouched=vouched)

    def test_a_domain_is_added_once_whatever_its_spelling(self, app: Flask, acme: Workspace, domain: str) -> None:
        add(app, acme, domain)
        with inside(app, acme):
            with pytest.raises(InvalidDomain, match="already"):
                domains.add_domain(f"{domain.upper()}.", actor=None)
            assert [row.domain for row in domains.list_domains()] == [domain]
            assert domains.get_domain(f" {domain.upper()}").domain == domain

    def test_a_workspace_has_fifty_domains_at_most(self, app: Flask, acme: Workspace, domain: str) -> None:
        with inside(app, acme) as session:
            for number in range(domains.MOST_DOMAINS):
                session.add(MailDomain(domain=f"{number}.{domain}", token="t"))
            session.flush()
            with pytest.raises(InvalidDomain, match="50"):
                domains.add_domain(domain, actor=None)

    def test_what_was_never_added_is_unknown(self, app: Flask, acme: Workspace) -> None:
        with inside(app, acme):
            for name in ("acme.example", "", "\0", "a" * 9000):
                with pytest.raises(UnknownDomain):
                    domains.get_domain(name)


class TestProof:
    """What the DNS has to say, so that a domain is a workspace's own."""

    def test_a_record_proves_it(self, app: Flask, acme: Workspace, domain: str, name_server: NameServer) -> None:
        record = add(app, acme, domain)
        assert record.name == f"_tenantry.{domain}"
        assert record.value.startswith("tenantry-domain-verification=")
        assert check(app, acme, domain) == PENDING
        with inside(app, acme):
            assert domains.owned() == domains.creating() == frozenset()
        name_server.publish(record.name, record.value)
        assert check(app, acme, domain) == PROVED
        with inside(app, acme):
            assert domains.owned() == domains.creating() == {domain}
            row = domains.get_domain(domain)
            assert row.proved_at is not None
            assert row.checked_at is not None

    def test_nothing_but_that_name_is_asked_for(
        self, app: Flask, acme: Workspace, domain: str, name_server: NameServer
    ) -> None:
        record, before = add(app, acme, domain), len(name_server.asked)
        check(app, acme, domain)
        assert name_server.asked[before:] == [record.name]

    def test_an_international_domain_is_asked_for_in_ascii(
        self, app: Flask, acme: Workspace, domain: str, name_server: NameServer
    ) -> None:
        prove(app, acme, f"bücher.{domain}", name_server)
        assert name_server.asked[-1] == f"_tenantry.xn--bcher-kva.{domain}"

    @pytest.mark.parametrize(
        "value",
        [
            lambda value: (value[:7], value[7:30], value[30:]),
            lambda value: ("", value),
            lambda value: f'"{value}"',
            lambda value: f" {value} ",
        ],
        ids=["in pieces", "with an empty piece", "with quotes", "with spaces"],
    )
    def test_a_value_may_be_written_in_other_ways(
        self,
        app: Flask,
        acme: Workspace,
        domain: str,
        name_server: NameServer,
        value: Callable[[str], str | tuple[str, ...]],
    ) -> None:
        record = add(app, acme, domain)
        name_server.publish(record.name, value(record.value))
        assert check(app, acme, domain) == PROVED

    @pytest.mark.parametrize(
        "value",
        [
            lambda value: value[:-1],
            lambda value: value + "0",
            lambda value: value.upper(),
            lambda value: value.partition("=")[2],
            lambda value: "tenantry-domain-verification=",
            lambda value: f"v=spf1 {value} -all",
            lambda value: value + "\0",
            lambda value: "é" * 300,
            lambda value: "",
        ],
        ids=["shorter", "longer", "in capitals", "token only", "no token", "within", "NUL", "not ASCII", "empty"],
    )
    def test_another_value_proves_nothing(
        self, app: Flask, acme: Workspace, domain: str, name_server: NameServer, value: Callable[[str], str]
    ) -> None:
        record = add(app, acme, domain)
        name_server.publish(record.name, value(record.value))
        assert check(app, acme, domain) == PENDING

    def test_another_workspaces_record_proves_nothing(
        self, app: Flask, acme: Workspace, globex: Workspace, domain: str, name_server: NameServer
    ) -> None:
        add(app, acme, domain)
        theirs = add(app, globex, domain)
        name_server.publish(theirs.name, theirs.value)
        assert check(app, acme, domain) == PENDING
        assert check(app, globex, domain) == PROVED

    def test_a_record_of_the_domain_itself_or_of_a_part_of_it_proves_nothing(
        self, app: Flask, acme: Workspace, domain: str, name_server: NameServer
    ) -> None:
        record = add(app, acme, domain)
        name_server.publish(domain, record.value)
        name_server.publish(f"_tenantry.mail.{domain}", record.value)
        assert check(app, acme, domain) == PENDING

    def test_it_is_found_among_many_records_that_take_tcp(
        self, app: Flask, acme: Workspace, domain: str, name_server: NameServer
    ) -> None:
        record = add(app, acme, domain)
        name_server.publish(record.name, *("x" * 1000 for _ in range(60)), record.value)
        assert check(app, acme, domain) == PROVED
        assert name_server.asked[-2:] == [record.name, f"tcp:{record.name}"]

    def test_it_is_found_behind_an_alias(
        self, app: Flask, acme: Workspace, domain: str, name_server: NameServer
    ) -> None:
        record = add(app, acme, domain)
        name_server.alias(record.name, "elsewhere.example", record.value)
        assert check(app, acme, domain) == PROVED

    @pytest.mark.parametrize("target", ["nowhere.example", None], ids=["to nowhere", "to itself"])
    def test_an_alias_that_leads_nowhere_proves_nothing(
        self, app: Flask, acme: Workspace, domain: str, name_server: NameServer, target: str | None
    ) -> None:
        record = add(app, acme, domain)
        name_server.alias(record.name, target or record.name)
        assert check(app, acme, domain) == PENDING

    def test_a_domain_that_is_added_again_needs_another_record(
        self, app: Flask, acme: Workspace, domain: str, name_server: NameServer
    ) -> None:
        record = prove(app, acme, domain, name_server)
        with inside(app, acme):
            domains.remove_domain(domains.get_domain(domain), None)
        assert add(app, acme, domain).value != record.value
        assert check(app, acme, domain) == PENDING

    def test_a_vouched_domain_is_proved_and_nobody_is_asked(
        self, app: Flask, acme: Workspace, domain: str, name_server: NameServer, clock: Clock
    ) -> None:
        add(app, acme, domain, vouched=True)
        asked = len(name_server.asked)
        clock.advance(days=100)
        assert check(app, acme, domain) == PROVED
        assert recheck(app, acme, force=True) == {}
        assert len(name_server.asked) == asked

    def test_a_domain_can_be_vouched_for_later(
        self, app: Flask, acme: Workspace, domain: str, published: list[frozenset[str]]
    ) -> None:
        add(app, acme, domain)
        add(app, acme, domain, vouched=True)
        assert state_of(app, acme, domain) == PROVED
        assert published == [frozenset(), {domain}]


class TestNameServers:
    """SAAS_NAME_SERVERS."""

    @pytest.mark.parametrize(
        ("given", "address"),
        [
            ("192.0.2.53", ("192.0.2.53", 53)),
            ("192.0.2.53:5353", ("192.0.2.53", 5353)),
            ("2001:db8::53", ("2001:db8::53", 53)),
            ("[2001:db8::53]", ("2001:db8::53", 53)),
            ("[2001:DB8::53]:5353", ("2001:db8::53", 5353)),
        ],
    )
    def test_a_name_server_is_an_address_perhaps_with_a_port(self, given: str, address: tuple[str, int]) -> None:
        settings = load_settings({"SAAS_ENV": "testing", "SAAS_NAME_SERVERS": f"192.0.2.1, {given}"})
        assert settings.name_servers == ("192.0.2.1", given)
        assert socket_address(given) == address

    @pytest.mark.parametrize(
        "given", ["dns.hush.example", "192.0.2.53:hush", "192.0.2.53:99999", "[::1", "hush:53", ":5300"]
    )
    def test_anything_else_is_refused_without_being_printed(self, given: str) -> None:
        with pytest.raises(SettingsError, match="SAAS_NAME_SERVERS") as refused:
            load_settings({"SAAS_ENV": "testing", "SAAS_NAME_SERVERS": given})
        assert given not in str(refused.value)

    def test_without_any_the_machines_own_are_asked(self) -> None:
        assert load_settings({"SAAS_ENV": "testing"}).name_servers == ()


class TestTime:
    """How a domain is lost when its record is, and that it comes back."""

    @pytest.mark.parametrize(
        ("before", "finding", "days", "after"),
        [
            (PENDING, Finding.ABSENT, 100, PENDING),
            (PENDING, Finding.UNANSWERED, 100, PENDING),
            (PENDING, Finding.FOUND, 0, PROVED),
            (PROVED, Finding.FOUND, 100, PROVED),
            (PROVED, Finding.ABSENT, 0, WARNING),
            (PROVED, Finding.DIFFERENT, 0, WARNING),
            (PROVED, Finding.ABSENT, 100, WARNING),
            (PROVED, Finding.UNANSWERED, 13.9, PROVED),
            (PROVED, Finding.UNANSWERED, 14.1, WARNING),
            (PROVED, Finding.UNANSWERED, 100, WARNING),
            (WARNING, Finding.FOUND, 13, PROVED),
            (WARNING, Finding.ABSENT, 13.9, WARNING),
            (WARNING, Finding.ABSENT, 14.1, LAPSED),
            (WARNING, Finding.DIFFERENT, 14.1, LAPSED),
            (WARNING, Finding.UNANSWERED, 27.9, WARNING),
            (WARNING, Finding.UNANSWERED, 28.1, LAPSED),
            (LAPSED, Finding.ABSENT, 100, LAPSED),
            (LAPSED, Finding.UNANSWERED, 100, LAPSED),
            (LAPSED, Finding.FOUND, 100, PROVED),
            (LAPSED, Finding.TAKEN, 100, LAPSED),
        ],
    )
    def test_a_check_moves_one_step(self, before: str, finding: Finding, days: float, after: str) -> None:
        assert next_state(before, finding, timedelta(days=days)) == after

    def test_a_missing_record_warns_first_and_lapses_after_two_weeks(
        self, app: Flask, acme: Workspace, domain: str, name_server: NameServer, clock: Clock
    ) -> None:
        record = prove(app, acme, domain, name_server)
        name_server.forget(record.name)
        assert check(app, acme, domain) == WARNING
        with inside(app, acme):
            assert domains.creating() == frozenset()
            assert domains.owned() == {domain}
        clock.advance(days=13, hours=23)
        assert check(app, acme, domain) == WARNING
        clock.advance(hours=2)
        assert check(app, acme, domain) == LAPSED
        with inside(app, acme):
            assert domains.owned() == frozenset()

    @pytest.mark.parametrize("lapsed", [False, True])
    def test_a_record_that_is_back_proves_again(
        self, app: Flask, acme: Workspace, domain: str, name_server: NameServer, clock: Clock, lapsed: bool
    ) -> None:
        record = prove(app, acme, domain, name_server)
        name_server.publish(record.name)
        assert check(app, acme, domain) == WARNING
        clock.advance(days=15 if lapsed else 5)
        assert check(app, acme, domain) == (LAPSED if lapsed else WARNING)
        name_server.publish(record.name, record.value)
        assert check(app, acme, domain) == PROVED
        clock.advance(days=10)  # the two weeks begin anew
        name_server.forget(record.name)
        assert check(app, acme, domain) == WARNING
        assert check(app, acme, domain) == WARNING

    @pytest.mark.parametrize("how", ["SERVFAIL", "REFUSED", "FORMERR", "silence"])
    def test_name_servers_that_do_not_answer_change_nothing_for_two_weeks(
        self,
        app: Flask,
        acme: Workspace,
        domain: str,
        name_server: NameServer,
        clock: Clock,
        impatient: float,
        how: str,
    ) -> None:
        record = prove(app, acme, domain, name_server)
        if how == "silence":
            name_server.silence(record.name)
        else:
            name_server.fail(record.name, how)
        for days, state in ((13, PROVED), (2, WARNING), (12, WARNING), (2, LAPSED)):
            clock.advance(days=days)
            assert check(app, acme, domain) == state

    def test_a_slow_answer_is_none(
        self,
        app: Flask,
        acme: Workspace,
        domain: str,
        name_server: NameServer,
        impatient: float,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        record = add(app, acme, domain)
        name_server.publish(record.name, record.value, "x" * 2000)
        monkeypatch.setattr(name_server, "pause", 0.05)
        began = time.monotonic()
        assert check(app, acme, domain) == PENDING
        assert time.monotonic() - began < impatient + 1

    @pytest.mark.slow
    def test_a_lookup_takes_five_seconds_at_most(self, name_server: NameServer) -> None:
        record = Record("_tenantry.silent.example", "x")
        name_server.silence(record.name)
        began = time.monotonic()
        assert look_up([record], [socket_address(name_server.address)]) == [Finding.UNANSWERED]
        assert time.monotonic() - began < 5.1

    def test_another_name_server_is_asked_when_one_does_not_work(self, name_server: NameServer) -> None:
        record = Record("_tenantry.second.example", "x")
        name_server.publish(record.name, record.value)
        with NameServer() as broken:
            broken.fail(record.name)
            servers = [socket_address(server.address) for server in (broken, name_server)]
            assert look_up([record], servers) == [Finding.FOUND]
            assert broken.asked == [record.name]

    def test_a_machine_without_name_servers_learns_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_arguments: object, **_options: object) -> None:
            raise dns.resolver.NoResolverConfiguration

        monkeypatch.setattr(dns.resolver.Resolver, "read_resolv_conf", fail)
        assert look_up([Record("_tenantry.acme.example", "x")], []) == [Finding.UNANSWERED]

    def test_no_connection_is_held_while_the_dns_takes_its_time(
        self, app: Flask, acme: Workspace, domain: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add(app, acme, domain)
        held: list[int] = []

        def count(records: list[Record], _servers: object) -> list[Finding]:
            held.append(app.extensions["tenants"].engines.shared.pool.checkedout())
            return [Finding.FOUND for _ in records]

        monkeypatch.setattr(domains, "look_up", count)
        assert check(app, acme, domain) == PROVED
        assert held == [0]

    @pytest.mark.parametrize("how", ["removed", "vouched"])
    def test_what_happens_to_a_domain_meanwhile_stays(
        self, app: Flask, acme: Workspace, domain: str, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        add(app, acme, domain)

        def meddle(records: list[Record], _servers: object) -> list[Finding]:
            if how == "vouched":
                add(app, acme, domain, vouched=True)
            else:
                with inside(app, acme):
                    domains.remove_domain(domains.get_domain(domain), None)
            return [Finding.ABSENT for _ in records]

        monkeypatch.setattr(domains, "look_up", meddle)
        if how == "vouched":
            assert check(app, acme, domain) == PROVED
        else:
            with pytest.raises(UnknownDomain):
                check(app, acme, domain)


class TestOwner:
    """A domain has one owner among all workspaces."""

    def test_of_two_workspaces_that_prove_it_at_once_one_gets_it(
        self, app: Flask, acme: Workspace, globex: Workspace, domain: str, name_server: NameServer
    ) -> None:
        records = [add(app, workspace, domain) for workspace in (acme, globex)]
        name_server.publish(records[0].name, *(record.value for record in records))

        def attempt(workspace: Workspace) -> Callable[[], str]:
            def work() -> str:
                try:
                    return check(app, workspace, domain)
                except DomainTaken:
                    return "taken"

            return work

        assert sorted(at_once([attempt(acme), attempt(globex)])) == [PROVED, "taken"]
        assert sorted(state_of(app, workspace, domain) for workspace in (acme, globex)) == [PENDING, PROVED]

    def test_workspaces_that_prove_many_at_once_do_not_wait_in_a_ring(
        self, app: Flask, acme: Workspace, globex: Workspace, domain: str, name_server: NameServer
    ) -> None:
        names = [f"{letter}.{domain}" for letter in "abcdef"]
        for order, workspace in ((names, acme), (names[::-1], globex)):
            for name in order:
                add(app, workspace, name)
        for name in names:
            values = []
            for workspace in (acme, globex):
                with inside(app, workspace):
                    values.append(record_of(domains.get_domain(name)).value)
            name_server.publish(f"_tenantry.{name}", *values)
        at_once([lambda: recheck(app, acme), lambda: recheck(app, globex)])
        for name in names:
            assert sorted(state_of(app, workspace, name) for workspace in (acme, globex)) == [PENDING, PROVED]

    @pytest.mark.parametrize("held", ["proved", "warning", "vouched"])
    def test_who_has_it_keeps_it_and_is_not_named(
        self, app: Flask, acme: Workspace, globex: Workspace, domain: str, name_server: NameServer, held: str
    ) -> None:
        if held == "vouched":
            add(app, acme, domain, vouched=True)
        else:
            record = prove(app, acme, domain, name_server)
        if held == "warning":
            name_server.forget(record.name)
            check(app, acme, domain)
        theirs = add(app, globex, domain)
        name_server.publish(theirs.name, theirs.value)
        with pytest.raises(DomainTaken) as refused:
            check(app, globex, domain)
        assert acme.slug not in str(refused.value).lower()
        assert refused.value.__cause__ is None
        assert state_of(app, globex, domain) == PENDING
        with inside(app, globex):
            assert domains.owned() == frozenset()
            with pytest.raises(DomainTaken):
                domains.add_domain(domain, actor=None, vouched=True)
            assert not domains.get_domain(domain).vouched

    def test_nothing_stays_of_a_vouched_domain_that_is_taken(
        self, app: Flask, acme: Workspace, globex: Workspace, domain: str
    ) -> None:
        add(app, acme, domain, vouched=True)
        with inside(app, globex):
            with suppress(DomainTaken):
                domains.add_domain(domain, actor=None, vouched=True)
            assert domains.list_domains() == []
        with inside(app, globex) as session:
            assert session.scalar(select(AuditEvent.id).where(AuditEvent.kind.startswith("domain"))) is None

    def test_a_lapsed_domain_can_be_taken_over_and_does_not_come_back(
        self, app: Flask, acme: Workspace, globex: Workspace, domain: str, name_server: NameServer, clock: Clock
    ) -> None:
        record = prove(app, acme, domain, name_server)
        theirs = add(app, globex, domain)
        name_server.publish(record.name, theirs.value)
        assert check(app, acme, domain) == WARNING
        clock.advance(days=15)
        assert check(app, acme, domain) == LAPSED
        assert check(app, globex, domain) == PROVED
        name_server.publish(record.name, theirs.value, record.value)
        with pytest.raises(DomainTaken):
            check(app, acme, domain)
        assert recheck(app, acme, force=True) == {domain: (LAPSED, LAPSED)}
        assert check(app, globex, domain) == PROVED

    def test_a_removed_domain_is_free_at_once(
        self, app: Flask, acme: Workspace, globex: Workspace, domain: str, name_server: NameServer
    ) -> None:
        prove(app, acme, domain, name_server)
        with inside(app, acme):
            domains.remove_domain(domains.get_domain(domain), None)
        prove(app, globex, domain, name_server)
        with inside(app, globex):
            assert domains.get_domain(domain).state == PROVED

    def test_a_workspace_sees_its_own_domains_only(
        self, app: Flask, acme: Workspace, globex: Workspace, domain: str, name_server: NameServer
    ) -> None:
        prove(app, acme, domain, name_server)
        with inside(app, globex):
            assert domains.list_domains() == []
            assert domains.owned() == domains.creating() == frozenset()
            with pytest.raises(UnknownDomain):
                domains.get_domain(domain)
        assert recheck(app, globex, force=True) == {}


class TestRecheck:
    """All domains of a workspace, again and again."""

    def test_what_was_looked_up_within_the_hour_is_left_alone(
        self, app: Flask, acme: Workspace, domain: str, name_server: NameServer, clock: Clock
    ) -> None:
        prove(app, acme, domain, name_server)
        add(app, acme, f"new.{domain}")
        assert recheck(app, acme) == {f"new.{domain}": (PENDING, PENDING)}
        assert recheck(app, acme) == {}
        assert recheck(app, acme, force=True).keys() == {domain, f"new.{domain}"}
        clock.advance(minutes=61)
        assert recheck(app, acme).keys() == {domain, f"new.{domain}"}

    def test_domains_are_looked_up_at_the_same_time(
        self, app: Flask, acme: Workspace, domain: str, name_server: NameServer, impatient: float
    ) -> None:
        for number in range(8):
            name_server.silence(add(app, acme, f"{number}.{domain}").name)
        began = time.monotonic()
        assert set(recheck(app, acme).values()) == {(PENDING, PENDING)}
        assert time.monotonic() - began < 4 * impatient

    def test_progress_is_told_of_each(self, app: Flask, acme: Workspace, domain: str) -> None:
        for letter in "cab":
            add(app, acme, f"{letter}.{domain}")
        told: list[Checked] = []
        with inside(app, acme):
            assert domains.check_all(told.append) == told
        assert [one.row.domain for one in told] == [f"{letter}.{domain}" for letter in "abc"]
        assert {one.finding for one in told} == {Finding.ABSENT}

    def test_one_that_another_workspace_has_does_not_stop_the_others(
        self, app: Flask, acme: Workspace, globex: Workspace, domain: str, name_server: NameServer
    ) -> None:
        prove(app, acme, f"a.{domain}", name_server)
        for name in (f"a.{domain}", f"b.{domain}"):
            record = add(app, globex, name)
            name_server.publish(record.name, record.value)
        assert recheck(app, globex) == {f"a.{domain}": (PENDING, PENDING), f"b.{domain}": (PENDING, PROVED)}
        assert recheck(app, globex) == {}  # that one was looked up, too

    def test_owners_are_mailed_what_got_worse_and_what_to_do(
        self, app: Flask, acme: Workspace, domain: str, name_server: NameServer, clock: Clock
    ) -> None:
        records = [prove(app, acme, f"{letter}.{domain}", name_server) for letter in "ab"]
        closed, second = add_person(app, acme, role="owner"), add_person(app, acme, role="owner")
        change(app, acme, closed, active=False)
        for record in records:
            name_server.forget(record.name)
        recheck(app, acme, force=True)
        for person in (acme.people["owner"], second):
            (message,) = mail_to(app, person.email)[-1:]
            html = message.alternatives[0][0]
            for text in (message.body, html):
                assert "first sign-in" in text
                assert all(part in text for record in records for part in (record.name, record.value))
        for person in (closed, acme.people["admin"], acme.people["member"]):
            assert mail_to(app, person.email) == []

        before = len(mail_to(app, second.email))
        recheck(app, acme, force=True)  # no worse than before
        assert len(mail_to(app, second.email)) == before
        clock.advance(days=15)
        recheck(app, acme)
        assert len(mail_to(app, second.email)) == before + 1
        assert "no longer" in mail_to(app, second.email)[-1].body
        name_server.publish(records[0].name, records[0].value)
        recheck(app, acme, force=True)
        assert len(mail_to(app, second.email)) == before + 1

    def test_each_owner_is_written_to_in_their_language(
        self, app: Flask, acme: Workspace, domain: str, name_server: NameServer
    ) -> None:
        second = add_person(app, acme, role="owner")
        change(app, acme, second, locale="es")
        name_server.forget(prove(app, acme, domain, name_server).name)
        recheck(app, acme, force=True)
        (message,) = mail_to(app, second.email)
        assert message.body.startswith("Hola,")
        assert '<html lang="es">' in message.alternatives[0][0]
        assert mail_to(app, acme.people["owner"].email)[-1].body.startswith("Hello ")

    def test_a_check_by_hand_tells_the_owners_too(
        self, app: Flask, acme: Workspace, domain: str, name_server: NameServer
    ) -> None:
        name_server.forget(prove(app, acme, domain, name_server).name)
        assert check(app, acme, domain) == WARNING
        assert domain in mail_to(app, acme.people["owner"].email)[-1].body

    def test_every_change_is_noted_as_an_event(
        self, app: Flask, acme: Workspace, domain: str, name_server: NameServer, clock: Clock
    ) -> None:
        record = prove(app, acme, domain, name_server)
        name_server.forget(record.name)
        check(app, acme, domain)
        clock.advance(days=15)
        check(app, acme, domain)
        check(app, acme, domain)
        with inside(app, acme) as session:
            domains.remove_domain(domains.get_domain(domain), None)
            events = session.execute(
                select(AuditEvent.kind, AuditEvent.target)
                .where(AuditEvent.target_kind == "domain")
                .order_by(AuditEvent.id)
            ).all()
        kinds = ["domain added", "domain proved", "domain warning", "domain lapsed", "domain removed"]
        assert [tuple(event) for event in events] == [(kind, domain) for kind in kinds]

    def test_every_change_works_the_enforcement_out_anew(
        self,
        app: Flask,
        acme: Workspace,
        domain: str,
        name_server: NameServer,
        clock: Clock,
        published: list[frozenset[str]],
    ) -> None:
        record = prove(app, acme, domain, name_server)
        assert published == [frozenset(), {domain}]
        check(app, acme, domain)
        assert len(published) == 2  # nothing has changed
        name_server.forget(record.name)
        check(app, acme, domain)
        clock.advance(days=15)
        check(app, acme, domain)
        assert published[2:] == [{domain}, frozenset()]
        with inside(app, acme):
            domains.remove_domain(domains.get_domain(domain), None)
        assert published[4:] == [frozenset()]


class TestEnforcement:
    """What hangs on a domain: whether its people sign in through one source only."""

    def enforce(self, app: Flask, workspace: Workspace, domain: str) -> str:
        """Have a source enforced for that domain; gives back its id."""
        with inside(app, workspace) as session:
            source = ProviderConfig(name="office", label="Office", kind="oidc", domains=[domain], enforced_at=now())
            session.add(source)
            session.flush()
            return str(source.id)

    def required(self, app: Flask, workspace: Workspace, email: str) -> str | None:
        with inside(app, workspace):
            return enforcement.required_source(email)

    @pytest.mark.parametrize("letters", ["", "bücher.", "straße."], ids=["ASCII", "international", "sharp s"])
    def test_it_begins_with_the_proof_and_ends_with_the_lapse(
        self, app: Flask, acme: Workspace, domain: str, name_server: NameServer, clock: Clock, letters: str
    ) -> None:
        source, email = self.enforce(app, acme, check_name(letters + domain)), f"jo@{letters}{domain}"
        add(app, acme, letters + domain)
        assert self.required(app, acme, email) is None
        with inside(app, acme):
            record = record_of(domains.get_domain(letters + domain))
        name_server.publish(record.name, record.value)
        assert check(app, acme, letters + domain) == PROVED
        assert self.required(app, acme, email) == source
        name_server.forget(record.name)
        assert check(app, acme, letters + domain) == WARNING
        assert self.required(app, acme, email) == source
        clock.advance(days=15)
        assert check(app, acme, letters + domain) == LAPSED
        assert self.required(app, acme, email) is None

    def test_a_removal_ends_it(self, app: Flask, acme: Workspace, domain: str) -> None:
        source = self.enforce(app, acme, domain)
        add(app, acme, domain, vouched=True)
        assert self.required(app, acme, f"jo@{domain}") == source
        with inside(app, acme):
            domains.remove_domain(domains.get_domain(domain), None)
        assert self.required(app, acme, f"jo@{domain}") is None


class TestGuards:
    """Who may say which domains are the workspace's."""

    @contextmanager
    def acting(self, app: Flask, workspace: Workspace, role: str) -> Iterator[Identity]:
        with inside(app, workspace):
            person = workspace.people[role]
            yield Identity(person.id, snapshot_of(person.id))

    @pytest.mark.parametrize("role", ["member", "viewer"])
    def test_adding_and_removing_needs_the_permission(
        self, app: Flask, acme: Workspace, domain: str, role: str
    ) -> None:
        add(app, acme, domain)
        with self.acting(app, acme, role) as by:
            with pytest.raises(NotAllowed):
                domains.add_domain(f"new.{domain}", actor=by)
            with pytest.raises(NotAllowed):
                domains.remove_domain(domains.get_domain(domain), by)
            assert [row.domain for row in domains.list_domains()] == [domain]

    @pytest.mark.parametrize("role", ["owner", "admin"])
    def test_administrators_may(self, app: Flask, acme: Workspace, domain: str, role: str) -> None:
        with self.acting(app, acme, role) as by:
            domains.remove_domain(domains.add_domain(domain, actor=by), by)
            assert domains.list_domains() == []
            noted = g.db.scalars(select(AuditEvent.actor_id).where(AuditEvent.target_kind == "domain")).all()
            assert noted == [by.user_id, by.user_id]

    @pytest.mark.parametrize("role", ["owner", "admin", "member"])
    def test_nobody_of_a_workspace_vouches(self, app: Flask, acme: Workspace, domain: str, role: str) -> None:
        with self.acting(app, acme, role) as by:
            with pytest.raises(NotAllowed):
                domains.add_domain(domain, actor=by, vouched=True)
            assert domains.list_domains() == []

    def test_a_custom_role_with_the_permission_is_enough(self, app: Flask, acme: Workspace, domain: str) -> None:
        with inside(app, acme):
            roles.create_role("domains", ["provider:manage"], actor=None)
            user = users.create_user(f"domains@{acme.slug}.example")
            roles.grant_role(user, "domains", actor=None)
            g.db.flush()
            by = Identity(user.id, snapshot_of(user.id))
            assert domains.add_domain(domain, actor=by).state == PENDING
