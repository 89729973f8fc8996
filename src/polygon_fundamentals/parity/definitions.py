"""What is known of the lines that v1 and v2 define differently, and how it is proven.

A proof is arithmetic within the two records: it fails as soon as one of the figures is wrong. For
the fields in `RESIDUAL_FIELDS` the definitions differ in ways that the records need not show;
there a difference is put down to the definition unless the company's other periods speak against
it. For revenue, operating income and operating expenses that would hide too much: they need the
proof.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from polygon_fundamentals.parity.paired import (
    Flags,
    Floats,
    Pair,
    Paired,
    column_of,
    is_habit,
    or_zero,
)
from polygon_fundamentals.parity.rounding import with_own_rounding
from polygon_fundamentals.parity.splits import four_quarters_added
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
# v2 totals and lines that residual lines are reckoned from.
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

Proof = Callable[[Paired, Pair], Flags]


def bank_net_of_interest(paired: Paired, pair: Pair) -> Flags:
    """Which revenues are a bank's, net of interest in v1 and gross in v2.

    v1 = v2 revenue - cost of revenue + other income. A company with research is no bank.
    """
    if pair.v2_field != "revenue":
        return np.zeros(len(paired), dtype=bool)
    paired = with_own_rounding(paired, pair)
    v2 = paired.v2
    cost = or_zero(v2["cost_of_revenue"])
    net = pair.actual - cost + or_zero(v2["other_income_expense"])
    flags: Flags = (
        (cost != 0)
        & (or_zero(v2["research_development"]) == 0)
        & _equal(paired, pair.expected, net)
    )
    return flags


def proven_line_definition(
    variants: Sequence[Paired], pair: Pair
) -> tuple[Flags, npt.NDArray[np.object_]]:
    """Which differences follow from how the two define the line, and how they define it.

    `variants` are the periods as they are and with totals mended (see `mended_totals`).
    """
    result = np.zeros(len(pair.actual), dtype=bool)
    detail = np.full(len(pair.actual), "", dtype=object)
    proofs = _PROOFS[variants[0].statement].get(pair.v2_field, ())
    rounded = [with_own_rounding(paired, pair) for paired in variants if proofs]
    for proof, text in proofs:
        proven = np.logical_or.reduce([proof(paired, pair) for paired in rounded])
        detail[proven & ~result] = text
        result |= proven
    return result, detail


def mended_totals(paired: Paired, pairs: Sequence[Pair]) -> tuple[Paired, ...]:
    """The periods as they are, with v1's totals in v2, and with v2's totals in v1.

    A total that is wrong in one generation is a finding of its own; it must not take the proof
    away from the residual lines that are reckoned from it.
    """
    v1, v2 = dict(paired.v1), dict(paired.v2)
    for pair in pairs:
        if pair.v2_field in _TOTALS:
            column = column_of(pair.entry)
            v1[column] = np.where(np.isnan(pair.actual), paired.v1[column], pair.actual)
            v2[pair.v2_field] = np.where(np.isnan(pair.expected), pair.actual, pair.expected)
    if paired.statement is Statement.BALANCE_SHEETS:
        debt = v1["balance_sheet.long_term_debt"] - or_zero(v2["debt_current"])
        name = "long_term_debt_and_capital_lease_obligations"
        v2[name] = np.where(np.isnan(debt), v2[name], debt)
    return paired, replace(paired, v2=v2), replace(paired, v1=v1)


def contradicts_definition(paired: Paired, pair: Pair, agrees: Flags, differs: Flags) -> Flags:
    """Which differences the company's other periods speak against.

    `agrees` are the periods that match or whose definition is proven, `differs` the rest.
    """
    return is_habit(paired, agrees & (or_zero(pair.expected) != 0), differs)


def _equal(paired: Paired, a: Floats, b: Floats) -> Flags:
    result: Flags = np.abs(a - b) < paired.slack
    return result


def _less(values: dict[str, Floats], total: str, names: Iterable[str], prefix: str = "") -> Floats:
    """A total less those of the named lines that are there."""
    rest = values[prefix + total]
    for name in names:
        rest = rest - or_zero(values[prefix + name])
    return rest


def _residuals(
    v1_prefix: str,
    v1_line: str,
    v1_total: str,
    v1_parts: tuple[str, ...],
    v2_total: str,
    v2_parts: tuple[str, ...],
) -> Proof:
    """A proof that both figures are what their own totals leave over."""

    def proof(paired: Paired, pair: Pair) -> Flags:
        v1 = _less(dict(paired.v1), v1_total, v1_parts, v1_prefix)
        v2 = _less(dict(paired.v2), v2_total, v2_parts)
        flags: Flags = _equal(paired, paired.v1[v1_prefix + v1_line], v1) & _equal(
            paired, pair.actual, v2
        )
        return flags

    return proof


def _plus(*names: str) -> Proof:
    """A proof that v1's figure is v2's and the named v2 lines together."""

    def proof(paired: Paired, pair: Pair) -> Flags:
        added = np.sum([or_zero(paired.v2[name]) for name in names], axis=0)
        flags: Flags = (added != 0) & _equal(paired, pair.expected, pair.actual + added)
        return flags

    return proof


def _current_debt_within(paired: Paired, pair: Pair) -> Flags:
    """v1's debt holds current maturities: some of v2's current debt, as in other periods too.

    Where the company's debt is otherwise v2's with all of its current debt, some is no proof.
    """
    most = pair.actual + or_zero(paired.v2["debt_current"])
    whole = _equal(paired, pair.expected, most) & (or_zero(pair.expected) != 0)
    some = (pair.expected > pair.actual) & (pair.expected < most) & ~whole
    flags: Flags = some & ~is_habit(paired, whole, some)
    return flags


def _components_missing(paired: Paired, pair: Pair) -> Flags:
    """v2's current assets are the sum of the lines it has, and one is missing."""
    v2 = paired.v2
    parts = ("cash_and_equivalents", "short_term_investments", "receivables", "inventories")
    added = np.sum([or_zero(v2[name]) for name in (*parts, "other_current_assets")], axis=0)
    lacks = np.logical_or.reduce([or_zero(v2[name]) == 0 for name in parts])
    flags: Flags = lacks & _equal(paired, pair.actual, added) & (pair.expected > pair.actual)
    return flags


def _mezzanine_lines_added(paired: Paired, pair: Pair) -> Flags:
    """v2's figure is several of v1's mezzanine lines together."""
    prefix = "balance_sheet."
    redeemable = or_zero(paired.v1[prefix + "redeemable_noncontrolling_interest"])
    temporary = or_zero(paired.v1[prefix + "temporary_equity"])
    other = or_zero(paired.v1[prefix + "commitments_and_contingencies"])
    sums = (redeemable + temporary, redeemable + temporary + other, other)
    flags: Flags = np.logical_or.reduce([_equal(paired, pair.actual, total) for total in sums])
    return flags


def _line_drawn_elsewhere(paired: Paired, pair: Pair) -> Flags:
    """Operating and other income add up to the same pre-tax income in both."""
    v1, v2 = paired.v1, paired.v2
    pretax = v1["income_statement.income_loss_from_continuing_operations_before_tax"]
    operating = v1["income_statement.operating_income_loss"]
    other = v1["income_statement.nonoperating_income_loss"]
    gross = v1["income_statement.gross_profit"]
    expenses = v1["income_statement.operating_expenses"]
    v1_adds_up = _equal(paired, pretax, operating + other) | (
        np.isnan(other) & _equal(paired, operating, gross - expenses)
    )
    flags: Flags = (
        v1_adds_up
        & _equal(paired, pretax, v2["income_before_income_taxes"])
        & _equal(
            paired,
            v2["income_before_income_taxes"],
            v2["operating_income"] + v2["total_other_income_expense"],
        )
    )
    return flags


def _operating_income_is_pre_tax(paired: Paired, pair: Pair) -> Flags:
    """v1 gives pre-tax income as operating income; v2's own lines add up to the same pre-tax."""
    v2 = paired.v2
    pretax = v2["income_before_income_taxes"]
    flags: Flags = (
        _equal(paired, pair.expected, pretax)
        & _equal(paired, pretax, v2["operating_income"] + v2["total_other_income_expense"])
        & _equal(
            paired, v2["operating_income"], v2["gross_profit"] - v2["total_operating_expenses"]
        )
    )
    return flags


def _expenses_follow_operating_income(paired: Paired, pair: Pair) -> Flags:
    """Gross profit is the same, and the expenses differ by what operating income differs."""
    v1, v2 = paired.v1, paired.v2
    gross = v1["income_statement.gross_profit"]
    flags: Flags = (
        _line_drawn_elsewhere(paired, pair)
        & _equal(paired, gross, v2["gross_profit"])
        & _equal(paired, gross - pair.expected, v1["income_statement.operating_income_loss"])
        & _equal(paired, v2["gross_profit"] - pair.actual, v2["operating_income"])
    )
    return flags


_BS, _IS = "balance_sheet.", "income_statement."
_PROOFS: dict[Statement, dict[str, tuple[tuple[Proof, str], ...]]] = {
    Statement.BALANCE_SHEETS: {
        "total_current_assets": (
            (_components_missing, "v2 adds up the components that it has, and lacks one"),
        ),
        "cash_and_equivalents": (
            (_plus("short_term_investments"), "v1 includes short-term investments"),
        ),
        "other_current_assets": (
            (
                _residuals(
                    _BS,
                    "other_current_assets",
                    "current_assets",
                    ("cash", "accounts_receivable", "inventory", "prepaid_expenses"),
                    "total_current_assets",
                    (
                        "cash_and_equivalents",
                        "short_term_investments",
                        "receivables",
                        "inventories",
                    ),
                ),
                "each is what its own current assets leave over",
            ),
        ),
        "other_assets": (
            (
                _residuals(
                    _BS,
                    "other_noncurrent_assets",
                    "noncurrent_assets",
                    (
                        "long_term_investments",
                        "fixed_assets",
                        "intangible_assets",
                        "noncurrent_prepaid_expenses",
                    ),
                    "total_assets",
                    (
                        "total_current_assets",
                        "property_plant_equipment_net",
                        "goodwill",
                        "intangible_assets_net",
                    ),
                ),
                "each is what its own non-current assets leave over",
            ),
            (_plus("goodwill"), "v1 includes goodwill"),
            (_plus("goodwill", "intangible_assets_net"), "v1 includes goodwill and intangibles"),
        ),
        "accrued_and_other_current_liabilities": (
            (
                _residuals(
                    _BS,
                    "other_current_liabilities",
                    "current_liabilities",
                    ("accounts_payable", "interest_payable", "wages"),
                    "total_current_liabilities",
                    ("accounts_payable", "debt_current", "deferred_revenue_current"),
                ),
                "each is what its own current liabilities leave over",
            ),
            (
                _plus("debt_current", "deferred_revenue_current"),
                "v1 includes current debt and deferred revenue",
            ),
        ),
        "long_term_debt_and_capital_lease_obligations": (
            (_plus("debt_current"), "v1 includes current maturities"),
            (_current_debt_within, "v1 includes current maturities"),
        ),
        "other_noncurrent_liabilities": (
            (
                _residuals(
                    _BS,
                    "other_noncurrent_liabilities",
                    "noncurrent_liabilities",
                    ("long_term_debt",),
                    "total_liabilities",
                    (
                        "total_current_liabilities",
                        "long_term_debt_and_capital_lease_obligations",
                    ),
                ),
                "each is what its own non-current liabilities leave over",
            ),
        ),
        "commitments_and_contingencies": (
            (_mezzanine_lines_added, "v2 adds up v1's mezzanine lines"),
        ),
    },
    Statement.CASH_FLOW: {},
    Statement.INCOME_STATEMENTS: {
        "revenue": (
            (_plus("interest_income"), "v1 includes interest income"),
            (_plus("total_other_income_expense"), "v1 includes all other income"),
        ),
        "operating_income": (
            (_line_drawn_elsewhere, "operating and other income are divided elsewhere"),
            (_operating_income_is_pre_tax, "v1 gives pre-tax income"),
        ),
        "total_other_income_expense": (
            (_line_drawn_elsewhere, "operating and other income are divided elsewhere"),
        ),
        "total_operating_expenses": (
            (_plus("cost_of_revenue"), "v1 includes the cost of revenue"),
            (_expenses_follow_operating_income, "operating lines are divided elsewhere"),
        ),
        "other_operating_expenses": (
            (
                _residuals(
                    _IS,
                    "other_operating_expenses",
                    "operating_expenses",
                    (
                        "selling_general_and_administrative_expenses",
                        "depreciation_and_amortization",
                        "research_and_development",
                    ),
                    "total_operating_expenses",
                    (
                        "selling_general_administrative",
                        "depreciation_depletion_amortization",
                        "research_development",
                    ),
                ),
                "each is what its own operating expenses leave over",
            ),
        ),
        "basic_shares_outstanding": (
            (four_quarters_added, "v1 adds the averages of four quarters up"),
        ),
        "diluted_shares_outstanding": (
            (four_quarters_added, "v1 adds the averages of four quarters up"),
        ),
    },
}
