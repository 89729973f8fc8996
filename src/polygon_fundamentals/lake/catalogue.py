"""The catalogue: what the lake holds, counted from the stock of its datasets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from polygon_fundamentals.datasets.keys import cik_of, period_of, timeframe_of
from polygon_fundamentals.lake import index
from polygon_fundamentals.lake.dataset_summary import (
    Look,
    TickerSummary,
    keys_read,
    summarise,
    unindexed_in,
)
from polygon_fundamentals.lake.listing import FileState
from polygon_fundamentals.lake.paths import Dataset, Lake
from polygon_fundamentals.statements import Generation, Statement, Timeframe


@dataclass(frozen=True)
class DatasetCounts:
    """What a dataset holds. `records` counts a record once a ticker file, `periods` once a company.

    `first_filed` and `last_filed` are None in a dataset without dated records;
    `unreadable` names files that could not be counted, `unindexed` those that changed since we last
    wrote their ticker.
    """

    generation: Generation
    statement: Statement
    records: int = 0
    tickers: int = 0
    periods: int = 0
    files: int = 0
    bytes: int = 0
    first_filed: date | None = None
    last_filed: date | None = None
    undated: int = 0
    bytes_by_year: Mapping[int, int] = field(default_factory=dict)
    unreadable: tuple[str, ...] = ()
    unindexed: tuple[FileState, ...] = ()


def count(dataset: Dataset, look: Look = Look.EVERY_FILE) -> DatasetCounts:
    """Return what a dataset holds; updates the counts of the files that `look` asks."""
    summary = summarise(dataset, look)
    entries, edges = summary.tickers, summary.edges
    by_year: dict[int, int] = {}
    for partition, (_, size) in summary.sizes.items():
        year = int(partition) // 100
        by_year[year] = by_year.get(year, 0) + size
    days = {
        name: date.fromisoformat(day)
        for name in ("first", "last")
        if name in edges and (day := edges[name]["day"])
    }
    return DatasetCounts(
        dataset.generation,
        dataset.statement,
        records=sum(entry.records for entry in entries.values()),
        tickers=sum(1 for entry in entries.values() if entry.records),
        periods=_periods(dataset, entries),
        files=sum(files for files, _ in summary.sizes.values()),
        bytes=sum(by_year.values()),
        first_filed=days.get("first"),
        last_filed=days.get("last"),
        undated=sum(entry.undated for entry in entries.values()),
        bytes_by_year=by_year,
        unreadable=tuple(path for entry in entries.values() for path in entry.unreadable),
        unindexed=tuple(unindexed_in(dataset, summary)),
    )


def counts(lake: Lake, look: Look = Look.EVERY_FILE) -> list[DatasetCounts]:
    """Return what each of a lake's six datasets holds, see `count`."""
    return [
        count(lake.dataset(generation, statement), look)
        for generation in Generation
        for statement in Statement
    ]


def _periods(dataset: Dataset, entries: Mapping[str, TickerSummary]) -> int:
    """Return the number of periods, those of a company with several tickers once."""
    owners: dict[str, list[str]] = {}
    for ticker, entry in entries.items():
        for cik in entry.periods:
            owners.setdefault(cik, []).append(ticker)
    total = 0
    for cik, tickers in owners.items():
        if len(tickers) == 1:
            total += entries[tickers[0]].periods[cik]
            continue
        union: set[str] = set()
        for ticker in tickers:
            keys = index.written(dataset, ticker).rows or keys_read(dataset, ticker)
            union.update(period_of(key) for key in keys if cik_of(key) == cik)
        total += len(union)
    return total


def companies(lake: Lake) -> dict[str, list[str]]:
    """Return every ticker that the lake follows → its CIKs, from both generations.

    Folders that are as they were are passed over.
    """
    ciks_by_ticker: dict[str, set[str]] = {}
    for generation in Generation:
        for ticker, ciks in companies_of(lake, generation).items():
            ciks_by_ticker.setdefault(ticker, set()).update(ciks)
    return {ticker: sorted(ciks) for ticker, ciks in sorted(ciks_by_ticker.items())}


def companies_of(lake: Lake, generation: Generation) -> dict[str, set[str]]:
    """Return every ticker of one generation's files → its CIKs, as `companies`."""
    ciks_by_ticker: dict[str, set[str]] = {}
    for statement in Statement:
        summary = summarise(lake.dataset(generation, statement), Look.CHANGED)
        for ticker, entry in summary.tickers.items():
            ciks = ciks_by_ticker.setdefault(ticker, set())
            ciks.update(cik for cik in entry.periods if not cik.startswith("ticker:"))
    return ciks_by_ticker


def timeframes(lake: Lake, generation: Generation) -> list[Timeframe]:
    """Return the timeframes of a generation's records, looking no further once all are seen."""
    names: set[str] = set()
    for statement in Statement:
        dataset = lake.dataset(generation, statement)
        for ticker in summarise(dataset, Look.CHANGED).tickers:
            keys = index.written(dataset, ticker).rows or keys_read(dataset, ticker)
            names.update(map(timeframe_of, keys))
            if names.issuperset(Timeframe):
                return list(Timeframe)
    return [timeframe for timeframe in Timeframe if timeframe in names]
