"""Fourth quarters that nobody filed: what v2's own year and the quarters before them refute."""

from __future__ import annotations

from datetime import date
from typing import Any

import pandas as pd

from polygon_fundamentals.parity.compare import compare_statement
from polygon_fundamentals.statements import Statement
from tests.unit.parity.quarters import ENDS, TOLERANCES, WRONG, Lines, M, Told, kinds_of_each
from tests.unit.parity.tables import v1_table, v2_table

IS = Statement.INCOME_STATEMENTS
PER_SHARE = ("basic_earnings_per_share", "diluted_earnings_per_share")
COUNTS = ("basic_shares_outstanding", "diluted_shares_outstanding")


def revenues(*values: float) -> tuple[list[Lines], list[Lines]]:
    return [{"revenues": v * M} for v in values], [{"revenue": v * M} for v in values]


OWN_YEAR = [
    # v1's fourth quarter, v2's, v2's year.
    # v1's fourth quarter is off its year by three dollars, v2's by anything.
    (100.000003, 777, 400, WRONG),
    (100.000003, 99, 400, WRONG),
    # Each is what its own year leaves over, and the nine months may be off in both.
    (100, 110, 410, "derived_quarter"),
    (95, 93, 400, "derived_quarter"),
    (95, 80, 400, WRONG),
]


def test_a_fourth_quarter_and_its_own_year() -> None:
    v1, v2 = revenues(100, 100, 100)
    companies = [
        Told(
            [*v1, {"revenues": v1_fourth * M}],
            [*v2, {"revenue": v2_fourth * M}],
            derived_fourths=True,
            year=({"revenues": 400 * M}, {"revenue": v2_year * M}),
        )
        for v1_fourth, v2_fourth, v2_year, _ in OWN_YEAR
    ]
    assert kinds_of_each(IS, companies) == [{"revenue": [kind]} for *_, kind in OWN_YEAR]


def test_a_fourth_quarter_of_a_year_that_v1_lacks_a_part_of() -> None:
    v1, v2 = revenues(100, 100, 100, 100)
    companies = [
        Told(
            [v1[0], {"gross_profit": 1.0}, *v1[2:]],
            [*v2[:3], {"revenue": 110 * M}],
            derived_fourths=True,
            year=({"revenues": 400 * M}, {"revenue": v2_year * M}),
        )
        for v2_year in (410, 400)
    ]
    expected = [{"revenue": ["derived_quarter"]}, {"revenue": [WRONG]}]
    assert kinds_of_each(IS, companies) == expected


WITHOUT_YEAR: list[tuple[str, str, list[float], float, str]] = [
    ("revenues", "revenue", [104, 105, 106, 107], 777, WRONG),
    ("revenues", "revenue", [104, 105, 106, 107], 1, WRONG),
    ("revenues", "revenue", [104, 105, 106, 107], 112, "derived_quarter"),
    # A retailer's Christmas.
    ("revenues", "revenue", [104, 105, 106, 407], 412, "derived_quarter"),
    ("net_income_loss", "consolidated_net_income_loss", [10, 9, 10, 10], -333, WRONG),
    ("net_income_loss", "consolidated_net_income_loss", [10, 9, 10, 1], -1, "sign"),
    ("net_income_loss", "consolidated_net_income_loss", [10, 9, 10, 1], -2, "derived_quarter"),
    # v1's count of AAPL's fourth quarter of 2024 is a difference of averages.
    ("basic_average_shares", COUNTS[0], [15_600, 15_400, 15_300, 56.832], 15_200,
     "derived_quarter"),
    ("basic_average_shares", COUNTS[0], [100, 100, 100, 100], 0.000003, WRONG),
    ("basic_average_shares", COUNTS[0], [100, 100, 100, 100], 450, WRONG),
]  # fmt: skip


def test_a_fourth_quarter_without_its_year() -> None:
    companies = [
        Told(
            [{line: v * M} for v in v1],
            [{field: v * M} for v in (*v1[:3], v2)],
            derived_fourths=True,
        )
        for line, field, v1, v2, _ in WITHOUT_YEAR
    ]
    expected = [{field: [kind]} for _, field, *_, kind in WITHOUT_YEAR]
    assert kinds_of_each(IS, companies) == expected


def test_earnings_of_a_fourth_quarter() -> None:
    """Those of NFLX for 2024 are its income by a share count that is four times too large."""
    v1 = [{PER_SHARE[0]: v} for v in (0.53, 0.49, 0.54, 0.43)]
    v2: list[Lines] = [{PER_SHARE[0]: v} for v in (0.53, 0.49, 0.54)]
    known = {
        PER_SHARE[0]: 0.11,
        COUNTS[0]: 17_000 * M,
        "net_income_loss_attributable_common_shareholders": 1_869 * M,
    }
    fourths: list[tuple[Lines, str]] = [
        ({PER_SHARE[0]: -55.0}, WRONG),
        ({PER_SHARE[0]: 0.11}, WRONG),
        ({PER_SHARE[0]: 0.35}, "derived_quarter"),
        (known, "derived_quarter"),
    ]
    companies = [Told(v1, [*v2, last], derived_fourths=True) for last, _ in fourths]
    assert kinds_of_each(IS, companies) == [{PER_SHARE[0]: [kind]} for _, kind in fourths]


def test_a_count_of_a_fourth_quarter_after_a_split() -> None:
    """NVDA's of 2024: four times the year less three quarters, of which one is not adjusted."""
    v1 = [{"diluted_average_shares": v * M} for v in (2_490, 2_499, 2_494, 2_493)]
    v2 = [{COUNTS[1]: v * M} for v in (2_490, 24_990, 24_940)]
    year = {"diluted_average_shares": 2_494 * M}, {COUNTS[1]: 24_940 * M}
    companies = [
        Told(v1, [*v2, {COUNTS[1]: fourth * M}], derived_fourths=True, year=year)
        for fourth in (47_340, 97_340)
    ]
    kinds = [got[COUNTS[1]][-1] for got in kinds_of_each(IS, companies)]
    assert kinds == ["derived_quarter", WRONG]


def test_the_findings_of_a_fourth_quarter_say_whether_they_are_proven() -> None:
    v1, v2 = revenues(100, 100, 100)
    ends = [f"2020-{day}" for day in ENDS]
    one: list[dict[str, Any]] = [
        {"end_date": end, "filing_date": end} | dict(row)
        for end, row in zip(ends, v1, strict=False)
    ]
    one.append({"end_date": ends[3], "filing_date": None, "fiscal_period": "Q4", "revenues": 1e8})
    two: list[dict[str, Any]] = [
        {"period_end": end} | dict(row) for end, row in zip(ends, v2, strict=False)
    ]
    two.append({"period_end": ends[3], "revenue": 1.1e8})
    values: pd.DataFrame = compare_statement(
        v1_table(IS, one), v2_table(IS, two), IS, TOLERANCES, {}, today=date(2026, 10, 1)
    ).values
    assert values["detail"].tolist() == ["a fourth quarter that neither filed; not proven"]


def test_without_a_share_count_v2_calculates_no_earnings_per_share() -> None:
    income = 100 * M
    v1 = {
        "basic_earnings_per_share": 1.0,
        "basic_average_shares": 100 * M,
        "net_income_loss_available_to_common_stockholders_basic": income,
    }
    v2 = {
        "basic_earnings_per_share": 1.0,
        "basic_shares_outstanding": 100 * M,
        "net_income_loss_attributable_common_shareholders": income,
    }
    companies = [
        Told(
            [v1] * 4,
            [*[v2] * 3, v2 | {"basic_earnings_per_share": e, "basic_shares_outstanding": 0.0}],
            derived_fourths=True,
        )
        for e in (-55.0, 55.0)
    ]
    wrong = {"basic_earnings_per_share": [WRONG], "basic_shares_outstanding": [WRONG]}
    assert kinds_of_each(IS, companies) == [wrong, wrong]
