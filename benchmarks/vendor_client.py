"""The vendor's own client in a loop, as its documentation shows it: one request a ticker.

v2: one request a statement, one Parquet file a ticker and statement. v1: one request for all
statements, one file a ticker. A second run fetches and writes everything again. With two days,
the filing dates between them over the whole market, one file a statement.

    python benchmarks/vendor_client.py v2 URL KEY FOLDER TICKERS_FILE [SINCE UNTIL]
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from massive import RESTClient

V2 = {
    "balance_sheets": "list_financials_balance_sheets",
    "cash_flow": "list_financials_cash_flow_statements",
    "income_statements": "list_financials_income_statements",
}


def v1_rows(client: RESTClient, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """Return v1's records with their nested lines as columns."""
    found = client.vx.list_stock_financials(timeframe="quarterly", limit=100, **asked)
    return [asdict(row) for row in found]


def fetches(
    client: RESTClient, generation: str, asked: dict[str, Any]
) -> Iterator[tuple[str, Callable[[], list[dict[str, Any]]]]]:
    """Yield the folder and the request of each answer that is wanted."""
    if generation == "v1":
        yield "financials", lambda: v1_rows(client, asked)
        return
    if "ticker" in asked:
        asked = {"tickers": asked["ticker"]}
    for statement, method in V2.items():

        def rows(method: str = method) -> list[dict[str, Any]]:
            call = getattr(client, method)
            return [vars(row) for row in call(timeframe="quarterly", limit=50_000, **asked)]

        yield statement, rows


def main(generation: str, url: str, key: str, folder: str, tickers: str, *window: str) -> None:
    """Download all."""
    client = RESTClient(key, base=url, read_timeout=300)
    if window:
        parts = {"market": {"filing_date_gte": window[0], "filing_date_lt": window[1]}}
    else:
        parts = {ticker: {"ticker": ticker} for ticker in Path(tickers).read_text().split()}
    for name, asked in parts.items():
        for dataset, fetch in fetches(client, generation, asked):
            rows = fetch()
            if rows:
                path = Path(folder) / dataset / f"{name}.parquet"
                path.parent.mkdir(parents=True, exist_ok=True)
                pd.json_normalize(rows).to_parquet(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
