"""Fixtures of the tests of web sources: a provider that misbehaves, and the way to it."""

import uuid
from collections.abc import Iterator

import pytest
from flask import Flask

from tests.auth.hostile import Way, connect, prepare
from tests.factories import Workspace
from tests.servers.hostile_http import HostileServer
from tests.servers.hostile_oidc import HostileProvider


@pytest.fixture(scope="module")
def running() -> Iterator[HostileProvider]:
    """A provider as the test before has left it."""
    with HostileProvider() as started:
        yield started


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[HostileServer]:
    """A server that is not to be asked."""
    with HostileServer() as started:
        yield started


@pytest.fixture
def provider(running: HostileProvider, monkeypatch: pytest.MonkeyPatch) -> HostileProvider:
    """A provider that was told nothing, and of which nothing is known."""
    return prepare(running, monkeypatch)


@pytest.fixture(scope="module")
def work(app: Flask, acme: Workspace, running: HostileProvider) -> uuid.UUID:
    """acme's source: a module that uses it has an acme of its own."""
    return connect(app, acme, running)


@pytest.fixture
def way(app: Flask, acme: Workspace, provider: HostileProvider, work: uuid.UUID) -> Way:
    """Somebody's way to it."""
    return Way(app, acme, provider, work)
