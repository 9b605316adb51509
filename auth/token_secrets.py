"""Secrets of tokens: random text that scanners of source code know by prefix and checksum. Kept is only the hash."""

import hashlib
import re
import secrets
import string
import zlib

PERSONAL = "tnt_pat_"
ACCESS = "tnt_at_"
REFRESH = "tnt_rt_"
CLIENT = "tnt_cs_"
PROVISIONING = "tnt_scim_"
CODE = "tnt_ac_"
_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM = 40  # 238 bits
_CHECKSUM = 6  # 62**6 > 2**32
_BODY = re.compile(rf"[0-9A-Za-z]{{{_RANDOM + _CHECKSUM}}}", re.ASCII)


def make(prefix: str) -> str:
    """A new secret: the prefix, random text, and the checksum of both."""
    body = prefix + "".join(secrets.choice(_DIGITS) for _ in range(_RANDOM))
    return body + _checksum(body)


def looks_right(secret: str, prefix: str) -> bool:
    """Whether it can be a secret of that prefix: what was mistyped, or made up, need not be looked for."""
    if not secret.startswith(prefix) or not _BODY.fullmatch(secret, len(prefix)):
        return False
    return secret[-_CHECKSUM:] == _checksum(secret[:-_CHECKSUM])


def digest(secret: str) -> str:
    """What is kept of it. Nobody guesses so many random bits, thus no slow hash is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _checksum(text: str) -> str:
    number, digits = zlib.crc32(text.encode()), ""
    while number:
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits.rjust(_CHECKSUM, _DIGITS[0])
