"""The rate limit: at most n requests in any minute, over all threads and runs of a host.

Without a Prefect server the limit lives in one small file, shared through a file lock:
the times of the last n requests, reserved ones too. A request may go when the oldest of them is
more than a minute old; so a burst of n is granted at once, and no minute ever holds more than n.
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
_FARTHEST_SECONDS = 86_400.0


class RateLimit(Protocol):
    """Anything that can make a request wait for its turn."""

    def acquire(self) -> float:
        """Wait until one more request may be sent; return the seconds waited."""

    def release(self) -> None:
        """Note that the request of this thread was answered, or has failed."""


class NoRateLimit:
    """No limit of our own."""

    def acquire(self) -> float:
        """Return 0.0 at once."""
        return 0.0

    def release(self) -> None:
        """Do nothing."""


class FileRateLimit:
    """A limit of `per_minute` requests recorded in `path`, shared by all processes of this host."""

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
            times = [*times, turn][-self._per_minute :]
            self._path.write_bytes(struct.pack(f"<{len(times) + 1}d", now, *times))
        wait = turn - now
        if wait > 0:
            self._sleep(wait)
        return wait

    def release(self) -> None:
        """Do nothing: a request counts when it leaves."""

    def _read(self, now: float) -> list[float]:
        """Return the remembered times, oldest first.

        The first number of the file is when it was written. Where the clock was set back since
        then, the times are too: however many turns are reserved, none is forgotten.
        """
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return []
        count = len(data) // 8
        written, *times = struct.unpack(f"<{count}d", data[: count * 8]) or (now,)
        back = max(0.0, written - now)
        # A flipped bit must not make a run wait for days.
        times = [moment - back for moment in times]
        return [moment for moment in times if abs(moment - now) < _FARTHEST_SECONDS]
