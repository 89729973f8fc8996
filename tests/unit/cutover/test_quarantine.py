"""An old cron script that goes on appending v1 rows through the pointer after the cutover."""

from __future__ import annotations

import json
import shutil

import pyarrow.parquet as pq
import pytest

from polygon_fundamentals.cutover.other_writers import mend_others
from polygon_fundamentals.cutover.quarantine import foreign_files, quarantine_foreign_files
from polygon_fundamentals.lake import Lake, codec
from polygon_fundamentals.lake.index import written
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.lake.recovery import recover
from polygon_fundamentals.statements import Generation, Statement
from tests.builders.old_script import PLACE, append_as_the_old_script
from tests.cutover_world import fill


def test_v1_rows_go_to_v1_and_v2s_file_is_as_it_was(switched: Lake) -> None:
    target = switched.bronze / "fundamentals_v2" / PLACE
    before = pq.read_table(target, partitioning=None).to_pylist()
    append_as_the_old_script(switched.pointer / PLACE)
    assert pq.read_table(target, partitioning=None).num_rows == 2
    (found,) = quarantine_foreign_files(switched)
    assert (found.v1_rows, found.v2_rows_restored, found.v2_rows_lost) == (1, 1, 0)
    assert pq.read_table(target, partitioning=None).to_pylist() == before
    assert (switched.root / found.quarantined_as).exists()
    v1 = switched.dataset(Generation.V1, Statement.BALANCE_SHEETS).file(202505, "AAA")
    values = pq.read_table(v1, partitioning=None).to_pylist()
    assert sorted(r["financials"]["balance_sheet"]["assets"]["value"] for r in values) == [
        77.0,
        1000.0,
    ]
    assert (quarantine_foreign_files(switched), foreign_files(switched), recover(switched)) == (
        [],
        [],
        [],
    )


def test_an_index_of_an_earlier_version_makes_no_file_foreign(
    switched: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is any opened to find that out: a market has a million."""
    dataset = switched.dataset(Generation.V2, Statement.BALANCE_SHEETS)
    path = dataset.index_file("AAA")
    told = json.loads(path.read_bytes())
    path.write_text(json.dumps(told | {"version": told["version"] - 1}))
    monkeypatch.setattr(codec.pq, "read_metadata", lambda _: pytest.fail("it was opened"))
    assert foreign_files(switched) == []


def test_a_file_where_v2_has_none_is_taken_away(switched: Lake) -> None:
    place = "balance_sheets/year=2024/month=02/ticker=AAA.parquet"
    append_as_the_old_script(switched.pointer / place)
    (found,) = quarantine_foreign_files(switched)
    assert (found.v1_rows, found.v2_rows_restored, found.v2_rows_lost) == (1, 0, 0)
    assert not (switched.bronze / "fundamentals_v2" / place).exists()


def test_a_row_whose_file_is_gone_is_restored_from_what_the_load_kept(switched: Lake) -> None:
    target = switched.bronze / "fundamentals_v2" / PLACE
    before = pq.read_table(target, partitioning=None).to_pylist()
    target.unlink()
    append_as_the_old_script(switched.pointer / PLACE)
    (found,) = quarantine_foreign_files(switched)
    assert (found.v1_rows, found.v2_rows_restored, found.v2_rows_lost) == (1, 1, 0)
    assert pq.read_table(target, partitioning=None).to_pylist() == before


def test_a_row_that_is_nowhere_else_is_named_and_loaded_again(switched: Lake) -> None:
    target = switched.bronze / "fundamentals_v2" / PLACE
    target.unlink()
    shutil.rmtree(switched.ops / "cache")
    append_as_the_old_script(switched.pointer / PLACE)
    (found,) = quarantine_foreign_files(switched)
    assert (found.v1_rows, found.v2_rows_restored, found.v2_rows_lost) == (1, 0, 1)
    assert "historical-load --generation v2 --tickers AAA" in found.sentence()
    fill(switched)
    assert pq.read_table(target, partitioning=None)["total_assets"].to_pylist() == [1000.0]


@pytest.mark.parametrize("left", [b"", None])
def test_where_the_index_is_lost_too_v2s_rows_stay(switched: Lake, left: bytes | None) -> None:
    """The campaign, seeds 381007 and 581007: a power cut had emptied the index of the ticker."""
    dataset = switched.dataset(Generation.V2, Statement.BALANCE_SHEETS)
    target = switched.bronze / "fundamentals_v2" / PLACE
    before = pq.read_table(target, partitioning=None).to_pylist()
    rows = read_dataset(dataset).num_rows
    dataset.index_file("AAA").unlink()
    if left is not None:
        dataset.index_file("AAA").write_bytes(left)
    append_as_the_old_script(switched.pointer / PLACE)
    (mended,) = quarantine_foreign_files(switched)
    assert (mended.v1_rows, mended.v2_rows_restored, mended.v2_rows_lost) == (1, 1, 0)
    assert pq.read_table(target, partitioning=None).to_pylist() == before
    assert (foreign_files(switched), read_dataset(dataset).num_rows) == ([], rows)
    fill(switched)
    assert pq.read_table(target, partitioning=None).to_pylist() == before
    assert (
        len(written(dataset, "AAA").rows)
        == pq.ParquetDataset(dataset.folder, filters=[("ticker", "=", "AAA")]).read().num_rows
    )


def test_a_file_that_is_no_parquet_is_quarantined_too(switched: Lake) -> None:
    (switched.pointer / PLACE).write_bytes(b"ticker,cik\nAAA,1\n")
    (found,) = quarantine_foreign_files(switched)
    assert (found.v1_rows, found.v2_rows_restored + found.v2_rows_lost) == (0, 1)


def test_before_the_cutover_nothing_is_swept(lake: Lake) -> None:
    fill(lake)
    append_as_the_old_script(lake.bronze / "fundamentals_v2" / PLACE)
    assert quarantine_foreign_files(lake) == []


def test_a_file_whose_v1_rows_are_no_json_stops_no_load(switched: Lake) -> None:
    target = switched.bronze / "fundamentals_v2" / PLACE
    before = pq.read_table(target, partitioning=None).to_pylist()
    append_as_the_old_script(switched.pointer / PLACE, financials="{no json")
    said = mend_others(switched)
    assert said is not None
    assert said.startswith("1 file was written by something else and repaired")
    assert pq.read_table(target, partitioning=None).to_pylist() == before
    (listed,) = (switched.ops / "quarantine").glob("*.txt")
    assert "0 v1 rows moved to v1 (1 cannot be read and stay there)" in listed.read_text()
    assert mend_others(switched) is None
