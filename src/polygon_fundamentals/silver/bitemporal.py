"""The latest period known on a day, for rows that each have a ticker and a day.

"Latest" means the greatest period end known by then, never the latest filing: a restatement of an
old period does not bring it back, and a later filing with fewer lines takes nothing away.

A period counts from the day on which its values could be known. The history has some periods from
the day on which they were first filed, with the values of a later filing, since nobody kept the
earlier ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from polygon_fundamentals.datasets.schemas import DAY, TEXT
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.silver.build_files import initial_of
from polygon_fundamentals.silver.builds import table_path
from polygon_fundamentals.silver.links import HISTORY_TABLE
from polygon_fundamentals.silver.schema import history_schema
from polygon_fundamentals.silver.timeline import (
    FOREVER,
    NEVER,
    Ints,
    moments,
    spans_between,
)
from polygon_fundamentals.silver.version_order import local_days
from polygon_fundamentals.statements import Timeframe

Frame = TypeVar("Frame", pa.Table, pd.DataFrame)

_ADDED = ("period_end", "known_from")
_SPANS = ("ticker", "cik", "period_end", "known_from", "values_known_from", "known_to")


def read_history(
    lake: Lake | Path | str,
    tickers: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    timeframe: str | None = None,
) -> pa.Table:
    """Return the rows of the built history, of some tickers, columns or one timeframe.

    Sorted by ticker, period end, timeframe, CIK and `known_from`.

    Raises:
        LakeError: there is no lake, or silver was not built yet.
        UsageError: there is no such column or timeframe.
    """
    names = history_schema().names if columns is None else list(columns)
    _known("column of silver", names, history_schema().names)
    wanted, folders = None, "*"
    if tickers is not None:
        wanted = pc.field("ticker").isin(pa.array(tickers, TEXT))
        initials = pc.unique(initial_of(pa.array(tickers, TEXT))).to_pylist()
        folders = initials[0] if len(initials) == 1 else "*"
    if timeframe is not None:
        _known("timeframe", [timeframe], [t.v1 for t in Timeframe])
        ours = pc.field("timeframe") == timeframe
        wanted = ours if wanted is None else wanted & ours
    paths = sorted(map(str, table_path(lake, HISTORY_TABLE).glob(f"{folders}/*.parquet")))
    if not paths:
        return history_schema().empty_table().select(names)
    return ds.dataset(paths, schema=history_schema()).to_table(columns=names, filter=wanted)


def join_as_of(
    frame: Frame,
    lake: Lake | Path | str,
    on: str = "date",
    by: str = "ticker",
    *,
    columns: Sequence[str],
    timeframe: str = Timeframe.QUARTERLY.v1,
) -> Frame:
    """Return `frame` with `columns` of the latest period known on each row's day.

    Also adds the period's `period_end` and its `known_from`, the day from which this version and
    its values were known. The rows keep their order; one without a known period gets nulls. A day
    counts with all that was known at its end in New York: to trade during the day, join by the day
    before. `on` is a column of dates or timestamps; those with a zone are converted to New York.
    `frame` is a pandas DataFrame or an Arrow table; a polars frame comes back as an Arrow table.
    `lake` is the lake's folder.

    Raises:
        LakeError: there is no lake, or silver was not built yet.
        UsageError: a column or the timeframe is not there, or a column's name is taken.
    """
    pandas = isinstance(frame, pd.DataFrame)
    there = [str(name) for name in frame.columns] if pandas else pa.table(frame).schema.names
    _known("column of the frame", [on, by], there)
    added: list[str] = list(dict.fromkeys([*_ADDED, *columns]))
    taken = sorted(set(added) & set(there))
    if taken:
        raise UsageError(f"the frame already has a column {taken[0]!r}; rename it and join again")
    if isinstance(frame, pd.DataFrame):
        table = pa.Table.from_pandas(frame[[on, by]], preserve_index=False)
    else:
        table = pa.table(frame)
    tickers, days = table[by].cast(TEXT), _days(table[on], on)
    read = list(dict.fromkeys([*_SPANS, *added]))
    history = _with_values_known(read_history(lake, _few(tickers), read, timeframe))
    source = _latest(history, tickers, days)
    latest = history.select(added).combine_chunks().take(pa.array(source, mask=source < 0))
    if isinstance(frame, pd.DataFrame):
        values = latest.to_pandas().set_axis(frame.index)
        return pd.concat([frame, values], axis=1)
    for name in added:
        table = table.append_column(name, latest[name])
    return table


def _known(what: str, wanted: Sequence[str], there: Sequence[str]) -> None:
    for name in wanted:
        if name not in there:
            raise UsageError(f"{name!r} is not a {what}; choose from {', '.join(there)}")


def _few(tickers: pa.ChunkedArray) -> list[str] | None:
    """Return the tickers where they are few enough that the rest of the market may be skipped."""
    distinct = pc.unique(tickers)
    return distinct.drop_null().to_pylist() if len(distinct) <= 200 else None


def _days(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    kind = column.type
    if not (pa.types.is_date(kind) or pa.types.is_timestamp(kind)):
        raise UsageError(
            f"the column {name} has values of type {kind}; convert them to dates or timestamps, "
            "with pandas.to_datetime for instance"
        )
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return local_days(column)
    return pc.cast(column, DAY, safe=False)


def _with_values_known(history: pa.Table) -> pa.Table:
    """Return the versions with `known_from` no earlier than the day their values were known."""
    known = pc.max_element_wise(history["known_from"], history["values_known_from"])
    place = history.schema.get_field_index("known_from")
    history = history.set_column(place, "known_from", known)
    return history.filter(pc.fill_null(pc.less(known, history["known_to"]), True))


def _latest(history: pa.Table, tickers: pa.ChunkedArray, days: pa.ChunkedArray) -> Ints:
    """Return for each ticker and day the row of the latest period known then, -1 for none."""
    names = pc.unique(history["ticker"])
    row, since, until = _spans(history, names)
    if not len(row):
        return np.full(len(tickers), -1, dtype=np.int64)
    number = _numbers(pc.index_in(history["ticker"], names))[row]
    order = np.lexsort((since, number))
    begins = moments(number, since)[order]
    wanted = _numbers(pc.fill_null(pc.index_in(tickers, names), len(names)))
    day = _numbers(pc.fill_null(days.cast(pa.int32()), NEVER))
    place = np.searchsorted(begins, moments(wanted, day), "right") - 1
    place = order[place]
    stood = (number[place] == wanted) & (since[place] <= day) & (day < until[place])
    return np.where(stood, row[place], -1)


def _spans(history: pa.Table, names: pa.Array) -> tuple[Ints, Ints, Ints]:
    """Return row, begin and end of the spans in which rows were those of the latest period.

    Of two companies under one ticker with the same period end, the one of the greater CIK.
    """
    ticker = _numbers(pc.index_in(history["ticker"], names))
    end = _numbers(history["period_end"].cast(pa.int32()))
    since = _numbers(history["known_from"].cast(pa.int32()))
    until = _numbers(pc.fill_null(history["known_to"].cast(pa.int32()), FOREVER))
    cik = _numbers(pc.rank(pc.fill_null(history["cik"], ""), tiebreaker="dense"))
    by_rank = np.lexsort((cik, end, ticker))
    rank = np.empty(len(end), dtype=np.int64)
    rank[by_rank] = np.arange(len(end))
    number, start, stop = spans_between(np.tile(ticker, 2), np.concatenate([since, until]))
    begins = moments(number, start)
    low, high = (np.searchsorted(begins, moments(ticker, day)) for day in (since, until))
    best = greatest_over(low, high, rank, len(number))
    stands = best >= 0
    return by_rank[best[stands]], start[stands], stop[stands]


def _numbers(column: pa.ChunkedArray) -> Ints:
    return np.asarray(column.to_numpy(), dtype=np.int64)


def greatest_over(low: Ints, high: Ints, rank: Ints, count: int) -> Ints:
    """Return for each of `count` places the greatest rank of the ranges over it, -1 for none.

    A range goes from `low` up to `high` and holds at least one place. Each is written as two
    ranges, of as many places as the greatest power of two within it; from the greatest power down,
    a range hands its rank to its two halves.
    """
    power = np.log2(high - low).astype(np.int64)
    best = np.full(count, -1, dtype=np.int64)
    for k in range(int(power.max(initial=0)), -1, -1):
        mine = power == k
        np.maximum.at(best, low[mine], rank[mine])
        np.maximum.at(best, high[mine] - (1 << k), rank[mine])
        half = 1 << k >> 1
        if half:
            best[half:] = np.maximum(best[half:], best[:-half].copy())
    return best
