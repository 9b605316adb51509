"""Going through a tenant's audit log to see whether it is as it was recorded, see `auth/audit_chain.py`."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import g
from sqlalchemy import Result, Select, select

from auth.audit_chain import is_alone
from auth.audit_models import AuditCheckpoint, AuditEvent
from auth.audit_signing import BEGINNING, COLUMNS, is_genuine, is_known_signed, is_point_signed, link, said_by

_AT_ONCE = 1000
_SHOWN_EVERY = 10_000
_UNREADABLE = (ValueError, TypeError)
"""What is raised for values that are none of their columns' types: SQLite keeps them."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification has come to."""

    events: int
    """How many of the chain were looked at; all of them when nothing is wrong."""
    unsealed: int = 0
    """How many wait to be chained."""
    fault: str | None = None
    """What is wrong first; None: nothing."""
    seq: int | None = None
    """The place of the first event that is not as it was; where it is not known, the first that it can be."""
    note: str = ""
    """What could not be looked at."""


@dataclass(frozen=True, slots=True)
class Known:
    """A checkpoint that was kept elsewhere."""

    seq: int
    hash: str


class _Fault(Exception):
    def __init__(self, said: str, seq: int | None = None) -> None:
        super().__init__(said)
        self.said, self.seq = said, seq


def read_known(written: str) -> Known:
    """A checkpoint as `audit_chain.latest_checkpoint` gave it. Raises ValueError for what is none of this tenant's."""
    words = written.split()
    if len(words) != 3 or not words[0].isdecimal():
        raise ValueError("a checkpoint is written as SEQ HASH SIGNATURE")
    seq, digest, signature = int(words[0]), words[1], words[2]
    if not is_known_signed(seq, digest, signature):
        raise ValueError("that checkpoint was not set by this installation for this workspace, or its key is given up")
    return Known(seq, digest)


def verify(
    known: Known | None = None, *, upto: int | None = None, tell: Callable[[int], None] = lambda _count: None
) -> Verdict:
    """Go through the chain of the bound tenant, and compare it with the signed checkpoints and the one kept elsewhere.

    With `upto`, only as far as is needed to vouch for the events up to that place. `tell` is called now and then with
    how many are done. Meanwhile nothing is sealed; to record goes on.
    """
    is_alone(wait=True)
    walk = _Walk(tell)
    unsealed = 0
    try:
        walk.go(known, upto)
        if upto is None:
            unsealed = _look_at_unsealed()
    except _Fault as found:
        return Verdict(walk.count, fault=found.said, seq=found.seq)
    too_old = known is not None and known.seq < walk.begins
    note = "the checkpoint that was kept elsewhere is older than all that is kept" if too_old else ""
    return Verdict(walk.count, unsealed, note=note)


class _Walk:
    """One way along the chain. Raises _Fault where it is not as it was."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        self.count = self.begins = 0
        self._tell = tell
        self._good, self._good_hash = 0, BEGINNING
        self._previous, self._last = 0, BEGINNING

    def go(self, known: Known | None, upto: int | None) -> None:
        points = _points()
        signed = self._signed(points)
        self.begins = max((point.seq for point in points if point.begins), default=0)
        self._good = self._previous = self.begins
        self._good_hash = self._last = next(iter(signed.get(self.begins, {BEGINNING})))
        if known is not None and known.seq == self.begins and known.hash != self._last:
            raise _Fault(f"the checkpoint at event {known.seq} is not the one that was kept elsewhere", known.seq)
        if not self._vouch(signed, known, upto):
            self._finish(max(signed, default=0), known)

    def _vouch(self, signed: Mapping[int, set[str]], known: Known | None, upto: int | None) -> bool:
        """Look at each event; True when as many are vouched for as were asked about."""
        for at_once in (_AT_ONCE, 1):
            try:
                # Closed in any case: a cursor at the server that is left open outlives the transaction.
                with _sealed(self._previous if self.count else None, at_once) as rows:
                    for row in rows:
                        self._step(row, signed, known)
                        if upto is not None and self._good >= upto:
                            return True
            except _UNREADABLE:
                continue  # once more, from there, one by one: to name it
            return False
        raise _Fault(f"event {self._previous + 1} cannot be read: it was changed", self._previous + 1)

    def _signed(self, points: list[AuditCheckpoint]) -> Mapping[int, set[str]]:
        """The hashes that are signed for, by place."""
        signed: dict[int, set[str]] = defaultdict(set)
        for point in points:
            if not is_point_signed(point):
                raise _Fault(f"the checkpoint at event {point.seq} was not set by this installation", point.seq)
            signed[point.seq].add(point.hash)
            if len(signed[point.seq]) > 1:
                raise _Fault(f"there are two checkpoints at event {point.seq}: the chain was made anew", point.seq)
        return signed

    def _step(self, row: Any, signed: Mapping[int, set[str]], known: Known | None) -> None:
        seq = row.seq
        if seq <= self._previous:
            raise _Fault(f"event {seq} was put in", seq)
        if seq != self._previous + 1:
            raise _Fault(f"event {self._previous + 1} was removed", self._previous + 1)
        said = said_by(row)
        if is_genuine(said, row.signature) is False:
            raise _Fault(f"event {seq} was changed or put in", seq)
        if link(self._last, said, row.signature) != row.hash:
            raise self._broken(row)
        self.count, self._previous, self._last = self.count + 1, seq, row.hash
        if known is not None and known.seq == seq and known.hash != row.hash:
            raise _Fault(
                f"event {seq} is not the one of the checkpoint that was kept elsewhere: it, or one before, was removed,"
                " and the chain made anew",
                seq,
            )
        if seq in signed:
            if row.hash not in signed[seq]:
                raise self._chained_anew(seq)
            self._good, self._good_hash = seq, row.hash
        if self.count % _SHOWN_EVERY == 0:
            self._tell(self.count)

    def _broken(self, row: Any) -> _Fault:
        # What is sealed goes on from the last hash that was signed for: those between are not as they were signed.
        if self._good < self._previous and link(self._good_hash, said_by(row), row.signature) == row.hash:
            return self._chained_anew(self._previous)
        return _Fault(f"event {row.seq} stands in another's place, or the one before it was removed", row.seq)

    def _chained_anew(self, seq: int) -> _Fault:
        first = self._good + 1
        where = f"event {seq}" if first == seq else f"an event between {first} and {seq}"
        return _Fault(f"{where} was removed or put elsewhere, and those after it chained anew", first)

    def _finish(self, last_signed: int, known: Known | None) -> None:
        must_reach = max(last_signed, known.seq if known is not None else 0)
        if self._previous < must_reach:
            first = self._previous + 1
            raise _Fault(f"event {first} and what followed was cut off", first)
        if self._previous > self._good:
            first = self._good + 1
            raise _Fault(f"event {first} and what follows is not signed for: it was cut short or chained anew", first)


def _points() -> list[AuditCheckpoint]:
    try:
        return list(g.db.scalars(select(AuditCheckpoint).order_by(AuditCheckpoint.seq)))
    except _UNREADABLE:
        raise _Fault("a checkpoint cannot be read: it was changed") from None


def _sealed(after: int | None, at_once: int) -> Result[Any]:
    wanted = select(*COLUMNS, AuditEvent.seq, AuditEvent.hash).where(AuditEvent.seq.is_not(None))
    if after is not None:
        wanted = wanted.where(AuditEvent.seq > after)
    return _in_parts(wanted.order_by(AuditEvent.seq), at_once)


def _look_at_unsealed() -> int:
    count = 0
    try:
        with _in_parts(select(*COLUMNS).where(AuditEvent.seq.is_(None)).order_by(AuditEvent.id), _AT_ONCE) as rows:
            for row in rows:
                if not is_genuine(said_by(row), row.signature):
                    raise _Fault(f"the event {row.id} of {row.at.isoformat()}, not sealed yet, was changed or put in")
                count += 1
    except _UNREADABLE:
        raise _Fault("an event that is not sealed yet cannot be read: it was changed or put in") from None
    return count


def _in_parts(wanted: Select[Any], at_once: int) -> Result[Any]:
    rows: Result[Any] = g.db.execute(wanted, execution_options={"yield_per": at_once})
    return rows
