"""A name server on loopback, over UDP and TCP, that answers as a test says."""

import socket
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.TXT
import dns.rrset

from tests.servers import free_port

MOST_BY_UDP = 512

Response = Callable[[dns.message.Message], dns.message.Message | None]


class NameServer:
    """What nobody has set is not there (NXDOMAIN). Names are written without the last dot.

    A value is text, or the pieces of one; a longer one than 255 bytes is cut into such pieces.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        """The names that were asked for, in order, over TCP with a "tcp:" in front."""
        self.pause = 0.0
        """Seconds between two bytes over TCP; 0: all at once."""
        self._responses: dict[dns.name.Name, Response] = {}
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def address(self) -> str:
        """For SAAS_NAME_SERVERS."""
        return f"127.0.0.1:{self.port}"

    def publish(self, name: str, *values: str | tuple[str, ...]) -> None:
        """Have TXT records there; without values the name is there and has none."""

        def respond(query: dns.message.Message) -> dns.message.Message:
            response = dns.message.make_response(query)
            self._add_texts(response, dns.name.from_text(name), values)
            return response

        self._responses[dns.name.from_text(name)] = respond

    def alias(self, name: str, target: str, *values: str) -> None:
        """Have an alias there, and the records of its target along with it, as resolvers send them."""

        def respond(query: dns.message.Message) -> dns.message.Message:
            response = dns.message.make_response(query)
            response.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", "CNAME", f"{target}."))
            self._add_texts(response, dns.name.from_text(target), values)
            return response

        self._responses[dns.name.from_text(name)] = respond

    def fail(self, name: str, rcode: str = "SERVFAIL") -> None:
        """Answer with an error."""

        def respond(query: dns.message.Message) -> dns.message.Message:
            response = dns.message.make_response(query)
            response.set_rcode(dns.rcode.from_text(rcode))
            return response

        self._responses[dns.name.from_text(name)] = respond

    def silence(self, name: str) -> None:
        """Do not answer at all."""
        self._responses[dns.name.from_text(name)] = lambda query: None

    def forget(self, name: str) -> None:
        """Have nothing there any more."""
        self._responses.pop(dns.name.from_text(name), None)

    def __enter__(self) -> Self:
        while not self._bind():
            pass
        for work in (self._serve_udp, self._serve_tcp):
            self._threads.append(threading.Thread(target=work, daemon=True))
            self._threads[-1].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()
        self._udp.close()
        self._tcp.close()

    def _bind(self) -> bool:
        self.port = free_port()
        self._udp = socket.socket(type=socket.SOCK_DGRAM)
        self._tcp = socket.socket()
        self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            for opened in (self._udp, self._tcp):
                opened.settimeout(0.05)  # how soon the end of the test is noticed
                opened.bind(("127.0.0.1", self.port))
        except OSError:
            self._udp.close()
            self._tcp.close()
            return False
        self._tcp.listen()
        return True

    def _serve_udp(self) -> None:
        while not self._ending.is_set():
            try:
                data, sender = self._udp.recvfrom(4096)
            except TimeoutError:
                continue
            if response := self._respond(data):
                self._udp.sendto(self._cut(response), sender)

    def _serve_tcp(self) -> None:
        while not self._ending.is_set():
            try:
                connection, _ = self._tcp.accept()
            except TimeoutError:
                continue
            self._threads.append(threading.Thread(target=self._serve, args=(connection,), daemon=True))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        with connection, connection.makefile("rb") as asked:
            try:
                (length,) = struct.unpack("!H", asked.read(2))
                response = self._respond(asked.read(length), "tcp:")
                if response is None:
                    self._ending.wait(5)
                    return
                wire = response.to_wire(max_size=65535)
                for part in self._parts(struct.pack("!H", len(wire)) + wire):
                    connection.sendall(part)
            except (OSError, struct.error):  # whoever asked has left
                return

    def _parts(self, data: bytes) -> "list[bytes] | map[bytes]":
        if not self.pause:
            return [data]

        def after_a_pause(position: int) -> bytes:
            self._ending.wait(self.pause)
            return data[position : position + 1]

        return map(after_a_pause, range(len(data)))

    def _respond(self, data: bytes, way: str = "") -> dns.message.Message | None:
        query = dns.message.from_wire(data)
        name = query.question[0].name
        self.asked.append(way + name.to_text(omit_final_dot=True))
        respond = self._responses.get(name)
        if respond is not None:
            return respond(query)
        response = dns.message.make_response(query)
        response.set_rcode(dns.rcode.NXDOMAIN)
        return response

    @staticmethod
    def _cut(response: dns.message.Message) -> bytes:
        try:
            return response.to_wire(max_size=MOST_BY_UDP)
        except dns.exception.TooBig:
            response.answer.clear()
            response.flags |= dns.flags.TC
            return response.to_wire()

    @staticmethod
    def _add_texts(
        response: dns.message.Message, name: dns.name.Name, values: tuple[str | tuple[str, ...], ...]
    ) -> None:
        if not values:
            return
        records = [dns.rdtypes.ANY.TXT.TXT(dns.rdataclass.IN, dns.rdatatype.TXT, _pieces(value)) for value in values]
        response.answer.append(dns.rrset.from_rdata_list(name, 60, records))


def _pieces(value: str | tuple[str, ...]) -> list[bytes]:
    if isinstance(value, tuple):
        return [piece.encode() for piece in value]
    encoded = value.encode()
    return [encoded[start : start + 255] for start in range(0, len(encoded) or 1, 255)]
