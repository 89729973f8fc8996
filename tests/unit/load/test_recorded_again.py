"""Recordings of what this project itself wrote: they change nothing of what v1 said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from polygon_fundamentals.lake import Lake, revisions
from polygon_fundamentals.load.recorded import import_v1
from polygon_fundamentals.normalise.exact import parse_exact
from polygon_fundamentals.statements import Generation, Statement
from polygon_fundamentals.v1_view.export import records
from polygon_fundamentals.v1_view.packing import unpack
from polygon_fundamentals.v1_view.view import View
from tests.lakes import contents, fingerprint
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


def odd_records() -> list[dict[str, Any]]:
    """Records of which columns of our types cannot hold all: each must come back as it was."""
    big = {"value": 12345678901234567891, "unit": "USD", "label": "Assets", "order": 100}
    sections: dict[str, Any] = {
        "balance_sheet": {
            "assets": big,
            "equity": None,
            "goodwill_of_2024": {"value": 3},
            "liabilities": {"value": 7, "unit": "USD", "xpath": "//l"},
        },
        "income_statement": {},
        "segments": {"cloud": 1},
    }
    quarter = {"timeframe": None, "fiscal_period": "Q4", "filing_date": None, "id": None}
    return [
        v1_balance(financials=sections, end_date="2024-03-31", sector={"name": "IT", "n": [1.5]}),
        v1_balance(end_date="2023-12-31", acceptance_datetime=None, **quarter),
        v1_balance(end_date="2023-09-30", cik="0000000002", tickers=[]),
        v1_balance(end_date="2023-06-30", cik=None, tickers=["DEF"]),
        v1_balance(end_date="2023-03-31", sic=["1"], company_name=7),
        v1_balance(end_date="2022-12-31", filing_date="in May"),
        v1_balance(end_date="2022-09-30", financials={}),
    ]


def revised(lake: Lake) -> list[Any]:
    """Return the assets in the revisions of ABC's balance sheets, exactly."""
    rows = revisions.read(lake.dataset(Generation.V1, Statement.BALANCE_SHEETS), "ABC").to_pylist()
    return [parse_exact(r["unmapped"])["financials.balance_sheet.assets.value"] for r in rows]


@pytest.mark.parametrize("form", ["as it is", "through pandas"])
def test_files_of_a_lake_of_this_project_are_taken_as_they_are(tmp_path: Path, form: str) -> None:
    page = tmp_path / "page_2025-03-01.json"
    page.write_text(json.dumps({"results": odd_records()}))
    later = tmp_path / "page_2025-04-01.json"
    later.write_text(json.dumps({"results": [v1_balance(company_name="ABC Inc.")]}))
    one, two = Lake(tmp_path / "one"), Lake(tmp_path / "two")
    assert import_v1(one, [page, later]).problems == []
    files = sorted((one.bronze / "fundamentals").rglob("*.parquet"))
    files += sorted((one.ops / "revisions").rglob("*.parquet"))
    if form == "through pandas":
        for path in files:
            pd.read_parquet(path, partitioning=None).to_parquet(path)
    assert import_v1(two, files).problems == []
    if form == "as it is":
        assert contents(two) == contents(one)
        assert revised(two) == revised(one) == ["12345678901234567891"]
    report = import_v1(two, [page, later])
    assert report.records == len(odd_records()) + 1
    assert (report.counts.rows_new, report.counts.rows_changed) == (0, 0)
