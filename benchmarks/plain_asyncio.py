"""The downloader that many teams have today, written as people write it: the yardstick.

asyncio and httpx with up to 100 requests in flight, polars, one Parquet file a ticker and
filing month, read-concat-write where a file exists. No orchestrator, no retries worth the
name, no revisions; run twice, it doubles every row. With two days, the filing dates between them
over the whole market.

    python benchmarks/plain_asyncio.py v2 URL KEY FOLDER TICKERS_FILE [SINCE UNTIL]
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import polars as pl

IN_FLIGHT = 100
V2 = {
    "balance_sheets": "balance-sheets",
    "cash_flow": "cash-flow-statements",
    "income_statements": "income-statements",
}


async def rows_of(client: httpx.AsyncClient, path: str, params: dict[str, str]) -> list[Any]:
    """Return all rows of one answer, pages followed."""
    found: list[Any] = []
    query: str | dict[str, str] = params
    while True:
        reply = await client.get(path, params=query)  # type: ignore[arg-type]
        reply.raise_for_status()
        body = reply.json()
        found += body["results"]
        if not body.get("next_url"):
            return found
        query = dict(pair.split("=", 1) for pair in urlsplit(body["next_url"]).query.split("&"))


def save(folder: Path, statement: str, ticker: str, rows: list[Any]) -> None:
    """Append the rows to the files of their filing months."""
    months: dict[str, list[Any]] = {}
    for row in rows:
        months.setdefault((row.get("filing_date") or "1900-01-01")[:7], []).append(row)
    for month, some in months.items():
        where = folder / statement / f"year={month[:4]}" / f"month={month[5:7]}"
        where.mkdir(parents=True, exist_ok=True)
        path = where / f"ticker={ticker}.parquet"
        frame = pl.DataFrame(some, infer_schema_length=None)
        if path.exists():
            frame = pl.concat([pl.read_parquet(path), frame], how="diagonal_relaxed")
        frame.write_parquet(path, compression="zstd")


async def one(
    client: httpx.AsyncClient,
    slots: asyncio.Semaphore,
    generation: str,
    folder: Path,
    statement: str,
    ticker: str,
    window: tuple[str, ...],
) -> None:
    """Download one statement of one ticker, or of the market's filings of some days."""
    params = {"timeframe": "quarterly", "limit": "50000" if generation == "v2" else "100"}
    if window:
        params |= {"filing_date.gte": window[0], "filing_date.lt": window[1]}
    else:
        params["tickers" if generation == "v2" else "ticker"] = ticker
    v2_path = f"/stocks/financials/v1/{V2[statement]}"
    async with slots:
        rows = await rows_of(
            client, v2_path if generation == "v2" else "/vX/reference/financials", params
        )
    if not window:
        save(folder, statement, ticker, rows)
        return
    companies: dict[str, list[Any]] = {}
    for row in rows:
        companies.setdefault((row.get("tickers") or ["NONE"])[0], []).append(row)
    for name, some in companies.items():
        save(folder, statement, name, some)


async def main(
    generation: str, url: str, key: str, folder: str, tickers_file: str, *window: str
) -> None:
    """Download all."""
    tickers = ["*"] if window else Path(tickers_file).read_text().split()
    slots = asyncio.Semaphore(IN_FLIGHT)
    headers = {"Authorization": f"Bearer {key}"}
    limits = httpx.Limits(max_connections=IN_FLIGHT)
    async with httpx.AsyncClient(
        base_url=url, headers=headers, timeout=300, limits=limits
    ) as client:
        await asyncio.gather(
            *(
                one(client, slots, generation, Path(folder), statement, ticker, window)
                for ticker in tickers
                for statement in V2
            )
        )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
