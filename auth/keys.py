"""Keys for secrets at rest, derived from SAAS_ENCRYPTION_KEYS: the newest encrypts, all decrypt."""

import base64
import uuid
from collections.abc import Sequence

from cryptography.fernet import Fernet, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr


def fernet_keys(secrets: Sequence[SecretStr], purpose: str) -> list[bytes]:
    """Fernet keys for `purpose`, newest first."""
    return [base64.urlsafe_b64encode(_derive(secret, purpose)) for secret in secrets]


def totp_secrets(secrets: Sequence[SecretStr]) -> dict[int, str]:
    """Keys in the form that passlib's TOTP wallet takes: the highest tag encrypts."""
    derived = [_derive(secret, "totp").hex() for secret in secrets]
    return {len(derived) - age: key for age, key in enumerate(derived)}


def box_of(secrets: Sequence[SecretStr], tenant_id: uuid.UUID, row_id: uuid.UUID) -> MultiFernet:
    """Encrypts and decrypts the secrets of one row: copied to another row or tenant, they are unreadable."""
    return MultiFernet([Fernet(key) for key in fernet_keys(secrets, f"row {tenant_id} {row_id}")])


def _derive(secret: SecretStr, purpose: str) -> bytes:
    # RFC 5869; one secret serves several purposes without the purposes knowing each other's key.
    kdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=f"tenantry {purpose}".encode())
    return kdf.derive(secret.get_secret_value().encode())
