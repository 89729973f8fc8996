"""The ratios endpoint: one snapshot per listed ticker, of the last trading day."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from .company import QUARTERLY, TTM
from .rows import Entry, Row

RowsOf = Callable[[str], list[Row]]


def trading_day(today: int) -> str:
    """Return the last weekday up to a day's ordinal."""
    day = date.fromordinal(today)
    return (day - timedelta(days=max(0, day.weekday() - 4))).isoformat()


def ratio_rows(rows_of: RowsOf, today: int) -> list[Entry]:
    """Return the ratios of a company's tickers, of its newest quarter and trailing year."""
    sheet = _newest(rows_of("balance_sheets"), QUARTERLY)
    if sheet is None:
        return []
    income = _record(_newest(rows_of("income_statements"), TTM))
    cash_flow = _record(_newest(rows_of("cash_flow"), TTM))
    rows = []
    for ticker in sheet.tickers:
        dice = random.Random(f"{ticker} {today}")
        price = round(dice.uniform(5.0, 400.0), 2)
        volume = float(dice.randrange(10_000, 50_000_000))
        values = _ratios(price, _record(sheet), income, cash_flow)
        rows.append(
            Entry(
                ticker=ticker,
                cik=sheet.cik,
                date=trading_day(today),
                price=price,
                average_volume=volume,
                **values,
            )
        )
    return rows


def _newest(rows: list[Row], timeframe: str) -> Row | None:
    own = [row for row in rows if row.timeframe == timeframe]
    return max(own, key=lambda row: (row.period_end, row.fiscal_year), default=None)


def _record(row: Row | None) -> dict[str, Any]:
    return json.loads(row.data) if row else {}


def _ratios(
    price: float, sheet: dict[str, Any], income: dict[str, Any], cash_flow: dict[str, Any]
) -> dict[str, float | None]:
    """Return the documented ratios; None where a figure is missing or the ratio has no sense."""
    shares = income.get("basic_shares_outstanding")
    equity, assets = sheet.get("total_equity"), sheet.get("total_assets")
    due = sheet.get("total_current_liabilities")
    cash = sheet.get("cash_and_equivalents") or 0.0
    current = sheet.get("total_current_assets")
    debt = (sheet.get("debt_current") or 0.0) + (
        sheet.get("long_term_debt_and_capital_lease_obligations") or 0.0
    )
    revenue, ebitda = income.get("revenue"), income.get("ebitda")
    profit = income.get("net_income_loss_attributable_common_shareholders")
    operating = cash_flow.get("net_cash_from_operating_activities")
    spent = cash_flow.get("purchase_of_property_plant_and_equipment") or 0.0
    free = None if operating is None else operating + spent
    value = price * shares if shares else None
    enterprise = None if value is None else value + debt - cash
    earnings = _per(profit, shares)
    liquid = None if current is None else current - (sheet.get("inventories") or 0.0)
    return {
        "market_cap": value,
        "earnings_per_share": earnings,
        "price_to_earnings": _positive(price, earnings),
        "price_to_book": _per(value, equity),
        "price_to_sales": _per(value, revenue),
        "price_to_cash_flow": _positive(value, operating),
        "price_to_free_cash_flow": _positive(value, free),
        "dividend_yield": _per(abs(cash_flow.get("dividends") or 0.0), value),
        "return_on_assets": _per(profit, assets),
        "return_on_equity": _per(profit, equity),
        "debt_to_equity": _per(debt, equity),
        "current": _per(current, due),
        "quick": _per(liquid, due),
        "cash": _per(cash, due),
        "ev_to_sales": _per(enterprise, revenue),
        "ev_to_ebitda": _per(enterprise, ebitda),
        "enterprise_value": enterprise,
        "free_cash_flow": free,
    }


def _per(value: float | None, by: float | None) -> float | None:
    return None if value is None or not by else round(value / by, 4)


def _positive(value: float | None, by: float | None) -> float | None:
    return _per(value, by) if by is not None and by > 0 else None
