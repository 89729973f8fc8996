"""A null of v2 in place of v1's figure: lost, where the company has the line as a rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from expectations.answer import TOLERANCES_FILE
from polygon_fundamentals.cutover import exact_figures
from polygon_fundamentals.parity.compare import compare_statement
from polygon_fundamentals.parity.lost_lines import OF_EVERY_COMPANY
from polygon_fundamentals.parity.tolerances import load_tolerances
from polygon_fundamentals.silver.schema import PREFIXES
from polygon_fundamentals.statements import Statement
from tests.unit.parity.tables import v1_table, v2_table, who_is

TOLERANCES = load_tolerances(TOLERANCES_FILE)
IS = Statement.INCOME_STATEMENTS
REVENUE, EARNINGS = "revenue", "consolidated_net_income_loss"
INTEREST, DISCONTINUED = "interest_expense", "discontinued_operations"
RESEARCH = "research_development"
V1_LINES = {
    REVENUE: "revenues",
    EARNINGS: "net_income_loss",
    INTEREST: "interest_expense_operating",
    DISCONTINUED: "income_loss_from_discontinued_operations_net_of_tax",
    RESEARCH: "research_and_development",
}
# In v1 and in v2, by the number of the quarter.
Has = Callable[[int], bool]


def always(number: int) -> bool:
    return True


def never(number: int) -> bool:
    return False


def record(number: int, end: str, **more: Any) -> dict[str, Any]:
    derived = number % 4 == 3
    filed = None if derived else "2026-02-20"
    return {end: f"{2023 + number // 4}-{3 * (number % 4 + 1):02}-28", "filing_date": filed} | more


def compared(
    companies: Sequence[tuple[list[dict[str, Any]], list[dict[str, Any]]]],
) -> list[pd.DataFrame]:
    """The values that are not equal of each company, of what v1 and v2 say of it."""
    v1, v2 = (
        [who_is(n) | row for n, company in enumerate(companies) for row in company[side]]
        for side in (0, 1)
    )
    values = compare_statement(v1_table(IS, v1), v2_table(IS, v2), IS, TOLERANCES, {}).values
    return [values[values["ticker"] == who_is(n)["ticker"]] for n in range(len(companies))]


def quarters(field: str, v1: Has, v2: Has) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Twelve quarters of a company, of which some have a field."""
    one = [
        record(n, "end_date", fiscal_period=f"Q{n % 4 + 1}", operating_expenses=1e6)
        | ({V1_LINES[field]: 5e6} if v1(n) else {})
        for n in range(12)
    ]
    two = [
        record(n, "period_end", total_operating_expenses=1e6) | ({field: 5e6} if v2(n) else {})
        for n in range(12)
    ]
    return one, two


CASES: list[tuple[str, Has, Has, dict[str, int]]] = [
    # v2 stops filling the line, or never has it, though its records have other amounts.
    (EARNINGS, always, lambda n: n < 7, {"lost_in_v2": 5}),
    (REVENUE, always, lambda n: n < 6, {"lost_in_v2": 6}),
    (REVENUE, always, lambda n: n > 2, {"lost_in_v2": 3}),
    (REVENUE, always, never, {"lost_in_v2": 12}),
    (REVENUE, always, lambda n: n != 4, {"lost_in_v2": 1}),
    # Twice in all of v1 is no rule; in net income, which every company has, once is enough.
    (REVENUE, lambda n: n < 2, never, {"null_in_v2": 2}),
    (EARNINGS, lambda n: n < 1, never, {"lost_in_v2": 1}),
    # Templates may leave these out altogether, but not from some day on.
    (INTEREST, always, never, {"null_in_v2": 12}),
    (RESEARCH, always, never, {"null_in_v2": 12}),
    (RESEARCH, always, lambda n: n < 9, {"lost_in_v2": 3}),
    # What nobody has in most quarters v2 cannot derive for the fourth either.
    (DISCONTINUED, lambda n: n % 4 == 3, never, {"null_in_v2": 3}),
    (DISCONTINUED, lambda n: n in (0, 4, 8, 11), lambda n: n in (0, 4, 8), {"null_in_v2": 1}),
    (DISCONTINUED, always, lambda n: n % 4 != 3, {"lost_in_v2": 3}),
]


def test_a_null_where_the_company_has_the_line() -> None:
    results = compared([quarters(field, v1, v2) for field, v1, v2, _ in CASES])
    nulls = [Counter(v["kind"][v["kind"].str.contains("_in_v2")]) for v in results]
    assert nulls == [expected for *_, expected in CASES]


def sums(has: Has, lost: set[tuple[str, int]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Five years of quarters, years and twelve months of a company.

    Both generations have the line in the quarters that `has` names. v1 adds up what there is; v2
    only where no part is absent, and never the figures that `lost` names by timeframe and quarter.
    """
    value = [5e6 if has(n) else None for n in range(20)]
    v2_quarter = [v if n % 4 < 3 or None not in value[n - 3 : n] else None
                  for n, v in enumerate(value)]  # fmt: skip
    figures: dict[tuple[str, int], tuple[float | None, float | None]] = {}
    for n in range(20):
        figures["quarterly", n] = value[n], v2_quarter[n]
        if n >= 3:
            whole = None if None in v2_quarter[n - 3 : n + 1] else 2e7
            total = sum(v or 0.0 for v in value[n - 3 : n + 1]) or None
            figures["ttm", n] = total, whole
            if n % 4 == 3:  # a year is filed as such
                figures["annual", n] = total, total
    one, two = [], []
    for (timeframe, n), (v1, v2) in figures.items():
        period = {"quarterly": f"Q{n % 4 + 1}", "annual": "FY", "ttm": "TTM"}[timeframe]
        filed = {"filing_date": "2026-02-20"} if timeframe == "annual" else {}
        if timeframe == "ttm":
            filed = {"filing_date": None}
        one.append(
            record(n, "end_date", timeframe=timeframe, fiscal_period=period, revenues=1e6)
            | filed
            | ({} if v1 is None else {V1_LINES[DISCONTINUED]: v1})
        )
        if v2 is not None and (timeframe, n) in lost:
            v2 = None
        in_v2 = "trailing_twelve_months" if timeframe == "ttm" else timeframe
        two.append(
            record(n, "period_end", timeframe=in_v2, revenue=1e6, filing_date="2026-02-20")
            | ({} if v2 is None else {DISCONTINUED: v2})
        )
    return one, two


def lost_sums(values: pd.DataFrame) -> set[tuple[str, int]]:
    """What is called lost, by timeframe and quarter."""
    rows = values[values["kind"] == "lost_in_v2"]
    return {
        (timeframe, (end.year - 2023) * 4 + end.month // 3 - 1)
        for timeframe, end in zip(rows["timeframe"], rows["period_end"], strict=True)
    }


SUMS: list[tuple[Has, set[tuple[str, int]]]] = [
    # A line that begins within a year, that is absent in one quarter, or that ends within a year.
    (lambda n: n >= 1, set()),
    (lambda n: n >= 2, set()),
    (lambda n: n >= 5, set()),
    (lambda n: n >= 7, set()),
    (lambda n: n != 9, set()),
    (lambda n: n < 14, set()),
    # What v2 could have added up is lost, also of a line that most of the history lacks.
    (lambda n: n != 9, {("ttm", 8), ("quarterly", 15), ("ttm", 18), ("annual", 11)}),
    (lambda n: n >= 13, {("quarterly", 19), ("ttm", 19)}),
    # ... and so is a part, with what it takes away from the sums.
    (always, {("quarterly", 9), ("quarterly", 11), ("ttm", 11), ("ttm", 12)}),
]


def test_a_sum_is_lost_where_v2_has_every_part() -> None:
    results = compared([sums(has, lost) for has, lost in SUMS])
    assert [lost_sums(values) for values in results] == [lost for _, lost in SUMS]


def test_no_lost_line_may_stand_by_default() -> None:
    budgets = {kind.value: budget.at_most for kind, budget in TOLERANCES.budgets.items()}
    assert (budgets["lost_in_v2"], budgets["null_in_v2"]) == (0, "unlimited")


def test_what_every_company_has_is_what_the_readers_check_asks_for() -> None:
    names = {PREFIXES[s] + field for s, fields in OF_EVERY_COMPANY.items() for field in fields}
    assert names == set(exact_figures.COLUMNS)
