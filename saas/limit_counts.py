"""Counts of requests in this process, as a storage of the `limits` library.

Its own for memory starts a thread with almost every request, to forget what is over: that costs a quarter of a request.
"""

from collections import OrderedDict
from threading import Lock
from time import monotonic, time

from limits.storage import Storage

MOST = 50_000
"""Counts at a time, some 20 MB. Who calls from more networks than that in a minute makes the oldest be forgotten."""


class CountsInMemory(Storage):
    """Counts with an end, for fixed windows. Registered with the library by its scheme.

    By a clock that nobody sets: a window that seems to begin tomorrow would refuse people until then.
    """

    STORAGE_SCHEME = ["counts"]

    def __init__(self, uri: str | None = None, wrap_exceptions: bool = False, **options: float | str | bool) -> None:
        super().__init__(uri, wrap_exceptions=wrap_exceptions, **options)
        # In the order in which the windows began, which is that of their ends, for they are equally long.
        self._counts: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._lock = Lock()

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """What may be raised: nothing."""
        return ()

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count; gives what is counted since the window, of `expiry` seconds, began."""
        now = monotonic()
        with self._lock:
            count, ends_at = self._counts.get(key, (0, 0.0))
            if ends_at <= now:
                self._counts.pop(key, None)
                self._make_room(now)
                count, ends_at = 0, now + expiry
            self._counts[key] = count + amount, ends_at
        return count + amount

    def get(self, key: str) -> int:
        """What is counted since the window began."""
        count, ends_at = self._counts.get(key, (0, 0.0))
        return count if ends_at > monotonic() else 0

    def get_expiry(self, key: str) -> float:
        """When the window ends, in seconds since 1970; now for what is not counted."""
        return time() + max(self._counts.get(key, (0, 0.0))[1] - monotonic(), 0.0)

    def check(self) -> bool:
        """Whether it works."""
        return True

    def clear(self, key: str) -> None:
        """Forget one count."""
        with self._lock:
            self._counts.pop(key, None)

    def reset(self) -> int:
        """Forget all counts; gives how many there were."""
        with self._lock:
            number = len(self._counts)
            self._counts.clear()
        return number

    def _make_room(self, now: float) -> None:
        while self._counts and (len(self._counts) >= MOST or next(iter(self._counts.values()))[1] <= now):
            self._counts.popitem(last=False)
