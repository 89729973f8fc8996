"""A company's quarters, compared: the finding of each line of them."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from polygon_fundamentals.parity.compare import compare_statement
from polygon_fundamentals.parity.tolerances import load_tolerances
from polygon_fundamentals.statements import Statement
from tests.unit.parity.tables import v1_table, v2_table

TOLERANCES = load_tolerances(Path(__file__).parents[3] / "expectations" / "tolerances.yaml")
M = 1e6
Lines = dict[str, float]
ENDS = ("03-31", "06-30", "09-30", "12-31")
DEFINED, WRONG = "line_definition", "unexplained"


def kinds(
    statement: Statement,
    v1: list[Lines],
    v2: list[Lines],
    *,
    derived_fourths: bool = False,
    year: tuple[Lines, Lines] | None = None,
) -> dict[str, list[str]]:
    """The findings by v2 field on a company's quarters, the oldest first; equal values left out.

    With `derived_fourths` nobody filed the fourth quarters. `year` is the year that ends with the
    last quarter.
    """
    one: list[dict[str, Any]] = []
    two: list[dict[str, Any]] = []
    for n, (a, b) in enumerate(zip(v1, v2, strict=True)):
        end, fourth = f"{2020 + n // 4}-{ENDS[n % 4]}", n % 4 == 3
        filed = None if derived_fourths and fourth else end
        one.append(
            {"end_date": end, "filing_date": filed, "fiscal_period": f"Q{n % 4 + 1}"} | dict(a)
        )
        two.append({"period_end": end, "filing_date": end} | dict(b))
    if year is not None:
        name, last = "annual", one[-1]["end_date"]
        one.append({"end_date": last, "filing_date": last, "timeframe": name} | dict(year[0]))
        two.append({"period_end": last, "filing_date": last, "timeframe": name} | dict(year[1]))
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
    return {str(field): rows["kind"].tolist() for field, rows in quarterly.groupby("v2_field")}
