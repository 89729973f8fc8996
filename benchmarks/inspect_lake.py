"""How long `inspect` takes on a lake of quantmini, cold.

    python -m benchmarks.inspect_lake --make 42 /tmp/lake     # once
    python -m benchmarks.inspect_lake /tmp/lake

Cold: a process of its own, no cache of ours, and the files' pages dropped from the page cache.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from datetime import date, datetime
from pathlib import Path

SINCE = date(2009, 1, 1)


def make(root: Path, companies: int) -> None:
    """Write a lake as quantmini does: all history, some tickers loaded twice."""
    from sandbox import Sandbox
    from tests.builders import quantmini

    market = Sandbox(companies=companies, seed=5, start=SINCE, today=date(2026, 6, 1))
    quantmini.write_lake(root, market, datetime(2026, 6, 1, 6))  # noqa: DTZ001 - its timestamps have no zone


def drop_pages(root: Path) -> None:
    """Have the files of a lake read from the disk again."""
    os.sync()
    for path in root.rglob("*.parquet"):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def main() -> None:
    """Measure, and print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lake", type=Path)
    parser.add_argument("--make", type=int, metavar="COMPANIES")
    given = parser.parse_args()
    if given.make:
        make(given.lake, given.make)
        return
    drop_pages(given.lake)
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "flows", "inspect", "--lake", str(given.lake), "--json"],
        stdout=subprocess.PIPE,
        check=False,
    )
    seconds = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    statements = json.loads(done.stdout)["found"]["statements"]
    print(
        f"{sum(s['files'] for s in statements):,} files, "
        f"{sum(s['bytes'] for s in statements) / 1e6:,.0f} MB: {seconds:.1f} s, "
        f"{used.ru_utime + used.ru_stime:.1f} s of CPU"
    )


if __name__ == "__main__":
    main()
