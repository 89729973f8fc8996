"""What a file holds is the row that was written, wherever in a table it stood."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polygon_fundamentals.datasets.schemas import schema
from polygon_fundamentals.lake import Lake, codec
from polygon_fundamentals.lake.one_row_files import OneRowFiles
from polygon_fundamentals.lake.paths import Dataset
from polygon_fundamentals.normalise import v2_table
from polygon_fundamentals.statements import Generation, Statement
from sandbox import Sandbox
from tests.conftest import client_of

LAKE = Lake(Path("lake"))
DATASETS = [LAKE.ratios, *(LAKE.dataset(Generation.V2, statement) for statement in Statement)]
SEEN = datetime(2026, 7, 1, 12, 30, 15, 250_000, tzinfo=UTC)


def read_back(path: Path, data: bytes) -> pa.Table:
    path.write_bytes(data)
    return pq.ParquetFile(path).read()


@pytest.mark.parametrize("statement", list(Statement))
def test_every_slice_of_an_answer_is_written_as_it_is(
    sandbox: Sandbox, tmp_path: Path, statement: Statement
) -> None:
    """Nulls, zeros, absent keys, several tickers and unknown keys at every offset."""
    rows: list[dict[str, Any]] = sandbox.rows("v2", statement.value)[:20]
    rows[7] = rows[7] | {"news": {"a": [1, None]}, "tickers": ["A", "B", "Ä<b>"]}
    rows[8] = {k: v for k, v in rows[8].items() if k != "tickers"} | {"cik": None}
    rows[9] = rows[9] | {"tickers": []}
    table = v2_table(rows, statement, SEEN)
    dataset = Lake(tmp_path).dataset(Generation.V2, statement)
    assert {len(row) for row in table["absent_fields"].to_pylist()} != {0}
    for at in range(len(rows)):
        for rows_each in (1, 3):
            part = table.slice(at, rows_each)
            found = read_back(tmp_path / "f.parquet", codec.encode(part, dataset))
            assert found.cast(table.schema).equals(part)
    whole = read_back(tmp_path / "f.parquet", codec.encode(table.take([5, 0, 19]), dataset))
    assert whole.cast(table.schema).equals(table.take([5, 0, 19]))


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.name)
def test_a_file_of_one_row_is_what_the_library_would_have_written(
    tmp_path: Path, dataset: Dataset
) -> None:
    """Every kind of value in every kind of column: same schema, same row, same mark."""
    wanted = schema(dataset.generation, dataset.statement)
    texts = ["", "A", "Ä<b>", "x" * 300, None]
    lists = [None, [], [None], ["a"], ["a", None, "", "ü"], [str(i) for i in range(300)]]
    numbers = [0.0, -0.0, 1.5, -1e300, 5e-324, math.inf, -math.inf, math.nan, None]
    values: dict[str, list[Any]] = {
        "string": texts,
        "list<item: string>": lists,
        "double": numbers,
        "int32": [0, -1, 2**31 - 1, -(2**31), None],
        "date32[day]": [date(1969, 12, 31), date(2026, 7, 1), None],
        "timestamp[us, tz=UTC]": [SEEN, None],
    }
    kinds = {field.name: values[str(field.type)] for field in wanted}
    table = pa.table(
        [
            pa.array(
                [kinds[field.name][(at + k) % len(kinds[field.name])] for at in range(18)]
            ).cast(field.type)
            for k, field in enumerate(wanted)
        ],
        schema=wanted,
    )
    table = pa.concat_tables([table.slice(0, 8), table.slice(8)])  # in two chunks
    files = OneRowFiles(table, dataset)
    for at in range(table.num_rows):
        row = codec.with_ticker(table.slice(at, 1), "BRK.B")
        by_hand, by_library = files.encode(at, "BRK.B"), codec.encode(row, dataset)
        ours, theirs = (read_back(tmp_path / "f.parquet", data) for data in (by_hand, by_library))
        assert ours.schema.equals(theirs.schema)
        assert repr(ours.to_pylist()) == repr(theirs.to_pylist()) == repr(row.to_pylist())
        described = [pq.read_metadata(pa.BufferReader(data)) for data in (by_hand, by_library)]
        assert described[0].schema.equals(described[1].schema)
        (tmp_path / "f.parquet").write_bytes(by_hand)
        assert codec.is_ours(tmp_path / "f.parquet", dataset)
        codec.prove(by_hand, row, dataset)
        for reader in (pl.read_parquet, lambda path: duckdb.read_parquet(str(path)).pl()):
            assert repr(reader(tmp_path / "f.parquet").to_arrow().cast(wanted).to_pylist()) == repr(
                row.to_pylist()
            )


def test_a_file_without_rows_keeps_its_columns(tmp_path: Path) -> None:
    wanted = schema(Generation.V2, Statement.CASH_FLOW)
    dataset = Lake(tmp_path).dataset(Generation.V2, Statement.CASH_FLOW)
    found = read_back(tmp_path / "f.parquet", codec.encode(wanted.empty_table(), dataset))
    assert found.cast(wanted).equals(wanted.empty_table())


def test_v1s_structs_are_written_as_they_are_at_every_offset(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    from polygon_fundamentals.normalise import v1_tables
    from polygon_fundamentals.normalise.exact import parse_rows

    [page] = list(
        client_of(sandbox).pages("/vX/reference/financials", {"ticker": "MUX", "limit": "20"})
    )[:1]
    tables = v1_tables(parse_rows(page.body), SEEN)
    for statement, table in tables.items():
        dataset = Lake(tmp_path).dataset(Generation.V1, statement)
        assert table.num_rows > 3
        for at in range(table.num_rows):
            part = table.slice(at, 1)
            found = read_back(tmp_path / "f.parquet", codec.encode(part, dataset))
            assert found.cast(table.schema).equals(part)
