"""Clients that send or read a byte now and then, at gunicorn as it is deployed: none keeps its threads for ever."""

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import DEPLOY
from tests.servers import free_port

pytestmark = pytest.mark.slow

THREADS, CONNECTIONS = 2, 50
WAIT = 60
"""Seconds, within which everything here has happened long ago."""
APPLICATION = """
from flask import Flask, request

app = Flask("served")
app.config["MAX_CONTENT_LENGTH"] = 1024 * 1024

@app.get("/")
def show():
    return "shown"

@app.post("/")
def take():
    return str(len(request.get_data()))

@app.get("/much")
def give():
    return b"x" * 64_000_000
"""
HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
BODY = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
CHUNKS = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n186A0\r\n"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder, port = tmp_path_factory.mktemp("served"), free_port()
    (folder / "served.py").write_text(APPLICATION, encoding="utf-8")
    given = {
        "PYTHONPATH": str(folder), "BIND": f"127.0.0.1:{port}", "WEB_CONCURRENCY": "1", "WEB_THREADS": str(THREADS),
        "WEB_RECEIVE_TIMEOUT": "1", "WEB_SEND_TIMEOUT": "1", "WEB_CONNECTIONS": str(CONNECTIONS),
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "-c", str(DEPLOY / "gunicorn.conf.py"), "served:app"],
        cwd=Path(__file__).parent.parent,
        env=os.environ | given,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + WAIT
        while not _is_up(port):
            assert process.poll() is None, "gunicorn has ended"
            assert time.monotonic() < deadline, "gunicorn does not come up"
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _is_up(port: int) -> bool:
    with suppress(OSError):
        return ask(port) == b"shown"
    return False


def ask(port: int, body: bytes | None = None) -> bytes:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", data=body, headers={"Connection": "close"})
    with urllib.request.urlopen(request, timeout=WAIT) as answer:
        return bytes(answer.read())


def drip(port: int, beginning: bytes, over: threading.Event) -> bytes:
    """Send a byte again and again until the server has closed; gives what it has answered."""
    with socket.create_connection(("127.0.0.1", port), timeout=0.05) as client:
        client.sendall(beginning)
        answer = b""
        while not over.is_set():
            try:
                client.send(b"x")
                if not (part := client.recv(4096)):
                    return answer
                answer += part
            except TimeoutError:
                continue
            except OSError:
                return answer
    raise AssertionError("the server waits still")


def at_once(times: int, work: Callable[[], None]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work, daemon=True) for _ in range(times)]
    for thread in threads:
        thread.start()
    return threads


@pytest.mark.parametrize(
    ("beginning", "told"),
    [(b"", b""), (HEAD, b""), (BODY, b"HTTP/1.1 400"), (CHUNKS, b"HTTP/1.1 400")],
    ids=["request line", "head", "body", "chunks"],
)
def test_a_client_that_drips_is_cut_off_and_others_are_answered(port: int, beginning: bytes, told: bytes) -> None:
    over, answers = threading.Event(), []
    clients = at_once(2 * THREADS, lambda: answers.append(drip(port, beginning, over)))
    try:
        assert ask(port) == b"shown"
        for client in clients:
            client.join(WAIT)
    finally:
        over.set()
    assert len(answers) == len(clients)  # the server has closed each
    assert all(answer.startswith(told) for answer in answers)


@pytest.mark.parametrize("beginning", [BODY, CHUNKS], ids=["body", "chunks"])
def test_half_a_body_is_not_taken_for_a_whole_one(port: int, beginning: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as client:
        client.sendall(beginning + b"x" * 1000)
        client.shutdown(socket.SHUT_WR)
        assert client.makefile("rb").readline().startswith(b"HTTP/1.1 400")


def test_clients_that_send_nothing_hold_no_thread(port: int) -> None:
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(20 * THREADS)]
    try:
        assert ask(port) == b"shown"
    finally:
        for client in idle:
            client.close()


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"], ids=["nothing", "a request"])
def test_idle_connections_keep_nobody_out_however_many_there_are(port: int, sent: bytes) -> None:
    idle = []
    try:
        for _ in range(2 * CONNECTIONS):
            idle.append(socket.create_connection(("127.0.0.1", port), timeout=WAIT))
            if sent:
                idle[-1].sendall(sent)
                assert idle[-1].recv(12) == b"HTTP/1.1 200"
        assert ask(port) == b"shown"
    finally:
        for client in idle:
            client.close()


def test_clients_that_do_not_read_are_cut_off(port: int) -> None:
    unread = []
    for _ in range(2 * THREADS):
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(b"GET /much HTTP/1.1\r\nHost: localhost\r\n\r\n")
        unread.append(client)
    try:
        assert ask(port) == b"shown"
    finally:
        for client in unread:
            client.close()


def test_who_sends_as_fast_as_it_goes_is_answered(port: int) -> None:
    assert ask(port, b"x" * 1024 * 1024) == b"1048576"


def test_a_connection_serves_one_request_after_the_other(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as client, client.makefile("rb") as answers:
        for pause in (0.0, 1.5, 1.5):  # each longer than a request may take to arrive
            time.sleep(pause)
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert answers.readline().startswith(b"HTTP/1.1 200")
            while answers.readline().strip():
                pass
            assert answers.read(5) == b"shown"


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 9000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-Many: x\r\n" * 101 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=["line", "header", "headers", "two lengths"],
)
def test_a_head_is_bounded(port: int, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as client:
        client.sendall(head)
        assert client.makefile("rb").readline().startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
