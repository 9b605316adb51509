"""A web server that misbehaves as told, on threads of the test and on a free loopback port."""

import contextlib
import gzip
import itertools
import json
import socket
import ssl
import struct
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

from tests.servers import free_port

BLOCK = 65536

Answer = Callable[["Exchange"], None]


@dataclass(frozen=True)
class Request:
    """A request as it came; `form` is what was posted."""

    method: str
    path: str
    headers: dict[str, str]
    form: dict[str, str] = field(default_factory=dict)


class Exchange:
    """A request, the answer that it would have by rights, and the connection to do worse on."""

    def __init__(self, connection: socket.socket, usual: tuple[int, bytes], ending: threading.Event) -> None:
        self.connection, self._ending = connection, ending
        self.status, self.body = usual

    def send(self, data: bytes) -> None:
        """Send these bytes."""
        self.connection.sendall(data)

    def head(self, status: int = 200, headers: dict[str, Any] | None = None) -> bytes:
        """The lines before a body."""
        given = {"Content-Type": "application/json", "Connection": "close", **(headers or {})}
        lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in given.items() if value is not None)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def answer(self) -> None:
        """Answer by rights."""
        self.send(self.head(self.status, {"Content-Length": len(self.body)}) + self.body)

    def goes_on(self, seconds: float) -> bool:
        """Wait, and tell whether the test still runs."""
        return not self._ending.wait(seconds)


def says(value: Any, status: int = 200, **headers: str | None) -> Answer:
    """Answer with this JSON, or with these bytes; `_` in the names of headers stands for `-`."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return lambda exchange: exchange.send(exchange.head(status, {"Content-Length": len(body)} | named) + body)


def sends(data: bytes) -> Answer:
    """Send these bytes, which need not be HTTP."""
    return lambda exchange: exchange.send(data)


def waits(seconds: float) -> Answer:
    """Answer by rights, but late."""
    return lambda exchange: exchange.answer() if exchange.goes_on(seconds) else None


def hangs(exchange: Exchange) -> None:
    """Take the request and never answer."""
    exchange.goes_on(60)


def resets(exchange: Exchange) -> None:
    """Leave without lingering, which is a reset."""
    exchange.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def drips(where: str, interval: float = 0.05) -> Answer:
    """Send a "body", "headers" or a "promise" (an answer yet to come) without end, a bit in every `interval` (s)."""

    def answer(exchange: Exchange) -> None:
        exchange.send({"body": exchange.head(), "headers": b"HTTP/1.1 200 X\r\n", "promise": b""}[where])
        for number in itertools.count():
            if not exchange.goes_on(interval):
                return
            bits = {"body": b" ", "headers": b"X-%d: x\r\n" % (number % 50), "promise": b"HTTP/1.1 100 X\r\n\r\n"}
            exchange.send(bits[where])

    return answer


def huge(size: int, *, announced: bool) -> Answer:
    """Send a body of `size` bytes, with or without saying so before."""

    def answer(exchange: Exchange) -> None:
        exchange.send(exchange.head(headers={"Content-Length": size if announced else None}))
        for _ in range(0, size, BLOCK):
            exchange.send(b" " * BLOCK)

    return answer


def bomb(size: int) -> Answer:
    """Send what unpacks to `size` bytes."""
    packed = gzip.compress(b" " * size)
    return lambda exchange: exchange.send(exchange.head(headers={"Content-Encoding": "gzip"}) + packed)


def redirects(location: str, status: int = 302) -> Answer:
    """Lead elsewhere."""
    return says(b"", status, Location=location)


class HostileServer:
    """A context manager. It answers by `answers`, or else by `usual`, and remembers what it was asked.

    With a `certificate`, PEM with its key, by https.
    """

    def __init__(self, host: str = "127.0.0.1", *, certificate: str | None = None) -> None:
        self.port = free_port()
        self.url = f"{'https' if certificate else 'http'}://{host}:{self.port}"
        self.requests: list[Request] = []
        self.answers: dict[str, Answer] = {}
        """By path: what is answered there instead."""
        self._ending = threading.Event()
        self._open: set[socket.socket] = set()
        self._server = _Server((host, self.port), self._serve, self._open, certificate)
        self._thread = threading.Thread(target=partial(self._server.serve_forever, 0.01))

    def usual(self, request: Request) -> tuple[int, bytes]:
        """Status and body by rights."""
        return 200, b"{}"

    def asked(self, path: str) -> list[Request]:
        """The requests for that path so far."""
        return [request for request in self.requests if request.path == path]

    @property
    def connections(self) -> int:
        """Connections that are open."""
        return len(self._open)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._server.shutdown()
        for connection in list(self._open):
            # Unlike closing, this ends the calls that wait in other threads.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()
        self._thread.join()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        form = dict(parse_qsl(handler.rfile.read(int(handler.headers.get("Content-Length") or 0)).decode()))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        request = Request(handler.command, handler.path.partition("?")[0], headers, form)
        self.requests.append(request)
        handler.close_connection = True
        exchange = Exchange(handler.connection, self.usual(request), self._ending)
        self.answers.get(request.path, Exchange.answer)(exchange)


class _Server(ThreadingHTTPServer):
    daemon_threads = False

    def __init__(
        self,
        address: tuple[str, int],
        serve: Callable[[BaseHTTPRequestHandler], None],
        connections: set[socket.socket],
        certificate: str | None,
    ) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                # The other side may leave at any time, and the test may end.
                with contextlib.suppress(OSError):
                    serve(self)

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *_: Any) -> None:
                pass

        self._connections = connections
        self._tls = _tls(certificate) if certificate else None
        super().__init__(address, Handler)

    def get_request(self) -> Any:
        connection, address = super().get_request()
        if self._tls is not None:
            # The handshake comes with the first read, in the connection's own thread.
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        # Closing is enough, and leaves to `resets` how.
        self._connections.discard(request)
        self.close_request(request)

    def handle_error(self, *_: Any) -> None:
        pass  # a client that has left is none


def _tls(certificate: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(certificate)
        file.flush()
        context.load_cert_chain(file.name)
    return context
