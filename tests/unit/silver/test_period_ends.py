"""One statement of a period that v2 dates some days otherwise: CARR's balance of FY2021."""

from __future__ import annotations

import tracemalloc
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

from polygon_fundamentals.lake import Lake
from polygon_fundamentals.silver.combine import combine
from polygon_fundamentals.silver.statement_rows import Side
from polygon_fundamentals.silver.table import history_table, wide_table
from polygon_fundamentals.silver.timeline import FOREVER
from polygon_fundamentals.statements import Generation, Statement
from tests.unit.silver.feeding import keep_dates, put, v1_balance, v2_balance

V1, V2 = Generation.V1, Generation.V2
BALANCE, FLOW, INCOME = Statement
MARCH = "2024-03-31"
AT = "2026-10-01T12:00"
COLUMNS = [
    "period_end", "generation", "is_revenue", "cf_net_cash_from_operating_activities",
    "bs_total_assets",
]  # fmt: skip


def v2_period(lake: Lake, income: str, flow: str, balance: str, **company: Any) -> None:
    """Put the quarter of ABC, or of another company, into v2, its statements dated so."""
    values: dict[Statement, tuple[str, dict[str, Any]]] = {
        INCOME: (income, {"revenue": 50.0, "total_assets": None}),
        FLOW: (flow, {"net_cash_from_operating_activities": 7.0, "total_assets": None}),
        BALANCE: (balance, {}),
    }
    for statement, (end, lines) in values.items():
        row = v2_balance("2024-05-10", 100.0, period_end=end, **lines, **company)
        put(lake, V2, row, AT, statement=statement)


def rows(lake: Lake, day: date | None = None) -> list[tuple[Any, ...]]:
    """The rows of silver from v2, as they were known on a day."""
    table = wide_table(lake, V2, day).select(COLUMNS).to_pylist()
    return [(str(row["period_end"]), *list(row.values())[1:]) for row in table]


@pytest.mark.parametrize("with_v1", [False, True])
def test_a_period_is_one_row(lake: Lake, with_v1: bool) -> None:
    dates = [
        (MARCH, MARCH, "2024-04-04"),
        (MARCH, MARCH, "2024-03-29"),
        (MARCH, "2024-03-29", "2024-03-29"),
        ("2024-03-29", MARCH, MARCH),
    ]
    for number, ends in enumerate(dates):
        company = {"cik": f"{number + 1:010d}", "tickers": [f"T{number}"]}
        v2_period(lake, *ends, **company)
        if with_v1:
            put(lake, V1, v1_balance(**company), AT)
    assert rows(lake) == [(income, "v2", 50.0, 7.0, 100.0) for income, _, _ in dates]


def test_v1_takes_the_date_of_v2_at_any_time(lake: Lake) -> None:
    put(lake, V1, v1_balance(), AT)
    put(lake, V2, v2_balance("2024-05-10", 100.0, period_end="2024-03-29"), AT)
    [row] = rows(lake)
    assert (row[0], row[1], row[4]) == ("2024-03-29", "v2", 100.0)


def test_of_two_records_the_one_of_the_income_statements_date_counts(lake: Lake) -> None:
    v2_period(lake, MARCH, MARCH, MARCH)
    put(lake, V2, v2_balance("2024-05-10", 7.0, period_end="2024-04-04"), AT)
    assert rows(lake) == [
        (MARCH, "v2", 50.0, 7.0, 100.0),
        ("2024-04-04", "v2", None, None, 7.0),
    ]


def test_a_statement_has_its_own_date_until_the_others_are_known(lake: Lake) -> None:
    put(lake, V2, v2_balance("2024-05-10", 100.0, period_end="2024-04-04"), AT)
    income = v2_balance("2024-06-03", 100.0, total_assets=None, revenue=50.0)
    put(lake, V2, income, AT, statement=INCOME)
    assert rows(lake, date(2024, 5, 31)) == [("2024-04-04", "v2", None, None, 100.0)]
    assert rows(lake, date(2024, 6, 3)) == [(MARCH, "v2", 50.0, None, 100.0)]


@pytest.mark.parametrize("end", [MARCH, "2024-03-30", "2024-04-04"])
def test_v1s_values_as_filed_stay_though_v1_dates_the_period_otherwise(
    lake: Lake, end: str
) -> None:
    """The index knows the first filing; v2 has next year's, which restates the values."""
    put(lake, V1, v1_balance(end_date=end), "2024-06-01T12:00")
    put(lake, V2, v2_balance("2025-05-09", 130.0), AT)
    keep_dates(lake, {MARCH: "2024-05-10"})
    columns = ["period_end", "known_from", "first_filing_date", "bs_total_assets"]
    rows = history_table(lake, V2).select(columns).sort_by("known_from").to_pylist()
    assert [tuple(map(str, row.values())) for row in rows] == [
        (end, "2024-05-10", "2024-05-10", "100.0"),
        (MARCH, "2025-05-09", "2024-05-10", "130.0"),
    ]


def test_a_period_is_first_filed_with_the_first_of_its_statements(lake: Lake) -> None:
    put(lake, V2, v2_balance("2024-05-10", 100.0, period_end="2024-04-04"), AT)
    income = v2_balance("2025-05-09", 0, total_assets=None, revenue=50.0)
    put(lake, V2, income, AT, statement=INCOME)
    [row] = wide_table(lake, V2).to_pylist()
    assert (str(row["period_end"]), str(row["first_filing_date"])) == (MARCH, "2024-05-10")


@pytest.mark.parametrize("end", ["2024-03-29", MARCH, "2024-04-05"])
def test_twelve_months_of_another_date_have_the_nearest_balance_sheet(lake: Lake, end: str) -> None:
    year = v2_balance("2024-05-01", 0, total_assets=None, revenue=9.0, period_end=end)
    year |= {"timeframe": "trailing_twelve_months", "consolidated_net_income_loss": 20.0}
    put(lake, V2, year, "2024-05-02T12:00", statement=INCOME)
    put(lake, V2, v2_balance("2024-05-10", 100.0), "2024-05-11T12:00")
    put(lake, V2, v2_balance("2024-06-10", 50.0), "2024-06-11T12:00")
    names = ["period_end", "known_from", "values_known_from", "bs_total_assets", "return_on_assets"]
    rows = [r for r in history_table(lake, V2).to_pylist() if r["timeframe"] == "ttm"]
    assert [tuple(str(row[name]) for name in names) for row in rows] == [
        (end, "2024-05-01", "2024-05-01", "None", "None"),
        (end, "2024-05-10", "2024-05-10", "100.0", "0.2"),
        (end, "2024-06-10", "2024-06-10", "50.0", "0.4"),
    ]


def test_a_company_whose_dates_all_differ_takes_little_memory() -> None:
    def sides(generation: Generation, days_off: int, lag: int) -> dict[Statement, Side]:
        ends = np.arange(60) * 91 + 15_000
        keys = pd.DataFrame({"end": ends + days_off + (1 << 20), "since": ends + lag})
        keys = keys.assign(ticker=0, company=0, timeframe=1, until=FOREVER)
        values = np.full((60, 1), 1.0)
        return {s: Side(generation, s, keys, values, values[:, 0]) for s in Statement}

    v1, v2 = sides(V1, -1, 40), sides(V2, 0, 400)
    tracemalloc.start()
    combined, _ = combine(V2, v1, v2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [len(side) for side in combined] == [60] * 6
    assert peak < 1_000_000
