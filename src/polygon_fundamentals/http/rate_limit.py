"""The rate limit: at most n requests in any minute, over all threads and runs of a host.

Without a Prefect server the limit lives in one small file, shared through a file lock:
the times of the last n requests. A request may go when the oldest of them is more than
a minute old; so a burst of n is granted at once, and no minute ever holds more than n.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from polygon_fundamentals.http.connections import WATCH
from polygon_fundamentals.locks import exclusive

# Requests are counted where they leave; a second more than a minute lets them arrive
# late without the server counting one too many.
WINDOW_SECONDS = 61.0


class RateLimit(Protocol):
    """Anything that can make a request wait for its turn."""

    def acquire(self) -> float:
        """Wait until one more request may be sent; return the seconds waited."""


class NoRateLimit:
    """No limit of our own."""

    def acquire(self) -> float:
        """Return 0.0 at once."""
        return 0.0


class FileRateLimit:
    """A limit of `per_minute` requests kept in `path`, for all processes of this host."""

    def __init__(
        self,
        path: Path,
        per_minute: int,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], object] = WATCH.stopping.wait,
    ) -> None:
        self._path = path
        self._per_minute = per_minute
        self._clock = clock
        self._sleep = sleep

    def acquire(self) -> float:
        """Reserve the next free moment and wait for it; return the seconds waited.

        The moment is reserved under the lock and waited for outside it, so waiting
        threads queue in order and none starves.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(self._path.with_suffix(".lock")):
            now = self._clock()
            times = self._read(now)
            if len(times) < self._per_minute:
                turn = now
            else:
                turn = max(now, times[-self._per_minute] + WINDOW_SECONDS)
            times = [*times[-(self._per_minute - 1) :], turn] if self._per_minute > 1 else [turn]
            self._path.write_bytes(struct.pack(f"<{len(times)}d", *times))
        wait = turn - now
        if wait > 0:
            self._sleep(wait)
        return wait

    def _read(self, now: float) -> list[float]:
        """Return the remembered times, oldest first; those from a clock set back are dropped."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return []
        count = len(data) // 8
        times = list(struct.unpack(f"<{count}d", data[: count * 8]))
        horizon = now + WINDOW_SECONDS * (1 + count / self._per_minute)
        return [t for t in times if t <= horizon]
