"""An identity provider that misbehaves as told, on threads of the test and on a free loopback port.

It speaks OpenID Connect and, at /user and /user/emails, like GitHub. Nobody signs in there: `authorize` stands for the
browser at its pages, and gives back the address at which the client is called back.
"""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry

from tests.servers.hostile_http import HostileServer, Request


class _Removed:
    def __repr__(self) -> str:
        return "REMOVED"


REMOVED: Any = _Removed()
"""Where a value is expected: what is usually there is left out."""
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
DISCOVERY = "/.well-known/openid-configuration"
_PROTOCOL = {"iss", "sub", "aud", "azp", "exp", "iat", "nbf", "nonce", "auth_time", "acr", "amr", "at_hash", "sid"}


@dataclass
class Grant:
    """What a code or an access token stands for."""

    asked: dict[str, str]
    claims: dict[str, Any]


class HostileProvider(HostileServer):
    """What it may be told stands in its attributes; `REMOVED` in a mapping takes a value away."""

    def __init__(self, host: str = "127.0.0.1", *, certificate: str | None = None) -> None:
        super().__init__(host, certificate=certificate)
        self.issuer = self.url
        self.behave()

    def behave(self) -> None:
        """Forget what was told and what was asked."""
        self.requests.clear()
        self.answers.clear()
        self.discovery: dict[str, Any] = {}
        self.claims: dict[str, Any] = {}
        """Of every ID token, beside those of `authorize`."""
        self.header: dict[str, Any] = {}
        """Of every token."""
        self.token: dict[str, Any] = {}
        self.userinfo: dict[str, Any] = {}
        self.user: dict[str, Any] = {}
        self.emails: Any = []
        self.thin = False
        """Whether only userinfo says more than who somebody is."""
        self.algorithm = "RS256"
        """Also "none", "HS256" with the public key for a secret, and others that fit the key."""
        self.key: Any = _rsa()
        """Signs; by default the one that is published."""
        self.published: list[Any] = [_rsa()]
        self.issued: list[str] = []
        """Every code and token so far."""
        self._grants: dict[str, Grant] = {}

    def rotate(self) -> None:
        """Sign with a new key from now on, and publish no other."""
        self.key = RSAKey.generate_key(2048, {"kid": secrets.token_hex(4), "use": "sig"})
        self.published = [self.key]

    def authorize(
        self,
        url: str,
        *,
        sub: Any = "alice",
        error: str | None = None,
        error_description: str | None = None,
        iss: Any = None,
        state: str | None = None,
        **claims: Any,
    ) -> str:
        """Say yes for `sub`, or `error`, at that address of the authorization endpoint."""
        asked = dict(parse_qsl(urlsplit(url).query))
        answer = {"state": asked.get("state") if state is None else state, "iss": self.issuer if iss is None else iss}
        if error is not None:
            answer |= {"error": error, "error_description": error_description or REMOVED}
        else:
            answer["code"] = code = secrets.token_urlsafe(24)
            self._grants[code] = Grant(asked, {"sub": sub, **claims})
            self.issued.append(code)
        return f"{asked['redirect_uri']}?{urlencode(_kept(answer))}"

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        """A token with these claims, signed as told."""
        said = {"alg": self.algorithm, "kid": self.key.kid, "typ": "JWT", **self.header, **header}
        body = b".".join(_encoded(json.dumps(_kept(part)).encode()) for part in (said, claims))
        if self.algorithm == "none":
            signature = b""
        elif self.algorithm == "HS256":
            signature = hmac.digest(self.key.as_pem(private=False), body, "sha256")
        else:
            signature = JWSRegistry.algorithms[self.algorithm].sign(body, self.key)
        return (body + b"." + _encoded(signature)).decode()

    def logout_token(self, client_id: str, **overrides: Any) -> str:
        """A token that says that a session of `sub` or `sid` has ended."""
        moment = int(time.time())
        said = {"iss": self.issuer, "aud": client_id, "iat": moment, "exp": moment + 120, "jti": secrets.token_hex(8),
                "events": {LOGOUT_EVENT: {}}} | overrides  # fmt: skip
        return self.sign(said, typ="logout+jwt")

    def usual(self, request: Request) -> tuple[int, bytes]:
        """What a provider would answer."""
        pages: dict[str, Callable[[Request], Any]] = {
            DISCOVERY: lambda _: _kept(self.described() | self.discovery),
            "/jwks": lambda _: {"keys": [key.as_dict(private=False) for key in self.published]},
            "/token": self._redeem,
            "/userinfo": lambda request: _kept(self._person(request).claims | self.userinfo),
            "/user": lambda request: _kept({"id": 4711, "login": self._person(request).claims["sub"]} | self.user),
            "/user/emails": lambda _: self.emails,
        }
        try:
            return 200, json.dumps(pages[request.path](request)).encode()
        except KeyError:
            return 400, b'{"error": "invalid_grant"}'

    def described(self) -> dict[str, Any]:
        """What it says of itself by rights."""
        named = {"authorization": "/authorize", "token": "/token", "userinfo": "/userinfo", "end_session": "/end"}
        return {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/jwks",
                "authorization_response_iss_parameter_supported": True,
                "id_token_signing_alg_values_supported": ["RS256", "ES256"],
                **{f"{name}_endpoint": self.issuer + path for name, path in named.items()}}  # fmt: skip

    def _redeem(self, request: Request) -> dict[str, Any]:
        grant = self._grants.pop(request.form["code"])
        access_token = f"access-{secrets.token_urlsafe(16)}"
        self._grants[access_token] = grant
        said = {"access_token": access_token, "token_type": "Bearer", "expires_in": 60}
        if "openid" in grant.asked.get("scope", ""):
            said["id_token"] = self.sign(self._claims(grant, access_token))
        answer = _kept(said | self.token)
        self.issued += [answer[name] for name in ("access_token", "id_token", "refresh_token") if name in answer]
        return answer

    def _claims(self, grant: Grant, access_token: str) -> dict[str, Any]:
        moment = int(time.time())
        said = {"iss": self.issuer, "aud": grant.asked["client_id"], "nonce": grant.asked.get("nonce", REMOVED),
                "iat": moment, "exp": moment + 300, "auth_time": moment, "at_hash": _half_hash(access_token),
                **grant.claims, **self.claims}  # fmt: skip
        return {name: value for name, value in said.items() if not self.thin or name in _PROTOCOL}

    def _person(self, request: Request) -> Grant:
        return self._grants[request.headers["authorization"].removeprefix("Bearer ")]


@cache
def _rsa() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": "published", "use": "sig"})


@cache
def elliptic() -> ECKey:
    """A key for ES256."""
    return ECKey.generate_key("P-256", {"kid": "elliptic", "use": "sig"})


def _kept(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not REMOVED}


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _half_hash(access_token: str) -> str:
    return _encoded(hashlib.sha256(access_token.encode()).digest()[:16]).decode()
