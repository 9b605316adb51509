"""What an app wants of the sign-in: `prompt` and `max_age` (OpenID Connect Core, section 3.1.2.1)."""

import hashlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from authlib.oauth2.rfc6749 import InvalidRequestError, OAuth2Error
from flask import request, session

from auth.identity import Identity
from auth.oauth_server.grants import Code

_KNOWN = frozenset({"none", "login", "consent", "select_account"})
_KEY = "oauth_proof"


@dataclass(frozen=True, slots=True)
class Prompt:
    """What an app wants, and where its answer goes."""

    words: frozenset[str]
    max_age: int | None
    """Seconds since the person has proved who they are, at most."""
    redirect_uri: str

    @property
    def asks_again(self) -> bool:
        """Whether the person is asked although they have consented before."""
        return bool(self.words & {"consent", "select_account"})

    def check_may_show(self, otherwise: str) -> None:
        """Raise OAuth2Error, of that name, if the app wants no page to be shown."""
        if "none" in self.words:
            raise OAuth2Error("A page would have to be shown.", error=otherwise, redirect_uri=self.redirect_uri)

    def needs_proof(self, person: Identity) -> bool:
        """Whether the person has to prove once more who they are."""
        proved = proved_at(person).timestamp()
        if "login" in self.words or self.max_age is not None:
            asked_at = _asked_at()
            if asked_at is not None and proved >= asked_at:
                return False
        if "login" in self.words:
            return True
        return self.max_age is not None and time.time() - proved > self.max_age

    def note_proof(self) -> None:
        """Remember since when a proof is wanted for this request: one from then on will do."""
        session[_KEY] = [_digest(), time.time()]


def read(grant: Code) -> Prompt:
    """What the request says. Raises InvalidRequestError."""
    address: str = grant.redirect_uri or ""
    words = frozenset((request.args.get("prompt") or "").split())
    if words - _KNOWN or ("none" in words and len(words) > 1):
        raise InvalidRequestError("There is no such prompt.", redirect_uri=address)
    given = request.args.get("max_age") or ""
    if given and not (given.isascii() and given.isdigit() and len(given) < 10):
        raise InvalidRequestError("max_age is a number of seconds.", redirect_uri=address)
    return Prompt(words, int(given) if given else None, address)


def forget() -> None:
    """A proof counts for one answer."""
    session.pop(_KEY, None)


def proved_at(person: Identity) -> datetime:
    """When the person has last proved who they are, at this browser."""
    begun = person.login.created_at if person.login is not None else datetime.fromtimestamp(0, UTC)
    proved = session.get("fs_paa", 0)
    stepped = datetime.fromtimestamp(proved, UTC) if isinstance(proved, int | float) else begun
    return max(begun, stepped)


def _asked_at() -> float | None:
    kept = session.get(_KEY)
    if not isinstance(kept, list) or len(kept) != 2 or kept[0] != _digest():
        return None
    return float(kept[1])


def _digest() -> str:
    return hashlib.sha256(request.query_string).hexdigest()
