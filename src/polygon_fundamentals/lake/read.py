"""Reading a whole dataset: each file once, and on the next run only what changed.

What was read is kept beside the lake in `ops/cache/`, a Parquet file a bucket of tickers
with the size and time of change of every file it came from. The cache is derived: delete
it and it is built anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from polygon_fundamentals.field_map import v1_fields
from polygon_fundamentals.lake import files
from polygon_fundamentals.lake.kept import read_kept
from polygon_fundamentals.lake.paths import BUCKETS, Dataset, Lake, bucket_of
from polygon_fundamentals.normalise.content import record_keys
from polygon_fundamentals.normalise.schemas import V1_RECORD, schema
from polygon_fundamentals.statements import Generation, Statement

VERSION = 1
# Starting a process pays from about this many files on.
FILES_WORTH_PROCESSES = 2_000
_TAIL = ("absent_fields", "unmapped", "observed_at")


@dataclass(frozen=True)
class FileState:
    """One ticker file as a folder listing shows it."""

    partition: int
    ticker: str
    changed_ns: int
    size: int

    @property
    def key(self) -> str:
        """`YYYYMM/TICKER`."""
        return f"{self.partition}/{self.ticker}"


def flat_schema(generation: Generation, statement: Statement) -> pa.Schema:
    """Return the schema of `read_dataset`.

    v2 as in the files; v1 with one float64 column a field named `section.field` (null:
    absent) instead of the nested form. Both with `partition` (YYYYMM) as last column.
    """
    stored = schema(generation, statement)
    if generation is Generation.V2:
        return stored.append(pa.field("partition", pa.int32()))
    record = [stored.field(name) for name in ("ticker", *V1_RECORD)]
    numbers = [
        pa.field(f"{field.section}.{field.name}", pa.float64()) for field in v1_fields(statement)
    ]
    tail = [stored.field(name) for name in _TAIL]
    return pa.schema([*record, *numbers, *tail, pa.field("partition", pa.int32())])


def _columns(dataset: Dataset) -> list[str] | None:
    """Return the Parquet columns to read of our files: of v1's leaves only the values."""
    if dataset.generation is Generation.V2:
        return None
    values = [
        f"financials.{field.section}.{field.name}.value" for field in v1_fields(dataset.statement)
    ]
    return ["ticker", *V1_RECORD, *_TAIL, *values]


def flattened(table: pa.Table, dataset: Dataset) -> pa.Table:
    """Return stored rows, whole or values only, without nesting; names as in `flat_schema`."""
    if dataset.generation is Generation.V2:
        return table
    flat = table
    while any(pa.types.is_struct(field.type) for field in flat.schema):
        flat = flat.flatten()
    names = flat_schema(dataset.generation, dataset.statement).names[:-1]
    return pa.table(
        [flat[f"financials.{name}.value" if "." in name else name] for name in names], names=names
    )


def states(dataset: Dataset) -> list[FileState]:
    """Return every ticker file of a dataset, from folder listings alone."""
    found = []
    for partition, ticker, entry in dataset.files():
        stat = entry.stat()
        found.append(FileState(partition, ticker, stat.st_mtime_ns, stat.st_size))
    return found


def read_dataset(dataset: Dataset, tickers: Iterable[str] | None = None) -> pa.Table:
    """Return all rows of a dataset in `flat_schema`, one a ticker file and record key.

    A row that stands in two files (a move that was cut off, or a file that an older tool
    appended to twice) counts once: the one observed later. Writes the cache.

    Raises:
        DamagedFileError: a file that must be read cannot be; the text names it.
    """
    wanted = None if tickers is None else set(tickers)
    archived = read_kept(dataset)
    if archived is not None:
        rows = archived.cast(flat_schema(dataset.generation, dataset.statement))
        return rows if wanted is None else _of_tickers(rows, wanted)
    jobs = []
    tables: dict[int, pa.Table] = {}
    for bucket, now in _buckets(dataset, wanted):
        kept, fresh = _cached(dataset, bucket, now)
        if kept is not None and not fresh:
            tables[bucket] = kept
        else:
            jobs.append((bucket, now, fresh))
    for bucket, table in _read_buckets(dataset, jobs):
        tables[bucket] = table
    empty = flat_schema(dataset.generation, dataset.statement).empty_table()
    whole = pa.concat_tables([empty, *(tables[bucket] for bucket in sorted(tables))])
    if wanted is not None:
        whole = _of_tickers(whole, wanted)
    return whole.combine_chunks()


def bring_up_cache(dataset: Dataset, tickers: Iterable[str]) -> None:
    """Read what changed in the buckets of some tickers into the cache, in processes if it pays.

    For a caller that reads them bucket by bucket afterwards, to hold one at a time.

    Raises:
        DamagedFileError: a file cannot be read; the text names it.
    """
    jobs = [
        (bucket, now, fresh)
        for bucket, now in _buckets(dataset, set(tickers))
        for fresh in [_cached(dataset, bucket, now)[1]]
        if fresh
    ]
    for _ in _read_buckets(dataset, jobs):
        pass


def _buckets(dataset: Dataset, wanted: set[str] | None) -> Iterator[tuple[int, list[FileState]]]:
    """Yield each bucket with its files as they are now; of some tickers only theirs."""
    found: dict[int, list[FileState]] = {}
    for state in states(dataset):
        found.setdefault(bucket_of(state.ticker), []).append(state)
    for bucket in range(BUCKETS):
        now = found.get(bucket, [])
        if wanted is None or any(state.ticker in wanted for state in now):
            yield bucket, now


def repeated_rows(dataset: Dataset, tickers: Iterable[str]) -> pa.Table:
    """Return the rows that share ticker and record key with another stored row, all of them.

    From the cache that `read_dataset` of these tickers has just written.
    """
    wanted = set(tickers)
    found = [flat_schema(dataset.generation, dataset.statement).empty_table()]
    for bucket in sorted({bucket_of(ticker) for ticker in wanted}):
        try:
            table = _load_whole_cache(_cache_file(dataset, bucket))[0]
        except FileNotFoundError:
            continue  # nothing stored, or v1's files went to the archive
        rows = _of_tickers(table.cast(found[0].schema), wanted)
        keys = pc.binary_join_element_wise(
            rows["ticker"], pa.array(record_keys(rows, dataset.generation), pa.string()), "\x1f"
        )
        codes = keys.combine_chunks().dictionary_encode().indices.to_numpy()
        several = np.bincount(codes, minlength=1)[codes] > 1
        found.append(rows.filter(pa.array(several)))
    return pa.concat_tables(found).combine_chunks()


def _of_tickers(table: pa.Table, wanted: set[str]) -> pa.Table:
    return table.filter(pc.is_in(table["ticker"], pa.array(sorted(wanted), pa.string())))


def _read_buckets(
    dataset: Dataset, jobs: Sequence[tuple[int, list[FileState], list[FileState]]]
) -> Iterable[tuple[int, pa.Table]]:
    """Read the files of some buckets; in processes where there are many of them."""
    count = sum(len(fresh) for _, _, fresh in jobs)
    arguments = [
        (str(dataset.lake.root), dataset.generation, dataset.statement, bucket, now)
        for bucket, now, _ in jobs
    ]
    if count < FILES_WORTH_PROCESSES or (os.cpu_count() or 1) < 2:
        for item in arguments:
            yield item[3], _refresh(*item)
        return
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1), mp_context=get_context("spawn")) as pool:
        futures = [(item[3], pool.submit(_refresh_file, *item)) for item in arguments]
        for bucket, future in futures:
            future.result()
            yield bucket, _load_cache(_cache_file(dataset, bucket), dataset)[0]


def _refresh_file(
    root: str, generation: Generation, statement: Statement, bucket: int, now: list[FileState]
) -> None:
    """Bring a bucket's cache up to date, in another process: the table goes through the file."""
    _refresh(root, generation, statement, bucket, now)


def _refresh(
    root: str, generation: Generation, statement: Statement, bucket: int, now: list[FileState]
) -> pa.Table:
    """Read what changed of a bucket, write its cache, return its rows."""
    dataset = Lake(Path(root)).dataset(generation, statement)
    kept, fresh = _cached(dataset, bucket, now)
    columns = _columns(dataset)
    ours: list[pa.Table] = []
    adopted: list[pa.Table] = []
    months: dict[bool, list[int]] = {True: [], False: []}
    for state in fresh:
        path = dataset.file(state.partition, state.ticker)
        try:
            table, is_ours = files.read(path, dataset, state.ticker, columns)
        except FileNotFoundError:
            continue  # moved between the listing and now: its rows stand in a file read later
        (ours if is_ours else adopted).append(files.with_ticker(table, state.ticker))
        months[is_ours] += [state.partition] * table.num_rows
    wanted = flat_schema(generation, statement)
    pieces = [wanted.empty_table()] + ([] if kept is None else [kept])
    for tables, is_ours in ((ours, True), (adopted, False)):
        if tables:
            flat = flattened(pa.concat_tables(tables).combine_chunks(), dataset)
            month = pa.array(months[is_ours], pa.int32())
            pieces.append(flat.append_column("partition", month).cast(wanted))
    whole = pa.concat_tables(pieces)
    _save_cache(dataset, bucket, whole, now)
    return _latest(whole, dataset)


def _cache_file(dataset: Dataset, bucket: int) -> Path:
    return dataset.lake.ops / "cache" / f"{dataset.name}.{bucket:02d}.parquet"


def _load_cache(path: Path, dataset: Dataset) -> tuple[pa.Table, dict[str, list[int]]]:
    table, known = _load_whole_cache(path)
    return _latest(table, dataset), known


def _load_whole_cache(path: Path) -> tuple[pa.Table, dict[str, list[int]]]:
    table = pq.read_table(path, partitioning=None)
    known = orjson.loads((table.schema.metadata or {})[b"files"])
    return table.replace_schema_metadata(None), known


def _cached(
    dataset: Dataset, bucket: int, now: Sequence[FileState]
) -> tuple[pa.Table | None, list[FileState]]:
    """Return (rows of the cache that still stand, files that must be read).

    With nothing to read and no file gone, the rows are those of the bucket, each once.
    """
    path = _cache_file(dataset, bucket)
    wanted = flat_schema(dataset.generation, dataset.statement)
    try:
        table, known = _load_whole_cache(path)
    except (FileNotFoundError, KeyError, OSError, pa.ArrowException, orjson.JSONDecodeError):
        return None, list(now)
    if table.schema.names != wanted.names or known.pop("version", None) != [VERSION]:
        return None, list(now)
    table = table.cast(wanted)
    fresh = [s for s in now if known.get(s.key) != [s.changed_ns, s.size]]
    gone = known.keys() - {state.key for state in now}
    dropped = gone | {state.key for state in fresh}
    if dropped:
        keys = pc.binary_join_element_wise(
            table["partition"].cast(pa.string()), table["ticker"], "/"
        )
        table = table.filter(pc.invert(pc.is_in(keys, pa.array(sorted(dropped), pa.string()))))
        if not fresh:
            _save_cache(dataset, bucket, table, now)
    return (table if fresh else _latest(table, dataset)), fresh


def _save_cache(dataset: Dataset, bucket: int, table: pa.Table, now: Sequence[FileState]) -> None:
    known: dict[str, list[int]] = {s.key: [s.changed_ns, s.size] for s in now}
    known["version"] = [VERSION]
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata({"files": orjson.dumps(known)}), sink, compression="zstd"
    )
    files.replace_file(_cache_file(dataset, bucket), bytes(sink.getvalue()))


def _latest(table: pa.Table, dataset: Dataset) -> pa.Table:
    """Return one row a ticker and record key: the one observed last."""
    if table.num_rows == 0:
        return table
    keys = pc.binary_join_element_wise(
        table["ticker"], pa.array(record_keys(table, dataset.generation), pa.string()), "\x1f"
    )
    codes = keys.combine_chunks().dictionary_encode().indices.to_numpy()
    if len(np.unique(codes)) == len(codes):
        return table
    moments = table["observed_at"].cast(pa.int64()).to_numpy()
    order = np.lexsort((np.arange(len(codes)), moments, codes))
    last = np.append(codes[order][1:] != codes[order][:-1], True)
    return table.take(pa.array(np.sort(order[last])))
