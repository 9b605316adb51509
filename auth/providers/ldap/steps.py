"""The steps of a rehearsal: each with its result, its time, and what was found, or what the server said."""

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from flask_babel import gettext as _
from flask_babel.speaklater import LazyString

from auth.providers.ldap.faults import DirectoryFault, Fault

T = TypeVar("T")

_NO_SUCH_ACCOUNT = "AcceptSecurityContext error, data 525"  # Active Directory's; others do not tell
_LONGEST_DETAIL = 500


@dataclass(frozen=True, slots=True)
class Step:
    """One step with its result and the time it took; `detail` holds what was found, or the server's own words."""

    name: str
    ok: bool
    milliseconds: int
    fault: Fault | None
    detail: str

    @property
    def explanation(self) -> LazyString | str:
        """What is wrong, in an admin's words; empty when nothing is."""
        return self.fault.explanation if self.fault is not None else ""


class Stop(Exception):
    """A step has failed, and the following ones need what it should have given."""


@dataclass
class Note:
    """What a step says of itself."""

    detail: str = ""
    warning: DirectoryFault | None = None


@dataclass
class Steps:
    """The steps that have ended, in their order; `passwords` are shown in none of them."""

    passwords: tuple[str, ...] = field(repr=False)
    ended: list[Step] = field(default_factory=list)
    _given: int = 0

    @contextmanager
    def step(self, name: str) -> Iterator[Note]:
        """Time a step, and write its result down. Raises Stop after a fault."""
        began, note = time.monotonic(), Note()

        def write(fault: DirectoryFault | None) -> None:
            milliseconds = round((time.monotonic() - began) * 1000)
            detail = self._told(fault.detail) if fault is not None and fault.detail else note.detail
            self.ended.append(Step(name, fault is None, milliseconds, fault.fault if fault else None, detail))

        try:
            yield note
        except (DirectoryFault, TimeoutError) as error:
            write(error if isinstance(error, DirectoryFault) else DirectoryFault(Fault.TIMEOUT, str(error)))
            raise Stop from error
        write(note.warning)

    def fresh(self) -> list[Step]:
        """The steps that have ended since this was asked for the last time."""
        found = self.ended[self._given :]
        self._given = len(self.ended)
        return found

    def _told(self, words: str) -> str:
        """The server's own words, short, and without a password that it repeats."""
        for password in filter(None, self.passwords):
            words = words.replace(password, "***")
        told = words[:_LONGEST_DETAIL]
        return _("there is no such account: %(told)s", told=told) if _NO_SUCH_ACCOUNT in words else told


def finish(steps: Generator[Any, None, T]) -> T:
    """Go through all steps, and give back what they come to."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: T = end.value
            return found
