"""Measure ours beside the tools that people use today: same server, in turn.

    python -m benchmarks.run --out bench --companies 100 300 1000
    python -m benchmarks.report bench

Each measurement is appended to OUT/results.jsonl, and one that is there is not made again: cut
off, the same command goes on. Every tool runs as a process of its own; the sandbox is another,
with 50 ms of latency. Only ratios compare between machines.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from datetime import date
from pathlib import Path

from benchmarks import tools
from benchmarks.kinds import Bench, history, parity, update, week
from benchmarks.results import Results
from benchmarks.sizes import sizes
from benchmarks.spread import spread
from benchmarks.startup import startup

KINDS = {
    "startup": startup,
    "history": history,
    "update": update,
    "week": week,
    "parity": parity,
}
# Measured where they are named: of other sizes than the rest.
MORE_KINDS = {"sizes": sizes, "spread": spread}


def main() -> None:
    """Measure what is not there yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("bench"), help="results (./bench)")
    parser.add_argument("--work", type=Path, help="lakes and logs (a temporary folder)")
    parser.add_argument("--companies", type=int, nargs="+", default=[20])
    parser.add_argument("--kinds", nargs="+", choices=KINDS | MORE_KINDS, default=list(KINDS))
    parser.add_argument("--generations", nargs="+", choices=("v1", "v2"), default=["v2", "v1"])
    parser.add_argument(
        "--tools", nargs="+", choices=sorted({*tools.LOADERS, *tools.COMPARERS}), help="(all)"
    )
    parser.add_argument("--runs", type=int, default=3, help="of each, in turn (3)")
    parser.add_argument("--latency", type=float, default=0.05, help="seconds an answer (0.05)")
    parser.add_argument("--start", type=date.fromisoformat, default=date(2010, 1, 1))
    parser.add_argument("--limit-seconds", type=float, default=7200.0, help="a command (7200)")
    given = parser.parse_args()
    if given.work is not None:
        given.work.mkdir(parents=True, exist_ok=True)
    work = given.work or Path(tempfile.mkdtemp(prefix="bench-"))
    bench = Bench(
        Results(given.out),
        work.absolute(),
        runs=given.runs,
        generations=tuple(given.generations),
        names=frozenset(given.tools) if given.tools else None,
        latency=given.latency,
        start=given.start,
        limit_seconds=given.limit_seconds,
    )
    try:
        for companies in given.companies:
            for kind in given.kinds:
                (KINDS | MORE_KINDS)[kind](bench, companies)
    finally:
        if given.work is None:
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
