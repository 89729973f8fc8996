"""Recordings of what this project itself wrote: they change nothing of what v1 said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from polygon_fundamentals.lake import Lake
from polygon_fundamentals.load.recorded import import_v1
from polygon_fundamentals.statements import Generation, Statement
from polygon_fundamentals.v1_view.export import records
from polygon_fundamentals.v1_view.packing import unpack
from polygon_fundamentals.v1_view.view import View
from tests.lakes import fingerprint
from tests.recordings import run
from tests.unit.silver.feeding import put, v1_balance, v2_balance
from tests.unit.v1_view.shelves import shelves


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """v1's first quarter, as a recording had it, and v2's first and second."""
    lake = Lake(tmp_path / "lake")
    page = tmp_path / "page_2024-05-20.json"
    page.write_text(json.dumps({"results": [v1_balance()]}))
    assert import_v1(lake, [page]).records == 1
    later = {"period_end": "2024-06-30", "fiscal_quarter": 2}
    for row in (v2_balance("2024-05-10", 100.0), v2_balance("2024-08-09", 110.0, **later)):
        put(lake, Generation.V2, row, "2024-08-10T12:00")
    return lake


def served(lake: Lake, tmp_path: Path) -> list[dict[str, Any]]:
    """Return the records that `serve-v1` answers with."""
    listed = shelves(View(str(lake.root)), tmp_path / "shelves", bare=False)
    return [json.loads(unpack(r.body)) for shelf in listed for r in shelf.records if r.body]


@pytest.mark.parametrize("tool", ["serve-v1", "export --continue-v1", "export"])
def test_v2s_records_in_v1s_form_are_not_taken_for_v1s(
    lake: Lake, tmp_path: Path, tool: str
) -> None:
    if tool == "serve-v1":
        rows = served(lake, tmp_path)
    else:
        rows = records(lake, ["ABC"], list(Statement), continue_v1="continue" in tool)
    ours = [row for row in rows if row["generation"] != "v1"]
    assert len(ours) in (1, 2)
    page = tmp_path / "page_2026-11-20.json"
    page.write_text(json.dumps({"status": "OK", "results": rows}))
    before = fingerprint(lake.bronze)
    code, report, _ = run(lake.root, page)
    assert code == (0 if len(ours) < len(rows) else 3)  # 3: there is nothing of v1 in it
    assert {p["kind"] for p in report["failed"]} == {"skipped"}
    assert (len(report["failed"]), report["rows_unchanged"]) == (len(ours), report["records"])
    assert fingerprint(lake.bronze) == before
