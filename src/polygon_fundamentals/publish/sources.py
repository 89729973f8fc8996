"""The tables that are published: of each its partitions, a digest of each, and their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from polygon_fundamentals.datasets.schemas import TEXT
from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.lake.silver_files import HISTORY_FOLDER
from polygon_fundamentals.periods.current import current_rows
from polygon_fundamentals.silver import HISTORY_TABLE, TABLE, Build
from polygon_fundamentals.silver.build_files import ROW_GROUP, initial_of, part_name
from polygon_fundamentals.silver.schema import history_schema, wide_schema
from polygon_fundamentals.statements import Generation, Statement

Rows = Callable[[Sequence[str]], Iterator[pa.RecordBatch]]


@dataclass(frozen=True)
class TableSource:
    """One table: `digests` has a digest of the content of each partition, by its value as text.

    `rows` yields the rows of some partitions in `schema`, whose last column is the partition.
    """

    name: str
    schema: pa.Schema
    digests: Mapping[str, str]
    rows: Rows

    @property
    def partition(self) -> pa.Field:
        """The column by which the table is partitioned."""
        return self.schema.field(len(self.schema) - 1)


def silver_tables(build: Build) -> Iterator[TableSource]:
    """Yield the wide table and the history of a build; its files' names are their digests."""
    yield _built(TABLE, build.path, wide_schema(), pa.field("year", pa.int32()))
    yield _built(
        HISTORY_TABLE, build.path / HISTORY_FOLDER, history_schema(), pa.field("initial", TEXT)
    )


def _built(name: str, folder: Path, stored: pa.Schema, column: pa.Field) -> TableSource:
    schema = stored.append(column)
    files = {
        path.parent.name.partition("=")[2]: path
        for path in sorted(folder.glob(f"{column.name}=*/part-*.parquet"))
    }

    def rows(values: Sequence[str]) -> Iterator[pa.RecordBatch]:
        # Before anything is written: a digest that is published is not published again.
        for value in values:
            _refuse_damage(files[value])
        return (
            _with(batch, schema, value)
            for value in values
            for batch in pq.ParquetFile(files[value]).iter_batches(ROW_GROUP)
        )

    return TableSource(name, schema, {value: path.stem for value, path in files.items()}, rows)


def _refuse_damage(path: Path) -> None:
    if path.name != part_name(path.read_bytes()):
        raise DamagedFileError(
            f"{path} is not what its name says; build silver again: `polygon-fundamentals silver`"
        )


def _with(batch: pa.RecordBatch, schema: pa.Schema, value: str) -> pa.RecordBatch:
    column = schema.field(len(schema) - 1)
    label = pa.scalar(value, TEXT).cast(column.type)
    return batch.append_column(column, pa.repeat(label, batch.num_rows)).cast(schema)


def bronze_table(lake: Lake, generation: Generation, statement: Statement) -> TableSource:
    """Return a statement's current records: one per ticker, company, timeframe and period end.

    Those of v2 are as in the lake; those of v1 have each figure in a column `section.field`. The
    whole dataset is in memory.

    Raises:
        DamagedFileError: a file of the lake cannot be read; the text names it.
    """
    records = read_dataset(lake.dataset(generation, statement)).drop_columns(["partition"])
    current = records.take(pa.array(current_rows(records, generation, by_ticker=True)))
    keys = ["ticker", "period_end" if generation is Generation.V2 else "end_date"]
    order = [(name, "ascending") for name in (*keys, "timeframe", "cik", "filing_date")]
    current = current.sort_by(order)
    labels = pc.replace_substring(initial_of(current["ticker"]), "initial=", "")
    schema = current.schema.append(pa.field("initial", TEXT))
    code = labels.combine_chunks().dictionary_encode()
    number = code.indices.to_numpy()
    parts = {
        str(label): current.take(pa.array(np.flatnonzero(number == i)))
        for i, label in enumerate(code.dictionary.to_pylist())
    }
    return TableSource(
        f"bronze_{generation}_{statement}",
        schema,
        {label: _digest(rows) for label, rows in parts.items()},
        partial(_of_parts, parts, schema),
    )


def _of_parts(
    parts: Mapping[str, pa.Table], schema: pa.Schema, values: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    for value in values:
        for batch in parts[value].combine_chunks().to_batches(ROW_GROUP):
            yield _with(batch, schema, value)


def _digest(rows: pa.Table) -> str:
    """Return a digest of rows; of their Parquet form, in which equal rows are equal bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="none", write_statistics=False)
    return blake2b(sink.getvalue(), digest_size=8).hexdigest()
