"""Keys by which a tenant's JSON web tokens are signed (ES256, RFC 7518), and what they have signed is verified.

The newest signs. One that was taken out of service verifies until what it has signed is over. Public keys are kept in
the process while the tenant's version is the one that they were read at: a key that is made, retired or deleted raises
it.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import uuid_utils.compat as uuid7
from cryptography.fernet import MultiFernet
from flask import current_app, g
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry, extract_compact
from sqlalchemy import delete, select, update

from auth import audit, tenant_settings
from auth.errors import InvalidToken
from auth.keys import box_of
from auth.token_models import SigningKey
from tenants.db import now

ALGORITHM = "ES256"
VERIFIES_FOR = timedelta(hours=1)
"""How long a retired key verifies: nothing that is signed lasts longer."""
LONGEST = 4096
"""Characters of a token; ours have around 700."""
_MOST_TENANTS = 10_000
_REGISTRY = JWSRegistry(algorithms=[ALGORITHM])
_HEADER = frozenset({"alg", "kid", "typ"})


@dataclass(frozen=True, slots=True)
class _Public:
    """A key that verifies, and since when it does so only."""

    key: ECKey
    retired_at: datetime | None

    @property
    def verifies(self) -> bool:
        return self.retired_at is None or now() < self.retired_at + VERIFIES_FOR


_known: dict[uuid.UUID, tuple[int, Mapping[str, _Public]]] = {}


def ensure() -> None:
    """Have the bound tenant's first key made now, if it has none: `sign` would lock the tenant later than others do."""
    if not any(public.retired_at is None for public in _public_keys().values()):
        _first()


def sign(claims: Mapping[str, Any], *, type_: str) -> str:
    """A token of these claims, and of that type (`typ`), signed for the bound tenant; the first one makes its key."""
    row = _newest() or _first()
    key = ECKey.import_key(_box(row.id).decrypt(row.private_key.encode()))
    header = {"alg": ALGORITHM, "kid": row.kid, "typ": type_}
    return jwt.encode(header, dict(claims), key, registry=_REGISTRY)


def verify(token: str, *, type_: str) -> dict[str, Any]:
    """The claims of a token of that type which the bound tenant has signed; nothing is said of what they claim.

    The header decides nothing: it has to say what we write (RFC 8725, section 3.1), and no key is taken from it.
    Raises InvalidToken.
    """
    if len(token) > LONGEST or not token.isascii():
        raise InvalidToken("too long, or no ASCII")
    try:
        header = extract_compact(token.encode(), registry=_REGISTRY).headers()
        if header.keys() != _HEADER or header["alg"] != ALGORITHM or header["typ"] != type_:
            raise InvalidToken("not a header of ours")
        public = _public_keys().get(str(header["kid"]))
        if public is None or not public.verifies:
            raise InvalidToken("no key of that name")
        return dict(jwt.decode(token, public.key, registry=_REGISTRY).claims)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InvalidToken(type(error).__name__) from None


def public_keys() -> dict[str, Any]:
    """What others verify the bound tenant's tokens by: a JSON web key set (RFC 7517, section 5)."""
    return {"keys": [public.key.as_dict(private=False) for public in _public_keys().values() if public.verifies]}


def rotate(*, at_once: bool = False) -> SigningKey:
    """Make the bound tenant a new key, which signs from now on; what is over is deleted.

    With `at_once`, for a key that has leaked, the former ones are deleted, too: what they have signed is void.
    """
    tenant_settings.lock()  # so that two at once do not both retire what the other has made
    moment = now()
    over = () if at_once else (SigningKey.retired_at < moment - VERIFIES_FOR,)
    g.db.execute(delete(SigningKey).where(*over))
    g.db.execute(update(SigningKey).where(SigningKey.retired_at.is_(None)).values(retired_at=moment))
    row = _make()
    audit.record("signing key changed", audit.Party("signing key", row.id, row.kid), details={"at_once": at_once})
    return row


def list_keys() -> Sequence[SigningKey]:
    """The bound tenant's keys, the newest first."""
    found: Sequence[SigningKey] = g.db.scalars(_NEWEST_FIRST).all()
    return found


_NEWEST_FIRST = select(SigningKey).order_by(SigningKey.created_at.desc(), SigningKey.id.desc())


def _newest() -> SigningKey | None:
    row: SigningKey | None = g.db.scalar(_NEWEST_FIRST.where(SigningKey.retired_at.is_(None)).limit(1))
    return row


def _first() -> SigningKey:
    tenant_settings.lock()
    return _newest() or _make()  # somebody else may have made it, for whom this has waited


def _make() -> SigningKey:
    key = ECKey.generate_key("P-256", parameters={"use": "sig", "alg": ALGORITHM}, auto_kid=True)
    row_id = uuid7.uuid7()
    row = SigningKey(
        id=row_id,
        kid=key.kid,
        public_key=key.as_dict(private=False),
        private_key=_box(row_id).encrypt(key.as_pem(private=True)).decode(),
    )
    g.db.add(row)
    g.db.flush()
    return row


def _public_keys() -> Mapping[str, _Public]:
    version = g.tenant.version
    known = _known.get(g.tenant.id)
    if known is not None and known[0] == version:
        return known[1]
    rows = g.db.execute(select(SigningKey.kid, SigningKey.public_key, SigningKey.retired_at)).all()
    found = {kid: _Public(ECKey.import_key(public), retired_at) for kid, public, retired_at in rows}
    if len(_known) >= _MOST_TENANTS:
        _known.clear()
    _known[g.tenant.id] = (version, found)
    return found


def _box(row_id: uuid.UUID) -> MultiFernet:
    return box_of(current_app.extensions["tenants"].settings.encryption_keys, g.tenant.id, row_id)
