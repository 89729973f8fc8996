"""What is known of the lines that v1 and v2 define differently, and how it is proven.

A proof is arithmetic within the two records: it fails as soon as one of the figures is wrong. Two
errors, or one that moves into a figure calculated as a difference, may pass it, so the company's
other periods must not contradict it either. For the fields in `RESIDUAL_FIELDS` the definitions
differ in ways that the records need not show; there a difference is put down to the definition
unless the company's other periods, the direction that the field map names, or the total that the
line is a part of speak against it. For revenue, operating income and operating expenses that would
hide too much: they need the proof.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from polygon_fundamentals.field_map import Direction
from polygon_fundamentals.parity.known_definitions import DEFINITIONS
from polygon_fundamentals.parity.line_proofs import NET_OF_INTEREST
from polygon_fundamentals.parity.paired import Flags, Pair, Paired, differs_from_habit, or_zero
from polygon_fundamentals.parity.rounding import with_own_rounding
from polygon_fundamentals.periods.standing import column_of
from polygon_fundamentals.statements import Statement

# v2 fields whose definition differs without leaving a proof in every record.
RESIDUAL_FIELDS: dict[Statement, frozenset[str]] = {
    Statement.BALANCE_SHEETS: frozenset(
        {
            "total_current_assets",
            "cash_and_equivalents",
            "receivables",
            "other_current_assets",
            "other_assets",
            "accrued_and_other_current_liabilities",
            "long_term_debt_and_capital_lease_obligations",
            "other_noncurrent_liabilities",
            "commitments_and_contingencies",
        }
    ),
    Statement.CASH_FLOW: frozenset(),
    Statement.INCOME_STATEMENTS: frozenset(
        {"other_operating_expenses", "interest_income", "preferred_stock_dividends_declared"}
    ),
}
# v2's totals of the lines that may be more in v2 than in v1. v1's own are no measure: it has given
# equity, negated, for the liabilities of several companies.
_PART_OF = {
    "receivables": "total_current_assets",
    "long_term_debt_and_capital_lease_obligations": "total_liabilities",
}
# v2 totals and lines that residual lines are calculated from.
_TOTALS = frozenset(
    {
        "total_assets",
        "total_current_assets",
        "inventories",
        "property_plant_equipment_net",
        "intangible_assets_net",
        "total_liabilities",
        "total_current_liabilities",
        "accounts_payable",
        "gross_profit",
        "total_operating_expenses",
        "selling_general_administrative",
        "research_development",
        "depreciation_depletion_amortization",
        "income_before_income_taxes",
    }
)


def has_own_definition(statement: Statement, v2_field: str) -> bool:
    """Return whether v1 and v2 are known to define a field differently."""
    return v2_field in DEFINITIONS[statement] or v2_field in RESIDUAL_FIELDS[statement]


def bank_net_of_interest(paired: Paired, pair: Pair) -> Flags:
    """Return which revenues are a bank's, net of interest in v1 and gross in v2."""
    if pair.v2_field != "revenue":
        return np.zeros(len(paired), dtype=bool)
    return NET_OF_INTEREST.proven([with_own_rounding(paired, pair)], pair)


def proven_line_definition(
    variants: Sequence[Paired], pair: Pair
) -> tuple[Flags, npt.NDArray[np.object_]]:
    """Return which differences follow from how the two define the line, and that definition.

    `variants` are the periods as they are and with totals mended (see `mended_totals`).
    """
    result = np.zeros(len(pair.actual), dtype=bool)
    detail = np.full(len(pair.actual), "", dtype=object)
    definitions = DEFINITIONS[variants[0].statement].get(pair.v2_field, ())
    rounded = [with_own_rounding(paired, pair) for paired in variants if definitions]
    for definition in definitions:
        proven = definition.proven(rounded, pair)
        detail[proven & ~result] = definition.text
        result |= proven
    return result, detail


def mended_totals(paired: Paired, pairs: Sequence[Pair]) -> tuple[Paired, ...]:
    """Return the periods as they are, with v1's totals in v2, and with v2's totals in v1.

    Balance sheets also with v1's debt in v2, where all current maturities are in v1's.

    A total that is wrong in one generation is a finding of its own; it must not take the proof
    away from the residual lines that are calculated from it.
    """
    v1, v2 = dict(paired.v1), dict(paired.v2)
    for pair in pairs:
        if pair.v2_field in _TOTALS:
            column = column_of(pair.entry)
            v1[column] = np.where(np.isnan(pair.actual), paired.v1[column], pair.actual)
            v2[pair.v2_field] = np.where(np.isnan(pair.expected), pair.actual, pair.expected)
    mended = [paired, replace(paired, v2=v2), replace(paired, v1=v1)]
    if paired.statement is Statement.BALANCE_SHEETS:
        debt = v1["balance_sheet.long_term_debt"] - or_zero(v2["debt_current"])
        name = "long_term_debt_and_capital_lease_obligations"
        with_debt = {**v2, name: np.where(np.isnan(debt), v2[name], debt)}
        mended.append(replace(paired, v2=with_debt))
    return tuple(mended)


def contradicts_definition(paired: Paired, pair: Pair, agrees: Flags, differs: Flags) -> Flags:
    """Return which differences cannot be put down to the definition of a residual line.

    That is where the company's other periods, the direction in which the two are known to differ,
    or the total that the line is part of speaks against it. `agrees` are the periods that match or
    whose definition is proven, `differs` the rest.
    """
    habit = differs_from_habit(paired, agrees & (or_zero(pair.expected) != 0), differs)
    direction = pair.entry.v2_is
    if direction is None:
        return habit
    impossible = pair.actual <= 0
    if direction is Direction.LESS:
        impossible |= pair.actual > pair.expected
    elif direction is Direction.MORE:
        impossible |= pair.actual < pair.expected
    if pair.v2_field in _PART_OF:
        impossible |= pair.actual > paired.v2[_PART_OF[pair.v2_field]] + paired.slack
    return habit | impossible
