"""The facts of one company as its filings gave them, by period, in the order of filing.

A period is a unit, a duration and an end. EDGAR's own `fy` and `fp` name the filing, not the
period, so they are not used.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import pyarrow as pa

INSTANT, QUARTER, HALF, NINE, YEAR = "instant", "quarter", "half", "nine", "year"
USD, SHARES, USD_PER_SHARE = "USD", "shares", "USD/shares"
# Days from first to last: quarters of 12 to 16 weeks, years of 52 and 53.
_DURATIONS = ((QUARTER, 70, 119), (HALF, 150, 209), (NINE, 240, 299), (YEAR, 330, 390))
# What the period before it, of the same year, is called: year to date less this is a quarter.
_SHORTER = {HALF: QUARTER, NINE: HALF, YEAR: NINE}
# Equal up to the last bits of a float64.
_SAME = 1e-9
# The units in which filers give whole figures, the coarsest first.
ROUNDING_UNITS = (1e6, 1e5, 1e3)
# A quarter by difference may be off by one unit of the filer, where that is so little of it.
_FAR_UNITS = 1_000.0


class Period(NamedTuple):
    """What a fact is about: a unit, a duration (`instant` for a balance) and a last day."""

    unit: str
    duration: str
    end: date


@dataclass(frozen=True, slots=True)
class Fact:
    """One figure of one filing; `slack` is how far a figure by difference may be off."""

    concept: str
    value: float
    accession: str
    form: str
    filed: date
    start: date | None = None
    derived: bool = False
    slack: float = 0.0

    def is_value(self, value: float) -> bool:
        """Return whether the fact is this value."""
        off = abs(self.value - value)
        return off <= max(self.slack, _SAME * max(1.0, abs(self.value), abs(value)))


def duration_of(start: date | None, end: date) -> str | None:
    """Return the name of a duration, None for one that no statement has."""
    if start is None:
        return INSTANT
    days = (end - start).days + 1
    return next((name for name, low, high in _DURATIONS if low <= days <= high), None)


def same(one: float, other: float) -> bool:
    """Return whether two figures are equal up to the last bits of a float64."""
    return abs(one - other) <= _SAME * max(1.0, abs(one), abs(other))


class CompanyFacts:
    """All facts of a company. `cik` is in ten digits; not safe to share between threads."""

    def __init__(self, cik: str, facts: Iterable[tuple[Period, Fact]]) -> None:
        self.cik = cik
        self._periods: dict[Period, dict[str, list[Fact]]] = defaultdict(lambda: defaultdict(list))
        self._own: dict[tuple[str, Period], list[Fact]] = defaultdict(list)
        self._days: set[date] = set()
        self._derived: dict[Period, dict[str, list[Fact]]] = {}
        self._ends: dict[str, list[date]] = defaultdict(list)
        for period, fact in sorted(facts, key=lambda one: (one[1].filed, one[1].accession)):
            self._periods[period][fact.concept].append(fact)
            self._own[fact.accession, period].append(fact)
            self._days.add(fact.filed)
        for period in self._periods:
            if period.unit == USD:
                self._ends[period.duration].append(period.end)

    @classmethod
    def of(cls, cik: str, table: pa.Table) -> CompanyFacts:
        """Return the facts in a table of `reference.edgar_facts.SCHEMA`."""
        columns = (table[name].to_pylist() for name in (
            "concept", "unit", "start", "end", "value", "accession", "form", "filed"
        ))  # fmt: skip
        facts = []
        for concept, unit, start, end, value, accession, form, filed in zip(*columns, strict=True):
            duration = duration_of(start, end)
            if duration is not None:
                fact = Fact(concept, value, accession, form, filed, start)
                facts.append((Period(unit, duration, end), fact))
        return cls(cik, facts)

    def has_filing(self, day: date | None) -> bool:
        """Return whether a filing of that day is among the facts."""
        return day in self._days

    def periods(self) -> Sequence[Period]:
        """Return the periods that any fact is about, in no order."""
        return list(self._periods)

    def filed(self, period: Period) -> Mapping[str, Sequence[Fact]]:
        """Return each concept's facts of a period that were filed as such, the earliest first."""
        return self._periods.get(period, {})

    def history(self, period: Period) -> Mapping[str, Sequence[Fact]]:
        """Return each concept's facts of a period, the earliest filing first.

        Quarters of money that nobody filed are made by difference; a figure that was filed comes
        before one that was made.
        """
        filed = self.filed(period)
        if period.duration != QUARTER or period.unit != USD:
            return filed
        return {**self._by_difference(period), **filed}

    def own(self, accession: str, period: Period) -> Sequence[Fact]:
        """Return what one filing says of a period, by difference where it has no quarter."""
        filed = self._own.get((accession, period), [])
        if period.duration != QUARTER or period.unit != USD:
            return filed
        concepts = {fact.concept for fact in filed}
        made = self._by_difference(period).values()
        return [
            *filed,
            *(f for facts in made for f in facts
              if f.accession == accession and f.concept not in concepts),
        ]  # fmt: skip

    def first_of_year(self, end: date) -> str | None:
        """Return the accession of the first filing with a year that ends then."""
        facts = [f for h in self._periods.get(Period(USD, YEAR, end), {}).values() for f in h]
        return min(facts, key=lambda f: (f.filed, f.accession)).accession if facts else None

    def _by_difference(self, period: Period) -> dict[str, list[Fact]]:
        """Return quarters of money as year to date less the year to date a quarter before."""
        if period not in self._derived:
            made: dict[str, list[Fact]] = {}
            for longer in _SHORTER:
                for concept, facts in self._periods.get(
                    period._replace(duration=longer), {}
                ).items():
                    before = self._shorter(concept, longer, facts[0].start, period.end)
                    if before:
                        made[concept] = _differences(facts, before)
            self._derived[period] = made
        return self._derived[period]

    def _shorter(self, concept: str, longer: str, start: date | None, end: date) -> Sequence[Fact]:
        """Return the facts of the year to date that ended a quarter before `end`."""
        low, high = _DURATIONS[0][1:]
        return [
            fact
            for other in self._ends[_SHORTER[longer]]
            if low <= (end - other).days <= high
            for fact in self.filed(Period(USD, _SHORTER[longer], other)).get(concept, ())
            if fact.start == start
        ]


def _differences(longer: Sequence[Fact], shorter: Sequence[Fact]) -> list[Fact]:
    """Return the quarter as it was known after each filing of either, where that changed it.

    Of a day's filings none comes first, so a day on which one of both has two values gives none.
    """
    made: list[Fact] = []
    for day in sorted({f.filed for f in (*longer, *shorter)}):
        year, before = _current_fact(longer, day), _current_fact(shorter, day)
        if year is None or before is None:
            continue
        value = year.value - before.value
        latest = max(year, before, key=lambda f: f.filed)
        if made and made[-1].is_value(value) and latest is not year:
            continue
        unit = next(
            (u for u in ROUNDING_UNITS if year.value % u == 0 and before.value % u == 0), 0.0
        )
        made.append(
            Fact(
                year.concept, value, latest.accession, latest.form, latest.filed,
                derived=True, slack=unit if abs(value) >= _FAR_UNITS * unit else 0.0,
            )
        )  # fmt: skip
    return made


def _current_fact(facts: Sequence[Fact], day: date) -> Fact | None:
    """Return the fact that stood at the end of a day, None where a day's filings disagree."""
    known = [f for f in facts if f.filed <= day]
    if not known:
        return None
    last = [f for f in known if f.filed == known[-1].filed]
    return last[0] if all(same(f.value, last[0].value) for f in last) else None
