"""A configuration is rehearsed step by step, and each usual mistake is named."""

import socket
import ssl
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_babel import Babel
from pydantic import ValidationError

from auth.breakers import State, breakers
from auth.providers.ldap import LdapProvider
from auth.providers.ldap.conversation import Access
from auth.providers.ldap.faults import Fault
from auth.providers.ldap.rehearsal import Rehearsal, rehearse
from tests.auth.providers.ldap.active_directory import ActiveDirectory, elements
from tests.auth.providers.ldap.asking import (
    SLACK,
    a_server,
    connected_to,
    in_time,
    provider_for,
    quick,
    unanswered,
    unique,
)
from tests.servers import hostile_ldap, openldap
from tests.servers.openldap import PASSWORD, OpenLdapServer


@pytest.fixture
def alice(directory: OpenLdapServer) -> str:
    """Somebody in a group that is in another group."""
    uid = unique("alice")
    dn = directory.add_person(uid, name="Alice Adams")
    inner = directory.add_group(unique("web team"), [dn])
    directory.add_group(unique("engineering"), [inner])
    return uid


def names(rehearsal: Rehearsal) -> list[str]:
    return [step.name.partition(" ")[0] for step in rehearsal.steps]


def detail_of(rehearsal: Rehearsal, name: str) -> str:
    [step] = [step for step in rehearsal.steps if step.name == name]
    return step.detail


def faults(rehearsal: Rehearsal) -> list[Fault | None]:
    return [step.fault for step in rehearsal.steps if not step.ok]


class TestSuccess:
    def test_every_step_is_shown_with_its_time(self, directory: OpenLdapServer, alice: str) -> None:
        found = rehearse(connected_to(directory), alice)
        assert found.ok
        assert names(found) == ["connect", "tls", "bind", "base", "user", "attributes", "groups"]
        assert all(step.milliseconds >= 0 for step in found.steps)

    def test_what_is_found_of_the_person_is_shown(self, directory: OpenLdapServer, alice: str) -> None:
        found = rehearse(connected_to(directory), alice)
        assert found.identity is not None
        assert (found.identity.login, found.identity.email) == (alice, f"{alice}@acme.example")
        assert found.attributes["cn"] == ["Alice Adams"]
        assert len(found.groups) == 2

    def test_the_persons_password_is_tried_if_it_is_given(self, directory: OpenLdapServer, alice: str) -> None:
        found = rehearse(connected_to(directory), alice, PASSWORD)
        assert found.ok
        assert found.steps[-1].name == "sign-in"
        wrong = rehearse(connected_to(directory), alice, "wrong")
        assert faults(wrong) == [Fault.PERSON_REFUSED]

    def test_it_tells_what_a_sign_in_does_not(self, directory: OpenLdapServer, alice: str) -> None:
        directory.disable(f"uid={alice},{directory.people}")
        found = rehearse(connected_to(directory), alice, PASSWORD)
        assert found.steps[-1].detail == "locked"
        assert "disabled there" in next(step.detail for step in found.steps if step.name == "attributes")

    def test_a_template_without_service_account_takes_the_persons_password(
        self, directory: OpenLdapServer, alice: str
    ) -> None:
        settings = {"bind_dn": "", "secret": None, "user_dn_template": f"uid={{login}},{directory.people}"}
        provider = connected_to(directory, **settings, group_strategy="none")
        assert faults(rehearse(provider, alice)) == [Fault.BIND_NEEDED]
        assert rehearse(provider, alice, PASSWORD).ok

    def test_so_does_one_beside_it(self, directory: OpenLdapServer, alice: str) -> None:
        assert rehearse(
            connected_to(directory, user_dn_template=f"uid={{login}},{directory.people}"), alice, PASSWORD
        ).ok
        wrong = connected_to(directory, user_dn_template=f"cn={{login}},{directory.people}")
        assert faults(rehearse(wrong, alice, PASSWORD)) == [Fault.PERSON_REFUSED]

    def test_the_password_is_tried_where_anybody_may_read(self, alice: str) -> None:
        with a_server(anonymous=True) as public:
            public.add_person(alice)
            provider = connected_to(public, bind_dn="", secret=None)
            assert names(rehearse(provider, alice)) == [
                "connect", "tls", "bind", "base", "user", "attributes", "groups",
            ]  # fmt: skip
            assert rehearse(provider, alice, PASSWORD).ok
            assert faults(rehearse(provider, alice, "wrong")) == [Fault.PERSON_REFUSED]

    @pytest.mark.parametrize("insecure", [False, True])
    def test_it_says_whether_anybody_could_listen(self, directory: OpenLdapServer, alice: str, insecure: bool) -> None:
        found = rehearse(connected_to(directory, servers=[directory.url], insecure=insecure), alice, PASSWORD)
        assert found.ok
        assert detail_of(found, "tls").startswith("none" if insecure else "verified")

    def test_it_asks_although_the_breaker_is_open(self, directory: OpenLdapServer, alice: str) -> None:
        provider = connected_to(directory)
        directory.stop()
        try:
            told = [unanswered(provider) for _ in range(3)]
        finally:
            directory.start()
        assert told == [Fault.REFUSED, Fault.REFUSED, Fault.PAUSED]
        assert rehearse(provider, alice).ok
        assert breakers.of((provider.id, provider.access.configuration)).state is State.OPEN

    def test_spaces_around_the_name_do_not_matter(self, directory: OpenLdapServer, alice: str) -> None:
        assert rehearse(connected_to(directory), f" {alice} ").ok

    def test_the_next_server_is_tried_when_one_fails(self, directory: OpenLdapServer, alice: str) -> None:
        with hostile_ldap.Refusing() as dead:
            url = dead.url.replace("ldap://", "ldaps://")
            found = rehearse(connected_to(directory, servers=[url, directory.tls_url]), alice)
        assert faults(found) == [Fault.REFUSED]
        assert found.identity is not None

    def test_nothing_is_written(self, directory: OpenLdapServer, alice: str) -> None:
        dn = f"uid={alice},{directory.people}"
        before = directory.get(dn)
        rehearse(connected_to(directory), alice, PASSWORD)
        assert directory.get(dn) == before

    def test_no_password_is_shown(
        self, directory: OpenLdapServer, alice: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(0)
        told = repr(rehearse(connected_to(directory), alice, PASSWORD)) + caplog.text
        assert PASSWORD not in told
        assert directory.service_password not in told


class Domain(ActiveDirectory):
    """Says of itself what it is, as each server of a domain does."""

    def _search(self, request: hostile_ldap.Request, parts: Sequence[tuple[int, bytes]]) -> Iterator[bytes]:
        if parts[0][1]:
            yield from super()._search(request, parts)
            return
        root = hostile_ldap.entry("", supportedCapabilities="1.2.840.113556.1.4.800")
        yield hostile_ldap.message(request.number, root)
        yield request.answer()


class TestActiveDirectory:
    GUID = uuid.UUID("b1b2b3b4-c1c2-d1d2-e1e2-e3e4e5e6e7e8")

    @pytest.fixture
    def domain(self) -> Iterator[ActiveDirectory]:
        with Domain() as domain:
            domain.add("dc=acme,dc=example")
            alice = domain.add(
                "cn=Alice,dc=acme,dc=example",
                objectGUID=self.GUID.bytes_le,
                sAMAccountName="alice",
                displayName=b"\xff\xfe",
                mail="alice@acme.example",
            )
            inner = domain.add("cn=Web,dc=acme,dc=example", member=alice)
            domain.add("cn=Engineering,dc=acme,dc=example", member=inner)
            domain.passwords = {"service@acme.example": "secret", alice: PASSWORD}
            yield domain

    def provider(self, domain: ActiveDirectory, **settings: Any) -> LdapProvider:
        given = {"preset": "active-directory", "bind_dn": "service@acme.example", "secret": "secret", "timeout": 5.0}
        return quick(domain, **given | settings)

    def test_every_step_goes_well(self, domain: ActiveDirectory) -> None:
        found = rehearse(self.provider(domain), "alice", PASSWORD)
        assert found.ok
        assert found.identity is not None
        assert found.identity.subject == str(self.GUID)
        assert found.groups == ("cn=engineering,dc=acme,dc=example", "cn=web,dc=acme,dc=example")

    def test_what_is_no_text_is_shown_all_the_same(self, domain: ActiveDirectory) -> None:
        found = rehearse(self.provider(domain), "alice")
        assert (found.attributes["objectguid"], found.attributes["displayname"]) == ([str(self.GUID)], ["fffe"])

    def test_groups_within_groups_are_told_of_when_they_do_not_count(self, domain: ActiveDirectory) -> None:
        found = rehearse(self.provider(domain, nested_groups=False), "alice")
        assert faults(found) == [Fault.NESTED_GROUPS]
        assert detail_of(found, "groups") == "cn=engineering,dc=acme,dc=example"

    def test_an_account_that_does_not_exist_is_told_from_a_wrong_password(self, domain: ActiveDirectory) -> None:
        wrong = rehearse(self.provider(domain, secret="wrong"), "alice")
        domain.refusals["service@acme.example"] = "525"
        missing = rehearse(self.provider(domain), "alice")
        assert faults(wrong) == faults(missing) == [Fault.BIND_REFUSED]
        told = [detail_of(found, "bind").startswith("there is no such account") for found in (wrong, missing)]
        assert told == [False, True]

    @pytest.mark.parametrize(("data", "told"), [("525", "unknown"), ("775", "locked"), ("533", "disabled")])
    def test_why_a_person_does_not_get_in_is_told(self, domain: ActiveDirectory, data: str, told: str) -> None:
        domain.refusals["cn=Alice,dc=acme,dc=example"] = data
        found = rehearse(self.provider(domain), "alice", PASSWORD)
        assert faults(found) == [Fault.PERSON_REFUSED]
        assert detail_of(found, "sign-in") == told

    def test_a_user_name_of_another_domain_is_nobodys(self, domain: ActiveDirectory) -> None:
        provider = self.provider(domain, bind_dn="", secret=None, user_dn_template="{login}@acme.example")
        assert faults(rehearse(provider, "alice@globex.example", PASSWORD)) == [Fault.FINDS_NONE]
        assert not domain.binds

    def test_nothing_but_questions_is_sent(self, domain: ActiveDirectory) -> None:
        rehearse(self.provider(domain), "alice", PASSWORD)
        sent = [list(elements(content))[1][0] for _tag, content in elements(domain.received)]
        assert set(sent) == {hostile_ldap.BIND_REQUEST, hostile_ldap.SEARCH_REQUEST}


Case = tuple[Fault, Callable[[OpenLdapServer], LdapProvider]]


def changed(**settings: Any) -> Callable[[OpenLdapServer], LdapProvider]:
    return lambda server: connected_to(server, **settings)


def computed(make: Callable[[OpenLdapServer], dict[str, Any]]) -> Callable[[OpenLdapServer], LdapProvider]:
    return lambda server: connected_to(server, **make(server))


MISTAKES: dict[str, Case] = {
    "wrong host": (Fault.UNKNOWN_HOST, changed(servers=["ldaps://no-such-host.invalid"])),
    "wrong port": (Fault.REFUSED, changed(servers=["ldaps://localhost:1"])),
    "ldaps on the plain port": (
        Fault.NO_TLS,
        computed(lambda server: {"servers": [server.url.replace("ldap://", "ldaps://")]}),
    ),
    "plain on the port for ldaps": (
        Fault.CLOSED,
        computed(lambda server: {"servers": [server.tls_url.replace("ldaps://", "ldap://")], "insecure": True}),
    ),
    "unknown authority": (Fault.UNTRUSTED_CERTIFICATE, changed(ca_bundle=None)),
    "name mismatch": (
        Fault.WRONG_NAME,
        computed(lambda server: {"servers": [f"ldaps://127.0.0.1:{server.tls_port}"]}),
    ),
    "bind DN that is none": (Fault.BIND_DN_SYNTAX, changed(bind_dn="ACME\\service")),
    "unknown bind DN": (Fault.BIND_REFUSED, changed(bind_dn="cn=nobody,dc=acme,dc=example")),
    "wrong service password": (Fault.BIND_REFUSED, changed(secret="wrong")),
    "no service password": (Fault.BIND_PASSWORD_MISSING, changed(secret=None)),
    "no service account": (Fault.BIND_NEEDED, changed(bind_dn="", secret=None)),
    "wrong base": (Fault.NO_BASE, changed(base_dn="ou=nowhere,dc=acme,dc=example")),
    "filter that finds nobody": (Fault.FINDS_NONE, changed(user_filter="(objectClass=device)")),
    "wrong login attributes": (Fault.FINDS_NONE, changed(login_attributes=["employeeNumber"])),
    "login attribute that many share": (Fault.FINDS_MANY, changed(login_attributes=["objectClass"])),
    "no e-mail address": (Fault.NO_EMAIL, changed(email_attributes=["employeeType"])),
    "no attribute that never changes": (Fault.NO_SUBJECT, changed(subject_attribute="objectGUID")),
    "wrong group base": (Fault.NO_GROUP_BASE, changed(group_base="ou=nowhere,dc=acme,dc=example")),
    "nesting off": (Fault.NESTED_GROUPS, changed(nested_groups=False)),
    "nesting off by memberOf": (
        Fault.NESTED_GROUPS,
        changed(nested_groups=False, group_strategy="member-of"),
    ),
    "nesting of Active Directory": (Fault.NESTING_UNKNOWN, changed(group_strategy="ad-nested")),
    "token groups elsewhere": (Fault.NESTING_UNKNOWN, changed(group_strategy="token-groups")),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named(directory: OpenLdapServer, alice: str, mistake: str) -> None:
    fault, make = MISTAKES[mistake]
    login = "inetOrgPerson" if fault is Fault.FINDS_MANY else alice
    if fault is Fault.FINDS_MANY:
        directory.add_person(unique("another"))
    assert faults(rehearse(make(directory), login)) == [fault]


@pytest.mark.parametrize(
    ("name", "value"),
    [("base_dn", "acme.example"), ("bind_dn", "service"), ("user_filter", "(uid=*"), ("group_filter", "cn=*")],
)
def test_what_is_not_well_formed_is_refused_before(directory: OpenLdapServer, name: str, value: str) -> None:
    with pytest.raises(ValidationError) as caught:
        connected_to(directory, **{name: value})
    assert [fault["loc"] for fault in caught.value.errors()] == [(name,)]


@pytest.mark.parametrize("login", ["", "\ud800", "a\0b", "x" * 1000])
@pytest.mark.parametrize("template", ["", "uid={login},ou=people,dc=acme,dc=example"])
def test_what_is_no_user_name_is_nobodys(directory: OpenLdapServer, login: str, template: str) -> None:
    alone = {"user_dn_template": template, "bind_dn": "", "secret": None} if template else {}
    assert faults(rehearse(connected_to(directory, **alone), login, PASSWORD)) == [Fault.FINDS_NONE]


def test_groups_that_the_person_is_in_anyway_are_not_suspicious(directory: OpenLdapServer) -> None:
    uid = unique("alice")
    dn = directory.add_person(uid)
    inner = directory.add_group(unique("inner"), [dn])
    directory.add_group(unique("outer"), [inner, dn])
    assert rehearse(connected_to(directory, nested_groups=False), uid).ok


def test_nothing_follows_a_failed_step(directory: OpenLdapServer, alice: str) -> None:
    found = rehearse(connected_to(directory, secret="wrong"), alice)
    assert names(found) == ["connect", "tls", "bind"]
    assert found.identity is None


def test_a_suspicion_stops_nothing(directory: OpenLdapServer, alice: str) -> None:
    found = rehearse(connected_to(directory, nested_groups=False), alice, PASSWORD)
    assert found.steps[-1].name == "sign-in"
    assert found.identity is not None


def test_a_port_that_speaks_something_else_is_named() -> None:
    with hostile_ldap.Garbage() as web:
        provider = provider_for([web.url], insecure=True, timeout=1.0)
        assert faults(rehearse(provider, "alice")) == [Fault.NOT_LDAP]


def test_a_server_without_starttls_is_named() -> None:
    with hostile_ldap.RefusingStartTls() as plain:
        provider = provider_for([plain.url], timeout=1.0, bind_dn="cn=service,dc=x", secret="very secret")
        assert faults(rehearse(provider, "alice")) == [Fault.STARTTLS_REFUSED]
        assert b"very secret" not in plain.received


class Demanding(hostile_ldap.Hostile):
    """Takes no password without TLS."""

    def answers(self, request: hostile_ldap.Request) -> Iterable[bytes]:
        return [request.answer(13, "TLS confidentiality required")]


class Repeating(hostile_ldap.Hostile):
    """Refuses everybody, and repeats what they said."""

    def answers(self, request: hostile_ldap.Request) -> Iterable[bytes]:
        return [request.answer(49, request.data.decode("latin-1") * 1000)]


def test_a_server_that_wants_tls_is_named() -> None:
    with Demanding() as demanding:
        assert faults(rehearse(quick(demanding, bind_dn="cn=x", secret="x", timeout=1.0), "alice")) == [Fault.WANTS_TLS]


def test_a_server_that_repeats_a_password_is_not_repeated() -> None:
    with Repeating() as repeating:
        found = rehearse(quick(repeating, bind_dn="cn=x", secret="very secret", timeout=5.0), "alice")
        assert b"very secret" in repeating.received
    assert faults(found) == [Fault.BIND_REFUSED]
    assert "very secret" not in repr(found)
    assert len(detail_of(found, "bind")) < 1000


def test_starttls_that_is_stripped_is_named() -> None:
    with hostile_ldap.StrippingStartTls() as stripping:
        provider = provider_for([stripping.url], timeout=1.0, bind_dn="cn=service,dc=x", secret="very secret")
        assert faults(rehearse(provider, "alice")) == [Fault.STARTTLS_REFUSED]
        assert b"very secret" not in stripping.received


def test_a_server_that_does_not_answer_is_named_in_time() -> None:
    with hostile_ldap.Silent() as silent, in_time(0.6):
        provider = provider_for([silent.url], insecure=True, timeout=0.6, bind_dn="cn=x", secret="x")
        assert faults(rehearse(provider, "alice")) == [Fault.TIMEOUT]


def test_a_server_that_drips_is_named_in_time() -> None:
    with hostile_ldap.Dripping(interval=0.1) as dripping, in_time(0.6 + SLACK):
        provider = provider_for([dripping.url], insecure=True, timeout=0.6, bind_dn="cn=x", secret="x")
        assert faults(rehearse(provider, "alice")) == [Fault.TIMEOUT]


def test_an_internal_address_that_is_not_allowed_is_named(directory: OpenLdapServer) -> None:
    provider = connected_to(directory)
    closed = LdapProvider(provider.id, Access(provider.access.configuration, provider.access.secret, ()))
    assert faults(rehearse(closed, "alice")) == [Fault.FORBIDDEN_ADDRESS]


def test_a_directory_without_member_of_is_named(directory: OpenLdapServer) -> None:
    uid = unique("alice")
    directory.add_group(unique("team"), [directory.add_person(uid)], kind="groupOfUniqueNames")
    assert faults(rehearse(connected_to(directory, group_strategy="member-of"), uid)) == [Fault.NO_MEMBER_OF]


def test_a_server_that_limits_its_lists_still_shows_one_person(alice: str) -> None:
    with a_server(size_limit=1) as small:
        small.add_person(alice)
        assert rehearse(connected_to(small, group_strategy="none"), alice).identity is not None


def test_an_expired_certificate_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=800)

    class LongAgo(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return long_ago

    monkeypatch.setattr(openldap, "datetime", LongAgo)
    authority, certificate = openldap.make_certificates(("localhost",), plain_ca=False)
    path = tmp_path / "server.pem"
    path.write_text(certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _address = listener.accept()
            try:
                context.wrap_socket(peer, server_side=True).close()
            except (ssl.SSLError, OSError):
                peer.close()

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"ldaps://localhost:{listener.getsockname()[1]}"
        found = rehearse(provider_for([url], ca_bundle=authority, timeout=2.0), "alice")
        thread.join()
    assert faults(found) == [Fault.INVALID_CERTIFICATE]


def test_every_fault_has_its_words() -> None:
    app = Flask("tests")
    Babel(app)
    with app.test_request_context():
        told = {str(fault.explanation) for fault in Fault}
    assert len(told) == len(Fault)
    assert all(len(words.split()) > 4 for words in told)
