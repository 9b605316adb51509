"""A provider that does not answer is left alone for a while, and is nobody else's trouble."""

from types import SimpleNamespace

import pytest
from flask import Flask

from auth import breakers
from auth.breakers import OPEN_FOR
from tests.auth.hostile import Way, connect
from tests.factories import Workspace, make_workspace
from tests.servers import hostile_http as bad
from tests.servers.hostile_oidc import DISCOVERY


@pytest.fixture(scope="module")
def app(lone_app: Flask) -> Flask:
    """On one kind of database: it has no part in this."""
    return lone_app


@pytest.fixture(scope="module")
def acme(app: Flask) -> Workspace:
    return make_workspace(app)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=10_000.0)
    monkeypatch.setattr(breakers, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_it_is_not_asked_again_for_a_while(way: Way, clock: SimpleNamespace) -> None:
    way.provider.answers[DISCOVERY] = bad.resets
    for _ in range(2):
        way.assert_out(way.try_out(), "unreachable", 503)
    for _ in range(5):
        answer = way.try_out()
        way.assert_out(answer, "paused", 503)
        assert answer.headers["Retry-After"] == "15"
    assert len(way.provider.requests) == 2
    clock.now += OPEN_FOR + 1
    way.assert_out(way.try_out(), "unreachable", 503)
    way.assert_out(way.try_out(), "paused", 503)
    assert len(way.provider.requests) == 3


def test_it_is_asked_when_it_is_back(way: Way, clock: SimpleNamespace) -> None:
    way.provider.answers[DISCOVERY] = bad.resets
    for _ in range(2):
        way.try_out()
    way.provider.answers.clear()
    way.assert_out(way.try_out(), "paused", 503)
    clock.now += OPEN_FOR + 1
    way.assert_in(way.come())


def test_being_sent_there_is_no_answer_of_its(way: Way, clock: SimpleNamespace) -> None:
    way.assert_in(way.come())  # its description and its keys are known
    way.provider.answers["/token"] = bad.resets
    for _ in range(2):
        again = way.again()
        again.assert_out(again.try_out(), "unreachable", 503)
    again = way.again()
    again.assert_out(again.try_out(), "paused", 503)
    assert len(way.provider.asked("/token")) == 3  # with the one that was answered


def test_being_sent_back_by_nobody_is_none_either(way: Way, clock: SimpleNamespace) -> None:
    back = [(one := way.again(), one.back(error="access_denied")) for _ in range(3)]
    dead = [(one := way.again(), one.back()) for _ in range(3)]
    way.provider.answers["/token"] = bad.resets
    statuses = []
    for (denied, refusal), (asking, address) in zip(back, dead, strict=True):
        statuses.append(asking.follow(address).status_code)
        denied.follow(refusal)
    assert statuses == [503] * 3
    assert len(way.provider.asked("/token")) == 2


def test_another_workspace_does_not_notice(app: Flask, way: Way, clock: SimpleNamespace) -> None:
    way.provider.answers["/token"] = bad.resets
    addresses = [(one := way.again(), one.back()) for _ in range(3)]
    for one, address in addresses:
        one.follow(address)
    way.assert_out(way.try_out(), "paused", 503)
    way.provider.answers.clear()
    workspace = make_workspace(app)
    other = Way(app, workspace, way.provider, connect(app, workspace, way.provider))
    other.assert_in(other.come())


def test_what_people_answer_does_not_open_it(way: Way, clock: SimpleNamespace) -> None:
    for told in ({"error": "server_error"}, {"iss": "https://other.example"}, {"nonce": "x"}) * 2:
        again = way.again()
        assert again.come(**told).status_code in (502, 503)
    way.assert_in(way.come())
