"""What a provider says of itself, and its keys: fetched when needed, kept for a while, of a bounded number.

OpenID Connect Discovery 1.0, section 4.3: the document has to name the very issuer that was configured.
"""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from authlib.oidc.discovery import get_well_known_url
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from auth.providers.oauth.channel import Channel
from auth.providers.oauth.configuration import TENANT_ID, OidcConfiguration
from auth.providers.oauth.faults import Fault, OAuthFault

GOOD_FOR = 15 * 60
"""Seconds for which a description and keys are believed."""
KEYS_EVERY = 60
"""Seconds between two fetches of keys because of an unknown one."""
_MOST_ISSUERS = 1000
_KEPT = (
    "issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "end_session_endpoint",
    "id_token_signing_alg_values_supported", "authorization_response_iss_parameter_supported",
)  # fmt: skip
_MOST_KEYS = 100
_KEYS_AGAIN = 5.0  # seconds until keys that could not be had are asked for again, whoever wants them


@dataclass(slots=True)
class Issuer:
    """An issuer as this process knows it."""

    name: str
    document: Mapping[str, Any]
    fetched_at: float
    keys: KeySet | None = None
    keys_fetched_at: float = 0.0
    keys_asked_at: float = 0.0
    keys_failed_at: float = -math.inf
    lock: threading.Lock = field(default_factory=threading.Lock)

    def address(self, name: str) -> str:
        """An address in the document. Raises OAuthFault when there is none."""
        found = self.document.get(name)
        if not isinstance(found, str) or not found:
            raise OAuthFault(Fault.NO_ENDPOINT, name)
        return found

    def announces(self, name: str) -> bool:
        """Whether the document says yes to something."""
        return self.document.get(name) is True

    def offers(self, name: str) -> bool:
        """Whether the document names an address for something."""
        return isinstance(self.document.get(name), str)

    def keys_for(self, key_id: str | None, channel: Channel) -> KeySet:
        """The issuer's keys; fetched anew for an unknown one, but once a minute at most. Raises OAuthFault."""
        with self.lock:
            moment = time.monotonic()
            if self.keys is not None and moment - self.keys_fetched_at < GOOD_FOR:
                known = any(key_id in (None, key.kid) for key in self.keys)
                if known or moment - self.keys_asked_at < KEYS_EVERY:
                    return self.keys
            if moment - self.keys_failed_at < _KEYS_AGAIN:
                raise OAuthFault(Fault.PAUSED, "keys")
            self.keys_asked_at = moment  # before it is done: whoever comes meanwhile does not ask, too
        try:
            fetched = self._fetch_keys(channel)
        except OAuthFault:
            self.keys_failed_at = time.monotonic()
            raise
        with self.lock:
            self.keys, self.keys_fetched_at = fetched, time.monotonic()
        return fetched

    def _fetch_keys(self, channel: Channel) -> KeySet:
        document = channel.get_json(self.address("jwks_uri"))
        listed = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(listed, list) or len(listed) > _MOST_KEYS:
            raise OAuthFault(Fault.ODD_ANSWER, "no list of keys")
        usable = []
        for one in listed:
            # Keys of kinds that nobody here knows, or that are secret, are no reason to do without the others.
            if isinstance(one, dict) and one.get("kty") in ("RSA", "EC", "OKP") and one.get("use") in (None, "sig"):
                try:
                    usable.append(KeySet.import_key_set({"keys": [one]}).keys[0])
                except (JoseError, ValueError, TypeError, KeyError):
                    continue
        return KeySet(usable)


class Issuers:
    """The issuers that this process knows, those used last. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str | None, bool], Issuer] = OrderedDict()

    def recall(self, configuration: OidcConfiguration) -> Issuer | None:
        """The issuer, if it is known and still believed."""
        return self._recall((configuration.issuer, configuration.ca_bundle, configuration.insecure))

    def find(self, name: str, channel: Channel) -> Issuer:
        """The issuer of that name. Raises OAuthFault."""
        # Who trusts authorities of their own, or goes without https, shares nothing with others.
        key = (name, channel.ca_bundle, channel.insecure)
        if (known := self._recall(key)) is not None:
            return known
        fetched = _fetch(name, channel)
        with self._lock:
            self._known[key] = fetched
            self._known.move_to_end(key)
            while len(self._known) > _MOST_ISSUERS:
                self._known.popitem(last=False)
        return fetched

    def _recall(self, key: tuple[str, str | None, bool]) -> Issuer | None:
        with self._lock:
            known = self._known.get(key)
            if known is None or time.monotonic() - known.fetched_at >= GOOD_FOR:
                return None
            self._known.move_to_end(key)
            return known

    def forget(self) -> None:
        """Know nobody any more."""
        with self._lock:
            self._known.clear()


def _fetch(name: str, channel: Channel) -> Issuer:
    # Of many directories at once, Entra ID's description is kept under a word of its own.
    document = channel.get_json(get_well_known_url(name.replace(TENANT_ID, "organizations"), external=True))
    if not isinstance(document, dict):
        raise OAuthFault(Fault.ODD_ANSWER, "the description is no object")
    if document.get("issuer") != name:
        raise OAuthFault(Fault.WRONG_ISSUER, str(document.get("issuer")))
    issuer = Issuer(name, {key: document[key] for key in _KEPT if key in document}, time.monotonic())
    for needed in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        channel.check_address(issuer.address(needed))
    return issuer


issuers = Issuers()
"""Those of this process."""
