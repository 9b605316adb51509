"""What is said about an event and signed, and how one event is chained to the next.

The keys are derived from SAAS_ENCRYPTION_KEYS and are not in the database. A signature begins with the name of its
key, so that one of a key that is given up is told from a forged one.
"""

import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from flask import current_app, g
from pydantic import SecretStr

from auth.audit_models import AuditCheckpoint, AuditEvent
from auth.keys import fernet_keys

CONTENT = (
    "id", "tenant_id", "at", "kind", "actor_kind", "actor_id", "actor", "target_kind", "target_id", "target", "address",
    "agent", "request_id", "details",
)  # fmt: skip
"""What an event says."""
COLUMNS = [getattr(AuditEvent, name) for name in (*CONTENT, "signature")]
"""What has to be read of an event to chain it."""
BEGINNING = "0" * 64
"""The hash before the first event."""


def sign_event(values: Mapping[str, Any]) -> str:
    """The signature of an event that has these values."""
    return _sign(_content(values))


def said_by(row: Any) -> bytes:
    """What an event says, as it is signed and chained; worked out once for both, for it takes longest."""
    return _content(row._mapping)


def is_genuine(said: bytes, signature: str) -> bool | None:
    """Whether this installation has recorded an event that says that; None when the key it names is given up."""
    return _is_signed(said, signature)


def link(before: str, said: bytes, signature: str) -> str:
    """The hash of an event that follows on the one with that hash."""
    return hashlib.sha256(b"\n".join((before.encode(), said, signature.encode()))).hexdigest()


def sign_point(point: AuditCheckpoint) -> str:
    """The signature of a checkpoint."""
    return _sign(_said(point.seq, point.hash, point.begins))


def is_point_signed(point: AuditCheckpoint) -> bool:
    """Whether this installation has set that checkpoint."""
    return _is_signed(_said(point.seq, point.hash, point.begins), point.signature) is True


def is_known_signed(seq: int, digest: str, signature: str) -> bool:
    """Whether this installation has set a checkpoint that was kept elsewhere."""
    return any(_is_signed(_said(seq, digest, begins), signature) for begins in (False, True))


def is_newest(signature: str) -> bool:
    """Whether a signature is of the key that signs now."""
    return signature.partition(":")[0] == next(iter(_keys()))


def _content(values: Mapping[str, Any]) -> bytes:
    return _ENCODER.encode([values[name] for name in CONTENT]).encode()


def _canonical(value: uuid.UUID | datetime) -> str:
    # Connections give times in zones of their own.
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=_canonical)


def _said(seq: int, digest: str, begins: bool) -> bytes:
    return f"checkpoint {g.tenant.id} {seq} {digest} {begins}".encode()


def _sign(said: bytes) -> str:
    name, key = next(iter(_keys().items()))
    return f"{name}:{hmac.digest(key, said, 'sha256').hex()}"


def _is_signed(said: bytes, signature: str) -> bool | None:
    name, _colon, digest = signature.partition(":")
    key = _keys().get(name)
    if key is None:
        return None
    return hmac.compare_digest(digest.encode(), hmac.digest(key, said, "sha256").hex().encode())


def _keys() -> dict[str, bytes]:
    """The keys by their names, newest first."""
    return _derived(current_app.extensions["tenants"].settings.encryption_keys)


@lru_cache(maxsize=8)
def _derived(secrets: tuple[SecretStr, ...]) -> dict[str, bytes]:
    return {hashlib.sha256(key).hexdigest()[:8]: key for key in fernet_keys(secrets, "audit")}
