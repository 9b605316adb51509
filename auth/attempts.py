"""Sign-ins under way elsewhere: a row for each, found by its state, used once, in the browser that began.

The browser keeps one random secret in its signed session, the row its hash: several tabs may be on their way at the
same time, and another browser's answer is worth nothing.
"""

import hashlib
import json
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from cryptography.fernet import InvalidToken
from flask import current_app, g, session
from sqlalchemy import delete, select, update

from auth.keys import box_of
from auth.providers.base import ExternalIdentity
from auth.providers.models import ProviderConfig, SignInAttempt
from auth.providers.oauth import RemoteSession, Visit
from tenants.db import now

GOOD_FOR = timedelta(minutes=10)
"""How long a person may take elsewhere."""
HANDOVER_GOOD_FOR = timedelta(seconds=15)
"""How long the broker's code is good for: one redirect."""
_BROWSER = "browser"


def begin(
    config: ProviderConfig,
    purpose: str,
    *,
    state: str,
    return_to: str,
    next_path: str = "",
    user_id: uuid.UUID | None = None,
    brokered: bool = False,
) -> SignInAttempt:
    """Remember that this browser is sent to the source."""
    g.db.execute(delete(SignInAttempt).where(SignInAttempt.expires_at <= now()))
    attempt = SignInAttempt(
        state_hash=_hash(state),
        provider_id=config.id,
        purpose=purpose,
        browser_hash=_hash(mark_browser()),
        user_id=user_id,
        nonce=secrets.token_urlsafe(32),
        verifier=secrets.token_urlsafe(48),  # 64 characters; RFC 7636 asks for 43 to 128
        next_path=next_path,
        return_to=return_to,
        brokered=brokered,
        expires_at=now() + GOOD_FOR,
    )
    g.db.add(attempt)
    return attempt


def find(state: str) -> SignInAttempt | None:
    """The attempt under way with that state; whose it is and where it belongs is for the caller to compare."""
    attempt: SignInAttempt | None = g.db.scalar(
        select(SignInAttempt).where(SignInAttempt.state_hash == _hash(state), SignInAttempt.expires_at > now())
    )
    return attempt


def use(attempt: SignInAttempt) -> bool:
    """Use the attempt up; False when somebody else was faster.

    What follows may fail, and it is used up all the same: this commits. A brokered one stays for what will be handed
    over, and is found by its state no more.
    """
    g.db.expunge(attempt)
    own = (SignInAttempt.id == attempt.id, SignInAttempt.state_hash == attempt.state_hash)
    used: Any = delete(SignInAttempt).where(*own)
    if attempt.brokered:
        used = update(SignInAttempt).where(*own).values(state_hash=_hash(secrets.token_urlsafe(32)))
    is_first = bool(g.db.execute(used).rowcount)
    g.db.release()
    return is_first


def hand_over(attempt: SignInAttempt, visit: Visit | None, fault: str = "") -> str:
    """Keep what the broker has found out, for the tenant's host to fetch; gives back the one-use code."""
    code = secrets.token_urlsafe(32)
    kept = {"fault": fault, **(_as_json(visit) if visit is not None else {})}
    g.db.execute(
        update(SignInAttempt)
        .where(SignInAttempt.id == attempt.id, SignInAttempt.handover_hash.is_(None))
        .values(
            handover_hash=_hash(code),
            outcome=_box(attempt.id).encrypt(json.dumps(kept).encode()).decode(),
            expires_at=now() + HANDOVER_GOOD_FOR,
        )
    )
    return code


def fetch(code: str, provider_id: uuid.UUID) -> tuple[SignInAttempt, Visit | None, str] | None:
    """What was handed over to this browser: the attempt with who came back, or with a fault. Once; this commits."""
    attempt: SignInAttempt | None = g.db.scalar(
        select(SignInAttempt).where(
            SignInAttempt.handover_hash == _hash(code),
            SignInAttempt.provider_id == provider_id,
            SignInAttempt.expires_at > now(),
        )
    )
    if attempt is None or not is_ours(attempt):
        return None
    g.db.expunge(attempt)
    is_first = bool(g.db.execute(delete(SignInAttempt).where(SignInAttempt.id == attempt.id)).rowcount)
    g.db.release()
    kept = _open(attempt)
    if not is_first or kept is None:
        return None
    return attempt, _visit(kept), str(kept["fault"])


def is_ours(attempt: SignInAttempt) -> bool:
    """Whether this is the browser that began."""
    known = session.get(_BROWSER)
    return isinstance(known, str) and secrets.compare_digest(attempt.browser_hash, _hash(known))


def wait_to_link(config: ProviderConfig, visit: Visit, user_id: uuid.UUID) -> None:
    """Remember whom the source has proved in this browser, until the account is proved, too."""
    row = begin(config, "link", state=secrets.token_urlsafe(32), return_to="", user_id=user_id)
    g.db.flush()
    row.outcome = _box(row.id).encrypt(json.dumps(_as_json(visit)).encode()).decode()


def waits_to_link(user_id: uuid.UUID, source: str) -> bool:
    """Whether that source has proved somebody in this browser who waits for that account."""
    return any(str(row.provider_id) == source for row in _waiting(user_id))


def claim_link(user_id: uuid.UUID, source: str | None = None) -> Visit | None:
    """Whom a source (only that one, if it is given) has proved in this browser and who waits for that account.

    Whoever waits is forgotten with this answer.
    """
    rows = _waiting(user_id)
    for row in rows:
        g.db.delete(row)
    rows = [row for row in rows if source in (None, str(row.provider_id))]
    kept = _open(rows[0]) if rows else None
    return _visit(kept) if kept is not None else None


def _waiting(user_id: uuid.UUID) -> Sequence[SignInAttempt]:
    known = session.get(_BROWSER)
    if not isinstance(known, str):
        return []
    rows: Sequence[SignInAttempt] = g.db.scalars(
        select(SignInAttempt)
        .where(
            SignInAttempt.purpose == "link",
            SignInAttempt.browser_hash == _hash(known),
            SignInAttempt.user_id == user_id,
            SignInAttempt.expires_at > now(),
        )
        .order_by(SignInAttempt.created_at.desc())
    ).all()
    return rows


def mark_browser() -> str:
    """The browser's secret; it gets one if it has none, before two tabs set out at the same time."""
    known = session.get(_BROWSER)
    if not isinstance(known, str):
        known = session[_BROWSER] = secrets.token_urlsafe(32)
    return known


def _as_json(visit: Visit) -> dict[str, Any]:
    identity = asdict(visit.identity) | {"groups": sorted(visit.identity.groups)}
    return {"identity": identity, "claims": dict(visit.claims), "session": asdict(visit.session), "asked": visit.asked}


def _visit(kept: dict[str, Any]) -> Visit | None:
    if "identity" not in kept:
        return None
    identity = ExternalIdentity(**{**kept["identity"], "groups": frozenset(kept["identity"]["groups"])})
    return Visit(identity, kept["claims"], RemoteSession(**kept["session"]), kept["asked"])


def _open(attempt: SignInAttempt) -> dict[str, Any] | None:
    try:
        opened: dict[str, Any] = json.loads(_box(attempt.id).decrypt((attempt.outcome or "").encode()))
    except InvalidToken:
        return None
    return opened


def _box(id: uuid.UUID) -> Any:
    return box_of(current_app.extensions["tenants"].settings.encryption_keys, g.tenant.id, id)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
