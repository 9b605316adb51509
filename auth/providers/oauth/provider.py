"""A web source: sends people to sign in elsewhere, and finds out who came back. Keeps nothing of an attempt."""

import abc
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from authlib.common.urls import add_params_to_uri
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc.jwk import ECKey, OKPKey
from pydantic import SecretStr

from auth.breakers import Paused, breakers, in_turn
from auth.outgoing import Network
from auth.providers.base import ExternalIdentity, Provider
from auth.providers.oauth.channel import PATIENCE, Channel, whole
from auth.providers.oauth.configuration import OAuth2Configuration, OidcConfiguration, PrivateKey, private_key
from auth.providers.oauth.faults import Fault, OAuthFault, SaidByBrowser, Unreachable
from auth.providers.oauth.metadata import Issuer

_REFUSALS = {
    "access_denied": Fault.DENIED,
    "login_required": Fault.NEEDS_PERSON,
    "interaction_required": Fault.NEEDS_PERSON,
    "consent_required": Fault.NEEDS_PERSON,
    "account_selection_required": Fault.NEEDS_PERSON,
    "server_error": Fault.BUSY,
    "temporarily_unavailable": Fault.BUSY,
    "invalid_client": Fault.CLIENT_REFUSED,
    "unauthorized_client": Fault.CLIENT_REFUSED,
    "incorrect_client_credentials": Fault.CLIENT_REFUSED,  # GitHub's own words, here and below
    "invalid_grant": Fault.CODE_REFUSED,
    "bad_verification_code": Fault.CODE_REFUSED,
}
_LONGEST_CODE = 8192
_LONGEST_WAIT = 3.0  # seconds in each of two queues
_CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}


@dataclass(frozen=True, slots=True)
class Errand:
    """What one attempt sends along, and has to find again."""

    state: str
    nonce: str
    verifier: str = field(repr=False)
    redirect_uri: str
    anew_since: float | None = None
    """Seconds since 1970: the person has to sign in there anew, after that moment."""


@dataclass(frozen=True, slots=True)
class RemoteSession:
    """What names a person's session at the provider, to end with it; empty where a provider has no such thing."""

    subject: str = ""
    sid: str = ""
    id_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Visit:
    """Who came back."""

    identity: ExternalIdentity
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """All that the provider has said, for a rehearsal."""
    session: RemoteSession = field(default_factory=RemoteSession)
    asked: str = ""
    """Digest of the settings by which the provider was asked."""


@dataclass(frozen=True, slots=True)
class Access:
    """How a provider is reached."""

    configuration: OidcConfiguration | OAuth2Configuration
    secret: SecretStr | None
    allowed: Sequence[Network]
    owner: str
    """The tenant that it is asked for: few of its requests are under way at the same time."""


class WebProvider(Provider):
    """Base of the two kinds; immutable."""

    def __init__(self, *, id: str, access: Access) -> None:
        self.id = id
        self.access = access
        self.configuration = access.configuration

    def authorization_url(self, errand: Errand, *, login_hint: str = "") -> str:
        """Where to send the person. Raises SourceUnavailable."""
        address = self._describe(time.monotonic()).address("authorization_endpoint")
        return str(
            prepare_grant_uri(
                address,
                self.configuration.client_id,
                "code",
                redirect_uri=errand.redirect_uri,
                scope=" ".join(self.configuration.scopes) or None,
                state=errand.state,
                code_challenge=create_s256_code_challenge(errand.verifier),
                code_challenge_method="S256",
                **self._request_parameters(errand, login_hint),
            )
        )

    def redeem(self, answer: Mapping[str, str], errand: Errand) -> Visit:
        """Who came back with that answer to that errand, whose state was found already. Raises SourceUnavailable."""
        begun = time.monotonic()
        issuer = self._describe(begun)
        # Before anything else: of a stranger's answer nothing is believed, and nothing sent to this provider.
        self._check_sender(answer, issuer)
        if error := answer.get("error"):
            refused = _refusal(error, answer.get("error_description", ""))
            raise SaidByBrowser(refused.fault, refused.detail)
        code = answer.get("code", "")
        if not 0 < len(code) <= _LONGEST_CODE:
            raise OAuthFault(Fault.ODD_ANSWER, "no code")
        with self.channel(begun) as channel, self._session(channel, issuer, errand) as session:
            token = self._fetch_token(session, issuer, errand, code)
            return self._visit(channel, issuer, token, errand)

    def _describe(self, begun: float) -> Issuer:
        """The provider's addresses, from memory if they are known: then it was not asked, and has not answered."""
        known = self._recall()
        if known is not None:
            return known
        with self.channel(begun) as channel:
            return self._issuer(channel)

    @contextmanager
    def channel(self, begun: float) -> Iterator[Channel]:
        """Ask the provider within this block, unless it did not answer of late. Raises SourceUnavailable.

        `begun` is when that visit began, by the monotonic clock: what was waited since then is part of its time.
        """
        configuration = self.configuration

        def left() -> float:
            return max(0.0, PATIENCE - (time.monotonic() - begun))

        try:
            with (
                in_turn(self.access.owner, longest_wait=min(_LONGEST_WAIT, left())),
                breakers.of(self.id).attempt(Unreachable, longest_wait=min(_LONGEST_WAIT, left())),
                Channel(
                    patience=left(),
                    allowed=self.access.allowed,
                    owner=self.access.owner,
                    insecure=configuration.insecure,
                    ca_bundle=configuration.ca_bundle,
                ) as channel,
            ):
                yield channel
        except Paused:
            raise OAuthFault(Fault.PAUSED) from None

    @abc.abstractmethod
    def _issuer(self, channel: Channel) -> Issuer:
        """The provider's addresses."""

    @abc.abstractmethod
    def _recall(self) -> Issuer | None:
        """The provider's addresses, if they are known without asking."""

    @abc.abstractmethod
    def _visit(self, channel: Channel, issuer: Issuer, token: Mapping[str, Any], errand: Errand) -> Visit:
        """Who the token is about."""

    def _request_parameters(self, errand: Errand, login_hint: str) -> dict[str, Any]:
        """What the request says beside what OAuth itself needs."""
        wanted: dict[str, Any] = {"login_hint": login_hint} if login_hint else {}
        return wanted | ({"prompt": self.configuration.prompt} if self.configuration.prompt else {})

    def _check_sender(self, answer: Mapping[str, str], issuer: Issuer) -> None:
        """Raise OAuthFault for an answer that names another issuer (RFC 9207, section 2.4).

        A provider that names none is known by the redirect address, which no other one has.
        """
        named = answer.get("iss")
        announced = issuer.announces("authorization_response_iss_parameter_supported")
        if (named is None and announced) or (named is not None and named != issuer.name):
            raise OAuthFault(Fault.MIXED_UP, "the answer names no issuer" if named is None else named)

    def _session(self, channel: Channel, issuer: Issuer, errand: Errand) -> "_Session":
        secret = self.access.secret.get_secret_value() if self.access.secret else None
        method = self.configuration.client_auth
        key = private_key(secret or "") if method == "private_key_jwt" else None
        session = _Session(
            channel,
            client_id=self.configuration.client_id,
            client_secret=key or secret,
            token_endpoint_auth_method=method,
            scope=" ".join(self.configuration.scopes) or None,
            redirect_uri=errand.redirect_uri,
        )
        if key is not None:
            header = {"kid": self.configuration.key_id} if self.configuration.key_id else None
            proof = PrivateKeyJWT(issuer.address("token_endpoint"), headers=header, alg=_algorithm_of(key))
            session.register_client_auth_method(proof)
        return session

    def _fetch_token(self, session: "_Session", issuer: Issuer, errand: Errand, code: str) -> Mapping[str, Any]:
        try:
            token: Mapping[str, Any] = whole(
                session.fetch_token(
                    issuer.address("token_endpoint"),
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=errand.verifier,
                    redirect_uri=errand.redirect_uri,
                )
            )
        except OAuthError as error:
            raise _refusal(str(error.error), str(error.description or "")) from error
        except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError, OSError) as error:
            raise OAuthFault(Fault.ODD_ANSWER, f"token: {type(error).__name__}") from error
        access_token = token.get("access_token")
        if not isinstance(access_token, str) or str(token.get("token_type", "bearer")).lower() != "bearer":
            raise OAuthFault(Fault.ODD_ANSWER, "no bearer token")
        return token


class _Session(OAuth2Session):
    """Authlib's session, of which everything goes by a channel."""

    def __init__(self, channel: Channel, **options: Any) -> None:
        super().__init__(**options)
        self._channel = channel
        channel.prepare(self)

    def request(  # type: ignore[override]  # the many options of requests, none of which is used by name
        self, method: str, url: str, withhold_token: bool = False, auth: Any = None, **options: Any
    ) -> Any:
        """Send one request."""
        return self._channel.send(self, method, url, auth=auth, **options)


def bearer(token: Mapping[str, Any]) -> dict[str, str]:
    """The header that shows an access token (RFC 6750, section 2.1)."""
    return {"Authorization": f"Bearer {token['access_token']}", "Accept": "application/json"}


def with_parameters(address: str, wanted: Mapping[str, str]) -> str:
    """An address with further parameters."""
    return str(add_params_to_uri(address, list(wanted.items())))


def _refusal(error: str, description: str) -> OAuthFault:
    fault = _REFUSALS.get(error, Fault.REQUEST_REFUSED)
    return OAuthFault(fault, f"{error[:100]}: {description[:300]}" if description else error[:100])


def _algorithm_of(key: PrivateKey) -> str:
    if isinstance(key, ECKey):
        return _CURVES.get(key.curve_name, "ES256")
    return "Ed25519" if isinstance(key, OKPKey) else "RS256"
