"""How v1 and v2 define a line differently: each definition as arithmetic on the two records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from polygon_fundamentals.parity.paired import (
    Flags,
    Floats,
    Pair,
    Paired,
    differs_from_habit,
    is_habit,
    or_zero,
)

Proof = Callable[[Paired, Pair], Flags]
# v1's debt may hold some of v2's current debt at one company, and in other periods all of it.
_FAR_MORE_OFTEN = 3


def equal(paired: Paired, a: Floats, b: Floats) -> Flags:
    """Return where two sums are the same, within the slack of their period."""
    return np.abs(a - b) < paired.slack


def _never(paired: Paired, pair: Pair) -> Flags:
    """No period speaks against the definition."""
    return np.zeros(len(paired), dtype=bool)


@dataclass(frozen=True)
class Definition:
    """A way in which v1 and v2 define a line differently.

    `proves` says in which periods the arithmetic of both records holds with it. An error in two
    figures may do the same, so `refuted_by` says in which periods both draw the line alike although
    the definition would show; where they are the rule, a difference is not due to the definition.
    """

    text: str
    proves: Proof
    refuted_by: Proof = _never

    def proven(self, variants: list[Paired], pair: Pair) -> Flags:
        """Return which differences it explains; one of the variants of the periods will do."""
        holds: Flags = np.logical_or.reduce([self.proves(paired, pair) for paired in variants])
        if not holds.any():
            return holds
        usual = variants[0]
        return holds & ~differs_from_habit(usual, self.refuted_by(usual, pair), holds)


def residuals(v1: str, v2: str) -> Proof:
    """Return a proof that both figures are what their own totals leave over.

    `v1` is `line = total - part - ...` and `v2` the same without its line, which is the pair's.
    A part that a record lacks takes nothing from the total.
    """
    v1_line, v1_rest = v1.split(" = ")

    def proof(paired: Paired, pair: Pair) -> Flags:
        section = f"{paired.statement.v1_sections[0]}."
        v1_left = _left_over(paired.v1, v1_rest, section)
        return equal(paired, paired.v1[section + v1_line], v1_left) & equal(
            paired, pair.actual, _left_over(paired.v2, v2)
        )

    return proof


def _left_over(values: Mapping[str, Floats], formula: str, section: str = "") -> Floats:
    total, *parts = formula.split(" - ")
    rest = values[section + total]
    for part in parts:
        rest = rest - or_zero(values[section + part])
    return rest


def includes(text: str, *names: str) -> Definition:
    """Return the definition that v1's figure is v2's and the named v2 lines together."""

    def added(paired: Paired) -> Floats:
        return np.sum([or_zero(paired.v2[name]) for name in names], axis=0)

    def proves(paired: Paired, pair: Pair) -> Flags:
        return (added(paired) != 0) & equal(paired, pair.expected, pair.actual + added(paired))

    def refuted_by(paired: Paired, pair: Pair) -> Flags:
        there = np.abs(added(paired)) >= paired.slack
        return there & equal(paired, pair.expected, pair.actual)

    return Definition(text, proves, refuted_by)


def _some_current_debt(paired: Paired, pair: Pair) -> Flags:
    """v1's debt holds current maturities: some of v2's current debt, as in other periods too.

    Where the company's debt is otherwise v2's with all of its current debt, some proves nothing.
    """
    current = or_zero(paired.v2["debt_current"])
    most = pair.actual + current
    whole = equal(paired, pair.expected, most) & (current != 0)
    some = (pair.expected > pair.actual) & (pair.expected < most) & ~whole
    return some & ~is_habit(paired, whole, some, _FAR_MORE_OFTEN)


CURRENT_DEBT = includes("v1 includes current maturities", "debt_current")
SOME_CURRENT_DEBT = Definition(CURRENT_DEBT.text, _some_current_debt, CURRENT_DEBT.refuted_by)


def components_missing(paired: Paired, pair: Pair) -> Flags:
    """v2's current assets are the sum of the lines it has, and one is missing.

    A line that the company has as a rule, with v1's total, is lost rather than missing.
    """
    names = ("cash_and_equivalents", "short_term_investments", "receivables", "inventories")
    parts = [or_zero(paired.v2[name]) for name in names]
    added = np.sum([*parts, or_zero(paired.v2["other_current_assets"])], axis=0)
    lacks = np.logical_or.reduce([part == 0 for part in parts])
    short: Flags = lacks & equal(paired, pair.actual, added) & (pair.expected > pair.actual)
    same = equal(paired, pair.expected, pair.actual)
    for part in parts:
        short &= ~differs_from_habit(paired, same & (part != 0), short & (part == 0))
    return short


def mezzanine_lines_added(paired: Paired, pair: Pair) -> Flags:
    """v2's figure is several of v1's mezzanine lines together."""
    prefix = "balance_sheet."
    redeemable = or_zero(paired.v1[prefix + "redeemable_noncontrolling_interest"])
    temporary = or_zero(paired.v1[prefix + "temporary_equity"])
    other = or_zero(paired.v1[prefix + "commitments_and_contingencies"])
    sums = (redeemable + temporary, redeemable + temporary + other, other)
    return np.logical_or.reduce([equal(paired, pair.actual, total) for total in sums])


def same_operating_income(paired: Paired, pair: Pair) -> Flags:
    """Operating income is the same, and not zero: operating and other income are divided alike."""
    operating = paired.v1["income_statement.operating_income_loss"]
    return equal(paired, operating, paired.v2["operating_income"]) & (or_zero(operating) != 0)


def same_pre_tax(paired: Paired, pair: Pair) -> Flags:
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
    return (
        v1_adds_up
        & equal(paired, pretax, v2["income_before_income_taxes"])
        & equal(
            paired,
            v2["income_before_income_taxes"],
            v2["operating_income"] + v2["total_other_income_expense"],
        )
    )


def _pre_tax_given(paired: Paired, pair: Pair) -> Flags:
    """v1 gives pre-tax income as operating income; v2's own lines add up to the same pre-tax.

    Where v1's own lines add up as well, both give operating income, and other income was nothing.
    """
    v2 = paired.v2
    pretax = v2["income_before_income_taxes"]
    return (
        equal(paired, pair.expected, pretax)
        & equal(paired, pretax, v2["operating_income"] + v2["total_other_income_expense"])
        & equal(paired, v2["operating_income"], v2["gross_profit"] - v2["total_operating_expenses"])
        & ~same_pre_tax(paired, pair)
    )


def _same_and_not_pre_tax(paired: Paired, pair: Pair) -> Flags:
    """Where there is no other income, both are pre-tax income and say nothing."""
    pretax = paired.v2["income_before_income_taxes"]
    return equal(paired, pair.expected, pair.actual) & ~equal(paired, pair.actual, pretax)


PRE_TAX = Definition("v1 gives pre-tax income", _pre_tax_given, _same_and_not_pre_tax)


def expenses_follow_operating_income(paired: Paired, pair: Pair) -> Flags:
    """Gross profit is the same, and the expenses differ by what operating income differs."""
    v1, v2 = paired.v1, paired.v2
    gross = v1["income_statement.gross_profit"]
    return (
        same_pre_tax(paired, pair)
        & equal(paired, gross, v2["gross_profit"])
        & equal(paired, gross - pair.expected, v1["income_statement.operating_income_loss"])
        & equal(paired, v2["gross_profit"] - pair.actual, v2["operating_income"])
    )


def _net_of_interest(paired: Paired, pair: Pair) -> Flags:
    """v1 = v2's revenue - cost of revenue + other income, and the company may be a bank.

    A company with research is no bank, and v1 has no cost of revenue of one.
    """
    v1, v2 = paired.v1, paired.v2
    cost = or_zero(v2["cost_of_revenue"])
    net = pair.actual - cost + or_zero(v2["other_income_expense"])
    return (
        (cost != 0)
        & (or_zero(v2["research_development"]) == 0)
        & ~equal(paired, v1["income_statement.cost_of_revenue"], cost)
        & equal(paired, pair.expected, net)
    )


def _same_beside_a_cost(paired: Paired, pair: Pair) -> Flags:
    cost = or_zero(paired.v2["cost_of_revenue"])
    return (cost != 0) & equal(paired, pair.expected, pair.actual)


NET_OF_INTEREST = Definition(
    "v1 = v2 revenue - cost_of_revenue + other_income_expense",
    _net_of_interest,
    _same_beside_a_cost,
)
