"""Readers of `serve-v1` that never rest, made by public load generators."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
USERS = 8
SECONDS = 20


@dataclass(frozen=True)
class Load:
    """What a generator saw; times of answers in ms, `cpu` its own processor seconds."""

    generator: str
    requests: int
    failed: int
    rate: float
    median: float
    p95: float
    cpu: float


Generator = Callable[[str, str, list[str]], Load | None]  # URL, key, tickers


def locust(url: str, key: str, tickers: list[str]) -> Load | None:
    """Return locust's figures of eight clients that read one ticker's quarters after another."""
    python = os.environ.get("BENCH_PYTHON", sys.executable)
    output, cpu = _run(
        [
            *(python, "-m", "locust", "-f", str(HERE / "serve_v1_load.py"), "--headless", "--json"),
            *("--host", url, "-u", str(USERS), "-r", str(USERS), "-t", f"{SECONDS}s"),
            *("--loglevel", "ERROR"),
        ],
        key,
        tickers,
    )
    (row,) = json.loads(output)
    times = sorted((float(ms), n) for ms, n in row["response_times"].items())
    requests = row["num_requests"]

    def within(share: float) -> float:
        """Return the time within which a share of the requests was answered."""
        seen = 0
        for ms, n in times:
            seen += n
            if seen >= share * requests:
                return ms
        raise SystemExit("locust counted no requests")

    seconds = row["last_request_timestamp"] - row["start_time"]
    failed = row["num_failures"]
    return Load("locust", requests, failed, requests / seconds, within(0.5), within(0.95), cpu)


def wrk(url: str, key: str, tickers: list[str]) -> Load | None:
    """Return wrk's figures of the same clients, or None where it is not installed."""
    program = shutil.which("wrk")
    if program is None:
        return None
    output, cpu = _run(
        [
            *(program, "-t", "1", "-c", str(USERS), "-d", f"{SECONDS}s"),
            *("-s", str(HERE / "serve_v1_load.lua"), url),
        ],
        key,
        tickers,
    )
    row = json.loads(output.splitlines()[-1])
    rate = row["requests"] / row["seconds"]
    return Load("wrk", row["requests"], row["failed"], rate, row["median"], row["p95"], cpu)


GENERATORS: tuple[Generator, ...] = (locust, wrk)


def _run(command: list[str], key: str, tickers: list[str]) -> tuple[str, float]:
    """Run a generator; return what it printed and its processor seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tickers.txt").write_text("\n".join(tickers))
        done = subprocess.run(
            command,
            env={**os.environ, "LOAD_KEY": key, "LOAD_TICKERS": f"{folder}/tickers.txt"},
            capture_output=True,
            text=True,
            check=False,
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if not done.stdout.strip():
        raise SystemExit(f"{command[0]} did not run: {done.stderr.strip()[-300:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout, cpu
