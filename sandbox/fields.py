"""The names, labels, orders, units and signs of both generations, copied out by hand.

The tables lie in `data/`: v2's are transcribed from the vendor's OpenAPI description, v1's from
recorded answers. They are repeated here on purpose: the sandbox shares no field map with the
project, so that a wrong mapping cannot prove itself. The column `fact` is the sandbox's own fact
that a line carries; a minus before it is the sign that the vendor serves it with.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

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


def read_table(name: str) -> list[dict[str, str]]:
    """Return the rows of a CSV table in `data/`, in the order of its lines."""
    with (Path(__file__).parent / "data" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _v1_lines() -> dict[str, list[V1Line]]:
    lines: dict[str, list[V1Line]] = {}
    for row in read_table("v1_lines.csv"):
        fact = row["fact"]
        unit = _UNITS.get(fact, "USD")
        line = V1Line(row["name"], row["label"], int(row["order"]), unit, fact)
        lines.setdefault(row["section"], []).append(line)
    return lines


def _v2_lines() -> dict[str, list[V2Line]]:
    lines: dict[str, list[V2Line]] = {}
    for row in read_table("v2_lines.csv"):
        fact = row["fact"]
        line = V2Line(row["name"], fact.lstrip("-"), -1 if fact.startswith("-") else 1)
        lines.setdefault(row["statement"], []).append(line)
    return lines


V1_LINES = _v1_lines()
V2_LINES = _v2_lines()
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
RATIO_FIELDS = tuple(row["name"] for row in read_table("ratios.csv"))

#: v2 keys that are zero-filled where the line is absent, whatever the company.
V2_ALWAYS_ZERO = frozenset(
    [
        "cost_of_revenue",
        "other_operating_expenses",
        "other_income_expense",
        "other_equity",
        "dividends",
        "receivables",
    ]
)
#: v2 keys that a template never carries: a missing key marks banks and insurers.
V2_NEVER: dict[str, frozenset[str]] = {
    "bank": frozenset({"interest_expense", "research_development"}),
    "insurer": frozenset({"research_development"}),
}
