"""Keeps people from filling the audit log by being refused over and over: only the first refusals are recorded.

Counted in memory, for each process by itself: a refusal that is not recorded costs the database nothing.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable

WINDOW = 15 * 60
"""Seconds."""
MOST = 5
"""Of one subject within a window, in one process."""
_REMEMBERED = 10_000

_lock = threading.Lock()
_counts: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()


def is_worth_recording(*subject: Hashable, most: int = MOST) -> bool:
    """Whether a refusal of that subject, say a tenant's user, is one of the first within a window; counts it."""
    moment = time.monotonic()
    with _lock:
        began, count = _counts.pop(subject, (moment, 0))
        if moment - began >= WINDOW:
            began, count = moment, 0
        _counts[subject] = (began, count + 1)
        if len(_counts) > _REMEMBERED:
            _counts.popitem(last=False)
    return count < most
