"""Signing in at a source leads nobody to another host: not by `next`, not by the Host header, not by the broker."""

import re
import uuid
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import EnvironBuilder, run_wsgi_app
from werkzeug.wrappers import Response

from auth.providers.models import SignInAttempt
from auth.redirects import back_to
from saas import create_app
from tenants.resolver import normalize_host
from tests.auth import sources
from tests.auth.helpers import inside
from tests.auth.hostile import Way, connect, prepare
from tests.auth.test_redirects import CORPUS, EVIL, stays
from tests.conftest import Database
from tests.factories import Workspace, make_workspace
from tests.servers.hostile_oidc import HostileProvider
from tests.visitor import Visitor

HOSTS = [
    EVIL, f"{EVIL}:80", f"auth.localhost.{EVIL}", f"auth.localhost@{EVIL}", f"auth.localhost:80@{EVIL}",
    f"{EVIL}#auth.localhost", f"{EVIL}?auth.localhost", f"{EVIL}/auth.localhost", f"{EVIL}\\auth.localhost",
    f"auth.localhost/{EVIL}", f"auth.localhost\\@{EVIL}", f"auth.localhost, {EVIL}", f"{EVIL}, auth.localhost",
    f"auth.localhost {EVIL}", f"{EVIL}%00.auth.localhost", f"{EVIL}%2f.auth.localhost", "auth.localhost%2e",
    "%61uth.localhost", "localhost", "www.localhost", "auth.", "auth", ".localhost", ".auth.localhost",
    "auth..localhost", "x.auth.localhost", "auth.x.localhost", "authlocalhost", "auth.localhost.", "auth.localhost..",
    "AUTH.LOCALHOST.evil", "AUTH.localhost", "[::1]", "[auth.localhost]", "127.0.0.1", "127.0.0.1:80", "0", "", " ",
    ":80", "auth.localhost:", "auth.localhost:x", "auth.localhost:-1", "auth.localhost:99999999",
    "auth.localhost:80:80", "auth.localhost:80", "auth.localhost:8080", "auth。localhost", "ａuth.localhost",
    "auth.localhost\u200b", "xn--auth.localhost", "{slug}.localhost", "{slug}.localhost.auth.localhost",
    "auth.{slug}.localhost", "x" * 300 + ".localhost",
]  # fmt: skip


@pytest.fixture(scope="module")
def app(sqlite_database: Database) -> Iterator[Flask]:
    """On one kind of database: it has no part in this."""
    app = create_app(sqlite_database.settings())
    yield app
    app.extensions["tenants"].engines.dispose()


@pytest.fixture(scope="module")
def acme(app: Flask) -> Workspace:
    return make_workspace(app)


@pytest.fixture(scope="module")
def running() -> Iterator[HostileProvider]:
    with HostileProvider() as started:
        yield started


@pytest.fixture(scope="module")
def work(app: Flask, acme: Workspace, running: HostileProvider) -> uuid.UUID:
    return connect(app, acme, running)


@pytest.fixture(scope="module")
def brokered_source(app: Flask, acme: Workspace, running: HostileProvider) -> uuid.UUID:
    return connect(app, acme, running, "brokered", owns=False, broker=True)


@pytest.fixture
def provider(running: HostileProvider, monkeypatch: pytest.MonkeyPatch) -> HostileProvider:
    return prepare(running, monkeypatch)


@pytest.fixture
def way(app: Flask, acme: Workspace, provider: HostileProvider, work: uuid.UUID) -> Way:
    return Way(app, acme, provider, work)


@pytest.fixture
def brokered(app: Flask, acme: Workspace, provider: HostileProvider, brokered_source: uuid.UUID) -> Way:
    """The way by the broker, of somebody whom both sources know."""
    way = Way(app, acme, provider, brokered_source)
    way.visitor.sign_in(acme.people["member"])
    assert way.come("connect", sub="bob").status_code == 302
    return way


def targets(workspace: Workspace) -> list[str]:
    return [target.replace("{host}", workspace.host) for target in CORPUS]


def by_host(app: Flask, path: str, host: str, query: str = "") -> Response:
    """Ask for that with a Host header that no browser would send, nor a test client read."""
    environ = EnvironBuilder(path, query_string=query).get_environ()
    environ["HTTP_HOST"] = host.encode().decode("latin-1")  # as servers hand it on
    return Response(*run_wsgi_app(app, environ, buffered=True))


class TestNext:
    """Every string that has ever led astray, wherever a path to go on to is taken."""

    @pytest.mark.parametrize("step", ["start", "verify"])
    def test_no_attempt_keeps_one_that_leads_elsewhere(self, way: Way, step: str) -> None:
        way.assert_in(way.come())
        for target in targets(way.workspace):
            answer = way.visitor.get(f"/sso/{way.config_id}/{step}", query_string={"next": target})
            assert answer.status_code in (302, 400), target
        with inside(way.app, way.workspace) as session:
            kept = set(session.scalars(select(SignInAttempt.next_path)))
        assert "/%2fevil.example" in kept
        for path in kept - {""}:
            assert re.match(r"/(?![/\\\\])", path), path
            assert urlsplit(path).netloc == "", path

    @pytest.mark.parametrize("step", ["start", "verify"])
    def test_whoever_comes_back_stays(self, way: Way, step: str) -> None:
        way.assert_in(way.come())
        # Those that are kept, and some that are not.
        for target in [target for target in targets(way.workspace) if back_to(target, "")] + CORPUS[:5]:
            answer = way.visitor.get(f"/sso/{way.config_id}/{step}", query_string={"next": target})
            if answer.status_code == 302:
                answer = way.follow(way.provider.authorize(answer.headers["Location"], **way.person()))
            assert stays(answer, way.workspace), target

    def test_whoever_is_handed_over_stays(self, brokered: Way) -> None:
        for target in targets(brokered.workspace)[::8]:
            answer = brokered.visitor.get(f"/sso/{brokered.config_id}/start", query_string={"next": target})
            if answer.status_code == 302:
                at_broker = brokered.provider.authorize(answer.headers["Location"], sub="bob")
                handed_over = sources.follow(brokered.visitor, at_broker)
                assert stays(handed_over, brokered.workspace), target
                answer = sources.follow(brokered.visitor, f"{handed_over.headers['Location']}&next={EVIL}")
            assert stays(answer, brokered.workspace), target

    def test_nothing_beside_the_answer_leads_anywhere(self, way: Way) -> None:
        for number, target in enumerate(targets(way.workspace)):
            path = ("callback", "finish", "signed-out")[number % 3]
            query = {"next": target, "code": target, "state": target, "redirect_uri": target, "return_to": target}
            assert stays(way.visitor.get(f"/sso/{way.config_id}/{path}", query_string=query), way.workspace), target

    @pytest.mark.parametrize("known", [True, False])
    def test_nor_does_looking_for_the_source(self, way: Way, known: bool) -> None:
        email = f"alice@{way.workspace.slug if known else 'nobody'}.example"
        token = way.visitor.csrf_token()
        for target in targets(way.workspace):
            answer = way.visitor.post("/sso/find", {"email": email, "next": target}, csrf=token)
            assert stays(answer, way.workspace), target
            for address in re.findall(r'(?:href="|url=)([^"]*)"', answer.text):
                assert urlsplit(address).netloc == "", (target, address)

    def test_no_hint_leads_anywhere(self, way: Way) -> None:
        token = way.visitor.csrf_token()
        for target in (
            f"x@{EVIL}&redirect_uri=http://{EVIL}/#",
            f"x@y\r\nLocation: http://{EVIL}",
            "x@y" * 1000,
            "\u202e@x",
        ):
            way.visitor.post("/sso/find", {"email": target}, csrf=token)
            asked = dict(parse_qsl(urlsplit(sources.depart(way.visitor, way.config_id)).query))
            assert asked["redirect_uri"] == f"{way.workspace.url}/sso/{way.config_id}/callback"


class TestHosts:
    """What stands in the Host header is looked up, and repeated to nobody."""

    def test_there_are_many(self) -> None:
        assert len(set(HOSTS)) >= 50

    def test_the_broker_answers_at_its_own_alone(self, brokered: Way) -> None:
        address = urlsplit(brokered.back(sub="bob"))
        asked = len(brokered.provider.asked("/token"))
        for host in HOSTS:
            if not host.lower().startswith("auth.localhost"):
                host = host.replace("{slug}", brokered.workspace.slug)
                answer = by_host(brokered.app, address.path, host, address.query)
                assert answer.status_code in (400, 404), host
                assert EVIL not in answer.get_data(as_text=True), host
        assert len(brokered.provider.asked("/token")) == asked

    def test_it_hands_over_to_where_the_person_began(self, brokered: Way) -> None:
        for host in (host for host in HOSTS if host.lower().startswith("auth.localhost")):
            address = urlsplit(brokered.back(sub="bob"))
            answer = by_host(brokered.app, address.path, host, address.query)
            assert answer.status_code in (302, 400, 404), host
            assert answer.headers.get("Location", brokered.workspace.url + "/").startswith(brokered.workspace.url + "/")

    @pytest.mark.parametrize("broker", [False, True])
    def test_nobody_is_sent_off_from_a_host_that_is_not_the_tenants(
        self, way: Way, brokered: Way, broker: bool
    ) -> None:
        way = brokered if broker else way
        own = way.workspace.host
        for host in HOSTS:
            host = host.replace("auth.localhost", own).replace("{slug}", way.workspace.slug)
            answer = by_host(way.app, f"/sso/{way.config_id}/start", host)
            if answer.status_code != 302:
                continue
            back = urlsplit(dict(parse_qsl(urlsplit(answer.headers["Location"]).query))["redirect_uri"])
            assert normalize_host(back.netloc) == ("auth.localhost" if broker else own), host
            assert back.scheme == "http"

    @pytest.mark.parametrize("name", ["X-Forwarded-Host", "X-Host", "Forwarded", "X-Original-Host"])
    def test_nor_does_a_forwarded_one_count(self, way: Way, name: str) -> None:
        value = f"host={EVIL}" if name == "Forwarded" else EVIL
        answer = way.visitor.get(f"/sso/{way.config_id}/start", headers={name: value})
        assert EVIL not in answer.headers["Location"]

    def test_a_port_is_not_another_host(self, app: Flask, acme: Workspace, brokered: Way) -> None:
        visitor = Visitor(app, f"{acme.host}:8080")
        there = Way(app, acme, brokered.provider, brokered.config_id)
        there.visitor = visitor
        handed_over = sources.follow(visitor, there.back(sub="bob")).headers["Location"]
        assert urlsplit(handed_over).netloc == f"{acme.host}:8080"


@pytest.mark.parametrize("key", ["x", "..", "%2e%2e", "%2F", "x" * 5000, "'", "<b>"])
def test_the_broker_knows_no_other_source(brokered: Way, key: str) -> None:
    query = urlsplit(brokered.back(sub="bob")).query
    answer = brokered.app.test_client().get(
        f"/broker/{key.encode('utf-8', 'replace').decode()}/callback",
        query_string=query,
        base_url="http://auth.localhost",
    )
    assert answer.status_code in (400, 404)
    assert "<b>" not in answer.text
