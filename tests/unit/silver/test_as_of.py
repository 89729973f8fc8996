"""What was known when: the table of a past day, from the versions that the lake keeps."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from polygon_fundamentals import silver
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.commit import Scope
from polygon_fundamentals.silver import versions
from polygon_fundamentals.statements import Generation, Statement
from sandbox import Sandbox
from tests.unit.silver.feeding import (
    COMPANIES,
    answers,
    company,
    keep_dates,
    noon,
    put,
    store,
    v2_balance,
)


@pytest.mark.slow
def test_as_of_equals_the_table_of_that_very_day(tmp_path: Path) -> None:
    """Three years, day by day, with restatements; twenty days, both generations."""
    start = date(2021, 7, 1)
    sandbox = Sandbox(companies=46, start=date(2018, 1, 1), today=start, v1_retired=False)
    lake = Lake(tmp_path)
    lake.prepare()
    days = sorted(random.Random(5).sample(range(3 * 365), 20))
    ciks = [ciks[0] for ciks in COMPANIES.values()]
    before: dict[tuple[str, str], bytes] = {}
    built: dict[tuple[date, Generation], pa.Table] = {}
    for number in range(days[-1] + 1):
        if number:
            sandbox.advance(1)
        if number in (200, 500, 800):
            sandbox.plant(
                "restated",
                generation="v2",
                cik=company(24),
                statement="income_statements",
                period_end=None,
            )
        answered = answers(sandbox, ciks, list(Generation))
        changed = {key: body for key, body in answered.items() if before.get(key) != body}
        store(lake, changed, COMPANIES, noon(sandbox.today))
        before = answered
        if number in days:
            for generation in Generation:
                built[sandbox.today, generation] = silver.wide_table(lake, generation)
    restated = 0
    for (day, generation), table in built.items():
        again = silver.as_of(lake, day, generation)
        assert again.equals(table), (day, generation)
        restated += not again.equals(silver.wide_table(lake, generation))
    assert restated >= 36
    events = {
        event
        for statement in Statement
        for event in versions.superseded(lake.dataset(Generation.V2, statement))[
            "event"
        ].to_pylist()
    }
    assert "superseded" in events


V2 = Generation.V2
TTM = {"timeframe": "trailing_twelve_months", "total_assets": None, "revenue": 50.0}
INCOME = Statement.INCOME_STATEMENTS


def test_twelve_months_are_known_no_sooner_than_the_balance_they_borrow(lake: Lake) -> None:
    put(lake, V2, v2_balance("2024-05-01", 0, **TTM), "2024-05-02T12:00", statement=INCOME)
    put(lake, V2, v2_balance("2024-05-01", 100.0, timeframe="annual"), "2024-05-02T12:00")
    put(lake, V2, v2_balance("2024-05-01", 100.0), "2024-05-02T12:00")
    for at, assets, known in (
        ("2024-06-01T12:00", 100.0, date(2024, 5, 1)),
        ("2026-02-02T12:00", 777.0, date(2026, 2, 2)),
    ):
        put(lake, V2, v2_balance("2024-05-01", assets), at)
        row = silver.wide_table(lake, V2).to_pylist()[2]
        assert (row["timeframe"], row["is_revenue"], row["bs_total_assets"]) == ("ttm", 50, assets)
        assert row["values_known_from"] == known
    assert row["loaded_at"] == datetime(2026, 2, 2, 12, tzinfo=UTC)


def test_a_strict_reader_of_a_past_day_gets_nothing_of_unproven_values(lake: Lake) -> None:
    """Neither a borrowed balance nor a growth rate on a later version of another period."""
    before = {"period_end": "2023-03-31", "fiscal_year": 2023}
    revenue = {"total_assets": None, "revenue": 60.0}
    for row, statement in (
        (v2_balance("2024-05-01", 0, **TTM), INCOME),
        (v2_balance("2025-05-01", 777.0), Statement.BALANCE_SHEETS),
        (v2_balance("2024-05-01", 0, **before, **(revenue | {"revenue": 50.0})), INCOME),
        (v2_balance("2024-05-01", 0, **revenue, timeframe="annual"), INCOME),
        (
            v2_balance(
                "2025-05-01", 0, **before, **(revenue | {"revenue": 40.0}), timeframe="annual"
            ),
            INCOME,
        ),
        (v2_balance("2024-05-01", 0, **revenue), INCOME),
    ):
        put(lake, V2, row, "2025-05-02T12:00", statement=statement)
    keep_dates(lake, {"2023-03-31": "2023-05-01", "2024-03-31": "2024-05-01"})
    answered = {
        (row["timeframe"], row["period_end"].year): (
            row["values_known_from"].isoformat(),
            row["bs_total_assets"],
            row["revenue_growth_yoy"],
        )
        for row in silver.as_of(lake, date(2024, 6, 1), V2).to_pylist()
    }
    assert answered == {
        ("quarterly", 2023): ("2024-05-01", None, None),
        ("annual", 2023): ("2025-05-01", None, None),
        ("quarterly", 2024): ("2025-05-01", 777.0, pytest.approx(0.2)),
        ("annual", 2024): ("2024-05-01", None, None),
        ("ttm", 2024): ("2025-05-01", 777.0, None),
    }


def test_a_withdrawn_record_does_not_return_as_an_unproven_one(lake: Lake) -> None:
    put(lake, V2, v2_balance("2024-05-01", 100.0), "2024-05-02T12:00")
    other = v2_balance("2024-08-01", 5.0, period_end="2024-06-30")
    put(lake, V2, other, "2025-01-10T12:00", Scope.COMPANIES)
    keep_dates(lake, {"2024-03-31": "2024-05-01"})
    for day, ends in (("2025-01-09", ["2024-03-31", "2024-06-30"]), ("2025-01-10", ["2024-06-30"])):
        table = silver.as_of(lake, date.fromisoformat(day), V2)
        assert [str(end) for end in table["period_end"].to_pylist()] == ends


def test_no_period_before_its_first_filing(lake: Lake) -> None:
    sandbox = Sandbox(companies=1, start=date(2023, 1, 1), today=date(2024, 6, 30), quirks=False)
    answered = answers(sandbox, [company(0)], list(Generation))
    store(lake, answered, {"AAA": [company(0)]}, noon(date(2026, 1, 1)))
    history = silver.history_table(lake, V2)
    firsts = silver.known_on(history, None)["first_filing_date"].to_pylist()
    for day in (date(2023, 4, 1), date(2023, 9, 1), date(2024, 3, 31), date(2024, 7, 1)):
        table = silver.known_on(history, day)
        assert all(first <= day for first in table["first_filing_date"].to_pylist())
        # v1's record says what a period said then; v2's row, filed a year later, does not.
        late = pc.greater(table["filing_date"], pa.scalar(day))
        assert not pc.any(late).as_py()
        assert table.num_rows == sum(first <= day for first in firsts)
    assert table.num_rows > 0
    assert silver.as_of(lake, date(2023, 1, 31), V2).num_rows == 0
