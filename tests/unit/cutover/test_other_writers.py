"""Old jobs that go on writing: any command notices them, the next load mends them, in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.runs import recorded_run
from polygon_fundamentals import ledger
from polygon_fundamentals.cutover.other_writers import other_writers
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.commit import Incoming, Scope, commit
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.ledger import queries
from polygon_fundamentals.normalise import v1_tables
from polygon_fundamentals.statements import Generation, Statement
from tests.builders.commands import call
from tests.builders.old_script import PLACE, append_as_the_old_script
from tests.cutover_world import OBSERVED, QUARTERS, fill, run, v1_row

SHEETS = Statement.BALANCE_SHEETS


def others_in_status(lake: Lake) -> dict[str, tuple[Any, str]]:
    """Return name → (ok, detail) of the rows of status about other writers."""
    _, answer = call("status", "--lake", str(lake.root))
    return {
        r["name"]: (r["ok"], str(r)) for r in answer["rows"] if r["name"].startswith("other writ")
    }


def mend(lake: Lake, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Begin and end a load; return its lines on standard error."""
    capsys.readouterr()
    with recorded_run("daily-update", lake, {}, writes=[Generation.V2]) as entry:
        entry.report.update(ok=True, generations={"v2": {"failed": [], "rows_received": 1}})
    return capsys.readouterr().err.splitlines()


def theirs(lake: Lake) -> Path:
    """Write v1 as another tool does, and load it once; return a file of it."""
    rows = [v1_row("0000000001", "AAA", quarter, 7.0) for quarter in QUARTERS]
    path = lake.pointer / SHEETS / "year=2025" / "month=05" / "ticker=AAA.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows[:1]), path)
    table = v1_tables(rows, OBSERVED)[SHEETS]
    incoming = Incoming(table, {"AAA": range(3)}, Scope.WINDOW, frozenset(), OBSERVED, rows)
    commit(lake.dataset(Generation.V1, SHEETS), incoming)
    return path


def test_what_a_cron_appends_to_v1_is_noticed_and_taken_in(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    path = theirs(lake)
    assert others_in_status(lake) == {}
    before = pq.read_table(path, partitioning=None)
    pq.write_table(pa.concat_tables([before, before]), path)
    new = path.with_name("ticker=BBB.parquet")
    pq.write_table(pa.Table.from_pylist([v1_row("0000000002", "BBB", QUARTERS[0], 1.0)]), new)
    ok, detail = others_in_status(lake)["other writers of v1"]
    assert (
        ok,
        f"1 files of v1 since our last load, such as {path.relative_to(lake.root)}" in detail,
    ) == (
        None,
        True,
    )
    [line] = mend(lake, capsys)
    assert line.startswith("warning: 1 file was written by something else and repaired: ")
    [file] = (lake.ops / "quarantine").glob("*.txt")
    assert str(path.relative_to(lake.root)) in file.read_text()
    assert pq.read_table(path, partitioning=None).num_rows == 1
    assert pq.read_schema(path).field("filing_date").type == "string"
    rows = read_dataset(lake.dataset(Generation.V1, SHEETS))
    assert sorted(rows["ticker"].to_pylist()) == ["AAA", "AAA", "AAA", "BBB"]
    assert others_in_status(lake) == {}
    assert mend(lake, capsys) == []


def test_rows_among_v2s_alarm_until_a_load_mends_them(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(lake)
    assert run(lake, "cutover", checks=())["exit_code"] == 0
    append_as_the_old_script(lake.pointer / PLACE)
    ok, detail = others_in_status(lake)["other writers of v2"]
    assert (ok, PLACE in detail) == (False, True)
    assert len(other_writers(lake).v2) == 1
    [line] = mend(lake, capsys)
    assert line.startswith("warning: 1 file was written by something else and repaired: ")
    assert others_in_status(lake) == {}
    # What parity compared before is no more what is there.
    repaired = queries.last_change(ledger.read_entries(lake)[0])
    assert repaired is not None
    assert mend(lake, capsys) == []
    assert queries.last_change(ledger.read_entries(lake)[0]) == repaired


def test_files_in_our_build_of_silver_alarm(lake: Lake) -> None:
    fill(lake)
    assert run(lake, "cutover", checks=())["exit_code"] == 0
    path = lake.silver / "fundamentals_wide" / "year=2025" / "quarter=Q1" / "data.parquet"
    path.parent.mkdir(parents=True)
    pd.DataFrame({"ticker": ["AAA"]}).to_parquet(path)
    ok, detail = others_in_status(lake)["other writers of silver"]
    assert (ok, "year=2025/quarter=Q1/data.parquet" in detail, "run `silver`" in detail) == (
        False,
        True,
        True,
    )
