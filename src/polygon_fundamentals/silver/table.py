"""The wide table as it is, and as it could have been known on a day."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from polygon_fundamentals.datasets.schemas import DAY
from polygon_fundamentals.lake.archived_rows import read_archived
from polygon_fundamentals.lake.file_names import bucket_of
from polygon_fundamentals.lake.listing import Shown, by_bucket, states
from polygon_fundamentals.lake.paths import Dataset, Lake, lake_at
from polygon_fundamentals.periods.companies import (
    batches,
    ciks_in,
    ciks_of,
    clusters_of,
    ticker_ciks,
)
from polygon_fundamentals.reference.edgar_cache import EdgarCache
from polygon_fundamentals.reference.original_dates import EXACT, by_source, load_dates
from polygon_fundamentals.silver import known_dates, versions
from polygon_fundamentals.silver.combine import (
    FirstFilings,
    combine,
    earliest_filings,
    estimates_of,
    filings_of,
    moved_first,
)
from polygon_fundamentals.silver.names import Names
from polygon_fundamentals.silver.schema import history_schema, wide_schema
from polygon_fundamentals.silver.statement_rows import Side, side_of
from polygon_fundamentals.silver.unproven import with_unproven
from polygon_fundamentals.silver.wide import assemble
from polygon_fundamentals.statements import Generation, Statement

# Tickers whose rows are in memory together: of 1,000 since 2010, of both generations, the process
# needs 1.0 GB, and 1.3 GB with 600 at a time.
BATCH_TICKERS = 300


def history_table(
    lake: Lake,
    generation: Generation,
    tickers: frozenset[str] | None = None,
    *,
    strict: bool = False,
) -> pa.Table:
    """Return what was known from when to when, in `history_schema`, whole or of some tickers.

    Nothing is written but caches. A row stands from `known_from` until the day before `known_to`,
    which is null for what is known today. With `strict` no value stands before the day from which
    it could be known: a period of which only the filing was known then is left out.

    Raises:
        DamagedFileError: a file of the lake cannot be read; the text names it.
    """
    return Source.of(lake, generation, tickers).part(tickers, strict=strict).rows


def history_parts(lake: Lake, generation: Generation) -> Iterator[Part]:
    """Yield the rows of `history_table` some whole companies at a time, each part sorted.

    A whole market is never in memory at once. Raises as `history_table`.
    """
    source = Source.of(lake, generation)
    for tickers in source.batches(BATCH_TICKERS):
        yield source.part(tickers)


def known_on(history: pa.Table, day: date | None) -> pa.Table:
    """Return the rows in `wide_schema` that were known at the end of a day; None: those of now."""
    if day is None:
        stands = pc.is_null(history["known_to"])
    else:
        moment = pa.scalar(day, DAY)
        ends = pc.fill_null(pc.greater(history["known_to"], moment), True)
        stands = pc.and_(pc.less_equal(history["known_from"], moment), ends)
    return history.select(wide_schema().names).filter(stands)


def wide_table(
    lake: Lake,
    generation: Generation,
    day: date | None = None,
    tickers: frozenset[str] | None = None,
    *,
    strict: bool = False,
) -> pa.Table:
    """Return the table as built from `generation`, whole or of some tickers.

    Nothing is written but caches. With `day`, as it could have been known at the end of that day
    in New York: see `as_of`; `strict` as in `history_table`.

    Raises:
        DamagedFileError: a file of the lake cannot be read; the text names it.
    """
    return known_on(history_table(lake, generation, tickers, strict=strict), day)


def as_of(lake: Lake | Path | str, day: date, generation: Generation | None = None) -> pa.Table:
    """Return the table as it could have been known at the end of a day in New York.

    It has no period that was first filed later, and the content of each record on that day (see
    `known_dates`). A period that the filings index shows to have been filed by then, but whose
    content of then nobody kept, has the earliest content that is known: its `values_known_from`
    lies after `day`, so that a strict backtest can leave it out. `generation` is the primary one
    unless given. Raises as `wide_table` and `lake_at`.
    """
    lake = lake_at(lake)
    return wide_table(lake, generation or lake.primary, day)


@dataclass(frozen=True)
class Part:
    """Rows of the history, of some whole companies.

    `left_out` counts, by ticker, the records of the lake that have no period end, of which no row
    can be made.
    """

    rows: pa.Table
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class Source:
    """What the table is built from: the folders as listed, and what others say of dates."""

    generation: Generation
    datasets: Mapping[Generation, Mapping[Statement, Dataset]]
    shown: Mapping[Dataset, Shown]
    dates: pa.Table
    edgar: EdgarCache

    @classmethod
    def of(
        cls, lake: Lake, generation: Generation, tickers: frozenset[str] | None = None
    ) -> Source:
        """Return the listed folders; with `tickers`, only the buckets that hold them."""
        generations = [Generation.V1] if generation is Generation.V1 else list(Generation)
        datasets = {g: {s: lake.dataset(g, s) for s in Statement} for g in generations}
        buckets = None if tickers is None else frozenset(map(bucket_of, tickers))
        shown = {
            d: by_bucket(states(d, buckets)) for group in datasets.values() for d in group.values()
        }
        return cls(generation, datasets, shown, load_dates(lake), EdgarCache(lake))

    def batches(self, size: int) -> Iterator[frozenset[str] | None]:
        """Yield the tickers of some whole companies at a time, or None for all up to `size`."""
        before = {d: versions.superseded(d).select(["ticker", "cik"]) for d in self.shown}
        tickers = {state.ticker for s in self.shown.values() for b in s.values() for state in b}
        for dataset, rows in before.items():
            tickers.update(pc.unique(rows["ticker"]).to_pylist())
            archived = read_archived(dataset, columns=["ticker"])
            if archived is not None:
                tickers.update(pc.unique(archived["ticker"]).to_pylist())
        if len(tickers) <= size:
            yield None
            return
        ciks: dict[str, set[str]] = {ticker: set() for ticker in tickers}
        for dataset, rows in before.items():
            for ciks_by_ticker in (ciks_of(rows), ciks_in(dataset, tickers, self.shown[dataset])):
                for ticker, mine in ciks_by_ticker.items():
                    ciks[ticker] |= mine
        clusters = clusters_of({ticker: sorted(mine) for ticker, mine in ciks.items()})
        # Tickers of one bucket together: the cache of a bucket is read whole.
        clusters = sorted(clusters, key=lambda cluster: bucket_of(cluster[0]))
        yield from map(frozenset, batches(clusters, size))

    def part(self, tickers: frozenset[str] | None, *, strict: bool = False) -> Part:
        """Return the sorted history of some tickers, or of all; `strict` as in `history_table`."""
        left_out: Counter[str] = Counter()
        tables = {
            g: {
                s: versions.with_period_end(
                    versions.versions(d, tickers, self.shown[d]), g, left_out
                )
                for s, d in group.items()
            }
            for g, group in self.datasets.items()
        }
        everything = [t for group in tables.values() for t in group.values()]
        ciks = ticker_ciks(everything, {})
        names = Names.of(everything, ciks)
        del everything
        dates = by_source(self.dates)
        estimates = estimates_of(dates, names)
        of_v1 = tables.pop(Generation.V1)
        first = known_dates.earliest(
            known_dates.first_filings(table, Generation.V1, names.ciks) for table in of_v1.values()
        )
        exact = dict(dates)[EXACT]
        exact = exact[exact.index.isin(names.companies, level=0)]
        known = known_dates.earliest([first, exact])
        v1, v1_first = _read(Generation.V1, of_v1, names, first, None, {})
        sources = [(Generation.V1.value, v1_first), *estimates]
        if self.generation is Generation.V1:
            sides, _ = combine(self.generation, v1, {})
        else:
            dated = None
            if not strict:
                dated = pd.concat([frame for _, frame in estimates], ignore_index=True)
            of_v2 = {
                statement: known_dates.filed_no_sooner(table, known, ciks)
                for statement, table in tables.pop(Generation.V2).items()
            }
            v2, v2_first = _read(Generation.V2, of_v2, names, first, dated, v1)
            sides, moves = combine(self.generation, v1, v2)
            sources[0] = (Generation.V1.value, moved_first(v1_first, moves[Generation.V1]))
            sources.append((Generation.V2.value, moved_first(v2_first, moves[Generation.V2])))
        sides = [side for side in sides if len(side)]
        if not sides:
            return Part(history_schema().empty_table(), left_out)
        rows = assemble(sides, self.generation, FirstFilings(sources), names, self.edgar)
        return Part(rows, left_out)


def _read(
    generation: Generation,
    tables: dict[Statement, pa.Table],
    names: Names,
    first: pd.Series[int],
    dated: pd.DataFrame | None,
    proven: Mapping[Statement, Side],
) -> tuple[dict[Statement, Side], pd.DataFrame]:
    """Return one generation's sides and first filings, dropping each table once it is used.

    `first` has v1's first filings. `dated` and `proven` are for v2: see `with_unproven`.
    """
    sides, firsts = {}, []
    for statement in Statement:
        table = tables.pop(statement)
        if not table.num_rows:
            sides[statement], filings = _nothing(generation, statement)
            firsts.append(filings)
            continue
        keys = names.keys(table, generation)
        life = known_dates.lifetimes(table, generation, names.ciks, first)
        life["known_from"] = life["since"]
        firsts.append(filings_of(table, keys, life["since"], generation))
        if dated is not None and len(dated):
            life = with_unproven(life, keys, dated, proven[statement])
        sides[statement] = side_of(table, life, keys, generation, statement, names)
    return sides, earliest_filings(pd.concat(firsts, ignore_index=True))


@functools.cache
def _nothing(generation: Generation, statement: Statement) -> tuple[Side, pd.DataFrame]:
    """Return the side and the filings of a table without rows, as a young lake has several.

    Made once: every step of the way takes as long as for a row.
    """
    dataset = Lake(Path()).dataset(generation, statement)
    table = versions.versions_schema(dataset).empty_table()
    names = Names.of([table], {})
    keys = names.keys(table, generation)
    life = known_dates.lifetimes(table, generation, {}, known_dates.NO_DAYS)
    life["known_from"] = life["since"]
    filings = filings_of(table, keys, life["since"], generation)
    return side_of(table, life, keys, generation, statement, names), filings
