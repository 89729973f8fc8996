"""A v1 load of some days of filing brings the undated records that appeared in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from polygon_fundamentals.lake import Lake
from polygon_fundamentals.load.historical import load_v1
from polygon_fundamentals.load.loader import Loader
from polygon_fundamentals.load.query import Filters
from polygon_fundamentals.statements import Generation, Statement, Timeframe
from sandbox import Sandbox
from tests.conftest import client_of
from tests.lakes import stored_rows

SHEETS = Statement.BALANCE_SHEETS
FIRST, BEFORE = "2023-01-01", "2025-01-01"


def loaded(sandbox: Sandbox, folder: Path, ticker: str, filters: Filters) -> list[dict[str, Any]]:
    """Return v1's balance sheets of a ticker, loaded into a lake of their own."""
    lake = Lake(folder)
    lake.prepare()
    report = load_v1(Loader(client_of(sandbox), lake), ticker, [SHEETS], filters)
    assert report.exit_code == 0
    return stored_rows(lake, Generation.V1, SHEETS)[ticker]


@pytest.fixture(scope="module")
def whole(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """All of v1's balance sheets of the ticker."""
    folder = tmp_path_factory.mktemp("whole")
    return loaded(sandbox, folder, sandbox.tickers[3], Filters(timeframes=tuple(Timeframe)))


@pytest.mark.parametrize(
    ("timeframe", "others"),
    [("quarterly", ["annual"]), ("quarterly", []), ("ttm", [])],
)
def test_a_load_of_some_days_brings_what_has_no_filing_date(
    sandbox: Sandbox,
    tmp_path: Path,
    whole: list[dict[str, Any]],
    timeframe: str,
    others: list[str],
) -> None:
    """docs/cron.md loads with `--from`; v1's fourth quarters would all be missing."""
    frames = [t for t in Timeframe if t.v1 in (timeframe, *others)]
    sources = {"annual"} if timeframe == "quarterly" else {"annual", "quarterly"}
    reported = {
        row["end_date"]
        for row in whole
        if row["timeframe"] in sources and FIRST <= str(row["filing_date"]) < BEFORE
    }
    given = Filters(tuple(frames), filing_date_gte=FIRST, filing_date_lt=BEFORE)
    rows = loaded(sandbox, tmp_path, sandbox.tickers[3], given)
    undated = [row for row in rows if row["filing_date"] is None]
    assert {row["timeframe"] for row in undated} == {timeframe}
    assert {row["end_date"] for row in undated} == {
        row["end_date"]
        for row in whole
        if row["timeframe"] == timeframe
        and row["filing_date"] is None
        and row["end_date"] in reported
    }
    dated = {str(row["filing_date"]) for row in rows if row["filing_date"] is not None}
    assert all(FIRST <= day < BEFORE for day in dated)
