"""A tenant's word leads to public addresses only, and to those that were looked at."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from typing import Any

import pytest

from auth import outgoing
from auth.outgoing import Endpoint, ForbiddenAddress, UnknownHost, is_allowed, resolve
from auth.providers.ldap.channel import Deadline, Server, open_channel, tls_context
from auth.providers.ldap.faults import DirectoryFault, Fault
from tests.servers.hostile_ldap import Silent

EVERYWHERE = [ip_network("0.0.0.0/0"), ip_network("::/0")]
INSIDE = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "100.127.255.255", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "239.1.2.3", "240.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "fec0::1", "ff02::1", "ff0e::1", "2001:db8::1",
    "100::1",
    # IPv4 in IPv6: mapped, translated, compatible, NAT64, 6to4, Teredo
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:7f00:1", "::ffff:0:127.0.0.1",
    "::127.0.0.1", "::10.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::10.0.0.1", "2002:7f00:1::", "2002:a00:1::1", "2002:c0a8:101::", "2001:0:1:2:3:4:80ff:fffe",
]  # fmt: skip
OUTSIDE = [
    "1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "2a00:1450::1",
    "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1",
]  # fmt: skip


def answer(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Let every name lead to these addresses; gives back the names that are asked for."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **_options: Any) -> list[Any]:
        asked.append(host)
        return [
            (socket.AF_INET6, 1, 6, "", (address, port, 0, 0)) if ":" in address
            else (socket.AF_INET, 1, 6, "", (address, port))
            for address in addresses
        ]  # fmt: skip

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


class TestAddresses:
    @pytest.mark.parametrize("address", INSIDE)
    def test_an_inner_one_is_refused(self, address: str) -> None:
        assert not is_allowed(address, [])

    @pytest.mark.parametrize("address", OUTSIDE)
    def test_a_public_one_is_not(self, address: str) -> None:
        assert is_allowed(address, [])

    @pytest.mark.parametrize(
        ("address", "network"),
        [
            ("10.1.2.3", "10.1.0.0/16"),
            ("::ffff:10.1.2.3", "10.1.0.0/16"),
            ("64:ff9b::10.1.2.3", "10.1.0.0/16"),
            ("fd00::5", "fd00::/8"),
            ("127.0.0.1", "127.0.0.0/8"),
            ("fec0::1", "fec0::/10"),
            ("fe80::1%eth0", "fe80::/10"),
        ],
    )
    def test_an_inner_one_may_be_allowed_and_its_neighbour_is_not(self, address: str, network: str) -> None:
        assert is_allowed(address, [ip_network("192.168.7.0/24"), ip_network(network)])
        assert not is_allowed(address, [ip_network("192.168.7.0/24"), ip_network("fd99::/16")])

    def test_everything_may_be_allowed(self) -> None:
        assert all(is_allowed(address, EVERYWHERE) for address in [*INSIDE, *OUTSIDE])


class TestResolve:
    def test_the_addresses_of_a_name_that_may_be_asked_are_given(self, monkeypatch: pytest.MonkeyPatch) -> None:
        answer(monkeypatch, "10.0.0.1", "8.8.8.8", "::1", "2606:4700::1111")
        assert resolve("dc.example", 636, allowed=[], timeout=5) == [
            Endpoint(socket.AF_INET, ("8.8.8.8", 636)),
            Endpoint(socket.AF_INET6, ("2606:4700::1111", 636)),
        ]

    @pytest.mark.parametrize("address", INSIDE)
    def test_a_name_that_leads_inside_is_refused(self, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
        answer(monkeypatch, address)
        with pytest.raises(ForbiddenAddress):
            resolve("rebinding.example", 389, allowed=[], timeout=5)

    @pytest.mark.parametrize(
        "host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f.1", "::1", "0", "::ffff:7f00:1"]
    )
    def test_no_way_to_write_it_leads_to_ourselves(self, host: str) -> None:
        with pytest.raises((ForbiddenAddress, UnknownHost)):
            resolve(host, 389, allowed=[], timeout=5)

    def test_an_allowed_network_is_reached(self) -> None:
        found = resolve("localhost", 389, allowed=[ip_network("127.0.0.0/8")], timeout=5)
        assert found == [Endpoint(socket.AF_INET, ("127.0.0.1", 389))]

    @pytest.mark.parametrize("host", ["a..b", "x" * 300, "a\0b", "", " ", "\ud800", "host.invalid"])
    def test_a_name_that_leads_nowhere_is_said(self, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
        if host == "host.invalid":

            def unknown(*_arguments: Any, **_options: Any) -> Any:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

            monkeypatch.setattr(socket, "getaddrinfo", unknown)
        with pytest.raises((UnknownHost, ForbiddenAddress)):
            resolve(host, 389, allowed=[], timeout=5)


class TestSlowNameServer:
    @pytest.fixture
    def asked(self) -> list[str]:
        """The names that the name server is asked for."""
        return []

    @pytest.fixture
    def over(self, monkeypatch: pytest.MonkeyPatch, asked: list[str]) -> Iterator[threading.Event]:
        """A name server that answers only when this is set; two may ask it at once."""
        over = threading.Event()

        def getaddrinfo(host: str, *_arguments: Any, **_options: Any) -> list[Any]:
            asked.append(host)
            over.wait(30)
            return []

        with ThreadPoolExecutor(2) as lookups:
            monkeypatch.setattr(outgoing, "_lookups", lookups)
            monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
            yield over
            over.set()

    @pytest.mark.usefixtures("over")
    def test_nobody_waits_longer_than_they_said(self) -> None:
        before = time.monotonic()
        with pytest.raises(TimeoutError):
            resolve("slow.example", 389, allowed=EVERYWHERE, timeout=0.1)
        assert time.monotonic() - before < 2

    def test_what_nobody_waits_for_any_more_is_not_looked_up(self, over: threading.Event, asked: list[str]) -> None:
        for number in range(6):
            with pytest.raises(TimeoutError):
                resolve(f"slow{number}.example", 389, allowed=EVERYWHERE, timeout=0.02)
        over.set()
        outgoing._lookups.shutdown()
        assert asked == ["slow0.example", "slow1.example"]

    @pytest.mark.usefixtures("over")
    def test_a_directory_behind_it_is_told_to_have_timed_out(self) -> None:
        with pytest.raises(DirectoryFault) as caught:
            open_channel(
                Server("slow.example", 389, tls=False), Deadline(0.1), connect_timeout=0.1, context=tls_context(None),
                allowed=EVERYWHERE,
            )  # fmt: skip
        assert (caught.value.fault, caught.value.detail) == (Fault.TIMEOUT, "DNS")


class TestConnecting:
    def test_the_address_that_was_looked_at_is_the_one_connected_to(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with Silent() as server:
            asked = answer(monkeypatch, "127.0.0.1")
            connected: list[Any] = []
            connect = socket.socket.connect

            def note(self: socket.socket, address: Any) -> None:
                connected.append(address)
                connect(self, address)

            monkeypatch.setattr(socket.socket, "connect", note)
            channel = open_channel(
                Server("dc.example", server.port, tls=False), Deadline(5), connect_timeout=5, context=tls_context(None),
                allowed=EVERYWHERE,
            )  # fmt: skip
            channel.close()
        assert (asked, connected) == (["dc.example"], [("127.0.0.1", server.port)])

    def test_an_inner_address_is_not_connected_to(self) -> None:
        with Silent() as server:
            with pytest.raises(DirectoryFault) as caught:
                open_channel(
                    Server("localhost", server.port, tls=False), Deadline(5), connect_timeout=5,
                    context=tls_context(None), allowed=[],
                )  # fmt: skip
            assert caught.value.fault is Fault.FORBIDDEN_ADDRESS
            assert server.connections == 0
