"""The file limit: no minute holds more than its allowance."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from polygon_fundamentals.http.rate_limit import WINDOW_SECONDS, FileRateLimit, NoRateLimit


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_burst_is_granted_at_once_and_the_next_waits(tmp_path: Path) -> None:
    clock = Clock()
    limit = FileRateLimit(tmp_path / "rate.bin", 5, clock=clock.time, sleep=clock.sleep)
    assert [limit.acquire() for _ in range(5)] == [0.0] * 5
    assert limit.acquire() == WINDOW_SECONDS


def test_two_limits_on_one_file_share_the_allowance(tmp_path: Path) -> None:
    clock = Clock()
    first, second = (
        FileRateLimit(tmp_path / "rate.bin", 2, clock=clock.time, sleep=clock.sleep)
        for _ in range(2)
    )
    assert [first.acquire(), second.acquire()] == [0.0, 0.0]
    assert first.acquire() > 60


@given(st.integers(1, 6), st.lists(st.floats(0, 40), min_size=1, max_size=40))
def test_no_minute_ever_holds_more(per_minute: int, pauses: list[float]) -> None:
    import tempfile

    clock, granted = Clock(), []
    with tempfile.TemporaryDirectory() as folder:
        limit = FileRateLimit(
            Path(folder) / "rate.bin", per_minute, clock=clock.time, sleep=clock.sleep
        )
        for pause in pauses:
            clock.now += pause
            limit.acquire()
            granted.append(clock.now)
    for moment in granted:
        assert sum(moment <= other < moment + 60 for other in granted) <= per_minute


def test_a_clock_set_back_does_not_stop_everything(tmp_path: Path) -> None:
    clock = Clock()
    limit = FileRateLimit(tmp_path / "rate.bin", 1, clock=clock.time, sleep=clock.sleep)
    limit.acquire()
    clock.now -= 100_000
    assert limit.acquire() == WINDOW_SECONDS


def test_turns_reserved_far_ahead_are_not_forgotten(tmp_path: Path) -> None:
    clock = Clock()
    waiting: list[float] = []
    limit = FileRateLimit(tmp_path / "rate.bin", 2, clock=clock.time, sleep=waiting.append)
    for _ in range(20):
        limit.acquire()  # twenty threads, of which eighteen wait at once
    assert waiting == [WINDOW_SECONDS * (1 + i // 2) for i in range(18)]


def test_without_a_limit_nothing_waits() -> None:
    assert NoRateLimit().acquire() == 0.0
