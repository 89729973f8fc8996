"""Evidence that a filer's later figure is the same one, rounded to the thousand or million.

Some filers give hundreds of thousands ($772.7 million): MRVL since 2022, MSCI in June 2025.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from polygon_fundamentals.field_map import Unit, entries
from polygon_fundamentals.parity.paired import (
    DOLLARS,
    Flags,
    Floats,
    Pair,
    Paired,
    count_by_company,
)
from polygon_fundamentals.statements import Statement

UNITS = (1_000.0, 100_000.0, 1_000_000.0)
# A single value counts as rounded on its own if rounding can have changed it by 5 % at most.
_CLEAR_UNITS = 10.0
# In a record that is rounded throughout a line may be off by one unit, for filers make columns add
# up, and what is added up of rounded figures by two.
_UNITS_IN_A_LINE = 1.0
_UNITS_IN_A_TOTAL = 2.0
_UNITS_IN_A_SUM = 3.0
_WITNESSES = 3
# Off by one in the last place, without more evidence than that: only where it is below 0.1 %.
_FAR_UNITS = 1_000.0
# The v2 fields that are sums or differences of other lines.
_ADDED_UP = frozenset(
    {
        "total_assets",
        "total_current_assets",
        "total_liabilities",
        "total_current_liabilities",
        "total_equity",
        "total_equity_attributable_to_parent",
        "total_liabilities_and_equity",
        "other_current_assets",
        "other_assets",
        "accrued_and_other_current_liabilities",
        "other_noncurrent_liabilities",
        "net_cash_from_operating_activities",
        "cash_from_operating_activities_continuing_operations",
        "net_cash_from_investing_activities",
        "net_cash_from_investing_activities_continuing_operations",
        "net_cash_from_financing_activities",
        "net_cash_from_financing_activities_continuing_operations",
        "change_in_cash_and_equivalents",
        "gross_profit",
        "total_operating_expenses",
        "other_operating_expenses",
        "operating_income",
        "total_other_income_expense",
        "income_before_income_taxes",
        "consolidated_net_income_loss",
        "net_income_loss_attributable_common_shareholders",
    }
)


def rounded_records(paired: Paired, pairs: list[Pair]) -> dict[float, Flags]:
    """Return for each unit which v2 records are rounded to it throughout, where v1's are not.

    All of their money is in whole units, three lines visibly so.
    """
    money = [
        paired.v2[e.v2]
        for e in entries(paired.statement)
        if e.v2 is not None and e.source_rank == 1 and e.unit is Unit.USD
    ]
    rounded = {}
    for unit in UNITS:
        whole = np.ones(len(paired), dtype=bool)
        for values in money:
            whole &= np.isnan(values) | (values % unit == 0)
        witnesses = np.zeros(len(paired), dtype=np.int64)
        for pair in pairs:
            if pair.entry.unit is Unit.USD:
                witnesses += _is_rounded(pair, unit)
        rounded[unit] = whole & (witnesses >= _WITNESSES)
    return rounded


def rounded_slack(paired: Paired, records: Mapping[float, Flags]) -> Floats:
    """Return how far sums of lines may be off: some units where v2's record is rounded."""
    slack = paired.slack
    for unit in UNITS:
        slack = np.where(records[unit], _UNITS_IN_A_SUM * unit, slack)
    return slack


def with_own_rounding(paired: Paired, pair: Pair) -> Paired:
    """Return the periods, with the slack that a rounded v2 value of this pair asks for."""
    slack = paired.slack
    for unit in UNITS:
        own = (pair.actual % unit == 0) & (pair.actual != 0) & (pair.expected % unit != 0)
        slack = np.where(own, np.maximum(slack, unit / 2 + DOLLARS), slack)
    return replace(paired, slack=slack)


def rounded_to(paired: Paired, pair: Pair, records: Mapping[float, Flags]) -> Floats:
    """Return the unit to which v2's value is v1's rounded, 0 where it is not."""
    result = np.zeros(len(paired))
    if pair.entry.unit is Unit.USD_PER_SHARE:
        return result
    size = np.abs(pair.expected)
    off = np.abs(pair.difference)
    from_periods = _added_up_from_periods(paired)
    is_total = from_periods | (pair.v2_field in _ADDED_UP)
    units_off = np.where(is_total, _UNITS_IN_A_TOTAL, _UNITS_IN_A_LINE)
    for unit in reversed(UNITS):
        alone = _is_rounded(pair, unit) & (size >= _CLEAR_UNITS * unit)
        in_record = (
            records[unit]
            & (pair.entry.unit is Unit.USD)
            & (pair.actual % unit == 0)
            & (off <= units_off * unit)
            & _keeps_its_side(pair, unit, from_periods)
        )
        # Both are whole units and one apart: the sum of rounded lines against the rounded sum. One
        # such value could be anything; a line that does it again at the same company is a habit.
        one_off = (
            (pair.actual % unit == 0)
            & (pair.expected % unit == 0)
            & (off == unit)
            & (size >= _FAR_UNITS * unit)
        )
        habit = one_off & (count_by_company(paired, one_off) >= 2)
        result = np.where(alone | in_record | habit, unit, result)
    return result


def _added_up_from_periods(paired: Paired) -> Flags:
    """Which periods are made of others: twelve months, and quarters of cash from year to date."""
    flags = paired.is_timeframe("ttm")
    if paired.statement is Statement.CASH_FLOW:
        flags = flags | paired.is_timeframe("quarterly")
    return flags


def _keeps_its_side(pair: Pair, unit: float, from_periods: Flags) -> Flags:
    """Which of v2's figures can be v1's, rounded: of the same sign, unless v1's is very small.

    A figure of up to half a unit rounds to zero; a difference of two rounded figures may be zero
    where it is up to a whole unit.
    """
    size = np.abs(pair.expected)
    return (
        (np.sign(pair.expected) == np.sign(pair.actual))
        | (size <= unit / 2)
        | (from_periods & (pair.actual == 0) & (size < unit))
    )


def _is_rounded(pair: Pair, unit: float) -> Flags:
    return (
        (pair.actual % unit == 0)
        & (pair.actual != 0)
        & (pair.expected % unit != 0)
        & (np.abs(pair.difference) <= unit / 2)
    )
