"""Who somebody is here is what their provider has proved, and nothing that it says breaks or gives away anything."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import structlog
from flask import Flask
from werkzeug.test import TestResponse

from tests.auth import sources
from tests.auth.helpers import inside
from tests.auth.hostile import SECRET, Way, brief, connect, prepare
from tests.factories import Workspace
from tests.servers import hostile_http as bad
from tests.servers.hostile_oidc import REMOVED, HostileProvider
from tests.visitor import Visitor

SCRIPT = '<script>alert("1")</script>'


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
def other(app: Flask, acme: Workspace, second: HostileProvider) -> Way:
    """The way to another source of acme's, for which nobody is made a user."""
    second.behave()
    return Way(app, acme, second, connect(app, acme, second, "other", owns=False))


class TestPeople:
    """An address that nobody has verified is nobody's, and a name is its issuer's."""

    def test_an_unverified_address_leads_to_no_account(self, way: Way) -> None:
        before, owner = way.emails(), way.workspace.people["owner"]
        for verified in (False, REMOVED, "true", 1, None, ["true"]):
            again = way.again()
            answer = again.come(email=owner.email, email_verified=verified)
            assert answer.headers["Location"] == "/auth/login?step=password", verified
            assert not again.visitor.is_signed_in(), verified
            # Not even for somebody who proves the account afterwards.
            again.visitor.sign_in(owner)
            assert way.subjects() == set(), verified
        assert way.emails() == before

    def test_a_verified_one_signs_nobody_in_alone(self, way: Way) -> None:
        answer = way.come(email=way.workspace.people["owner"].email)
        assert answer.status_code == 302
        assert not way.visitor.is_signed_in()
        assert way.subjects() == set()

    def test_and_is_not_joined_with_another_account(self, way: Way) -> None:
        way.come(email=way.workspace.people["owner"].email)
        way.visitor.sign_in(way.workspace.people["member"])
        assert way.visitor.is_signed_in()
        assert way.subjects() == set()

    def test_nor_by_another_browser(self, way: Way) -> None:
        way.come(email=way.workspace.people["owner"].email)
        Visitor(way.app, way.workspace.host).sign_in(way.workspace.people["owner"])
        assert way.subjects() == set()

    def test_nobody_is_made_a_user_with_an_address_elsewhere(self, way: Way) -> None:
        before = way.emails()
        for email in ("alice@other.example", "alice", "", None, ["alice@x.example"], REMOVED):
            assert way.come(email=email).status_code == 302, email
            assert not way.visitor.is_signed_in(), email
        assert way.emails() == before

    def test_somebody_of_that_name_at_another_issuer_is_another_person(self, way: Way, other: Way) -> None:
        way.assert_in(way.come())
        assert other.come(email=REMOVED).headers["Location"] == "/auth/login?step=password"
        assert not other.visitor.is_signed_in()

    def test_so_is_somebody_of_that_name_once_the_issuer_is_another(self, way: Way, second: HostileProvider) -> None:
        second.behave()
        way.assert_in(way.come())
        with inside(way.app, way.workspace):
            config = sources.configs.get_config("work")
            settings = {**config.settings, "issuer": second.issuer}
            sources.configs.change_provider(config, actor=None, settings=settings, secret=SECRET)
            config.rehearsed_at = sources.now()
        moved = Way(way.app, way.workspace, second, way.config_id)
        moved.come()
        assert not moved.visitor.is_signed_in()

    def test_a_name_is_compared_letter_by_letter(self, way: Way) -> None:
        way.assert_in(way.come())
        for number, sub in enumerate(("Alice", "ALICE", "alice.", "al%69ce")):
            again = way.again()
            again.assert_in(again.come(sub=sub, email=f"other{number}@{way.workspace.slug}.example"))
        assert len(way.subjects()) == 5

    def test_an_address_that_somebody_has_is_not_taken_over(self, way: Way) -> None:
        way.assert_in(way.come())
        before = way.emails()
        again = way.again()
        again.assert_in(again.come(email=way.workspace.people["owner"].email))
        assert way.emails() == before


class TestProvingAnew:
    """Whoever is asked to sign in anew has to."""

    @pytest.fixture
    def known(self, way: Way) -> Way:
        way.assert_in(way.come())
        return way

    def test_they_can(self, known: Way) -> None:
        assert known.come("verify").headers["Location"] == "/account/"

    def test_a_sign_in_of_before_is_none(self, known: Way) -> None:
        for auth_time in (REMOVED, int(time.time()) - 300, "now"):
            answer = known.come("verify", auth_time=auth_time)
            assert answer.status_code == 502, auth_time
            assert known.events()[-1].partition(":")[0] in ("stale", "bad-token")

    def test_nor_is_another_persons(self, known: Way) -> None:
        answer = known.come("verify", sub="mallory", email=f"mallory@{known.workspace.slug}.example")
        assert urlsplit(answer.headers["Location"]).path == "/auth/verify"

    def test_an_answer_to_that_signs_nobody_else_in(self, known: Way) -> None:
        address = known.back("verify")
        known.visitor.post("/auth/logout")
        assert known.follow(address).status_code == 403
        assert not known.visitor.is_signed_in()


class TestText:
    """No text of a provider's breaks a page or a row."""

    TEXTS = ("A\ud83d", "A\0b\x1b[2J", "x" * 10_000, SCRIPT)

    def said(self, text: str) -> dict[str, Any]:
        names = ("name", "preferred_username", "locale", "sid", "picture", text[:50])
        return dict.fromkeys(names, text) | {"groups": [text, "engineering"], "amr": [text], "address": {text: [text]}}

    def test_of_somebody_new(self, way: Way) -> None:
        sources.map_group(way.app, way.workspace, "engineering", "member")
        for number, text in enumerate(self.TEXTS):
            again, email = way.again(), f"alice{number}@{way.workspace.slug}.example"
            again.assert_in(again.come(sub=str(number), email=email, **self.said(text)))

    def test_of_somebody_known(self, way: Way) -> None:
        way.assert_in(way.come())
        for text in self.TEXTS:
            again = way.again()
            again.assert_in(again.come(**self.said(text)))

    def test_of_a_rehearsal(self, way: Way) -> None:
        way.visitor.sign_in(way.workspace.people["owner"])
        for text in self.TEXTS:
            answer = way.come("rehearse", **self.said(text))
            assert answer.status_code == 200, text
            assert SCRIPT not in answer.text

    def test_of_a_rehearsal_by_the_broker(self, app: Flask, acme: Workspace, provider: HostileProvider) -> None:
        way = Way(app, acme, provider, connect(app, acme, provider, broker=True))
        way.visitor.sign_in(acme.people["owner"])
        assert way.come("rehearse", **self.said("A\ud83d\0")).status_code == 200

    def test_of_an_address(self, way: Way) -> None:
        before = way.emails()
        for email in ("a\ud83d@{slug}.example", "@{slug}.example", "a@\ud83d", "\u202e@{slug}.example"):
            assert way.come(email=email.replace("{slug}", way.workspace.slug)).status_code == 302, email
            assert not way.visitor.is_signed_in(), email
        assert way.emails() == before


class TestSecrets:
    """What only we and the provider may know is nowhere to be read."""

    @pytest.fixture
    def app(self, lone_app: Flask) -> Flask:
        """On one kind of database: what is kept there is another test's."""
        return lone_app

    @pytest.fixture
    def logged(
        self, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> Iterator[Callable[[], str]]:
        """Everything that is logged, the libraries' own words included."""
        caplog.set_level(logging.DEBUG)
        with structlog.testing.capture_logs() as events:
            yield lambda: caplog.text + repr(events) + "".join(capfd.readouterr())

    def seen(self, way: Way, answers: list[TestResponse]) -> str:
        """All that a browser gets, its cookie opened."""
        interface: Any = way.app.session_interface
        opened = interface.serializer_for(way.app, way.workspace.host).loads(way.visitor.cookies()["session"])
        return repr(opened) + "".join(f"{answer.headers}{answer.text}" for answer in answers)

    @pytest.mark.parametrize(
        ("broker", "step", "told"),
        [
            *((broker, step, {}) for broker in (False, True) for step in ("start", "rehearse")),
            *((False, "rehearse", {name: "x"}) for name in ("nonce", "aud", "exp")),
            *((False, "rehearse", told) for told in ("header", "algorithm", "token", "userinfo", "reset", "refused")),
            (True, "rehearse", "token"),
        ],
        ids=brief,
    )
    def test_in_no_page_cookie_address_log_or_event(
        self,
        app: Flask,
        acme: Workspace,
        provider: HostileProvider,
        logged: Callable[[], str],
        broker: bool,
        step: str,
        told: Any,
    ) -> None:
        way = Way(app, acme, provider, connect(app, acme, provider, broker=broker))
        if step == "rehearse":
            way.visitor.sign_in(acme.people["owner"])
        provider.thin = True
        self.misbehave(provider, told)
        there = sources.depart(way.visitor, way.config_id, step)
        said = way.person(**(told if isinstance(told, dict) else {}))
        first = sources.follow(way.visitor, address := provider.authorize(there, **said))
        answers = [first]
        if first.status_code == 302 and "/finish?" in first.headers["Location"]:
            answers.append(sources.follow(way.visitor, first.headers["Location"]))
        answers.append(way.visitor.get("/account/"))
        everything = there + self.seen(way, answers) + logged() + repr(way.events())
        for secret in [SECRET, parse_qs(urlsplit(address).query)["code"][0], *self.secrets_of(provider)]:
            assert secret not in everything

    def misbehave(self, provider: HostileProvider, told: Any) -> None:
        if told == "header":
            provider.header = {"kid": "unknown"}
        elif told == "algorithm":
            provider.algorithm = "none"
        elif told == "token":
            provider.token = {"id_token": REMOVED, "refresh_token": "a-refresh-token"}
        elif told == "userinfo":
            provider.answers["/userinfo"] = bad.says({"error": "x"}, 401)
        elif told == "reset":
            provider.answers["/userinfo"] = bad.resets
        elif told == "refused":
            provider.answers["/token"] = bad.says({"error": "invalid_grant"}, 400)

    def secrets_of(self, provider: HostileProvider) -> list[str]:
        (asked,) = provider.asked("/token")
        found = [asked.form["code_verifier"], *provider.issued]
        found += [
            request.headers["authorization"].split()[1]
            for request in provider.requests
            if "authorization" in request.headers
        ]
        return [one for one in found if one]

    def test_not_in_an_errors_own_words(self, way: Way) -> None:
        way.provider.answers["/token"] = bad.says({"error": "invalid_grant", "error_description": "no"}, 400)
        way.assert_out(way.come(), "code-refused")
        assert json.dumps(way.events()).count("invalid_grant") == 1
