"""The wide table as it is, and as it could have been known on a day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from polygon_fundamentals.datasets.keys import SAME_PERIOD_DAYS
from polygon_fundamentals.datasets.schemas import DAY
from polygon_fundamentals.lake.archived_rows import read_archived
from polygon_fundamentals.lake.listing import Shown, by_bucket, states
from polygon_fundamentals.lake.paths import Dataset, Lake
from polygon_fundamentals.periods.companies import (
    batches,
    ciks_in,
    ciks_of,
    clusters_of,
    ticker_ciks,
)
from polygon_fundamentals.periods.current import period_keys
from polygon_fundamentals.reference.original_dates import EXACT, by_source, load_dates
from polygon_fundamentals.silver import versions
from polygon_fundamentals.silver.schema import wide_schema
from polygon_fundamentals.statements import Generation, Statement
from tests.unit.silver.oracle import known_dates
from tests.unit.silver.oracle.statement_rows import PERIOD, Side, row_of, side_of
from tests.unit.silver.oracle.wide import (
    FirstFilings,
    assemble,
    combine,
    dates_of_v2,
    moved_first,
    on_one_date,
)

# Tickers whose rows are in memory together. Measured: with 1,000 since 2010, of both generations,
# the process needs 600 MB, and 660 MB with all of them in one batch.
BATCH_TICKERS = 600
Positions = npt.NDArray[np.int64]


@dataclass
class _Reading:
    """One generation while the table is built: its versions, and what becomes of them.

    `first` has the first filing date by company and period end, as days since 1970.
    """

    generation: Generation
    tables: dict[Statement, pa.Table]
    ciks: Mapping[str, str]
    day: np.datetime64 | None
    first: pd.Series[int]
    sides: dict[Statement, Side]

    @classmethod
    def of(
        cls,
        generation: Generation,
        tables: dict[Statement, pa.Table],
        ciks: Mapping[str, str],
        day: np.datetime64 | None,
    ) -> _Reading:
        found = [known_dates.first_filings(table, generation, ciks) for table in tables.values()]
        return cls(generation, tables, ciks, day, _earliest(found), {})

    def read(self, dated: pd.Series[int], proven: Mapping[Statement, Side]) -> None:
        """Fill `sides`, giving each table free when it is used up.

        `dated` and `proven` are for v2 on a past day: see `_with_unproven`.
        """
        known_first = []
        for statement in Statement:
            table = self.tables.pop(statement)
            days = known_dates.known_days(table, self.generation, self.ciks, self.first)
            if self.day is None:
                rows = np.flatnonzero(table["event"].is_null().to_numpy())
            else:
                rows = known_dates.known_on(table, self.generation, days, self.day)
                past = table.take(pa.array(np.flatnonzero(days <= self.day)))
                known_first.append(known_dates.first_filings(past, self.generation, self.ciks))
                if not dated.empty:
                    later = np.flatnonzero(days > self.day)
                    stands = proven.get(statement)
                    rows = _with_unproven(rows, later, table, dated, stands, self.ciks)
            self.sides[statement] = side_of(
                table.take(pa.array(rows)), days[rows], self.generation, statement, self.ciks
            )
        if known_first:
            self.first = _earliest(known_first)


def wide_table(
    lake: Lake,
    generation: Generation,
    day: date | None = None,
    tickers: frozenset[str] | None = None,
) -> pa.Table:
    """Return the table as built from `generation`, whole or of some tickers.

    Nothing is written but caches. With `day`, as it could have been known at the end of that day
    in New York: see `as_of`.

    Raises:
        DamagedFileError: a file of the lake cannot be read; the text names it.
    """
    return _Source.of(lake, generation, day).table(tickers)


def wide_parts(lake: Lake, generation: Generation, day: date | None = None) -> Iterator[pa.Table]:
    """Yield the rows of `wide_table` some whole companies at a time, each part sorted.

    So that a market is never in memory together. Raises as `wide_table`.
    """
    source = _Source.of(lake, generation, day)
    for tickers in source.batches():
        yield source.table(tickers)


@dataclass(frozen=True)
class _Source:
    """What the table is built from: the folders as they were listed, and the original dates."""

    generation: Generation
    day: date | None
    datasets: Mapping[Generation, Mapping[Statement, Dataset]]
    shown: Mapping[Dataset, Shown]
    estimates: list[tuple[str, pd.Series[int]]]
    exact: pd.Series[int]

    @classmethod
    def of(cls, lake: Lake, generation: Generation, day: date | None) -> _Source:
        generations = [Generation.V1] if generation is Generation.V1 else list(Generation)
        datasets = {g: {s: lake.dataset(g, s) for s in Statement} for g in generations}
        shown = {d: by_bucket(states(d)) for group in datasets.values() for d in group.values()}
        dates = load_dates(lake)
        exact = dict(by_source(dates))[EXACT]
        if day is not None:
            dates = dates.filter(pc.less_equal(dates["first_filing_date"], pa.scalar(day, DAY)))
        return cls(generation, day, datasets, shown, by_source(dates), exact)

    def batches(self) -> Iterator[frozenset[str] | None]:
        """Yield tickers whose companies have no other; None for all where they are not many."""
        before = {d: versions.superseded(d).select(["ticker", "cik"]) for d in self.shown}
        tickers = {state.ticker for s in self.shown.values() for b in s.values() for state in b}
        for dataset, rows in before.items():
            tickers.update(pc.unique(rows["ticker"]).to_pylist())
            archived = read_archived(dataset, columns=["ticker"])
            if archived is not None:
                tickers.update(pc.unique(archived["ticker"]).to_pylist())
        if len(tickers) <= BATCH_TICKERS:
            yield None
            return
        ciks: dict[str, set[str]] = {ticker: set() for ticker in tickers}
        for dataset, rows in before.items():
            for told in (ciks_of(rows), ciks_in(dataset, tickers, self.shown[dataset])):
                for ticker, mine in told.items():
                    ciks[ticker] |= mine
        clusters = clusters_of({ticker: sorted(mine) for ticker, mine in ciks.items()})
        yield from map(frozenset, batches(clusters, BATCH_TICKERS))

    def table(self, tickers: frozenset[str] | None) -> pa.Table:
        """Return the rows of some tickers, None: of all; sorted."""
        moment = None if self.day is None else np.datetime64(self.day, "D")
        tables = {
            g: {s: versions.versions(d, tickers, self.shown[d]) for s, d in group.items()}
            for g, group in self.datasets.items()
        }
        ciks = ticker_ciks([t for group in tables.values() for t in group.values()], {})
        v1 = _Reading.of(Generation.V1, tables.pop(Generation.V1), ciks, moment)
        first = v1.first
        v1.read(pd.Series(dtype="int64"), {})
        if self.generation is Generation.V1:
            sides = combine(self.generation, v1.sides, {}, pd.DataFrame())
            sources = [(Generation.V1.value, v1.first), *self.estimates]
        else:
            known = _earliest([first, self.exact])
            of_v2 = {
                statement: known_dates.filed_no_sooner(table, known, ciks)
                for statement, table in tables.pop(Generation.V2).items()
            }
            v2 = _Reading.of(Generation.V2, of_v2, ciks, moment)
            v2.read(pd.concat([dates for _, dates in self.estimates]), v1.sides)
            theirs, of_v2 = on_one_date(v2.sides)
            moves = dates_of_v2(v1.sides, theirs)
            sides = combine(self.generation, v1.sides, theirs, moves)
            sources = [
                (Generation.V1.value, moved_first(v1.first, moves)),
                *self.estimates,
                (Generation.V2.value, moved_first(v2.first, of_v2)),
            ]
        sides = [side for side in sides if len(side)]
        if not sides:
            return wide_schema().empty_table()
        return assemble(sides, self.generation, FirstFilings(sources), moment)


def as_of(lake: Lake, day: date, generation: Generation | None = None) -> pa.Table:
    """Return the table as it could have been known at the end of a day in New York.

    No period that was first filed later, and of each record the content of that day (see
    `knowable`). A period that the filings index shows to have been filed by then, and of which
    nobody kept what it said then, is there with the earliest content that is known: its
    `values_known_from` lies after `day`, so that a strict backtest can leave it out. `generation`
    is the primary one unless given. Raises as `wide_table`.
    """
    return wide_table(lake, generation or lake.primary, day)


def _earliest(found: list[pd.Series[int]]) -> pd.Series[int]:
    return pd.concat(found).groupby(level=[0, 1]).min()


def _with_unproven(
    rows: Positions,
    later: Positions,
    table: pa.Table,
    dated: pd.Series[int],
    proven: Side | None,
    ciks: Mapping[str, str],
) -> Positions:
    """Return `rows` and the earliest version of each period that was filed but is not in them.

    `dated` are the periods that the filings index shows to have been filed by the day, `later` the
    versions that nobody could know by then: one that was known and withdrawn does not return. Where
    v1's record (`proven`) says what a period said then, it stands for the period instead.
    """
    keys = period_keys(table, Generation.V2, ciks)
    keys.insert(0, "ticker", table["ticker"].to_numpy(zero_copy_only=False))
    days = keys["period_end"].to_numpy().astype("datetime64[D]").astype("int64")
    filed = pd.MultiIndex.from_arrays([keys["company"], days]).isin(dated.index)
    open_ = filed & (row_of(keys.iloc[rows], keys, PERIOD) < 0)
    if proven is not None:
        near = keys.assign(row=np.arange(len(keys))).merge(proven.keys[PERIOD], on=PERIOD[:3])
        apart = (near["period_end_x"] - near["period_end_y"]).abs().dt.days
        open_[near.loc[apart <= SAME_PERIOD_DAYS, "row"]] = False
    first = np.intersect1d(known_dates.earliest(table, Generation.V2), later)
    return np.sort(np.concatenate([rows, first[open_[first]]]))
