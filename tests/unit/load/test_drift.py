"""An answer in another form than the API's description is refused, or is the same answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from polygon_fundamentals.errors import FormatError
from polygon_fundamentals.http.client import Client
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.load.historical import load_v1, load_v2
from polygon_fundamentals.load.loader import Loader
from polygon_fundamentals.load.query import Filters
from polygon_fundamentals.settings import Settings
from polygon_fundamentals.statements import Generation, Statement, Timeframe
from tests.conftest import KEY
from tests.lakes import contents
from tests.servers import Answer, Asked, Served, results, serving

SHEETS = Statement.BALANCE_SHEETS
Row = dict[str, Any]


def row(cik: str, symbol: str, month: int) -> Row:
    return {
        "cik": cik,
        "tickers": [symbol],
        "period_end": f"2025-{month:02d}-28",
        "filing_date": f"2025-{month + 1:02d}-15",
        "fiscal_year": 2025,
        "fiscal_quarter": (month + 2) // 3,
        "timeframe": "quarterly",
        "total_assets": 1000.5 + month,
    }


ROWS = [row("0000000007", "AAA", month) for month in (2, 3, 5, 6, 8, 9)]


FILTERS = Filters(timeframes=(Timeframe.QUARTERLY,))


def at(server: Served) -> Client:
    return Client(Settings(base_url=server.url), KEY)


def load_one(generation: Generation, server: Served, lake: Lake) -> None:
    if generation is Generation.V1:
        load_v1(Loader(at(server), lake), "AAA", list(Statement), FILTERS)
    else:
        load_v2(Loader(at(server), lake), {"AAA": []}, SHEETS, FILTERS)


def load(lake: Lake, rows: list[Row]) -> None:
    with serving(lambda _: results(rows)) as server:
        filters = Filters(timeframes=(Timeframe.QUARTERLY,))
        load_v2(Loader(at(server), lake), {"AAA": []}, SHEETS, filters)


@pytest.mark.parametrize(
    "written",
    [
        lambda r: r | {"total_assets": str(r["total_assets"])},
        lambda r: r | {"period_end": r["period_end"] + "T00:00:00Z"},
        lambda r: r | {"filing_date": r["filing_date"] + " 00:00:00"},
        lambda r: r | {"cik": r["cik"].lstrip("0")},
        lambda r: r | {"cik": int(r["cik"])},
    ],
    ids=["numbers as text", "dates with a time", "filed with a time", "short CIK", "CIK as number"],
)
def test_another_way_of_writing_a_row_is_the_same_row(
    written: Callable[[Row], Row], tmp_path: Path
) -> None:
    lake = Lake(tmp_path)
    load(lake, ROWS)
    before = contents(lake)
    load(lake, [written(r) for r in ROWS])
    assert contents(lake) == before
    assert not list(lake.ops.glob("revisions/**/*.parquet"))


@pytest.mark.parametrize(
    "written",
    [
        lambda r: r | {"total_assets": "1,002"},
        lambda r: r | {"total_assets": {"value": r["total_assets"]}},
        lambda r: r | {"period_end": "28 Feb 2025"},
    ],
)
def test_rows_of_an_unknown_form_replace_nothing(
    written: Callable[[Row], Row], tmp_path: Path
) -> None:
    lake = Lake(tmp_path)
    load(lake, ROWS)
    before = contents(lake)
    with pytest.raises(FormatError, match="6 of 6 rows have values that do not match"):
        load(lake, [written(r) for r in ROWS])
    assert contents(lake) == before


def test_one_odd_row_is_kept_with_what_it_said(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    load(lake, [*ROWS[1:], ROWS[0] | {"total_assets": "n/a"}])
    text = json.dumps(contents(lake))
    assert "n/a" in text
    assert len(contents(lake)["v2.balance_sheets"]) == len(ROWS)


@pytest.mark.parametrize("generation", list(Generation))
def test_a_server_that_ignores_the_ticker_fails_the_unit(
    generation: Generation, tmp_path: Path
) -> None:
    lake = Lake(tmp_path)
    strangers = [row(f"000000001{n}", symbol, 3) for n, symbol in enumerate(("BBB", "CCC"))]

    def script(_: Asked) -> Answer:
        return results([*ROWS, *strangers])

    with serving(script) as server, pytest.raises(FormatError, match="rows of 2 other companies"):
        load_one(generation, server, lake)
    assert not list(lake.bronze.glob("**/*.parquet"))


def test_two_companies_of_a_ticker_and_a_renamed_one_are_stored(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    load(lake, [*ROWS, row("0000000008", "AAA", 3), row("0000000009", "NEW", 3)])
    assert len(contents(lake)["v2.balance_sheets"]) == len(ROWS) + 2
