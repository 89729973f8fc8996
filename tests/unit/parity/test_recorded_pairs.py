"""Pairs of values that both APIs gave for the same company and period, recorded by others.

Beside each recorded pair stands how the two relate. What a comparison can know of that is less: the
total on the face of the 10-Q is in neither API, so a pair of two different lines is unexplained.
"""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from polygon_fundamentals.parity.compare import compare_statement
from polygon_fundamentals.parity.tolerances import load_tolerances
from polygon_fundamentals.statements import Statement
from tests.unit.parity.tables import v1_table, v2_table

ROOT = Path(__file__).parents[3]
PAIRS = ROOT.parent / "shared" / "api" / "real" / "pairs"
TOLERANCES = load_tolerances(ROOT / "expectations" / "tolerances.yaml")
IS = Statement.INCOME_STATEMENTS

BANK = "v1 = v2 revenue - cost_of_revenue + other_income"
EXPECTED = {
    "equal": {"matched", "rounded_by_filer"},
    BANK: {"bank_net_of_interest"},
    "neither plain": {"unexplained"},
    "v1 = 10-Q face total; v2 is another line": {"unexplained"},
    "v2 = 10-Q face total; v1 is another line": {"unexplained"},
    "v1 has no row for the period": {"extra"},
}


def recorded(name: str) -> list[dict[str, str]]:
    path = PAIRS / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def number(text: str) -> float | None:
    return float(text) if text else None


def found(v1: list[dict[str, Any]], v2: list[dict[str, Any]]) -> dict[str, str]:
    """The finding on revenue by ticker, in the latest period."""
    result = compare_statement(
        v1_table(IS, v1), v2_table(IS, v2), IS, TOLERANCES, {}, today=date(2026, 10, 1)
    )
    values = result.values.sort_values("period_end")
    revenue = values[values["v2_field"] == "revenue"]
    kinds = {row["ticker"]: "matched" for row in v1}
    kinds |= dict.fromkeys(result.extra_periods["ticker"], "extra")
    last = revenue[revenue["period_end"] > "2026-01-01"]
    return kinds | dict(zip(last["ticker"], last["kind"], strict=True))


def revenue_rows(rows: list[dict[str, str]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The recorded period and the one a year earlier, which has revenue only."""
    v1, v2 = [], []
    for n, r in enumerate(rows, start=1):
        who = {"ticker": r["symbol"], "tickers": [r["symbol"]], "cik": f"{n:010}"}
        before = f"{int(r['period_end'][:4]) - 1}{r['period_end'][4:]}"
        other = {
            "cost_of_revenue": number(r["v2_cost_of_revenue"]),
            "other_income_expense": number(r["v2_other_income_expense"]),
        }
        v2.append(who | {"period_end": r["period_end"], "revenue": number(r["v2_revenue"])} | other)
        v2.append(who | {"period_end": before, "revenue": number(r["v2_revenue_year_ago"])})
        if r["v1_revenues"]:
            v1.append(who | {"end_date": r["period_end"], "revenues": number(r["v1_revenues"])})
        v1.append(who | {"end_date": before, "revenues": number(r["v1_revenues_year_ago"])})
    return v1, v2


def test_revenue_pairs_have_the_relation_beside_them() -> None:
    rows = recorded("v1_v2_revenue_pairs_2026Q2.csv")
    kinds = found(*revenue_rows(rows))
    wrong = {
        r["symbol"]: (r["rel"], kinds[r["symbol"]])
        for r in rows
        if kinds[r["symbol"]] not in EXPECTED[r["rel"]]
    }
    assert wrong == {}
    of_banks = {r["symbol"] for r in rows if r["rel"] == BANK}
    assert of_banks == {"JPM", "BAC", "GS", "C", "COF", "FHB"}
    assert {s for s, kind in kinds.items() if kind == "bank_net_of_interest"} == of_banks
    assert [s for s, kind in kinds.items() if kind == "rounded_by_filer"] == ["YUM"]


NVDA = {"ticker": "NVDA", "tickers": ["NVDA"], "cik": "0001045810"}


def test_nvidia_before_and_after_its_split() -> None:
    recorded("field_pairs_other.csv")
    v1 = [
        NVDA | {"end_date": "2024-04-28", "diluted_earnings_per_share": 5.98},
        NVDA
        | {
            "end_date": "2024-01-28",
            "timeframe": "annual",
            "diluted_earnings_per_share": 11.93,
        },
        NVDA | {"end_date": "2025-07-27", "diluted_earnings_per_share": 1.08},
        NVDA | {"end_date": "2020-01-26", "revenues": 3105e6},
    ]
    v2 = [
        NVDA | {"period_end": "2024-04-28", "diluted_earnings_per_share": 0.60},
        NVDA
        | {
            "period_end": "2024-01-28",
            "timeframe": "annual",
            "diluted_earnings_per_share": 1.19,
        },
        NVDA | {"period_end": "2025-07-27", "diluted_earnings_per_share": 1.08},
        NVDA | {"period_end": "2020-01-26", "revenue": 3105e6},
    ]
    result = compare_statement(
        v1_table(IS, v1), v2_table(IS, v2), IS, TOLERANCES, {}, today=date(2026, 10, 1)
    )
    assert result.values["kind"].tolist() == ["split_adjusted", "split_adjusted"]
    assert set(result.values["detail"]) == {"10 shares today for one then"}
    matched = result.tallies["kind"] == "matched"
    assert result.tallies.loc[matched, "count"].sum() == 2


OTHERS = [
    # SM, FY2025 Q2: a comparative rounded by its filer; FY2026 Q2: another line.
    ("SM", "2025-06-30", {"revenues": 792943e3}, {"revenue": 793e6}, "rounded_by_filer"),
    ("SM", "2026-06-30", {"revenues": 2500e6}, {"revenue": 2238e6}, "unexplained"),
    # ARR: a tax line that v1 does not have and v2 fills in.
    ("ARR", "2026-06-30", {}, {"income_taxes": 0.0}, "absent_zero"),
]


@pytest.mark.parametrize(("ticker", "end", "v1", "v2", "kind"), OTHERS)
def test_other_recorded_pairs(
    ticker: str, end: str, v1: dict[str, Any], v2: dict[str, Any], kind: str
) -> None:
    recorded("field_pairs_other.csv")
    who = {"ticker": ticker, "tickers": [ticker]}
    result = compare_statement(
        v1_table(IS, [who | {"end_date": end, "net_income_loss": 1.0} | v1]),
        v2_table(IS, [who | {"period_end": end, "consolidated_net_income_loss": 1.0} | v2]),
        IS,
        TOLERANCES,
        {},
        today=date(2026, 10, 1),
    )
    assert result.values["kind"].tolist() == [kind]
