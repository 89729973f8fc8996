"""One statement of a period that v2 dates some days otherwise: CARR's balance of FY2021."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from polygon_fundamentals.lake import Lake
from polygon_fundamentals.silver.table import wide_table
from polygon_fundamentals.statements import Generation, Statement
from tests.unit.silver.feeding import put, v1_balance, v2_balance

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
