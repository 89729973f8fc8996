"""Measure silver's history: the build, the as-of join, and the reading of one ticker.

    python -m benchmarks.silver_history LAKE
    python -m benchmarks.silver_history LAKE --before CHECKOUT --runs 2

LAKE is a lake as loads left it, and stays so: its `bronze` is read through a link, its `ops` is
copied, the builds go into a temporary folder. With `--before`, the code of another checkout builds
in turn with ours: the last one without a history, `645d545^`, built the wide table alone, and the
ratios are to that. Every build is a process of its own, and starts without silver; a first one of
each code is not counted, it may have to read what its `ops` lacks. CPU is user and system time,
memory the proportional set size at its peak.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import tools
from benchmarks.measure import Measured, measured
from polygon_fundamentals import silver
from polygon_fundamentals.lake import Lake

_BUILD = """
import sys
from pathlib import Path
from polygon_fundamentals import silver
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.statements import Generation
built = silver.build(Lake(Path(sys.argv[1])), Generation(sys.argv[2]))
print(built.rows, getattr(built, "history_rows", 0))
"""
_COLUMNS = ("is_revenue", "bs_total_assets", "net_margin")
_FIRST, _DAYS = np.datetime64("2010-01-01"), 5_800


def main(words: Sequence[str] | None = None) -> None:
    """Print one line a measurement."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lake", type=Path)
    parser.add_argument("--before", type=Path, help="a checkout without the history")
    parser.add_argument("--generations", nargs="+", choices=("v1", "v2"), default=["v2", "v1"])
    parser.add_argument("--runs", type=int, default=1, help="builds of each, in turn (1)")
    parser.add_argument("--rows", type=int, default=5_000_000, help="rows to join (5,000,000)")
    given = parser.parse_args(words)
    work = Path(tempfile.mkdtemp(prefix="silver-history-"))
    try:
        code = {"before": given.before, "ours": tools.ROOT}
        lakes = {name: _copy(given.lake, work / name) for name, root in code.items() if root}
        for generation in given.generations:
            _builds(lakes, code, generation, given.runs)
        join(Lake(lakes["ours"]), given.rows)
        one_ticker(Lake(lakes["ours"]))
    finally:
        shutil.rmtree(work)


def _copy(lake: Path, copy: Path) -> Path:
    copy.mkdir()
    (copy / "bronze").symlink_to((lake / "bronze").resolve())
    shutil.copytree(lake / "ops", copy / "ops", symlinks=True)
    return copy


def _builds(lakes: dict[str, Path], code: dict[str, Path], generation: str, runs: int) -> None:
    times: dict[str, list[float]] = {name: [] for name in lakes}
    peaks: dict[str, list[int]] = {name: [] for name in lakes}
    for run in range(runs + 1):
        for name, lake in lakes.items():
            result = _build(lake, generation, code[name])
            wide, history = map(int, result.printed.split())
            if not run:
                continue
            times[name].append(result.cpu)
            peaks[name].append(result.peak)
            print(
                f"build {generation}, {name}, run {run}: cpu {result.cpu:.1f} s, wall "
                f"{result.wall:.1f} s, {result.peak / 1e6:.0f} MB, {wide:,} rows of "
                f"the wide table, {history:,} of the history",
                flush=True,
            )
    if "before" in lakes:
        cpu, peak = (
            statistics.median(a / b for a, b in zip(result["ours"], result["before"], strict=True))
            for result in (times, peaks)
        )
        print(f"build {generation}, ours / before: cpu {cpu:.2f}, memory {peak:.2f}", flush=True)


def _build(lake: Path, generation: str, root: Path) -> Measured:
    shutil.rmtree(lake / "silver", ignore_errors=True)
    environment = {**os.environ, "PYTHONPATH": str(root / "src")}
    words = [sys.executable, "-c", _BUILD, str(lake), generation]
    result = measured(words, root, environment, lake.parent / "logs", 3600.0)
    if result.exit_code:
        raise SystemExit(f"the build failed: {result.errors}")
    return result


def join(lake: Lake, rows: int) -> None:
    """Print what `join_as_of` of random (ticker, date) rows takes."""
    names = sorted(set(silver.read_history(lake, columns=["ticker"])["ticker"].to_pylist()))
    chance = np.random.default_rng(1)
    days = (_FIRST + chance.integers(0, _DAYS, rows)).astype("datetime64[D]")
    tickers = pa.array(names).take(pa.array(chance.integers(0, len(names), rows)))
    frame = pa.table({"ticker": tickers, "date": pa.array(days)})
    wall, cpu = _took(lambda: silver.join_as_of(frame, lake, columns=_COLUMNS))
    print(f"join_as_of, Arrow, {rows:,} rows, {len(names):,} tickers: {wall:.2f} s, cpu {cpu:.2f}")
    pandas = frame.to_pandas()
    wall, cpu = _took(lambda: silver.join_as_of(pandas, lake, columns=_COLUMNS))
    print(f"join_as_of, pandas, {rows:,} rows: {wall:.2f} s, cpu {cpu:.2f}", flush=True)


def one_ticker(lake: Lake) -> None:
    """Print what the reading of one ticker takes, the median of 21 tickers."""
    names = sorted(set(silver.read_history(lake, columns=["ticker"])["ticker"].to_pylist()))
    some = names[:: max(1, len(names) // 21)][:21]
    folder = lake.silver / silver.HISTORY_TABLE
    readers: dict[str, Callable[[str], object]] = {
        "read_history": lambda name: silver.read_history(lake, [name]),
        "pyarrow": lambda name: pq.read_table(folder, filters=[("ticker", "==", name)]),
        "DuckDB": lambda name: duckdb.query(
            f"select * from '{folder}/*/*.parquet' where ticker = '{name}'"
        ).to_arrow_table(),
    }
    for reader, read in readers.items():
        took = [_took(partial(read, name)) for name in some]
        wall, cpu = (statistics.median(values) * 1000 for values in zip(*took, strict=True))
        print(f"one ticker, {reader}: {wall:.0f} ms, cpu {cpu:.0f}", flush=True)


def _took(work: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
