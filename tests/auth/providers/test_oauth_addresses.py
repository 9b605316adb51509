"""Providers are asked at addresses that may be asked, and have to describe themselves."""

import socket
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest
from flask import Flask

from auth.providers.oauth.channel import Channel
from auth.providers.oauth.faults import Fault, OAuthFault
from auth.providers.oauth.metadata import Issuers
from saas import create_app
from tests.auth import sources
from tests.auth.hostile import Way, brief, connect, prepare
from tests.conftest import Database
from tests.factories import Workspace, make_workspace
from tests.servers.hostile_http import HostileServer
from tests.servers.hostile_oidc import REMOVED, HostileProvider
from tests.servers.openldap import make_certificates


@pytest.fixture(scope="module")
def app(lone_app: Flask) -> Flask:
    """On one kind of database: it has no part in this."""
    return lone_app


@pytest.fixture(scope="module")
def acme(app: Flask) -> Workspace:
    return make_workspace(app)


def ask(url: str, *, insecure: bool = True, allowed: Any = (), **options: Any) -> Any:
    """Get that, by a channel of its own."""
    with Channel(allowed=allowed, owner="acme", insecure=insecure, **options) as channel:
        return channel.get_json(url)


@pytest.fixture(scope="module")
def strict(sqlite_database: Database) -> Iterator[Flask]:
    """The application as it is where SAAS_OUTGOING_NETWORKS is not set."""
    app = create_app(sqlite_database.settings(outgoing_networks=()))
    yield app
    app.extensions["tenants"].engines.dispose()


@pytest.fixture(scope="module")
def authority() -> tuple[str, str]:
    """The certificate of an authority, and a server's with its key."""
    return make_certificates(["127.0.0.1"])


@pytest.fixture(scope="module")
def secure(authority: tuple[str, str]) -> Iterator[HostileProvider]:
    with HostileProvider(certificate=authority[1]) as started:
        yield started


class TestAddresses:
    """No tenant's word leads into our own network."""

    def test_a_provider_in_it_is_not_asked(self, way: Way, strict: Flask) -> None:
        there = Way(strict, way.workspace, way.provider, way.config_id)
        there.assert_out(there.try_out(), "forbidden-address", 503)
        assert not way.provider.requests

    @pytest.mark.parametrize("name", ["token_endpoint", "jwks_uri", "userinfo_endpoint"])
    def test_nor_is_what_an_allowed_one_names(
        self, sqlite_database: Database, elsewhere: HostileServer, name: str
    ) -> None:
        app = create_app(sqlite_database.settings(outgoing_networks=("127.0.0.2/32",)))
        try:
            with HostileProvider("127.0.0.2") as provider:
                provider.thin = True
                workspace = make_workspace(app)
                there = Way(app, workspace, provider, connect(app, workspace, provider))
                provider.discovery = {name: f"{elsewhere.url}/x"}
                there.assert_out(there.try_out(), "forbidden-address", 503)
        finally:
            app.extensions["tenants"].engines.dispose()
        assert not elsewhere.requests

    @pytest.mark.parametrize(
        "host",
        [
            "127.0.0.1", "127.1", "127.0.0.1.", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "localhost",
            "localhost.", "LOCALHOST", "[::1]", "[0:0:0:0:0:0:0:1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
            "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1]", "[fd00::1]", "0.0.0.0", "0", "10.0.0.1",
            "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "224.0.0.1", "255.255.255.255",
            "①②⑦.0.0.1", "127。0。0。1", "%31%32%37.0.0.1", "127.0.0.1%00.example.com",
        ],
    )  # fmt: skip
    def test_however_it_is_written(self, elsewhere: HostileServer, host: str) -> None:
        elsewhere.requests.clear()
        with pytest.raises(OAuthFault) as caught:
            ask(f"http://{host}:{elsewhere.port}/", patience=2.0)
        assert caught.value.fault in {Fault.FORBIDDEN_ADDRESS, Fault.UNKNOWN_HOST, Fault.ODD_ANSWER}
        assert not elsewhere.requests

    @pytest.mark.parametrize("url", [
        "file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/", "data:,{}", "javascript:1", "//127.0.0.1/",
        "/etc/passwd", "", "http:", "http://", "http:///x", "http://user:pass@idp.example/", "http://idp.example:0x50/",
        "http://idp.example:99999/", "http://[::1", "unix:///run/x", "http+unix://x/", "HTTPS", "http://a..b/",
        "http://*/", "http://a b/", "http://" + "a" * 300,
    ], ids=brief)  # fmt: skip
    def test_what_is_no_web_address_is_not_asked_at_all(self, url: str) -> None:
        with pytest.raises(OAuthFault):
            ask(url)

    @pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fe80::1", "fd00::1"])
    def test_a_name_that_leads_there_is_refused(self, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
        made = self.lead(monkeypatch, [address])
        with pytest.raises(OAuthFault) as caught:
            ask("https://idp.example/", insecure=False)
        assert caught.value.fault is Fault.FORBIDDEN_ADDRESS
        assert not made

    def test_of_several_addresses_only_the_public_one_is_tried(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made = self.lead(monkeypatch, ["127.0.0.1", "8.8.8.8", "10.0.0.1"])
        with pytest.raises(OAuthFault):
            ask("https://idp.example/", insecure=False)
        assert made == ["8.8.8.8"]

    def test_a_name_is_looked_up_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made = self.lead(monkeypatch, ["8.8.8.8"], ["127.0.0.1"])
        with pytest.raises(OAuthFault):
            ask("https://idp.example/", insecure=False)
        assert made == ["8.8.8.8"]

    def lead(self, monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
        """Have names lead there, at each look-up to the next; gives back the addresses that are connected to."""
        left, made = list(answers), []

        def getaddrinfo(host: str, port: int, **_options: Any) -> list[Any]:
            return [
                (socket.AF_INET6, 1, 6, "", (address, port, 0, 0)) if ":" in address
                else (socket.AF_INET, 1, 6, "", (address, port))
                for address in (left.pop(0) if len(left) > 1 else left[0])
            ]  # fmt: skip

        def create_connection(address: tuple[str, int], **_options: Any) -> socket.socket:
            made.append(address[0])
            raise ConnectionRefusedError

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        monkeypatch.setattr(socket, "create_connection", create_connection)
        return made

    def test_no_proxy_of_the_surroundings_is_used(
        self, way: Way, elsewhere: HostileServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, elsewhere.url)
        way.assert_in(way.come())
        assert not elsewhere.requests


class TestTls:
    @pytest.fixture
    def tls(
        self, app: Flask, secure: HostileProvider, authority: tuple[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> Way:
        """The way to a source that is asked by https only."""
        prepare(secure, monkeypatch).thin = True
        return self.way(app, secure, ca_bundle=authority[0])

    def way(self, app: Flask, provider: HostileProvider, **settings: Any) -> Way:
        workspace = make_workspace(app)
        return Way(app, workspace, provider, connect(app, workspace, provider, insecure=False, **settings))

    def test_the_authority_that_is_given_is_trusted(self, tls: Way) -> None:
        tls.assert_in(tls.come())

    def test_no_other_is(self, app: Flask, secure: HostileProvider, tls: Way) -> None:
        tls.assert_in(tls.come())  # also not because another tenant trusts it
        for settings in ({}, {"ca_bundle": make_certificates(["127.0.0.1"])[0]}):
            other = self.way(app, secure, **settings)
            other.assert_out(other.try_out(), "untrusted")

    def test_a_certificate_for_another_name_is_not(self, app: Flask) -> None:
        authority, certificate = make_certificates(["idp.example"])
        with HostileProvider(certificate=certificate) as provider:
            other = self.way(app, provider, ca_bundle=authority)
            other.assert_out(other.try_out(), "untrusted")
            assert not provider.requests

    @pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"])
    def test_an_address_without_it_is_not_asked(self, tls: Way, elsewhere: HostileServer, name: str) -> None:
        elsewhere.requests.clear()
        tls.provider.discovery = {name: f"{elsewhere.url}/x"}
        tls.assert_out(tls.try_out(), "insecure")
        assert not elsewhere.requests

    @pytest.mark.parametrize("path", ["{elsewhere}/end", "javascript:alert(1)", "/relative"])
    def test_nor_does_signing_out_lead_there(self, tls: Way, elsewhere: HostileServer, path: str) -> None:
        address = path.replace("{elsewhere}", elsewhere.url)
        tls.provider.discovery = {"end_session_endpoint": address}
        tls.try_out()
        answer = tls.visitor.post("/auth/logout")
        assert address not in answer.text
        assert "javascript" not in answer.text
        assert not tls.visitor.is_signed_in()

    def test_what_was_learnt_without_it_is_not_believed_with_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        name, known = "https://idp.example", Issuers()
        document = {"issuer": name, "authorization_endpoint": f"{name}/a", "token_endpoint": f"{name}/t",
                    "jwks_uri": "http://idp.example/keys"}  # fmt: skip
        monkeypatch.setattr(
            Channel, "get_json", lambda _self, url, **_: document if url.startswith(name) else {"keys": []}
        )
        with Channel(allowed=(), owner="careless", insecure=True) as channel:
            known.find(name, channel).keys_for(None, channel)
        with Channel(allowed=(), owner="careful") as channel, pytest.raises(OAuthFault) as caught:
            known.find(name, channel).keys_for(None, channel)
        assert caught.value.fault is Fault.INSECURE


class TestDescription:
    """A description has to be the issuer's own, and to name what is needed."""

    @pytest.mark.parametrize(
        "issuer",
        ["https://other.example", "{issuer}/", "{issuer}/x", "{ISSUER}", "", None, 7, ["{issuer}"], "\ud83d", REMOVED],
        ids=brief,
    )  # fmt: skip
    def test_another_issuer_is_refused(self, way: Way, issuer: Any) -> None:
        name = way.provider.issuer
        if isinstance(issuer, str):
            issuer = issuer.replace("{issuer}", name).replace("{ISSUER}", name.upper())
        way.provider.discovery = {"issuer": [name] if isinstance(issuer, list) else issuer}
        way.assert_out(way.try_out(), "wrong-issuer")

    @pytest.mark.parametrize(
        ("fault", "address"),
        [
            ("no-endpoint", REMOVED),
            ("no-endpoint", ""),
            ("no-endpoint", None),
            ("no-endpoint", ["https://idp.example"]),
            ("odd-answer", "/relative"),
            ("odd-answer", "javascript:alert(1)"),
            ("odd-answer", "http://user:pass@idp.example/"),
            ("odd-answer", "http://idp.example:99999999/"),
            ("odd-answer", "http://[::1/"),
        ],
        ids=brief,
    )
    def test_one_that_lacks_an_address_is_refused(self, way: Way, fault: str, address: Any) -> None:
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            way.provider.discovery = {name: address}
            way.assert_out(way.try_out(), fault)

    @pytest.mark.parametrize(
        "address",
        [
            "{url}/authorize?x=<b>&%zz", "{url}/authorize#x", "{url}/authorize\r\nSet-Cookie: a=b", "{url}/authorize\0",
            "{url}/\ud83d", "{url}/?\ud83d", "http://a\ud83db/", "http://" + "a" * 300 + "/", "http://a..b/",
            "http://exämple.example/ä?ö", "http://a b/", "http://a\\@b/", "http://*/", "{url}/" + "a" * 100_000,
        ],
        ids=brief,
    )  # fmt: skip
    def test_no_address_to_sign_in_at_breaks_the_page(self, way: Way, address: str) -> None:
        way.provider.discovery = {"authorization_endpoint": address.replace("{url}", way.provider.url)}
        answer = way.visitor.get(f"/sso/{way.config_id}/start")
        assert answer.status_code in (302, 502)
        assert len(answer.headers.getlist("Set-Cookie")) <= 1
        assert not answer.headers.get("Set-Cookie", "").startswith("a=")

    def test_what_it_leads_to_cannot_be_overridden_there(self, way: Way) -> None:
        way.provider.discovery = {"authorization_endpoint": f"{way.provider.url}/authorize?redirect_uri=http://evil/"}
        address = sources.depart(way.visitor, way.config_id)
        assert address.rpartition("redirect_uri=")[2].startswith(
            way.workspace.url.replace(":", "%3A").replace("/", "%2F")
        )

    def test_another_issuer_is_not_asked_for_the_way_to_the_first(self, way: Way, elsewhere: HostileServer) -> None:
        way.provider.discovery = {"issuer": elsewhere.url, "token_endpoint": f"{elsewhere.url}/token"}
        way.assert_out(way.try_out(), "wrong-issuer")
        assert not elsewhere.requests


def test_allowed_networks_are_asked(elsewhere: HostileServer) -> None:
    assert ask(f"{elsewhere.url}/", allowed=[ip_network("127.0.0.1/32")]) == {}
