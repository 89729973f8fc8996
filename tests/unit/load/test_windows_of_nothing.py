"""Answers without a row: which are accepted, and which cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import pytest

from polygon_fundamentals.business_days import today_in_new_york
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.load.loader import Loader
from polygon_fundamentals.load.query import Filters
from polygon_fundamentals.load.window_v1 import update_v1
from polygon_fundamentals.load.window_v2 import Window, update_v2
from polygon_fundamentals.reports import WindowReport
from polygon_fundamentals.statements import V1_PATH, Statement, Timeframe
from tests.conftest import client_of
from tests.servers import Answer, Asked, results, serving

BOTH = [Timeframe.QUARTERLY, Timeframe.ANNUAL]
LAST = date(2026, 11, 27)


def of(companies: int) -> Mapping[str, list[str]]:
    """Return so many tickers, each with its CIK."""
    return {f"T{n}": [f"{n:010}"] for n in range(companies)}


def update(lake: Lake, generation: str, days: int, follow: Mapping[str, list[str]]) -> WindowReport:
    """Return the report of an update of the market, of which nothing was filed in some days."""
    window = Window(LAST - timedelta(days=days - 1), LAST)
    with serving(lambda _: results([])) as server:
        loader = Loader(client_of(server), lake)  # type: ignore[arg-type]
        if generation == "v1":
            return update_v1(loader, list(Statement), window, BOTH, follow)
        return update_v2(loader, Statement.CASH_FLOW, window, BOTH, follow, by_name=False)


@pytest.mark.parametrize("generation", ["v1", "v2"])
@pytest.mark.parametrize(
    ("companies", "days", "ok"),
    [
        (500, 14, False),
        (500, 13, True),
        (100, 70, False),
        (100, 69, True),
        (1, 300, True),
        (8000, 13, True),
    ],
)
def test_two_weeks_of_a_market_without_a_filing_are_an_empty_answer(
    lake: Lake, generation: str, companies: int, days: int, ok: bool
) -> None:
    report = update(lake, generation, days, of(companies))
    assert report.ok is ok
    assert ok or report.exit_code == 3
    if ok and generation == "v2":
        assert report.statements_without_rows == ("cash_flow",)


def test_a_row_of_somebody_else_shows_that_the_endpoint_is_fed(lake: Lake) -> None:
    row = {"cik": "0000009999", "tickers": ["ZZ"], "filing_date": "2026-11-20"}
    row |= {"period_end": "2026-09-30", "timeframe": "quarterly"}
    old = {"end_date": "2026-09-30", "fiscal_period": "Q3", "fiscal_year": "2026", "financials": {}}

    def answer(asked: Asked) -> Answer:
        return results([row | old if asked.path == V1_PATH else row])

    window = Window(LAST - timedelta(days=20), LAST)
    with serving(answer) as server:
        loader = Loader(client_of(server), lake)  # type: ignore[arg-type]
        v2 = update_v2(loader, Statement.CASH_FLOW, window, BOTH, of(500), by_name=False)
        v1 = update_v1(loader, list(Statement), window, BOTH, of(500))
    assert (v1.failed, v2.failed, v2.statements_without_rows) == ((), (), ())


def test_named_companies_may_have_filed_nothing(lake: Lake) -> None:
    window = Window(LAST - timedelta(days=60), LAST)
    with serving(lambda _: results([])) as server:
        loader = Loader(client_of(server), lake)  # type: ignore[arg-type]
        report = update_v2(loader, Statement.CASH_FLOW, window, BOTH, of(500), by_name=True)
    assert (report.ok, report.statements_without_rows) == (True, ("cash_flow",))


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(), True),
        (Filters(filing_date_gte="2010-01-01"), True),
        (Filters(filing_date_gte=str(today_in_new_york() - timedelta(days=400))), False),
        (Filters(filing_date_gte="2010-01-01", filing_date_lt="2011-01-01"), False),
        (Filters(fiscal_year=2024), False),
        (Filters(fiscal_quarter=1), False),
        (Filters(period_end="2024-03-31"), False),
    ],
)
def test_what_is_asked_for_spans_years(filters: Filters, expected: bool) -> None:
    assert filters.spans_years is expected
