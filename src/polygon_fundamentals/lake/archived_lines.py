"""v1's archived records in the form of its files, each line with its unit, label and order.

The flat rows that `cleanup` keeps hold the values of lines; the rest is in the field map, which
nearly always says what v1 said. Where it does not, the rows are kept as they stood in the files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from polygon_fundamentals.datasets.flat import flattened
from polygon_fundamentals.datasets.nested import nested
from polygon_fundamentals.datasets.schemas import schema
from polygon_fundamentals.lake import codec
from polygon_fundamentals.lake.archived_rows import (
    lines_file,
    read_archived_versions,
    read_kept,
)
from polygon_fundamentals.lake.listing import moving, states
from polygon_fundamentals.lake.paths import Dataset
from polygon_fundamentals.lake.storage.local import replace_file

# As in `archived_rows`; these rows have five times as many columns.
_ROWS_TOGETHER = 2_000


def write_lines(dataset: Dataset) -> int:
    """Keep the rows of tickers with a row that the field map does not make again; return how many.

    Call it before `write_archived`.

    Raises:
        DamagedFileError: a file cannot be read; the text names it.
        LakeError: a file moved meanwhile.
    """
    sink, count = pa.BufferOutputStream(), 0
    wanted = schema(dataset.generation, dataset.statement)
    with pq.ParquetWriter(sink, wanted, compression="zstd", write_page_checksum=True) as writer:
        for rows in _together(_unlike_the_map(dataset)):
            writer.write_table(rows)
            count += rows.num_rows
    if count:
        replace_file(lines_file(dataset), bytes(sink.getvalue()))
    return count


def _unlike_the_map(dataset: Dataset) -> Iterator[pa.Table]:
    """Yield the rows of such tickers, in the order of their names."""
    files: dict[str, list[Path]] = {}
    for state in states(dataset):
        path = dataset.file(state.partition, state.ticker)
        files.setdefault(state.ticker, []).append(path)
    for ticker in sorted(files):
        try:
            tables = [codec.read(path, dataset, ticker)[0] for path in sorted(files[ticker])]
        except FileNotFoundError as error:
            raise moving(dataset) from error
        rows = codec.with_ticker(pa.concat_tables(tables), ticker)
        flat = flattened(rows, dataset.generation, dataset.statement)
        if not nested(flat, dataset.statement).equals(rows):
            yield rows


def _together(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(t.num_rows for t in waiting) >= _ROWS_TOGETHER:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def read_lines(dataset: Dataset, tickers: Iterable[str] | None = None) -> pa.Table | None:
    """Return the rows that `write_lines` kept, all or of some tickers; None if there are none.

    Raises:
        DamagedFileError: they cannot be read.
    """
    wanted = schema(dataset.generation, dataset.statement)
    return read_kept(lines_file(dataset), dataset, wanted, tickers)


def read_archived_records(
    dataset: Dataset,
    tickers: Iterable[str] | None = None,
    pick: Callable[[pa.Table], pa.Table] = lambda rows: rows,
) -> pa.Table | None:
    """Return the rows of `read_archived_versions` as v1's files had them, None without an archive.

    `pick` says which rows are wanted; it is given flat rows and nested ones. Rows of an archive
    that an earlier version made have unit, label and order from the field map.

    Raises:
        DamagedFileError: they cannot be read.
    """
    wanted = None if tickers is None else set(tickers)
    flat, whole = read_archived_versions(dataset, wanted), read_lines(dataset, wanted)
    if flat is None:
        return None
    if whole is None:
        return nested(pick(flat), dataset.statement)
    others = pc.invert(pc.is_in(flat["ticker"], pc.unique(whole["ticker"])))
    return pa.concat_tables([nested(pick(flat.filter(others)), dataset.statement), pick(whole)])
