"""A provider, or whoever stands between it and a browser, gets nobody in who is not the person at the browser."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.auth import sources
from tests.auth.conftest import Clock
from tests.auth.helpers import at_once, inside
from tests.auth.hostile import LOST, Way, brief, changed, connect, prepare
from tests.factories import Workspace
from tests.servers.hostile_oidc import REMOVED, HostileProvider
from tests.visitor import Visitor


@pytest.fixture(scope="module")
def running() -> Iterator[HostileProvider]:
    with HostileProvider() as started:
        yield started


@pytest.fixture(scope="module")
def second() -> Iterator[HostileProvider]:
    """Another provider, with keys of the same name."""
    with HostileProvider() as started:
        yield started


@pytest.fixture
def provider(running: HostileProvider, monkeypatch: pytest.MonkeyPatch) -> HostileProvider:
    return prepare(running, monkeypatch)


@pytest.fixture
def way(app: Flask, acme: Workspace, provider: HostileProvider) -> Way:
    """Somebody's way to acme's source, which makes users of its domain."""
    return Way(app, acme, provider, connect(app, acme, provider))


@pytest.fixture
def brokered(app: Flask, acme: Workspace, provider: HostileProvider) -> Way:
    """The same by the broker."""
    return Way(app, acme, provider, connect(app, acme, provider, broker=True))


@pytest.fixture
def other(app: Flask, acme: Workspace, second: HostileProvider) -> Way:
    """The way to another source of acme's, for which nobody is made a user."""
    second.behave()
    return Way(app, acme, second, connect(app, acme, second, "other", owns=False))


def statuses(answers: list[TestResponse]) -> list[tuple[int, str]]:
    return sorted((answer.status_code, answer.headers.get("Location", "")) for answer in answers)


def same_browser(way: Way) -> Visitor:
    """The same browser once more, for another thread."""
    twin = Visitor(way.app, way.visitor.host)
    twin.take_cookies(way.visitor.cookies())
    return twin


class TestState:
    """An answer belongs to one attempt, of one browser, at one source; and counts once."""

    def test_it_counts_once(self, way: Way) -> None:
        address = way.back()
        way.assert_in(way.follow(address))
        again = way.follow(address)
        assert again.status_code == 400
        assert LOST in again.text
        assert len(way.provider.asked("/token")) == 1

    def test_it_counts_once_at_once(self, way: Way) -> None:
        address = way.back()
        browsers = [same_browser(way) for _ in range(4)]
        answers = at_once([lambda one=one: sources.follow(one, address) for one in browsers])
        assert statuses(answers) == [(302, "/"), (400, ""), (400, ""), (400, "")]
        assert len(way.provider.asked("/token")) == 1

    def test_it_is_used_up_by_a_failure_too(self, way: Way) -> None:
        address = way.back(nonce="x")
        way.assert_out(way.follow(address), "wrong-nonce")
        way.assert_lost(way.follow(address))

    def test_another_browser_cannot_use_it(self, way: Way) -> None:
        address, stranger = way.back(), way.again()
        stranger.assert_lost(stranger.follow(address))
        assert not way.provider.asked("/token")
        way.assert_in(way.follow(address))  # nor use it up

    def test_nor_can_another_tenants(self, way: Way, globex: Workspace) -> None:
        theirs = Way(way.app, globex, way.provider, connect(way.app, globex, way.provider))
        theirs.back()
        address = way.back()
        for config_id in (way.config_id, theirs.config_id):
            answer = theirs.follow(f"{globex.url}/sso/{config_id}/callback?{urlsplit(address).query}")
            assert answer.status_code in (400, 404)
        assert not theirs.visitor.is_signed_in()
        assert not way.provider.asked("/token")
        way.assert_in(way.follow(address))

    def test_nor_can_another_source_of_the_same(self, way: Way, other: Way) -> None:
        address = way.back()
        other.visitor = way.visitor
        other.assert_lost(other.follow(f"{way.workspace.url}/sso/{other.config_id}/callback?{urlsplit(address).query}"))
        assert not other.provider.asked("/token")
        way.assert_in(way.follow(address))

    def test_what_nobody_was_given_is_none(self, way: Way) -> None:
        for state in (REMOVED, "", "x", "x" * 50_000, "%00"):
            way.assert_lost(way.follow(changed(way.back(), state=state)))
        assert not way.provider.asked("/token")

    def test_it_lasts_ten_minutes(self, way: Way, clock: Clock) -> None:
        early, late = way.back(), way.back()
        clock.advance(minutes=9, seconds=50)
        way.assert_in(way.follow(early))
        clock.advance(seconds=11)
        assert way.follow(late).status_code == 400
        assert len(way.provider.asked("/token")) == 1

    def test_two_tabs_may_be_on_their_way(self, way: Way) -> None:
        first, second = way.back(), way.back()
        way.assert_in(way.follow(second))
        way.assert_in(way.follow(first))

    def test_a_source_that_was_switched_off_meanwhile_signs_nobody_in(self, way: Way) -> None:
        address = way.back()
        with inside(way.app, way.workspace):
            sources.configs.disable_provider(sources.configs.get_config("work"), actor=None)
        assert way.follow(address).status_code in (400, 404)
        assert not way.visitor.is_signed_in()


class TestBroker:
    """What the broker receives, it hands to the browser that began, once, and soon."""

    def hand_over(self, way: Way, **told: Any) -> str:
        """The address at the tenant's host to which the broker sends."""
        answer = sources.follow(way.visitor, way.back(**told))
        assert answer.status_code == 302
        address: str = answer.headers["Location"]
        assert address.startswith(f"{way.workspace.url}/sso/{way.config_id}/finish?code=")
        return address

    def test_it_is_handed_over_once(self, brokered: Way) -> None:
        address = self.hand_over(brokered)
        brokered.assert_in(brokered.follow(address))
        assert brokered.follow(address).status_code == 400

    def test_it_is_handed_over_once_at_once(self, brokered: Way) -> None:
        address = self.hand_over(brokered)
        browsers = [same_browser(brokered) for _ in range(4)]
        answers = at_once([lambda one=one: sources.follow(one, address) for one in browsers])
        assert statuses(answers) == [(302, "/"), (400, ""), (400, ""), (400, "")]

    def test_it_is_received_once(self, brokered: Way) -> None:
        address = brokered.back()
        sources.follow(brokered.visitor, address)
        assert sources.follow(brokered.visitor, address).status_code == 400
        assert len(brokered.provider.asked("/token")) == 1

    def test_it_is_received_once_at_once(self, brokered: Way) -> None:
        address = brokered.back()
        browsers = [same_browser(brokered) for _ in range(4)]
        answers = at_once([lambda one=one: sources.follow(one, address) for one in browsers])
        assert [status for status, _ in statuses(answers)] == [302, 400, 400, 400]
        assert len(brokered.provider.asked("/token")) == 1

    def test_it_waits_for_fifteen_seconds(self, brokered: Way, clock: Clock) -> None:
        early, late = self.hand_over(brokered), self.hand_over(brokered)
        clock.advance(seconds=13)
        brokered.assert_in(brokered.follow(early))
        clock.advance(seconds=3)
        assert brokered.follow(late).status_code == 400

    def test_another_browser_does_not_get_it(self, brokered: Way) -> None:
        address, stranger = self.hand_over(brokered), brokered.again()
        stranger.assert_lost(stranger.follow(address))
        stranger.back()  # nor when it is on its way itself
        stranger.assert_lost(stranger.follow(address))
        brokered.assert_in(brokered.follow(address))

    def test_nor_does_another_tenant(self, brokered: Way, globex: Workspace) -> None:
        theirs = Way(
            brokered.app, globex, brokered.provider, connect(brokered.app, globex, brokered.provider, broker=True)
        )
        theirs.back()
        query = urlsplit(self.hand_over(brokered)).query
        for config_id in (brokered.config_id, theirs.config_id):
            assert theirs.follow(f"{globex.url}/sso/{config_id}/finish?{query}").status_code in (400, 404)
        assert not theirs.visitor.is_signed_in()

    def test_nor_does_another_source(self, brokered: Way, other: Way) -> None:
        address = self.hand_over(brokered)
        moved = f"{brokered.workspace.url}/sso/{other.config_id}/finish?{urlsplit(address).query}"
        brokered.assert_lost(brokered.follow(moved))
        brokered.assert_in(brokered.follow(address))

    def test_nothing_is_handed_over_for_what_nobody_was_given(self, brokered: Way) -> None:
        address = self.hand_over(brokered)
        for code in (REMOVED, "", "x", "x" * 50_000):
            brokered.assert_lost(brokered.follow(changed(address, code=code)))

    def test_what_belongs_to_it_is_nothing_to_the_own_address(self, brokered: Way) -> None:
        query = urlsplit(brokered.back()).query
        brokered.assert_lost(brokered.follow(f"{brokered.workspace.url}/sso/{brokered.config_id}/callback?{query}"))
        assert not brokered.provider.asked("/token")

    def test_what_belongs_to_the_own_address_is_nothing_to_it(self, way: Way) -> None:
        address = way.back()
        state = dict(parse_qsl(urlsplit(address).query))["state"]
        for given in (state, f"{way.workspace.slug}.{state}"):
            moved = changed(
                f"http://auth.localhost/broker/{way.config_id}/callback?{urlsplit(address).query}", state=given
            )
            assert sources.follow(way.visitor, moved).status_code == 400
        assert not way.provider.asked("/token")

    def test_it_does_not_take_one_source_for_another(self, app: Flask, brokered: Way, second: HostileProvider) -> None:
        second.behave()
        workspace = brokered.workspace
        honest = Way(app, workspace, second, connect(app, workspace, second, "honest", owns=False, broker=True))
        query = urlsplit(brokered.back()).query
        answer = sources.follow(brokered.visitor, f"http://auth.localhost/broker/{honest.config_id}/callback?{query}")
        assert answer.status_code == 400
        assert not second.asked("/token")

    def test_nor_one_tenant_for_another(self, brokered: Way, globex: Workspace) -> None:
        address = brokered.back()
        state = dict(parse_qsl(urlsplit(address).query))["state"]
        for slug in (globex.slug, "", "auth", "..", "'", "x" * 10_000):
            moved = changed(address, state=f"{slug}.{state.partition('.')[2]}")
            assert sources.follow(brokered.visitor, moved).status_code == 400
        assert not brokered.provider.asked("/token")

    @pytest.mark.parametrize(("told", "fault", "status"), [
        ({"error": "access_denied"}, "denied", 403), ({"error": "server_error"}, "busy", 503),
        ({"nonce": "x"}, "wrong-nonce", 502), ({"iss": "https://other.example"}, "mixed-up", 502),
    ], ids=brief)  # fmt: skip
    def test_what_went_wrong_is_told_where_it_began(
        self, brokered: Way, told: dict[str, str], fault: str, status: int
    ) -> None:
        brokered.assert_out(brokered.come(**told), fault, status)
