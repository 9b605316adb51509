"""Public keys by which a client proves who it is (private_key_jwt, RFC 7523): JSON web keys (RFC 7517)."""

from collections.abc import Mapping
from typing import Any

from flask_babel import gettext as _
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, import_key
from joserfc.util import to_bytes, urlsafe_b64decode

from auth.errors import InvalidClient

ALGORITHMS = ["ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "Ed25519", "EdDSA"]
"""Only of key pairs: with HMAC, a public key would be the secret."""
MOST = 10
_CURVES = frozenset({"P-256", "P-384", "P-521", "Ed25519"})
_SHORTEST_RSA = 2048
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_KINDS = frozenset({"EC", "OKP", "RSA"})


def usable(given: Any) -> dict[str, Any]:
    """The key set as it is kept: public, each key with an id. Raises InvalidClient."""
    keys = given.get("keys") if isinstance(given, Mapping) else None
    if not isinstance(keys, list) or not 1 <= len(keys) <= MOST:
        raise InvalidClient("jwks", _('A key set is JSON with 1 to %(most)s public keys: {"keys": [...]}.', most=MOST))
    return {"keys": [_usable_key(key) for key in keys]}


def key_set(kept: Mapping[str, Any]) -> KeySet:
    """The keys to verify with."""
    return KeySet.import_key_set({"keys": list(kept["keys"])})


def _usable_key(key: Any) -> dict[str, Any]:
    if not isinstance(key, Mapping) or key.get("kty") not in _KINDS:
        raise InvalidClient("jwks", _("A key is of the kind EC, OKP or RSA."))
    if _PRIVATE & key.keys():
        raise InvalidClient("jwks", _("This is a private key: keep it, and give us the public part only."))
    if key.get("use", "sig") != "sig":
        raise InvalidClient("jwks", _("A key has to be one for signatures."))
    # Before it is imported: of a short one that would only warn.
    if key["kty"] == "RSA" and _bits(key.get("n")) < _SHORTEST_RSA:
        raise InvalidClient("jwks", _("An RSA key has at least %(least)s bits.", least=_SHORTEST_RSA))
    try:
        imported = import_key(dict(key))
        public: dict[str, Any] = dict(imported.as_dict(private=False))
        public["kid"] = str(key.get("kid") or imported.thumbprint())[:200]
    except (JoseError, ValueError, TypeError, KeyError):
        raise InvalidClient("jwks", _("This is no key that can be read.")) from None
    if public["kty"] != "RSA" and public.get("crv") not in _CURVES:
        raise InvalidClient("jwks", _("That curve is not taken."))
    return public


def _bits(modulus: Any) -> int:
    try:
        return int.from_bytes(urlsafe_b64decode(to_bytes(str(modulus)))).bit_length()
    except ValueError:
        return 0
