"""A company that was reorganised and files under a new CIK, in loads of named tickers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from polygon_fundamentals.business_days import today_in_new_york
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.statements import Generation, Statement
from tests.builders.commands import call, where
from tests.conftest import KEY
from tests.lakes import stored_rows
from tests.servers import Asked, Script, results, serving

OLD, NEW = "0001001039", "0001744489"


def quarter(cik: str, days_ago: int, tickers: Sequence[str]) -> dict[str, Any]:
    filed = today_in_new_york() - timedelta(days=days_ago)
    end = filed - timedelta(days=30)
    return {
        "cik": cik,
        "tickers": list(tickers),
        "timeframe": "quarterly",
        "period_end": end.isoformat(),
        "filing_date": filed.isoformat(),
        "fiscal_year": end.year,
        "fiscal_quarter": (end.month + 2) // 3,
    }


def serving_rows(rows: Sequence[dict[str, Any]]) -> Script:
    """Return a script that answers with the rows of the companies and days asked for."""

    def script(asked: Asked) -> Any:
        query = asked.query
        ciks, symbols = (
            (query.get(name) or query.get(f"{name}.any_of") or "").split(",")
            for name in ("cik", "tickers")
        )
        first, before = query.get("filing_date.gte", ""), query.get("filing_date.lt", "9999")
        return results(
            [
                row
                for row in rows
                if (row["cik"] in ciks or {*row["tickers"]} & {*symbols})
                and first <= row["filing_date"] < before
            ]
        )

    return script


@pytest.mark.slow
@pytest.mark.parametrize("words", [["daily-update", "--generation", "v2"], ["refresh"]])
def test_the_filings_under_the_new_cik_come(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    """As DIS in 2019. The nightly job names its tickers, as the old scripts did."""
    monkeypatch.setenv("POLYGON_API_KEY", KEY)
    before = [quarter(OLD, days, ["DIS"]) for days in (400, 300, 200, 100)]
    named = ["--tickers", "DIS"]
    with serving(serving_rows(before)) as server:
        load = ["historical-load", "--generation", "v2", *named]
        assert call(*load, *where(server.url, lake))[0] == 0
    with serving(serving_rows([*before, quarter(NEW, 3, ["DIS"])])) as server:
        assert call(*words, *named, *where(server.url, lake))[0] == 0
    for statement in Statement:
        rows = stored_rows(lake, Generation.V2, statement)["DIS"]
        assert [row["cik"] for row in rows].count(NEW) == 1
        assert len(rows) == 5
