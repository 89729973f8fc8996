"""Accounting identities that tell which generation contradicts itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polygon_fundamentals.parity.paired import Flags, Floats, Pair, Paired, column_of, or_zero
from polygon_fundamentals.statements import Statement

# Each side of an identity is a sum of at most seven lines, rounded to the dollar at most.
_HOLDS = 2.0
# Filers round lines and totals apart; a hundredth of the difference in question is not it.
_SLACK = 0.01


@dataclass(frozen=True)
class Sum:
    """Lines with their signs that add up to zero; a line in `optional` may be absent."""

    terms: tuple[tuple[float, str], ...]
    optional: tuple[tuple[float, str], ...] = ()

    def residual(self, values: dict[str, Floats]) -> Floats:
        """What is left over in each period, NaN where a line that must be there is not."""
        total = sum(sign * values[name] for sign, name in self.terms)
        return np.asarray(total + sum(sign * or_zero(values[name]) for sign, name in self.optional))

    def sign_of(self, name: str) -> float:
        """The sign with which a line enters, 0 if it does not."""
        return next((s for s, n in (*self.terms, *self.optional) if n == name), 0.0)


@dataclass(frozen=True)
class Identity:
    """A rule that both generations should keep: any of `v1` will do, and `v2`."""

    name: str
    v1: tuple[Sum, ...]
    v2: Sum


def _sum(section: str, *terms: str, optional: tuple[str, ...] = ()) -> Sum:
    """A sum from names with a leading - for those that are subtracted."""

    def parse(term: str) -> tuple[float, str]:
        name = term.removeprefix("-")
        return (-1.0 if term.startswith("-") else 1.0), f"{section}{name}"

    return Sum(tuple(map(parse, terms)), tuple(map(parse, optional)))


_BS, _CF, _IS = "balance_sheet.", "cash_flow_statement.", "income_statement."
_A_IS_L_AND_E = _sum(
    "",
    "total_assets",
    "-total_liabilities",
    "-total_equity",
    optional=("-commitments_and_contingencies",),
)
_V1_OPERATING, _V1_INVESTING, _V1_FINANCING = (
    f"net_cash_flow_from_{kind}_activities" for kind in ("operating", "investing", "financing")
)

IDENTITIES: dict[Statement, tuple[Identity, ...]] = {
    Statement.BALANCE_SHEETS: (
        Identity(
            "assets = liabilities + equity",
            # v1 keeps mezzanine equity apart, in one of several lines, or leaves it out.
            (
                _sum(_BS, "assets", "-liabilities", "-equity"),
                _sum(_BS, "assets", "-liabilities", "-equity", "-temporary_equity"),
                _sum(
                    _BS, "assets", "-liabilities", "-equity", "-redeemable_noncontrolling_interest"
                ),
                _sum(_BS, "assets", "-liabilities", "-equity", "-commitments_and_contingencies"),
                _sum(
                    _BS, "assets", "-liabilities", "-equity",
                    optional=("-temporary_equity", "-redeemable_noncontrolling_interest"),
                ),
            ),
            _A_IS_L_AND_E,
        ),
        Identity(
            "liabilities and equity = assets",
            (_sum(_BS, "liabilities_and_equity", "-assets"),),
            _sum("", "total_liabilities_and_equity", "-total_assets"),
        ),
        Identity(
            "assets = current + non-current",
            (_sum(_BS, "assets", "-current_assets", "-noncurrent_assets"),),
            _A_IS_L_AND_E,
        ),
        Identity(
            "liabilities = current + non-current",
            (_sum(_BS, "liabilities", "-current_liabilities", "-noncurrent_liabilities"),),
            _A_IS_L_AND_E,
        ),
        Identity(
            "equity = parent's + minority's",
            (
                _sum(
                    _BS, "equity", "-equity_attributable_to_parent",
                    optional=("-equity_attributable_to_noncontrolling_interest",),
                ),
            ),
            _sum(
                "", "total_equity", "-total_equity_attributable_to_parent",
                optional=("-noncontrolling_interest",),
            ),
        ),
    ),
    Statement.CASH_FLOW: (
        Identity(
            "change in cash = its flows",
            (
                _sum(
                    _CF, "net_cash_flow", f"-{_V1_OPERATING}", f"-{_V1_INVESTING}",
                    f"-{_V1_FINANCING}", optional=("-exchange_gains_losses",),
                ),
            ),
            _sum(
                "", "change_in_cash_and_equivalents", "-net_cash_from_operating_activities",
                "-net_cash_from_investing_activities", "-net_cash_from_financing_activities",
                optional=("-effect_of_currency_exchange_rate", "-other_cash_adjustments"),
            ),
        ),
        *(
            Identity(
                f"{kind} flow = continuing + discontinued",
                (
                    _sum(
                        _CF, v1, f"-{v1}_continuing", optional=(f"-{v1}_discontinued",)
                    ),
                ),
                _sum(
                    "", f"net_cash_from_{kind}_activities", f"-{continuing}",
                    optional=(f"-net_cash_from_{kind}_activities_discontinued_operations",),
                ),
            )
            for kind, v1, continuing in (
                (
                    "operating", _V1_OPERATING,
                    "cash_from_operating_activities_continuing_operations",
                ),
                (
                    "investing", _V1_INVESTING,
                    "net_cash_from_investing_activities_continuing_operations",
                ),
                (
                    "financing", _V1_FINANCING,
                    "net_cash_from_financing_activities_continuing_operations",
                ),
            )
        ),
    ),
    Statement.INCOME_STATEMENTS: (
        Identity(
            "gross profit = revenue - cost",
            (_sum(_IS, "gross_profit", "-revenues", "cost_of_revenue"),),
            _sum("", "gross_profit", "-revenue", "cost_of_revenue"),
        ),
        Identity(
            "operating income = gross profit - operating expenses",
            (
                _sum(_IS, "operating_income_loss", "-gross_profit", "operating_expenses"),
                _sum(_IS, "operating_income_loss", "-revenues", "operating_expenses"),
            ),
            _sum("", "operating_income", "-gross_profit", "total_operating_expenses"),
        ),
        Identity(
            "pre-tax income = operating + other",
            (
                _sum(
                    _IS, "income_loss_from_continuing_operations_before_tax",
                    "-operating_income_loss", "-nonoperating_income_loss",
                ),
            ),
            _sum(
                "", "income_before_income_taxes", "-operating_income",
                "-total_other_income_expense",
            ),
        ),
        Identity(
            "net income = pre-tax - taxes + discontinued",
            tuple(
                _sum(
                    _IS, "net_income_loss", "-income_loss_from_continuing_operations_before_tax",
                    optional=(
                        "income_tax_expense_benefit",
                        "-income_loss_from_discontinued_operations_net_of_tax",
                        *equity_method,
                    ),
                )
                for equity_method in ((), ("-income_loss_from_equity_method_investments",))
            ),
            _sum(
                "", "consolidated_net_income_loss", "-income_before_income_taxes",
                optional=("income_taxes", "-discontinued_operations"),
            ),
        ),
        Identity(
            "net income = parent's + minority's",
            (
                _sum(
                    _IS, "net_income_loss", "-net_income_loss_attributable_to_parent",
                    optional=("-net_income_loss_attributable_to_noncontrolling_interest",),
                ),
            ),
            _sum(
                "", "net_income_loss_attributable_common_shareholders",
                "-consolidated_net_income_loss",
                optional=("-noncontrolling_interest", "preferred_stock_dividends_declared"),
            ),
        ),
    ),
}  # fmt: skip


def broken_identity(paired: Paired, pair: Pair) -> tuple[Flags, list[str]]:
    """Which values v1 itself contradicts, and the names of the identities that say so.

    v1's identity fails as it stands, holds with v2's value in place of v1's, and v2's own holds.
    """
    result = np.zeros(len(paired), dtype=bool)
    names = []
    v1, v2 = dict(paired.v1), dict(paired.v2)
    slack = np.maximum(_HOLDS, _SLACK * np.abs(pair.difference))
    for identity in IDENTITIES[paired.statement]:
        fails = np.ones(len(paired), dtype=bool)
        mended = np.zeros(len(paired), dtype=bool)
        for line in identity.v1:
            residual = line.residual(v1)
            fails &= ~(np.abs(residual) <= slack)
            for position, entry in enumerate(pair.entries):
                change = line.sign_of(column_of(entry)) * pair.sign * pair.difference
                came_from = pair.source == position
                mended |= came_from & (change != 0) & (np.abs(residual + change) <= slack)
        holds = np.abs(identity.v2.residual(v2)) <= slack
        broken = fails & mended & holds
        if broken.any():
            names.append(identity.name)
            result |= broken
    return result, names
