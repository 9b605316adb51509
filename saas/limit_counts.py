"""Counts of requests in this process, as a storage of the `limits` library.

Its own for memory starts a thread with almost every request, to forget what is over: that costs a quarter of a request.
"""

from threading import Lock
from time import time

from limits.storage import Storage

_SWEPT_EVERY = 10
"""Seconds. What is over counts for nothing, and takes room for so long at most."""


class CountsInMemory(Storage):
    """Counts with an end, for fixed windows. Registered with the library by its scheme."""

    STORAGE_SCHEME = ["counts"]

    def __init__(self, uri: str | None = None, wrap_exceptions: bool = False, **options: float | str | bool) -> None:
        super().__init__(uri, wrap_exceptions=wrap_exceptions, **options)
        self._counts: dict[str, tuple[int, float]] = {}
        self._lock = Lock()
        self._swept_at = time()

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """What may be raised: nothing."""
        return ()

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count; gives what is counted since the window, of `expiry` seconds, began."""
        now = time()
        with self._lock:
            if now - self._swept_at > _SWEPT_EVERY:
                self._sweep(now)
            count, ends_at = self._counts.get(key, (0, 0.0))
            if ends_at <= now:
                count, ends_at = 0, now + expiry
            self._counts[key] = count + amount, ends_at
        return count + amount

    def get(self, key: str) -> int:
        """What is counted since the window began."""
        count, ends_at = self._counts.get(key, (0, 0.0))
        return count if ends_at > time() else 0

    def get_expiry(self, key: str) -> float:
        """When the window ends, in seconds since 1970; now for what is not counted."""
        return max(self._counts.get(key, (0, 0.0))[1], time())

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

    def _sweep(self, now: float) -> None:
        self._counts = {key: held for key, held in self._counts.items() if held[1] > now}
        self._swept_at = now
