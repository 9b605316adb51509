"""Whether a client is who it says: its secret, or a signed assertion that counts once (RFC 7523, section 3)."""

import math
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from authlib.oauth2.rfc6749 import InvalidClientError, InvalidRequestError, OAuth2Request
from authlib.oauth2.rfc6749.errors import OAuth2Error
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from auth import throttle
from auth.errors import Throttled
from auth.oauth_server import client_keys
from auth.oauth_server.client import Client
from auth.oauth_server.metadata import address, issuer

METHODS = ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"]
MOST_FAILURES = 100
"""Failed proofs from one address within a window of `auth/throttle.py`."""
LONGEST_LIFE = 3600
"""Seconds that an assertion may be good for; for so long, and somewhat longer, its `jti` is remembered."""
LONGEST_ASSERTION = 8192
_SKEW = 60
_LONGEST_JTI = 255


class ProofFailed(InvalidClientError):
    """Whoever asks is not the client that they say, or there is none: which of the two is not told."""

    def __init__(self) -> None:
        super().__init__(description="Client authentication failed.", status_code=401)

    def get_headers(self) -> list[tuple[str, str]]:
        """With the scheme by which it could be tried (RFC 6749, section 5.2), and a realm (RFC 7617, section 2)."""
        given: list[tuple[str, str]] = super().get_headers()  # type: ignore[no-untyped-call]  # a hint is missing there
        headers = [(name, value) for name, value in given if name != "WWW-Authenticate"]
        return [*headers, ("WWW-Authenticate", 'Basic realm="oauth"')]


class Assertion(JWTBearerClientAssertion):
    """private_key_jwt, with what Authlib leaves open: which algorithms, how long, and how often."""

    # The name that RFC 7523 itself has for it; Authlib's is its own, and final to its hints only.
    CLIENT_AUTH_METHOD = "private_key_jwt"  # type: ignore[misc]

    def get_audiences(self) -> list[str]:
        """Whom an assertion may be meant for."""
        return [address("oauth.token"), issuer()]

    def resolve_client_public_key(self, client: Client) -> KeySet:
        """The keys that the client has registered."""
        if client.row.jwks is None:
            raise ProofFailed
        return client_keys.key_set(client.row.jwks)

    def extract_assertion(self, assertion: str) -> Any:
        """What an assertion says, before anything is believed of it."""
        if len(assertion) > LONGEST_ASSERTION or not assertion.isascii():
            raise ProofFailed
        try:
            return super().extract_assertion(assertion)
        except (ValueError, TypeError, RecursionError):
            raise ProofFailed from None

    def process_assertion_claims(self, assertion: str, resolve_key: KeySet) -> Any:
        """Verify signature and claims."""
        for key in resolve_key.keys:
            try:
                token = jwt.decode(assertion, key, algorithms=client_keys.ALGORITHMS)
            except (JoseError, ValueError, TypeError, KeyError):
                continue
            if token.header.get("kid") in (None, key.kid):
                self.verify_claims(token.claims)
                return token.claims
        raise ProofFailed

    def verify_claims(self, claims: Any) -> None:
        """Refuse an assertion that is for somebody else, by somebody else, over, endless, or used before."""
        moment = time.time()
        begun = all(_number(claims.get(name, 0)) <= moment + _SKEW for name in ("iat", "nbf"))
        left = _number(claims.get("exp")) - moment
        if not (begun and -_SKEW < left <= LONGEST_LIFE + _SKEW):
            raise ProofFailed
        audience = claims.get("aud")
        meant = audience if isinstance(audience, list) else [audience]
        # One that names others, too, could have been taken from them.
        if not meant or any(one not in self.get_audiences() for one in meant):
            raise ProofFailed
        if claims.get("iss") != claims.get("sub"):
            raise ProofFailed
        jti = claims.get("jti")
        if not isinstance(jti, str) or not 1 <= len(jti) <= _LONGEST_JTI or not self.validate_jti(claims, jti):
            raise ProofFailed

    def validate_jti(self, claims: Any, jti: str) -> bool:
        """Whether this is the first time that the assertion is shown."""
        kept = timedelta(seconds=LONGEST_LIFE + 2 * _SKEW)
        return throttle.first_use(f"client assertion:{claims['sub']}:{jti}", within=kept)


def check_one_way(request: OAuth2Request, form: Mapping[str, str]) -> None:
    """Raise InvalidRequestError for a client that proves itself in two ways at once (RFC 6749, section 2.3)."""
    ways = ("Authorization" in (request.headers or {}), "client_secret" in form, "client_assertion" in form)
    if sum(ways) > 1:
        raise InvalidRequestError("Only one way of client authentication at once.")


def check_same(form: Mapping[str, str], client_id: str) -> None:
    """Raise ProofFailed for a client that proves to be one, and says that it is another (RFC 7521, section 4.2)."""
    if form.get("client_id", client_id) != client_id:
        raise ProofFailed


def refused(error: Exception) -> OAuth2Error:
    """The one answer to a proof that has failed, whatever was wrong with it; counted. Raises Throttled."""
    if not isinstance(error, InvalidClientError | ValueError):
        raise error
    if not throttle.allows("client proof", MOST_FAILURES):
        raise Throttled(int(throttle.WINDOW.total_seconds()))
    return ProofFailed()


def _number(value: Any) -> float:
    """A time in a claim; what is none compares with nothing."""
    try:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:
        return math.nan
