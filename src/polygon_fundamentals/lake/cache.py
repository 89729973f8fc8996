"""What was read of a dataset, cached beside the lake; it may be deleted and is then built again.

`ops/cache/v2.balance_sheets.07/` holds the flat rows of a bucket of tickers in Parquet files, its
parts. Each says which files of the lake its rows are from, with their size and time of change. A
reader writes one part with everything; a commit adds one with the files that it has just written,
so that they are not read again. Beside the columns of `flat_schema` a row has `ours`: whether it is
from one of our files.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from polygon_fundamentals.datasets.flat import flat_schema
from polygon_fundamentals.lake.changes import Plan
from polygon_fundamentals.lake.listing import FileState
from polygon_fundamentals.lake.paths import Dataset
from polygon_fundamentals.lake.storage import local
from polygon_fundamentals.statements import Generation, Statement

# v1's: an earlier version added rows of an answer that another tool's file did not hold.
VERSIONS = {Generation.V1: 4, Generation.V2: 3}
# With more parts than this nobody reads them: a commit adds none, and the files are read in time.
MOST_PARTS = 1_000
OURS = pa.field("ours", pa.bool_())
Signatures = dict[str, list[int]]  # `YYYYMM/TICKER` → [time of change in ns, size in bytes]
# A bucket's folder → the rows that could not be written there, until the bucket is read again.
_UNWRITTEN: dict[Path, pa.Table] = {}
# What reading a part raises if it is gone or damaged; the last if a column's name is not UTF-8.
_DAMAGED = (OSError, pa.ArrowException, UnicodeDecodeError)


def load(
    dataset: Dataset, bucket: int, now: Sequence[FileState]
) -> tuple[pa.Table, list[FileState], list[Path]]:
    """Return (cached rows that are still valid, files to read, the cache parts).

    Where nothing must be read, one part of just these rows is left.
    """
    _UNWRITTEN.pop(_folder(dataset, bucket), None)
    paths = _parts(dataset, bucket)
    tidy = len(paths) == 1
    left = _signatures(now)
    tables = []
    for path in paths:
        table, known = _read(path, dataset)
        mine = _taken(left, known)
        if len(mine) < len(known):
            tidy, table = False, of_files(table, mine)
        tables.append(table)
    standing = pa.concat_tables([_nothing(dataset), *tables])
    if paths and not left and not tidy:
        save(dataset, bucket, standing, now, paths)
    return standing, [state for state in now if state.key in left], paths


def fresh(dataset: Dataset, bucket: int, now: Sequence[FileState]) -> list[FileState]:
    """Return the files that must be read, by what the parts say of themselves: no row is read."""
    left = _signatures(now)
    for path in _parts(dataset, bucket):
        with contextlib.suppress(*_DAMAGED):
            _taken(left, _files_of(pq.read_schema(path), dataset) or {})
    return [state for state in now if state.key in left]


def _signatures(now: Iterable[FileState]) -> Signatures:
    return {state.key: [state.changed_ns, state.size] for state in now}


def _taken(left: Signatures, known: Signatures) -> list[str]:
    """Take out of `left` the files that a part has as they are now; return them."""
    mine = [key for key, stamp in known.items() if left.get(key) == stamp]
    for key in mine:
        del left[key]
    return mine


def ciks(dataset: Dataset, bucket: int, now: Sequence[FileState]) -> pa.Table | None:
    """Return `ticker` and `cik` of the rows of the bucket's files, and no other column.

    None where not one part holds just these rows, as `load` leaves it.
    """
    columns = ["ticker", "cik"]
    paths = _parts(dataset, bucket)
    if not paths and not now:
        return _nothing(dataset).select(columns)
    if len(paths) != 1:
        return None
    try:
        known = _files_of(pq.read_schema(paths[0]), dataset)
        if known != _signatures(now):
            return None
        return pq.read_table(
            paths[0], columns=columns, partitioning=None, page_checksum_verification=True
        )
    except _DAMAGED:
        return None


def rows(dataset: Dataset, bucket: int, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows of the bucket as the last reader left them.

    Of some columns only where they are named, `ticker` and `partition` among them.
    """
    unwritten = _UNWRITTEN.get(_folder(dataset, bucket))
    if unwritten is not None:
        return unwritten if columns is None else unwritten.select(columns)
    nothing = _nothing(dataset)
    tables, known_files = [nothing if columns is None else nothing.select(columns)], set[str]()
    for path in _parts(dataset, bucket):
        table, known = _read(path, dataset, columns)
        tables.append(of_files(table, known.keys() - known_files) if known_files else table)
        known_files |= known.keys()
    return pa.concat_tables(tables)


def save(
    dataset: Dataset,
    bucket: int,
    table: pa.Table,
    now: Sequence[FileState],
    replaced: Iterable[Path],
) -> None:
    """Write the rows of the bucket's files as one part, in place of others.

    A reader that cannot (a lake it may only read, a full disk) goes on, and the next one reads the
    files again.
    """
    try:
        _write(dataset, bucket, table, _signatures(now))
        for path in replaced:
            path.unlink(missing_ok=True)
    except OSError:
        _UNWRITTEN[_folder(dataset, bucket)] = table


def add_written(dataset: Dataset, bucket: int, flat: pa.Table, plans: Sequence[Plan]) -> None:
    """Add the files that a commit wrote from nothing but rows of its answer.

    `flat` holds the answer's rows, at the positions that the plans name.
    """
    positions: list[int] = []
    tickers: list[str] = []
    months: list[int] = []
    known: Signatures = {}
    for plan in plans:
        for partition, rows_of_file in plan.fresh.items():
            if partition in plan.index.files:
                known[f"{partition}/{plan.ticker}"] = list(plan.index.files[partition][:2])
                positions += rows_of_file
                tickers += [plan.ticker] * len(rows_of_file)
                months += [partition] * len(rows_of_file)
    if not known or _is_full(dataset, bucket):
        return
    table = flat.take(pa.array(positions, pa.int64()))
    table = table.set_column(0, "ticker", pa.array(tickers, pa.string()))
    table = table.append_column("partition", pa.array(months, pa.int32()))
    table = table.append_column(OURS, pa.repeat(pa.scalar(True), table.num_rows))
    _write(dataset, bucket, table, known)


def _folder(dataset: Dataset, bucket: int) -> Path:
    return dataset.lake.ops / "cache" / f"{dataset.name}.{bucket:02d}"


def _parts(dataset: Dataset, bucket: int) -> list[Path]:
    """Return the bucket's parts, the latest first."""
    return sorted(_folder(dataset, bucket).glob("[0-9]*.parquet"), reverse=True)


def _is_full(dataset: Dataset, bucket: int) -> bool:
    try:
        return len(os.listdir(_folder(dataset, bucket))) >= MOST_PARTS
    except FileNotFoundError:
        return False


def _read(
    path: Path, dataset: Dataset, columns: Sequence[str] | None = None
) -> tuple[pa.Table, Signatures]:
    """Return a part's rows and files; nothing where it is gone, damaged or of another version."""
    nothing = _nothing(dataset)
    if columns is not None:
        nothing = nothing.select(columns)
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            known = _files_of(file.schema_arrow, dataset)
            if known is None:
                return nothing, {}
            table = file.read(columns=columns)
    except _DAMAGED:
        return nothing, {}
    return table.replace_schema_metadata(None).select(nothing.schema.names).cast(
        nothing.schema
    ), known


def _files_of(schema: pa.Schema, dataset: Dataset) -> Signatures | None:
    """Return the files that a part says its rows are from; None of another version."""
    # The footer, which holds the schema and the files, has no checksum.
    if not schema.remove_metadata().equals(_nothing(dataset).schema):
        return None
    try:
        content = orjson.loads((schema.metadata or {})[b"files"])
        files_of: Signatures = content["files"]
        return files_of if content["version"] == VERSIONS[dataset.generation] else None
    except (KeyError, TypeError, ValueError):
        return None


def _write(dataset: Dataset, bucket: int, table: pa.Table, known: Mapping[str, list[int]]) -> None:
    content = orjson.dumps({"version": VERSIONS[dataset.generation], "files": known})
    part = _folder(dataset, bucket) / f"{time.time_ns():020d}-{os.getpid()}.parquet"
    part.parent.mkdir(parents=True, exist_ok=True)
    # One name for every part: what a writer that was stopped left is overwritten by its next one.
    staged = local.temporary_name(part.with_name("part"))
    try:
        # Not flushed to disk: a part that a crash cut short is ignored, and its files are read.
        pq.write_table(
            table.replace_schema_metadata({"files": content}),
            staged,
            compression="zstd",
            write_page_checksum=True,
        )
        os.replace(staged, part)
    except OSError:
        staged.unlink(missing_ok=True)
        raise


def of_files(table: pa.Table, keys: Iterable[str]) -> pa.Table:
    """Return the cached rows of some files, given by their `FileState.key`."""
    key = pc.binary_join_element_wise(table["partition"].cast(pa.string()), table["ticker"], "/")
    return table.filter(pc.is_in(key, pa.array(sorted(keys), pa.string())))


def _nothing(dataset: Dataset) -> pa.Table:
    return _no_rows(dataset.generation, dataset.statement)


@functools.cache
def _no_rows(generation: Generation, statement: Statement) -> pa.Table:
    # Kept, as making it takes a millisecond: too much for each of the buckets of a small lake.
    return flat_schema(generation, statement).append(OURS).empty_table()
