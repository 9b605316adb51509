"""Fixtures of the tests of identity and permissions."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, tzinfo
from typing import Any

import flask_security.utils
import pytest
from flask import Flask

import tenants.db
from saas import create_app
from tests.conftest import Database
from tests.factories import Workspace
from tests.visitor import Visitor, sign_in


class Clock:
    """The time of the whole application, which tests move on."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def advance(self, **amount: float) -> None:
        """Move on by so many days, hours, minutes, seconds."""
        self.offset += timedelta(**amount)


@pytest.fixture
def clock(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock to move on: times of rows, of signatures, of steps and of one-time codes."""
    clock, real_time = Clock(), time.time

    class Moved(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) + clock.offset

    def moved() -> float:
        return real_time() + clock.offset.total_seconds()

    monkeypatch.setattr(tenants.db, "datetime", Moved)
    monkeypatch.setattr(flask_security.utils, "datetime", Moved)
    monkeypatch.setattr(time, "time", moved)
    monkeypatch.setattr(app.extensions["security"].totp_factory._totp, "now", staticmethod(moved))
    return clock


@pytest.fixture
def make_app(database: Database) -> Iterator[Callable[..., Flask]]:
    """Make a further application on the same database, with other settings."""
    made: list[Flask] = []

    def make(**settings: Any) -> Flask:
        made.append(create_app(database.settings(**settings)))
        return made[-1]

    yield make
    for app in made:
        app.extensions["tenants"].engines.dispose()


@pytest.fixture
def owner(app: Flask, acme: Workspace) -> Visitor:
    """A browser in which acme's owner is signed in."""
    return sign_in(app, acme, "owner")


@pytest.fixture
def stranger(app: Flask, acme: Workspace) -> Visitor:
    """Another browser on acme's host, elsewhere in the world."""
    return Visitor(app, acme.host, "198.51.100.7")


@pytest.fixture
def hashes(app: Flask, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The password hashes computed during the test, each as the name of the operation."""
    computed: list[str] = []
    context = app.extensions["security"].pwd_context._context

    class Counting:
        def __getattr__(self, name: str) -> object:
            found = getattr(context, name)
            if name not in ("hash", "verify"):
                return found

            def count(*arguments: object, **options: object) -> object:
                computed.append(name)
                return found(*arguments, **options)

            return count

    monkeypatch.setattr(app.extensions["security"].pwd_context, "_context", Counting())
    return computed
