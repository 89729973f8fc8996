"""Literal examples of one company, so that no sign or definition can drift unnoticed."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from sandbox import Sandbox

PERIOD = "2024-03-31"


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return Sandbox(start=date(2023, 1, 1))


def _v2(sandbox: Sandbox, statement: str, ticker: str, timeframe: str = "quarterly") -> Any:
    return next(
        row
        for row in sandbox.rows("v2", statement)
        if ticker in row.get("tickers", [])
        and row["period_end"] == PERIOD
        and row["timeframe"] == timeframe
    )


def _v1(sandbox: Sandbox, ticker: str, timeframe: str = "quarterly") -> Any:
    record = next(
        record
        for record in sandbox.rows("v1")
        if ticker in record.get("tickers", [])
        and record["end_date"] == PERIOD
        and record["timeframe"] == timeframe
    )
    return {
        section: {name: point["value"] for name, point in lines.items()}
        for section, lines in record["financials"].items()
    }


BILLION = 1_000_000_000


def _billions(lines: Any, *names: str) -> list[float | None]:
    return [None if lines.get(name) is None else lines[name] / BILLION for name in names]


def test_v2_income_statement(sandbox: Sandbox) -> None:
    row = _v2(sandbox, "income_statements", "AAAX")
    assert _billions(
        row,
        "revenue",
        "cost_of_revenue",
        "total_operating_expenses",
        "operating_income",
        "interest_expense",
        "interest_income",
        "noncontrolling_interest",
        "consolidated_net_income_loss",
        "net_income_loss_attributable_common_shareholders",
        "preferred_stock_dividends_declared",
    ) == [284.653, 162.994, 28.406, 93.253, -2.517, 2.042, -3.116, 77.888, 74.772, None]
    assert row["other_operating_expenses"] == 0.0
    assert row["basic_earnings_per_share"] == 1.52
    assert row["basic_shares_outstanding"] == 49_157_713_000
    assert (row["fiscal_year"], row["fiscal_quarter"]) == (2024, 1)
    assert row["filing_date"] == "2025-05-02"


def test_v1_income_statement_of_the_same_quarter(sandbox: Sandbox) -> None:
    lines = _v1(sandbox, "AAAX")["income_statement"]
    assert _billions(
        lines,
        "revenues",
        "cost_of_revenue",
        "operating_expenses",
        "operating_income_loss",
        "interest_expense_operating",
        "net_income_loss_attributable_to_noncontrolling_interest",
        "net_income_loss",
        "net_income_loss_available_to_common_stockholders_basic",
        "preferred_stock_dividends_and_other_adjustments",
        "costs_and_expenses",
    ) == [284.653, 162.994, 28.406, 93.253, 2.517, 3.116, 77.888, 74.772, 0, 186.061]
    assert lines["basic_earnings_per_share"] == 1.52
    assert lines["basic_average_shares"] == 49_157_713_000


def test_v2_balance_sheet(sandbox: Sandbox) -> None:
    row = _v2(sandbox, "balance_sheets", "AAAX")
    assert _billions(
        row,
        "total_assets",
        "other_current_assets",
        "other_assets",
        "long_term_debt_and_capital_lease_obligations",
        "debt_current",
        "other_noncurrent_liabilities",
        "treasury_stock",
        "noncontrolling_interest",
        "short_term_investments",
    ) == [1380.39, 41.163, 146.336, 256.119, 26.634, 81.728, -110.523, 16.98, None]


def test_v1_balance_sheet_residuals_mean_something_else(sandbox: Sandbox) -> None:
    lines = _v1(sandbox, "AAAX")["balance_sheet"]
    assert _billions(
        lines,
        "assets",
        "other_current_assets",
        "other_noncurrent_assets",
        "long_term_debt",
        "other_noncurrent_liabilities",
        "equity_attributable_to_noncontrolling_interest",
    ) == [1380.39, 200.221, 375.371, 275.107, 62.740, 16.98]


def test_v2_cash_flow(sandbox: Sandbox) -> None:
    row = _v2(sandbox, "cash_flow", "AAAX")
    assert _billions(
        row,
        "net_cash_from_operating_activities",
        "net_cash_from_investing_activities",
        "net_cash_from_financing_activities",
        "change_in_cash_and_equivalents",
        "dividends",
        "purchase_of_property_plant_and_equipment",
        "net_income",
        "effect_of_currency_exchange_rate",
    ) == [100.897, -15.123, -76.826, 8.948, -8.461, -12.671, 77.888, None]


def test_v1_cash_flow_has_totals_only(sandbox: Sandbox) -> None:
    lines = _v1(sandbox, "AAAX")["cash_flow_statement"]
    assert {name: value / BILLION for name, value in lines.items()} == {
        "net_cash_flow_from_operating_activities": 100.897,
        "net_cash_flow_from_operating_activities_continuing": 100.897,
        "net_cash_flow_from_investing_activities": -15.123,
        "net_cash_flow_from_investing_activities_continuing": -15.123,
        "net_cash_flow_from_financing_activities": -76.826,
        "net_cash_flow_from_financing_activities_continuing": -76.826,
        "net_cash_flow": 8.948,
        "net_cash_flow_continuing": 8.948,
    }


def test_a_point_of_v1_carries_unit_label_and_order(sandbox: Sandbox) -> None:
    record = sandbox.rows("v1")[-1]
    financials = record["financials"]
    assert {k: financials["balance_sheet"]["assets"][k] for k in ("unit", "label", "order")} == {
        "unit": "USD",
        "label": "Assets",
        "order": 100,
    }
    income = financials["income_statement"]
    assert income["diluted_earnings_per_share"]["unit"] == "USD / shares"
    assert income["diluted_average_shares"]["unit"] == "shares"
    assert income["diluted_average_shares"]["order"] == 4500
    assert isinstance(record["fiscal_year"], str)


def test_a_bank_is_net_in_v1_and_gross_in_v2(sandbox: Sandbox) -> None:
    bank = next(p for p in sandbox.planted if p.kind == "bank")
    row = _v2(sandbox, "income_statements", bank.tickers[0])
    lines = _v1(sandbox, bank.tickers[0])["income_statement"]
    other = row["other_income_expense"] or 0
    assert lines["revenues"] == row["revenue"] - row["cost_of_revenue"] + other
    assert "interest_expense" not in row
    assert "research_development" not in row
    assert "cost_of_revenue" not in lines
