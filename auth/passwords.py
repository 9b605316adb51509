"""Passwords: which we accept, and how many are hashed at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask, current_app, g
from flask_babel import gettext as _
from flask_security import PasswordUtil
from passlib.context import CryptContext
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from auth import policy
from auth.errors import Busy, UnsuitablePassword

SHORTEST = 8
LONGEST = 1024

_COMMON = frozenset(word for word in FREQUENCY_LISTS["passwords"] if len(word) >= SHORTEST)


class TenantPasswordUtil(PasswordUtil):
    """What Flask-Security asks of a password."""

    def normalize(self, password: str) -> str:
        """The normal form of a password; one that is too long in any form stays as it is, to be refused.

        Normalising takes quadratic time. No character has more than four code points.
        """
        return password if len(password) > 4 * LONGEST else str(super().normalize(password))

    def validate(self, password: str, is_register: bool, **_kwargs: Any) -> tuple[list[str] | None, str]:
        """The faults of a new password (None: there are none) and its normal form."""
        try:
            return None, check_new(password)
        except UnsuitablePassword as error:
            return [str(error)], self.normalize(password)


def check_new(password: str) -> str:
    """Give back the normal form (NFC) of a new password, or raise UnsuitablePassword that says what is wrong.

    8 (or as many as the workspace wants) to 1,024 characters of any script, and none that everybody tries first
    (NIST SP 800-63B, 3.1.1.2).
    """
    normal: str = current_app.extensions["security"].password_util.normalize(password)
    least = max(SHORTEST, policy.current().shortest_password)
    if not least <= len(normal) <= LONGEST:
        raise UnsuitablePassword(_("A password has %(least)s to %(most)s characters.", least=least, most=LONGEST))
    if normal.casefold() in _COMMON or len(set(normal)) < 3:
        raise UnsuitablePassword(_("This password is among those that are guessed first. Choose another one."))
    return normal


def hash_new(password: str) -> str:
    """The hash of a new password. Raises UnsuitablePassword."""
    hashed: str = current_app.extensions["security"].pwd_context.hash(check_new(password))
    return hashed


class BoundedContext:
    """passlib's context, of which a bounded number work at once in this process; the others wait.

    A hash takes the better part of a core for its time: unbounded, a wave of sign-ins would starve everybody who is
    signed in already. The database connection is given back before waiting. Raises Busy when it takes too long.
    """

    def __init__(self, context: CryptContext, *, at_once: int, wait_seconds: float) -> None:
        self._context = context
        self._slots = threading.BoundedSemaphore(at_once)
        self._wait = wait_seconds
        self._decoy = context.hash("a password that nobody has")

    def hash(self, password: str, **options: Any) -> str:
        """Hash a password."""
        with self._slot():
            hashed: str = self._context.hash(password, **options)
            return hashed

    def verify(self, password: str, hashed: str | None) -> bool:
        """Whether the password has that hash. Without a hash it has not, and finding out takes as long."""
        with self._slot():
            fits: bool = self._context.verify(password[:LONGEST], hashed or self._decoy)
            return fits and hashed is not None and len(password) <= LONGEST

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    @contextmanager
    def _slot(self) -> Iterator[None]:
        session = g.get("db") if g else None
        if session is not None and not (session.new or session.dirty or session.deleted):
            session.release()
        if not self._slots.acquire(timeout=self._wait):
            raise Busy("too many passwords are being checked")
        try:
            yield
        finally:
            self._slots.release()


def init_app(app: Flask, *, at_once: int, wait_seconds: float) -> None:
    """Bound the hashing of Flask-Security, its own views included."""
    security = app.extensions["security"]
    security.pwd_context = BoundedContext(security.pwd_context, at_once=at_once, wait_seconds=wait_seconds)
