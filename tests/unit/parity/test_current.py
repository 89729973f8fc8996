"""Which record stands for a period where several could."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from polygon_fundamentals.periods.companies import company_keys, ticker_ciks
from polygon_fundamentals.periods.current import current_rows, period_keys
from polygon_fundamentals.statements import Generation, Statement
from tests.unit.parity.tables import Row, v1_table, v2_table

BS, IS = Statement.BALANCE_SHEETS, Statement.INCOME_STATEMENTS
EARLY, LATE = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)


def v2(end: str, year: int, quarter: int, filed: str, **more: object) -> Row:
    return {
        "period_end": end,
        "fiscal_year": year,
        "fiscal_quarter": quarter,
        "filing_date": filed,
    } | more


def v1(end: str, year: str, period: str, accepted: str | None, **more: object) -> Row:
    return {
        "end_date": end,
        "fiscal_year": year,
        "fiscal_period": period,
        "acceptance_datetime": accepted,
        "filing_date": None if accepted is None else accepted[:10],
    } | more


V2_CASES = {
    "a year end repeated as a first quarter": (
        [
            v2("2025-09-06", 2025, 3, "2025-10-09"),
            v2("2025-12-27", 2025, 4, "2026-02-03"),
            v2("2025-12-27", 2025, 1, "2026-04-20"),
            v2("2026-03-21", 2026, 1, "2026-04-20"),
        ],
        [0, 1, 3],
    ),
    "a year end repeated as the next year's first quarter": (
        [
            v2("2024-12-31", 2024, 4, "2025-02-03"),
            v2("2025-09-30", 2025, 3, "2025-10-09"),
            v2("2025-12-31", 2026, 1, "2026-04-20"),
            v2("2025-12-31", 2025, 4, "2026-02-03"),
        ],
        [0, 1, 3],
    ),
    "the year of a later filing": (
        [
            v2("2009-03-29", 2010, 1, "2010-05-01"),
            v2("2009-03-29", 2009, 1, "2009-05-01"),
            v2("2009-06-28", 2009, 2, "2010-08-01"),
        ],
        [1, 2],
    ),
    "the same label, the later filing": (
        [v2("2025-12-31", 2025, 4, "2026-02-03"), v2("2025-12-31", 2025, 4, "2026-05-01")],
        [1],
    ),
    "no neighbours: the later filing": (
        [v2("2025-12-31", 2026, 1, "2026-02-03"), v2("2025-12-31", 2025, 4, "2026-01-03")],
        [0],
    ),
    "a filing before none": (
        [v2("2025-12-31", 2025, 4, "2026-02-03"), v2("2025-12-31", 2025, 4, None)],  # type: ignore[arg-type]
        [0],
    ),
    "the same filing, the later look": (
        [
            v2("2025-12-31", 2025, 4, "2026-02-03", observed_at=LATE),
            v2("2025-12-31", 2025, 4, "2026-02-03", observed_at=EARLY),
        ],
        [0],
    ),
    "two share classes are one company": (
        [
            v2("2025-12-31", 2025, 4, "2026-02-03", ticker="GOOG"),
            v2("2025-12-31", 2025, 4, "2026-02-03", ticker="GOOGL"),
        ],
        [1],
    ),
    "two companies under one ticker": (
        [
            v2("2025-12-31", 2025, 4, "2026-02-03", cik="0000723125"),
            v2("2025-12-31", 2025, 4, "2026-05-03", cik="0000798287"),
        ],
        [0, 1],
    ),
    "a shifted fiscal year in 52 weeks": (
        [
            v2("2024-09-28", 2024, 4, "2024-11-01"),
            v2("2024-12-28", 2025, 1, "2025-01-31"),
            v2("2024-12-28", 2024, 4, "2026-01-31"),
            v2("2025-03-29", 2025, 2, "2025-05-01"),
        ],
        [0, 1, 3],
    ),
}


@pytest.mark.parametrize("case", V2_CASES)
def test_v2_current_record(case: str) -> None:
    rows, kept = V2_CASES[case]
    assert current_rows(v2_table(BS, rows), Generation.V2).tolist() == kept
    backwards = [len(rows) - 1 - k for k in reversed(kept)]
    picked = current_rows(v2_table(BS, rows[::-1]), Generation.V2).tolist()
    if case != "two share classes are one company":
        assert picked == backwards


V1_CASES = {
    "a 10-K and its amendment": (
        [
            v1("2024-12-31", "2024", "FY", "2025-02-01T16:00:00Z", timeframe="annual"),
            v1("2024-12-31", "2024", "FY", "2025-06-01T16:00:00Z", timeframe="annual"),
        ],
        [1],
    ),
    "the label that fits, though accepted earlier": (
        [
            v1("2024-12-31", "2024", "Q4", "2025-02-01T16:00:00Z"),
            v1("2024-12-31", "2025", "Q1", "2025-05-01T16:00:00Z"),
            v1("2024-09-30", "2024", "Q3", "2024-11-01T16:00:00Z"),
            v1("2025-03-31", "2025", "Q1", "2025-05-01T16:00:00Z"),
        ],
        [0, 2, 3],
    ),
    "a filed record before a derived one": (
        [
            v1("2024-12-31", "2024", "Q4", None),
            v1("2024-12-31", "2024", "Q4", "2025-02-01T16:00:00Z"),
        ],
        [1],
    ),
    "acceptance in EDGAR's spelling": (
        [
            v1("2024-12-31", "2024", "Q4", "2025-02-01T16:00:00Z"),
            v1("2024-12-31", "2024", "Q4", "2025-02-01T09:00:00Z"),
        ],
        [0],
    ),
    "labels that are no labels": (
        [v1("2024-12-31", "", "", None), v1("2024-12-31", "2024", "Q4", None)],
        [1],
    ),
}


@pytest.mark.parametrize("case", V1_CASES)
def test_v1_current_record(case: str) -> None:
    rows, kept = V1_CASES[case]
    assert current_rows(v1_table(IS, rows), Generation.V1).tolist() == kept
    backwards = [len(rows) - 1 - k for k in reversed(kept)]
    assert current_rows(v1_table(IS, rows[::-1]), Generation.V1).tolist() == backwards


def test_a_record_for_each_ticker() -> None:
    rows = [
        v2("2025-12-31", 2025, 4, "2026-02-03", ticker="GOOG"),
        v2("2025-12-31", 2025, 4, "2026-02-03", ticker="GOOGL"),
        v2("2025-12-31", 2025, 4, "2026-01-03", ticker="GOOGL"),
    ]
    table = v2_table(BS, rows)
    assert current_rows(table, Generation.V2, by_ticker=True).tolist() == [0, 1]


def test_no_records() -> None:
    assert current_rows(v2_table(BS, []), Generation.V2).tolist() == []


def test_a_record_without_cik_belongs_to_its_tickers_company() -> None:
    with_cik = v2_table(BS, [v2("2025-12-31", 2025, 4, "2026-02-03", cik="320193")])
    without = v1_table(IS, [v1("2025-12-31", "2025", "Q4", None, cik=None)])
    ciks = ticker_ciks([with_cik, without], {})
    assert company_keys(with_cik, ciks).tolist() == ["0000320193"]
    assert company_keys(without, ciks).tolist() == ["0000320193"]


@pytest.mark.parametrize(
    ("ciks", "company"),
    [([], "ticker:AAA"), (["1", "2"], "ticker:AAA"), (["1", "1"], "0000000001")],
)
def test_a_record_without_cik_whose_ticker_does_not_tell(ciks: list[str], company: str) -> None:
    known = v2_table(BS, [v2("2025-12-31", 2025, 4, "2026-02-03", cik=c) for c in ciks])
    without = v2_table(BS, [v2("2025-12-31", 2025, 4, "2026-02-03", cik=" ")])
    assert company_keys(without, ticker_ciks([known, without], {})).tolist() == [company]


def test_the_reference_speaks_for_tickers_that_no_record_tells_of() -> None:
    rows = v2_table(BS, [v2("2025-12-31", 2025, 4, "2026-02-03", cik=None)])
    assert company_keys(rows, ticker_ciks([rows], {"AAA": "77"})).tolist() == ["0000000077"]
    two = v2_table(BS, [v2("2025-12-31", 2025, 4, "2026-02-03", cik=c) for c in ("1", "2")])
    assert ticker_ciks([two], {"AAA": "77"}) == {}


def test_period_keys_are_in_v1s_spelling() -> None:
    table = v2_table(
        IS, [v2("2025-12-31", 2025, 4, "2026-02-03", timeframe="trailing_twelve_months")]
    )
    keys = period_keys(table, Generation.V2, {})
    assert keys["timeframe"].tolist() == ["ttm"]
    assert str(keys["period_end"][0].date()) == "2025-12-31"
