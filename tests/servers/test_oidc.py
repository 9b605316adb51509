"""The identity provider of the tests is what it says."""

import base64
import hashlib
import queue
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
import requests
from joserfc import jwk, jwt
from joserfc.errors import JoseError

from tests.servers import free_port, node, oidc, require
from tests.servers.oidc import Browser, Client, OidcServer, Refused

CALLBACK = "http://acme.localhost:8000/sso/one/callback"
SIGNED_OUT = "http://acme.localhost:8000/sso/one/signed-out"
VERIFIER = secrets.token_urlsafe(32)
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


@pytest.fixture(scope="module")
def server() -> Iterator[OidcServer]:
    """A provider as it is without options, where alice is known."""
    with require(oidc.start) as started:
        add_alice(started)
        yield started


@pytest.fixture(scope="module")
def client(server: OidcServer) -> Client:
    """A client with a secret."""
    return server.add_client(redirect_uris=[CALLBACK], post_logout_redirect_uris=[SIGNED_OUT])


@pytest.fixture
def listener() -> Iterator["Listener"]:
    """What listens for logout tokens."""
    with Listener() as listening:
        yield listening


class Listener:
    """A client's back-channel logout endpoint, and the tokens that came there."""

    def __init__(self) -> None:
        self.tokens: queue.Queue[str] = queue.Queue()
        self.status = 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
                outer.host = self.headers["host"]
                outer.tokens.put(form["logout_token"][0])
                self.send_response(outer.status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", free_port()), Handler)
        self._thread = threading.Thread(target=partial(self._server.serve_forever, 0.01))
        self.host = f"acme.localhost:{self._server.server_port}"
        self.url = f"http://{self.host}/backchannel"

    def __enter__(self) -> "Listener":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@dataclass(frozen=True)
class Tokens:
    """What came of a sign-in."""

    id_token: str
    header: dict[str, Any]
    claims: dict[str, Any]
    userinfo: dict[str, Any]


def add_alice(server: OidcServer, **claims: Any) -> None:
    """Alice with her usual claims and others."""
    usual: dict[str, Any] = {"email": "alice@acme.example", "email_verified": True, "name": "Alice"}
    server.add_person("alice", **(usual | claims))


def authorization(server: OidcServer, client: Client, **parameters: str) -> str:
    """An authorization URL."""
    usual = {
        "client_id": client.id,
        "response_type": "code",
        "redirect_uri": CALLBACK,
        "scope": "openid email groups",
        "state": "some-state",
        "nonce": "some-nonce",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    return f"{server.issuer}/auth?{urlencode(usual | parameters)}"


def answer_of(callback: str) -> dict[str, str]:
    """What the provider says in a callback's query."""
    assert callback.startswith(f"{CALLBACK}?")
    return dict(parse_qsl(urlsplit(callback).query))


def keys(server: OidcServer) -> jwk.KeySet:
    """The provider's public keys."""
    return jwk.KeySet.import_key_set(requests.get(f"{server.issuer}/jwks", timeout=5).json())


def redeem(server: OidcServer, client: Client, callback: str, **proof: str) -> requests.Response:
    """The token endpoint's answer to a callback's code."""
    form = {
        "grant_type": "authorization_code",
        "code": answer_of(callback)["code"],
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    basic = (client.id, client.secret) if client.secret and not proof else None
    return requests.post(f"{server.issuer}/token", data=form | proof, auth=basic, timeout=5)


def tokens_of(server: OidcServer, client: Client, callback: str, **proof: str) -> Tokens:
    """The verified ID token and the userinfo that a callback's code is worth."""
    response = redeem(server, client, callback, **proof)
    assert response.ok, response.text
    given = response.json()
    verified = jwt.decode(given["id_token"], keys(server))
    assert verified.claims["iss"] == server.issuer
    assert verified.claims["aud"] == client.id
    bearer = {"Authorization": f"Bearer {given['access_token']}"}
    userinfo = requests.get(f"{server.issuer}/me", headers=bearer, timeout=5).json()
    return Tokens(given["id_token"], verified.header, verified.claims, userinfo)


def signed_in(server: OidcServer, client: Client, **parameters: str) -> Tokens:
    """What alice's sign-in gives."""
    return tokens_of(server, client, oidc.sign_in(server, authorization(server, client, **parameters), "alice"))


def test_discovery_names_its_issuer_and_what_it_can(server: OidcServer) -> None:
    found = requests.get(f"{server.issuer}/.well-known/openid-configuration", timeout=5).json()
    assert found["issuer"] == server.issuer == f"http://localhost:{server.port}"
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert found["authorization_response_iss_parameter_supported"] is True
    assert found["backchannel_logout_session_supported"] is True
    assert found["claims_parameter_supported"] is True
    assert {"end_session_endpoint", "userinfo_endpoint", "jwks_uri"} < set(found)


def test_requests_are_counted(server: OidcServer) -> None:
    before = server.requests().count(("GET", "/jwks"))
    keys(server)
    assert server.requests().count(("GET", "/jwks")) == before + 1


def test_a_sign_in_gives_a_verified_token(server: OidcServer, client: Client) -> None:
    callback = oidc.sign_in(server, authorization(server, client), "alice")
    assert answer_of(callback)["state"] == "some-state"
    assert answer_of(callback)["iss"] == server.issuer
    tokens = tokens_of(server, client, callback)
    assert tokens.claims["sub"] == "alice"
    assert tokens.claims["nonce"] == "some-nonce"
    assert tokens.userinfo == {"sub": "alice", "email": "alice@acme.example", "email_verified": True}


def test_the_email_is_a_login_too(server: OidcServer, client: Client) -> None:
    callback = oidc.sign_in(server, authorization(server, client), "alice@acme.example")
    assert tokens_of(server, client, callback).claims["sub"] == "alice"


def test_without_pkce_nothing_begins(server: OidcServer, client: Client) -> None:
    url = authorization(server, client, code_challenge="", code_challenge_method="")
    assert answer_of(oidc.sign_in(server, url, "alice"))["error"] == "invalid_request"


def test_another_verifier_gives_no_token(server: OidcServer, client: Client) -> None:
    callback = oidc.sign_in(server, authorization(server, client, code_challenge="x" * 43), "alice")
    response = redeem(server, client, callback)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")


def test_a_wrong_password_shows_the_form_again(server: OidcServer, client: Client) -> None:
    with pytest.raises(Refused, match="Wrong login or password") as refused:
        oidc.sign_in(server, authorization(server, client), "alice", "guessed")
    assert 'name="login" value="alice"' in str(refused.value)


def test_an_unknown_redirect_uri_is_refused_on_a_page(server: OidcServer, client: Client) -> None:
    with pytest.raises(Refused, match="redirect_uri"):
        oidc.sign_in(
            server, authorization(server, client, redirect_uri="http://evil.localhost/sso/1/callback"), "alice"
        )


def test_cancelling_is_answered_with_access_denied_and_the_issuer(server: OidcServer, client: Client) -> None:
    answer = answer_of(Browser(server).cancel(authorization(server, client)))
    assert (answer["error"], answer["iss"], answer["state"]) == ("access_denied", server.issuer, "some-state")


def test_who_is_signed_in_is_not_asked_again_unless_that_is_wanted(server: OidcServer, client: Client) -> None:
    browser = Browser(server)
    browser.sign_in(authorization(server, client), "alice")
    assert "code" in answer_of(browser.sign_in(authorization(server, client), "alice", "not asked"))
    assert "code" in answer_of(browser.sign_in(authorization(server, client, prompt="consent"), "alice", "not asked"))
    with pytest.raises(Refused, match="Wrong"):
        browser.sign_in(authorization(server, client, prompt="login"), "alice", "asked")


def test_without_a_session_prompt_none_is_answered_with_login_required(server: OidcServer, client: Client) -> None:
    callback = oidc.sign_in(server, authorization(server, client, prompt="none"), "alice")
    assert answer_of(callback)["error"] == "login_required"


def test_a_login_hint_is_filled_in(server: OidcServer, client: Client) -> None:
    page = requests.get(authorization(server, client, login_hint='al"ice'), timeout=5)
    assert 'name="login" value="al&#34;ice"' in page.text


def test_pages_load_nothing(server: OidcServer, client: Client) -> None:
    pages = [requests.get(f"{server.issuer}{path}", timeout=5).text for path in ("/auth", "/interaction/x")]
    pages.append(requests.get(authorization(server, client), timeout=5).text)
    assert not [page for page in pages if "://" in page.replace(server.issuer, "")]


@pytest.mark.parametrize(
    ("asked", "given"), [({}, None), ({"acr_values": "mfa"}, "mfa"), ({"acr_values": "unknown"}, "basic")]
)
def test_the_acr_is_what_the_client_asks_for(
    server: OidcServer, client: Client, asked: dict[str, str], given: str | None
) -> None:
    assert signed_in(server, client, **asked).claims.get("acr") == given


def test_an_essential_acr_by_the_claims_parameter_is_had(server: OidcServer, client: Client) -> None:
    tokens = signed_in(server, client, claims='{"id_token": {"acr": {"essential": true, "value": "mfa"}}}')
    assert tokens.claims["acr"] == "mfa"


def test_a_person_may_have_signed_in_otherwise_than_asked(server: OidcServer, client: Client) -> None:
    server.add_person("dave", acr="basic", amr=["pin"])
    callback = oidc.sign_in(server, authorization(server, client, acr_values="mfa"), "dave")
    claims = tokens_of(server, client, callback).claims
    assert (claims["acr"], claims["amr"]) == ("basic", ["pin"])


def test_max_age_gives_the_time_of_the_sign_in(server: OidcServer, client: Client) -> None:
    tokens = signed_in(server, client, max_age="300")
    assert 0 <= tokens.claims["iat"] - tokens.claims["auth_time"] < 10


def test_changed_claims_count_from_the_next_sign_in(server: OidcServer, client: Client) -> None:
    browser, url = Browser(server), authorization(server, client, scope="openid groups roles")
    server.add_person("erin", groups=["sales"])
    assert tokens_of(server, client, browser.sign_in(url, "erin")).userinfo["groups"] == ["sales"]
    server.add_person("erin", groups=[], realm_access={"roles": ["admin"]}, tid="1234")
    tokens = tokens_of(server, client, browser.sign_in(url, "erin"))
    assert tokens.userinfo["realm_access"] == {"roles": ["admin"]}
    assert tokens.claims["tid"] == "1234"


def test_claims_are_in_the_id_token_if_that_is_the_providers_way(server: OidcServer, client: Client) -> None:
    assert "email" not in signed_in(server, client).claims
    with require(partial(oidc.start, claims_in_id_token=True)) as other:
        add_alice(other, groups=["sales"], realm_access={"roles": ["admin"]})
        theirs = other.add_client(redirect_uris=[CALLBACK])
        claims = signed_in(other, theirs, scope="openid email groups roles").claims
    assert (claims["email"], claims["groups"], claims["realm_access"]["roles"]) == (
        "alice@acme.example",
        ["sales"],
        ["admin"],
    )


def test_a_client_may_post_its_secret(server: OidcServer) -> None:
    client = server.add_client(redirect_uris=[CALLBACK], token_endpoint_auth_method="client_secret_post")
    callback = oidc.sign_in(server, authorization(server, client), "alice")
    assert client.secret
    assert (
        tokens_of(server, client, callback, client_id=client.id, client_secret=client.secret).claims["sub"] == "alice"
    )


def test_a_public_client_has_no_secret(server: OidcServer) -> None:
    client = server.add_client(redirect_uris=[CALLBACK], token_endpoint_auth_method="none")
    callback = oidc.sign_in(server, authorization(server, client), "alice")
    assert client.secret is None
    assert tokens_of(server, client, callback, client_id=client.id).claims["sub"] == "alice"


def test_a_client_may_sign_with_its_own_key(server: OidcServer) -> None:
    key = jwk.ECKey.generate_key("P-256", auto_kid=True)
    client = server.add_client(
        redirect_uris=[CALLBACK],
        token_endpoint_auth_method="private_key_jwt",
        jwks={"keys": [key.as_dict(private=False)]},
    )
    callback = oidc.sign_in(server, authorization(server, client), "alice")
    claims = {"iss": client.id, "sub": client.id, "aud": server.issuer, "jti": secrets.token_hex(8)}
    now = int(time.time())
    proof = {
        "client_id": client.id,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": jwt.encode({"alg": "ES256"}, claims | {"iat": now, "exp": now + 60}, key),
    }
    assert tokens_of(server, client, callback, **proof).claims["sub"] == "alice"


def test_a_client_can_be_changed_and_nonsense_is_refused(server: OidcServer) -> None:
    client = server.add_client(redirect_uris=["http://other.localhost/"])
    changed = server.add_client(client_id=client.id, secret="another secret", redirect_uris=[CALLBACK])
    assert changed == Client(client.id, "another secret")
    assert signed_in(server, changed).claims["sub"] == "alice"
    with pytest.raises(ValueError, match="redirect_uris"):
        server.add_client(redirect_uris=["no address"])


def test_keys_rotate_and_the_old_ones_are_gone(server: OidcServer, client: Client) -> None:
    before, old = signed_in(server, client), keys(server)
    server.rotate_keys()
    after = signed_in(server, client)
    assert before.header["kid"] != after.header["kid"]
    with pytest.raises((JoseError, ValueError)):
        jwt.decode(after.id_token, old)
    with pytest.raises((JoseError, ValueError)):
        jwt.decode(before.id_token, keys(server))


def test_signing_somebody_out_sends_logout_tokens(server: OidcServer, listener: Listener) -> None:
    server.add_person("frank")
    client = server.add_client(redirect_uris=[CALLBACK], backchannel_logout_uri=listener.url)
    browser, url = Browser(server), authorization(server, client)
    tokens = tokens_of(server, client, browser.sign_in(url, "frank"))
    assert server.sign_out("frank") == [(client.id, None)]
    logout = jwt.decode(listener.tokens.get(timeout=5), keys(server)).claims
    assert (logout["sub"], logout["sid"], logout["aud"]) == ("frank", tokens.claims["sid"], client.id)
    assert logout["events"] == {LOGOUT_EVENT: {}}
    assert listener.host == urlsplit(listener.url).netloc
    with pytest.raises(Refused, match="Wrong"):
        browser.sign_in(url, "frank", "asked again")


def test_a_client_that_refuses_a_logout_token_is_named(server: OidcServer, listener: Listener) -> None:
    server.add_person("grace")
    client = server.add_client(redirect_uris=[CALLBACK], backchannel_logout_uri=listener.url)
    oidc.sign_in(server, authorization(server, client), "grace")
    listener.status = 400
    [(told, failure)] = server.sign_out("grace")
    assert told == client.id
    assert failure is not None
    assert "400" in failure


def test_the_sign_out_page_leads_back_and_sends_logout_tokens(
    server: OidcServer, client: Client, listener: Listener
) -> None:
    other = server.add_client(redirect_uris=[CALLBACK], backchannel_logout_uri=listener.url)
    browser = Browser(server)
    browser.sign_in(authorization(server, other), "alice")
    tokens = tokens_of(server, client, browser.sign_in(authorization(server, client), "alice"))
    query = {"id_token_hint": tokens.id_token, "post_logout_redirect_uri": SIGNED_OUT, "state": "bye"}
    assert browser.sign_out(f"{server.issuer}/session/end?{urlencode(query)}") == f"{SIGNED_OUT}?state=bye"
    assert jwt.decode(listener.tokens.get(timeout=5), keys(server)).claims["sub"] == "alice"


def test_two_providers_keep_their_cookies_apart(server: OidcServer, client: Client) -> None:
    with require(oidc.start) as other:
        names = [
            {cookie.name for cookie in requests.get(authorization(each, theirs), timeout=5).history[0].cookies}
            for each, theirs in ((server, client), (other, other.add_client(redirect_uris=[CALLBACK])))
        ]
    assert names[0]
    assert names[0].isdisjoint(names[1])


def test_a_provider_refuses_connections_while_it_is_stopped(server: OidcServer, client: Client) -> None:
    server.stop()
    with pytest.raises(requests.ConnectionError):
        keys(server)
    server.start()
    assert signed_in(server, client).claims["sub"] == "alice"


def test_a_pattern_allows_redirect_uris_that_are_not_registered() -> None:
    pattern = r"^http://[a-z]+\.localhost:8000/sso/[^/]+/(callback|signed-out)$"
    with require(partial(oidc.start, redirects=pattern)) as lenient:
        add_alice(lenient)
        client = lenient.add_client(redirect_uris=["http://auth.localhost:8000/sso/any/callback"])
        assert signed_in(lenient, client).claims["sub"] == "alice"
        with pytest.raises(Refused, match="redirect_uri"):
            oidc.sign_in(lenient, authorization(lenient, client, redirect_uri="http://evil.example/"), "alice")


def test_a_provider_that_cannot_start_says_why(server: OidcServer) -> None:
    with pytest.raises(RuntimeError, match="EADDRINUSE"):
        oidc.start(port=server.port)


def test_the_end_of_the_provider_frees_its_port() -> None:
    with require(oidc.start) as ended:
        pass
    with require(partial(oidc.start, port=ended.port)) as again:
        assert again.issuer == ended.issuer


def test_the_lock_names_no_registry() -> None:
    lock = (node.SOURCES / "package-lock.json").read_text()
    assert '"integrity"' in lock
    assert '"resolved"' not in lock
    assert "registry" not in lock
