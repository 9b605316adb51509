"""Counts of requests in a process."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from limits import RateLimitItemPerMinute
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter

from saas import limit_counts
from saas.limit_counts import CountsInMemory


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which stands still until it is set."""
    now = [1_000_000.0]
    for clock in ("time", "monotonic"):
        monkeypatch.setattr(limit_counts, clock, lambda: now[0])
    return now


def test_a_window_begins_with_the_first_request_and_ends(clock: list[float]) -> None:
    counts = CountsInMemory()
    assert [counts.incr("a", 60), counts.incr("a", 60, amount=2)] == [1, 3]
    assert counts.get_expiry("a") == clock[0] + 60
    clock[0] += 59.9
    assert counts.get("a") == 3
    clock[0] += 0.1
    assert (counts.get("a"), counts.get_expiry("a")) == (0, clock[0])
    assert counts.incr("a", 60) == 1


def test_keys_do_not_meet(clock: list[float]) -> None:
    counts = CountsInMemory()
    counts.incr("a", 60)
    assert counts.get("b") == 0
    assert counts.incr("b", 60) == 1


def test_what_is_over_takes_no_room(clock: list[float]) -> None:
    counts = CountsInMemory()
    for number in range(1000):
        counts.incr(f"address {number}", 60)
    clock[0] += 60
    counts.incr("another", 60)
    assert set(counts._counts) == {"another"}


def test_however_many_there_are_they_take_no_more_room_than_that(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limit_counts, "MOST", 100)
    counts = CountsInMemory()
    for number in range(1000):
        counts.incr(f"address {number}", 60)
    assert list(counts._counts) == [f"address {number}" for number in range(900, 1000)]


def test_a_clock_that_is_set_back_refuses_nobody_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    wall, steady = [1_000_000.0], [50.0]
    monkeypatch.setattr(limit_counts, "time", lambda: wall[0])
    monkeypatch.setattr(limit_counts, "monotonic", lambda: steady[0])
    counts = CountsInMemory()
    counts.incr("a", 60)
    wall[0] -= 3600
    steady[0] += 30
    assert counts.get_expiry("a") == wall[0] + 30
    steady[0] += 30
    assert counts.incr("a", 60) == 1


def test_they_can_be_forgotten(clock: list[float]) -> None:
    counts = CountsInMemory()
    counts.incr("a", 60)
    counts.incr("b", 60)
    counts.clear("a")
    assert (counts.get("a"), counts.get("b")) == (0, 1)
    assert counts.reset() == 1
    assert counts.get("b") == 0


def test_the_library_finds_and_uses_them(clock: list[float]) -> None:
    limiter: Any = FixedWindowRateLimiter(storage_from_string("counts://"))
    limit = RateLimitItemPerMinute(2)
    assert [limiter.hit(limit, "a") for _ in range(3)] == [True, True, False]
    assert limiter.get_window_stats(limit, "a") == (clock[0] + 60, 0)


def test_requests_at_once_are_all_counted() -> None:
    counts = CountsInMemory()
    with ThreadPoolExecutor(16) as pool:
        found = sorted(pool.map(lambda _: counts.incr("a", 600), range(2000)))
    assert found == list(range(1, 2001))
