"""A company's quarters, compared: the finding of each line of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from polygon_fundamentals.parity.compare import compare_statement
from polygon_fundamentals.parity.tolerances import load_tolerances
from polygon_fundamentals.statements import Statement
from tests.unit.parity.tables import v1_table, v2_table, who_is

TOLERANCES = load_tolerances(Path(__file__).parents[3] / "expectations" / "tolerances.yaml")
M = 1e6
Lines = dict[str, float]
ENDS = ("03-31", "06-30", "09-30", "12-31")
DEFINED, WRONG = "line_definition", "unexplained"


@dataclass(frozen=True)
class Told:
    """A company's quarters as both generations tell them, the oldest first.

    With `derived_fourths` nobody filed the fourth quarters. `year` is the year that ends with the
    last quarter.
    """

    v1: Sequence[Lines]
    v2: Sequence[Lines]
    derived_fourths: bool = False
    year: tuple[Lines, Lines] | None = None


def kinds_of_each(statement: Statement, companies: Sequence[Told]) -> list[dict[str, list[str]]]:
    """The findings by v2 field on each company's quarters; equal values left out.

    The companies are compared at once, which takes hardly longer than one of them.
    """
    one: list[dict[str, Any]] = []
    two: list[dict[str, Any]] = []
    for number, facts in enumerate(companies):
        who = who_is(number)
        for n, (a, b) in enumerate(zip(facts.v1, facts.v2, strict=True)):
            end, fourth = f"{2020 + n // 4}-{ENDS[n % 4]}", n % 4 == 3
            filed = None if facts.derived_fourths and fourth else end
            v1 = {"end_date": end, "filing_date": filed, "fiscal_period": f"Q{n % 4 + 1}"}
            one.append(who | v1 | dict(a))
            two.append(who | {"period_end": end, "filing_date": end} | dict(b))
        if facts.year is not None:
            last = one[-1]["end_date"]
            year = who | {"filing_date": last, "timeframe": "annual"}
            one.append(year | {"end_date": last} | dict(facts.year[0]))
            two.append(year | {"period_end": last} | dict(facts.year[1]))
    values = compare_statement(
        v1_table(statement, one),
        v2_table(statement, two),
        statement,
        TOLERANCES,
        {},
        today=date(2026, 10, 1),
    ).values
    quarterly = values[
        (values["timeframe"] == "quarterly")
        & ~values["kind"].isin(["null_in_v1", "null_in_v2", "lost_in_v2", "absent_zero"])
    ].sort_values("period_end")
    by_company: list[dict[str, list[str]]] = []
    for number in range(len(companies)):
        mine = quarterly[quarterly["ticker"] == who_is(number)["ticker"]]
        by_company.append({str(f): rows["kind"].tolist() for f, rows in mine.groupby("v2_field")})
    return by_company


def kinds(statement: Statement, v1: Sequence[Lines], v2: Sequence[Lines]) -> dict[str, list[str]]:
    """The findings on one company's quarters."""
    return kinds_of_each(statement, [Told(v1, v2)])[0]
