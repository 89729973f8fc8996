"""A lake filled from a sandbox through the library, without Prefect."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from polygon_fundamentals.lake import Lake, codec
from polygon_fundamentals.lake.storage import local
from polygon_fundamentals.load.historical import load_v1, load_v2_bisecting
from polygon_fundamentals.load.loader import Loader
from polygon_fundamentals.load.query import Filters
from polygon_fundamentals.parity.plan import Question
from polygon_fundamentals.parity.run import Answer, compare_lake
from polygon_fundamentals.statements import Generation, Statement, Timeframe
from sandbox import Sandbox
from tests.conftest import KEY, client_of

Change = Callable[[pa.Table], pa.Table]


def fill(lake: Lake, server: Sandbox, tickers: Sequence[str]) -> None:
    """Load all history of the tickers in both generations."""
    loader = Loader(client_of(server), lake)
    filters = Filters(timeframes=tuple(Timeframe))
    for ticker in tickers:
        load_v1(loader, ticker, list(Statement), filters)
        for statement in Statement:
            report = load_v2_bisecting(loader, {ticker: []}, statement, filters)
            assert report.failed == ()


def filled(root: Path, **options: Any) -> Lake:
    """A lake at `root` with all that a sandbox of these options serves."""
    lake = Lake(root)
    lake.prepare()
    with Sandbox(api_key=KEY, **options) as server:
        fill(lake, server, server.tickers)
    return lake


def change_rows(
    lake: Lake,
    generation: Generation,
    statement: Statement,
    change: Change,
    ticker: str | None = None,
    *,
    first_only: bool = False,
) -> int:
    """Rewrite the files of a dataset, as files of ours; returns how many rows are new or gone.

    With `first_only` the first file that `change` makes different is the only one rewritten.
    """
    dataset = lake.dataset(generation, statement)
    difference = 0
    for partition, name, _ in sorted(dataset.files(), key=lambda f: (f[1], f[0])):
        if ticker not in (None, name):
            continue
        path = dataset.file(partition, name)
        before = pq.ParquetFile(path).read()
        after = change(before)
        if after.equals(before):
            continue
        difference += after.num_rows - before.num_rows
        if after.num_rows:
            local.replace_file(path, codec.encode(after, dataset))
        else:
            path.unlink()
        if first_only:
            return difference
    return difference


def set_column(name: str, value: Callable[[pa.Table], list[object]]) -> Change:
    """A change that gives a column the values that `value` makes of the rows."""

    def change(table: pa.Table) -> pa.Table:
        field = table.schema.field(name)
        column = pa.array(value(table), field.type)
        return table.set_column(table.schema.get_field_index(name), field, column)

    return change


def comparison(
    lake: Lake, statement: Statement, question: Question, tickers: Iterable[str] | None = None
) -> Answer:
    """The comparison of a lake, its tables in a new folder beside the lake."""
    folder = Path(tempfile.mkdtemp(prefix="found-", dir=lake.root.parent))
    return compare_lake(lake, statement, question, folder, tickers)
