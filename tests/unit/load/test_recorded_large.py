"""Ten thousand recorded pages, some cut short, imported twice and killed ten times."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import time
from datetime import date
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
from tests.recordings import command, pages, run, write_singer

PAGES = 10_000
KILLS = 10


@pytest.mark.slow
def test_ten_thousand_pages_make_the_lake_of_a_load(tmp_path: Path) -> None:
    folder, lake = tmp_path / "2026-09-30", tmp_path / "lake"
    folder.mkdir()
    loaded = Lake(tmp_path / "loaded")
    loaded.prepare()
    with Sandbox(companies=72, start=date(2009, 1, 1), api_key=KEY) as sandbox:
        loader = Loader(client_of(sandbox), loaded)
        for ticker in sandbox.tickers:
            load_v1(loader, ticker, list(Statement), Filters(timeframes=tuple(Timeframe)))
        records = sandbox.rows("v1")
        first = json.loads(pages(sandbox, 100)[0])
    bodies = [
        json.dumps({**first, "count": 1, "results": [record]}).encode() for record in records
    ][:PAGES]
    rest = records[PAGES:]
    assert len(bodies) == PAGES
    for number, body in enumerate(bodies):
        (folder / f"{number:05d}.json.gz").write_bytes(gzip.compress(body, 1))
    if rest:
        (folder / "rest.json").write_text(json.dumps(rest))
    cut = random.Random(19).sample(range(PAGES), PAGES * 3 // 100)
    whole = {}
    for number in cut:
        path = folder / f"{number:05d}.json.gz"
        whole[path] = path.read_bytes()
        path.write_bytes(whole[path][: len(whole[path]) * 2 // 3])

    def imported(exit_code: int) -> dict[str, Any]:
        began = time.monotonic()
        code, report, stderr = run(lake, folder)
        print(f"{report['records']:,} records in {time.monotonic() - began:.0f} s", flush=True)
        assert (code, stderr) == (exit_code, "")
        return report

    kills = 0
    pause = 2.0
    while kills < KILLS:
        process = subprocess.Popen(
            command(lake, folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(pause)
        assert process.poll() is None, "it ended before it could be killed"
        process.kill()
        process.wait()
        kills += 1
        pause += 1.0
    report = imported(3)
    assert {p["file"] for p in report["failed"]} == {str(path) for path in whole}
    assert {p["kind"] for p in report["failed"]} == {"damaged"}
    assert report["records"] == len(records) - len(cut)
    for path, data in whole.items():
        path.write_bytes(data)
    assert imported(0)["records"] == len(records)
    assert contents(Lake(lake)) == contents(loaded)
    assert stray_files(Lake(lake)) == []
    before = fingerprint(lake)
    again = imported(0)
    assert (again["rows_new"], again["rows_changed"]) == (0, 0)
    assert fingerprint(lake) == before
    write_singer(tmp_path / "singer", records)
    other = tmp_path / "other"
    for rows_new in (True, False):
        code, report, _ = run(other, tmp_path / "singer")
        assert (code, bool(report["rows_new"])) == (0, rows_new)
    assert contents(Lake(other)) == contents(loaded)
