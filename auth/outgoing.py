"""Where this service may connect to when a tenant says so: never into its own network.

A name is resolved once and the connection made to the address that was looked at: asking the name's server again
could give another one.
"""

import ipaddress
import socket
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# getaddrinfo knows no time limit; whoever waits for it does. Many, as a name server that hangs keeps its threads.
_lookups = ThreadPoolExecutor(max_workers=32, thread_name_prefix="dns")
_lock = threading.Lock()
_unfinished: Counter[str] = Counter()
MOST_LOOKUPS = 8
"""Names that are being looked up for one owner, say a tenant, at the same time."""
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_UNICAST = ipaddress.IPv6Network("2000::/3")  # all that IANA has given out; Python takes much of the rest for global


class ForbiddenAddress(OSError):
    """The name leads to an address that may not be connected to."""


class UnknownHost(OSError):
    """The name leads nowhere."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address to connect to."""

    family: socket.AddressFamily
    address: tuple[str, int]


def resolve(host: str, port: int, *, allowed: Sequence[Network], timeout: float, owner: str = "") -> list[Endpoint]:
    """The addresses of `host` that may be connected to. One `owner`, if named, waits for few names at once.

    Public addresses may; others only within the `allowed` networks (SAAS_OUTGOING_NETWORKS). Raises UnknownHost,
    ForbiddenAddress, and TimeoutError after `timeout` seconds.
    """
    try:
        found = _at_once(host, port) or _look_up(host, port, timeout, owner)
    except (socket.gaierror, UnicodeError) as error:
        raise UnknownHost(str(error)) from error
    endpoints = [
        Endpoint(family, (str(address[0]), int(address[1])))
        for family, _kind, _protocol, _name, address in found
        if is_allowed(str(address[0]), allowed)
    ]
    if not endpoints:
        raise ForbiddenAddress(f"{host} leads into a network that is not to be asked")
    return endpoints


def _at_once(host: str, port: int) -> list[Any]:
    """The answer for an address that is written out, which no server has to be asked about."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return []
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)


def _look_up(host: str, port: int, timeout: float, owner: str) -> list[Any]:
    with _lock:
        if owner and _unfinished[owner] >= MOST_LOOKUPS:
            raise TimeoutError("too many names are being looked up for this owner")
        _unfinished[owner] += 1
    lookup = _lookups.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    lookup.add_done_callback(lambda _: _finish(owner))  # when it has ended, not when we give up
    try:
        return lookup.result(timeout)
    finally:
        lookup.cancel()  # if it waits still, nobody waits for it any more


def _finish(owner: str) -> None:
    with _lock:
        _unfinished[owner] -= 1
        if not _unfinished[owner]:
            del _unfinished[owner]


def is_allowed(address: str, allowed: Sequence[Network]) -> bool:
    """Whether that address is public, or in an allowed network."""
    ip = _innermost(ipaddress.ip_address(address.partition("%")[0]))
    if any(ip in network for network in allowed):
        return True
    if isinstance(ip, ipaddress.IPv6Address) and ip not in _UNICAST:
        return False
    return ip.is_global and not ip.is_multicast


def _innermost(ip: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in _NAT64:
            return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None) or ip
    return ip
