"""How v1 and v2 define a line differently: each definition as arithmetic on the two records."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from polygon_fundamentals.parity.paired import Flags, Floats, Pair, Paired, is_habit, or_zero
from polygon_fundamentals.parity.splits import four_quarters_added
from polygon_fundamentals.statements import Statement

Proof = Callable[[Paired, Pair], Flags]


def equal(paired: Paired, a: Floats, b: Floats) -> Flags:
    """Return where two sums are the same, within the slack of their period."""
    result: Flags = np.abs(a - b) < paired.slack
    return result


def _residuals(v1: str, v2: str) -> Proof:
    """A proof that both figures are what their own totals leave over.

    `v1` is `line = total - part - ...` and `v2` the same without its line, which is the pair's.
    A part that a record lacks takes nothing from the total.
    """
    v1_line, v1_rest = v1.split(" = ")

    def proof(paired: Paired, pair: Pair) -> Flags:
        section = f"{paired.statement.v1_sections[0]}."
        v1_left = _left_over(paired.v1, v1_rest, section)
        flags: Flags = equal(paired, paired.v1[section + v1_line], v1_left) & equal(
            paired, pair.actual, _left_over(paired.v2, v2)
        )
        return flags

    return proof


def _left_over(values: Mapping[str, Floats], formula: str, section: str = "") -> Floats:
    total, *parts = formula.split(" - ")
    rest = values[section + total]
    for part in parts:
        rest = rest - or_zero(values[section + part])
    return rest


def _plus(*names: str) -> Proof:
    """A proof that v1's figure is v2's and the named v2 lines together."""

    def proof(paired: Paired, pair: Pair) -> Flags:
        added = np.sum([or_zero(paired.v2[name]) for name in names], axis=0)
        flags: Flags = (added != 0) & equal(paired, pair.expected, pair.actual + added)
        return flags

    return proof


def _current_debt_within(paired: Paired, pair: Pair) -> Flags:
    """v1's debt holds current maturities: some of v2's current debt, as in other periods too.

    Where the company's debt is otherwise v2's with all of its current debt, some is no proof.
    """
    most = pair.actual + or_zero(paired.v2["debt_current"])
    whole = equal(paired, pair.expected, most) & (or_zero(pair.expected) != 0)
    some = (pair.expected > pair.actual) & (pair.expected < most) & ~whole
    flags: Flags = some & ~is_habit(paired, whole, some)
    return flags


def _components_missing(paired: Paired, pair: Pair) -> Flags:
    """v2's current assets are the sum of the lines it has, and one is missing."""
    v2 = paired.v2
    parts = ("cash_and_equivalents", "short_term_investments", "receivables", "inventories")
    added = np.sum([or_zero(v2[name]) for name in (*parts, "other_current_assets")], axis=0)
    lacks = np.logical_or.reduce([or_zero(v2[name]) == 0 for name in parts])
    flags: Flags = lacks & equal(paired, pair.actual, added) & (pair.expected > pair.actual)
    return flags


def _mezzanine_lines_added(paired: Paired, pair: Pair) -> Flags:
    """v2's figure is several of v1's mezzanine lines together."""
    prefix = "balance_sheet."
    redeemable = or_zero(paired.v1[prefix + "redeemable_noncontrolling_interest"])
    temporary = or_zero(paired.v1[prefix + "temporary_equity"])
    other = or_zero(paired.v1[prefix + "commitments_and_contingencies"])
    sums = (redeemable + temporary, redeemable + temporary + other, other)
    flags: Flags = np.logical_or.reduce([equal(paired, pair.actual, total) for total in sums])
    return flags


def _all_other_income_included(paired: Paired, pair: Pair) -> Flags:
    """v1's revenue is v2's and all other income, as in other periods too."""
    other = or_zero(paired.v2["total_other_income_expense"])
    includes = _plus("total_other_income_expense")(paired, pair)
    same = equal(paired, pair.expected, pair.actual) & ~equal(paired, other, np.zeros(len(other)))
    flags: Flags = includes & ~_differs_from_habit(paired, same, includes)
    return flags


def _differs_from_habit(paired: Paired, same: Flags, differs: Flags) -> Flags:
    """Which differences are of companies that otherwise draw the line where v1 draws it.

    v2 calculates other income as a difference, so its record adds up even if operating income is
    wrong. A record that adds up therefore proves another definition only if the company's other
    periods do not contradict it. Twelve-month periods repeat their quarters and do not count.
    """
    counted = ~paired.is_timeframe("ttm")
    flags: Flags = differs & ~same & is_habit(paired, same & counted, differs & ~same & counted)
    return flags


def _line_drawn_elsewhere(paired: Paired, pair: Pair) -> Flags:
    """Operating and other income are divided elsewhere, as in other periods too."""
    operating = paired.v1["income_statement.operating_income_loss"]
    same = equal(paired, operating, paired.v2["operating_income"]) & (or_zero(operating) != 0)
    divided = _same_pre_tax(paired)
    flags: Flags = divided & ~_differs_from_habit(paired, same, divided)
    return flags


def _same_pre_tax(paired: Paired) -> Flags:
    """Operating and other income add up to the same pre-tax income in both."""
    v1, v2 = paired.v1, paired.v2
    pretax = v1["income_statement.income_loss_from_continuing_operations_before_tax"]
    operating = v1["income_statement.operating_income_loss"]
    other = v1["income_statement.nonoperating_income_loss"]
    gross = v1["income_statement.gross_profit"]
    expenses = v1["income_statement.operating_expenses"]
    v1_adds_up = equal(paired, pretax, operating + other) | (
        np.isnan(other) & equal(paired, operating, gross - expenses)
    )
    flags: Flags = (
        v1_adds_up
        & equal(paired, pretax, v2["income_before_income_taxes"])
        & equal(
            paired,
            v2["income_before_income_taxes"],
            v2["operating_income"] + v2["total_other_income_expense"],
        )
    )
    return flags


def _operating_income_is_pre_tax(paired: Paired, pair: Pair) -> Flags:
    """v1 gives pre-tax income as operating income; v2's own lines add up to the same pre-tax.

    Where v1's own lines add up as well, both give operating income, and other income was nothing.
    """
    v2 = paired.v2
    pretax = v2["income_before_income_taxes"]
    given = (
        equal(paired, pair.expected, pretax)
        & equal(paired, pretax, v2["operating_income"] + v2["total_other_income_expense"])
        & equal(paired, v2["operating_income"], v2["gross_profit"] - v2["total_operating_expenses"])
        & ~_same_pre_tax(paired)
    )
    # Where there is no other income, both are pre-tax income and say nothing of the definition.
    same = equal(paired, pair.expected, pair.actual) & ~equal(paired, pair.actual, pretax)
    flags: Flags = given & ~_differs_from_habit(paired, same, given)
    return flags


def _expenses_follow_operating_income(paired: Paired, pair: Pair) -> Flags:
    """Gross profit is the same, and the expenses differ by what operating income differs."""
    v1, v2 = paired.v1, paired.v2
    gross = v1["income_statement.gross_profit"]
    flags: Flags = (
        _line_drawn_elsewhere(paired, pair)
        & equal(paired, gross, v2["gross_profit"])
        & equal(paired, gross - pair.expected, v1["income_statement.operating_income_loss"])
        & equal(paired, v2["gross_profit"] - pair.actual, v2["operating_income"])
    )
    return flags


PROOFS: dict[Statement, dict[str, tuple[tuple[Proof, str], ...]]] = {
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
                    "other_current_assets = current_assets - cash - accounts_receivable - "
                    "inventory - prepaid_expenses",
                    "total_current_assets - cash_and_equivalents - short_term_investments - "
                    "receivables - inventories",
                ),
                "each is what its own current assets leave over",
            ),
        ),
        "other_assets": (
            (
                _residuals(
                    "other_noncurrent_assets = noncurrent_assets - long_term_investments - "
                    "fixed_assets - intangible_assets - noncurrent_prepaid_expenses",
                    "total_assets - total_current_assets - property_plant_equipment_net - "
                    "goodwill - intangible_assets_net",
                ),
                "each is what its own non-current assets leave over",
            ),
            (_plus("goodwill"), "v1 includes goodwill"),
            (_plus("goodwill", "intangible_assets_net"), "v1 includes goodwill and intangibles"),
        ),
        "accrued_and_other_current_liabilities": (
            (
                _residuals(
                    "other_current_liabilities = current_liabilities - accounts_payable - "
                    "interest_payable - wages",
                    "total_current_liabilities - accounts_payable - debt_current - "
                    "deferred_revenue_current",
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
                    "other_noncurrent_liabilities = noncurrent_liabilities - long_term_debt",
                    "total_liabilities - total_current_liabilities - "
                    "long_term_debt_and_capital_lease_obligations",
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
            (_all_other_income_included, "v1 includes all other income"),
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
                    "other_operating_expenses = operating_expenses - "
                    "selling_general_and_administrative_expenses - "
                    "depreciation_and_amortization - research_and_development",
                    "total_operating_expenses - selling_general_administrative - "
                    "depreciation_depletion_amortization - research_development",
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
