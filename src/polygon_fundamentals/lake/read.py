"""Reading a whole dataset: each file once, and on the next run only what changed.

What was read, and what a load had in hand as it wrote, is kept in `lake.cache`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from polygon_fundamentals.datasets.flat import flat_schema, flattened, value_columns
from polygon_fundamentals.datasets.keys import PERIOD, filing_order, record_keys
from polygon_fundamentals.lake import cache, codec
from polygon_fundamentals.lake.archived_rows import (
    is_archived,
    read_archived,
    read_repeats,
    with_archived,
)
from polygon_fundamentals.lake.file_names import BUCKETS, bucket_of
from polygon_fundamentals.lake.listing import (
    ATTEMPTS,
    FileState,
    Shown,
    by_bucket,
    moving,
    stamp_of,
    states,
)
from polygon_fundamentals.lake.paths import Dataset
from polygon_fundamentals.lake.processes import are_worth_processes, run_jobs
from polygon_fundamentals.statements import Generation


def read_dataset(
    dataset: Dataset, tickers: Iterable[str] | None = None, shown: Shown | None = None
) -> pa.Table:
    """Return all rows of a dataset in `flat_schema`, one per ticker file and record key.

    `shown` are all files of the dataset if the caller has just listed them. A row that is stored
    twice counts once: of two of our files (after a move that was cut off) the one observed later,
    of an older tool's files the latest filing, then the one observed later. If a file is no longer
    as it was listed, the folders are listed again, so that no row is lost to a load that runs
    meanwhile. Writes the cache.

    Raises:
        DamagedFileError: a file that must be read cannot be; the text names it.
        LakeError: files moved in each of ten attempts.
    """
    wanted = None if tickers is None else set(tickers)
    for _ in range(ATTEMPTS):
        archived = read_archived(dataset, wanted)
        try:
            # Folders that showed nothing are looked at again: it costs nothing, and `restore` may
            # have filled them since.
            stored = _read(dataset, wanted, shown or None)
        except _MovedError:
            shown = None
            continue
        if is_archived(dataset) == (archived is not None):
            return (
                stored
                if archived is None
                else with_archived(stored, archived.cast(stored.schema), dataset)
            )
        shown = None  # v1 went to the archive meanwhile, or came back from it
    raise moving(dataset)


class _MovedError(Exception):
    """A file is not what the listing showed: its rows may stand in a file that was not listed."""


def _read(dataset: Dataset, wanted: set[str] | None, shown: Shown | None) -> pa.Table:
    jobs = []
    tables: dict[int, pa.Table] = {}
    for bucket, now in _buckets(dataset, wanted, shown):
        cached, fresh, _ = cache.load(dataset, bucket, now)
        if fresh:
            jobs.append((bucket, now, fresh))
        else:
            tables[bucket] = _of_tickers(_latest(cached, dataset), wanted)
    for bucket, table in _read_buckets(dataset, jobs):
        tables[bucket] = _of_tickers(table, wanted)
    empty = flat_schema(dataset.generation, dataset.statement).empty_table()
    return pa.concat_tables(
        [empty, *(tables[bucket] for bucket in sorted(tables))]
    ).combine_chunks()


def bring_up_cache(dataset: Dataset, tickers: Iterable[str], shown: Shown) -> None:
    """Read what changed in the buckets of some tickers into the cache, in processes if it pays.

    For a caller that reads them bucket by bucket afterwards, to hold one at a time.

    Raises:
        DamagedFileError: a file cannot be read; the text names it.
    """
    jobs = [
        (bucket, now, fresh)
        for bucket, now in _buckets(dataset, set(tickers), shown)
        if (fresh := cache.fresh(dataset, bucket, now))
    ]
    # A file that moved is told again, and read, where its bucket is.
    with contextlib.suppress(_MovedError):
        for _ in _read_buckets(dataset, jobs):
            pass


def _buckets(
    dataset: Dataset, wanted: set[str] | None, shown: Shown | None
) -> Iterator[tuple[int, list[FileState]]]:
    """Yield each bucket with its files as they are now; of some tickers only theirs."""
    files = by_bucket(states(dataset)) if shown is None else shown
    buckets = range(BUCKETS) if wanted is None else sorted({bucket_of(t) for t in wanted})
    for bucket in buckets:
        now = files.get(bucket, [])
        if wanted is None or any(state.ticker in wanted for state in now):
            yield bucket, now


def repeated_rows(dataset: Dataset, tickers: Iterable[str]) -> pa.Table:
    """Return the rows that share ticker and record key with another stored row, all of them.

    From the cache that `read_dataset` of these tickers has just written; of an archived v1 those
    that were kept.

    Raises:
        DamagedFileError: the kept ones cannot be read; the text names their file.
    """
    wanted = set(tickers)
    archived = read_repeats(dataset, wanted) if is_archived(dataset) else None
    if archived is not None:
        return archived
    generation = dataset.generation
    keys = ["ticker", "cik", "timeframe", *PERIOD[generation], "partition"]
    tables = [flat_schema(generation, dataset.statement).empty_table()]
    for bucket in sorted({bucket_of(ticker) for ticker in wanted}):
        # Nearly always there is none, and the keys alone say so.
        if _repeat(_of_tickers(cache.rows(dataset, bucket, keys), wanted), generation).any():
            rows = _of_tickers(cache.rows(dataset, bucket), wanted).drop_columns([cache.OURS.name])
            tables.append(rows.filter(pa.array(_repeat(rows, generation))))
    return pa.concat_tables(tables).combine_chunks()


def _codes(rows: pa.Table, generation: Generation) -> npt.NDArray[np.int32]:
    """Return a number a row, the same for rows that share ticker and record key."""
    keys = pc.binary_join_element_wise(
        rows["ticker"], pa.array(record_keys(rows, generation), pa.string()), "\x1f"
    )
    return keys.combine_chunks().dictionary_encode().indices.to_numpy()


def _repeat(rows: pa.Table, generation: Generation) -> npt.NDArray[np.bool_]:
    codes = _codes(rows, generation)
    return np.bincount(codes, minlength=1)[codes] > 1


def _of_tickers(table: pa.Table, wanted: set[str] | None) -> pa.Table:
    if wanted is None:
        return table
    return table.filter(pc.is_in(table["ticker"], pa.array(sorted(wanted), pa.string())))


def _read_buckets(
    dataset: Dataset, jobs: Sequence[tuple[int, list[FileState], list[FileState]]]
) -> Iterable[tuple[int, pa.Table]]:
    """Read the files of some buckets; in processes where there are many of them."""
    if not are_worth_processes(sum(len(fresh) for _, _, fresh in jobs)):
        for bucket, now, _ in jobs:
            yield bucket, _refresh(dataset, bucket, now)
        return
    arguments = [(dataset, bucket, now) for bucket, now, _ in jobs]
    written = run_jobs(_refresh_file, arguments, in_processes=True)
    for (_, bucket, now), _ in zip(arguments, written, strict=True):
        if cache.fresh(dataset, bucket, now):  # it could not write them down
            yield bucket, _refresh(dataset, bucket, now)
        else:
            yield bucket, _latest(cache.rows(dataset, bucket), dataset)


def _refresh_file(dataset: Dataset, bucket: int, now: list[FileState]) -> None:
    """Bring a bucket's cache up to date, in another process: the table goes through the file."""
    _refresh(dataset, bucket, now)


def _refresh(dataset: Dataset, bucket: int, now: list[FileState]) -> pa.Table:
    """Read what changed of a bucket, write its cache, return its rows.

    Raises _MovedError, with the cache written, where a file is not the one that was listed.
    """
    cached, fresh, parts = cache.load(dataset, bucket, now)
    rows: dict[bool, list[pa.Table]] = {True: [], False: []}
    moved: set[str] = set()
    for start in range(0, len(fresh), codec.TOGETHER):
        for is_ours, flat in _flat_rows(dataset, fresh[start : start + codec.TOGETHER], moved):
            rows[is_ours].append(flat.cast(cached.schema))
    read = [pa.concat_tables(tables).combine_chunks() for tables in rows.values() if tables]
    whole = pa.concat_tables([cached, *read])
    cache.save(dataset, bucket, whole, [s for s in now if s.key not in moved], parts)
    if moved:
        raise _MovedError
    return _latest(whole, dataset)


def _flat_rows(
    dataset: Dataset, files: Sequence[FileState], moved: set[str]
) -> Iterator[tuple[bool, pa.Table]]:
    """Read some files; yield the rows of ours, then those of other tools, as the cache has them.

    Adds to `moved` the files that are not as they were listed.
    """
    columns = value_columns(dataset.generation, dataset.statement)
    read: dict[bool, list[pa.Table]] = {True: [], False: []}
    months: dict[bool, list[int]] = {True: [], False: []}
    for state in files:
        path = dataset.file(state.partition, state.ticker)
        try:
            table, is_ours = codec.read(path, dataset, state.ticker, columns)
        except FileNotFoundError:
            moved.add(state.key)
            continue
        if stamp_of(path) != state.stamp:
            moved.add(state.key)
            continue
        read[is_ours].append(codec.with_ticker(table, state.ticker))
        months[is_ours] += [state.partition] * table.num_rows
    for is_ours, tables in read.items():
        if tables:
            whole = pa.concat_tables(tables).combine_chunks()
            flat = flattened(whole, dataset.generation, dataset.statement)
            flat = flat.append_column("partition", pa.array(months[is_ours], pa.int32()))
            yield (
                is_ours,
                flat.append_column(cache.OURS, pa.repeat(pa.scalar(is_ours), flat.num_rows)),
            )


def _latest(table: pa.Table, dataset: Dataset) -> pa.Table:
    """Return one row per ticker and record key, as `StoredFile` has it; without `ours`."""
    rows = table.drop_columns([cache.OURS.name])
    if table.num_rows == 0:
        return rows
    codes = _codes(table, dataset.generation)
    if len(np.unique(codes)) == len(codes):
        return rows
    ours = table[cache.OURS.name].to_numpy()
    filings = filing_order(table, dataset.generation)
    filings[np.bincount(codes, ~ours)[codes] == 0] = 0  # a move that was cut off, and no more
    moments = table["observed_at"].cast(pa.int64()).to_numpy()
    order = np.lexsort((np.arange(len(codes)), moments, *filings.T[::-1], codes))
    last = np.append(codes[order][1:] != codes[order][:-1], True)
    return rows.take(pa.array(np.sort(order[last])))
