"""What the processes of a run have in common: they hold little, and end with the run."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import starmap
from typing import Any, TypeVar

import pyarrow as pa

from polygon_fundamentals.errors import LakeError

LARGE_BLOCK = 2**20  # bytes
_M_MMAP_THRESHOLD = -3  # of <malloc.h>
# Starting two processes pays from about this many files on.
FILES_WORTH_PROCESSES = 2_000
Result = TypeVar("Result")


def give_large_blocks_back() -> None:
    """Have this process return every large block to the system once it is free.

    glibc does so until the first one is freed, and then keeps blocks of that size for later: of
    the answers that passed through a load, 15 MB each, some 100 MB were still held at its end,
    and of the tables that passed through parity some 50 MB. Other C libraries have no such
    setting, and need none.
    """
    pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own pools keep what was freed, too
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK)


def give_free_memory_back() -> None:
    """Return to the system what this process has free in small pieces, some 70 MB after a batch."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def begin_process() -> None:
    """Prepare a process of a pool: it frees memory early and exits with its parent."""
    give_large_blocks_back()
    # Ctrl-C reaches every process of the terminal: the run ends its processes itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the run that started it was killed; it would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def are_worth_processes(files: int) -> bool:
    """Return whether two processes read so many files sooner than this one does."""
    return files >= FILES_WORTH_PROCESSES and (os.cpu_count() or 1) > 1


def run_jobs(
    function: Callable[..., Result], jobs: Sequence[tuple[Any, ...]], *, in_processes: bool
) -> Iterator[Result]:
    """Yield what a function returns of each job's arguments, in the order of the jobs.

    Raises what the function raises.

    Raises:
        LakeError: a process died.
    """
    if not in_processes:
        yield from starmap(function, jobs)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(2, mp_context=context, initializer=begin_process)
    try:
        for future in [pool.submit(function, *job) for job in jobs]:
            yield future.result()
    except BrokenProcessPool as error:
        raise LakeError(
            "a process that read files of the lake was killed, most likely by the system for want "
            "of memory; end other programs or take a machine with more (docs/large-lakes.md says "
            "how much is needed), then run the same command again, which continues"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)  # after Ctrl-C nobody waits for the jobs in the queue
