"""Fiscal labels and dates of v2 that are others than v1's."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from expectations.answer import TOLERANCES_FILE
from expectations.plugin.rules import ExpectFiscalLabelsToBeV1s
from polygon_fundamentals.parity.compare import compare_statement
from polygon_fundamentals.parity.labels import ALL, EVERYONE, NEWEST, fiscal_labels
from polygon_fundamentals.parity.tolerances import load_tolerances
from polygon_fundamentals.statements import Statement
from tests.unit.parity.tables import v1_table, v2_table

TOLERANCES = load_tolerances(TOLERANCES_FILE)
INCOME = Statement.INCOME_STATEMENTS
TTM = "trailing_twelve_months"
ENDS = ("03-31", "06-30", "09-30", "12-31")
QUARTERS = [(year, quarter) for year in (2023, 2024, 2025) for quarter in (1, 2, 3, 4)]
Label = tuple[int | None, int | None]


def broken(
    label: Callable[[int, int, int], Label],
    companies: int = 3,
    day_off: Collection[int] = (),
    *,
    twelve_months: bool = False,
) -> list[str]:
    """The sets of periods that break the rule where v2 labels quarters so.

    v2 dates those whose numbers are in `day_off` a day early. With `twelve_months` the records are
    of the twelve months to each quarter's end.
    """
    lengths = [{"timeframe": "ttm", "fiscal_period": "TTM"}, {"timeframe": TTM}]
    of_v1, of_v2 = lengths if twelve_months else ({}, {})
    v1, v2 = [], []
    for company in range(companies):
        who = {"ticker": f"T{company}", "tickers": [f"T{company}"], "cik": f"{company:010}"}
        for number, (year, quarter) in enumerate(QUARTERS):
            end, revenue = f"{year}-{ENDS[quarter - 1]}", 1e6 * (number + company + 1)
            labelled = {"fiscal_year": str(year), "fiscal_period": f"Q{quarter}"}
            v1.append(who | labelled | of_v1 | {"end_date": end, "revenues": revenue})
            fiscal_year, fiscal_quarter = label(year, quarter, number)
            labels = {"fiscal_year": fiscal_year, "fiscal_quarter": fiscal_quarter}
            early = str(date.fromisoformat(end) - timedelta(days=number in day_off))
            v2.append(who | labels | of_v2 | {"period_end": early, "revenue": revenue})
    tables = v1_table(INCOME, v1), v2_table(INCOME, v2)
    rows = fiscal_labels(compare_statement(*tables, INCOME, TOLERANCES, {}).seen)
    rule = ExpectFiscalLabelsToBeV1s(limit=TOLERANCES.rules.fiscal_labels.limit, at_most=0)
    return sorted(rows.loc[rule._broken(rows), "periods"])


def one_on(year: int, quarter: int) -> Label:
    return (year + 1, 1) if quarter == 4 else (year, quarter + 1)


@pytest.mark.parametrize(
    ("label", "sets"),
    [
        (lambda y, q, n: (y, q), []),
        # The first year of v2 has the years of later filings.
        (lambda y, q, n: (y + 1, q) if n < 4 else (y, q), []),
        # Two labels of the newest four, the newest of all not among them.
        (lambda y, q, n: one_on(y, q) if n in (8, 9) else (y, q), []),
        (lambda y, q, n: one_on(y, q) if n == 11 else (y, q), [EVERYONE]),
        (lambda y, q, n: one_on(y, q) if n >= 8 else (y, q), [NEWEST] * 3 + [EVERYONE]),
        (lambda y, q, n: (y + 1, q), [ALL] * 3 + [NEWEST] * 3 + [EVERYONE]),
        (lambda y, q, n: (y, None), [ALL] * 3 + [NEWEST] * 3 + [EVERYONE]),
    ],
)
def test_labels_that_are_not_v1s(label: Callable[[int, int, int], Label], sets: list[str]) -> None:
    assert broken(label) == sets


def test_dates_that_are_not_v1s() -> None:
    as_v1 = lambda y, q, n: (y, q)  # noqa: E731
    assert broken(as_v1, day_off=[3, 7, 8]) == []
    assert broken(as_v1, day_off=range(12)) == [ALL] * 3 + [NEWEST] * 3 + [EVERYONE]


def next_one(year: int, quarter: int, number: int) -> Label:
    return one_on(year, quarter)


def test_of_twelve_months_the_dates_alone_are_compared() -> None:
    assert broken(next_one, day_off=[3, 7, 8], twelve_months=True) == []
    every = broken(next_one, day_off=range(12), twelve_months=True)
    assert every == [ALL] * 3 + [NEWEST] * 3 + [EVERYONE]


def test_one_company_with_a_stray_label_is_no_market() -> None:
    assert broken(lambda y, q, n: one_on(y, q) if n == 11 else (y, q), companies=1) == []


def test_the_newest_label_that_differs_is_shown() -> None:
    years = np.array([2023, 2024, 2025])
    seen = pd.DataFrame(
        {
            "ticker": "ABC",
            "cik": "0000000001",
            "timeframe": "annual",
            "state": "present",
            "period_end": [pd.Timestamp(year, 12, 31) for year in years],
            "v2_period_end": [pd.Timestamp(year, 12, 31) for year in years],
            "v1_label": years * 12.0 + 12,
            "v2_label": years * 12.0 + 24,
        }
    )
    [first, *_] = fiscal_labels(seen).to_dict("records")
    assert (first["v1_label"], first["v2_label"]) == ("FY 2025", "FY 2026")
    assert first["period_end"] == pd.Timestamp(2025, 12, 31)
