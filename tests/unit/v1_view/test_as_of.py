"""`serve-v1 --as-of` serves no value before the day from which it could be known."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from polygon_fundamentals import silver
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.commit import Incoming, Scope, commit
from polygon_fundamentals.normalise import v2_table
from polygon_fundamentals.reference import original_dates
from polygon_fundamentals.statements import Generation, Statement
from polygon_fundamentals.v1_view.filings import v1_filings
from polygon_fundamentals.v1_view.lake_files import stamps_of
from tests.cutover_world import OBSERVED, v2_row
from tests.unit.silver.feeding import load_v1, v1_balance
from tests.v1_server import serving_v1

CIK = "0000000001"
FIRST, AGAIN = "2023-05-02", "2024-05-02"


@pytest.fixture
def dated(lake: Lake) -> Lake:
    """Q1 2023, first filed in 2023; all but its balance sheet are known from 2024's filing only."""
    for statement in Statement:
        filed = FIRST if statement is Statement.BALANCE_SHEETS else AGAIN
        row = v2_row(CIK, "AAA", ("2023-03-31", filed, 1), 999.0, statement)
        table = v2_table([row | {"fiscal_year": 2023}], statement, OBSERVED)
        incoming = Incoming(table, {"AAA": range(1)}, Scope.WINDOW, frozenset(), OBSERVED)
        commit(lake.dataset(Generation.V2, statement), incoming)
    date_first_filing(lake, date(2023, 3, 31))
    return lake


def date_first_filing(lake: Lake, end: date) -> None:
    """Have SEC's list say that a period was first filed in 2023."""
    first = {"cik": CIK, "period_end": end, "first_filing_date": date.fromisoformat(FIRST)}
    row = first | {"source": original_dates.EXACT, "form_type": "10-Q"}
    schema = original_dates._WITHOUT_MOMENT
    original_dates._keep(lake, pa.Table.from_pylist([row], schema=schema))


def served(lake: Lake, day: str) -> list[dict[str, Any]]:
    with serving_v1(Path(lake.root), "--as-of", day) as server:
        server.wait_until_complete()
        return server.everything(limit=100)


@pytest.mark.slow
def test_a_value_is_served_from_the_day_on_which_it_was_known(dated: Lake) -> None:
    day = date(2023, 6, 30)
    # Silver has the period on that day with values that it says became known later.
    (row,) = silver.wide_table(dated, Generation.V2, day).to_pylist()
    assert row["values_known_from"] == date.fromisoformat(AGAIN) > day
    (record,) = served(dated, day.isoformat())
    assert record["filing_date"] == FIRST
    assert record["financials"] == {
        "balance_sheet": {"assets": {"value": 999, "unit": "USD", "label": "Assets", "order": 100}}
    }


@pytest.mark.slow
def test_a_period_gains_its_statements_when_they_are_known(dated: Lake) -> None:
    (record,) = served(dated, AGAIN)
    assert record["filing_date"] == FIRST
    assert sorted(record["financials"]) == ["balance_sheet", "cash_flow_statement"]


@pytest.mark.slow
def test_a_period_of_which_only_the_filing_was_known_is_not_served(lake: Lake) -> None:
    for statement in Statement:
        rows = [
            v2_row(CIK, "AAA", ("2022-12-31", "2023-02-02", 4), 500.0, statement),
            v2_row(CIK, "AAA", ("2023-03-31", AGAIN, 1), 999.0, statement),
        ]
        table = v2_table(rows, statement, OBSERVED)
        incoming = Incoming(table, {"AAA": range(2)}, Scope.WINDOW, frozenset(), OBSERVED)
        commit(lake.dataset(Generation.V2, statement), incoming)
    date_first_filing(lake, date(2023, 3, 31))
    assert [r["end_date"] for r in served(lake, "2023-06-30")] == ["2022-12-31"]


def test_a_strict_table_has_no_value_before_it_was_known(dated: Lake) -> None:
    plain = silver.history_table(dated, Generation.V2)
    strict = silver.history_table(dated, Generation.V2, strict=True)
    for table, some in ((plain, True), (strict, False)):
        early = [r for r in table.to_pylist() if r["values_known_from"] > r["known_from"]]
        assert bool(early) is some
    assert silver.known_on(plain, None).equals(silver.known_on(strict, None))


@pytest.mark.parametrize("bare", [False, True])
def test_an_original_and_its_amendment_that_came_in_one_answer(lake: Lake, bare: bool) -> None:
    amendment = {"filing_date": "2024-06-20", "acceptance_datetime": "2024-06-20T16:30:00Z"}
    load_v1(lake, [v1_balance(), v1_balance(**amendment)], date(2026, 1, 10))
    parts = stamps_of(lake, ["ABC"])
    filed = {
        day: v1_filings(lake, parts, date.fromisoformat(day), bare=bare)[Statement.BALANCE_SHEETS]
        for day in ("2024-05-09", "2024-05-10", "2024-06-20")
    }
    dates = {
        day: [str(d) for d in table["filing_date"].to_pylist()] for day, table in filed.items()
    }
    assert dates == {
        "2024-05-09": [],
        "2024-05-10": ["2024-05-10"],
        "2024-06-20": ["2024-05-10", "2024-06-20"],
    }
