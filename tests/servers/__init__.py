"""Real servers for tests, each started on a free loopback port in a temporary folder."""

import os
import pwd
import random
import socket
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

Server = TypeVar("Server")


class ServerMissingError(RuntimeError):
    """This machine cannot run the server that was asked for."""


def require(start: Callable[[], Server]) -> Server:
    """Return what `start` returns; without its server the test fails under CI and is skipped elsewhere."""
    try:
        return start()
    except ServerMissingError as error:
        reason = str(error)
    if os.environ.get("CI", "").lower() in {"1", "true", "yes"}:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def free_port() -> int:
    """Return a free port below the range of outgoing connections, so that it stays free while the server is down."""
    while True:
        port = random.SystemRandom().randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def unprivileged(user: str) -> dict[str, Any]:
    """Return Popen's arguments for a server that shall not run as root: `user`'s if there is one, else nobody's."""
    if os.geteuid() != 0:
        return {}
    users = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = users.get(user) or users["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
