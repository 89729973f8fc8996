"""Reading and writing one file of the lake.

Ours are written with lean Parquet settings and a mark in the footer. A file that something else
wrote is read through the same normaliser as an answer of the API.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from arro3.io import write_parquet

from polygon_fundamentals.datasets.keys import content_hashes, file_days
from polygon_fundamentals.datasets.schemas import MARK_KEY, mark, schema
from polygon_fundamentals.errors import ApiError, DamagedFileError, LakeError
from polygon_fundamentals.lake.file_names import UNDATED
from polygon_fundamentals.lake.paths import Dataset, Lake
from polygon_fundamentals.normalise.earlier import with_new_fields
from polygon_fundamentals.normalise.legacy import converted
from polygon_fundamentals.statements import Generation, Snapshot, Statement

# Files whose tables are held until they are made one: however few rows it has, a table of v1 takes
# a quarter of a megabyte, since each of its 280 leaves has memory of its own.
TOGETHER = 100
# A dictionary and the Arrow schema cost more than they save in a file of one row, and a page of one
# figure only grows under compression.
_LEAN: dict[str, Any] = {
    "compression": "uncompressed",
    "dictionary_enabled": False,
    "skip_arrow_metadata": True,
}


def encode(table: pa.Table, dataset: Dataset, kind: str = "") -> bytes:
    """Return the table as the bytes of one of our Parquet files; `kind` is added to its mark."""
    sink = io.BytesIO()
    write_parquet(
        _with_own_buffers(table) if dataset.generation is Generation.V1 else table,
        sink,
        key_value_metadata={MARK_KEY: mark(dataset.generation, dataset.statement) + kind},
        column_compression=_text_columns(dataset.generation, dataset.statement),
        **_LEAN,
    )
    return sink.getvalue()


@cache
def _text_columns(
    generation: Generation, statement: Statement | Snapshot
) -> dict[str | Sequence[str], str]:
    """Return the columns of text → zstd."""
    columns = schema(generation, statement)
    return {field.name: "zstd(1)" for field in columns if field.type == pa.string()}


def _with_own_buffers(table: pa.Table) -> pa.Table:
    """Return a copy that is not a slice: arro3-io 0.9.1 panics at a slice of a struct in a struct.

    Joining it with an empty table copies it in a fifth of the time of `take`.
    """
    return pa.concat_tables([table, table.slice(0, 0)]).combine_chunks()


def prove(data: bytes, table: pa.Table, dataset: Dataset) -> None:
    """Read the bytes of a file back. Raises LakeError if they do not hold the table's rows."""
    try:
        same = _rows(pq.read_table(pa.BufferReader(data)).cast(table.schema)) == _rows(table)
    except pa.ArrowException:
        same = False
    if not same:
        raise LakeError(
            f"a file of {dataset.name} that was just written does not read back as it should, so "
            "nothing of it was put in place; install the versions of arro3-io and pyarrow in "
            "constraints.txt (`make setup`)"
        )


def _rows(table: pa.Table) -> list[tuple[Any, ...]]:
    """Return what tells rows apart; by content, since a NaN of an older file equals no other."""
    if not table.num_rows:
        return []
    beside = (table[name].to_pylist() for name in ("ticker", "observed_at"))
    return list(zip(content_hashes(table), *beside, strict=True))


def read(
    path: Path, dataset: Dataset, ticker: str, columns: list[str] | None = None
) -> tuple[pa.Table, bool]:
    """Return (rows in the dataset's schema, whether the file is ours).

    `columns` (paths of Parquet columns) narrows what is read of one of our files; others are
    always read whole.

    Raises:
        DamagedFileError: the file cannot be read; the text names it.
    """
    text = mark(dataset.generation, dataset.statement).encode()
    wanted = schema(dataset.generation, dataset.statement)
    # Not ParquetFile: it builds a map of all columns of each file, a third of the time.
    file = pq.ParquetReader()
    try:
        file.open(str(path))
        ours = (file.metadata.metadata or {}).get(MARK_KEY.encode()) == text
        width = len(_paths_of_ours(dataset.generation, dataset.statement))
        # An export and a newer version have more columns; a tool that adds or drops one by Arrow
        # leaves our mark in the footer. Both are read as another tool's files are.
        by_arrow = str(file.metadata.created_by).startswith("parquet-cpp-arrow")
        by_other = by_arrow or file.metadata.num_columns > width
        is_earlier = ours and not by_other and file.metadata.num_columns < width
        leaves = (
            _leaves(dataset.generation, dataset.statement, tuple(columns))
            if ours and columns is not None and file.metadata.num_columns == width
            else None
        )
        table = file.read_all(column_indices=leaves, use_threads=False)
        file.close()
        # A flipped bit in a text is noticed by nothing before someone makes Python's text of it.
        for position in _with_text(table.schema):
            table.column(position).validate(full=True)
        # Nor is one in the name of a column, whose values would not be read any more.
        if ours and not by_other and (name := renamed(table.schema, wanted)):
            raise pa.ArrowInvalid(f"it has our mark, but {dataset.name} has no column {name}")
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    if leaves is not None:
        return table, True
    if ours and table.schema.equals(wanted):
        return table, True
    touched = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    try:
        if ours and table.schema.names == wanted.names:
            return table.cast(wanted), True
        if is_earlier and dataset.generation is Generation.V2:
            whole = with_new_fields(table, wanted)
            return (whole if columns is None else _narrowed(whole, dataset, columns)), True
        return with_ticker(
            converted(table, dataset.generation, dataset.statement, touched), ticker
        ), False
    except _NOT_READ as error:
        raise _unreadable(path, error) from error


def read_theirs(table: pa.Table, dataset: Dataset, ticker: str) -> pa.Table:
    """Return the rows of another tool's table in the dataset's schema."""
    now = datetime.now(UTC)
    return with_ticker(converted(table, dataset.generation, dataset.statement, now), ticker)


_NOT_READ = (pa.ArrowException, ApiError, ArithmeticError, RecursionError, TypeError, ValueError)


def _unreadable(path: Path, error: BaseException) -> DamagedFileError:
    reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
    return DamagedFileError(
        f"{path} cannot be read ({reason}); move it away, or restore it, then load its ticker again"
    )


@cache
def _leaves(
    generation: Generation, statement: Statement, columns: tuple[str, ...]
) -> tuple[int, ...]:
    """Return the positions of some columns in our files, which all have the same ones."""
    return tuple(
        i
        for i, path in enumerate(_paths_of_ours(generation, statement))
        if path in columns or path.split(".", 1)[0] in columns
    )


@cache
def _paths_of_ours(generation: Generation, statement: Statement) -> tuple[str, ...]:
    """Return the Parquet columns of our files, in their order."""
    dataset = Dataset(Lake(Path()), generation, statement)
    written = encode(schema(generation, statement).empty_table(), dataset)
    described = pq.read_metadata(io.BytesIO(written)).schema
    return tuple(described.column(i).path for i in range(len(described)))


def _narrowed(table: pa.Table, dataset: Dataset, columns: list[str]) -> pa.Table:
    """Return the columns as they are read of a file of today."""
    file = pq.ParquetReader()
    file.open(pa.BufferReader(encode(table, dataset)))
    leaves = _leaves(dataset.generation, dataset.statement, tuple(columns))
    return file.read_all(column_indices=leaves, use_threads=False)


@lru_cache(maxsize=256)
def _with_text(table_schema: pa.Schema) -> tuple[int, ...]:
    """Return the positions of the columns that hold text, at any depth."""
    return tuple(i for i, field in enumerate(table_schema) if "string" in str(field.type))


@lru_cache(maxsize=256)
def renamed(read: pa.Schema, wanted: pa.Schema) -> str | None:
    """Return the first column, at any depth, that the wanted schema lacks, or None.

    None as well where there are more columns than wanted: a newer version wrote those. A flipped
    bit in a name adds none.
    """
    names, ours = list(_paths(read)), set(_paths(wanted))
    if len(names) > len(ours):
        return None
    return next((path for path in names if path not in ours), None)


def _paths(fields: Iterable[pa.Field], below: str = "") -> Iterator[str]:
    """Yield the names of columns and of the fields of structs, with what they are in."""
    for field in fields:
        path = f"{below}{field.name}"
        yield path
        inner = field.type
        while pa.types.is_list(inner):
            inner = inner.value_type
        if pa.types.is_struct(inner):
            yield from _paths(inner, f"{path}.")


def with_ticker(table: pa.Table, ticker: str) -> pa.Table:
    """Return the table with its `ticker` column set."""
    column = pa.repeat(pa.scalar(ticker, pa.string()), table.num_rows)
    return table.set_column(0, table.schema.field(0), column)


def pick(table: pa.Table, positions: Sequence[int]) -> pa.Table:
    """Return the rows at some positions; an empty list of them gives an empty table."""
    if len(positions) == 1:  # most files hold one row; a slice copies nothing
        return table.slice(positions[0], 1)
    return table.take(pa.array(positions, pa.int64()))


def filing_partitions(table: pa.Table) -> list[int]:
    """Return the partition (YYYYMM) of every row, `UNDATED` where there is no filing date."""
    days = file_days(table)
    months = pc.add(pc.multiply(pc.year(days), 100), pc.month(days))
    return pc.coalesce(months, UNDATED).to_pylist()


def is_ours(path: Path, dataset: Dataset) -> bool:
    """Return whether a file carries the mark of our writer; one that cannot be read does not."""
    try:
        metadata = pq.read_metadata(path).metadata or {}
    except (OSError, pa.ArrowException):
        return False
    ours = mark(dataset.generation, dataset.statement)
    return bool(metadata.get(MARK_KEY.encode()) == ours.encode())
