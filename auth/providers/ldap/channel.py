"""A connection that neither waits nor reads without end, whatever the peer does.

ldap3 has a time limit for each read, which a byte a second never meets, and none for how much it reads.
"""

import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from flask_babel import gettext as _

from auth.outgoing import ForbiddenAddress, Network, UnknownHost, resolve
from auth.providers.ldap.faults import DirectoryFault, Fault

MOST_BYTES = 64 * 1024 * 1024
"""Read between two renewals of the deadline: more than any page of entries has."""


class EndlessAnswer(OSError):
    """The peer sends more than anybody asked for."""


class Deadline:
    """A moment by which something has to be done."""

    def __init__(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds that are left. Raises TimeoutError when none are."""
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        return left

    def share(self, parts: int) -> "Deadline":
        """A deadline after an equal share of what is left, of `parts` shares."""
        return Deadline(self.remaining() / parts)


@dataclass(frozen=True, slots=True)
class Server:
    """One server of a directory."""

    host: str
    port: int
    tls: bool
    """TLS from the beginning (ldaps); StartTLS otherwise, unless the configuration is insecure."""

    @classmethod
    def parse(cls, url: str) -> "Server":
        """The server at `ldap://host[:port]` or `ldaps://host[:port]`. Raises ValueError."""
        parts = urlsplit(url.strip())
        if parts.scheme not in ("ldap", "ldaps") or not parts.hostname:
            raise ValueError(_("must be ldaps://host or ldap://host, with a port if it is not the usual one"))
        if parts.username or parts.password or parts.query or parts.fragment or parts.path not in ("", "/"):
            raise ValueError(_("must have nothing but host and port"))
        tls = parts.scheme == "ldaps"
        return cls(parts.hostname, parts.port or (636 if tls else 389), tls)


class Channel:
    """A socket with a deadline and a limit to what is read; what ldap3 asks of a socket, and no more."""

    def __init__(self, raw: socket.socket, deadline: Deadline) -> None:
        self._raw = raw
        self._deadline = deadline
        self._left = MOST_BYTES
        self.failure: OSError | None = None
        """What ended the conversation; ldap3 keeps only its text."""

    def renew(self, deadline: Deadline) -> None:
        """Allow a further step of long work its time and its bytes."""
        self._deadline, self._left = deadline, MOST_BYTES

    def recv(self, size: int) -> bytes:
        """Read some bytes, in time."""
        with self._noting():
            self._raw.settimeout(self._deadline.remaining())
            data = self._raw.recv(size)
            self._left -= len(data)
            if self._left < 0:
                raise EndlessAnswer("the answer has no end")
            return data

    def sendall(self, data: bytes) -> None:
        """Write all bytes, in time."""
        with self._noting():
            self._raw.settimeout(self._deadline.remaining())
            self._raw.sendall(data)

    def shutdown(self, how: int) -> None:
        """End the connection."""
        self._raw.shutdown(how)

    def close(self) -> None:
        """Release the socket."""
        self._raw.close()

    def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Speak TLS from here on. Raises DirectoryFault."""
        try:
            self._raw.settimeout(self._deadline.remaining())
            self._raw = context.wrap_socket(self._raw, server_hostname=host)
        except (OSError, ValueError) as error:
            raise tls_fault(error) from error

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.failure = error
            raise


def open_channel(
    server: Server,
    deadline: Deadline,
    *,
    connect_timeout: float,
    context: ssl.SSLContext,
    allowed: Sequence[Network],
    owner: str = "",
) -> Channel:
    """Connect to the first address of `server` that answers, with TLS if it begins so. Raises DirectoryFault."""
    try:
        endpoints = resolve(server.host, server.port, allowed=allowed, timeout=deadline.remaining(), owner=owner)
    except UnknownHost as error:
        raise DirectoryFault(Fault.UNKNOWN_HOST, str(error)) from error
    except ForbiddenAddress as error:
        raise DirectoryFault(Fault.FORBIDDEN_ADDRESS) from error
    except TimeoutError as error:
        raise DirectoryFault(Fault.TIMEOUT, "DNS") from error
    failure: OSError | None = None
    for place, endpoint in enumerate(endpoints):
        try:
            share = deadline.share(len(endpoints) - place).remaining()
            raw = _connect(endpoint.family, endpoint.address, min(connect_timeout, share))
        except OSError as error:
            failure = error
            continue
        channel = Channel(raw, deadline)
        if server.tls:
            try:
                channel.start_tls(context, server.host)
            except DirectoryFault:
                channel.close()
                raise
        return channel
    raise _connect_fault(failure) from failure


def tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    """A context that verifies certificate and host name, by the given authorities (PEM) or the system's.

    Raises ValueError for what is no certificate. Private authorities often lack extensions that
    `ssl.VERIFY_X509_STRICT`, on by default from Python 3.13 on, insists on (RFC 5280); OpenSSL's own checks remain.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a server's own certificate may be given as its authority
    if ca_bundle:
        try:
            context.load_verify_locations(cadata=ca_bundle)
        except (ssl.SSLError, ValueError, TypeError) as error:  # the last for text that is not ASCII
            raise ValueError(_("must be certificates in PEM form (-----BEGIN CERTIFICATE-----)")) from error
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context


def tls_fault(error: Exception) -> DirectoryFault:
    """What a failed handshake means."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in (62, 64):  # host name, IP address mismatch (X509_V_ERR_*_MISMATCH)
            return DirectoryFault(Fault.WRONG_NAME, error.verify_message)
        if error.verify_code in (9, 10, 13, 14, 23):  # not yet valid, expired, bad times, revoked
            return DirectoryFault(Fault.INVALID_CERTIFICATE, error.verify_message)
        return DirectoryFault(Fault.UNTRUSTED_CERTIFICATE, error.verify_message)
    if isinstance(error, TimeoutError):
        return DirectoryFault(Fault.TIMEOUT, "TLS")
    return DirectoryFault(Fault.NO_TLS, str(error))


def _connect(family: socket.AddressFamily, address: Any, timeout: float) -> socket.socket:
    raw = socket.socket(family, socket.SOCK_STREAM)
    try:
        raw.settimeout(timeout)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.connect(address)
    except BaseException:
        raw.close()
        raise
    return raw


def _connect_fault(error: OSError | None) -> DirectoryFault:
    if isinstance(error, ConnectionRefusedError):
        return DirectoryFault(Fault.REFUSED, str(error))
    return DirectoryFault(Fault.UNREACHABLE, str(error))
