"""A small market of consistent facts, told as v1 and as v2 tell them.

It has its own field names, signs and definitions, written from the vendors' descriptions and not
from the field map.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Any

import pyarrow as pa

from polygon_fundamentals.statements import Statement
from tests.unit.parity.tables import v1_table, v2_table

BS, CF, IS = Statement.BALANCE_SHEETS, Statement.CASH_FLOW, Statement.INCOME_STATEMENTS
Key = tuple[str, str, str]
Records = dict[Statement, list[dict[str, Any]]]


@dataclass
class Company:
    """A company: its CIK, tickers, what kind it is, and its split (ratio, day), if any."""

    cik: str
    tickers: list[str]
    bank: bool = False
    split: tuple[float, date] | None = None


@dataclass
class Market:
    """The records of both generations, to be changed before they are compared."""

    companies: list[Company]
    v1: Records = field(default_factory=lambda: {s: [] for s in Statement})
    v2: Records = field(default_factory=lambda: {s: [] for s in Statement})

    def tables(self, statement: Statement) -> tuple[pa.Table, pa.Table]:
        """The two tables of a statement, a row in the file of each ticker."""
        v1 = [r | {"ticker": t} for r in self.v1[statement] for t in r["tickers"]]
        v2 = [r | {"ticker": t} for r in self.v2[statement] for t in r["tickers"]]
        return v1_table(statement, v1), v2_table(statement, v2)

    def record(
        self, generation: str, statement: Statement, ticker: str, timeframe: str, end: str
    ) -> dict[str, Any]:
        """The one record of a period, to be changed in place."""
        records = self.v1 if generation == "v1" else self.v2
        name = "end_date" if generation == "v1" else "period_end"
        spelled = timeframe
        if generation == "v2" and timeframe == "ttm":
            spelled = "trailing_twelve_months"
        [found] = [
            r
            for r in records[statement]
            if ticker in r["tickers"] and r["timeframe"] == spelled and str(r[name]) == end
        ]
        return found


def build(years: range = range(2019, 2025), seed: int = 1) -> Market:
    """Six companies: ordinary, two share classes, a bank, a forward and a reverse split, small."""
    companies = [
        Company("0000000001", ["AAA"]),
        Company("0000000002", ["BBB", "BBB.A"]),
        Company("0000000003", ["BNK"], bank=True),
        Company("0000000004", ["SPL"], split=(10.0, date(2022, 6, 10))),
        Company("0000000005", ["REV"], split=(0.05, date(2021, 8, 1))),
        Company("0000000006", ["TWO"], split=(1.5, date(2023, 2, 1))),
    ]
    market = Market(companies)
    for company in companies:
        random = Random(f"{seed} {company.cik}")
        for year in years:
            quarters = [_facts(random, company) for _ in range(4)]
            whole = _year(quarters)
            for number, facts in enumerate(quarters, start=1):
                end = _quarter_end(year, number)
                _tell(market, company, facts, "quarterly", end, year, number)
            _tell(market, company, whole, "annual", _quarter_end(year, 4), year, 4)
            _tell(market, company, whole, "ttm", _quarter_end(year, 4), year, 4)
    return market


def _quarter_end(year: int, number: int) -> date:
    return [date(year, 3, 31), date(year, 6, 30), date(year, 9, 30), date(year, 12, 31)][number - 1]


def _facts(random: Random, company: Company) -> dict[str, float]:
    """One quarter's facts, in whole thousands, all identities true."""

    def money(low: int, high: int) -> float:
        return float(random.randint(low, high) * 1000 + random.randint(1, 9) * 100)

    f: dict[str, float] = {}
    f["revenue"] = money(800_000, 1_200_000)
    f["cost"] = money(300_000, 500_000)
    f["sga"], f["rnd"] = money(50_000, 90_000), 0.0 if company.bank else money(20_000, 60_000)
    f["other_opex"] = money(1_000, 5_000)
    f["interest"] = 0.0 if company.bank else money(1_000, 9_000)
    f["interest_income"], f["other_income"] = money(500, 900), money(100, 4_000)
    f["tax"] = money(30_000, 60_000)
    f["minority"] = money(100, 900)
    f["preferred"] = 0.0
    f["shares"] = float(random.randint(100_000, 100_900) * 1000)
    f["diluted"] = f["shares"] + 1_500_000
    f["cash"], f["sti"], f["receivables"] = (money(50_000, 99_000) for _ in range(3))
    f["inventory"], f["other_ca"] = money(20_000, 30_000), money(3_000, 6_000)
    f["ppe"], f["goodwill"], f["intangibles"] = (money(100_000, 200_000) for _ in range(3))
    f["other_nca"] = money(10_000, 20_000)
    f["payables"], f["debt_current"] = money(20_000, 30_000), money(5_000, 9_000)
    f["deferred"], f["accrued"] = money(1_000, 2_000), money(3_000, 9_000)
    f["ltd"], f["other_ncl"] = money(60_000, 90_000), money(4_000, 9_000)
    f["equity_minority"] = money(1_000, 2_000)
    f["cfo"], f["cfi"], f["cff"] = money(90_000, 120_000), -money(50_000, 70_000), -money(1, 9_000)
    f["fx"] = -money(10, 90)
    return f


def _year(quarters: list[dict[str, float]]) -> dict[str, float]:
    last = quarters[-1]
    flows = {
        "revenue", "cost", "sga", "rnd", "other_opex", "interest", "interest_income",
        "other_income", "tax", "minority", "preferred", "cfo", "cfi", "cff", "fx",
    }  # fmt: skip
    year = {name: sum(q[name] for q in quarters) for name in flows}
    shares = {n: sum(q[n] for q in quarters) / 4 for n in ("shares", "diluted")}
    return last | year | shares


def _tell(
    market: Market,
    company: Company,
    f: dict[str, float],
    timeframe: str,
    end: date,
    year: int,
    quarter: int,
) -> None:
    derived = timeframe == "ttm" or (timeframe == "quarterly" and quarter == 4)
    filed = end + timedelta(days=40)
    period = {"quarterly": f"Q{quarter}", "annual": "FY", "ttm": "TTM"}[timeframe]
    v1 = {
        "cik": company.cik,
        "tickers": company.tickers,
        "end_date": end,
        "filing_date": None if derived else filed,
        "acceptance_datetime": None if derived else f"{filed}T16:30:00Z",
        "fiscal_year": str(year),
        "fiscal_period": period,
        "timeframe": timeframe,
    }
    v2 = {
        "cik": company.cik,
        "tickers": company.tickers,
        "period_end": end,
        "filing_date": filed,
        "fiscal_year": year,
        "fiscal_quarter": quarter,
        "timeframe": "trailing_twelve_months" if timeframe == "ttm" else timeframe,
    }
    market.v1[BS].append(v1 | _v1_balance(f))
    if timeframe != "ttm":
        market.v2[BS].append(v2 | _v2_balance(f))
    market.v1[CF].append(v1 | _v1_cash(f))
    market.v2[CF].append(v2 | _v2_cash(f))
    market.v1[IS].append(v1 | _v1_income(f, company, timeframe))
    market.v2[IS].append(v2 | _v2_income(f, company, end))


def _totals(f: dict[str, float]) -> dict[str, float]:
    ca = f["cash"] + f["sti"] + f["receivables"] + f["inventory"] + f["other_ca"]
    nca = f["ppe"] + f["goodwill"] + f["intangibles"] + f["other_nca"]
    cl = f["payables"] + f["debt_current"] + f["deferred"] + f["accrued"]
    liabilities = cl + f["ltd"] + f["other_ncl"]
    return {"ca": ca, "nca": nca, "cl": cl, "a": ca + nca, "l": liabilities}


def _v1_balance(f: dict[str, float]) -> dict[str, Any]:
    t = _totals(f)
    equity = t["a"] - t["l"]
    debt = f["ltd"] + f["debt_current"]
    return {
        "assets": t["a"],
        "current_assets": t["ca"],
        "inventory": f["inventory"],
        "other_current_assets": t["ca"] - f["inventory"],
        "noncurrent_assets": t["nca"],
        "fixed_assets": f["ppe"],
        "intangible_assets": f["intangibles"],
        "other_noncurrent_assets": t["nca"] - f["ppe"] - f["intangibles"],
        "liabilities": t["l"],
        "current_liabilities": t["cl"],
        "accounts_payable": f["payables"],
        "other_current_liabilities": t["cl"] - f["payables"],
        "noncurrent_liabilities": t["l"] - t["cl"],
        "long_term_debt": debt,
        "other_noncurrent_liabilities": t["l"] - t["cl"] - debt,
        "equity": equity,
        "equity_attributable_to_noncontrolling_interest": f["equity_minority"],
        "equity_attributable_to_parent": equity - f["equity_minority"],
        "liabilities_and_equity": t["a"],
    }


def _v2_balance(f: dict[str, float]) -> dict[str, Any]:
    t = _totals(f)
    equity = t["a"] - t["l"]
    return {
        "total_assets": t["a"],
        "total_current_assets": t["ca"],
        "cash_and_equivalents": f["cash"],
        "short_term_investments": f["sti"],
        "receivables": f["receivables"],
        "inventories": f["inventory"],
        "other_current_assets": f["other_ca"],
        "property_plant_equipment_net": f["ppe"],
        "goodwill": f["goodwill"],
        "intangible_assets_net": f["intangibles"],
        "other_assets": f["other_nca"],
        "total_liabilities": t["l"],
        "total_current_liabilities": t["cl"],
        "accounts_payable": f["payables"],
        "debt_current": f["debt_current"],
        "deferred_revenue_current": f["deferred"],
        "accrued_and_other_current_liabilities": f["accrued"],
        "long_term_debt_and_capital_lease_obligations": f["ltd"],
        "other_noncurrent_liabilities": f["other_ncl"],
        "commitments_and_contingencies": 0.0,
        "total_equity": equity,
        "noncontrolling_interest": f["equity_minority"],
        "total_equity_attributable_to_parent": equity - f["equity_minority"],
        "total_liabilities_and_equity": t["a"],
        "other_equity": 0.0,
    }


def _v1_cash(f: dict[str, float]) -> dict[str, Any]:
    name = "net_cash_flow_from_{}_activities"
    kinds = {"operating": f["cfo"], "investing": f["cfi"], "financing": f["cff"]}
    lines = {name.format(k): v for k, v in kinds.items()}
    lines |= {name.format(k) + "_continuing": v for k, v in kinds.items()}
    return lines | {
        "exchange_gains_losses": f["fx"],
        "net_cash_flow": f["cfo"] + f["cfi"] + f["cff"] + f["fx"],
        "net_cash_flow_continuing": f["cfo"] + f["cfi"] + f["cff"],
    }


def _v2_cash(f: dict[str, float]) -> dict[str, Any]:
    name = "net_cash_from_{}_activities"
    kinds = {"operating": f["cfo"], "investing": f["cfi"], "financing": f["cff"]}
    lines = {name.format(k): v for k, v in kinds.items()}
    lines |= {name.format(k) + "_continuing_operations": v for k, v in kinds.items()}
    lines["cash_from_operating_activities_continuing_operations"] = lines.pop(
        "net_cash_from_operating_activities_continuing_operations"
    )
    return lines | {
        "effect_of_currency_exchange_rate": f["fx"],
        "change_in_cash_and_equivalents": sum(kinds.values()) + f["fx"],
        "dividends": 0.0,
        "net_income": 1.0,
    }


def _results(f: dict[str, float]) -> dict[str, float]:
    gross = f["revenue"] - f["cost"]
    opex = f["sga"] + f["rnd"] + f["other_opex"]
    other = f["interest_income"] + f["other_income"] - f["interest"]
    pretax = gross - opex + other
    net = pretax - f["tax"]
    return {
        "gross": gross, "opex": opex, "operating": gross - opex, "other": other,
        "pretax": pretax, "net": net, "common": net - f["minority"],
    }  # fmt: skip


def _v1_income(f: dict[str, float], company: Company, timeframe: str) -> dict[str, Any]:
    r = _results(f)
    times = 4 if timeframe == "ttm" else 1
    lines: dict[str, Any] = {
        "revenues": f["revenue"],
        "cost_of_revenue": f["cost"],
        "gross_profit": r["gross"],
        "operating_expenses": r["opex"],
        "selling_general_and_administrative_expenses": f["sga"],
        "research_and_development": f["rnd"],
        "other_operating_expenses": f["other_opex"],
        "operating_income_loss": r["operating"],
        "nonoperating_income_loss": r["other"],
        "income_loss_from_continuing_operations_before_tax": r["pretax"],
        "income_tax_expense_benefit": f["tax"],
        "interest_expense_operating": f["interest"],
        "net_income_loss": r["net"],
        "net_income_loss_attributable_to_noncontrolling_interest": f["minority"],
        "net_income_loss_attributable_to_parent": r["common"],
        "net_income_loss_available_to_common_stockholders_basic": r["common"],
        "preferred_stock_dividends_and_other_adjustments": 0.0,
        "basic_earnings_per_share": round(r["common"] / f["shares"], 2),
        "diluted_earnings_per_share": round(r["common"] / f["diluted"], 2),
        "basic_average_shares": f["shares"] * times,
        "diluted_average_shares": f["diluted"] * times,
        "comprehensive_income.comprehensive_income_loss": r["net"] + 1000,
    }
    if company.bank:
        lines["revenues"] = f["revenue"] - f["cost"] + f["other_income"]
        for name in (
            "cost_of_revenue", "gross_profit", "research_and_development",
            "interest_expense_operating",
        ):  # fmt: skip
            del lines[name]
    return lines


def _v2_income(f: dict[str, float], company: Company, end: date) -> dict[str, Any]:
    r = _results(f)
    ratio = company.split[0] if company.split and end < company.split[1] else 1.0
    shares, diluted = f["shares"] * ratio, f["diluted"] * ratio
    lines: dict[str, Any] = {
        "revenue": f["revenue"],
        "cost_of_revenue": f["cost"],
        "gross_profit": r["gross"],
        "total_operating_expenses": r["opex"],
        "selling_general_administrative": f["sga"],
        "research_development": f["rnd"],
        "other_operating_expenses": f["other_opex"],
        "operating_income": r["operating"],
        "total_other_income_expense": r["other"],
        "other_income_expense": f["other_income"],
        "interest_income": f["interest_income"],
        "interest_expense": -f["interest"],
        "income_before_income_taxes": r["pretax"],
        "income_taxes": f["tax"],
        "consolidated_net_income_loss": r["net"],
        "noncontrolling_interest": -f["minority"],
        "net_income_loss_attributable_common_shareholders": r["common"],
        "basic_earnings_per_share": round(r["common"] / shares, 2),
        "diluted_earnings_per_share": round(r["common"] / diluted, 2),
        "basic_shares_outstanding": shares,
        "diluted_shares_outstanding": diluted,
        "ebitda": r["operating"],
    }
    if company.bank:
        del lines["interest_expense"], lines["research_development"]
    return lines


def copied(market: Market) -> Market:
    """A market to change, the original untouched."""
    v1, v2 = (
        {
            statement: [dict(record) for record in records]
            for statement, records in by_statement.items()
        }
        for by_statement in (market.v1, market.v2)
    )
    return Market(market.companies, v1, v2)


def own_ticker(ticker: str, number: int) -> str:
    """A ticker in one of the markets that `side_by_side` joins."""
    return f"M{number:02d}_{ticker}"


def own_cik(cik: str, number: int) -> str:
    """A CIK in one of the markets that `side_by_side` joins."""
    return f"{number:02d}{cik[2:]}"


def side_by_side(markets: Iterable[Market]) -> Market:
    """The markets in one, the companies of each under CIKs and tickers of their own.

    To compare them all takes little longer than to compare one.
    """
    whole = Market([])
    for number, market in enumerate(markets, start=1):
        for mine, all_of in ((market.v1, whole.v1), (market.v2, whole.v2)):
            for statement, records in mine.items():
                all_of[statement] += [
                    record
                    | {
                        "cik": record["cik"] and own_cik(record["cik"], number),
                        "tickers": [own_ticker(t, number) for t in record["tickers"]],
                    }
                    for record in records
                ]
    return whole
