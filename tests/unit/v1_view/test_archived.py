"""serve-v1 and export say of an archived v1 what they said before its cleanup."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polygon_fundamentals.cutover.verify import verify
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.archived_lines import read_lines, write_lines
from polygon_fundamentals.lake.archived_rows import lines_file, write_archived, write_repeats
from polygon_fundamentals.lake.commit import Incoming, Scope, commit
from polygon_fundamentals.lake.read import read_dataset, repeated_rows
from polygon_fundamentals.normalise import v1_tables
from polygon_fundamentals.statements import Generation, Statement
from polygon_fundamentals.v1_view import export, v1_records
from polygon_fundamentals.v1_view.packing import unpack
from polygon_fundamentals.v1_view.texts import texts_of
from polygon_fundamentals.v1_view.view import View
from tests.cutover_world import (
    OBSERVED,
    QUARTERS,
    fill,
    load_gone,
    load_later,
    run,
    v1_folder,
    v1_row,
)
from tests.unit.v1_view.shelves import shelves

# As the field map has it, another currency and label, a line without a value, an empty section.
LINES: dict[str, dict[str, Any]] = {
    "MAP": {
        "income_statement": {
            "revenues": {"value": 1.0, "unit": "USD", "label": "Revenues", "order": 100}
        }
    },
    "CAD": {
        "income_statement": {
            "revenues": {"value": 2.0, "unit": "CAD", "label": "Turnover", "order": 7},
            "net_income_loss": {"unit": "CAD", "label": "Net", "order": 3200},
        },
        "comprehensive_income": {},
    },
}


def oddities(lake: Lake) -> Lake:
    """Add companies with other lines, and an older tool's original beside its amendment."""
    for number, (ticker, financials) in enumerate(LINES.items(), 20):
        row = v1_row(f"{number:010d}", ticker, QUARTERS[0], 0.0) | {"financials": financials}
        table = v1_tables([row], OBSERVED)[Statement.INCOME_STATEMENTS]
        incoming = Incoming(table, {ticker: range(1)}, Scope.WINDOW, frozenset(), OBSERVED)
        commit(lake.dataset(Generation.V1, Statement.INCOME_STATEMENTS), incoming)
    for month, filed, value in (("05", "2024-05-01", 100.0), ("06", "2024-06-10", 110.0)):
        row = v1_row("0000000003", "OLD", ("2024-03-31", filed, 1), value)
        folder = lake.bronze / f"fundamentals/balance_sheets/year=2024/month={month}"
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist([row]), folder / "ticker=OLD.parquet")
    return lake


def served(lake: Lake, folder: Path, day: date | None, *, bare: bool) -> list[Any]:
    """Return the records on the shelves of a lake, with the texts that are read for them."""
    view = View(str(lake.root), day, only_v1=True)
    records = [r for shelf in shelves(view, folder, bare=bare) for r in shelf.records]
    texts = [(r.body,) for r in records]
    if bare:
        texts = [t or (None,) for t in texts_of(view.root, [(r.ties, r.rows) for r in records])]
    return sorted((json.loads(unpack(text[0] or b"")) for text in texts), key=json.dumps)


@pytest.mark.parametrize("bare", [pytest.param(False, marks=pytest.mark.slow), True])
def test_what_a_cleanup_keeps_is_served_as_before(lake: Lake, tmp_path: Path, bare: bool) -> None:
    oddities(lake)
    before = served(lake, tmp_path / "before", None, bare=bare)
    assert [r["tickers"] for r in before] == [["OLD"], ["OLD"], ["MAP"], ["CAD"]]
    for statement in Statement:
        dataset = lake.dataset(Generation.V1, statement)
        rows = read_dataset(dataset)
        write_repeats(dataset, repeated_rows(dataset, rows["ticker"].to_pylist()))
        write_lines(dataset)
        write_archived(dataset, rows)
    shutil.rmtree(lake.bronze / "fundamentals")
    assert served(lake, tmp_path / "after", None, bare=bare) == before


@pytest.mark.slow
def test_a_cleanup_changes_no_word_of_what_is_served_or_exported(
    lake: Lake, tmp_path: Path
) -> None:
    load_later(load_gone(fill(oddities(lake))))
    assert run(lake, "cutover", checks=())["exit_code"] == 0

    def said(name: str) -> dict[str, list[Any]]:
        shown: dict[str, list[Any]] = {
            f"served {day} {bare}": served(lake, tmp_path / f"{name}{day}{bare}", day, bare=bare)
            for day in (None, date(2026, 6, 15))
            for bare in (False, True)
        }
        shown |= {f"stored {s}": v1_records.stored(lake, s).to_pylist() for s in Statement}
        tickers = ["AAA", "GONE", "OLD", *LINES]
        shown["exported"] = export.records(lake, tickers, list(Statement))
        return {what: sorted(records, key=str) for what, records in shown.items()}

    before = said("before")
    for what in ("served None False", "served None True", "exported"):
        dates = [r["filing_date"] for r in before[what] if r["tickers"] == ["OLD"]]
        assert dates == ["2024-05-01", "2024-06-10"], what
        (cad,) = (r["financials"] for r in before[what] if r["tickers"] == ["CAD"])
        assert cad["income_statement"] == LINES["CAD"]["income_statement"]
    assert run(lake, "cleanup", checks=())["exit_code"] == 0
    assert not v1_folder(lake).exists()
    assert said("after") == before
    # Only the rows that the field map does not make again are kept whole.
    rows = read_lines(lake.dataset(Generation.V1, Statement.INCOME_STATEMENTS))
    assert rows is not None
    assert "MAP" not in rows["ticker"].to_pylist()
    assert verify(lake).problems == ()
    # What was read before the cleanup is no part of the lake.
    shutil.rmtree(lake.ops / "cache")
    assert said("anew") == before
    path = lines_file(lake.dataset(Generation.V1, Statement.INCOME_STATEMENTS))
    path.write_bytes(path.read_bytes()[:20])
    assert [p.file for p in verify(lake).problems] == [str(path.relative_to(lake.root))]
    assert run(lake, "restore", checks=())["exit_code"] == 0
    assert said("restored") == before
    assert list((lake.ops / "kept").iterdir()) == []
