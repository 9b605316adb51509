"""A directory that is down, hostile or elsewhere costs little time, and no password."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from auth.errors import WrongCredentials
from auth.providers.ldap import LdapProvider
from auth.providers.ldap.faults import DirectoryFault, Fault
from auth.providers.ldap.provider import Unanswered
from tests.auth.providers.ldap.asking import (
    TIMEOUT,
    a_server,
    connected_to,
    in_time,
    provider_for,
    quick,
    sign_in,
    unanswered,
    unique,
)
from tests.servers import hostile_ldap
from tests.servers.hostile_ldap import Hostile
from tests.servers.openldap import PASSWORD, OpenLdapServer

OUTAGES: list[tuple[Callable[[], Hostile], set[Fault]]] = [
    (hostile_ldap.Silent, {Fault.TIMEOUT}),
    (hostile_ldap.Refusing, {Fault.REFUSED}),
    (hostile_ldap.Resetting, {Fault.CLOSED, Fault.UNREACHABLE}),
    (hostile_ldap.Garbage, {Fault.NOT_LDAP}),
    (lambda: hostile_ldap.Garbage(b"\x30\x84\xff\xff\xff\xff\x02"), {Fault.TIMEOUT}),
    (lambda: hostile_ldap.Garbage(b"\x30\x05hello"), {Fault.NOT_LDAP}),
    (lambda: hostile_ldap.Garbage(b"\x30\x00"), {Fault.NOT_LDAP, Fault.TIMEOUT}),
    (lambda: hostile_ldap.Garbage(b"\x00" * 4096), {Fault.NOT_LDAP, Fault.TIMEOUT}),
    (lambda: hostile_ldap.Dripping(0.02), {Fault.TIMEOUT}),
    (hostile_ldap.Endless, {Fault.TIMEOUT, Fault.ODD_ANSWER}),
    (hostile_ldap.Huge, {Fault.TIMEOUT, Fault.ODD_ANSWER}),
    (lambda: hostile_ldap.Huge(hostile_ldap.BIND_REQUEST), {Fault.TIMEOUT, Fault.ODD_ANSWER}),
]
OUTAGE_NAMES = ["silent", "refusing", "resetting", "http", "endless-length", "hello", "empty", "zeros", "dripping",
                "endless", "huge", "huge-bind"]  # fmt: skip


class TestOutages:
    @pytest.mark.parametrize(("make", "faults"), OUTAGES, ids=OUTAGE_NAMES)
    def test_nobody_waits_longer_than_the_timeout(self, make: Callable[[], Hostile], faults: set[Fault]) -> None:
        with make() as server:
            assert unanswered(quick(server, bind_dn="cn=service,dc=acme", secret="service")) in faults

    @pytest.mark.parametrize(("make", "faults"), OUTAGES, ids=OUTAGE_NAMES)
    def test_nor_with_starttls(self, make: Callable[[], Hostile], faults: set[Fault]) -> None:
        with make() as server:
            assert unanswered(quick(server, insecure=False)) in faults | {Fault.STARTTLS_REFUSED}
            assert PASSWORD.encode() not in server.received

    @pytest.mark.parametrize(("make", "faults"), OUTAGES, ids=OUTAGE_NAMES)
    def test_nor_with_tls(self, make: Callable[[], Hostile], faults: set[Fault]) -> None:
        with make() as server:
            found = unanswered(provider_for([f"ldaps://localhost:{server.port}"], timeout=TIMEOUT))
        assert found in {Fault.TIMEOUT, Fault.REFUSED, Fault.CLOSED, Fault.UNREACHABLE, Fault.NO_TLS}

    @pytest.mark.parametrize("operation", [hostile_ldap.SEARCH_REQUEST, hostile_ldap.EXTENDED_REQUEST])
    def test_memory_stays_bounded(self, operation: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("auth.providers.ldap.channel.MOST_BYTES", 1_000_000)
        with hostile_ldap.Huge(operation) as server:
            provider = quick(server, insecure=operation == hostile_ldap.SEARCH_REQUEST, timeout=10)
            assert unanswered(provider) is Fault.ODD_ANSWER

    def test_a_server_that_hangs_is_left(self) -> None:
        with a_server(tls=False) as server:
            server.add_person("someone")
            provider = connected_to(server, servers=[server.url], insecure=True, timeout=1)
            assert sign_in(provider, "someone").login == "someone"
            server.pause()
            assert unanswered(provider) is Fault.TIMEOUT
            server.resume()
            assert sign_in(provider, "someone").login == "someone"

    @pytest.mark.parametrize(("make", "faults"), OUTAGES, ids=OUTAGE_NAMES)
    def test_the_next_server_is_asked(
        self, directory: OpenLdapServer, make: Callable[[], Hostile], faults: set[Fault]
    ) -> None:
        uid = unique("failover")
        directory.add_person(uid)
        with make() as dead:
            provider = connected_to(directory, servers=[dead.url, directory.url], insecure=True, timeout=4.8)
            with in_time(4.8):
                assert sign_in(provider, uid).login == uid

    def test_a_wrong_password_is_no_reason_to_ask_the_next_one(self, directory: OpenLdapServer) -> None:
        uid = unique("first")
        directory.add_person(uid)
        with Hostile() as second:
            provider = connected_to(directory, servers=[directory.url, second.url], insecure=True)
            for login in (uid, unique("nobody")):
                with pytest.raises(WrongCredentials):
                    sign_in(provider, login, "wrong")
            assert second.connections == 0

    def test_an_outage_is_no_wrong_password(self) -> None:
        assert not issubclass(Unanswered, WrongCredentials)
        assert not issubclass(WrongCredentials, DirectoryFault)

    @pytest.mark.parametrize("binds", [False, True])
    @pytest.mark.parametrize("template", ["", "uid={login},dc=acme"])
    def test_referrals_are_not_followed(self, binds: bool, template: str) -> None:
        with hostile_ldap.Hostile() as elsewhere, hostile_ldap.Referring(elsewhere.url, binds=binds) as server:
            asks: list[Callable[[LdapProvider], object]] = [
                lambda provider: sign_in(provider, "someone"),
                lambda provider: provider.find("someone"),
                lambda provider: list(provider.everybody()),
                lambda provider: provider.find_group("some"),
            ]
            for ask in asks:
                service = {"bind_dn": "cn=service,dc=acme", "secret": "service"}
                provider = quick(server, **service, user_dn_template=template, timeout=5.0)
                with pytest.raises(DirectoryFault) as caught:
                    ask(provider)
                # ldap3 does not understand a bind's referral.
                assert caught.value.fault in ({Fault.REFERRED, Fault.NOT_LDAP} if binds else {Fault.REFERRED})
            assert (elsewhere.connections, elsewhere.received) == (0, b"")

    def test_a_directory_that_does_not_answer_is_not_asked_for_a_while(self) -> None:
        with hostile_ldap.Resetting() as server:
            provider = quick(server)
            faults = [unanswered(provider) for _ in range(4)]
            assert faults[2:] == [Fault.PAUSED] * 2
            asked = server.connections
            assert unanswered(provider) is Fault.PAUSED
            assert server.connections == asked

    def test_wrong_passwords_open_no_breaker(self, directory: OpenLdapServer) -> None:
        provider = connected_to(directory)
        for _ in range(5):
            with pytest.raises(WrongCredentials):
                sign_in(provider, unique("nobody"))

    @pytest.mark.parametrize("password", ["\ud83e", "🦄", "\x07", "\u00ad", "אa"])
    def test_nor_do_odd_ones(self, directory: OpenLdapServer, password: str) -> None:
        uid, provider = unique("odd"), connected_to(directory)
        directory.add_person(uid)
        for _ in range(3):
            with pytest.raises(WrongCredentials):
                sign_in(provider, uid, password)


class TestSeparation:
    def test_two_directories_at_the_same_time_never_mix(self, directory: OpenLdapServer) -> None:
        uid = unique("both")
        directory.add_person(uid, name="Of Acme")
        with a_server(suffix="o=Globex\\, Inc.") as globex:
            globex.add_person(uid, name="Of Globex", password="another", email=f"{uid}@globex.example")
            sources = {
                "Of Acme": (connected_to(directory), PASSWORD, "another"),
                "Of Globex": (connected_to(globex), "another", PASSWORD),
            }
            crossed = connected_to(globex, ca_bundle=directory.ca)

            def one(number: int) -> bool:
                name = list(sources)[number % 2]
                provider, right, wrong = sources[name]
                if number % 6 in (2, 3):
                    try:
                        sign_in(provider, uid, wrong)
                    except WrongCredentials:
                        return True
                    return False
                found = sign_in(provider, uid, right)
                return (found.name, found.provider) == (name, provider.id)

            with ThreadPoolExecutor(8) as threads:
                assert all(threads.map(one, [0, 1, 2, 3, 4, 5, 0, 1, 4, 5] * 4))
            assert unanswered(crossed) is Fault.UNTRUSTED_CERTIFICATE
            assert sign_in(sources["Of Globex"][0], uid, "another").name == "Of Globex"
