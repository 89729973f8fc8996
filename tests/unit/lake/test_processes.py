"""The processes that read many files: they end with the run that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from polygon_fundamentals.errors import LakeError
from polygon_fundamentals.lake.processes import run_jobs

ROOT = Path(__file__).parents[3]
CODE = """
import sys
from polygon_fundamentals.lake.processes import run_jobs
from tests.unit.lake.test_processes import linger
list(run_jobs(linger, [(sys.argv[1], 3.0)] * 50, in_processes=True))
"""


def linger(folder: str, seconds: float) -> None:
    """Leave a file named for this process, then take some time."""
    Path(folder, str(os.getpid())).touch()
    time.sleep(seconds)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A run in a terminal of its own whose two processes work, and the ids of these."""
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, str(tmp_path)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until = time.monotonic() + 60
    while len(started := os.listdir(tmp_path)) < 2:
        assert time.monotonic() < until
        time.sleep(0.05)
    try:
        yield process, started
    finally:
        for pid in (str(process.pid), *started):
            if Path("/proc", pid).exists():
                os.kill(int(pid), signal.SIGKILL)
        process.communicate()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="Linux's /proc is not there")
def test_they_end_with_a_run_that_is_killed(run: tuple[subprocess.Popen[str], list[str]]) -> None:
    process, started = run
    process.kill()
    process.wait()
    until = time.monotonic() + 20
    while any(Path("/proc", pid).exists() for pid in started):
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.slow
def test_ctrl_c_ends_them_after_the_work_in_hand(
    run: tuple[subprocess.Popen[str], list[str]],
) -> None:
    """It reaches every process of the terminal; only the run has something to say of it."""
    process, _ = run
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert said.count("Traceback") == 1


@pytest.mark.parametrize("in_processes", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_results_come_in_the_order_of_the_jobs(in_processes: bool) -> None:
    jobs = [(7, 2), (9, 3), (5, 5)]
    assert list(run_jobs(divmod, jobs, in_processes=in_processes)) == [(3, 1), (3, 0), (1, 0)]


@pytest.mark.slow
def test_of_a_process_that_was_killed_the_remedy_is_told() -> None:
    with pytest.raises(LakeError, match=r"want of memory; .* run the same command again"):
        list(run_jobs(os._exit, [(1,)], in_processes=True))
