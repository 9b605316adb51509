"""LDAP servers that misbehave, each on threads of the test and on a free loopback port."""

import contextlib
import itertools
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.servers import free_port

BIND_REQUEST, SEARCH_REQUEST, EXTENDED_REQUEST = 0x60, 0x63, 0x77
SEARCH_ENTRY, SEARCH_DONE, SEARCH_REFERENCE = 0x64, 0x65, 0x73
SUCCESS, PROTOCOL_ERROR, REFERRAL = 0, 2, 10

# Requests that are answered (RFC 4511, section 4), and by what: a search by its end.
RESPONSES = {
    BIND_REQUEST: 0x61,
    SEARCH_REQUEST: SEARCH_DONE,
    0x66: 0x67,  # modify
    0x68: 0x69,  # add
    0x4A: 0x6B,  # delete
    0x6C: 0x6D,  # rename
    0x6E: 0x6F,  # compare
    EXTENDED_REQUEST: 0x78,
}
PAGED_RESULTS = b"1.2.840.113556.1.4.319"
HTTP = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<h1>400</h1>\n"
BLOCK = 65536


def tlv(tag: int, *parts: bytes) -> bytes:
    """Return a BER element."""
    return header(tag, sum(map(len, parts))) + b"".join(parts)


def header(tag: int, length: int) -> bytes:
    """Return what begins a BER element of `length` bytes."""
    if length < 0x80:
        return bytes([tag, length])
    digits = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(digits)]) + digits


def integer(number: int) -> bytes:
    """Return a BER integer that is not negative."""
    return tlv(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def message(number: int, operation: bytes, *controls: bytes) -> bytes:
    """Return an LDAP message."""
    return tlv(0x30, integer(number), operation, *([tlv(0xA0, *controls)] if controls else []))


def result(tag: int, code: int = SUCCESS, text: str = "", *referrals: str) -> bytes:
    """Return an operation that ends another one."""
    urls = [tlv(0xA3, *(tlv(0x04, url.encode()) for url in referrals))] if referrals else []
    return tlv(tag, tlv(0x0A, bytes([code])), tlv(0x04), tlv(0x04, text.encode()), *urls)


def entry(dn: str, **attributes: str) -> bytes:
    """Return a search result entry."""
    pairs = (
        tlv(0x30, tlv(0x04, name.encode()), tlv(0x31, tlv(0x04, attributes[name].encode()))) for name in attributes
    )
    return tlv(SEARCH_ENTRY, tlv(0x04, dn.encode()), tlv(0x30, *pairs))


@dataclass(frozen=True)
class Request:
    """A request as it came; without a number it is no LDAP message."""

    data: bytes
    number: int = 0
    operation: int = 0

    def answer(self, code: int = SUCCESS, text: str = "", *referrals: str) -> bytes:
        """Return the message that ends it; nothing if there is none, as for unbind."""
        response = RESPONSES.get(self.operation)
        return message(self.number, result(response, code, text, *referrals)) if response else b""


def measure(data: bytes) -> tuple[int, int] | None:
    """Where the content of the BER element at the start begins and ends, None if that did not arrive yet."""
    if len(data) < 2:
        return None
    if data[1] < 0x80:
        return 2, 2 + data[1]
    start = 2 + (data[1] & 0x7F)
    return (start, start + int.from_bytes(data[2:start], "big")) if len(data) >= start else None


def parse(data: bytes) -> Request:
    """Read a whole message's number and operation."""
    start, _ = measure(data) or (0, 0)
    inner, end = measure(data[start:]) or (0, 0)
    return Request(data, int.from_bytes(data[start + inner : start + end], "big"), data[start + end])


class Hostile:
    """A server that answers every request with success, and StartTLS with a refusal; its kinds are worse."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"ldap://localhost:{self.port}"
        self.connections = 0
        self._received = bytearray()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._ending = threading.Event()

    @property
    def received(self) -> bytes:
        """Everything that was received, on all connections."""
        return bytes(self._received)

    def serve(self, connection: socket.socket) -> None:
        """Serve one connection until it ends."""
        for request in self._requests(connection):
            for answer in self.answers(request):
                if not self.goes_on():
                    return
                connection.sendall(answer)

    def answers(self, request: Request) -> Iterable[bytes]:
        """Return what to send to a request."""
        return [request.answer(PROTOCOL_ERROR if request.operation == EXTENDED_REQUEST else SUCCESS)]

    def goes_on(self, seconds: float = 0) -> bool:
        """Wait, and tell whether the test still runs."""
        return not self._ending.wait(seconds)

    def __enter__(self) -> Self:
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self._listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._end([self._listener], self._threads[:1])
        # Nothing is accepted any more, so these are all.
        self._end(self._open, self._threads[1:])

    def _listen(self) -> None:
        self._listener.listen()
        self._spawn(self._accept)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.append(connection)
                self._spawn(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        # The other side may leave at any time, and the test may end.
        with contextlib.suppress(OSError), connection:
            self.serve(connection)

    def _spawn(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _end(self, sockets: list[socket.socket], threads: list[threading.Thread]) -> None:
        for opened in sockets:
            # Unlike closing, this ends the calls that wait in other threads.
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        for opened in sockets:
            opened.close()

    def _requests(self, connection: socket.socket) -> Iterator[Request]:
        """Yield each request when it is complete, and what is none as it comes."""
        waiting = b""
        while more := connection.recv(BLOCK):
            self._received += more
            waiting += more
            while waiting:
                measured = measure(waiting) if waiting[0] == 0x30 else (0, len(waiting))
                if measured is None or measured[1] > len(waiting):
                    break
                data, waiting = waiting[: measured[1]], waiting[measured[1] :]
                yield parse(data) if data[0] == 0x30 else Request(data)


class Refusing(Hostile):
    """A port on which nothing listens."""

    def _listen(self) -> None:
        """Keep the port, so that nobody else comes to listen on it."""


class Silent(Hostile):
    """Reads and never answers."""

    def answers(self, request: Request) -> Iterable[bytes]:
        """Say nothing."""
        return []


class Resetting(Hostile):
    """Resets each connection as soon as it is accepted."""

    def serve(self, connection: socket.socket) -> None:
        """Leave without lingering, which is a reset."""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Scripted(Hostile):
    """Answers the bytes of a request with the bytes that a function makes of them."""

    def __init__(self, script: Callable[[bytes], bytes]) -> None:
        super().__init__()
        self._script = script

    def answers(self, request: Request) -> Iterable[bytes]:
        """Answer as the function says."""
        return [self._script(request.data)]


class Garbage(Scripted):
    """Answers everything with what is no LDAP."""

    def __init__(self, answer: bytes = HTTP) -> None:
        super().__init__(lambda _: answer)


class Dripping(Hostile):
    """Answers with success, a byte in every `interval` (seconds), again and again."""

    def __init__(self, interval: float = 1.0) -> None:
        super().__init__()
        self._interval = interval

    def answers(self, request: Request) -> Iterable[bytes]:
        """Give out an answer's bytes slowly and without end."""
        for byte in itertools.cycle(request.answer()):
            self.goes_on(self._interval)
            yield bytes([byte])


class Endless(Hostile):
    """Lets everybody in and finds entries without end."""

    def answers(self, request: Request) -> Iterable[bytes]:
        """Answer a search with entries only."""
        if request.operation != SEARCH_REQUEST:
            return super().answers(request)
        uids = (f"user{number}" for number in itertools.count())
        entries = (entry(f"uid={uid},dc=acme,dc=example", uid=uid, mail=f"{uid}@acme.example") for uid in uids)
        return (message(request.number, found) for found in entries)


class EndlessPages(Hostile):
    """Lets everybody in and has one more page, with nothing on it, for every search."""

    def answers(self, request: Request) -> Iterable[bytes]:
        """Answer a search with a cookie for the next page."""
        if request.operation != SEARCH_REQUEST:
            return super().answers(request)
        page = tlv(0x30, integer(0), tlv(0x04, b"more"))
        return [message(request.number, result(SEARCH_DONE), tlv(0x30, tlv(0x04, PAGED_RESULTS), tlv(0x04, page)))]


class Huge(Hostile):
    """Answers one kind of request with a single message of `size` bytes, announced and then sent."""

    def __init__(self, operation: int = SEARCH_REQUEST, size: int = 1 << 30) -> None:
        super().__init__()
        self._operation, self._size = operation, size

    def answers(self, request: Request) -> Iterable[bytes]:
        """Announce a long answer and send it."""
        if request.operation != self._operation:
            return super().answers(request)
        tag = SEARCH_ENTRY if self._operation == SEARCH_REQUEST else RESPONSES[self._operation]
        begins = integer(request.number) + header(tag, self._size)
        blocks = (bytes(min(BLOCK, self._size - sent)) for sent in range(0, self._size, BLOCK))
        return itertools.chain([header(0x30, len(begins) + self._size) + begins], blocks)


class RefusingStartTls(Hostile):
    """Knows no StartTLS, and would take a password without."""


class StrippingStartTls(Hostile):
    """Agrees to StartTLS and goes on in plain text; `injecting`, it does so before anything more is asked."""

    def __init__(self, *, injecting: bool = False) -> None:
        super().__init__()
        self._injecting = injecting

    def answers(self, request: Request) -> Iterable[bytes]:
        """Answer a TLS handshake, or what was not even asked, with an accepted bind."""
        accepted = message(2, result(RESPONSES[BIND_REQUEST]))
        if request.operation == EXTENDED_REQUEST:
            return [request.answer() + (accepted if self._injecting else b"")]
        return [request.answer() if request.operation else accepted]


class Referring(Hostile):
    """Refers every search elsewhere, by a reference and at its end, and every bind too if `binds`."""

    def __init__(self, url: str, *, binds: bool = True) -> None:
        super().__init__()
        self._url = url
        self._operations = {SEARCH_REQUEST, BIND_REQUEST} if binds else {SEARCH_REQUEST}

    def answers(self, request: Request) -> Iterable[bytes]:
        """Answer with the address of another server."""
        if request.operation not in self._operations:
            return super().answers(request)
        reference = message(request.number, tlv(SEARCH_REFERENCE, tlv(0x04, self._url.encode())))
        return [*([reference] if request.operation == SEARCH_REQUEST else []), request.answer(REFERRAL, "", self._url)]
