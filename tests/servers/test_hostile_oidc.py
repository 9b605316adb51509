"""The hostile identity provider is honest until told otherwise, and then as bad as it says."""

import base64
import hmac
import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwk, jwt
from joserfc.errors import BadSignatureError
from joserfc.jws import extract_compact

from tests.servers import hostile_http as bad
from tests.servers.hostile_oidc import DISCOVERY, LOGOUT_EVENT, REMOVED, HostileProvider, elliptic

CALLBACK = "http://acme.localhost:8000/sso/one/callback"
Document = dict[str, Any]


@pytest.fixture(scope="module")
def running() -> Iterator[HostileProvider]:
    with HostileProvider() as started:
        yield started


@pytest.fixture
def provider(running: HostileProvider) -> HostileProvider:
    """A provider that was told nothing."""
    running.behave()
    return running


def get(url: str, **options: Any) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, **({"timeout": 5, "allow_redirects": False} | options))


def client() -> OAuth2Session:
    made = OAuth2Session("one", "a secret", scope="openid email", redirect_uri=CALLBACK, code_challenge_method="S256")
    made.trust_env = False
    return made


def authorization(provider: HostileProvider) -> str:
    with client() as session:
        url, _ = session.create_authorization_url(
            f"{provider.issuer}/authorize", state="some-state", nonce="some-nonce", code_verifier="v" * 50
        )
    return str(url)


def answer_of(callback: str) -> dict[str, str]:
    assert callback.startswith(f"{CALLBACK}?")
    return dict(parse_qsl(urlsplit(callback).query))


def visit(provider: HostileProvider, **told: Any) -> Document:
    """What the token endpoint says to the code of a sign-in."""
    callback = provider.authorize(authorization(provider), **told)
    with client() as session:
        found = session.fetch_token(
            f"{provider.issuer}/token", authorization_response=callback, state="some-state", code_verifier="v" * 50
        )
    return dict(found)


def unverified(token: str) -> tuple[Document, Document]:
    """Header and claims, whoever signed them."""
    parts = extract_compact(token.encode())
    return parts.headers(), json.loads(parts.payload)


def verified(provider: HostileProvider, token: str, *algorithms: str) -> Document:
    keys = jwk.KeySet.import_key_set(get(f"{provider.issuer}/jwks").json())
    return jwt.decode(token, keys, algorithms=algorithms or ("RS256",)).claims


class TestHonesty:
    """Told nothing, it is a provider."""

    def test_a_sign_in_succeeds(self, provider: HostileProvider) -> None:
        found = visit(provider, email="alice@acme.example")
        claims = verified(provider, found["id_token"])
        assert (claims["iss"], claims["aud"], claims["sub"]) == (provider.issuer, "one", "alice")
        assert (claims["nonce"], claims["email"]) == ("some-nonce", "alice@acme.example")
        assert claims["iat"] <= time.time() < claims["exp"]
        said = get(f"{provider.issuer}/userinfo", headers={"Authorization": f"Bearer {found['access_token']}"}).json()
        assert said == {"sub": "alice", "email": "alice@acme.example"}

    def test_it_describes_itself(self, provider: HostileProvider) -> None:
        document = get(provider.issuer + DISCOVERY).json()
        assert document["issuer"] == provider.issuer
        assert document["token_endpoint"] == f"{provider.issuer}/token"

    def test_a_callback_answers_its_request(self, provider: HostileProvider) -> None:
        answer = answer_of(provider.authorize(authorization(provider)))
        assert answer.pop("code")
        assert answer == {"state": "some-state", "iss": provider.issuer}

    def test_a_code_is_good_once(self, provider: HostileProvider) -> None:
        form = {"code": answer_of(provider.authorize(authorization(provider)))["code"]}
        with requests.Session() as session:
            session.trust_env = False
            answers = [session.post(f"{provider.issuer}/token", data=form, timeout=5).status_code for _ in range(2)]
        assert answers == [200, 400]

    def test_it_remembers_what_it_was_asked(self, provider: HostileProvider) -> None:
        visit(provider)
        (asked,) = provider.asked("/token")
        assert (asked.method, asked.form["code_verifier"]) == ("POST", "v" * 50)
        assert asked.headers["authorization"].startswith("Basic ")

    def test_plain_oauth_knows_the_person(self, provider: HostileProvider) -> None:
        provider.emails = [{"email": "alice@acme.example", "primary": True, "verified": True}]
        bearer = {"Authorization": f"Bearer {visit(provider)['access_token']}"}
        assert get(f"{provider.issuer}/user", headers=bearer).json() == {"id": 4711, "login": "alice"}
        assert get(f"{provider.issuer}/user/emails", headers=bearer).json() == provider.emails


class TestTold:
    """Told to, it says something else."""

    def test_claims(self, provider: HostileProvider) -> None:
        provider.claims = {"aud": "other", "nonce": REMOVED}
        claims = verified(provider, visit(provider, groups=["staff"])["id_token"])
        assert (claims["aud"], claims["groups"]) == ("other", ["staff"])
        assert "nonce" not in claims

    def test_a_callback(self, provider: HostileProvider) -> None:
        url = authorization(provider)
        assert answer_of(provider.authorize(url, state="other", iss="http://other"))["state"] == "other"
        assert "iss" not in answer_of(provider.authorize(url, iss=REMOVED))
        answer = answer_of(provider.authorize(url, error="access_denied", error_description="no"))
        assert (answer["error"], answer["error_description"]) == ("access_denied", "no")
        assert "code" not in answer

    def test_no_signature(self, provider: HostileProvider) -> None:
        provider.algorithm = "none"
        token = visit(provider)["id_token"]
        assert token.endswith(".")
        assert unverified(token)[0]["alg"] == "none"

    def test_the_public_key_for_a_secret(self, provider: HostileProvider) -> None:
        provider.algorithm = "HS256"
        token = visit(provider)["id_token"]
        body, _, signature = token.rpartition(".")
        assert unverified(token)[0]["alg"] == "HS256"
        made = hmac.digest(provider.published[0].as_pem(private=False), body.encode(), "sha256")
        assert base64.urlsafe_b64decode(signature + "=") == made

    def test_another_key(self, provider: HostileProvider) -> None:
        provider.key = jwk.RSAKey.generate_key(2048, {"kid": "published"})
        token = visit(provider)["id_token"]
        with pytest.raises(BadSignatureError):
            verified(provider, token)
        assert jwt.decode(token, provider.key).claims["sub"] == "alice"

    def test_a_key_in_the_token(self, provider: HostileProvider) -> None:
        # An RSA key would make the header longer than joserfc reads, and be refused for that.
        provider.algorithm, provider.key = "ES256", jwk.ECKey.generate_key("P-256", {"kid": "published"})
        provider.header = {"jwk": provider.key.as_dict(private=False)}
        token = visit(provider)["id_token"]
        embedded = jwk.import_key(unverified(token)[0]["jwk"])
        assert jwt.decode(token, embedded).claims["sub"] == "alice"

    def test_another_kind_of_key(self, provider: HostileProvider) -> None:
        provider.algorithm, provider.key, provider.published = "ES256", elliptic(), [elliptic()]
        assert verified(provider, visit(provider)["id_token"], "ES256")["sub"] == "alice"

    def test_keys_change(self, provider: HostileProvider) -> None:
        before = visit(provider)["id_token"]
        provider.rotate()
        after = visit(provider)["id_token"]
        assert verified(provider, after)["sub"] == "alice"
        assert unverified(before)[0]["kid"] != unverified(after)[0]["kid"]

    def test_documents(self, provider: HostileProvider) -> None:
        provider.discovery = {"issuer": "http://other", "jwks_uri": REMOVED}
        provider.userinfo, provider.token = {"sub": "mallory"}, {"id_token": REMOVED}
        document, found = get(provider.issuer + DISCOVERY).json(), visit(provider)
        assert document["issuer"] == "http://other"
        assert "jwks_uri" not in document
        assert "id_token" not in found
        bearer = {"Authorization": f"Bearer {found['access_token']}"}
        assert get(f"{provider.issuer}/userinfo", headers=bearer).json() == {"sub": "mallory"}

    def test_logout_tokens(self, provider: HostileProvider) -> None:
        token = provider.logout_token("one", sub="alice", sid="s1", exp=REMOVED)
        claims = verified(provider, token)
        assert unverified(token)[0]["typ"] == "logout+jwt"
        assert (claims["aud"], claims["sub"], claims["sid"]) == ("one", "alice", "s1")
        assert claims["events"] == {LOGOUT_EVENT: {}}
        assert "exp" not in claims


class TestFaults:
    """Each does what it says."""

    @pytest.fixture
    def ask(self, provider: HostileProvider) -> Callable[..., requests.Response]:
        """Get the keys, with this in their place."""

        def ask(answer: bad.Answer, **options: Any) -> requests.Response:
            provider.answers["/jwks"] = answer
            return get(f"{provider.issuer}/jwks", **options)

        return ask

    def test_other_answers(self, ask: Callable[..., requests.Response]) -> None:
        answer = ask(bad.says(["a list"], 503, Retry_After="9"))
        assert (answer.status_code, answer.headers["retry-after"], answer.json()) == (503, "9", ["a list"])
        assert ask(bad.says(b"<h1>", Content_Type="text/html")).text == "<h1>"

    def test_redirects(self, ask: Callable[..., requests.Response]) -> None:
        answer = ask(bad.redirects("http://other/", 307))
        assert (answer.status_code, answer.headers["location"]) == (307, "http://other/")

    def test_late_is_right(self, ask: Callable[..., requests.Response]) -> None:
        began = time.monotonic()
        assert "keys" in ask(bad.waits(0.2)).json()
        assert time.monotonic() - began >= 0.2

    @pytest.mark.parametrize("announced", [True, False])
    def test_huge(self, ask: Callable[..., requests.Response], announced: bool) -> None:
        answer = ask(bad.huge(4 * bad.BLOCK, announced=announced))
        assert ("content-length" in answer.headers) is announced
        assert len(answer.content) == 4 * bad.BLOCK

    def test_a_bomb_is_small_until_unpacked(self, ask: Callable[..., requests.Response]) -> None:
        with ask(bad.bomb(1 << 20), stream=True) as answer:
            assert len(answer.raw.read(decode_content=False)) < 1 << 14
        assert len(ask(bad.bomb(1 << 20)).content) == 1 << 20

    @pytest.mark.parametrize(("where", "bit"), [("headers", b"X-3: x"), ("promise", b"HTTP/1.1 100"), ("body", b" ")])
    def test_dripping(self, provider: HostileProvider, where: str, bit: bytes) -> None:
        provider.answers["/jwks"] = bad.drips(where, 0.01)
        with socket.create_connection(("127.0.0.1", provider.port), timeout=5) as connection:
            connection.sendall(b"GET /jwks HTTP/1.1\r\nHost: localhost\r\n\r\n")
            # By any client that waits for each read anew, it is never given up.
            received = [connection.recv(4096) for _ in range(8)]
        assert all(received)
        assert bit in b"".join(received)

    def test_hanging(self, ask: Callable[..., requests.Response]) -> None:
        with pytest.raises(requests.ReadTimeout):
            ask(bad.hangs, timeout=0.2)

    def test_resetting(self, ask: Callable[..., requests.Response]) -> None:
        with pytest.raises(requests.ConnectionError):
            ask(bad.resets)

    def test_what_is_no_http(self, ask: Callable[..., requests.Response]) -> None:
        with pytest.raises(requests.ConnectionError):
            ask(bad.sends(b"SSH-2.0-\r\n\r\n"))

    def test_it_ends_under_who_waits(self) -> None:
        with HostileProvider("localhost") as provider:
            provider.answers["/jwks"] = bad.hangs
            with pytest.raises(requests.ReadTimeout):
                get(f"{provider.issuer}/jwks", timeout=0.1)
            began = time.monotonic()
        assert time.monotonic() - began < 2
