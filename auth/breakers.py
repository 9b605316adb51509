"""Keeps a source that does not answer from holding up the process, by a breaker for each source in each process.

Closed: the source is asked, by a bounded number of threads at once, and who has to wait gives up when nobody gets an
answer. After failures in a row it is open: nobody asks for a while. Then one attempt is let through (half open), and
decides.
"""

import enum
import math
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from functools import partial

from auth.errors import SourceUnavailable

FAILURES = 2
"""Failures in a row that open a breaker."""
OPEN_FOR = 15.0
"""Seconds until a source is asked again."""
AT_ONCE = 4
"""Attempts under way at the same time: half of a worker's threads (deploy/gunicorn.conf.py)."""
PATIENCE = 2.0
"""Seconds in which a waiting attempt gives up unless another one got its answer."""
_MOST_BREAKERS = 10_000


class State(enum.StrEnum):
    """Whether a source is asked."""

    CLOSED = "closed"
    """It answers, and is asked."""
    OPEN = "open"
    """It did not answer, and is not asked."""
    HALF_OPEN = "half-open"
    """One attempt finds out."""


class Paused(Exception):
    """The source is not asked just now."""


class Breaker:
    """The breaker of one source. Thread-safe."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._failures = 0
        self._answers = 0
        self._under_way = 0
        self._opened_at: float | None = None
        self._trying = False

    @property
    def state(self) -> State:
        """Whether the source is asked."""
        with self._condition:
            if self._opened_at is None:
                return State.CLOSED
            return State.HALF_OPEN if self._trying or self._rested() else State.OPEN

    @contextmanager
    def attempt(self, failures: type[Exception], *, longest_wait: float = math.inf) -> Iterator[None]:
        """Ask the source within this block; an exception of the kind `failures` means that it did not answer.

        Waits for its turn while others get their answers, for `longest_wait` seconds at most. Raises Paused.
        """
        tries = self._enter(time.monotonic() + longest_wait)
        answered = True
        try:
            yield
        except failures:
            answered = False
            raise
        finally:
            self._leave(tries, answered)

    def _enter(self, ends_at: float) -> bool:
        """Begin an attempt; whether it is the one that finds out if an open breaker can be closed."""
        with self._condition:
            while self._opened_at is None and self._under_way >= AT_ONCE:
                patience = min(PATIENCE, ends_at - time.monotonic())
                if not self._condition.wait_for(partial(self._moves_on, self._answers), patience):
                    raise Paused
            if self._opened_at is not None and (self._trying or not self._rested()):
                raise Paused
            tries = self._opened_at is not None
            self._trying = self._trying or tries
            self._under_way += 1
            return tries

    def _moves_on(self, answers: int) -> bool:
        """Whether a waiting attempt has reason to look again: a place, an open breaker, more than so many answers."""
        return self._opened_at is not None or self._under_way < AT_ONCE or self._answers != answers

    def _leave(self, tries: bool, answered: bool) -> None:
        with self._condition:
            self._under_way -= 1
            if tries:
                self._trying = False
            if answered:
                self._answers += 1
                if tries or self._opened_at is None:  # a straggler from before does not close it
                    self._failures, self._opened_at = 0, None
            else:
                self._failures += 1
                if tries or (self._opened_at is None and self._failures >= FAILURES):
                    self._opened_at = time.monotonic()
            self._condition.notify_all()

    def _rested(self) -> bool:
        return self._opened_at is not None and time.monotonic() - self._opened_at >= OPEN_FOR


class Breakers:
    """The breakers of this process, by source; of very many, those used last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[Hashable, Breaker] = OrderedDict()

    def of(self, source: Hashable) -> Breaker:
        """The breaker of that source, a new one if it has none."""
        with self._lock:
            breaker = self._known.setdefault(source, Breaker())
            self._known.move_to_end(source)
            while len(self._known) > _MOST_BREAKERS:
                self._known.popitem(last=False)
            return breaker

    def states(self) -> dict[State, int]:
        """How many sources are in which state."""
        with self._lock:
            counted = Counter(breaker.state for breaker in self._known.values())
        return {state: counted[state] for state in State}


breakers = Breakers()
"""Those of this process."""
# Of one tenant's sign-ins, whatever its sources: it keeps no more of a process's threads than one source may.
_tenants = Breakers()


@contextmanager
def in_turn(tenant: Hashable, *, longest_wait: float = math.inf) -> Iterator[None]:
    """Ask a source of that tenant within this block, while few others of its people do. Raises SourceUnavailable."""
    try:
        with _tenants.of(tenant).attempt(_Never, longest_wait=longest_wait):
            yield
    except Paused:
        raise SourceUnavailable("too many sign-ins of this tenant wait for its sources") from None


class _Never(Exception):
    """What no attempt raises: a tenant's sources fail each by itself."""
