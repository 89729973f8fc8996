"""The arithmetic of a limit whose slots decay, as a Prefect server keeps it.

A limit of n with a decay grants n at once and then the decay, so n + 60 × decay is the most
that a minute can hold. The server rounds down what has decayed since its last change and then
starts again, so asking too early loses time: `Mirror` says when asking will succeed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from polygon_fundamentals.errors import UsageError

# A permit taken is used within this time or lost; requests may arrive a second late.
PERMIT_SECONDS = 2.0
LATE_SECONDS = 1.0
# A permit costs some 50 ms to ask for, so fast plans take what decays in this time at once.
BLOCK_SECONDS = 0.5
# Requests that the free plan allows in a minute.
FREE_PLAN = 5


@dataclass(frozen=True)
class DecayLimit:
    """A limit of `slots`, of which `decay` come free a second."""

    slots: int
    decay: float

    @classmethod
    def within(cls, per_minute: int) -> DecayLimit:
        """Return the limit under which no minute holds more than `per_minute` requests.

        Raises:
            UsageError: `per_minute` is below 2.
        """
        if per_minute < 2:
            raise UsageError(
                "a limit shared through a server grants one request at once and then its decay, "
                "so it cannot keep to 1 per minute; set POLYGON_REQUESTS_PER_MINUTE to 2 or more"
            )
        slots = max(1, per_minute // 10)
        decay = (per_minute - slots) / (60.0 + PERMIT_SECONDS + LATE_SECONDS)
        return cls(slots, math.floor(decay * 1e6) / 1e6)

    @property
    def worst_minute(self) -> float:
        """The most requests that a minute can hold."""
        return self.slots + 60.0 * self.decay

    @property
    def block(self) -> int:
        """How many permits to take at once."""
        return max(1, min(self.slots, int(self.decay * BLOCK_SECONDS)))


@dataclass
class Mirror:
    """What the server's count should be; `updated` is when it last granted, in seconds."""

    active: float = 0.0
    updated: float = 0.0

    def wait(self, limit: DecayLimit, block: int, now: float) -> float:
        """Return the seconds until a block will be granted."""
        over = self._left(limit, now) + block - limit.slots
        if over <= 0:
            return 0.0
        full = math.ceil(max(0.0, self.active + block - limit.slots))
        return max(0.0, self.updated + full / limit.decay - now) + 0.02

    def granted(self, limit: DecayLimit, block: int, now: float) -> None:
        """Note that a block was granted."""
        self.active = min(float(limit.slots), self._left(limit, now) + block)
        self.updated = now

    def _left(self, limit: DecayLimit, now: float) -> float:
        return max(0.0, self.active - math.floor(limit.decay * max(0.0, now - self.updated)))
