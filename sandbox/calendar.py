"""Fiscal calendars and filing days: when a period ends and when it is filed."""

from __future__ import annotations

import calendar as _months
from dataclasses import dataclass
from datetime import date

import numpy as np

SATURDAY = 5


def quarter_end(year: int, quarter: int, month: int, week_based: bool) -> date:
    """Return the last day of a fiscal quarter.

    `year` is the calendar year of the month in which the fiscal year ends. A week-based
    calendar (52 or 53 weeks) ends on the Saturday nearest to the month's end.
    """
    index = year * 12 + (month - 1) - 3 * (4 - quarter)
    y, m = divmod(index, 12)
    last = date(y, m + 1, _months.monthrange(y, m + 1)[1])
    if not week_based:
        return last
    ahead = (SATURDAY - last.weekday()) % 7
    return date.fromordinal(last.toordinal() + (ahead if ahead <= 3 else ahead - 7))


def next_weekday(ordinal: int) -> int:
    """Return the day itself, or the Monday after it."""
    weekday = (ordinal + 6) % 7
    return ordinal + (7 - weekday if weekday >= SATURDAY else 0)


@dataclass(frozen=True)
class Calendar:
    """Quarters of a company from a fiscal year's first one on, in parallel lists.

    Days are ordinals. `filed` of a fourth quarter is the day of the annual report.
    """

    years: list[int]
    quarters: list[int]
    ends: list[int]
    starts: list[int]
    filed: list[int]
    accepted: list[str]

    def __len__(self) -> int:
        return len(self.ends)


def build_calendar(
    *,
    first_year: int,
    last_day: int,
    month: int,
    week_based: bool,
    lag_quarter: int,
    lag_annual: int,
    late: dict[tuple[int, int], int],
    seed: list[int],
) -> Calendar:
    """Build the quarters from `first_year` until one is filed after `last_day` (ordinals).

    `late` adds days to the filing of a (year, quarter). A longer calendar begins with the
    same quarters as a shorter one.
    """
    years: list[int] = []
    quarters: list[int] = []
    ends: list[int] = []
    year = first_year
    while not ends or ends[-1] <= last_day:
        for quarter in (1, 2, 3, 4):
            years.append(year)
            quarters.append(quarter)
            ends.append(quarter_end(year, quarter, month, week_based).toordinal())
        year += 1
    draws = np.random.default_rng(seed).random((len(ends), 2))
    before = quarter_end(first_year - 1, 4, month, week_based).toordinal()
    starts = [day + 1 for day in [before, *ends[:-1]]]
    filed: list[int] = []
    accepted: list[str] = []
    for i, end in enumerate(ends):
        lag = lag_annual if quarters[i] == 4 else lag_quarter
        day = end + lag + int(draws[i, 0] * 7) - 3 + late.get((years[i], quarters[i]), 0)
        filed.append(next_weekday(day))
        minute, second = divmod(int(draws[i, 1] * 3600), 60)
        accepted.append(f"T{16 + minute // 60}:{minute % 60:02d}:{second:02d}Z")
    return Calendar(years, quarters, ends, starts, filed, accepted)
