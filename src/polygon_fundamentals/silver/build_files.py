"""The files of a table: one per partition, named for its content, linked where unchanged."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
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
_STATISTICS = (*SORTED_BY, "fiscal_year", "known_from", "known_to")


class TableFiles:
    """The files of one table of a build: one per partition; those that `base` has too are linked.

    Rows are added in parts and go through files of their own in `folder`, so that one partition is
    in memory at a time.
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
            self._writers[label].write_table(part.take(pa.array(order[low:high])))

    def finish(self) -> None:
        """Write or link the file of each partition, sorted and named for its content."""
        for label, writer in sorted(self._writers.items()):
            writer.close()
            with pa.ipc.open_file(self._spool / label) as file:
                rows = file.read_all()
            data = _encode(rows.sort_by(_order(rows.schema)).combine_chunks())
            name = f"{label}/part-{blake2b(data, digest_size=8).hexdigest()}.parquet"
            (self._folder / label).mkdir()
            self.rows, self.files = self.rows + rows.num_rows, self.files + 1
            if self._base is None or not _linked(self._base / name, self._folder / name):
                local.write_bytes(self._folder / name, data)
                self.written, self.size = self.written + 1, self.size + data.size
        shutil.rmtree(self._spool, ignore_errors=True)


def fiscal_year(rows: pa.Table) -> pa.ChunkedArray:
    """Return the partition of the wide table's rows: 0 for rows without a fiscal year."""
    return _label("year=", pc.fill_null(rows["fiscal_year"], 0).cast(pa.string()))


def initial(rows: pa.Table) -> pa.ChunkedArray:
    """Return the partition of the history's rows, so that a ticker is read from one file."""
    return initial_of(rows["ticker"])


def initial_of(tickers: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """Return the name of the folder of each ticker's history."""
    letter = pc.utf8_upper(pc.utf8_slice_codeunits(tickers, 0, 1))
    plain = pc.match_substring_regex(letter, "^[A-Z0-9]$")
    return _label("initial=", pc.if_else(plain, letter, "_"))


def _label(name: str, values: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    return pc.binary_join_element_wise(name, values, "")


def _order(schema: pa.Schema) -> list[tuple[str, str]]:
    return [(name, "ascending") for name in (*SORTED_BY, "known_from") if name in schema.names]


def _encode(table: pa.Table) -> pa.Buffer:
    """Return a partition as Parquet: the same rows always give the same bytes."""
    sink = pa.BufferOutputStream()
    texts = [field.name for field in table.schema if pa.types.is_string(field.type)]
    keys = [name for name in table.schema.names if name in _STATISTICS]
    pq.write_table(
        table,
        sink,
        compression="zstd",
        row_group_size=ROW_GROUP,
        use_dictionary=texts,
        write_statistics=keys,
        sorting_columns=pq.SortingColumn.from_ordering(table.schema, _order(table.schema)),
    )
    return sink.getvalue()


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except FileNotFoundError:
        return False
    except OSError:  # no hard links here, or too many of one file: written as a file of its own
        return False
    return True
