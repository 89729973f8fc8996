"""Measure history loads beside the plain asyncio downloader: same server, in turn, medians.

    python benchmarks/run.py --companies 100 --generation v2 --runs 3

Every run is a process of its own, started cold on an empty folder; processor time and peak
memory are the operating system's accounting of it and its children. Only ratios compare
between machines.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
KEY = "benchmark-key"
SERVER = """
import sys, threading
from datetime import date
from pathlib import Path
from polygon_fundamentals.sandbox import Sandbox
companies, latency, today, file = sys.argv[1:]
sandbox = Sandbox(companies=int(companies), seed=7, latency=float(latency), api_key="{key}",
                  today=date.fromisoformat(today))
sandbox.start()
sandbox.warm()
Path(file).write_text("\\n".join(sandbox.tickers))
print(sandbox.url, flush=True)
threading.Event().wait()
"""


@dataclass(frozen=True)
class Measured:
    """One run: seconds, peak bytes of the largest process, files and bytes on disk."""

    wall: float
    cpu: float
    peak: int
    files: int
    size: int


def measured(words: Sequence[str], folder: Path, data: Path) -> Measured:
    """Run a command on an empty folder and measure it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    started = time.monotonic()
    process = subprocess.Popen(
        words,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "POLYGON_API_KEY": KEY, "PREFECT_HOME": str(folder.parent / "prefect")},
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"failed: {shlex.join(words)}")
    files = [path for path in data.rglob("*.parquet")]
    size = sum(path.stat().st_size for path in files)
    return Measured(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, len(files), size)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--companies", type=int, default=20)
    parser.add_argument("--generation", choices=("v1", "v2"), default="v2")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds an answer (0.05)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        tickers = work / "tickers.txt"
        server = subprocess.Popen(
            [
                sys.executable,
                "-c",
                SERVER.replace("{key}", KEY),
                str(given.companies),
                str(given.latency),
                date(2026, 7, 1).isoformat(),
                str(tickers),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            compare(given.generation, url, work, tickers, given.runs)
        finally:
            server.kill()
            server.wait()


def compare(generation: str, url: str, work: Path, tickers: Path, runs: int) -> None:
    """Run both in turn, `runs` times; print medians and the ratio pair by pair."""
    plain, ours = work / "plain", work / "ours"
    commands = {
        "plain asyncio": (
            [
                sys.executable,
                "benchmarks/plain_asyncio.py",
                generation,
                url,
                KEY,
                str(plain),
                str(tickers),
            ],
            plain,
            plain,
        ),
        "historical-load": (
            [
                sys.executable,
                "-m",
                "flows",
                "historical-load",
                "--generation",
                generation,
                "--timeframe",
                "quarterly",
                "--tickers-file",
                str(tickers),
                "--base-url",
                url,
                "--lake",
                str(ours),
            ],
            ours,
            ours / "bronze",
        ),
    }
    found: dict[str, list[Measured]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, (words, folder, data) in commands.items():
            found[name].append(measured(words, folder, data))
    print(f"{generation}, median of {runs}")
    print(f"{'':16} {'wall s':>8} {'cpu s':>8} {'peak MB':>8} {'files':>8} {'MB':>8}")
    for name, rows in found.items():
        wall, cpu, peak = (median(getattr(r, f) for r in rows) for f in ("wall", "cpu", "peak"))
        print(
            f"{name:16} {wall:8.1f} {cpu:8.1f} {peak / 1e6:8.0f} {rows[0].files:8,} "
            f"{rows[0].size / 1e6:8.1f}"
        )
    ratios = [b.wall / a.wall for a, b in zip(*found.values(), strict=True)]
    print(f"wall, ours over plain: {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
