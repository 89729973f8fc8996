"""The tables of a comparison: of the same types with rows and without."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from expectations.answer import TOLERANCES_FILE
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.parity.findings import NAMES
from polygon_fundamentals.parity.plan import Question
from polygon_fundamentals.parity.report import for_spreadsheets, write_report
from polygon_fundamentals.parity.tolerances import load_tolerances
from polygon_fundamentals.statements import Statement
from tests.filled import comparison, filled

QUESTION = Question(load_tolerances(TOLERANCES_FILE), (), {}, date(2026, 10, 1))


def test_a_report_of_statements_with_rows_and_without(tmp_path: Path) -> None:
    full = filled(tmp_path / "full", companies=2, seed=3, quirks=False, start=date(2024, 1, 1))
    bare = Lake(tmp_path / "bare")
    bare.prepare()
    founds = {s: comparison(full, s, QUESTION).findings for s in Statement}
    empty = comparison(bare, Statement.BALANCE_SHEETS, QUESTION).findings
    assert empty.table("tickers").num_rows == 0
    for name in NAMES:
        told = founds[Statement.BALANCE_SHEETS].table(name)
        assert told.num_rows > 0 or name in ("missing_periods", "extra_periods")
        assert empty.table(name).schema == told.schema, name

    cash, income = founds[Statement.CASH_FLOW], founds[Statement.INCOME_STATEMENTS]
    paths = write_report(tmp_path / "report", [empty, cash, income])
    values = pq.read_table(paths["values"], partitioning=None)
    rows = [found.table("values").num_rows for found in (cash, income)]
    assert values.num_rows == sum(rows) > 0
    assert paths["tickers"].read_text().count("income_statements") == 2
    assert not [path for path in paths["values"].parent.iterdir() if path.suffix == ".tmp"]


def test_a_spreadsheet_calculates_nothing_of_a_report() -> None:
    table = pa.table({"company": ["=1+cmd|x", "Plain", None, "-2", "@sum"], "v1": [-1.0] * 5})
    written = for_spreadsheets(table)
    assert written["company"].to_pylist() == ["'=1+cmd|x", "Plain", None, "'-2", "'@sum"]
    assert written["v1"].equals(table["v1"])
