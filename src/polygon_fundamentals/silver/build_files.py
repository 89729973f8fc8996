"""The files of a table: one per partition, named for its content, linked where unchanged."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from polygon_fundamentals.lake.storage import local
from polygon_fundamentals.silver.schema import SORTED_BY

# Small enough that a ticker's rows are found without reading a year, large enough to compress.
ROW_GROUP = 4_000
# Rows a batch on the way to their files, and how many of those batches are in memory.
_SPOOLED, _BATCHES = 1_000, 64
_STATISTICS = (*SORTED_BY, "fiscal_year", "known_from", "known_to")


class TableFiles:
    """The files of one table of a build: one per partition; those that `base` has too are linked.

    Rows are added in parts, each sorted, and go through files of their own in `folder`, so that no
    partition is ever in memory.
    """

    def __init__(
        self, folder: Path, base: Path | None, partition: Callable[[pa.Table], pa.ChunkedArray]
    ) -> None:
        self.rows = self.files = self.written = self.size = 0
        self._folder, self._base, self._partition = folder, base, partition
        self._spool = folder / ".rows"
        self._writers: dict[str, pa.ipc.RecordBatchFileWriter] = {}

    def add(self, part: pa.Table) -> None:
        """Add rows of any partitions."""
        self._spool.mkdir(parents=True, exist_ok=True)
        labels = self._partition(part).combine_chunks().dictionary_encode()
        codes = labels.indices.to_numpy()
        order = np.argsort(codes, kind="stable")
        bounds = np.searchsorted(codes[order], np.arange(len(labels.dictionary) + 1))
        for label, low, high in zip(
            labels.dictionary.to_pylist(), bounds[:-1], bounds[1:], strict=True
        ):
            if label not in self._writers:
                self._writers[label] = pa.ipc.new_file(self._spool / label, part.schema)
            some = part.take(pa.array(order[low:high]))
            self._writers[label].write_table(some, max_chunksize=_SPOOLED)

    def finish(self) -> None:
        """Write or link the file of each partition, sorted and named for its content."""
        for label, writer in sorted(self._writers.items()):
            writer.close()
            with pa.ipc.open_file(self._spool / label) as rows:
                data, count = _encoded(rows, self._spool / label)
            name = f"{label}/{part_name(data)}"
            (self._folder / label).mkdir()
            self.rows, self.files = self.rows + count, self.files + 1
            if self._base is None or not _linked(self._base / name, self._folder / name, data):
                local.write_bytes(self._folder / name, data)
                self.written, self.size = self.written + 1, self.size + data.size
        shutil.rmtree(self._spool, ignore_errors=True)


def fiscal_year(rows: pa.Table) -> pa.ChunkedArray:
    """Return the partition of the wide table's rows: 0 for rows without a fiscal year."""
    return _label("year=", pc.fill_null(rows["fiscal_year"], 0).cast(pa.string()))


def initial_of(tickers: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """Return the partition of each ticker's history, so that a ticker is read from one file."""
    letter = pc.utf8_upper(pc.utf8_slice_codeunits(tickers, 0, 1))
    plain = pc.match_substring_regex(letter, "^[A-Z0-9]$")
    return _label("initial=", pc.if_else(plain, letter, "_"))


def _label(name: str, values: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    return pc.binary_join_element_wise(name, values, "")


def _encoded(rows: pa.ipc.RecordBatchFileReader, path: Path) -> tuple[pa.Buffer, int]:
    """Return a partition as Parquet, sorted, and its number of rows.

    The same rows always give the same bytes, in whatever parts they were added. A row group is made
    at a time, from the few batches that have its rows: each part was added in order.
    """
    schema = rows.schema
    order = [(n, "ascending") for n in (*SORTED_BY, "known_from") if n in schema.names]
    keys = pa.ipc.IpcReadOptions(
        included_fields=[schema.get_field_index(name) for name, _ in order]
    )
    with pa.ipc.open_file(path, options=keys) as file:
        batches = [file.get_batch(i) for i in range(file.num_record_batches)]
    place = pc.sort_indices(pa.Table.from_batches(batches), sort_keys=order)
    place = place.to_numpy().astype(np.int64)
    first = np.cumsum([0, *(batch.num_rows for batch in batches)])
    batch_of = lru_cache(maxsize=_BATCHES)(rows.get_batch)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        use_dictionary=[field.name for field in schema if pa.types.is_string(field.type)],
        write_statistics=[name for name in schema.names if name in _STATISTICS],
        sorting_columns=pq.SortingColumn.from_ordering(schema, order),
    ) as writer:
        for low in range(0, len(place), ROW_GROUP):
            mine = place[low : low + ROW_GROUP]
            batch = np.searchsorted(first, mine, "right") - 1
            used, here = np.unique(batch, return_inverse=True)
            some = [batch_of(number) for number in used.tolist()]
            starts = np.cumsum([0, *(b.num_rows for b in some)])
            group = pa.Table.from_batches(some).take(pa.array(mine - first[batch] + starts[here]))
            writer.write_table(group.combine_chunks(), row_group_size=ROW_GROUP)
    return sink.getvalue(), len(place)


def part_name(data: bytes | pa.Buffer) -> str:
    """Return the name of the file of a build that holds some bytes: it has their checksum."""
    return f"part-{blake2b(data, digest_size=8).hexdigest()}.parquet"


def _linked(source: Path, target: Path, data: pa.Buffer) -> bool:
    """Link the file of an earlier build; return False if it is not there or is damaged."""
    with suppress(OSError):  # it is not there; no hard links here; or too many of one file
        if pa.py_buffer(source.read_bytes()).equals(data):
            os.link(source, target)
            return True
    return False
