"""What a browser brings back is believed only of the provider that was asked."""

import html
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from flask import Flask

from tests.auth import sources
from tests.auth.hostile import Way, brief, changed, connect
from tests.factories import Workspace, make_workspace
from tests.servers import hostile_http as bad
from tests.servers.hostile_oidc import REMOVED, HostileProvider

SCRIPT = '<script>alert("1")</script>'


@pytest.fixture(scope="module")
def app(lone_app: Flask) -> Flask:
    """On one kind of database: it has no part in this."""
    return lone_app


@pytest.fixture(scope="module")
def acme(app: Flask) -> Workspace:
    return make_workspace(app)


@pytest.fixture(scope="module")
def second() -> Iterator[HostileProvider]:
    """Another provider, with keys of the same name."""
    with HostileProvider() as started:
        yield started


@pytest.fixture(scope="module")
def other_source(app: Flask, acme: Workspace, second: HostileProvider) -> uuid.UUID:
    return connect(app, acme, second, "other", owns=False)


@pytest.fixture(scope="module")
def brokered_source(app: Flask, acme: Workspace, running: HostileProvider) -> uuid.UUID:
    return connect(app, acme, running, "brokered", owns=False, broker=True)


@pytest.fixture
def other(app: Flask, acme: Workspace, second: HostileProvider, other_source: uuid.UUID) -> Way:
    """The way to another source of acme's."""
    second.behave()
    return Way(app, acme, second, other_source)


@pytest.fixture
def brokered(app: Flask, acme: Workspace, provider: HostileProvider, brokered_source: uuid.UUID) -> Way:
    """The way to the same provider by the broker."""
    return Way(app, acme, provider, brokered_source)


class TestRefusals:
    """What the provider says no with."""

    @pytest.mark.parametrize(
        ("error", "fault", "status"),
        [
            ("access_denied", "denied", 403),
            ("server_error", "busy", 503),
            ("temporarily_unavailable", "busy", 503),
            ("invalid_scope", "request-refused", 502),
            ("unauthorized_client", "client-refused", 502),
            ("login_required", "needs-person", 502),
            (SCRIPT, "request-refused", 502),
        ],
    )
    def test_each_has_its_page_and_its_event(self, way: Way, error: str, fault: str, status: int) -> None:
        before = len(way.events())
        answer = way.come(error=error, error_description="because")
        way.assert_out(answer, fault, status)
        assert "because" not in answer.text
        assert "<script>alert" not in answer.text
        assert len(way.events()) == before + 1
        assert answer.headers.get("Retry-After") == ("15" if status == 503 else None)
        assert not way.provider.asked("/token")

    @pytest.mark.parametrize("broker", [False, True])
    def test_its_words_are_for_who_rehearses_and_are_text(self, way: Way, brokered: Way, broker: bool) -> None:
        way = brokered if broker else way
        way.visitor.sign_in(way.workspace.people["owner"])
        answer = way.come("rehearse", error="access_denied", error_description=SCRIPT)
        assert answer.status_code == 403
        assert html.escape(SCRIPT, quote=False) in answer.text.replace("&#34;", '"')
        assert SCRIPT not in answer.text

    def test_of_a_rehearsal_nobody_else_reads_them(self, way: Way) -> None:
        way.visitor.sign_in(way.workspace.people["owner"])
        address = way.back("rehearse", error="access_denied", error_description="a word for administrators")
        way.visitor.post("/auth/logout")
        way.visitor.sign_in(way.workspace.people["member"])
        assert "a word for administrators" not in way.follow(address).text

    def test_a_refusal_of_the_token_is_told_as_one(self, way: Way) -> None:
        said = {"error": "invalid_client", "error_description": SCRIPT}
        way.provider.answers["/token"] = bad.says(said, 401)
        answer = way.come()
        way.assert_out(answer, "client-refused")
        assert "alert" not in answer.text

    def test_with_a_refusal_no_code_is_redeemed(self, way: Way) -> None:
        address = changed(way.back(), error="access_denied")
        way.assert_out(way.follow(address), "denied", 403)
        assert not way.provider.asked("/token")

    @pytest.mark.parametrize("code", [REMOVED, "", "x" * 10_000])
    def test_without_a_code_nothing_is_asked(self, way: Way, code: Any) -> None:
        way.assert_out(way.follow(changed(way.back(), code=code)), "odd-answer")
        assert not way.provider.asked("/token")


class TestMixUp:
    """An answer is of the provider that was asked, or none (RFC 9207; RFC 9700, section 4.4)."""

    @pytest.mark.parametrize("iss", ["https://other.example", "", "{issuer}/", "{ISSUER}", REMOVED], ids=brief)
    def test_another_issuer_is_not_believed(self, way: Way, iss: Any) -> None:
        name = way.provider.issuer
        answered = iss if iss is REMOVED else iss.replace("{issuer}", name).replace("{ISSUER}", name.upper())
        for told in ({}, {"error": "access_denied"}):
            way.assert_out(way.follow(changed(way.back(**told), iss=answered)), "mixed-up")
        assert not way.provider.asked("/token")

    def test_who_does_not_announce_it_need_not_say_it(self, way: Way) -> None:
        way.provider.discovery = {"authorization_response_iss_parameter_supported": REMOVED}
        way.assert_in(way.come(iss=REMOVED))

    def test_nor_may_say_another(self, way: Way) -> None:
        way.provider.discovery = {"authorization_response_iss_parameter_supported": REMOVED}
        way.assert_out(way.come(iss="https://other.example"), "mixed-up")
        assert not way.provider.asked("/token")

    @pytest.mark.parametrize("announced", [True, False])
    def test_a_code_is_not_sent_to_another_provider(self, way: Way, other: Way, announced: bool) -> None:
        # Whoever began at the hostile one is sent back to the address of the honest one, with its code.
        way.provider.discovery = other.provider.discovery = (
            {} if announced else {"authorization_response_iss_parameter_supported": REMOVED}
        )
        iss = None if announced else REMOVED
        hostile = Way(way.app, way.workspace, other.provider, other.config_id)
        stolen = urlsplit(hostile.back(iss=iss))
        way.visitor = hostile.visitor
        way.assert_lost(way.follow(f"{way.workspace.url}/sso/{way.config_id}/callback?{stolen.query}"))
        assert not way.provider.asked("/token")
        assert not other.provider.asked("/token")

    def test_a_code_of_another_is_not_taken_for_ones_own(self, way: Way, other: Way) -> None:
        code = parse_qs(urlsplit(other.back(sub="mallory")).query)["code"][0]
        way.assert_out(way.follow(changed(way.back(), code=code, iss=other.provider.issuer)), "mixed-up")
        assert not way.provider.asked("/token")

    def test_a_code_of_another_sign_in_is_not_either(self, way: Way) -> None:
        # The provider binds a code to its challenge; if it does not, the nonce does.
        code = parse_qs(urlsplit(way.again().back(sub="mallory")).query)["code"][0]
        way.assert_out(way.follow(changed(way.back(), code=code)), "wrong-nonce")

    def test_every_attempt_has_its_own_secrets(self, way: Way) -> None:
        asked = [dict(parse_qsl(urlsplit(sources.depart(way.visitor, way.config_id)).query)) for _ in range(3)]
        for name in ("state", "nonce", "code_challenge"):
            assert len({one[name] for one in asked}) == 3
            assert all(len(one[name]) >= 43 for one in asked)
        assert {one["code_challenge_method"] for one in asked} == {"S256"}
