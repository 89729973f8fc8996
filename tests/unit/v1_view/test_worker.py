"""The process that reads the lake for the server: replaced after some jobs, never waited for."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polygon_fundamentals.v1_view.worker import JOBS_A_PROCESS, Worker

SECONDS = 60.0


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.stop()


def done_by(worker: Worker, job: Callable[[], int] = os.getpid) -> int:
    """Run a job to its end, the worker's own counting included; return the process that did it."""
    counted = threading.Event()
    future = worker.submit(job)
    future.add_done_callback(lambda _: counted.set())
    assert counted.wait(SECONDS)
    return int(future.result())


def end_slowly() -> int:
    """Have this process take a minute to end by itself; return its number."""
    Finalize(None, time.sleep, args=(SECONDS,), exitpriority=0)
    return os.getpid()


def test_a_process_that_has_done_its_jobs_is_gone_when_the_next_one_starts(worker: Worker) -> None:
    done = [done_by(worker, end_slowly)]
    done += [done_by(worker) for _ in range(2 * JOBS_A_PROCESS)]
    first, second, third = done[::JOBS_A_PROCESS]
    assert done == [first] * JOBS_A_PROCESS + [second] * JOBS_A_PROCESS + [third]
    assert len({first, second, third}) == 3
    for gone in (first, second):
        with pytest.raises(ProcessLookupError):
            os.kill(gone, 0)


def test_a_callback_that_needs_the_worker_does_not_stop_the_next_job(worker: Worker) -> None:
    for _ in range(JOBS_A_PROCESS - 1):
        done_by(worker)
    may_go_on, counted = threading.Event(), threading.Event()

    def use_the_worker(_: Future[int]) -> None:
        counted.set()  # the worker's own callback comes first
        may_go_on.wait(SECONDS)
        worker.rest()

    worker.submit(os.getpid).add_done_callback(use_the_worker)
    assert counted.wait(SECONDS)
    threading.Timer(0.5, may_go_on.set).start()
    answers: list[int] = []
    thread = threading.Thread(
        target=lambda: answers.append(worker.submit(os.getpid).result(SECONDS)), daemon=True
    )
    thread.start()
    thread.join(SECONDS)
    assert len(answers) == 1


def test_a_pool_that_runs_callbacks_while_it_takes_a_job_does_not_stand_still(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As from Python 3.12 on: a pool whose process was killed holds its lock while it fails its
    # jobs, and whoever submits another waits for that lock.
    process = done_by(worker)
    counted = threading.Event()
    running = worker.submit(time.sleep, SECONDS)
    running.add_done_callback(lambda _: counted.set())
    submit = ProcessPoolExecutor.submit

    def submit_when_the_callbacks_have_run(pool: ProcessPoolExecutor, *job: Any) -> Future[Any]:
        os.kill(process, signal.SIGKILL)
        assert counted.wait(10.0), "the worker's own callback waits for the worker"
        return submit(pool, *job)

    with monkeypatch.context() as patched:
        patched.setattr(ProcessPoolExecutor, "submit", submit_when_the_callbacks_have_run)
        with pytest.raises(BrokenProcessPool):
            worker.submit(os.getpid)
    assert done_by(worker) != process


def held_elsewhere(path: Path) -> int:
    """Read a Parquet file; return the most bytes that Arrow took from a pool that keeps them."""
    pq.read_table(path)
    return int(pa.mimalloc_memory_pool().max_memory())


@pytest.mark.slow  # it starts a process that imports Arrow
def test_reading_takes_no_memory_from_a_pool_that_keeps_it(worker: Worker, tmp_path: Path) -> None:
    pq.write_table(pa.table({"ticker": ["AAPL"] * 1_000}), tmp_path / "rows.parquet")
    assert worker.submit(held_elsewhere, tmp_path / "rows.parquet").result(SECONDS) == 0
