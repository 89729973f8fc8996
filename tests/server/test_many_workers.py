"""A large load split over three workers of which one dies, and over a Dask cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from polygon_fundamentals.lake import Lake
from tests.lakes import contents, stray_files
from tests.processes import descendants
from tests.server.conftest import postgres
from tests.server.world import World, until, world

pytestmark = [pytest.mark.slow, pytest.mark.postgres]
ALLOWANCE = 600
COMPANIES = int(os.environ.get("SHARD_COMPANIES", "240"))
SHARDS = int(os.environ.get("SHARDS", "12"))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A server on PostgreSQL: three workers at once meet locked databases on SQLite."""
    folder = tmp_path_factory.mktemp("many")
    with (
        postgres() as address,
        world(folder, COMPANIES, PREFECT_API_DATABASE_CONNECTION_URL=address) as made,
    ):
        told = made.run("deploy", POLYGON_REQUESTS_PER_MINUTE=str(ALLOWANCE))
        assert told.returncode == 0, told.stderr
        yield made


def words(lake: Path, *more: str) -> list[str]:
    """Return the load that every test of this module runs."""
    return [
        "historical-load", "--generation", "v2", "--from", "2025-01-01", "--lake", str(lake),
        "--tickers-file", str(lake.parent / "tickers.txt"), *more,
    ]  # fmt: skip


def busiest_minute(times: list[float]) -> int:
    """Return the most requests in any 60 s."""
    most, first = 0, 0
    for last, now in enumerate(times):
        while times[first] <= now - 60:
            first += 1
        most = max(most, last - first + 1)
    return most


@pytest.fixture(scope="module")
def alone(served: World) -> dict[str, list[str]]:
    """The lake as one process loads it, without any server."""
    tickers = served.sandbox.tickers
    (served.folder / "tickers.txt").write_text("\n".join(tickers), encoding="utf-8")
    lake = served.folder / "alone"
    told = served.run(*words(lake), PREFECT_API_URL="")
    assert told.returncode == 0, told.stderr
    found = contents(Lake(lake))
    assert sum(map(len, found.values())) > 5 * len(tickers)
    return found


def test_three_workers_one_killed_load_what_one_process_loads(
    served: World, alone: dict[str, list[str]]
) -> None:
    lake = served.folder / "sharded"
    served.sandbox.forget_requests()
    told: dict[str, Any] = {}
    more = {"POLYGON_REQUESTS_PER_MINUTE": str(ALLOWANCE), "POLYGON_PROCESSES": "1"}

    def load() -> None:
        told["ended"] = served.run(*words(lake, "--shards", str(SHARDS), "--json"), **more)

    thread = threading.Thread(target=load)
    with ExitStack() as stack:
        workers = [stack.enter_context(served.worker(n, 1, **more)) for n in ("a", "b", "c")]
        thread.start()

        def in_the_middle() -> bool:
            # The worker that is to die is loading, not only starting: that would be another case.
            log = served.folder / "worker-a.log"
            loading = log.exists() and "Beginning flow run" in log.read_text(encoding="utf-8")
            running = served.api(
                "/flow_runs/filter",
                {
                    "flow_runs": {
                        "state": {"type": {"any_": ["RUNNING"]}},
                        "tags": {"all_": ["shard"]},
                    }
                },
            )
            return loading and len(running) >= 3 and len(served.sandbox.requests) > 20

        # A fast machine ends a shard before the third one begins.
        served.sandbox.latency = 2.0
        until(in_the_middle, 300, "three shards under way")
        served.sandbox.latency = 0.0
        killed = [workers[0].pid, *descendants(workers[0].pid)]
        assert len(killed) >= 2, "the worker has a run"
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        stack.enter_context(served.worker("d", 1, **more))
        thread.join(1200)
    assert not thread.is_alive()
    ended = told["ended"]
    assert ended.returncode == 0, ended.stderr[-2000:]
    report = json.loads(ended.stdout)
    assert report["v2"]["failed"] == []
    assert report["v2"]["units"] == len(served.sandbox.tickers) * 3
    assert len(report["shards"]) == SHARDS
    assert [s["attempts"] for s in report["shards"]].count(2) == 1
    assert contents(Lake(lake)) == alone
    assert stray_files(Lake(lake)) == []
    times = [r.at.timestamp() for r in served.sandbox.requests]
    most = busiest_minute(times)
    print(f"{len(times)} requests, at most {most} in a minute, {ALLOWANCE} allowed")
    assert most <= ALLOWANCE


def test_a_shard_that_fails_fails_the_parent(served: World) -> None:
    lake = served.folder / "failing"
    with served.worker("e", 2, POLYGON_API_KEY="wrong"):
        ended = served.run(*words(lake, "--shards", "2", "--json"))
    assert ended.returncode == 3, ended.stderr
    report = json.loads(ended.stdout)
    assert len(report["v2"]["failed"]) == report["v2"]["units"] == len(served.sandbox.tickers) * 3
    assert [s["ok"] for s in report["shards"]] == [False, False]


def test_dask_loads_the_same(served: World, alone: dict[str, list[str]]) -> None:
    libraries = os.environ.get("DASK_LIBRARIES", "")
    found = subprocess.run(
        [sys.executable, "-c", "import prefect_dask"],
        env={**served.environment(), "PYTHONPATH": libraries},
        capture_output=True,
        check=False,
    )
    if found.returncode:
        pytest.skip("prefect-dask is not installed (make setup EXTRAS=test,dask)")
    lake = served.folder / "dask"
    ended = served.run(*words(lake, "--task-runner", "dask"), PYTHONPATH=libraries)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert contents(Lake(lake)) == alone
