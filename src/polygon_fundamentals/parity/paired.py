"""The periods that both generations hold, with the values of each side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from polygon_fundamentals.field_map import FieldEntry, Relation, primary_pairs, v1_sources
from polygon_fundamentals.periods.standing import column_of, standing_values
from polygon_fundamentals.statements import Statement

# A sum of up to seven lines, each rounded to the dollar.
DOLLARS = 2.0
# A company does something as a rule if it does it in three periods at least.
HABIT = 3

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Paired:
    """Periods of one statement, row by row the same in `periods` and in every array.

    `periods`: company, ticker, tickers, timeframe, period_end, v1_filing_date, v2_filing_date,
    fourth_quarter (v1 labels it Q4). `v1` is keyed by section and name (`balance_sheet.assets`),
    `v2` by name; NaN is no value. `company` numbers the companies; `slack` is how far a sum of
    the period's lines may be off, more than a dollar or two where v2 has rounded them.
    """

    statement: Statement
    periods: pd.DataFrame
    company: Positions
    v1: Mapping[str, Floats]
    v2: Mapping[str, Floats]
    slack: Floats

    def __len__(self) -> int:
        return len(self.periods)

    def is_timeframe(self, timeframe: str) -> Flags:
        """Return which periods are of the timeframe, in v1's spelling."""
        return (self.periods["timeframe"] == timeframe).to_numpy(dtype=bool)

    @property
    def is_derived_quarter(self) -> Flags:
        """Which are fourth quarters that nobody filed: v1 derived them and has no filing date."""
        fourth = self.periods["fourth_quarter"].to_numpy(dtype=bool)
        unfiled = self.periods["v1_filing_date"].isna().to_numpy(dtype=bool)
        return fourth & unfiled & self.is_timeframe("quarterly")


@dataclass(frozen=True)
class Pair:
    """The values of one v2 field beside those of the v1 line that stands for it.

    `expected` is v1's value in v2's sign; `source` the position in `entries` of the line that it
    came from.
    """

    entries: tuple[FieldEntry, ...]
    expected: Floats
    actual: Floats
    source: npt.NDArray[np.int8]

    @property
    def entry(self) -> FieldEntry:
        """The first v1 source: relation and unit are the same for all."""
        return self.entries[0]

    @property
    def v2_field(self) -> str:
        """The name of the v2 field."""
        assert self.entry.v2 is not None  # pairs have both sides
        return self.entry.v2

    @property
    def sign(self) -> float:
        """What turns a v1 value into v2's sign."""
        return -1.0 if self.entry.relation is Relation.SIGN_FLIPPED else 1.0

    @property
    def difference(self) -> Floats:
        """v2's value less v1's in v2's sign."""
        return self.actual - self.expected


def pairs_of(paired: Paired) -> list[Pair]:
    """Return one pair for each v2 field that has a v1 line, in the map's order."""
    result = []
    for primary in primary_pairs(paired.statement):
        assert primary.v2 is not None  # pairs have both sides
        entries = v1_sources(paired.statement, primary.v2)
        expected, source = standing_values(entries, [paired.v1[column_of(e)] for e in entries])
        result.append(Pair(entries, expected, paired.v2[primary.v2], source.astype(np.int8)))
    return result


def or_zero(values: Floats) -> Floats:
    """Return the values with zero for none: for sums in which an absent line adds nothing."""
    return np.nan_to_num(values, nan=0.0, posinf=np.inf, neginf=-np.inf)


def count_by_company(paired: Paired, flags: Flags) -> Positions:
    """Return for each period the number of flagged periods that its company has."""
    totals = np.bincount(paired.company, weights=flags, minlength=1)
    return totals[paired.company].astype(np.int64)


def is_habit(paired: Paired, usual: Flags, other: Flags, times: int = 1) -> Flags:
    """Return which periods are of a company that has the usual case as a rule.

    That is in three periods at least, and at least `times` as often as the other case.
    """
    usual_count = count_by_company(paired, usual)
    return (usual_count >= HABIT) & (usual_count >= times * count_by_company(paired, other))


def differs_from_habit(paired: Paired, same: Flags, differs: Flags) -> Flags:
    """Return which differences are of companies that as a rule draw the line where v1 draws it.

    `same` are the periods in which both draw it alike although another definition would show.
    What lasts from some day on is no definition either, as long as it has not lasted for most of
    the company's periods: a vendor's error lasts too. Twelve-month periods repeat their quarters
    and do not count.
    """
    counted = ~paired.is_timeframe("ttm")
    apart = differs & ~same
    return apart & is_habit(paired, same & counted, apart & counted)
