"""One synthetic company: its calendar, its facts, and its share counts in every period."""

from __future__ import annotations

from datetime import date
from functools import cached_property
from typing import NamedTuple

from .calendar import Calendar, build_calendar, next_weekday
from .companies import Profile
from .facts import Facts, build_facts
from .rows import iso

#: Timeframes by v2's names; v1 calls the last one ttm.
QUARTERLY, ANNUAL, TTM = "quarterly", "annual", "trailing_twelve_months"


class PerShare(NamedTuple):
    """Per-share results and weighted share counts of one period, in the order of v1's lines."""

    eps_basic: float
    eps_diluted: float
    shares_basic: int
    shares_diluted: int


class Company:
    """A company's fixed truth; what each generation shows of it is decided elsewhere.

    `horizon` is the last day, as an ordinal, that the calendar must cover. Two companies
    that differ in the horizon alone agree on every period that both have. `born` is the day
    on which the sandbox began: what is planted for later is counted from it.
    """

    def __init__(self, profile: Profile, seed: int, start: date, horizon: int, born: int) -> None:
        self.profile = profile
        self._seed = seed
        self.start = start.toordinal()
        late = {}
        if "late_filer" in profile.roles:
            late = {(year, 2): 40 for year in range(start.year, start.year + 40, 3)}
        self.calendar: Calendar = build_calendar(
            first_year=start.year - 1,
            last_day=horizon,
            month=profile.fiscal_month,
            week_based=profile.week_based,
            lag_quarter=profile.lag_quarter,
            lag_annual=profile.lag_annual,
            late=late,
            seed=[seed, profile.index, 4],
        )
        self.splits: list[tuple[int, float]] = [(d.toordinal(), r) for d, r in profile.splits]
        self.gone: int | None = profile.delisted.toordinal() if profile.delisted else None
        #: Annual reports that were amended: index of the fourth quarter -> day of the 10-K/A.
        self.amended: dict[int, int] = {}
        if "amended" in profile.roles:
            self.amended = {
                i: next_weekday(self.calendar.filed[i] + 34)
                for i, year in enumerate(self.calendar.years)
                if self.calendar.quarters[i] == 4 and year % 4 == 3
            }
        #: Quarters that a report still to come restates as its comparative.
        self.restated: frozenset[int] = frozenset()
        if "restated_to_come" in profile.roles:
            coming = [i for i, day in enumerate(self.calendar.filed) if day > born]
            self.restated = frozenset(i - 4 for i in coming[:2])

    @cached_property
    def facts(self) -> Facts:
        """The numbers of every quarter of the calendar."""
        return build_facts(self.profile, len(self.calendar), self._seed)

    @cached_property
    def last(self) -> int:
        """Index after the last quarter that the company ever files."""
        if self.gone is None:
            return len(self.calendar)
        return sum(1 for day in self.calendar.filed if day <= self.gone)

    def events(self, after: int, until: int) -> bool:
        """Return whether a filing or a split falls in the days after `after`, up to `until`."""
        days = [*self.calendar.filed[: self.last], *self.amended.values()]
        days += [day for day, _ in self.splits]
        return any(after < day <= until for day in days)

    def revenue_shift(self, timeframe: str, index: int) -> int:
        """Return by how much a restatement moves revenue and its cost in a period."""
        year = slice(index // 4 * 4, index // 4 * 4 + 4)
        revenue = self.facts.quarterly["rev"]
        amount = int(revenue[index]) if timeframe == QUARTERLY else int(revenue[year].sum())
        unit = self.profile.unit
        return max(1, amount // 50 // unit) * unit

    def split_factor(self, until: int) -> float:
        """Return how many shares of `until` one share of the first day has become."""
        factor = 1.0
        for day, ratio in self.splits:
            if day <= until:
                factor *= ratio
        return factor

    @cached_property
    def ends_iso(self) -> list[str]:
        """The last day of every quarter, as text."""
        return [iso(day) for day in self.calendar.ends]

    @cached_property
    def filed_iso(self) -> list[str]:
        """The filing day of every quarter, as text."""
        return [iso(day) for day in self.calendar.filed]

    @cached_property
    def _quarters(self) -> tuple[list[int], list[int], list[int]]:
        """Basic shares, diluted shares and common income by quarter, as plain integers."""
        facts = self.facts
        common = facts.quarterly["common"]
        return facts.shares_basic.tolist(), facts.shares_diluted.tolist(), common.tolist()

    def _figures(self, quarters: range, parts: int, basis: int) -> PerShare:
        """Return the figures of some quarters; their share counts are summed, over `parts`."""
        factor, span = self.split_factor(basis), slice(quarters.start, quarters.stop)
        basic, diluted, common = (sum(values[span]) for values in self._quarters)
        basic, diluted = round(basic / parts * factor), round(diluted / parts * factor)
        return PerShare(round(common / basic, 2), round(common / diluted, 2), basic, diluted)

    def per_share(self, timeframe: str, index: int, basis: int) -> PerShare:
        """Return the period's share figures as of the splits up to the day `basis`."""
        length = 1 if timeframe == QUARTERLY else 4
        return self._figures(range(index + 1 - length, index + 1), length, basis)

    def per_share_derived(self, index: int, basis: int) -> PerShare:
        """Return v1's fourth quarter: the year's figures less those of the nine months.

        Averages cannot be subtracted, so the counts are nonsense, as v1's are.
        """
        year = self.per_share(ANNUAL, index, basis)
        months = self._figures(range(index - 3, index), 3, basis)
        return PerShare(
            round(year.eps_basic - months.eps_basic, 2),
            round(year.eps_diluted - months.eps_diluted, 2),
            year.shares_basic - months.shares_basic,
            year.shares_diluted - months.shares_diluted,
        )

    def per_share_summed(self, index: int, basis: int) -> PerShare:
        """Return v1's trailing year: share counts summed over the quarters, as v1 does."""
        summed = self._figures(range(index - 3, index + 1), 1, basis)
        return self.per_share(TTM, index, basis)._replace(
            shares_basic=summed.shares_basic, shares_diluted=summed.shares_diluted
        )
