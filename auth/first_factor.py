"""The first factor that this browser has proved: whose it is, by whom, how and when.

One record in the signed session, written as a whole and only for somebody who may come in: what was proved for one
person never counts for another, nor with another's source.
"""

import time
import uuid
from dataclasses import asdict, dataclass

from flask import session
from flask_security.tf_plugin import tf_clean_session

from auth.models import User
from auth.providers.database import DatabaseProvider

COUNTS_FOR = 600
"""Seconds between the first factor and the second."""
_KEY = "first_factor"


@dataclass(frozen=True, slots=True)
class FirstFactor:
    """A proved first factor."""

    user: str
    provider: str = DatabaseProvider.id
    """The source that vouches for it."""
    method: str = "password"
    at: int = 0
    """Seconds since 1970."""
    provider_session: str = ""
    """Id of what it has come from at a web source, see `auth/provider_sessions.py`."""
    asked: str = ""
    """Digest of the settings by which the source was asked, see `auth/journeys.py`."""

    @property
    def is_recent(self) -> bool:
        """Whether the second factor may follow it still."""
        return time.time() - self.at < COUNTS_FOR


def note(
    user: User, provider: str, method: str = "password", *, provider_session: uuid.UUID | None = None, asked: str = ""
) -> None:
    """Note that the user's first factor was proved just now; a second step that was under way is over."""
    tf_clean_session()
    noted = FirstFactor(str(user.id), provider, method, int(time.time()), str(provider_session or ""), asked)
    session[_KEY] = asdict(noted)


def resume(noted: FirstFactor) -> None:
    """Go on from a first factor that was proved before, of which a program has kept the signed record."""
    session[_KEY] = asdict(noted)


def of(user: User) -> FirstFactor | None:
    """The user's first factor that was proved in this browser; None if the last one was somebody else's."""
    noted = session.get(_KEY)
    if not isinstance(noted, dict) or noted.get("user") != str(user.id):
        return None
    return FirstFactor(**noted)


def forget() -> None:
    """Forget it."""
    session.pop(_KEY, None)
