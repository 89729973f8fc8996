"""Ten thousand recorded pages, some cut short, imported twice and killed ten times.

The parts share one folder, so that each can be run in a process of its own.
"""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import time
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from polygon_fundamentals.lake import Lake
from polygon_fundamentals.load.historical import load_v1
from polygon_fundamentals.load.loader import Loader
from polygon_fundamentals.load.query import Filters
from polygon_fundamentals.statements import Statement, Timeframe
from sandbox import Sandbox
from tests.conftest import KEY, client_of
from tests.lakes import contents, fingerprint, stray_files
from tests.recordings import command, run_apart, write_singer

PAGES = 10_000
KILLS = 10
DAY = "2026-09-30"


def api() -> Sandbox:
    return Sandbox(companies=72, start=date(2009, 1, 1), api_key=KEY)


def page_files(records: list[dict[str, Any]]) -> dict[str, bytes]:
    """Return name → content of 10,000 pages of one record; the last holds all that are left."""
    cuts = [*range(PAGES), len(records)]
    pages = [records[a:b] for a, b in pairwise(cuts)]
    bodies = [{"status": "OK", "request_id": "1", "count": len(p), "results": p} for p in pages]
    return {
        f"{number:05d}.json.gz": gzip.compress(json.dumps(body).encode(), 1, mtime=0)
        for number, body in enumerate(bodies)
    }


def names_cut_short() -> list[str]:
    numbers = random.Random(19).sample(range(PAGES - 1), PAGES * 3 // 100)
    return [f"{number:05d}.json.gz" for number in numbers]


def load(root: Path) -> None:
    """Load what the recordings hold, as the lake to compare with."""
    loaded = Lake(root / "loaded")
    loaded.prepare()
    with api() as sandbox:
        loader = Loader(client_of(sandbox), loaded)
        for ticker in sandbox.tickers:
            load_v1(loader, ticker, list(Statement), Filters(timeframes=tuple(Timeframe)))


def kill(root: Path) -> None:
    """Write the recordings, some of them cut short, and kill ten imports of them."""
    folder = root / DAY
    folder.mkdir()
    files = page_files(api().rows("v1"))
    assert len(files) == PAGES
    for name, data in files.items():
        (folder / name).write_bytes(data)
    for name in names_cut_short():
        (folder / name).write_bytes(files[name][: len(files[name]) * 2 // 3])
    for number in range(KILLS):
        process = subprocess.Popen(
            command(root / "lake", folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(2.0 + number)
        assert process.poll() is None, "it ended before it could be killed"
        process.kill()
        process.wait()


def imported(lake: Path, recordings: Path, exit_code: int) -> dict[str, Any]:
    began = time.monotonic()
    code, report, stderr = run_apart(lake, recordings)
    print(f"{report['records']:,} records in {time.monotonic() - began:.0f} s", flush=True)
    assert (code, stderr) == (exit_code, "")
    return report


def import_cut(root: Path) -> None:
    """Import the recordings while some are cut short: each of those is named."""
    report = imported(root / "lake", root / DAY, 3)
    names = {str(root / DAY / name) for name in names_cut_short()}
    assert {problem["file"] for problem in report["failed"]} == names
    assert {problem["kind"] for problem in report["failed"]} == {"damaged"}
    assert report["records"] == len(api().rows("v1")) - len(names)


def import_whole(root: Path) -> None:
    """Import the whole recordings twice: the first makes the lake of a load, the second nothing."""
    records = api().rows("v1")
    files = page_files(records)
    for name in names_cut_short():
        (root / DAY / name).write_bytes(files[name])
    lake = Lake(root / "lake")
    assert imported(lake.root, root / DAY, 0)["records"] == len(records)
    assert contents(lake) == contents(Lake(root / "loaded"))
    assert stray_files(lake) == []
    before = fingerprint(lake.root)
    again = imported(lake.root, root / DAY, 0)
    assert (again["rows_new"], again["rows_changed"]) == (0, 0)
    assert fingerprint(lake.root) == before


def import_singer(root: Path) -> None:
    """Import the same records as Singer messages twice: the first makes the lake of a load."""
    write_singer(root / "singer", api().rows("v1"))
    lake = Lake(root / "from-singer")
    assert imported(lake.root, root / "singer", 0)["rows_new"] > 0
    assert contents(lake) == contents(Lake(root / "loaded"))
    before = fingerprint(lake.root)
    again = imported(lake.root, root / "singer", 0)
    assert (again["rows_new"], again["rows_changed"]) == (0, 0)
    assert fingerprint(lake.root) == before


PARTS = (load, kill, import_cut, import_whole, import_singer)


@pytest.mark.slow
def test_ten_thousand_pages_make_the_lake_of_a_load(tmp_path: Path) -> None:
    for part in PARTS:
        part(tmp_path)
