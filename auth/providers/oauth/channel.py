"""Requests to a provider: only where they may go, in a bounded time, of bounded length.

One channel is one visit: all of its requests together, name look-ups and TLS included, end within `patience`. A server
that drips is not waited for byte by byte: when time is up, the sockets are shut down under whoever reads them.
"""

import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from functools import lru_cache, partial
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import certifi
import requests
from flask_babel import gettext as _
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from auth.outgoing import ForbiddenAddress, Network, UnknownHost, resolve
from auth.providers.oauth.faults import Fault, OAuthFault, Unreachable

PATIENCE = 10.0
"""Seconds that one visit takes at most."""
LONGEST_ANSWER = 512 * 1024
"""Bytes of one answer, unpacked."""


class Channel:
    """A context manager in which a provider is asked. Not for several threads."""

    def __init__(
        self,
        *,
        allowed: Sequence[Network],
        owner: str,
        insecure: bool = False,
        ca_bundle: str | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._allowed = allowed
        self._owner = owner
        self.insecure = insecure
        self.ca_bundle = ca_bundle
        self._ends_at = time.monotonic() + patience
        self._sockets: list[socket.socket] = []
        self._used: list[socket.socket] = []
        self._lock = threading.Lock()
        self._over = False
        self._timer = threading.Timer(patience, self._shut_down)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        with self._lock:
            for twin in self._sockets:
                twin.close()
            self._sockets.clear()
        for used in self._used:  # a reader of what was no answer may hold it open still
            if (descriptor := used.detach()) >= 0:
                os.close(descriptor)

    @property
    def remaining(self) -> float:
        """Seconds that are left, more than none."""
        return max(0.001, self._ends_at - time.monotonic())

    def prepare(self, session: requests.Session) -> requests.Session:
        """Have everything that a session sends go by this channel."""
        session.trust_env = False  # no proxy, and no password of a .netrc
        session.headers["Accept-Encoding"] = "identity"  # nothing to unpack, so nothing that unpacks without end
        # It would read what a redirect holds, to find out where it leads.
        session.get_redirect_target = lambda resp: None  # type: ignore[method-assign]
        for scheme in ("https://", "http://"):
            session.mount(scheme, _Adapter(self))
        return session

    def get_json(self, url: str, **options: Any) -> Any:
        """The JSON at an address. Raises OAuthFault."""
        with self.prepare(requests.session()) as session:
            return self.json_of(self.send(session, "GET", url, **options))

    def send(self, session: requests.Session, method: str, url: str, **options: Any) -> requests.Response:
        """The answer to a request, whatever its status, with its body read. Raises OAuthFault."""
        self.check_address(url)
        options |= {"allow_redirects": False, "stream": True, "timeout": self.remaining}
        try:
            response = requests.Session.request(session, method, url, **options)
            with closing(response):
                response._content = self._read(response)  # what `content` would read without a bound
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            raise self._as_fault(error) from error
        response.encoding = "utf-8"  # RFC 8259, section 8.1; a name in the answer may be of a slow one
        if self._ends_at <= time.monotonic():
            raise Unreachable(Fault.TIMEOUT, url)
        if response.is_redirect:
            raise OAuthFault(Fault.REDIRECTED, url)
        if response.status_code >= 500 or response.status_code == 429:
            raise Unreachable(Fault.BUSY, f"{url} answers {response.status_code}")
        return response

    def json_of(self, response: requests.Response) -> Any:
        """What a successful answer says. Raises OAuthFault."""
        if response.status_code != 200:
            raise OAuthFault(Fault.ODD_ANSWER, f"{response.url} answers {response.status_code}")
        try:
            return whole(response.json())
        except (ValueError, RecursionError):
            raise OAuthFault(Fault.ODD_ANSWER, f"{response.url} answers no JSON") from None

    def check_address(self, url: str) -> None:
        """Raise OAuthFault for what is no web address, or one without https that may not be."""
        check_address(url, insecure=self.insecure)

    def connect(self, host: str, port: int) -> socket.socket:
        """A connection to the first address of a host that takes one. Raises Unreachable."""
        try:
            endpoints = resolve(host, port, allowed=self._allowed, timeout=self.remaining, owner=self._owner)
        except ForbiddenAddress as error:
            raise Unreachable(Fault.FORBIDDEN_ADDRESS, str(error)) from error
        except UnknownHost as error:
            raise Unreachable(Fault.UNKNOWN_HOST, host) from error
        except TimeoutError as error:
            raise Unreachable(Fault.TIMEOUT, host) from error
        failure: OSError = TimeoutError()
        for endpoint in endpoints:
            if time.monotonic() >= self._ends_at:
                break
            try:
                made = socket.create_connection(endpoint.address[:2], timeout=self.remaining)
            except OSError as error:
                failure = error
                continue
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                if self._over:  # nobody would shut this one down any more
                    made.close()
                    break
                # TLS takes the socket's descriptor for itself; a twin of it stays ours to shut the connection down by.
                self._sockets.append(socket.socket(fileno=os.dup(made.fileno())))
            return made
        raise self._as_fault(failure)

    def keep(self, used: socket.socket) -> None:
        """Close this socket with the channel."""
        self._used.append(used)

    def _read(self, response: requests.Response) -> bytes:
        body = bytearray()
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise OAuthFault(Fault.ODD_ANSWER, f"{response.url} answers in a packing that was not asked for")
        while chunk := response.raw.read(65536, decode_content=False):
            body += chunk
            if len(body) > LONGEST_ANSWER:
                raise OAuthFault(Fault.TOO_LONG, response.url)
        return bytes(body)

    def _shut_down(self) -> None:
        with self._lock:
            self._over = True
            for twin in self._sockets:
                try:
                    twin.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # it has ended by itself

    def _as_fault(self, error: BaseException) -> OAuthFault:
        if time.monotonic() >= self._ends_at or isinstance(error, requests.Timeout | TimeoutError):
            return Unreachable(Fault.TIMEOUT, str(error))
        if isinstance(error, requests.exceptions.SSLError | ssl.SSLError):
            return OAuthFault(Fault.UNTRUSTED, str(error))
        if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
            return OAuthFault(Fault.ODD_ANSWER, str(error))
        return Unreachable(Fault.UNREACHABLE, str(error))


def check_address(url: str, *, insecure: bool) -> None:
    """Raise OAuthFault for what is no web address, or one without https that may not be."""
    try:
        parts = urlsplit(url)
        # A browser is sent there, too: of what is no host name, redirecting would make an error of ours.
        named = bool((parts.hostname or "").encode("idna")) and url.isascii() and url.isprintable()
        usable = parts.scheme in ("https", "http") and named and " " not in url and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or parts.username is not None:
        raise OAuthFault(Fault.ODD_ANSWER, "no web address")
    if parts.scheme != "https" and not insecure:
        raise OAuthFault(Fault.INSECURE, url)


def whole(value: Any) -> Any:
    """The same, read from JSON, without halves of characters (lone surrogates), which no page and no row can hold."""
    text = json.dumps(value, ensure_ascii=False)
    return value if text.isascii() else json.loads(text.encode("utf-8", "surrogatepass").decode("utf-8", "replace"))


class _Adapter(HTTPAdapter):
    """Has the connections of a session made by its channel."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Prepare the pools."""
        super().init_poolmanager(*args, **options, ssl_context=trust(self._channel.ca_bundle))
        self.poolmanager.pool_classes_by_scheme = {
            "http": partial(_Pool, self._channel),
            "https": partial(_SecurePool, self._channel),
        }

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Have the certificate verified by the context, which knows the authorities; requests would read them anew."""
        conn.cert_reqs = "CERT_REQUIRED"


@lru_cache(maxsize=100)
def trust(ca_bundle: str | None) -> ssl.SSLContext:
    """TLS that verifies by the usual authorities, and by those of a bundle (PEM). Raises ValueError."""
    try:
        return ssl.create_default_context(cafile=certifi.where(), cadata=ca_bundle or None)
    except (ssl.SSLError, ValueError, TypeError):
        raise ValueError(_("must be certificates in PEM form (-----BEGIN CERTIFICATE-----)")) from None


class _Pool(HTTPConnectionPool):
    def __init__(self, channel: Channel, *args: Any, **options: Any) -> None:
        self.ConnectionCls = partial(_Connection, channel)  # type: ignore[assignment]  # called like the class
        super().__init__(*args, **options)


class _SecurePool(HTTPSConnectionPool):
    def __init__(self, channel: Channel, *args: Any, **options: Any) -> None:
        self.ConnectionCls = partial(_SecureConnection, channel)  # type: ignore[assignment]  # called like the class
        super().__init__(*args, **options)


class _Connection(HTTPConnection):
    def __init__(self, channel: Channel, *args: Any, **options: Any) -> None:
        self._channel = channel
        super().__init__(*args, **options)

    def connect(self) -> None:
        """Connect."""
        super().connect()
        self._channel.keep(self.sock)

    def _new_conn(self) -> socket.socket:
        return self._channel.connect(self._dns_host, self.port)


class _SecureConnection(HTTPSConnection):
    def __init__(self, channel: Channel, *args: Any, **options: Any) -> None:
        self._channel = channel
        super().__init__(*args, **options)

    def connect(self) -> None:
        """Connect."""
        super().connect()
        self._channel.keep(self.sock)

    def _new_conn(self) -> socket.socket:
        return self._channel.connect(self._dns_host, self.port)
