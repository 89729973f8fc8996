"""From when v1's derived records count, which say what the vendor made of the filings it had."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygon_fundamentals import silver
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.statements import Generation, Statement
from polygon_fundamentals.v1_view.filings import v1_filings
from polygon_fundamentals.v1_view.lake_files import stamps_of
from tests.unit.silver.feeding import examples, load_v1

# The ends of quarters, by number; with every fourth a year ends.
ENDS = [date(y, m, d) for y in (2022, 2023, 2024) for m, d in ((3, 31), (6, 30), (9, 30), (12, 31))]
Q1, Q2, FY = 4, 5, 7


class Report(NamedTuple):
    """What a report said: revenue of a quarter, or of the year that ends then."""

    end: int
    filed: date
    revenue: float


def report(end: int, revenue: float, filed: str | None = None) -> Report:
    """Return a report, filed 45 days after its period's end unless said otherwise."""
    day = ENDS[end] + timedelta(days=45) if filed is None else date.fromisoformat(filed)
    return Report(end, day, revenue)


# Of two years and two quarters.
ORIGINALS = [report(end, 400.0 if end % 4 == 3 else 100.0) for end in range(10)]


def record(timeframe: str, end: int, filed: date | None, revenue: float) -> dict[str, Any]:
    """Return a record of v1 with one line."""
    label = {"annual": "FY", "ttm": "TTM"}.get(timeframe, f"Q{end % 4 + 1}")
    leaf = {"value": revenue, "unit": "USD", "label": "Revenues", "order": 100}
    row = {
        "cik": "0000000001",
        "tickers": ["ABC"],
        "company_name": "ABC",
        "timeframe": timeframe,
        "fiscal_period": label,
        "fiscal_year": str(ENDS[end].year),
        "end_date": ENDS[end].isoformat(),
        "financials": {"income_statement": {"revenues": leaf}},
    }
    if filed is None:
        return row
    return row | {"filing_date": str(filed), "acceptance_datetime": f"{filed}T16:30:00Z"}


def derived(reports: Sequence[Report]) -> dict[tuple[str, int], float]:
    """Return what v1 makes of some reports: the fourth quarters, and twelve months."""
    latest = {r.end: r.revenue for r in sorted(reports, key=lambda r: r.filed)}
    quarters = {end: revenue for end, revenue in latest.items() if end % 4 != 3}
    made: dict[tuple[str, int], float] = {}
    for end, year in latest.items():
        parts = [quarters.get(end - n) for n in (1, 2, 3)]
        if end % 4 == 3 and None not in parts:
            quarters[end] = made["quarterly", end] = year - sum(p for p in parts if p is not None)
    for end in latest:
        parts = [quarters.get(end - n) for n in range(4)]
        if None not in parts:
            made["ttm", end] = sum(p for p in parts if p is not None)
    return made


def answer(reports: Sequence[Report], day: date) -> list[dict[str, Any]]:
    """Return v1's answer on a day: each report, and what is derived from the latest."""
    there = [r for r in reports if r.filed <= day]
    rows = [
        record("annual" if r.end % 4 == 3 else "quarterly", r.end, r.filed, r.revenue)
        for r in there
    ]
    made = derived(there)
    return rows + [record(timeframe, end, None, value) for (timeframe, end), value in made.items()]


def known(lake: Lake, timeframe: str, end: int) -> list[tuple[str, float]]:
    """Return from when which revenue of a period counted."""
    rows = silver.history_table(lake, Generation.V1).to_pylist()
    # Growth has versions of its own.
    versions = {
        (str(row["values_known_from"]), row["is_revenue"]): None
        for row in rows
        if row["timeframe"] == timeframe and row["period_end"] == ENDS[end]
    }
    return list(versions)


AT_ONCE = "2026-01-10"
FOURTH, YEARS = ("quarterly", FY), ("ttm", FY)
# Reports beside the originals, days of loads, and from when which values of a record count.
CASES: dict[str, tuple[list[Report], list[str], tuple[str, int], list[tuple[str, float]]]] = {
    "no amendment": ([], [AT_ONCE], FOURTH, [("2024-02-14", 100.0)]),
    "the year is amended": (
        [report(FY, 380.0, "2024-06-20")],
        [AT_ONCE],
        FOURTH,
        [("2024-06-20", 80.0)],
    ),
    "the year is amended, and so are twelve months": (
        [report(FY, 380.0, "2024-06-20")],
        [AT_ONCE],
        YEARS,
        [("2024-06-20", 380.0)],
    ),
    "... of which it is a part": (
        [report(FY, 380.0, "2024-06-20")],
        [AT_ONCE],
        ("ttm", Q1 + 4),
        [("2024-06-20", 380.0)],
    ),
    "an amendment repeats the year": (
        [report(FY, 400.0, "2024-06-20")],
        [AT_ONCE],
        FOURTH,
        [("2024-02-14", 100.0)],
    ),
    "a quarter is amended after the year's report": (
        [report(Q1, 60.0, "2024-05-10")],
        [AT_ONCE],
        FOURTH,
        [("2024-05-10", 140.0)],
    ),
    "... which changes the fourth quarter within twelve months": (
        [report(Q1, 60.0, "2024-12-01")],
        [AT_ONCE],
        ("ttm", Q2 + 4),
        [("2024-12-01", 440.0)],
    ),
    "a quarter is amended, and again to what it was": (
        [report(Q1, 60.0, "2024-01-10"), report(Q1, 100.0, "2024-05-10")],
        [AT_ONCE],
        FOURTH,
        [("2024-05-10", 100.0)],
    ),
    "a quarter is amended before it": (
        [report(Q1, 60.0, "2023-12-10")],
        [AT_ONCE],
        FOURTH,
        [("2024-02-14", 140.0)],
    ),
    "the year before is amended": (
        [report(FY - 4, 380.0, "2024-06-20")],
        [AT_ONCE],
        FOURTH,
        [("2024-02-14", 100.0)],
    ),
    "the next year's quarter is amended": (
        [report(Q1 + 4, 60.0, "2024-06-20")],
        [AT_ONCE],
        FOURTH,
        [("2024-02-14", 100.0)],
    ),
    "both were observed": (
        [report(FY, 380.0, "2024-06-20")],
        ["2024-02-14", "2024-06-21"],
        FOURTH,
        [("2024-02-14", 100.0), ("2024-06-21", 80.0)],
    ),
    "the amendment came after it was observed": (
        [report(FY, 400.0, "2024-06-20"), report(Q2, 100.0, "2024-06-20")],
        ["2024-02-20", AT_ONCE],
        FOURTH,
        [("2024-02-14", 100.0)],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_derived_record_counts_from_the_last_of_its_parts(case: str, lake: Lake) -> None:
    more, loads, (timeframe, end), expected = CASES[case]
    for day in map(date.fromisoformat, loads):
        load_v1(lake, answer([*ORIGINALS, *more], day), day)
    assert known(lake, timeframe, end) == expected


def test_without_a_report_of_its_end_it_counts_from_the_day_on_which_it_was_seen(
    lake: Lake,
) -> None:
    rows = [r for r in answer(ORIGINALS, date(2026, 1, 10)) if r["timeframe"] != "annual"]
    load_v1(lake, rows, date(2026, 1, 10))
    assert known(lake, *FOURTH) == [("2026-01-10", 100.0)]


def test_a_part_that_changed_without_a_filing_counts_from_the_day_on_which_that_was_seen(
    lake: Lake,
) -> None:
    dated = [r for r in answer(ORIGINALS, date(2026, 1, 10)) if "filing_date" in r]
    load_v1(lake, dated, date(2024, 7, 1))
    corrected = [r if r.end != FY else r._replace(revenue=380.0) for r in ORIGINALS]
    rows = answer(corrected, date(2026, 1, 10))
    load_v1(lake, [r for r in rows if "filing_date" in r], date(2025, 3, 1))
    load_v1(lake, rows, date(2026, 1, 10))
    assert known(lake, *FOURTH) == [("2025-03-01", 80.0)]


@pytest.mark.parametrize("bare", [False, True])
def test_serve_v1_has_no_derived_record_before_its_parts(lake: Lake, bare: bool) -> None:
    today = date(2026, 1, 10)
    load_v1(lake, answer([*ORIGINALS, report(FY, 380.0, "2024-06-20")], today), today)
    parts = stamps_of(lake, ["ABC"])
    for day, timeframes in {
        "2024-06-19": ["annual"],
        "2024-06-20": ["annual", "annual", "quarterly", "ttm"],
    }.items():
        filings = v1_filings(lake, parts, date.fromisoformat(day), bare=bare)
        rows = filings[Statement.INCOME_STATEMENTS].to_pylist()
        of_the_end = [row["timeframe"] for row in rows if row["end_date"] == ENDS[FY]]
        assert sorted(of_the_end) == timeframes


amendments = st.lists(
    st.tuples(st.integers(0, 9), st.integers(1, 500), st.integers(1, 3)), max_size=4
)


@examples(12)
@given(amendments, st.lists(st.integers(-400, 500), min_size=1, max_size=3))
def test_no_derived_value_counts_before_the_vendor_could_have_sent_it(
    tmp_path_factory: pytest.TempPathFactory,
    amended: list[tuple[int, int, int]],
    days: list[int],
) -> None:
    lake = Lake(tmp_path_factory.mktemp("lake"))
    lake.prepare()
    reports = list(ORIGINALS)
    for end, later, shift in amended:
        original = ORIGINALS[end]
        day = original.filed + timedelta(days=later)
        reports.append(Report(end, day, original.revenue + 7.0**shift))
    for day in sorted(date(2024, 8, 1) + timedelta(days=days) for days in {*days, 700}):
        load_v1(lake, answer(reports, day), day)
    filed = sorted({r.filed for r in reports})
    sent = {day: derived([r for r in reports if r.filed <= day]) for day in filed}
    rows = silver.history_table(lake, Generation.V1).to_pylist()
    rows = [row for row in rows if row["knowledge"] == "derived"]
    assert rows
    for row in rows:
        period = row["timeframe"], ENDS.index(row["period_end"])
        by_then = [sent[day].get(period) for day in filed if day <= row["known_from"]]
        assert row["is_revenue"] in by_then, row
