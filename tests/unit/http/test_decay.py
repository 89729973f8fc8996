"""The arithmetic of a server's decaying limit: never above the allowance, and no time lost."""

from __future__ import annotations

import math

import pytest

from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.http.decay import DecayLimit, Mirror


@pytest.mark.parametrize(
    ("per_minute", "slots", "decay", "block"),
    [
        (2, 1, 0.015873, 1),
        (5, 1, 0.063492, 1),
        (100, 10, 1.428571, 1),
        (6000, 600, 85.714285, 42),
    ],
)
def test_a_minute_never_holds_more_than_the_allowance(
    per_minute: int, slots: int, decay: float, block: int
) -> None:
    limit = DecayLimit.within(per_minute)
    assert (limit.slots, limit.decay, limit.block) == (slots, decay, block)
    # A permit may be used two seconds after it was granted, and arrive a second late.
    assert limit.slots + 63 * limit.decay <= per_minute


def test_one_a_minute_cannot_be_had_through_a_server() -> None:
    with pytest.raises(UsageError, match="set POLYGON_REQUESTS_PER_MINUTE to 2 or more"):
        DecayLimit.within(1)


class Server:
    """Counts as Prefect 3.8.7 does: what decayed is rounded down, each change starts it anew."""

    def __init__(self, limit: DecayLimit) -> None:
        self.limit, self.active, self.updated = limit, 0.0, 0.0

    def grants(self, block: int, now: float) -> bool:
        active = max(0.0, self.active - math.floor(self.limit.decay * (now - self.updated)))
        granted = active + block <= self.limit.slots
        if granted:
            self.active = active + block
        self.updated = now
        return granted


@pytest.mark.parametrize("per_minute", [2, 5, 100, pytest.param(6000, marks=pytest.mark.slow)])
def test_asking_when_the_mirror_says_is_never_refused_and_uses_the_rate(per_minute: int) -> None:
    limit = DecayLimit.within(per_minute)
    server, mirror, now, granted = Server(limit), Mirror(), 1000.0, []
    while now < 1600.0:
        now += mirror.wait(limit, limit.block, now)
        assert server.grants(limit.block, now)
        mirror.granted(limit, limit.block, now)
        granted += [now] * limit.block
        now += 0.001
    worst = max(sum(start <= t < start + 60 for t in granted) for start in granted[:: limit.block])
    assert worst <= per_minute
    assert len(granted) / 10 >= 0.75 * 60 * limit.decay
