"""What a person holds in their hand: an authenticator app, and a device that keeps passkeys."""

import hashlib
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from flask import Flask
from passlib.totp import TOTP

STEP = 30  # seconds
USER_PRESENT, USER_VERIFIED, ATTESTED = 0x01, 0x04, 0x40


class AuthenticatorApp:
    """Shows the one-time codes of a key, by the clock of the application under test."""

    def __init__(self, app: Flask, key: str) -> None:
        self.key = key
        self._totp = TOTP(key=key)
        self._now: Callable[[], float] = app.extensions["security"].totp_factory._totp.now

    def code(self, step: int = 0) -> str:
        """The code shown now, or so many half minutes later (or earlier)."""
        return str(self._totp.generate(self._now() + step * STEP).token)


@dataclass
class Passkeys:
    """A software authenticator. `counts` says whether it counts its signatures, as synchronised passkeys do not."""

    origin: str
    counts: bool = True
    verifies_user: bool = True
    signatures: int = 0
    keys: dict[bytes, tuple[ec.EllipticCurvePrivateKey, str]] = field(default_factory=dict)

    def create(self, options: dict[str, Any]) -> str:
        """Answer a registration."""
        identifier, key = secrets.token_bytes(32), ec.generate_private_key(ec.SECP256R1())
        self.keys[identifier] = (key, options["user"]["id"])
        numbers = key.public_key().public_numbers()
        public = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)})
        attested = bytes(16) + len(identifier).to_bytes(2) + identifier + public
        data = self._data(options["rp"]["id"], ATTESTED) + attested
        response = {
            "clientDataJSON": _encode(self._client("webauthn.create", options["challenge"])),
            "attestationObject": _encode(cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})),
            "transports": ["internal"],
        }
        return _credential(identifier, response)

    def get(self, options: dict[str, Any]) -> str:
        """Answer a challenge with the passkey that was made last."""
        identifier, (key, handle) = list(self.keys.items())[-1]
        client = self._client("webauthn.get", options["challenge"])
        data = self._data(options["rpId"])
        response = {
            "clientDataJSON": _encode(client),
            "authenticatorData": _encode(data),
            "signature": _encode(key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(SHA256()))),
            "userHandle": handle,
        }
        return _credential(identifier, response)

    def _data(self, rp_id: str, flags: int = 0) -> bytes:
        self.signatures += self.counts
        flags |= USER_PRESENT | (USER_VERIFIED if self.verifies_user else 0)
        return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + self.signatures.to_bytes(4)

    def _client(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}).encode()


def _credential(identifier: bytes, response: dict[str, Any]) -> str:
    name = _encode(identifier)
    return json.dumps(
        {"id": name, "rawId": name, "type": "public-key", "response": response, "clientExtensionResults": {}}
    )


def _encode(value: bytes) -> str:
    return urlsafe_b64encode(value).decode().rstrip("=")


def decode(value: str) -> bytes:
    """The bytes of an unpadded base64url text."""
    return urlsafe_b64decode(value + "=" * (-len(value) % 4))
