"""A Redis server of the test run's own: nothing is kept on disk."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from tests.servers import ServerMissingError, free_port, unprivileged

READY_WITHIN = 30.0


@contextmanager
def start() -> Iterator[str]:
    """Run a server; gives its URL. Raises ServerMissingError."""
    program = shutil.which("redis-server")
    if program is None:
        raise ServerMissingError("redis-server is not installed")
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([program, *options], **silent, **unprivileged("redis"))  # type: ignore[call-overload]
    try:
        url = f"redis://127.0.0.1:{port}/0"
        _wait(url)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _wait(url: str) -> None:
    deadline = time.monotonic() + READY_WITHIN
    with redis.Redis.from_url(url) as client:
        while True:
            try:
                client.ping()
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    raise ServerMissingError("redis-server does not answer") from None
                time.sleep(0.02)
            else:
                return
