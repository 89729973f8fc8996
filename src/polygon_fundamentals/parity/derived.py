"""Fourth quarters that nobody filed: each generation takes the year less its three quarters.

A difference there is put down to the derivation, unless the year and the three quarters show that
one of the two is not what they leave over while the other one is: then it is wrong, not derived.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from polygon_fundamentals.field_map import Unit
from polygon_fundamentals.parity.paired import Flags, Floats, Pair, Paired
from polygon_fundamentals.parity.rounding import UNITS
from polygon_fundamentals.statements import Statement

_MONEY = 2.0
_YEAR_DAYS = 310
_YEAR_END_DAYS = 10


@dataclass(frozen=True)
class Derivations:
    """For each period that is a derived quarter the rows of its year and its three quarters.

    `parts` has four columns, the year first; -1 where the period or one of its parts is not here.
    """

    is_derived: Flags
    parts: npt.NDArray[np.int64]


def derivations(paired: Paired) -> Derivations:
    """Return the derived quarters of a flow statement; a balance sheet has none."""
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
        quarters[f"row_{back}"] = by_company["row"].shift(back)
    oldest = by_company["end"].shift(3)
    in_year = (quarters["end"] - oldest).dt.days <= _YEAR_DAYS
    whole = quarters[in_year].sort_values("end")
    whole = pd.merge_asof(
        whole,
        years.rename(columns={"row": "row_0"}),
        on="end",
        by="company",
        direction="nearest",
        tolerance=pd.Timedelta(days=_YEAR_END_DAYS),
    ).dropna(subset=["row_0"])
    columns = ["row_0", "row_1", "row_2", "row_3"]
    parts[whole["row"].to_numpy()] = whole[columns].to_numpy(dtype=np.int64)
    return Derivations(paired.is_derived_quarter, parts)


def derivation_explains(pair: Pair, derivations: Derivations) -> Flags:
    """Return which differences a derived quarter explains: all that its parts do not disprove."""
    if pair.entry.unit is not Unit.USD:
        # Averages and quotients cannot be subtracted; either way of deriving them is unreliable.
        return derivations.is_derived
    known = derivations.parts[:, 0] >= 0
    parts = np.where(known[:, np.newaxis], derivations.parts, 0)
    complete = known & ~np.isnan(pair.expected[parts] + pair.actual[parts]).any(axis=1)
    v1_fits = np.abs(pair.expected - _left_over(pair.expected, parts)) < _MONEY
    v2_fits = np.abs(pair.actual - _left_over(pair.actual, parts)) < (
        _MONEY + _rounding_of_parts(pair, parts)
    )
    flags: Flags = derivations.is_derived & ~(complete & (v1_fits != v2_fits))
    return flags


def _left_over(values: Floats, parts: npt.NDArray[np.int64]) -> Floats:
    """The year less the three quarters, at each row."""
    columns = values[parts]
    result: Floats = columns[:, 0] - columns[:, 1:].sum(axis=1)
    return result


def _rounding_of_parts(pair: Pair, parts: npt.NDArray[np.int64]) -> Floats:
    """What parts that v2 has rounded, and v1 not, can leave over too much or too little."""
    v1, v2 = pair.expected[parts], pair.actual[parts]
    result = np.zeros(len(parts))
    for unit in UNITS:
        rounded = (v2 % unit == 0) & (v1 % unit != 0) & (np.abs(v2 - v1) <= unit / 2)
        result = np.maximum(result, rounded.sum(axis=1) * unit / 2)
    return result
