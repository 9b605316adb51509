"""Whatever a provider does on the wire, it takes a bounded time and little room, and nothing of it stays."""

import gc
import gzip
import os
import ssl
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask

from auth.providers.oauth import provider as module
from auth.providers.oauth.channel import LONGEST_ANSWER, Channel
from tests.auth.hostile import CLIENT, Way, brief
from tests.factories import Workspace, make_workspace
from tests.servers import hostile_http as bad
from tests.servers.hostile_http import Answer, HostileServer
from tests.servers.hostile_oidc import DISCOVERY, REMOVED, HostileProvider
from tests.visitor import Visitor

PATIENCE = 0.4
GRACE = 8.0
"""Seconds, for a machine that has much to do."""
PATHS = [DISCOVERY, "/token", "/jwks", "/userinfo"]
MIB = 1 << 20
ODD_ANSWERS = {
    "a reset": bad.resets,
    "nothing": bad.sends(b""),
    "no HTTP": bad.sends(b"SSH-2.0-x\r\n"),
    "no status": bad.sends(b"HTTP/1.1 9999 x\r\n\r\n"),
    "many headers": bad.sends(b"HTTP/1.1 200 x\r\n" + b"a: b\r\n" * 1000 + b"\r\n"),
    "a long header": bad.sends(b"HTTP/1.1 200 x\r\na: " + b"b" * 100_000 + b"\r\n\r\n"),
    "two lengths": bad.sends(b"HTTP/1.1 200 x\r\nContent-Length: 5,6\r\n\r\n{}"),
    "a negative length": bad.sends(b"HTTP/1.1 200 x\r\nContent-Length: -1\r\n\r\n{}"),
    "less than announced": bad.sends(b"HTTP/1.1 200 x\r\nContent-Length: 99\r\n\r\n{}"),
    "no chunks": bad.sends(b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}"),
    "not packed": bad.says(b"xx", Content_Encoding="gzip"),
    "packed often": bad.says(b"xx", Content_Encoding=", ".join(["gzip"] * 7)),
    "bytes": bad.says(b"\xff\xfe\xfd", Content_Type="application/octet-stream"),
    "no such encoding": bad.says(b"{}", Content_Type="application/json; charset=no-such"),
    "500": bad.says({}, 500),
    "429": bad.says({}, 429),
    "204": bad.says({}, 204),
    "404": bad.says({"access_token": "x"}, 404),
    "a list": bad.says([]),
    "null": bad.says(None),
    "a text": bad.says("access_token"),
    "depth": bad.says(b"[" * 100_000),
    "a long number": bad.says(b'{"access_token": ' + b"9" * 5000 + b"}"),
    "an odd error": bad.says({"error": ["x"], "error_description": {"a": 1}}),
    "no error": bad.says({"error": None}),
    "no token": bad.says({"token_type": "Bearer"}),
    "a number": bad.says({"access_token": 7, "token_type": "Bearer"}),
    "another type": bad.says({"access_token": "x", "token_type": "mac"}),
    "no type": bad.says({"access_token": "x", "token_type": ["Bearer"]}),
}


@pytest.fixture(scope="module")
def app(lone_app: Flask) -> Flask:
    """On one kind of database: it has no part in this."""
    return lone_app


@pytest.fixture(scope="module")
def acme(app: Flask) -> Workspace:
    return make_workspace(app)


@pytest.fixture(autouse=True)
def _thin(provider: HostileProvider) -> None:
    provider.thin = True  # so that all of its addresses are asked


@pytest.fixture
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little patience."""

    class Hurried(Channel):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options | {"patience": PATIENCE})

    monkeypatch.setattr(module, "Channel", Hurried)


@contextmanager
def quickly(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


class TestTime:
    """A visit ends when its time is up, however a server spends it."""

    @pytest.mark.parametrize(
        ("path", "answer"),
        [
            *((path, bad.drips("body")) for path in PATHS),
            ("/token", bad.drips("headers")),
            ("/token", bad.drips("promise", 0.01)),
            ("/token", bad.hangs),
            ("/token", bad.waits(3)),
        ],
        ids=[*PATHS, "headers", "promises", "silence", "lateness"],
    )
    @pytest.mark.usefixtures("_hurried")
    def test_it_is_up(self, way: Way, path: str, answer: Answer) -> None:
        way.provider.answers[path] = answer
        with quickly(PATIENCE + GRACE):
            way.assert_out(way.try_out(), "timeout", 503)

    @pytest.mark.usefixtures("_hurried")
    def test_it_is_of_all_requests_together(self, way: Way) -> None:
        for path in PATHS[1:]:
            way.provider.answers[path] = bad.waits(PATIENCE / 2)
        with quickly(PATIENCE + GRACE):
            way.assert_out(way.try_out(), "timeout", 503)

    def test_the_certificates_of_authorities_are_read_once(self, way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
        way.assert_in(way.come())
        read: list[Any] = []
        real = ssl.create_default_context

        def create(*arguments: Any, **options: Any) -> Any:
            read.append(options)
            return real(*arguments, **options)

        monkeypatch.setattr(ssl, "create_default_context", create)
        again = way.again()
        again.assert_in(again.come())
        assert len(read) <= 1  # it takes 25 ms, which anybody could have spent by asking for the way there

    def test_no_name_of_an_encoding_makes_reading_slow(self, way: Way) -> None:
        body = b"a-" + b"a" * (LONGEST_ANSWER // 2)
        way.provider.answers["/token"] = bad.says(body, Content_Type="application/json; charset=punycode")
        with quickly(GRACE):
            way.assert_out(way.try_out(), "odd-answer")


class TestLength:
    """No more is read, nor unpacked, than any answer has."""

    @pytest.mark.parametrize("path", [DISCOVERY, "/token"])
    @pytest.mark.parametrize("announced", [True, False])
    def test_a_long_answer_is_not_read(self, way: Way, path: str, announced: bool) -> None:
        way.provider.answers[path] = bad.huge(64 * MIB, announced=announced)
        way.assert_out(way.try_out(), "too-long")

    @pytest.mark.parametrize("path", [DISCOVERY, "/token"])
    def test_a_packed_one_is_not_unpacked(self, way: Way, path: str) -> None:
        way.provider.answers[path] = bad.bomb(64 * MIB)
        with little_memory():
            answered = way.try_out()
        assert answered.status_code == 502
        assert not way.visitor.is_signed_in()

    def test_nor_is_one_that_leads_elsewhere(self, way: Way) -> None:
        packed = gzip.compress(b" " * 64 * MIB)

        def answer(exchange: bad.Exchange) -> None:
            headers = {"Content-Encoding": "gzip", "Location": "http://127.0.0.1:1/"}
            exchange.send(exchange.head(302, headers) + packed)

        way.provider.answers[DISCOVERY] = answer
        with little_memory():
            answered = way.try_out()
        assert answered.status_code in (502, 503)

    def test_as_much_as_makes_sense_is(self, way: Way) -> None:
        way.provider.userinfo = {"about": "x" * (LONGEST_ANSWER - 2000)}
        way.assert_in(way.come())


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        _now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 16 * MIB


class TestRedirects:
    """None is followed."""

    @pytest.mark.parametrize("path", [DISCOVERY, "/token"])
    @pytest.mark.parametrize("target", ["http://127.0.0.1:{port}/", "/elsewhere", "http://169.254.169.254/latest/"])
    def test_it_is_said_and_not_followed(self, way: Way, elsewhere: HostileServer, path: str, target: str) -> None:
        way.provider.answers[path] = bad.redirects(target.format(port=elsewhere.port))
        way.assert_out(way.try_out(), "redirected")
        assert not elsewhere.requests
        assert not way.provider.asked("/elsewhere")

    @pytest.mark.parametrize("status", [301, 307])
    def test_of_any_kind(self, way: Way, elsewhere: HostileServer, status: int) -> None:
        way.provider.answers["/token"] = bad.redirects(f"{elsewhere.url}/", status)
        way.assert_out(way.try_out(), "redirected")
        assert not elsewhere.requests

    def test_a_circle_is_asked_once(self, way: Way) -> None:
        way.provider.answers["/token"] = bad.redirects("/token", 307)
        assert way.try_out().status_code in (502, 503)
        assert len(way.provider.asked("/token")) == 1


class TestAnswers:
    """What is no answer is refused, and nobody sees an error of ours."""

    @pytest.mark.parametrize("name", ODD_ANSWERS)
    def test_of_the_token_endpoint(self, way: Way, name: str) -> None:
        way.provider.answers["/token"] = ODD_ANSWERS[name]
        answered = way.try_out()
        assert answered.status_code in (502, 503)
        assert not way.visitor.is_signed_in()
        assert len(way.provider.asked("/token")) == 1  # nothing is tried twice

    @pytest.mark.parametrize("value", [float("inf"), float("nan"), 10**400, "soon", [60], {}, "", None, -1], ids=brief)
    def test_when_a_token_ends_does_not_matter(self, way: Way, value: Any) -> None:
        for name in ("expires_in", "expires_at"):
            way.provider.token = {name: value}
            assert way.try_out().status_code in (302, 502)

    @pytest.mark.parametrize("token", ["a\r\nX: y", "\ud83d", "ä", "x" * 100_000, "\0", " "], ids=brief)
    def test_no_access_token_breaks_the_header(self, way: Way, token: str) -> None:
        way.provider.token, way.provider.claims = {"access_token": token}, {"at_hash": REMOVED}
        assert way.try_out().status_code in (502, 503)
        assert all("x" not in request.headers for request in way.provider.requests)

    @pytest.mark.parametrize("path", [DISCOVERY, "/userinfo"])
    @pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"{", b"[" * 100_000], ids=brief)
    def test_what_is_no_json_object_anywhere(self, way: Way, path: str, body: bytes) -> None:
        way.provider.answers[path] = bad.says(body)
        way.assert_out(way.try_out(), "odd-answer")


class TestRest:
    """Nothing of a visit stays: no thread that waits, and no connection."""

    @pytest.mark.parametrize("path", [DISCOVERY, "/token"])
    @pytest.mark.parametrize(
        "answer",
        [
            bad.drips("body"),
            bad.resets,
            bad.sends(b"HTTP/1.1 200 x\r\nContent-Length: 5,6\r\n\r\n{}"),
            bad.huge(64 * MIB, announced=False),
            bad.bomb(64 * MIB),
            bad.redirects("/elsewhere"),
            bad.sends(b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}"),
            bad.says(b"xx", Content_Encoding=", ".join(["gzip"] * 7)),
            bad.says(b"{"),
        ],
        ids=["drips", "resets", "lengths", "huge", "bomb", "redirects", "chunked", "encoded", "no json"],
    )  # fmt: skip
    @pytest.mark.usefixtures("_hurried")
    def test_after_a_bad_answer(self, way: Way, path: str, answer: Answer) -> None:
        way.provider.answers[path] = answer
        with nothing_left(way.provider):
            assert way.try_out().status_code in (502, 503)

    def test_after_a_good_one(self, way: Way) -> None:
        with nothing_left(way.provider):
            way.assert_in(way.come())


@contextmanager
def nothing_left(provider: HostileServer) -> Iterator[None]:
    """No thread, no connection and no open file; nobody collects what is forgotten, which would close it."""
    before = left(provider)
    gc.disable()
    try:
        yield
        deadline = time.monotonic() + GRACE
        while any(now > then for now, then in zip(left(provider), before, strict=True)):
            assert time.monotonic() < deadline, (before, left(provider))
            time.sleep(0.01)  # the server closes its own in a moment
    finally:
        gc.enable()


def left(provider: HostileServer) -> tuple[int, int, int]:
    timers = sum(isinstance(thread, threading.Timer) for thread in threading.enumerate())
    return timers, provider.connections, len(os.listdir("/dev/fd"))


@pytest.mark.usefixtures("_hurried")
def test_logout_tokens_of_a_dead_provider_are_refused(way: Way) -> None:
    way.provider.answers[DISCOVERY] = bad.hangs
    with quickly(PATIENCE + GRACE):
        answer = Visitor(way.app, way.workspace.host).client.post(
            f"/sso/{way.config_id}/backchannel-logout",
            base_url=way.workspace.url,
            data={"logout_token": way.provider.logout_token(CLIENT, sub="alice")},
        )
    assert answer.status_code in (400, 503)
