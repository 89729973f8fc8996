"""The field map gets new fields of v2: what an earlier version stored stays, and is not damage."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest

import polygon_fundamentals
from polygon_fundamentals.cutover.verify import verify
from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.lake import Lake, codec, revisions
from polygon_fundamentals.lake.commit import Incoming, Scope, commit
from polygon_fundamentals.lake.index import load, read_file, written
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.normalise import v2_table
from polygon_fundamentals.silver.versions import superseded
from polygon_fundamentals.statements import Generation, Statement
from tests.builders.templates import copied
from tests.cutover_world import v2_row

BALANCES = Statement.BALANCE_SHEETS
# An earlier version did not know these: they stand in the middle of today's columns.
NEW = ("goodwill", "treasury_stock")
THEN, NOW = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
QUARTERS = [("2025-03-31", "2025-05-01", 1), ("2025-06-30", "2025-08-01", 2)]
# A value of its own, one that float64 would change, an explicit null, none at all.
VALUES: list[dict[str, Any]] = [
    {"treasury_stock": -5.5, "goodwill": 9007199254740993},
    {"treasury_stock": None, "a_name_nobody_knows": 1},
]

STORE = """
import sys
from datetime import datetime
from pathlib import Path

import orjson

from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.commit import Incoming, Scope, commit
from polygon_fundamentals.normalise import v2_table
from polygon_fundamentals.statements import Generation, Statement

given = orjson.loads(sys.stdin.buffer.read())
lake = Lake(Path(given["lake"]))
lake.prepare()
moment = datetime.fromisoformat(given["moment"])
for rows in given["answers"]:
    table = v2_table(rows, Statement.BALANCE_SHEETS, moment)
    assert "treasury_stock" not in table.schema.names
    dataset = lake.dataset(Generation.V2, Statement.BALANCE_SHEETS)
    places = {"AAA": range(len(rows))}
    commit(dataset, Incoming(table, places, Scope.WINDOW, frozenset(), moment))
"""


def rows(total: float) -> list[dict[str, Any]]:
    return [
        {**v2_row("0000000001", "AAA", quarter, total, BALANCES), **values}
        for quarter, values in zip(QUARTERS, VALUES, strict=True)
    ]


@pytest.fixture
def earlier(lake: Lake) -> Lake:
    """A lake that a version without the new fields wrote: two rows, and a revision of each."""
    return copied(lake, store_as_earlier)


def store_as_earlier(lake: Lake) -> None:
    package = lake.root.parent / "earlier" / "polygon_fundamentals"
    shutil.copytree(
        Path(polygon_fundamentals.__file__).parent,
        package,
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    lines = package / "field_map" / "balance_sheets.csv"
    left = [
        line
        for line in lines.read_text().splitlines(keepends=True)
        if not set(NEW) & set(line.split(",")[:3])
    ]
    assert len(left) <= len(lines.read_text().splitlines()) - len(NEW)
    lines.write_text("".join(left))
    given = {
        "lake": str(lake.root),
        "moment": THEN.isoformat(),
        "answers": [rows(100.0), rows(200.0)],
    }
    subprocess.run(
        [sys.executable, "-c", STORE],
        input=orjson.dumps(given),
        env={**os.environ, "PYTHONPATH": str(package.parent)},
        check=True,
    )


def store(lake: Lake, answer: list[dict[str, Any]]) -> Any:
    table = v2_table(answer, BALANCES, NOW)
    places = {"AAA": range(len(answer))}
    return commit(
        lake.dataset(Generation.V2, BALANCES),
        Incoming(table, places, Scope.WINDOW, frozenset(), NOW),
    )


def facts(table: pa.Table) -> list[dict[str, Any]]:
    names = ["period_end", *NEW, "total_assets", "absent_fields", "unmapped"]
    return sorted(table.select(names).to_pylist(), key=lambda row: row["period_end"])


def test_the_same_answer_changes_nothing(earlier: Lake) -> None:
    dataset = earlier.dataset(Generation.V2, BALANCES)
    before = {path: path.read_bytes() for path in dataset.folder.rglob("*.parquet")}
    counts = store(earlier, rows(200.0))
    assert (counts.rows_new, counts.rows_changed, counts.rows_unchanged) == (0, 0, 2)
    assert {path: path.read_bytes() for path in dataset.folder.rglob("*.parquet")} == before
    assert revisions.read(dataset, "AAA").num_rows == 2
    assert verify(earlier).problems == ()


def test_every_reader_gets_the_values_in_their_columns(earlier: Lake) -> None:
    dataset = earlier.dataset(Generation.V2, BALANCES)
    wanted = facts(v2_table(rows(200.0), BALANCES, NOW))
    assert wanted[0]["treasury_stock"] == -5.5
    stored = [read_file(dataset, month, "AAA") for month in (202505, 202508)]
    assert facts(pa.concat_tables([file.table for file in stored if file is not None])) == wanted
    assert all(file is not None and file.ours for file in stored)
    narrow, _ = codec.read(dataset.file(202505, "AAA"), dataset, "AAA", ["treasury_stock"])
    assert narrow.to_pydict() == {"treasury_stock": [-5.5]}
    assert sorted(read_dataset(dataset)["treasury_stock"].to_pylist(), key=str) == [-5.5, None]
    before = facts(revisions.read(dataset, "AAA"))
    assert before == facts(v2_table(rows(100.0), BALANCES, NOW))
    assert superseded(dataset).num_rows == 2


def test_a_change_is_one_and_the_row_before_is_kept(earlier: Lake) -> None:
    dataset = earlier.dataset(Generation.V2, BALANCES)
    first, second = rows(200.0)
    counts = store(earlier, [{**first, "treasury_stock": -6.5}, second])
    assert (counts.rows_new, counts.rows_changed, counts.rows_unchanged) == (0, 1, 1)
    assert revisions.read(dataset, "AAA")["treasury_stock"].to_pylist() == [-5.5, None, -5.5]
    assert not (earlier.ops / "adopted").exists()
    assert verify(earlier).problems == ()


def test_the_checksums_of_files_that_stay_are_not_lost(earlier: Lake) -> None:
    dataset = earlier.dataset(Generation.V2, BALANCES)
    assert written(dataset, "AAA").is_older
    store(earlier, rows(200.0))
    index = written(dataset, "AAA")
    assert not index.is_older
    assert index.checksums.keys() == {202505, 202508}
    assert not load(dataset, "AAA", set()).stale


def test_a_name_that_nobody_knows_is_not_dropped_without_a_word(earlier: Lake) -> None:
    dataset = earlier.dataset(Generation.V2, BALANCES)
    path = dataset.revisions_file("AAA")
    data = path.read_bytes()
    assert data.count(b"total_assets") >= 2
    path.write_bytes(data.replace(b"total_assets", b"total_assetr"))
    with pytest.raises(DamagedFileError, match="has no column total_assetr"):
        revisions.read(dataset, "AAA")
