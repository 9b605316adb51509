"""Passwords travel to the right server, encrypted, and nobody holds us up while they do."""

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from auth.errors import WrongCredentials
from auth.providers.ldap import LdapProvider
from auth.providers.ldap import channel as channel_module
from auth.providers.ldap.channel import Channel, Deadline, EndlessAnswer, Server, open_channel, tls_context
from auth.providers.ldap.faults import DirectoryFault, Fault
from auth.providers.ldap.provider import Unanswered
from tests.auth.providers.ldap.asking import (
    EVERYWHERE,
    TIMEOUT,
    a_server,
    connected_to,
    in_time,
    provider_for,
    sign_in,
    unique,
)
from tests.servers import hostile_ldap, openldap
from tests.servers.hostile_ldap import Hostile, Request
from tests.servers.openldap import PASSWORD, OpenLdapServer

SERVICE_PASSWORD = "service-password"


@pytest.fixture(scope="module")
def uid(directory: OpenLdapServer) -> str:
    """Somebody who is in the directory."""
    name = unique("tls")
    directory.add_person(name)
    return name


def fault_of(provider: LdapProvider, login: str = "someone") -> Fault:
    """Why nobody can be signed in."""
    with pytest.raises(Unanswered) as caught:
        sign_in(provider, login)
    return caught.value.fault


@pytest.mark.parametrize("url", ["url", "tls_url"], ids=["starttls", "ldaps"])
class TestTls:
    def test_a_server_is_trusted_by_its_authority(self, directory: OpenLdapServer, uid: str, url: str) -> None:
        assert sign_in(connected_to(directory, servers=[getattr(directory, url)]), uid).login == uid

    def test_by_no_other(self, directory: OpenLdapServer, uid: str, url: str) -> None:
        other, _identity = openldap.make_certificates(["localhost"])
        for ca in (other, None):
            provider = connected_to(directory, servers=[getattr(directory, url)], ca_bundle=ca)
            assert fault_of(provider, uid) is Fault.UNTRUSTED_CERTIFICATE

    def test_one_of_several_authorities_is_enough(self, directory: OpenLdapServer, uid: str, url: str) -> None:
        other, _identity = openldap.make_certificates(["localhost"])
        provider = connected_to(directory, servers=[getattr(directory, url)], ca_bundle=other + directory.ca)
        assert sign_in(provider, uid).login == uid

    def test_its_own_certificate_can_be_given_as_its_authority(
        self, directory: OpenLdapServer, uid: str, url: str
    ) -> None:
        own = Path(directory.folder, "server.pem").read_text().partition("-----BEGIN PRIVATE")[0]
        provider = connected_to(directory, servers=[getattr(directory, url)], ca_bundle=own)
        assert sign_in(provider, uid).login == uid

    def test_a_certificate_for_another_name_is_refused(self, directory: OpenLdapServer, uid: str, url: str) -> None:
        server = getattr(directory, url).replace("localhost", "127.0.0.1")
        assert fault_of(connected_to(directory, servers=[server]), uid) is Fault.WRONG_NAME

    def test_a_certificate_may_be_for_an_address(self, url: str) -> None:
        with a_server(certificate_names=("127.0.0.1",)) as server:
            server.add_person("someone")
            address = getattr(server, url).replace("localhost", "127.0.0.1")
            assert sign_in(connected_to(server, servers=[address]), "someone").login == "someone"
            assert fault_of(connected_to(server, servers=[getattr(server, url)])) is Fault.WRONG_NAME

    def test_an_authority_may_lack_its_key_usage(self, url: str) -> None:
        with a_server(plain_ca=True) as server:
            server.add_person("someone")
            assert sign_in(connected_to(server, servers=[getattr(server, url)]), "someone").login == "someone"

    @pytest.mark.parametrize("days", [-30, 30])
    def test_a_certificate_that_is_not_valid_now_is_refused(
        self, url: str, days: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make = openldap._certificate

        def shifted(*arguments: Any) -> Any:
            made = make(*arguments)
            for name in ("_not_valid_before", "_not_valid_after"):
                setattr(made, name, getattr(made, name) + timedelta(days=days))
            return made

        monkeypatch.setattr(openldap, "_certificate", shifted)
        with a_server() as server:
            provider = connected_to(server, servers=[getattr(server, url)])
            assert fault_of(provider) is Fault.INVALID_CERTIFICATE


class TestPlainText:
    def test_it_is_spoken_only_where_it_is_allowed(self) -> None:
        with a_server(tls=False) as server:
            server.add_person("someone")
            settings = {"servers": [server.url], "ca_bundle": None}
            assert fault_of(connected_to(server, **settings)) is Fault.STARTTLS_REFUSED
            assert sign_in(connected_to(server, **settings, insecure=True), "someone").login == "someone"

    def test_ldaps_is_encrypted_even_there(self, directory: OpenLdapServer, uid: str) -> None:
        provider = connected_to(directory, servers=[directory.tls_url], ca_bundle=None, insecure=True)
        assert fault_of(provider, uid) is Fault.UNTRUSTED_CERTIFICATE

    def test_a_port_without_tls_is_no_port_for_ldaps(self, directory: OpenLdapServer, uid: str) -> None:
        provider = connected_to(directory, servers=[f"ldaps://localhost:{directory.port}"], timeout=2)
        assert fault_of(provider, uid) in {Fault.NO_TLS, Fault.CLOSED}

    def test_a_port_for_ldaps_is_no_port_for_starttls(self, directory: OpenLdapServer, uid: str) -> None:
        provider = connected_to(directory, servers=[f"ldap://localhost:{directory.tls_port}"], timeout=2)
        assert fault_of(provider, uid) in {Fault.CLOSED, Fault.NOT_LDAP}

    @pytest.mark.parametrize("template", ["", "uid={login},dc=acme"])
    @pytest.mark.parametrize(
        "make",
        [
            hostile_ldap.RefusingStartTls,
            hostile_ldap.StrippingStartTls,
            lambda: hostile_ldap.StrippingStartTls(injecting=True),
            Hostile,
            hostile_ldap.Garbage,
        ],
        ids=["refusing", "stripping", "injecting", "plain", "garbage"],
    )
    def test_no_password_is_sent_without_tls(self, make: Callable[[], Hostile], template: str) -> None:
        with make() as server:
            provider = provider_for(
                [server.url],
                bind_dn="cn=service,dc=acme",
                secret=SERVICE_PASSWORD,
                user_dn_template=template,
                timeout=1,
            )
            assert fault_of(provider) in {Fault.STARTTLS_REFUSED, Fault.NOT_LDAP, Fault.CLOSED}
            with contextlib.suppress(DirectoryFault):
                provider.find("someone")
            with contextlib.suppress(DirectoryFault):
                list(provider.everybody())
            assert server.received
            for secret in (PASSWORD, SERVICE_PASSWORD, "someone", "cn=service"):
                assert secret.encode() not in server.received

    @pytest.mark.parametrize("binds", [0, 1])
    def test_what_is_said_before_tls_is_not_taken_for_an_answer(self, directory: OpenLdapServer, binds: int) -> None:
        """A man in the middle answers before the real server, whose handshake he lets through."""
        uid = unique("injected")
        directory.add_person(uid)

        class Injecting(Hostile):
            def serve(self, connection: socket.socket) -> None:
                with socket.create_connection(("127.0.0.1", directory.port), 5) as real:
                    real.sendall(connection.recv(4096))
                    accepted = b"".join(
                        hostile_ldap.message(number, hostile_ldap.result(0x61)) for number in range(2, 2 + binds)
                    )
                    connection.sendall(real.recv(4096) + accepted)
                    real.setblocking(False)
                    connection.setblocking(False)
                    while self.goes_on(0.002):
                        for source, target in ((connection, real), (real, connection)):
                            with contextlib.suppress(BlockingIOError):
                                if data := source.recv(65536):
                                    target.sendall(data)

        with Injecting() as middle:
            provider = connected_to(directory, servers=[middle.url], timeout=5)
            if binds:
                assert fault_of(provider, uid) in {Fault.NOT_LDAP, Fault.STARTTLS_REFUSED, Fault.CLOSED, Fault.TIMEOUT}
            else:
                with pytest.raises(WrongCredentials):
                    sign_in(provider, uid, "wrong")
                assert sign_in(provider, uid).login == uid

    def test_a_dripping_handshake_is_left(self) -> None:
        class DrippingTls(Hostile):
            def answers(self, request: Request) -> Iterable[bytes]:
                for byte in b"\x16\x03\x03\x40\x00" + bytes(0x4000):
                    if not self.goes_on(0.02):
                        return
                    yield bytes([byte])

        with DrippingTls() as server, in_time():
            assert fault_of(provider_for([f"ldaps://localhost:{server.port}"], timeout=TIMEOUT)) is Fault.TIMEOUT


class TestContext:
    def test_it_verifies(self) -> None:
        context = tls_context(None)
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2

    def test_given_authorities_take_the_place_of_the_systems(self) -> None:
        ca, _identity = openldap.make_certificates(["localhost"])
        assert len(tls_context(ca).get_ca_certs()) == 1

    @pytest.mark.parametrize("bundle", ["x", "é", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"])
    def test_what_is_no_certificate_is_said(self, bundle: str) -> None:
        with pytest.raises(ValueError, match="PEM"):
            tls_context(bundle)


class TestServer:
    @pytest.mark.parametrize(
        "url", ["", "ldap", "ldap:", "ldap://", "ldap:///x", "http://a", "a:389", "ldap://a:x", "ldap://a@b"]
    )
    def test_nonsense_is_no_address(self, url: str) -> None:
        with pytest.raises(ValueError, match=r"must|[Pp]ort|Invalid"):
            Server.parse(url)


class TestDeadline:
    def test_it_passes(self) -> None:
        deadline = Deadline(60)
        assert 59 < deadline.remaining() <= 60
        assert 19 < deadline.share(3).remaining() <= 20
        with pytest.raises(TimeoutError):
            Deadline(0).remaining()
        with pytest.raises(TimeoutError):
            Deadline(0).share(2)


class TestReading:
    @pytest.fixture
    def ends(self) -> Iterator[tuple[Channel, socket.socket]]:
        ours, theirs = socket.socketpair()
        channel = Channel(ours, Deadline(TIMEOUT))
        with theirs:
            yield channel, theirs
            channel.close()

    def test_bytes_that_keep_coming_do_not_move_the_deadline(self, ends: tuple[Channel, socket.socket]) -> None:
        channel, theirs = ends

        def listen() -> None:
            while True:
                theirs.sendall(b"x")
                channel.recv(4096)
                time.sleep(0.01)

        with in_time(), pytest.raises(TimeoutError):
            listen()
        assert isinstance(channel.failure, TimeoutError)

    def test_nothing_is_waited_for_after_the_deadline(self, ends: tuple[Channel, socket.socket]) -> None:
        channel, theirs = ends
        theirs.sendall(b"xy")
        assert channel.recv(1) == b"x"
        channel.renew(Deadline(0))
        for ask in (lambda: channel.recv(1), lambda: channel.sendall(b"x")):
            with pytest.raises(TimeoutError):
                ask()
        channel.renew(Deadline(5))
        assert channel.recv(1) == b"y"

    def test_too_much_is_not_read(self, ends: tuple[Channel, socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
        channel, theirs = ends
        monkeypatch.setattr(channel_module, "MOST_BYTES", 10)
        channel.renew(Deadline(5))
        theirs.sendall(bytes(11))
        assert channel.recv(10) == bytes(10)
        with pytest.raises(EndlessAnswer):
            channel.recv(10)
        assert isinstance(channel.failure, EndlessAnswer)

    def test_a_peer_that_reads_nothing_is_left(self, ends: tuple[Channel, socket.socket]) -> None:
        channel, _theirs = ends
        with in_time(), pytest.raises(TimeoutError):
            channel.sendall(bytes(64_000_000))


class TestOpening:
    def open(self, host: str, port: int, seconds: float = 5) -> Channel:
        return open_channel(
            Server(host, port, tls=False), Deadline(seconds), connect_timeout=seconds, context=tls_context(None),
            allowed=EVERYWHERE,
        )  # fmt: skip

    def test_a_name_that_nobody_has_is_said(self) -> None:
        with pytest.raises(DirectoryFault) as caught:
            self.open("a..b", 389)
        assert caught.value.fault is Fault.UNKNOWN_HOST

    def test_a_port_on_which_nothing_listens_is_said(self) -> None:
        with hostile_ldap.Refusing() as server, pytest.raises(DirectoryFault) as caught:
            self.open("localhost", server.port)
        assert caught.value.fault is Fault.REFUSED

    def test_a_host_that_does_not_answer_is_left(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def connect(self: socket.socket, _address: Any) -> None:
            assert self.gettimeout() is not None
            raise TimeoutError("timed out")

        monkeypatch.setattr(socket.socket, "connect", connect)
        with pytest.raises(DirectoryFault) as caught:
            self.open("127.0.0.1", 389)
        assert caught.value.fault is Fault.UNREACHABLE

    def test_the_next_address_of_a_name_is_tried(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with hostile_ldap.Silent() as server:
            addresses = [(socket.AF_INET, 1, 6, "", (address, server.port)) for address in ("127.0.0.9", "127.0.0.1")]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: addresses)
            channel = self.open("dc.example", server.port)
            assert channel._raw.getpeername() == ("127.0.0.1", server.port)
            channel.close()
