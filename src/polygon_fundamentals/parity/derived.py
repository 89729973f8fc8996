"""What a figure that nobody filed is calculated from, and the fourth quarters among them.

Each generation takes the year less its three quarters.

Where the year and the three quarters are here, each figure must be what its own leave over, or
neither: what was filed for nine months need not be the sum of its quarters, but then v2's is not
much further off than v1's. Where v2 lacks one of them, and for what cannot be subtracted, the
figure must be of the size of the quarters before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from polygon_fundamentals.field_map import Unit
from polygon_fundamentals.parity.paired import Flags, Floats, Pair, Paired, Positions
from polygon_fundamentals.parity.rounding import UNITS
from polygon_fundamentals.statements import Statement

_MONEY = 2.0
_YEAR_DAYS = 310
_YEAR_END_DAYS = 10
# v2's fourth quarter may be further off what its year leaves over than v1's, but not by far.
_TIMES_AS_FAR_OFF = 2.0
# Of the size of another figure: at most half or twice as much.
_SIZE = 2.0
# v2 calculates share counts as four times the year's average less three quarters, and earnings per
# share from its own income and count; preferred dividends may come between.
_COUNT_SLACK = 0.01
_EARNINGS_SLACK = 0.1
_CENT = 0.005
_COMMON_INCOME = "net_income_loss_attributable_common_shareholders"


@dataclass(frozen=True)
class Derivations:
    """Which quarters are derived, and the rows of what quarters and twelve months are made of.

    `parts` has four columns: of a quarter its year, then the three quarters before it; of twelve
    months their four quarters, the last one first. -1 where this part of a period is not here, and
    for years.
    """

    is_derived: Flags
    parts: Positions


def derivations(paired: Paired) -> Derivations:
    """Return the derived quarters and the parts of a flow statement; a balance sheet has none."""
    rows = len(paired)
    parts = np.full((rows, 4), -1, dtype=np.int64)
    if paired.statement is Statement.BALANCE_SHEETS:
        return Derivations(np.zeros(rows, dtype=bool), parts)
    keys = pd.DataFrame(
        {
            "company": paired.company,
            "end": paired.periods["period_end"].to_numpy(dtype="datetime64[s]"),
            "row": np.arange(rows),
        }
    )
    quarters = keys[paired.is_timeframe("quarterly")].sort_values(["company", "end"])
    years = keys[paired.is_timeframe("annual")].sort_values("end")
    by_company = quarters.groupby("company")
    for back in (1, 2, 3):
        in_year = (quarters["end"] - by_company["end"].shift(back)).dt.days <= _YEAR_DAYS
        quarters[f"row_{back}"] = by_company["row"].shift(back).where(in_year)
    with_year = pd.merge_asof(
        quarters.sort_values("end"),
        years.rename(columns={"row": "row_0"}),
        on="end",
        by="company",
        direction="nearest",
        tolerance=pd.Timedelta(days=_YEAR_END_DAYS),
    )
    columns = ["row_0", "row_1", "row_2", "row_3"]
    parts[with_year["row"].to_numpy()] = with_year[columns].fillna(-1).to_numpy(dtype=np.int64)
    twelve_months = keys[paired.is_timeframe("ttm")].merge(
        quarters.rename(columns={"row": "row_0"}), on=["company", "end"]
    )
    rows_of_ttm = twelve_months["row"].to_numpy()
    parts[rows_of_ttm] = twelve_months[columns].fillna(-1).to_numpy(dtype=np.int64)
    return Derivations(paired.is_derived_quarter, parts)


def derivation_explains(
    paired: Paired, pair: Pair, derivations: Derivations
) -> tuple[Flags, npt.NDArray[np.object_]]:
    """Return which differences a derived quarter explains, and how well that is proven."""
    parts = derivations.parts
    v1_parts, v2_parts = _values_at(pair.expected, parts), _values_at(pair.actual, parts)
    if pair.entry.unit is Unit.USD:
        # A v1 of which the parts are not all here excuses nothing.
        v1_off = np.nan_to_num(np.abs(pair.expected - _left_over(v1_parts)))
        v2_off = np.abs(pair.actual - _left_over(v2_parts))
        slack = _MONEY + _rounding_of_parts(v1_parts, v2_parts)
        known = ~np.isnan(v2_off)
        fits = ((v1_off < _MONEY) == (v2_off < slack)) & (
            v2_off < slack + _TIMES_AS_FAR_OFF * v1_off
        )
        explained = np.where(known, fits, _is_of_a_likely_size(pair, v1_parts, v2_parts))
    else:
        known = _as_v2_calculates(paired, pair, v2_parts)
        explained = known | _is_of_a_likely_size(pair, v1_parts, v2_parts)
    why = "a fourth quarter that neither filed"
    detail = np.where(known, why, f"{why}; not proven").astype(object)
    return derivations.is_derived & explained, detail


def _values_at(values: Floats, parts: Positions) -> Floats:
    """The figures of the year and of the three quarters, NaN where a part is not here."""
    return np.where(parts >= 0, values[parts], np.nan)


def _left_over(parts: Floats) -> Floats:
    """The year less the three quarters, at each row."""
    return parts[:, 0] - parts[:, 1:].sum(axis=1)


def _rounding_of_parts(v1: Floats, v2: Floats) -> Floats:
    """What parts that v2 has rounded, and v1 not, can leave over too much or too little."""
    result = np.zeros(len(v1))
    for unit in UNITS:
        rounded = (v2 % unit == 0) & (v1 % unit != 0) & (np.abs(v2 - v1) <= unit / 2)
        result = np.maximum(result, rounded.sum(axis=1) * unit / 2)
    return result


def _as_v2_calculates(paired: Paired, pair: Pair, v2_parts: Floats) -> Flags:
    """Whether a count or quotient is what v2's own year, or its own income and count, give."""
    if pair.entry.unit is Unit.SHARES:
        year = v2_parts[:, 0]
        off = np.abs(pair.actual - (4 * year - v2_parts[:, 1:].sum(axis=1)))
        return off <= _COUNT_SLACK * np.abs(year)
    count = paired.v2[pair.v2_field.replace("earnings_per_share", "shares_outstanding")]
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient = paired.v2[_COMMON_INCOME] / count
    off = np.abs(pair.actual - quotient)
    return np.isfinite(quotient) & (off <= _CENT + _EARNINGS_SLACK * np.abs(quotient))


def _is_of_a_likely_size(pair: Pair, v1_parts: Floats, v2_parts: Floats) -> Flags:
    """Whether v2's figure is of the size of the largest quarter before it, or near v1's.

    A small profit beside larger quarters may be a small loss as well. Without a quarter before it
    nothing speaks against the figure.
    """
    largest = _largest(np.where(np.isnan(v2_parts), v1_parts, v2_parts)[:, 1:])
    size = np.abs(pair.expected)
    if pair.entry.unit is not Unit.SHARES:
        size = np.fmax(size, np.abs(largest))
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient = pair.actual / largest
    return (
        np.isnan(largest)
        | ((quotient >= 1 / _SIZE) & (quotient <= _SIZE))
        | (np.abs(pair.difference) <= size / _SIZE)
    )


def _largest(quarters: Floats) -> Floats:
    """The quarter of the largest amount in each row, with its sign; NaN where there is none."""
    place = np.abs(np.nan_to_num(quarters)).argmax(axis=1)
    result: Floats = np.take_along_axis(quarters, place[:, np.newaxis], axis=1)[:, 0]
    none = np.isnan(quarters).all(axis=1)
    return np.where(none, np.nan, np.nan_to_num(result))
