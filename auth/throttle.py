"""Failed attempts are counted, by account and by address, before the proof is looked at.

Counting first means that a hundred attempts at once are a hundred attempts. A browser in which the account's owner
has signed in before (a device, known by a cookie) has a count of its own: whoever floods an account with guesses from
elsewhere keeps strangers out for a quarter of an hour, and not its owner. The counts are rows, so that they hold for
every process, and a window's end is their end: nobody is locked out for ever.

This keeps people from guessing. How many requests somebody may send at all, whatever becomes of them, is bounded by
`saas/limits.py`, before anything is computed or looked up.
"""

import hashlib
import ipaddress
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import g, request
from sqlalchemy import delete, update
from sqlalchemy.dialects import postgresql, sqlite

from auth import devices, links
from auth.errors import Busy, SignInRefused, SourceUnavailable, Throttled
from auth.mail import LONGEST_ADDRESS
from auth.models import Attempts
from tenants.context import bound
from tenants.db import now

WINDOW = timedelta(minutes=15)
PER_ACCOUNT = 10
"""Attempts on one account within a window that may fail; a known device has as many for itself."""
PER_ADDRESS = 100
"""Attempts from one address (IPv6: one /64) within a window that may fail, whatever the accounts."""


@dataclass(slots=True)
class Attempt:
    """An attempt under way; unless it is told that it succeeded, it counts as failed."""

    kind: str
    keys: tuple[str, ...]
    device_of: str = ""
    """Id of the user on whose device it is counted, if it is counted on a device, and not on the account."""
    succeeded: bool = False
    looked_at: bool = False
    """Whether some source has refused the proof: then it counts, even if another source could not be asked."""

    def count(self, account: str) -> None:
        """Count the attempt on this account, too, "PROVIDER SUBJECT": the typed name is one of several that it has.

        Raises Throttled.
        """
        key = _key(f"{self.kind}:account:{account}")
        if key not in self.keys and not (self.device_of and links.is_of(account, self.device_of)):
            self.keys = (*self.keys, key)
            if not _count({key: PER_ACCOUNT}):
                raise Throttled(int(WINDOW.total_seconds()))


@contextmanager
def attempt(kind: str, account: str) -> Iterator[Attempt]:
    """Count an attempt of that kind (say "password") on an account; take it back if it succeeds.

    Raises Throttled when there were too many. The request's transaction is ended first: nothing is locked and no
    connection held while the proof is computed.
    """
    account = account.strip()[:LONGEST_ADDRESS].casefold()
    device = devices.known_for(account)
    g.db.release()
    subject = f"{kind}:device:{device}" if device else f"{kind}:account:{account}"
    limits = {_key(f"{kind}:address:{caller_address()}"): PER_ADDRESS, _key(subject): PER_ACCOUNT}
    trial = Attempt(kind, tuple(limits), device_of=devices.owner() if device else "")
    if not _count(limits):
        raise Throttled(int(WINDOW.total_seconds()))
    try:
        yield trial
    except (Busy, SourceUnavailable, SignInRefused) as error:
        if trial.looked_at and not isinstance(error, SignInRefused):
            raise
        g.db.release()
        with bound(g.tenant):  # of its own: the answer is a refusal, but not of the proof
            _take_back(trial.keys)
        raise
    if trial.succeeded:
        _take_back(trial.keys)


def first_use(subject: str, *, within: timedelta = WINDOW) -> bool:
    """Whether this is the first time within that; noted whatever becomes of the request."""
    g.db.release()
    return _count({_key(subject): 1}, window=within)


def allows(kind: str, limit: int) -> bool:
    """Whether the caller's address has done something of that kind no more often than that within a window; counts."""
    g.db.release()
    return _count({_key(f"{kind}:address:{caller_address()}"): limit})


def spend(subject: str, limit: int, amount: int = 1) -> bool:
    """Whether a subject has used up no more than that within a window, with this amount, which is counted."""
    g.db.release()
    return _count({_key(subject): limit}, amount)


def _count(limits: Mapping[str, int], amount: int = 1, *, window: timedelta = WINDOW) -> bool:
    """Count every key up to the first that is over its limit; whether none is."""
    # Of its own, and committed at once: a refusal must not undo it, nor another process wait for it.
    with bound(g.tenant) as session:
        insert: Any = (postgresql if session.get_bind().dialect.name == "postgresql" else sqlite).insert
        session.execute(delete(Attempts).where(Attempts.window_ends_at <= now()))
        for key, limit in limits.items():  # addresses first, so that two attempts do not wait for each other
            counted = (
                insert(Attempts)
                .values(key=key, count=amount, window_ends_at=now() + window)
                .on_conflict_do_update(index_elements=["tenant_id", "key"], set_={"count": Attempts.count + amount})
                .returning(Attempts.count)
            )
            if session.execute(counted).scalar_one() > limit:
                return False
    return True


def _take_back(keys: tuple[str, ...]) -> None:
    # With the request's own changes: a sign-in that is not committed did not succeed.
    statement = update(Attempts).where(Attempts.key.in_(keys), Attempts.count > 0)
    g.db.execute(statement.values(count=Attempts.count - 1))


def caller_address() -> str:
    """The caller's address; of IPv6 the network, which is what one person has."""
    try:
        address = ipaddress.ip_address(request.remote_addr or "")
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    if address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False).network_address)
    return str(address)


def _key(subject: str) -> str:
    return hashlib.sha256(subject.encode()).hexdigest()
