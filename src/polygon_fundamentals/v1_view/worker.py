"""The process that reads the lake for the server, which stays small and answers meanwhile."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

from polygon_fundamentals.settings import have_arrow_give_memory_back

IDLE_SECONDS = 20.0
# A reader who pages through the market asks again within this time.
ASKED_SECONDS = 1.0
# What jobs leave in pieces too small to be given back ends with their process; a new one takes a
# second. From the first job to the fiftieth its memory stays within some MB.
JOBS_A_PROCESS = 50
# The server, which answers from memory, comes first.
NICENESS = 5
# Not forked from a process that has imported everything, which would hold 130 MB while idle.
_CONTEXT = get_context("spawn")


class Worker:
    """A process that reads the lake, started when there is work and ended when there is none.

    What it needs (pandas and Arrow) stays out of the process that answers, and what a job leaves
    behind, some 80 MB of pieces of memory, ends with it.
    """

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._used = 0.0
        self._asked = 0.0
        self._answering = 0
        self._under_way = 0
        self._jobs = 0
        self._is_stopped = False
        self._lock = threading.Lock()

    def answer(self, function: Any, *arguments: Any) -> Future[Any]:
        """Return the future of a function that a request waits for; raises as `submit`."""
        with self._lock:
            self._answering += 1
        try:
            future = self.submit(function, *arguments)
        except BaseException:
            self._answered(None)
            raise
        future.add_done_callback(self._answered)
        return future

    def _answered(self, _: Future[Any] | None) -> None:
        with self._lock:
            self._answering -= 1
            self._asked = time.monotonic()

    @property
    def is_asked(self) -> bool:
        """Whether requests wait for it, or did a moment ago."""
        return self._answering > 0 or time.monotonic() - self._asked < ASKED_SECONDS

    def submit(self, function: Any, *arguments: Any) -> Future[Any]:
        """Return the future of a function that is run in the process.

        Raises:
            RuntimeError: the worker was stopped.
        """
        with self._lock:
            if self._is_stopped:
                raise RuntimeError("the worker was stopped")
            if self._jobs >= JOBS_A_PROCESS and not self._under_way:
                self._end()
            if self._pool is None:
                self._pool = ProcessPoolExecutor(1, _CONTEXT, initializer=_begin)
            pool = self._pool
            self._used = time.monotonic()
            self._jobs += 1
            self._under_way += 1
        try:
            # Not under the lock: a pool whose process was killed holds its own lock while it fails
            # its jobs (from Python 3.12 on), and their callbacks need ours.
            future = pool.submit(function, *arguments)
        except BaseException as error:
            self._ended(pool, error)
            raise
        future.add_done_callback(lambda done: self._ended(pool, _error_of(done)))
        return future

    def _ended(self, pool: ProcessPoolExecutor, error: BaseException | None) -> None:
        with self._lock:
            self._under_way -= 1
            self._used = time.monotonic()
            if isinstance(error, BrokenProcessPool) and self._pool is pool:
                self._pool = None

    def rest(self) -> None:
        """End the process when it has had nothing to do for a while."""
        with self._lock:
            if not self._under_way and time.monotonic() - self._used >= IDLE_SECONDS:
                self._end()

    def _end(self) -> None:
        """End the process, which has nothing to do; the lock is held."""
        pool, self._pool, self._jobs = self._pool, None, 0
        if pool is not None:
            _kill(pool)

    def stop(self) -> None:
        """End the process, whatever it does."""
        with self._lock:
            self._is_stopped = True
            pool, self._pool = self._pool, None
        if pool is not None:
            _kill(pool)  # not under the lock, as in `submit`


def _kill(pool: ProcessPoolExecutor) -> None:
    """End a pool's process, and wait until its memory is free.

    One that ended by itself would hold it while the next one starts. The pool's thread is not
    waited for: the callback of its last future may still wait for the worker's lock.
    """
    processes = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()
        process.join()  # it may be writing


def _error_of(future: Future[Any]) -> BaseException | None:
    return None if future.cancelled() else future.exception()


def _begin() -> None:
    have_arrow_give_memory_back()  # before the next line imports it
    from polygon_fundamentals.lake.processes import begin_process

    begin_process()
    os.nice(NICENESS)
    # A signal to stop is for the server, which ends its processes itself.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
