"""A source that does not answer holds up few threads, for a short time, and nobody else's source."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from auth import breakers as module
from auth.breakers import AT_ONCE, FAILURES, OPEN_FOR, Breaker, Breakers, Paused, State

WAIT = 10.0


class Down(Exception):
    """The source did not answer."""


class Clock:
    """The breakers' time, which stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(Down), breaker.attempt(Down):
            raise Down


def succeed(breaker: Breaker) -> None:
    with breaker.attempt(Down):
        pass


def assert_paused(breaker: Breaker) -> None:
    with pytest.raises(Paused), breaker.attempt(Down):
        pytest.fail("it was asked")


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread is about to do."""
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


class Source:
    """A source that answers when it is told to, and knows how many are asking it."""

    def __init__(self, breaker: Breaker) -> None:
        self.breaker = breaker
        self.asking = 0
        self.most = 0
        self.works = True
        self._lock = threading.Lock()
        self._answers = threading.Semaphore(0)

    def ask(self) -> str:
        try:
            with self.breaker.attempt(Down):
                with self._lock:
                    self.asking += 1
                    self.most = max(self.most, self.asking)
                assert self._answers.acquire(timeout=WAIT)
                with self._lock:
                    self.asking -= 1
                if not self.works:
                    raise Down
                return "answered"
        except Paused:
            return "paused"
        except Down:
            return "failed"

    def answer(self, times: int = 1) -> None:
        self._answers.release(times)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(64) as pool:
        yield pool


class TestOpening:
    def test_it_is_closed_at_first(self) -> None:
        breaker = Breaker()
        assert breaker.state is State.CLOSED
        succeed(breaker)

    @pytest.mark.usefixtures("clock")
    def test_failures_in_a_row_open_it(self) -> None:
        breaker = Breaker()
        fail(breaker, FAILURES - 1)
        assert breaker.state is State.CLOSED
        fail(breaker)
        assert breaker.state is State.OPEN

    @pytest.mark.usefixtures("clock")
    def test_an_answer_between_them_keeps_it_closed(self) -> None:
        breaker = Breaker()
        for _ in range(3):
            fail(breaker, FAILURES - 1)
            succeed(breaker)
        assert breaker.state is State.CLOSED

    def test_another_exception_is_an_answer(self) -> None:
        breaker = Breaker()
        for _ in range(FAILURES + 1):
            with pytest.raises(KeyError), breaker.attempt(Down):
                raise KeyError
        assert breaker.state is State.CLOSED

    @pytest.mark.usefixtures("clock")
    def test_nobody_asks_or_waits_while_it_is_open(self) -> None:
        breaker = Breaker()
        fail(breaker, FAILURES)
        before = time.monotonic()
        for _ in range(100):
            assert_paused(breaker)
        assert time.monotonic() - before < 0.5


class TestHalfOpen:
    @pytest.fixture
    def rested(self, clock: Clock) -> Breaker:
        breaker = Breaker()
        fail(breaker, FAILURES)
        clock.now += OPEN_FOR - 0.1
        assert breaker.state is State.OPEN
        assert_paused(breaker)
        clock.now += 0.1
        assert breaker.state is State.HALF_OPEN
        return breaker

    def test_one_attempt_is_let_through_and_closes_it(self, rested: Breaker) -> None:
        with rested.attempt(Down):
            assert rested.state is State.HALF_OPEN
            for _ in range(3):
                assert_paused(rested)
        assert rested.state is State.CLOSED
        fail(rested, FAILURES - 1)
        assert rested.state is State.CLOSED

    def test_a_failure_opens_it_for_as_long_again(self, rested: Breaker, clock: Clock) -> None:
        fail(rested)
        assert rested.state is State.OPEN
        clock.now += OPEN_FOR - 0.1
        assert_paused(rested)
        clock.now += 0.1
        succeed(rested)
        assert rested.state is State.CLOSED

    def test_only_one_of_many_threads_is_let_through(self, rested: Breaker, threads: ThreadPoolExecutor) -> None:
        source = Source(rested)
        asked = [threads.submit(source.ask) for _ in range(32)]
        until(lambda: sum(one.done() for one in asked) == 31)
        source.answer()
        assert sorted(one.result() for one in asked) == ["answered"] + ["paused"] * 31
        assert source.most == 1

    def test_a_straggler_decides_nothing(self, clock: Clock, threads: ThreadPoolExecutor) -> None:
        breaker = Breaker()
        source = Source(breaker)
        straggler = threads.submit(source.ask)
        until(lambda: source.asking == 1)
        fail(breaker, FAILURES)
        source.answer()
        assert straggler.result() == "answered"
        assert breaker.state is State.OPEN
        clock.now += OPEN_FOR
        late = Source(breaker)
        late.works = False
        with breaker.attempt(Down):
            assert_paused(breaker)
        assert breaker.state is State.CLOSED


class TestWaiting:
    def test_no_more_ask_at_once_than_may(self, threads: ThreadPoolExecutor) -> None:
        source = Source(Breaker())
        asked = [threads.submit(source.ask) for _ in range(50)]
        until(lambda: source.asking == AT_ONCE)
        source.answer(50)
        assert [one.result() for one in asked] == ["answered"] * 50
        assert source.most == AT_ONCE

    def test_who_waits_gets_through_as_long_as_others_do(
        self, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The last gets its turn after 2.5 s. Between answers its patience has room for a machine that stalls.
        monkeypatch.setattr(module, "PATIENCE", 2.0)
        source = Source(Breaker())
        asked = [threads.submit(source.ask) for _ in range(AT_ONCE + 10)]
        for number in range(AT_ONCE + 10):
            until(lambda: source.asking > 0)
            time.sleep(0.25)
            source.answer()
            until(lambda expected=number: sum(one.done() for one in asked) > expected)
        assert [one.result() for one in asked] == ["answered"] * (AT_ONCE + 10)

    def test_a_hung_source_holds_few_of_a_workers_threads(
        self, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "PATIENCE", 0.1)
        source = Source(Breaker())
        source.works = False
        asked = [threads.submit(source.ask) for _ in range(8)]
        until(lambda: sum(one.done() for one in asked) == 8 - AT_ONCE)
        assert source.asking == AT_ONCE
        before = time.monotonic()
        assert source.ask() == "paused"
        assert time.monotonic() - before < 2
        source.answer(AT_ONCE)
        assert sorted(one.result() for one in asked) == ["failed"] * AT_ONCE + ["paused"] * (8 - AT_ONCE)
        assert source.breaker.state is State.OPEN

    def test_who_waits_for_a_source_that_turns_out_to_be_down_does_not_ask_it(
        self, threads: ThreadPoolExecutor
    ) -> None:
        source = Source(Breaker())
        source.works = False
        asked = [threads.submit(source.ask) for _ in range(AT_ONCE)]
        until(lambda: source.asking == AT_ONCE)
        waiting = [threads.submit(source.ask) for _ in range(4)]
        time.sleep(0.05)
        source.answer(AT_ONCE + 4)
        assert {one.result() for one in asked} == {"failed"}
        results = [one.result() for one in waiting]
        assert results.count("paused") >= 4 - (FAILURES - 1)
        assert source.breaker.state is State.OPEN

    def test_a_place_that_another_takes_first_is_no_reason_to_give_up(self, threads: ThreadPoolExecutor) -> None:
        breaker = Breaker()
        source = Source(breaker)
        asked = [threads.submit(source.ask) for _ in range(AT_ONCE)]
        until(lambda: source.asking == AT_ONCE)
        waiting = threads.submit(source.ask)
        time.sleep(0.05)
        with breaker._condition:
            breaker._condition.notify_all()
        time.sleep(0.05)
        assert not waiting.done()
        source.answer(AT_ONCE + 1)
        assert [one.result() for one in (*asked, waiting)] == ["answered"] * (AT_ONCE + 1)

    def test_a_place_is_given_back_whatever_happens(self) -> None:
        breaker = Breaker()
        for error in (KeyboardInterrupt, SystemExit, GeneratorExit, ValueError):
            for _ in range(AT_ONCE):
                with pytest.raises(error), breaker.attempt(Down):
                    raise error
        succeed(breaker)


class TestBreakers:
    def test_a_source_has_one(self) -> None:
        known = Breakers()
        assert known.of("a") is known.of("a") is not known.of("b")
        assert known.of(("a", 1)) is known.of(("a", 1))

    @pytest.mark.usefixtures("clock")
    def test_other_sources_are_not_affected(self) -> None:
        known = Breakers()
        fail(known.of("down"), FAILURES)
        assert_paused(known.of("down"))
        succeed(known.of("up"))

    def test_their_states_are_counted(self, clock: Clock) -> None:
        known = Breakers()
        assert known.states() == {State.CLOSED: 0, State.OPEN: 0, State.HALF_OPEN: 0}
        fail(known.of("rested"), FAILURES)
        clock.now += OPEN_FOR
        for name in ("one", "other"):
            fail(known.of(name), FAILURES)
        for name in "abc":
            succeed(known.of(name))
        assert known.states() == {State.CLOSED: 3, State.OPEN: 2, State.HALF_OPEN: 1}

    def test_of_very_many_those_used_last_are_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_MOST_BREAKERS", 100)
        known = Breakers()
        first = known.of("first")
        for number in range(1000):
            known.of(number)
            known.of("first")
        assert sum(known.states().values()) == 100
        assert known.of("first") is first

    def test_many_threads_get_the_same(self, threads: ThreadPoolExecutor) -> None:
        known = Breakers()
        assert len({id(breaker) for breaker in threads.map(known.of, ["a"] * 500)}) == 1
