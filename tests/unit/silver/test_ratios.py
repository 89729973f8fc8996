"""Ratios and growth: literal rows, and null instead of what has no meaning."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from polygon_fundamentals.silver.ratios import RATIOS, EarlierPeriods, Rows
from polygon_fundamentals.silver.timeline import END_OFFSET, FOREVER, TIMEFRAMES

INCOME = "is_consolidated_net_income_loss"


def keys(*periods: tuple[str, int, str]) -> pd.DataFrame:
    """One company: (period end, fiscal quarter, timeframe)."""
    ends, quarters, timeframes = zip(*periods, strict=True)
    return pd.DataFrame(
        {
            "ticker": 0,
            "company": 0,
            "timeframe": [TIMEFRAMES.index(timeframe) for timeframe in timeframes],
            "end": np.array(ends, dtype="datetime64[D]").astype("int64") + END_OFFSET,
            "since": 0,
            "until": FOREVER,
            "fiscal_quarter": [float(q) for q in quarters],
        }
    )


def rows_of(frame: pd.DataFrame, generation: str = "v2", **columns: list[float]) -> Rows:
    year, quarter = EarlierPeriods.of(frame).positions(frame)
    names = [
        "is_gross_profit", "is_revenue", "is_operating_income", INCOME, "bs_total_current_assets",
        "bs_total_current_liabilities", "bs_inventories", "bs_total_equity", "bs_total_assets",
        "cf_net_cash_from_operating_activities", "cf_purchase_of_property_plant_and_equipment",
    ]  # fmt: skip
    nothing = np.full(len(frame), np.nan)
    told = {name: np.array(columns.get(name, nothing), dtype=float) for name in names}
    debt = np.array(columns.get("debt", nothing), dtype=float)
    quarterly = (frame["timeframe"] == TIMEFRAMES.index("quarterly")).to_numpy()
    whose = np.full(len(frame), generation, dtype=object)
    return Rows(told, debt, quarterly, year, quarter, whose)


@pytest.mark.parametrize(
    ("ratio", "columns", "expected"),
    [
        ("gross_margin", {"is_gross_profit": [40], "is_revenue": [100]}, 0.4),
        ("gross_margin", {"is_gross_profit": [40], "is_revenue": [0]}, None),
        ("gross_margin", {"is_gross_profit": [40], "is_revenue": [-5]}, None),
        ("gross_margin", {"is_revenue": [100]}, None),
        ("operating_margin", {"is_operating_income": [-20], "is_revenue": [100]}, -0.2),
        ("net_margin", {INCOME: [10], "is_revenue": [100]}, 0.1),
        (
            "current_ratio",
            {"bs_total_current_assets": [30], "bs_total_current_liabilities": [20]},
            1.5,
        ),
        (
            "quick_ratio",
            {
                "bs_total_current_assets": [30],
                "bs_total_current_liabilities": [20],
                "bs_inventories": [10],
            },
            1.0,
        ),
        (
            "quick_ratio",
            {"bs_total_current_assets": [30], "bs_total_current_liabilities": [20]},
            1.5,
        ),
        ("debt_to_equity", {"debt": [50], "bs_total_equity": [100]}, 0.5),
        ("debt_to_equity", {"debt": [0], "bs_total_equity": [100]}, 0.0),
        ("debt_to_equity", {"debt": [50], "bs_total_equity": [-100]}, None),
        ("debt_to_equity", {"bs_total_equity": [100]}, None),
        (
            "free_cash_flow",
            {
                "cf_net_cash_from_operating_activities": [70],
                "cf_purchase_of_property_plant_and_equipment": [-25],
            },
            45.0,
        ),
        ("free_cash_flow", {"cf_net_cash_from_operating_activities": [70]}, None),
        ("return_on_equity", {INCOME: [20], "bs_total_equity": [100]}, 0.2),
        ("return_on_equity", {INCOME: [20], "bs_total_equity": [-100]}, None),
        ("return_on_assets", {INCOME: [20], "bs_total_assets": [400]}, 0.05),
    ],
)
def test_one_year(ratio: str, columns: dict[str, list[float]], expected: float | None) -> None:
    found = RATIOS[ratio](rows_of(keys(("2024-12-31", 4, "annual")), **columns))[0]
    assert found == pytest.approx(expected) if expected is not None else np.isnan(found)


QUARTERS = [
    ("2023-03-31", 1, "quarterly"),
    ("2023-06-30", 2, "quarterly"),
    ("2023-09-30", 3, "quarterly"),
    ("2023-12-31", 4, "quarterly"),
    ("2024-03-31", 1, "quarterly"),
]


def test_growth_is_against_the_same_quarter_and_the_one_before() -> None:
    rows = rows_of(keys(*QUARTERS), is_revenue=[100, 110, 120, 200, 130])
    yoy, qoq = RATIOS["revenue_growth_yoy"](rows), RATIOS["revenue_growth_qoq"](rows)
    assert np.isnan(yoy[:4]).all()
    assert yoy[4] == pytest.approx(0.3)
    assert qoq[1:].round(4).tolist() == [0.1, 0.0909, 0.6667, -0.35]


def test_a_missing_quarter_is_no_row_above() -> None:
    rows = rows_of(keys(QUARTERS[0], QUARTERS[2], QUARTERS[4]), is_revenue=[100, 120, 130])
    assert np.isnan(RATIOS["revenue_growth_qoq"](rows)).all()
    assert RATIOS["revenue_growth_yoy"](rows)[2] == pytest.approx(0.3)


def test_weeks_and_changed_fiscal_years() -> None:
    frame = keys(
        ("2022-01-29", 4, "quarterly"),
        ("2023-02-04", 4, "quarterly"),  # a 53-week year: 371 days later
        ("2024-02-03", 1, "quarterly"),  # relabelled: the fiscal year changed
    )
    rows = rows_of(frame, is_revenue=[100, 150, 160])
    yoy = RATIOS["revenue_growth_yoy"](rows)
    assert yoy[1] == pytest.approx(0.5)
    assert np.isnan(yoy[[0, 2]]).all()


# Costco's quarters: three of 12 weeks and one of 16, or of 17 in a year of 53 weeks.
WEEKS = [
    ("2022-08-28", 4, "quarterly"),
    ("2022-11-20", 1, "quarterly"),
    ("2023-02-12", 2, "quarterly"),
    ("2023-05-07", 3, "quarterly"),
    ("2023-09-03", 4, "quarterly"),
    ("2023-11-26", 1, "quarterly"),
]


def test_quarters_of_12_and_16_weeks_follow_one_another() -> None:
    revenue = [100, 110, 120, 130, 260, 130]
    values = {"is_revenue": revenue, INCOME: [1, 2, 3, 4, 5, 6], "bs_total_equity": [100] * 6}
    rows = rows_of(keys(*WEEKS), **values)
    assert RATIOS["revenue_growth_qoq"](rows)[4] == pytest.approx(1.0)
    returns = RATIOS["return_on_equity"](rows)
    assert np.isnan(returns[:3]).all()
    assert returns[3:].round(4).tolist() == [0.1, 0.14, 0.18]


def test_four_months_between_two_fiscal_years_are_no_quarter() -> None:
    moved = keys(("2023-08-31", 4, "quarterly"), ("2023-12-31", 1, "quarterly"))
    assert np.isnan(RATIOS["revenue_growth_qoq"](rows_of(moved, is_revenue=[100, 150]))).all()


def test_no_growth_after_a_loss_or_across_definitions() -> None:
    frame = keys(QUARTERS[0], QUARTERS[4])
    rows = rows_of(frame, **{INCOME: [-10, 20], "is_revenue": [100, 130]})
    assert np.isnan(RATIOS["net_income_growth_yoy"](rows)).all()
    rows.generation[0] = "v1"
    assert np.isnan(RATIOS["revenue_growth_yoy"](rows)).all()


def test_returns_of_a_quarter_are_those_of_twelve_months() -> None:
    rows = rows_of(keys(*QUARTERS), **{INCOME: [1, 2, 3, 4, 5], "bs_total_equity": [100] * 5})
    found = RATIOS["return_on_equity"](rows)
    assert np.isnan(found[:3]).all()
    assert found[3:].round(4).tolist() == [0.1, 0.14]
