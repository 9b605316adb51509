"""Real servers for tests, each started on a free loopback port in a temporary folder."""

import os
from collections.abc import Callable
from typing import TypeVar

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
