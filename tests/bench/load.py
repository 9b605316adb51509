"""Keep-alive clients in threads; they only send, read and count."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection

CLIENTS = 4


@dataclass(frozen=True)
class Call:
    """One request: always the same for a caller."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None = None


def drive(port: int, calls: Sequence[Call], count: int, expected: int) -> float:
    """Send `count` requests, taking `calls` in turn; gives back the seconds that took.

    Raises AssertionError when an answer has another status than `expected`.
    """
    wrong: list[tuple[int, bytes]] = []

    def work(first: int) -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        for number in range(first, count, CLIENTS):
            call = calls[number % len(calls)]
            connection.request(call.method, call.path, call.body, call.headers)
            response = connection.getresponse()
            answer = response.read()
            if response.status != expected:
                wrong.append((response.status, answer[:200]))
        connection.close()

    start = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(work, range(CLIENTS)))  # raises what one of them has
    assert not wrong, wrong[:3]
    return time.monotonic() - start
