"""Business days: the federal calendar as published, and days in a row."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from polygon_fundamentals.business_days import (
    business_days_between,
    federal_holidays,
    is_business_day,
    previous_business_day,
    streak,
    today_in_new_york,
)


def test_the_holidays_of_2026() -> None:
    assert sorted(map(str, federal_holidays(2026))) == [
        "2026-01-01",
        "2026-01-19",
        "2026-02-16",
        "2026-05-25",
        "2026-06-19",
        "2026-07-03",
        "2026-09-07",
        "2026-10-12",
        "2026-11-11",
        "2026-11-26",
        "2026-12-25",
    ]


@pytest.mark.parametrize(
    ("day", "business"),
    [
        ("2021-12-31", False),  # New Year's Day of 2022, a Saturday
        ("2023-01-02", False),  # a Sunday's holiday
        ("2020-06-19", True),  # Juneteenth is one since 2021
        ("2026-07-04", False),
        ("2026-07-06", True),
        ("2026-12-24", True),
    ],
)
def test_single_days(day: str, business: bool) -> None:
    assert is_business_day(date.fromisoformat(day)) is business


def test_days_in_a_row_pass_over_weekends_and_holidays() -> None:
    good = {date(2026, 7, 1), date(2026, 7, 2), date(2026, 7, 6)}
    assert streak(good, date(2026, 7, 6)) == sorted(good)
    assert len(streak(good, date(2026, 7, 4))) == 2
    assert streak(good - {date(2026, 7, 2)}, date(2026, 7, 6)) == [date(2026, 7, 6)]
    assert streak(good, date(2026, 7, 8)) == []
    assert previous_business_day(date(2026, 7, 6)) == date(2026, 7, 2)
    assert business_days_between(date(2026, 7, 2), date(2026, 7, 7)) == 2


def test_a_day_in_new_york_is_not_yet_over_there() -> None:
    assert today_in_new_york(datetime(2026, 7, 2, 3, 59, tzinfo=UTC)) == date(2026, 7, 1)
