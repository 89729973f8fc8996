"""Our library without Prefect: the same batches, threads and writer processes as the command.

What the command takes beyond this is Prefect, the ledger, artifacts and the status page.

    python benchmarks/library_only.py v2 URL KEY FOLDER TICKERS_FILE
"""

from __future__ import annotations

import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from polygon_fundamentals.http.client import Client
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.load.companies import resolve_bisecting
from polygon_fundamentals.load.historical import load_v1, load_v2_bisecting
from polygon_fundamentals.load.loader import Loader
from polygon_fundamentals.load.query import BATCH, Filters, even_groups, v2_batch
from polygon_fundamentals.load.writers import Inline, Processes, Writers
from polygon_fundamentals.settings import load_settings
from polygon_fundamentals.statements import Statement, Timeframe

UNITS_WORTH_PROCESSES = 60


def main(generation: str, url: str, key: str, folder: str, tickers_file: str) -> None:
    """Load all."""
    tickers = Path(tickers_file).read_text().split()
    settings, lake = load_settings(url), Lake(Path(folder).absolute())
    lake.prepare()
    client = Client(settings, key)
    filters = Filters(timeframes=(Timeframe.QUARTERLY,))
    units = len(tickers) * len(Statement)
    many = units >= UNITS_WORTH_PROCESSES and settings.processes > 1
    writers: Writers = Processes(settings.processes) if many else Inline()
    with ThreadPoolExecutor(settings.threads) as pool:
        if generation == "v1":
            statements = list(Statement)
            work: list[Future[Any]] = [
                pool.submit(load_v1, Loader(client, lake, writers), ticker, statements, filters)
                for ticker in tickers
            ]
        else:
            size = v2_batch(len(tickers))
            companies: dict[str, list[str]] = {}
            for group in even_groups(tickers, BATCH):
                companies.update(resolve_bisecting(client, lake, group)[0])
            by_cik = [ticker for ticker in companies if companies[ticker]]
            by_symbol = [ticker for ticker in companies if not companies[ticker]]
            work = [
                pool.submit(
                    load_v2_bisecting, Loader(client, lake, writers), batch, statement, filters
                )
                for group in even_groups(by_cik, size) + even_groups(by_symbol, size)
                for batch in [{ticker: companies[ticker] for ticker in group}]
                for statement in Statement
            ]
        for future in work:
            future.result()
    writers.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
