"""Recordings of pandas, whose timestamps have a time zone."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from polygon_fundamentals.lake import Lake
from polygon_fundamentals.load.recorded import import_v1
from polygon_fundamentals.statements import Statement
from polygon_fundamentals.v1_view.filings import v1_filings
from polygon_fundamentals.v1_view.lake_files import stamps_of
from polygon_fundamentals.v1_view.v1_records import stored
from tests.unit.silver.feeding import v1_balance

ZONES = ["America/New_York", "Europe/Berlin", "UTC"]
ENDS = ["2023-06-30", "2023-09-30", "2023-12-31", "2024-03-31"]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    lake.prepare()
    return lake


def records() -> list[dict[str, Any]]:
    """Four quarters, each accepted in the evening on which it was filed."""
    return [
        v1_balance(
            end_date=end, filing_date="2024-05-10", acceptance_datetime="2024-05-10T20:30:00Z"
        )
        for end in ENDS
    ]


def write(path: Path, columns: dict[str, Callable[[pd.Series], pd.Series]]) -> Path:
    frame = pd.json_normalize(records())
    for name, change in columns.items():
        frame[name] = change(frame[name])
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    return path


def listed(lake: Lake) -> int:
    """Return how many filings `serve-v1` lists."""
    return v1_filings(lake, stamps_of(lake, ["ABC"]), None)[Statement.BALANCE_SHEETS].num_rows


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.parametrize("name", ["filing_date", "end_date"])
def test_a_day_that_a_zone_has_moved_is_none(
    lake: Lake, tmp_path: Path, suffix: str, name: str
) -> None:
    """Midnight in UTC, shown in New York: it was taken for the evening before."""
    path = write(
        tmp_path / f"a_2025-03-01.{suffix}",
        {name: lambda days: pd.to_datetime(days, utc=True).dt.tz_convert("America/New_York")},
    )
    report = import_v1(lake, [path])
    assert report.records == 0
    assert [p.kind for p in report.problems] == ["damaged"] * 4
    moved = f"{name} is '2024-05-09" if name == "filing_date" else f"{name} is '2023-06-29"
    assert moved in report.problems[0].reason
    assert "which is not a day; write YYYY-MM-DD" in report.problems[0].reason


@pytest.mark.parametrize("zone", ZONES)
def test_midnight_in_its_own_zone_is_that_day(lake: Lake, tmp_path: Path, zone: str) -> None:
    def midnight(days: pd.Series) -> pd.Series:
        return pd.to_datetime(days).dt.tz_localize(zone)

    path = write(tmp_path / "a_2025-03-01.parquet", {"filing_date": midnight, "end_date": midnight})
    assert import_v1(lake, [path]).problems == []
    rows = stored(lake, Statement.BALANCE_SHEETS).to_pylist()
    assert sorted(str(row["end_date"]) for row in rows) == ENDS
    assert {row["filing_date"] for row in rows} == {date(2024, 5, 10)}


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.parametrize("zone", ZONES)
def test_a_moment_in_another_zone_is_the_same_filing(
    lake: Lake, tmp_path: Path, suffix: str, zone: str
) -> None:
    def moved(moments: pd.Series) -> pd.Series:
        return pd.to_datetime(moments).dt.tz_convert(zone)

    path = write(tmp_path / f"a_2025-03-01.{suffix}", {"acceptance_datetime": moved})
    assert import_v1(lake, [path]).records == 4
    page = tmp_path / "b_2025-04-01.json"
    page.write_text(json.dumps({"results": records()}))
    report = import_v1(lake, [page])
    assert (report.counts.rows_new, listed(lake)) == (0, 4)
    if suffix == "parquet":  # it says UTC, as v1 does
        assert report.counts.rows_changed == 0
