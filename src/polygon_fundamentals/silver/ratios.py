"""Ratios and growth: few, each null where its denominator is missing, zero or negative.

The definitions of the ratios are those of the vendor's own ratios endpoint
(`/stocks/financials/v1/ratios`, OpenAPI description), without those that need a share price.
Margins and growth are the plain quotients that its fields allow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from polygon_fundamentals.silver.timeline import (
    PERIOD,
    TIMEFRAMES,
    Ints,
    day_in,
    expand,
    first_at,
    id_in,
    moments,
    pack,
    pairs,
    timeframe_in,
)
from polygon_fundamentals.statements import Timeframe

Floats = npt.NDArray[np.float64]

# How many days before a period the one a year before, or the quarter before, may end. A year of 53
# weeks, or a year end that moves by a week, stays within. Retailers have quarters of 12 to 17
# weeks; four months, as between two fiscal years, are 120 days at least.
_YEAR_BEFORE = (351, 379)
_QUARTER_BEFORE = (77, 119)


@dataclass(frozen=True)
class Rows:
    """The table's rows: `column` by name without ratios, `debt`, and the rows to compare with.

    `year_before` and `quarter_before` are positions, -1 for none. `generation` says whose each
    row's income statement is: a growth rate never spans two definitions.
    """

    columns: Mapping[str, Floats]
    debt: Floats
    quarterly: npt.NDArray[np.bool_]
    year_before: Ints
    quarter_before: Ints
    generation: npt.NDArray[Any]

    def __getitem__(self, name: str) -> Floats:
        return self.columns[name]


@dataclass(frozen=True)
class EarlierPeriods:
    """Which periods may be a year before another, and which the quarter before it.

    `codes` are the periods, `pack`ed and sorted. The links are two arrays: of a period's position
    and that of one about as long before as it must be, the nearest first.
    """

    codes: Ints
    year: tuple[Ints, Ints]
    quarter: tuple[Ints, Ints]

    @classmethod
    def of(cls, rows: pd.DataFrame) -> EarlierPeriods:
        """Return those of rows with the columns of `PERIOD`."""
        codes = np.unique(pack(rows, PERIOD))
        quarter = _ended_before(codes, *_QUARTER_BEFORE)
        ours = timeframe_in(codes[quarter[0]]) == TIMEFRAMES.index(Timeframe.QUARTERLY.v1)
        return cls(codes, _ended_before(codes, *_YEAR_BEFORE), (quarter[0][ours], quarter[1][ours]))

    def changes(self, rows: pd.DataFrame) -> tuple[Ints, Ints]:
        """Return rows, and the days on which a row of a period that its ratios use may change."""
        links, (period, before) = [self.year, self.quarter], self.quarter
        for _ in range(2):  # twelve months are four quarters
            i, j = pairs(self.quarter[0], before)
            period, before = period[i], self.quarter[1][j]
            links.append((period, before))
        period, before = (np.concatenate(ends) for ends in zip(*links, strict=True))
        mine = np.searchsorted(self.codes, pack(rows, PERIOD))
        i, j = pairs(mine, before)
        days = [rows[name].to_numpy()[j] for name in ("since", "until")]
        changes = np.unique(moments(np.tile(period[i], 2), np.concatenate(days)))
        i, j = pairs(id_in(changes), mine)
        return i, day_in(changes)[j]

    def positions(self, rows: pd.DataFrame) -> tuple[Ints, Ints]:
        """Return for each row those of the same quarter a year before and of the one before it.

        As they stood when the row began. A period counts as a year before if it ends 351 to 379
        days earlier and has the same fiscal quarter; as the quarter before, for quarterly rows, if
        it ends 77 to 119 days earlier and has the fiscal quarter before. A missing period, or a
        change of the fiscal year, leaves none: -1.
        """
        quarter = rows["fiscal_quarter"].to_numpy()
        return self._met(rows, self.year, quarter), self._met(
            rows, self.quarter, (quarter + 2) % 4 + 1
        )

    def _met(self, rows: pd.DataFrame, links: tuple[Ints, Ints], wanted: Floats) -> Ints:
        since, until = rows["since"].to_numpy(), rows["until"].to_numpy()
        mine = np.searchsorted(self.codes, pack(rows, PERIOD))
        i, j = pairs(links[0], mine)
        earlier = first_at(mine, since, until, links[1][j], since[i])
        fits = (earlier >= 0) & (rows["fiscal_quarter"].to_numpy()[earlier] == wanted[i])
        result = np.full(len(rows), -1, dtype=np.int64)
        result[i[fits][::-1]] = earlier[fits][::-1]
        return result


def _ended_before(codes: Ints, at_least: int, at_most: int) -> tuple[Ints, Ints]:
    # The period end is the lowest part of a code.
    low = np.searchsorted(codes, codes - at_most)
    high = np.searchsorted(codes, codes - at_least, "right")
    period, before = expand(low, high, np.arange(len(codes)))
    middle = codes - (at_least + at_most) // 2
    order = np.lexsort((before, np.abs(codes[before] - middle[period]), period))
    return period[order], before[order]


def _over(numerator: Floats, denominator: Floats) -> Floats:
    """Return the quotient where the denominator is above zero, else NaN."""
    result = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result


def _at(values: Floats, rows: Ints) -> Floats:
    return np.where(rows >= 0, values[rows], np.nan)


def _twelve_months(rows: Rows, name: str) -> Floats:
    """Return a year's sum: the row's own, or of its quarter and the three before it."""
    values = rows[name]
    total, place = values.copy(), np.arange(len(values))
    for _ in range(3):
        place = np.where(place >= 0, rows.quarter_before[place], -1)
        total = total + _at(values, place)
    return np.where(rows.quarterly, total, values)


def _growth(rows: Rows, name: str, before: Ints) -> Floats:
    """Return the change since an earlier period as a fraction; null after a loss or zero."""
    old = _at(rows[name], before)
    return _over(rows[name] - old, old)


def _revenue_growth(rows: Rows, before: Ints) -> Floats:
    """Return growth within one generation: each defines revenue otherwise for some companies."""
    same = (before >= 0) & (rows.generation == rows.generation[before])
    return _growth(rows, "is_revenue", np.where(same, before, -1))


_INCOME = "is_consolidated_net_income_loss"

# Each is null where its denominator is missing, zero or negative.
RATIOS: dict[str, Callable[[Rows], Floats]] = {
    "gross_margin": lambda rows: _over(rows["is_gross_profit"], rows["is_revenue"]),
    "operating_margin": lambda rows: _over(rows["is_operating_income"], rows["is_revenue"]),
    "net_margin": lambda rows: _over(rows[_INCOME], rows["is_revenue"]),
    "current_ratio": lambda rows: _over(
        rows["bs_total_current_assets"], rows["bs_total_current_liabilities"]
    ),
    # Current assets less inventories; a company without a line for inventories has none.
    "quick_ratio": lambda rows: _over(
        rows["bs_total_current_assets"] - np.nan_to_num(rows["bs_inventories"]),
        rows["bs_total_current_liabilities"],
    ),
    # Current debt plus long-term debt. A debt line sent as 0 is no debt; where neither was sent it
    # is null. v1 has no line of current debt: its long-term debt includes the current maturities.
    "debt_to_equity": lambda rows: _over(rows.debt, rows["bs_total_equity"]),
    # Over equity and assets at the end of the twelve months; null where a quarter is missing.
    "return_on_equity": lambda rows: _over(_twelve_months(rows, _INCOME), rows["bs_total_equity"]),
    "return_on_assets": lambda rows: _over(_twelve_months(rows, _INCOME), rows["bs_total_assets"]),
    # In dollars. Capital expenditure is negative in v2, so it is added; v1 has no such line.
    "free_cash_flow": lambda rows: (
        rows["cf_net_cash_from_operating_activities"]
        + rows["cf_purchase_of_property_plant_and_equipment"]
    ),
    # Against the same fiscal quarter (or year) a year before, and against the quarter before.
    "revenue_growth_yoy": lambda rows: _revenue_growth(rows, rows.year_before),
    "revenue_growth_qoq": lambda rows: _revenue_growth(rows, rows.quarter_before),
    "net_income_growth_yoy": lambda rows: _growth(rows, _INCOME, rows.year_before),
    "net_income_growth_qoq": lambda rows: _growth(rows, _INCOME, rows.quarter_before),
}
