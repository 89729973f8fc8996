"""A date of v2 before v1's first filing of the period: the rule on real records."""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from expectations.plugin.rules import ExpectNoFilingBeforeV1s
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.parity.frames import write_frames
from polygon_fundamentals.parity.plan import Question
from polygon_fundamentals.parity.tolerances import load_tolerances
from polygon_fundamentals.statements import Generation, Statement
from tests.filled import comparison
from tests.unit.silver.feeding import put, v2_balance

ROOT = Path(__file__).parents[3]
TOLERANCES = load_tolerances(ROOT / "expectations" / "tolerances.yaml")
TODAY = date(2026, 11, 1)
V1, V2, BS = Generation.V1, Generation.V2, Statement.BALANCE_SHEETS
ASSETS = {"value": 100.0, "unit": "USD", "label": "Assets", "order": 100}


def v1_filed(day: str | None, end: str = "2024-03-31") -> dict[str, object]:
    """The same period as `v2_balance`, as v1 tells it."""
    return {
        "cik": "0000000001", "tickers": ["ABC"], "company_name": "ABC", "end_date": end,
        "filing_date": day, "fiscal_year": "2024", "fiscal_period": "Q1", "timeframe": "quarterly",
        "financials": {"balance_sheet": {"assets": ASSETS}},
    }  # fmt: skip


def broken(lake: Lake) -> list[str]:
    """v1's first filing of the records that break the rule."""
    findings = comparison(lake, BS, Question(TOLERANCES, (), {}, TODAY)).findings
    frames = Path(tempfile.mkdtemp(dir=lake.root.parent))
    write_frames(frames, [findings], TOLERANCES, TODAY)
    rows = pd.read_parquet(frames / "v2_records.parquet")
    wrong = rows[ExpectNoFilingBeforeV1s(at_most=0)._broken(rows)]
    return [f"{day:%Y-%m-%d}" for day in wrong["v1_first_filing"]]


@pytest.mark.parametrize(
    ("v2_date", "expected"),
    [
        ("2024-03-31", ["2024-05-10"]),
        ("2024-05-09", ["2024-05-10"]),
        ("2024-05-10", []),
        ("2025-05-09", []),
        ("2024-03-30", []),  # another rule lists what is filed before the period's end
    ],
)
def test_no_filing_is_older_than_v1s_first(lake: Lake, v2_date: str, expected: list[str]) -> None:
    put(lake, V1, v1_filed("2024-05-10"), "2026-10-01T12:00")
    put(lake, V2, v2_balance(v2_date, 130.0), "2026-10-02T12:00")
    assert broken(lake) == expected


@pytest.mark.parametrize("end", ["2024-03-30", "2024-04-04"])
def test_a_period_that_v1_dates_some_days_otherwise_counts(lake: Lake, end: str) -> None:
    put(lake, V1, v1_filed("2024-05-10", end), "2026-10-01T12:00")
    put(lake, V2, v2_balance("2024-04-05", 130.0), "2026-10-02T12:00")
    assert broken(lake) == ["2024-05-10"]


def test_the_original_counts_after_its_amendment_took_its_place(lake: Lake) -> None:
    put(lake, V1, v1_filed("2024-05-10"), "2024-05-11T12:00")
    put(lake, V1, v1_filed("2024-09-02"), "2024-09-03T12:00")
    put(lake, V2, v2_balance("2024-05-10", 100.0), "2026-10-02T12:00")
    assert broken(lake) == []


def test_without_a_filing_date_of_v1_nothing_can_be_said(lake: Lake) -> None:
    put(lake, V1, v1_filed(None), "2026-10-01T12:00")
    put(lake, V2, v2_balance("2024-03-31", 100.0), "2026-10-02T12:00")
    assert broken(lake) == []


def test_an_original_that_is_imported_later_counts_in_the_next_run(lake: Lake) -> None:
    """`import-v1` takes an older recording into the revisions alone; v1's file stays as it is."""
    put(lake, V1, v1_filed("2024-09-02"), "2024-09-03T12:00")
    put(lake, V2, v2_balance("2024-05-10", 100.0), "2026-10-02T12:00")
    assert broken(lake) == ["2024-09-02"]
    put(lake, V1, v1_filed("2024-05-10"), "2024-05-11T12:00")
    assert broken(lake) == []
