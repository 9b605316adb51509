"""Signing out at a source, from here and from there."""

import html
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from flask import Flask
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey
from sqlalchemy import select
from werkzeug.test import TestResponse

from auth.models import LoginSession
from auth.providers import configs
from auth.providers.models import ProviderConfig, ProviderSession
from auth.providers.oauth.metadata import Issuer, issuers
from auth.providers.oauth.tokens import LOGOUT_EVENT
from auth.providers.registry import open_secret
from tests.auth import sources
from tests.auth.helpers import inside
from tests.factories import Workspace
from tests.servers import free_port, oidc, require
from tests.servers.oidc import Browser, OidcServer
from tests.visitor import Visitor, sign_in

REFUSED, ENDED = 400, 200
KEY = ECKey.generate_key("P-256", auto_kid=True)
"""By which this file signs what the provider itself does not say."""

NO_LOGOUT_TOKENS: list[dict[str, Any]] = [
    {"aud": "another-client"}, {"aud": ["another-client"]}, {"aud": None},
    {"iss": "http://localhost:1"}, {"iss": None},
    {"nonce": "some-nonce"},
    {"iat": 1_600_000_000}, {"iat": 9_600_000_000}, {"iat": None}, {"iat": "now"}, {"exp": 1_600_000_000},
    {"events": None}, {"events": {}}, {"events": {"http://schemas.openid.net/event/other": {}}},
    {"events": [LOGOUT_EVENT]}, {"events": {LOGOUT_EVENT: None}},
    {"jti": None}, {"jti": ""}, {"jti": 7},
    {"sid": None}, {"sid": ["a"]},
    {"header": {"typ": "JWS"}}, {"header": {"typ": "at+jwt"}},
]  # fmt: skip
"""What makes one of a token that is right otherwise: claims that are changed, or left out."""


class Bridge:
    """Brings what the provider sends to the application, under the host that it was sent to, and keeps the tokens."""

    def __init__(self, app: Flask) -> None:
        self.tokens: list[str] = []
        self.answers: list[TestResponse] = []
        bridge = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                bridge.tokens += parse_qs(body.decode())["logout_token"]
                host = self.headers["host"].partition(":")[0]
                kind = self.headers["content-type"]
                answer = app.test_client().post(self.path, base_url=f"http://{host}", data=body, content_type=kind)
                bridge.answers.append(answer)
                self.send_response(answer.status_code)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", free_port()), Handler)
        self._thread = threading.Thread(target=partial(self._server.serve_forever, 0.01))
        self.port = self._server.server_port

    def __enter__(self) -> "Bridge":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(scope="module")
def server() -> Iterator[OidcServer]:
    with require(oidc.start) as server:
        yield server


@pytest.fixture
def bridge(app: Flask) -> Iterator[Bridge]:
    with Bridge(app) as bridge:
        yield bridge


@pytest.fixture
def domain(app: Flask, acme: Workspace) -> str:
    return sources.own(app, acme, f"{acme.slug}.example")


@pytest.fixture
def work(app: Flask, acme: Workspace, server: OidcServer, domain: str) -> uuid.UUID:
    """acme's source, which makes users of its proved domain."""
    return sources.connect(app, acme, server, label="Acme ID", domains=[domain])


@pytest.fixture
def told(app: Flask, acme: Workspace, server: OidcServer, domain: str, bridge: Bridge) -> uuid.UUID:
    """The same source, at an address where the provider reaches it."""
    host = f"http://{acme.host}:{bridge.port}"
    return sources.connect(app, acme, server, label="Acme ID", domains=[domain], backchannel=host)


@pytest.fixture
def alice(server: OidcServer, domain: str) -> str:
    return sources.add_person(server, f"alice@{domain}")


def arrive(app: Flask, acme: Workspace, server: OidcServer, config_id: uuid.UUID, sub: str) -> tuple[Visitor, Browser]:
    """Sign in by the source in a new browser; gives it back, once as we know it and once as the provider does."""
    visitor, browser = Visitor(app, acme.host), Browser(server)
    sources.sign_in(visitor, server, config_id, sub, browser=browser)
    assert visitor.is_signed_in()
    return visitor, browser


def way_out(answer: TestResponse) -> str:
    """Where the page after signing out leads, by itself and by its link."""
    found = re.search(r'http-equiv="refresh" content="[0-9]+; url=([^"]+)"', answer.text)
    assert found, answer.text
    assert f'href="{found.group(1)}"' in answer.text
    return html.unescape(found.group(1))


class TestFromHere:
    """Somebody signs out here, and goes on to signing out there."""

    def test_the_page_leads_to_the_provider_and_back(
        self, app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        visitor, browser = arrive(app, acme, server, work, alice)
        answer = visitor.post("/auth/logout")
        assert answer.status_code == 200
        assert not visitor.is_signed_in()
        away = way_out(answer)
        query = dict(parse_qsl(urlsplit(away).query))
        assert away.startswith(f"{server.issuer}/session/end?")
        assert query["id_token_hint"].count(".") == 2
        assert query["client_id"] == sources.config_of(app, acme, work).settings["client_id"]
        back = browser.sign_out(away)
        assert back == f"{acme.url}/sso/{work}/signed-out?state={query['state']}"
        assert sources.follow(visitor, back).headers["Location"] == "/auth/login"
        assert "signed out, here and at Acme ID" in visitor.get("/auth/login").text

    def test_the_provider_asks_for_the_password_again_then(
        self, app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        visitor, browser = arrive(app, acme, server, work, alice)
        browser.sign_out(way_out(visitor.post("/auth/logout")))
        with pytest.raises(oidc.Refused, match="Wrong login or password"):
            browser.sign_in(sources.depart(visitor, work), alice, "guessed")

    def test_only_the_session_of_that_browser_ends_here(
        self, app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        visitor, _browser = arrive(app, acme, server, work, alice)
        other, _other_browser = arrive(app, acme, server, work, alice)
        visitor.post("/auth/logout")
        assert other.is_signed_in()

    def test_the_token_that_is_shown_there_is_kept_encrypted(
        self, app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        visitor, _browser = arrive(app, acme, server, work, alice)
        with inside(app, acme) as session:
            (kept,) = session.scalars(select(ProviderSession.id_token)).all()
        hint = dict(parse_qsl(urlsplit(way_out(visitor.post("/auth/logout"))).query))["id_token_hint"]
        assert kept
        assert hint not in kept
        assert "." not in kept

    def test_nothing_is_offered_to_who_signed_in_by_a_password(
        self, app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID
    ) -> None:
        sources.join(Visitor(app, acme.host), server, work, acme.people["member"])
        answer = sign_in(app, acme, "member").post("/auth/logout")
        assert (answer.status_code, answer.headers["Location"]) == (302, "/auth/login")

    def test_nothing_is_offered_to_who_was_signed_in_already_no_more(
        self, app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        visitor, _browser = arrive(app, acme, server, work, alice)
        visitor.post("/auth/logout")
        assert visitor.post("/auth/logout").status_code == 302

    def test_nothing_is_offered_where_the_source_is_not_to_sign_out(
        self, app: Flask, acme: Workspace, server: OidcServer, domain: str, alice: str
    ) -> None:
        work = sources.connect(app, acme, server, domains=[domain], sign_out=False)
        visitor, _browser = arrive(app, acme, server, work, alice)
        assert visitor.post("/auth/logout").headers["Location"] == "/auth/login"
        assert not visitor.is_signed_in()

    def test_a_provider_that_does_not_answer_keeps_nobody_signed_in(
        self, app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        visitor, _browser = arrive(app, acme, server, work, alice)
        token = visitor.csrf_token()
        issuers.forget()
        server.stop()
        try:
            answer = visitor.post("/auth/logout", csrf=token)
        finally:
            server.start()
        assert answer.headers["Location"] == "/auth/login"
        assert not visitor.is_signed_in()

    def test_programs_are_led_nowhere(
        self, app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        visitor, _browser = arrive(app, acme, server, work, alice)
        answer = visitor.post_json("/auth/logout", {}, headers={"Accept": "application/json"})
        assert answer.status_code == 200
        assert answer.is_json
        assert not visitor.is_signed_in()


class TestFromThere:
    """The provider says that somebody has signed out there."""

    def test_it_really_sends_that_and_the_login_session_ends_at_once(
        self, app: Flask, acme: Workspace, server: OidcServer, told: uuid.UUID, alice: str, bridge: Bridge
    ) -> None:
        visitor, _browser = arrive(app, acme, server, told, alice)
        client = sources.config_of(app, acme, told).settings["client_id"]
        assert server.sign_out(alice) == [(client, None)]
        assert [answer.status_code for answer in bridge.answers] == [ENDED]
        assert not visitor.is_signed_in()

    def test_a_session_that_ends_there_ends_only_its_own_here(
        self, app: Flask, acme: Workspace, server: OidcServer, told: uuid.UUID, alice: str, bridge: Bridge
    ) -> None:
        one, browser = arrive(app, acme, server, told, alice)
        another, _other_browser = arrive(app, acme, server, told, alice)
        by_password = sign_in(app, acme, "member")
        with suppress(oidc.Refused):  # it ends on a page of the provider's own
            browser.sign_out(f"{server.issuer}/session/end")
        assert len(bridge.tokens) == 1
        assert not one.is_signed_in()
        assert another.is_signed_in()
        assert by_password.is_signed_in()

    def test_signing_out_from_here_ends_what_else_has_come_from_that_session(
        self, app: Flask, acme: Workspace, server: OidcServer, told: uuid.UUID, alice: str, bridge: Bridge
    ) -> None:
        one, browser = arrive(app, acme, server, told, alice)
        another = Visitor(app, acme.host)
        sources.sign_in(another, server, told, alice, browser=browser)
        browser.sign_out(way_out(one.post("/auth/logout")))
        assert not another.is_signed_in()

    def test_a_token_is_good_once(
        self, app: Flask, acme: Workspace, server: OidcServer, told: uuid.UUID, alice: str, bridge: Bridge
    ) -> None:
        arrive(app, acme, server, told, alice)
        server.sign_out(alice)
        answer = post_token(app, acme, told, bridge.tokens[0])
        assert answer.status_code == REFUSED
        assert answer.get_json()["error"] == "invalid_request"

    def test_the_token_of_one_source_is_refused_by_another(
        self, app: Flask, acme: Workspace, globex: Workspace, server: OidcServer, told: uuid.UUID, alice: str,
        bridge: Bridge,
    ) -> None:  # fmt: skip
        theirs = sources.connect(app, globex, server)
        arrive(app, acme, server, told, alice)
        server.sign_out(alice)
        assert post_token(app, globex, theirs, bridge.tokens[0]).status_code == REFUSED

    def test_it_is_noted_for_administrators(
        self, app: Flask, acme: Workspace, server: OidcServer, told: uuid.UUID, alice: str, bridge: Bridge
    ) -> None:
        arrive(app, acme, server, told, alice)
        server.sign_out(alice)
        assert sources.events_of(app, acme, "signed out by the source") == ["1"]
        assert "Signed out by the source" in sign_in(app, acme, "owner").get("/admin/sign-in/").text

    def test_a_source_that_is_switched_off_still_ends_what_it_has_opened(
        self, app: Flask, acme: Workspace, server: OidcServer, told: uuid.UUID, alice: str, bridge: Bridge
    ) -> None:
        visitor, _browser = arrive(app, acme, server, told, alice)
        with inside(app, acme):
            configs.disable_provider(configs.get_config("work"), actor=None)
        server.sign_out(alice)
        assert not visitor.is_signed_in()


def post_token(app: Flask, workspace: Workspace, config_id: uuid.UUID, token: str) -> TestResponse:
    """Send a token as a provider does: without cookies, CSRF token and Origin."""
    path = f"/sso/{config_id}/backchannel-logout"
    return app.test_client().post(path, base_url=workspace.url, data={"logout_token": token})


@pytest.fixture
def signed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider's keys are ours from now on: after a sign-in, whose token is signed by its own."""
    monkeypatch.setattr(Issuer, "keys_for", lambda *_: KeySet([KEY]))


Say = Callable[..., str]


@pytest.fixture
def say(app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID) -> Say:
    """Make a logout token, of which the claims given are changed, or left out if they are None."""
    client = sources.config_of(app, acme, work).settings["client_id"]

    def make(*, header: dict[str, Any] | None = None, key: Any = KEY, **changes: Any) -> str:
        moment = int(time.time())
        usual = {"iss": server.issuer, "aud": client, "iat": moment, "exp": moment + 60, "jti": uuid.uuid4().hex,
                 "events": {LOGOUT_EVENT: {}}}  # fmt: skip
        claims = {name: value for name, value in (usual | changes).items() if value is not None}
        named = {"alg": "ES256", "kid": KEY.kid, "typ": "logout+jwt"} | (header or {})
        return jwt.encode(named, claims, key, algorithms=[named["alg"]])

    return make


@pytest.fixture
def sid(app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, alice: str) -> str:
    """The id, at the provider, of the session by which alice has signed in in `visitor`."""
    sources.sign_in(visitor, server, work, alice)
    with inside(app, acme) as session:
        (found,) = session.scalars(select(ProviderSession.sid)).all()
        return str(found)


class TestTokens:
    """What a logout token has to say, and where it is sent.

    `signed` comes last: whoever signs in needs the provider's own keys.
    """

    def test_a_session_ends_by_its_id(
        self, app: Flask, acme: Workspace, visitor: Visitor, work: uuid.UUID, sid: str, say: Say, signed: None
    ) -> None:
        assert post_token(app, acme, work, say(sid=sid)).status_code == ENDED
        assert not visitor.is_signed_in()

    def test_all_of_a_persons_sessions_end_by_who_they_are(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, alice: str, sid: str,
        say: Say, monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        another, _browser = arrive(app, acme, server, work, alice)
        somebody_else, _ = arrive(app, acme, server, work, sources.add_person(server, f"bob@{acme.slug}.example"))
        monkeypatch.setattr(Issuer, "keys_for", lambda *_: KeySet([KEY]))
        assert post_token(app, acme, work, say(sub=alice)).status_code == ENDED
        assert not visitor.is_signed_in()
        assert not another.is_signed_in()
        assert somebody_else.is_signed_in()
        assert sources.events_of(app, acme, "signed out by the source") == ["2"]

    def test_a_joined_account_keeps_the_sessions_of_other_ways(
        self, app: Flask, acme: Workspace, visitor: Visitor, server: OidcServer, work: uuid.UUID, say: Say,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        sub = sources.join(visitor, server, work, acme.people["member"])
        by_password = sign_in(app, acme, "member")
        monkeypatch.setattr(Issuer, "keys_for", lambda *_: KeySet([KEY]))
        post_token(app, acme, work, say(sub=sub))
        assert not visitor.is_signed_in()  # it was vouched for by both
        assert by_password.is_signed_in()

    def test_who_and_what_is_not_known_ends_nothing(
        self, app: Flask, acme: Workspace, visitor: Visitor, work: uuid.UUID, alice: str, sid: str, say: Say,
        signed: None,
    ) -> None:  # fmt: skip
        unknown = (
            {"sub": "nobody"},
            {"sid": "nothing"},
            {"sub": "nobody", "sid": sid},
            {"sub": alice, "sid": "nothing"},
        )
        assert [post_token(app, acme, work, say(**said)).status_code for said in unknown] == [ENDED] * len(unknown)
        assert visitor.is_signed_in()

    def test_a_token_that_is_none_is_refused(
        self, app: Flask, acme: Workspace, visitor: Visitor, work: uuid.UUID, sid: str, say: Say, signed: None
    ) -> None:
        taken = []
        for changes in NO_LOGOUT_TOKENS:
            answer = post_token(app, acme, work, say(**{"sid": sid} | changes))
            if answer.status_code != REFUSED or answer.get_json()["error"] != "invalid_request":
                taken.append(changes)
        assert taken == []
        assert visitor.is_signed_in()
        assert sources.events_of(app, acme, "signed out by the source") == []

    def test_a_token_that_somebody_else_has_signed_is_refused(
        self, app: Flask, acme: Workspace, visitor: Visitor, work: uuid.UUID, sid: str, say: Say
    ) -> None:
        assert post_token(app, acme, work, say(sid=sid)).status_code == REFUSED
        assert visitor.is_signed_in()

    def test_a_token_that_is_signed_by_the_secret_is_refused(
        self, app: Flask, acme: Workspace, visitor: Visitor, work: uuid.UUID, sid: str, say: Say, signed: None
    ) -> None:
        with inside(app, acme):
            secret = open_secret(configs.get_config("work"))
        assert secret is not None
        shared = OctKey.import_key(secret.get_secret_value())
        assert post_token(app, acme, work, say(sid=sid, key=shared, header={"alg": "HS256"})).status_code == REFUSED
        assert visitor.is_signed_in()

    def test_what_is_no_token_is_refused(self, app: Flask, acme: Workspace, work: uuid.UUID) -> None:
        for token in ("", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "." * 1000, "é", "x" * 300_000):
            assert post_token(app, acme, work, token).status_code == REFUSED, token[:30]

    def test_an_id_token_is_no_logout_token(
        self, app: Flask, acme: Workspace, server: OidcServer, work: uuid.UUID, alice: str
    ) -> None:
        visitor, _browser = arrive(app, acme, server, work, alice)
        again, _again_browser = arrive(app, acme, server, work, alice)
        token = dict(parse_qsl(urlsplit(way_out(again.post("/auth/logout"))).query))["id_token_hint"]
        assert post_token(app, acme, work, token).status_code == REFUSED
        assert visitor.is_signed_in()

    def test_each_workspace_knows_its_own_sources_only(
        self, app: Flask, acme: Workspace, globex: Workspace, work: uuid.UUID, say: Say
    ) -> None:
        for workspace, config_id in ((acme, uuid.uuid4()), (globex, work)):
            assert post_token(app, workspace, config_id, say(sub="x")).status_code == 404

    def test_other_kinds_of_sources_have_none(self, app: Flask, acme: Workspace, work: uuid.UUID, say: Say) -> None:
        directory = {"servers": ["ldaps://ldap.example"], "base_dn": "dc=example"}
        plain = {"preset": "github", "client_id": "x"}
        for name, kind, settings, secret in (("office", "ldap", directory, None), ("git", "oauth2", plain, "secret")):
            added = sources.add(app, acme, name, kind, settings, secret=secret)
            assert post_token(app, acme, added, say(sub="x")).status_code == 404

    def test_tokens_are_posted_only(self, visitor: Visitor, work: uuid.UUID) -> None:
        assert visitor.get(f"/sso/{work}/backchannel-logout").status_code == 405

    def test_no_cookie_is_read_or_given(
        self, app: Flask, acme: Workspace, member: Visitor, work: uuid.UUID, sid: str, say: Say, signed: None
    ) -> None:
        before = member.cookies()
        answer = member.client.post(
            f"/sso/{work}/backchannel-logout", base_url=member.base, data={"logout_token": say(sid=sid)},
            headers={"Origin": "https://elsewhere.example"},
        )  # fmt: skip
        assert answer.status_code == ENDED
        assert "Set-Cookie" not in answer.headers
        assert member.cookies() == before
        assert member.is_signed_in()

    def test_the_answer_is_kept_by_nobody(
        self, app: Flask, acme: Workspace, work: uuid.UUID, sid: str, say: Say, signed: None
    ) -> None:
        answer = post_token(app, acme, work, say(sid=sid))
        assert answer.data == b""
        assert "no-store" in answer.headers["Cache-Control"]

    def test_what_a_removed_source_has_opened_is_gone_with_it(
        self, app: Flask, acme: Workspace, visitor: Visitor, work: uuid.UUID, sid: str
    ) -> None:
        with inside(app, acme) as session:
            configs.remove_provider(session.find(ProviderConfig, work), actor=None)
        assert not visitor.is_signed_in()
        with inside(app, acme) as session:
            assert session.scalars(select(ProviderSession)).all() == []
            assert session.scalars(select(LoginSession)).all() == []
