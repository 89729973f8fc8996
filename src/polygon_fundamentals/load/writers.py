"""Writer processes: parsing and writing spread over the machine's cores."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeVar

from polygon_fundamentals.errors import LakeError
from polygon_fundamentals.lake.processes import begin_process, give_large_blocks_back

Job = TypeVar("Job")
Result = TypeVar("Result")
FETCHED_AHEAD = 1


class Writers(Protocol):
    """Something that runs a store function and waits for its result."""

    def run(self, function: Callable[[Job], Result], job: Job) -> Result:
        """Return what `function(job)` returns; raise what it raises."""

    def room(self) -> AbstractContextManager[object]:
        """Hold a place for an answer that is to be fetched and stored.

        An answer for a batch of tickers is some 15 MB: few more are held at once than can be
        stored at once, however many threads there are to fetch them.
        """

    def close(self) -> None:
        """Wait for what is running and release the processes."""


class Inline:
    """Runs in the calling thread: best for a few units."""

    def run(self, function: Callable[[Job], Result], job: Job) -> Result:
        """Return what `function(job)` returns; raise what it raises."""
        return function(job)

    def room(self) -> AbstractContextManager[object]:
        """Return a context without a limit: every thread stores what it fetched itself."""
        return nullcontext()

    def close(self) -> None:
        """Nothing to release."""


class Processes:
    """Runs in a few processes of their own, which start while the first answer is asked for."""

    def __init__(self, count: int) -> None:
        give_large_blocks_back()
        self._room = threading.BoundedSemaphore(count + FETCHED_AHEAD)
        self._pool = _AHEAD.pop(count) if count in _AHEAD else _started(count)

    def run(self, function: Callable[[Job], Result], job: Job) -> Result:
        """Return what `function(job)` returns; raise what it raises.

        Raises:
            LakeError: the process died (killed, out of memory).
        """
        try:
            return self._pool.submit(function, job).result()
        except BrokenProcessPool as error:
            raise LakeError(
                "a writer process died, perhaps out of memory; run again, with "
                "POLYGON_PROCESSES=1 if it happens once more"
            ) from error

    def room(self) -> AbstractContextManager[object]:
        """Return a context that waits for a place."""
        return self._room

    def close(self) -> None:
        """Wait for what is running and end the processes."""
        self._pool.shutdown(wait=True, cancel_futures=True)


# Processes that nothing has taken yet, by their number.
_AHEAD: dict[int, ProcessPoolExecutor] = {}


def start_ahead(count: int) -> None:
    """Start the processes of the next `Processes(count)` now, while a run waits for its server."""
    if count > 1 and count not in _AHEAD:
        _AHEAD[count] = _started(count)


def _started(count: int) -> ProcessPoolExecutor:
    # spawn: a fork of a process with threads may inherit a held lock.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=begin_process)
    for _ in range(count):
        pool.submit(_import_what_stores)
    return pool


def _import_what_stores() -> None:
    """Import in a process that has just started what its first work needs."""
    import polygon_fundamentals.load.store  # noqa: F401
