"""The names, labels, orders, units and signs of both generations, copied out by hand.

v2 is transcribed from the vendor's OpenAPI description, v1 from recorded answers. They are
repeated here on purpose: the sandbox shares no field map with the project, so that a wrong
mapping cannot prove itself. The last word of each line is the sandbox's own fact; a minus
before it is the sign that the vendor serves it with.
"""

from __future__ import annotations

from typing import NamedTuple

_V1_TEXT: dict[str, str] = {
    "balance_sheet": """
assets | Assets | 100 | ta
current_assets | Current Assets | 200 | ca
cash | Cash | 210 | cash_v1
accounts_receivable | Accounts Receivable | 220 | rec_trade
inventory | Inventory | 230 | inv
prepaid_expenses | Prepaid Expenses | 240 | prepaid
other_current_assets | Other Current Assets | 250 | oca_v1
noncurrent_assets | Noncurrent Assets | 300 | nca
fixed_assets | Fixed Assets | 320 | ppe
intangible_assets | Intangible Assets | 330 | intang
noncurrent_prepaid_expenses | Non-current Prepaid Expenses | 340 | nc_prepaid
other_noncurrent_assets | Other Non-current Assets | 350 | onca_v1
liabilities | Liabilities | 600 | liab_v1
current_liabilities | Current Liabilities | 700 | cl
accounts_payable | Accounts Payable | 710 | ap
interest_payable | Interest Payable | 720 | int_payable
wages | Wages | 730 | wages
other_current_liabilities | Other Current Liabilities | 740 | ocl_v1
noncurrent_liabilities | Noncurrent Liabilities | 800 | ncl
long_term_debt | Long-term Debt | 810 | ltd_v1
other_noncurrent_liabilities | Other Non-current Liabilities | 820 | oncl_v1
commitments_and_contingencies | Commitments and Contingencies | 900 | mezz
redeemable_noncontrolling_interest | Redeemable Noncontrolling Interest | 1000 | mezz_rni
equity | Equity | 1400 | te
equity_attributable_to_noncontrolling_interest |\
 Equity Attributable To Noncontrolling Interest | 1500 | nci_bs
equity_attributable_to_parent | Equity Attributable To Parent | 1600 | parent_eq
temporary_equity | Temporary Equity | 1700 | mezz_temp
temporary_equity_attributable_to_parent |\
 Temporary Equity Attributable To Parent | 1800 | mezz_temp_parent
liabilities_and_equity | Liabilities And Equity | 1900 | ta
""",
    "cash_flow_statement": """
net_cash_flow_from_operating_activities | Net Cash Flow From Operating Activities | 100 | cfo
net_cash_flow_from_operating_activities_continuing |\
 Net Cash Flow From Operating Activities, Continuing | 200 | cfo_c
net_cash_flow_from_operating_activities_discontinued |\
 Net Cash Flow From Operating Activities Discontinued | 300 | cfo_d
net_cash_flow_from_investing_activities | Net Cash Flow From Investing Activities | 400 | cfi
net_cash_flow_from_investing_activities_continuing |\
 Net Cash Flow From Investing Activities, Continuing | 500 | cfi_c
net_cash_flow_from_investing_activities_discontinued |\
 Net Cash Flow From Investing Activities Discontinued | 600 | cfi_d
net_cash_flow_from_financing_activities | Net Cash Flow From Financing Activities | 700 | cff
net_cash_flow_from_financing_activities_continuing |\
 Net Cash Flow From Financing Activities, Continuing | 800 | cff_c
net_cash_flow_from_financing_activities_discontinued |\
 Net Cash Flow From Financing Activities Discontinued | 900 | cff_d
exchange_gains_losses | Exchange Gains/Losses | 1000 | fx
net_cash_flow | Net Cash Flow | 1100 | dcash
net_cash_flow_continuing | Net Cash Flow, Continuing | 1200 | dcash_c
net_cash_flow_discontinued | Net Cash Flow, Discontinued | 1300 | dcash_d
""",
    "income_statement": """
revenues | Revenues | 100 | rev_v1
benefits_costs_expenses | Benefits Costs and Expenses | 200 | costs_v1
cost_of_revenue | Cost Of Revenue | 300 | cost
costs_and_expenses | Costs And Expenses | 600 | costs_v1
gross_profit | Gross Profit | 800 | gross
nonoperating_income_loss | Nonoperating Income/Loss | 900 | tot
operating_expenses | Operating Expenses | 1000 | opex_v1
selling_general_and_administrative_expenses |\
 Selling, General, and Administrative Expenses | 1010 | sga
depreciation_and_amortization | Depreciation And Amortization | 1020 | dda
research_and_development | Research and Development | 1030 | rd
other_operating_expenses | Other Operating Expenses | 1040 | oop_v1
operating_income_loss | Operating Income/Loss | 1100 | op
income_loss_before_equity_method_investments |\
 Income/Loss Before Equity Method Investments | 1300 | before_eq
income_loss_from_continuing_operations_after_tax |\
 Income/Loss From Continuing Operations After Tax | 1400 | after_tax
income_loss_from_continuing_operations_before_tax |\
 Income/Loss From Continuing Operations Before Tax | 1500 | pretax
income_loss_from_discontinued_operations_net_of_tax |\
 Income/Loss From Discontinued Operations Net Of Tax | 1600 | disc
income_loss_from_equity_method_investments |\
 Income/Loss From Equity Method Investments | 2100 | eq
income_tax_expense_benefit | Income Tax Expense/Benefit | 2200 | tax
income_tax_expense_benefit_current | Income Tax Expense Benefit Current | 2300 | tax_cur
income_tax_expense_benefit_deferred | Income Tax Expense/Benefit, Deferred | 2400 | tax_def
interest_and_debt_expense | Interest And Debt Expense | 2500 | ie_debt
interest_and_dividend_income_operating |\
 Interest And Dividend Income Operating | 2600 | bank_int_inc
interest_expense_operating | Interest Expense, Operating | 2700 | ie
interest_income_expense_after_provision_for_losses |\
 Interest Income Expense After Provision For Losses | 2800 | bank_nii_after
interest_income_expense_operating_net | Interest Income Expense Operating Net | 2900 | bank_nii
noninterest_expense | Noninterest Expense | 3000 | bank_non_exp
noninterest_income | Noninterest Income | 3100 | bank_non_inc
net_income_loss | Net Income/Loss | 3200 | ni
net_income_loss_attributable_to_noncontrolling_interest |\
 Net Income/Loss Attributable To Noncontrolling Interest | 3300 | nci
net_income_loss_attributable_to_parent | Net Income/Loss Attributable To Parent | 3500 | parent_ni
net_income_loss_available_to_common_stockholders_basic |\
 Net Income/Loss Available To Common Stockholders, Basic | 3700 | common
participating_securities_distributed_and_undistributed_earnings_loss_basic |\
 Participating Securities, Distributed And Undistributed Earnings/Loss, Basic | 3800 | zero
preferred_stock_dividends_and_other_adjustments |\
 Preferred Stock Dividends And Other Adjustments | 3900 | pref
provision_for_loan_lease_and_other_losses |\
 Provision For Loan Lease And Other Losses | 4000 | bank_prov
basic_earnings_per_share | Basic Earnings Per Share | 4200 | eps_basic
diluted_earnings_per_share | Diluted Earnings Per Share | 4300 | eps_diluted
basic_average_shares | Basic Average Shares | 4400 | shares_basic
diluted_average_shares | Diluted Average Shares | 4500 | shares_diluted
common_stock_dividends | Common Stock Dividends | 4600 | dps
""",
    "comprehensive_income": """
comprehensive_income_loss | Comprehensive Income/Loss | 100 | ci
comprehensive_income_loss_attributable_to_noncontrolling_interest |\
 Comprehensive Income/Loss Attributable To Noncontrolling Interest | 200 | nci
comprehensive_income_loss_attributable_to_parent |\
 Comprehensive Income/Loss Attributable To Parent | 300 | ci_parent
other_comprehensive_income_loss | Other Comprehensive Income/Loss | 400 | ci
other_comprehensive_income_loss_attributable_to_parent |\
 Other Comprehensive Income/Loss Attributable To Parent | 600 | oci
""",
}

_V2_TEXT: dict[str, str] = {
    "balance_sheets": """
accounts_payable ap
accrued_and_other_current_liabilities accrued
accumulated_other_comprehensive_income aoci
additional_paid_in_capital apic
cash_and_equivalents cash
commitments_and_contingencies mezz
common_stock cs
debt_current debt_cur
deferred_revenue_current defrev
goodwill goodwill
intangible_assets_net intang
inventories inv
long_term_debt_and_capital_lease_obligations ltd
noncontrolling_interest nci_bs
other_assets oa
other_current_assets oca
other_equity other_eq
other_noncurrent_liabilities oncl
preferred_stock pref_bs
property_plant_equipment_net ppe
receivables rec
retained_earnings_deficit retained
short_term_investments sti
total_assets ta
total_current_assets ca_v2
total_current_liabilities cl
total_equity te
total_equity_attributable_to_parent parent_eq
total_liabilities tl
total_liabilities_and_equity ta
treasury_stock -treasury
""",
    "cash_flow": """
cash_from_operating_activities_continuing_operations cfo_c
change_in_cash_and_equivalents dcash
change_in_other_operating_assets_and_liabilities_net chg
depreciation_depletion_and_amortization dda_cf
dividends -div
effect_of_currency_exchange_rate fx
income_loss_from_discontinued_operations -disc
long_term_debt_issuances_repayments ltd_flow
net_cash_from_financing_activities cff
net_cash_from_financing_activities_continuing_operations cff_c
net_cash_from_financing_activities_discontinued_operations cff_d
net_cash_from_investing_activities cfi
net_cash_from_investing_activities_continuing_operations cfi_c
net_cash_from_investing_activities_discontinued_operations cfi_d
net_cash_from_operating_activities cfo
net_cash_from_operating_activities_discontinued_operations cfo_d
net_income ni
noncontrolling_interests -nci_cash
other_cash_adjustments adj
other_financing_activities oth_fin
other_investing_activities oth_inv
other_operating_activities oth_opr
purchase_of_property_plant_and_equipment -capex
sale_of_property_plant_and_equipment sale_ppe
short_term_debt_issuances_repayments std_flow
""",
    "income_statements": """
basic_earnings_per_share eps_basic
basic_shares_outstanding shares_basic
consolidated_net_income_loss ni
cost_of_revenue cost
depreciation_depletion_amortization dda
diluted_earnings_per_share eps_diluted
diluted_shares_outstanding shares_diluted
discontinued_operations disc
ebitda ebitda
equity_in_affiliates eq
extraordinary_items none
gross_profit gross
income_before_income_taxes pretax
income_taxes tax
interest_expense -ie
interest_income ii
net_income_loss_attributable_common_shareholders common
noncontrolling_interest -nci
operating_income op
other_income_expense oth
other_operating_expenses oop
preferred_stock_dividends_declared pref
research_development rd
revenue rev
selling_general_administrative sga
total_operating_expenses opex
total_other_income_expense tot
""",
}

_UNITS = {
    "eps_basic": "USD / shares",
    "eps_diluted": "USD / shares",
    "dps": "USD / shares",
    "shares_basic": "shares",
    "shares_diluted": "shares",
}


class V1Line(NamedTuple):
    """One v1 line: its key, label, order and unit, and the fact it carries."""

    name: str
    label: str
    order: int
    unit: str
    fact: str


class V2Line(NamedTuple):
    """One v2 column: its key, the fact it carries and the sign it is served with."""

    name: str
    fact: str
    sign: int


def _v1_lines(text: str) -> tuple[V1Line, ...]:
    lines = []
    for line in text.strip().splitlines():
        name, label, order, fact = (part.strip() for part in line.split("|"))
        lines.append(V1Line(name, label, int(order), _UNITS.get(fact, "USD"), fact))
    return tuple(lines)


def _v2_lines(text: str) -> tuple[V2Line, ...]:
    lines = []
    for line in text.strip().splitlines():
        name, fact = line.split()
        lines.append(V2Line(name, fact.lstrip("-"), -1 if fact.startswith("-") else 1))
    return tuple(lines)


V1_LINES: dict[str, tuple[V1Line, ...]] = {k: _v1_lines(v) for k, v in _V1_TEXT.items()}
V2_LINES: dict[str, tuple[V2Line, ...]] = {k: _v2_lines(v) for k, v in _V2_TEXT.items()}
V2_STATEMENTS: tuple[str, ...] = tuple(V2_LINES)
V2_PATHS: dict[str, str] = {
    "/stocks/financials/v1/balance-sheets": "balance_sheets",
    "/stocks/financials/v1/cash-flow-statements": "cash_flow",
    "/stocks/financials/v1/income-statements": "income_statements",
}
V1_PATH = "/vX/reference/financials"
TICKERS_PATH = "/v3/reference/tickers"
FILINGS_PATH = "/stocks/filings/vX/index"
RATIOS_PATH = "/stocks/financials/v1/ratios"
RATIO_FIELDS: tuple[str, ...] = (
    "average_volume",
    "cash",
    "current",
    "debt_to_equity",
    "dividend_yield",
    "earnings_per_share",
    "enterprise_value",
    "ev_to_ebitda",
    "ev_to_sales",
    "free_cash_flow",
    "market_cap",
    "price",
    "price_to_book",
    "price_to_cash_flow",
    "price_to_earnings",
    "price_to_free_cash_flow",
    "price_to_sales",
    "quick",
    "return_on_assets",
    "return_on_equity",
)

#: v2 keys that are zero-filled where the line is absent, whatever the company.
V2_ALWAYS_ZERO: frozenset[str] = frozenset(
    {
        "cost_of_revenue",
        "other_operating_expenses",
        "other_income_expense",
        "other_equity",
        "dividends",
        "receivables",
    }
)
#: v2 keys that a template never carries: a missing key marks banks and insurers.
V2_NEVER: dict[str, frozenset[str]] = {
    "bank": frozenset({"interest_expense", "research_development"}),
    "insurer": frozenset({"research_development"}),
}
