"""The lines that v1 and v2 are known to define differently, and how each definition is proven."""

from __future__ import annotations

from polygon_fundamentals.parity.line_proofs import (
    CURRENT_DEBT,
    PRE_TAX,
    SOME_CURRENT_DEBT,
    Definition,
    components_missing,
    expenses_follow_operating_income,
    includes,
    mezzanine_lines_added,
    residuals,
    same_operating_income,
    same_pre_tax,
)
from polygon_fundamentals.parity.splits import four_quarters_added
from polygon_fundamentals.statements import Statement

_CURRENT_ASSETS_LEFT = residuals(
    "other_current_assets = current_assets - cash - accounts_receivable - inventory - "
    "prepaid_expenses",
    "total_current_assets - cash_and_equivalents - short_term_investments - receivables - "
    "inventories",
)
_NONCURRENT_ASSETS_LEFT = residuals(
    "other_noncurrent_assets = noncurrent_assets - long_term_investments - fixed_assets - "
    "intangible_assets - noncurrent_prepaid_expenses",
    "total_assets - total_current_assets - property_plant_equipment_net - goodwill - "
    "intangible_assets_net",
)
_CURRENT_LIABILITIES_LEFT = residuals(
    "other_current_liabilities = current_liabilities - accounts_payable - interest_payable - wages",
    "total_current_liabilities - accounts_payable - debt_current - deferred_revenue_current",
)
_NONCURRENT_LIABILITIES_LEFT = residuals(
    "other_noncurrent_liabilities = noncurrent_liabilities - long_term_debt",
    "total_liabilities - total_current_liabilities - long_term_debt_and_capital_lease_obligations",
)
_EXPENSES_LEFT = residuals(
    "other_operating_expenses = operating_expenses - selling_general_and_administrative_expenses - "
    "depreciation_and_amortization - research_and_development",
    "total_operating_expenses - selling_general_administrative - "
    "depreciation_depletion_amortization - research_development",
)
_DIVIDED_ELSEWHERE = Definition(
    "operating and other income are divided elsewhere", same_pre_tax, same_operating_income
)
_FOUR_QUARTERS = Definition("v1 adds the averages of four quarters up", four_quarters_added)

# By statement and v2 field; the first definition that explains a difference is named.
DEFINITIONS: dict[Statement, dict[str, tuple[Definition, ...]]] = {
    Statement.BALANCE_SHEETS: {
        "total_current_assets": (
            Definition("v2 adds up the components that it has, and lacks one", components_missing),
        ),
        "cash_and_equivalents": (
            includes("v1 includes short-term investments", "short_term_investments"),
        ),
        "other_current_assets": (
            Definition(
                "a remainder: each API subtracts its own lines from current assets",
                _CURRENT_ASSETS_LEFT,
            ),
        ),
        "other_assets": (
            Definition(
                "a remainder: each API subtracts its own lines from non-current assets",
                _NONCURRENT_ASSETS_LEFT,
            ),
            includes("v1 includes goodwill", "goodwill"),
            includes("v1 includes goodwill and intangibles", "goodwill", "intangible_assets_net"),
        ),
        "accrued_and_other_current_liabilities": (
            Definition(
                "a remainder: each API subtracts its own lines from current liabilities",
                _CURRENT_LIABILITIES_LEFT,
            ),
            includes(
                "v1 includes current debt and deferred revenue",
                "debt_current",
                "deferred_revenue_current",
            ),
        ),
        "long_term_debt_and_capital_lease_obligations": (CURRENT_DEBT, SOME_CURRENT_DEBT),
        "other_noncurrent_liabilities": (
            Definition(
                "a remainder: each API subtracts its own lines from non-current liabilities",
                _NONCURRENT_LIABILITIES_LEFT,
            ),
        ),
        "commitments_and_contingencies": (
            Definition("v2 adds up v1's mezzanine lines", mezzanine_lines_added),
        ),
    },
    Statement.CASH_FLOW: {},
    Statement.INCOME_STATEMENTS: {
        "revenue": (
            includes("v1 includes interest income", "interest_income"),
            includes("v1 includes all other income", "total_other_income_expense"),
        ),
        "operating_income": (_DIVIDED_ELSEWHERE, PRE_TAX),
        "total_other_income_expense": (_DIVIDED_ELSEWHERE,),
        "total_operating_expenses": (
            includes("v1 includes the cost of revenue", "cost_of_revenue"),
            Definition(
                "operating lines are divided elsewhere",
                expenses_follow_operating_income,
                same_operating_income,
            ),
        ),
        "other_operating_expenses": (
            Definition(
                "a remainder: each API subtracts its own lines from operating expenses",
                _EXPENSES_LEFT,
            ),
        ),
        "basic_shares_outstanding": (_FOUR_QUARTERS,),
        "diluted_shares_outstanding": (_FOUR_QUARTERS,),
    },
}
