"""An import into a lake with a damaged file brings all that other files take."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.statements import Generation, Statement
from tests.builders.commands import call


def record(ticker: str, cik: int, quarter: int) -> dict[str, Any]:
    end = ("03-31", "06-30", "09-30")[quarter - 1]
    line = {"value": float(quarter), "unit": "USD", "label": "Line", "order": 100}
    return {
        "cik": f"{cik:010d}",
        "tickers": [ticker],
        "end_date": f"2023-{end}",
        "filing_date": "2023-11-05",
        "fiscal_year": "2023",
        "fiscal_period": f"Q{quarter}",
        "timeframe": "quarterly",
        "financials": {"income_statement": {"revenues": line}, "balance_sheet": {"assets": line}},
    }


def write(folder: Path, day: str, *records: dict[str, Any]) -> Path:
    path = folder / f"{day}.json"
    path.write_text(json.dumps({"status": "OK", "results": records}))
    return path


def income(lake: Lake) -> Path:
    return lake.dataset(Generation.V1, Statement.INCOME_STATEMENTS).file(202311, "AAA")


@pytest.fixture
def recordings(lake: Lake, tmp_path: Path) -> Path:
    """Three later recordings, for a lake of which one file of AAA is damaged."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    first = write(tmp_path, "2023-12-01", record("AAA", 1, 1), record("BBB", 2, 1))
    assert call("import-v1", str(first), "--lake", str(lake.root))[0] == 0
    file, before = income(lake), income(lake).stat()
    file.write_bytes(b"\0" * before.st_size)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # the disk's doing, not a tool's
    write(folder, "2024-01-01", record("AAA", 1, 2), record("BBB", 2, 2))
    write(folder, "2024-02-01", record("AAA", 1, 3))
    write(folder, "2024-03-01", record("BBB", 2, 3))
    return folder


def test_the_damage_is_a_problem_of_its_recordings_and_the_others_are_imported(
    lake: Lake, recordings: Path
) -> None:
    code, report = call("import-v1", str(recordings), "--lake", str(lake.root))
    assert code == 4  # as for every damaged lake
    assert (report["files"], report["records"]) == (3, 2)
    damaged = income(lake)
    listed = [
        (Path(p["file"]).name, p["kind"], str(damaged) in p["reason"]) for p in report["failed"]
    ]
    assert listed == [("2024-01-01.json", "lake", True), ("2024-02-01.json", "lake", True)]
    assert not any(damaged.read_bytes())
    # BBB has four rows more, and AAA's two balance sheets, whose file is well, are there too.
    assert report["rows_new"] == 6
    sheets = read_dataset(lake.dataset(Generation.V1, Statement.BALANCE_SHEETS))
    assert sorted(sheets["ticker"].to_pylist()) == ["AAA"] * 3 + ["BBB"] * 3
    [entry] = [
        json.loads(path.read_bytes())
        for path in (lake.ops / "runs").glob("*.json")
        if str(recordings) in path.read_text()
    ]
    assert (entry["ok"], entry["v1"]["records"]) == (False, 2)

    damaged.unlink()
    code, report = call("import-v1", str(recordings), "--lake", str(lake.root))
    index = lake.dataset(Generation.V1, Statement.INCOME_STATEMENTS).index_file("AAA")
    assert (code, report["records"]) == (4, 2)  # a row of it is in none of these recordings
    assert f"remove {index} first" in report["failed"][0]["reason"]
    index.unlink()
    code, report = call("import-v1", str(recordings), "--lake", str(lake.root))
    assert (code, report["records"], report["rows_new"]) == (0, 4, 2)
