"""The daily ratios, row by row: what cannot be stored costs no other row."""

from __future__ import annotations

from typing import Any

import pytest

from polygon_fundamentals.lake import Lake
from polygon_fundamentals.load.loader import Loader
from polygon_fundamentals.load.ratios import load_ratios
from polygon_fundamentals.reports import LoadReport
from tests.conftest import client_of
from tests.servers import Answer, Asked, results, serving

Row = dict[str, Any]
DAY = "2026-11-27"
TICKERS = ["AA", "BB", "CC", "DD", "EE", "FF"]


def row(ticker: Any, **changes: Any) -> Row:
    return {"ticker": ticker, "cik": "0000000007", "date": DAY, "price": 1.5, **changes}


def load(lake: Lake, *pages: list[Row], tickers: list[str] = TICKERS) -> LoadReport:
    def script(asked: Asked) -> Answer:
        number = int(asked.query.get("cursor", 0))
        more = {"next_url": f"{asked.path}?cursor={number + 1}"} if number + 1 < len(pages) else {}
        return results(pages[number], **more)

    with serving(script) as server:
        return load_ratios(Loader(client_of(server), lake), tickers)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (row("CC", date=None), "a row of CC has no date"),
        (row("CC", date="yesterday"), "a row of CC has no date"),
        (row(["CC"]), "unhashable type"),
    ],
    ids=["without a date", "a date that is none", "a list of tickers"],
)
def test_a_row_that_cannot_be_stored_costs_that_row_alone(lake: Lake, bad: Row, why: str) -> None:
    stray = row("ZZ", date=None)  # of a ticker that is not followed
    report = load(lake, [row("AA"), row("BB"), bad], [row("DD"), stray, row("EE")])
    (failure,) = report.failed
    assert failure.error == "ContentError"
    assert failure.reason.startswith("1 rows were left out and all others stored; the first begins")
    assert '"CC"' in failure.reason
    assert why in failure.reason
    assert (report.units, report.rows_new, report.rows_received) == (6, 4, 4)
    assert report.rows_unfollowed == 1
    assert (report.tickers_without_rows, report.exit_code) == (("CC", "FF"), 3)
    assert sorted(p.stem for p in lake.ratios.folder.rglob("*.parquet")) == [
        f"ticker={ticker}" for ticker in ("AA", "BB", "DD", "EE")
    ]
