"""What a file holds is the row that was written, wherever in a table it stood."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polygon_fundamentals.datasets.schemas import schema
from polygon_fundamentals.lake import Lake, codec
from polygon_fundamentals.normalise import v2_table
from polygon_fundamentals.statements import Generation, Statement
from sandbox import Sandbox
from tests.conftest import client_of

SEEN = datetime(2026, 7, 1, 12, 30, 15, 250_000, tzinfo=UTC)


def read_back(path: Path, data: bytes) -> pa.Table:
    path.write_bytes(data)
    return pq.ParquetFile(path).read()


@pytest.mark.parametrize("statement", list(Statement))
def test_every_slice_of_an_answer_is_written_as_it_is(
    sandbox: Sandbox, tmp_path: Path, statement: Statement
) -> None:
    """Nulls, zeros, absent keys, several tickers and unknown keys at every offset."""
    rows: list[dict[str, Any]] = sandbox.rows("v2", statement.value)[:60]
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
    whole = read_back(tmp_path / "f.parquet", codec.encode(table.take([5, 0, 59]), dataset))
    assert whole.cast(table.schema).equals(table.take([5, 0, 59]))


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
