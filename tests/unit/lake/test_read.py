"""Reading a dataset while a load moves its rows: none is lost, and none stands twice."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polygon_fundamentals.errors import LakeError
from polygon_fundamentals.lake import Lake, cache, codec, processes, read
from polygon_fundamentals.lake.listing import ATTEMPTS, states
from polygon_fundamentals.lake.paths import Dataset
from polygon_fundamentals.lake.read import read_dataset, repeated_rows
from polygon_fundamentals.lake.storage import local
from polygon_fundamentals.statements import Generation, Statement
from tests.filled import filled

LATER = 203001


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    root = tmp_path_factory.mktemp("source") / "lake"
    return filled(root, companies=1, seed=7, start=date(2024, 1, 1))


@pytest.fixture
def dataset(source: Lake, tmp_path: Path) -> Dataset:
    """v1's cash flow statements, of which nothing was read yet."""
    shutil.copytree(source.root, tmp_path / "mine")
    lake = Lake(tmp_path / "mine")
    shutil.rmtree(lake.ops / "cache")
    return lake.dataset(Generation.V1, Statement.CASH_FLOW)


def ids(dataset: Dataset) -> list[tuple[str, str]]:
    rows = read_dataset(dataset)
    return sorted(zip(rows["end_date"].to_pylist(), rows["timeframe"].to_pylist(), strict=True))


def test_a_reader_whose_cache_cannot_be_written_answers(
    dataset: Dataset, source: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No folder for it; a disk that is full; a part that cannot be put into place."""
    wanted = ids(source.dataset(dataset.generation, dataset.statement))
    place = dataset.lake.ops / "cache"
    place.write_bytes(b"")
    assert ids(dataset) == wanted
    place.unlink()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for module, name in ((cache.pq, "write_table"), (cache.os, "replace")):
        with monkeypatch.context() as broken:
            broken.setattr(module, name, full)
            assert ids(dataset) == wanted
        assert [path for path in place.rglob("*") if path.is_file()] == []
    assert ids(dataset) == wanted
    (part,) = place.glob("v1.cash_flow.*/*.parquet")
    # What a load wrote beside stands in two parts that cannot be made one.
    shutil.copy2(part, part.with_name(f"9{part.name[1:]}"))
    with monkeypatch.context() as broken:
        broken.setattr(cache.os, "replace", full)
        assert ids(dataset) == wanted


def test_repeated_rows_are_those_of_the_reader_whose_cache_cannot_be_written(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticker = states(dataset)[0].ticker
    known = ids(dataset)
    assert repeated_rows(dataset, [ticker]).num_rows == 0
    path = paths(dataset)[-1]
    twin = dataset.file(LATER, ticker)
    twin.parent.mkdir(parents=True)
    shutil.copy2(path, twin)
    with monkeypatch.context() as broken:
        broken.setattr(cache, "_write", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        assert ids(dataset) == known
        rows = repeated_rows(dataset, [ticker])
        assert set(rows["partition"].to_pylist()) >= {LATER}
        assert rows.num_rows == 2 * pq.ParquetFile(path).metadata.num_rows
    twin.unlink()
    assert ids(dataset) == known
    assert repeated_rows(dataset, [ticker]).num_rows == 0


def test_processes_that_cannot_write_the_cache_leave_the_reading_to_their_reader(
    dataset: Dataset, source: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    (dataset.lake.ops / "cache").write_bytes(b"")
    monkeypatch.setattr(processes, "FILES_WORTH_PROCESSES", 1)
    assert ids(dataset) == ids(source.dataset(dataset.generation, dataset.statement))


def test_the_tables_of_many_files_are_not_held_beside_each_other(
    dataset: Dataset, source: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table of one row takes a quarter of a megabyte: they are joined a few at a time."""
    joined = list[int]()
    really = read.flattened

    def flattened(table: pa.Table, *rest: Any) -> pa.Table:
        joined.append(table.num_rows)
        return really(table, *rest)

    monkeypatch.setattr(read, "flattened", flattened)
    monkeypatch.setattr(codec, "TOGETHER", 2, raising=False)
    rows = read_dataset(dataset)
    assert len(joined) == (len(paths(dataset)) + 1) // 2 > 1
    assert rows.equals(read_dataset(source.dataset(dataset.generation, dataset.statement)))


def paths(dataset: Dataset) -> list[Path]:
    return [dataset.file(state.partition, state.ticker) for state in states(dataset)]


def meanwhile(
    monkeypatch: pytest.MonkeyPatch, act: Callable[[], None], *, each_time: bool = False
) -> None:
    """Let something happen when the first file is read after a listing."""
    really, done = codec.read, list[str]()

    def opened(path: Path, *rest: Any) -> Any:
        if each_time or not done:
            done.append(str(path))
            act()
        return really(path, *rest)

    monkeypatch.setattr(codec, "read", opened)


def move_last(dataset: Dataset) -> None:
    """Move the last file to a year that follows all others."""
    last = states(dataset)[-1]
    target = dataset.file(max(last.partition + 100, LATER), last.ticker)
    target.parent.mkdir(parents=True, exist_ok=True)
    os.rename(dataset.file(last.partition, last.ticker), target)


def test_a_file_that_moves_after_the_listing_is_read_where_it_went(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ids(dataset)
    shutil.rmtree(dataset.lake.ops / "cache")
    meanwhile(monkeypatch, lambda: move_last(dataset))
    assert ids(dataset) == whole
    assert ids(dataset) == whole  # from what that read kept


def test_a_row_that_leaves_a_file_after_the_listing_is_read_where_it_went(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ids(dataset)
    shutil.rmtree(dataset.lake.ops / "cache")
    several = [p for p in paths(dataset) if pq.read_metadata(p).num_rows > 1]
    assert several, "no file holds two rows"

    def move_a_row() -> None:
        ticker = states(dataset)[0].ticker
        table, _ = codec.read(several[0], dataset, ticker)
        target = dataset.file(LATER, ticker)
        local.replace_file(target, codec.encode(table.slice(0, 1), dataset))
        local.replace_file(several[0], codec.encode(table.slice(1), dataset))

    meanwhile(monkeypatch, move_a_row)
    assert ids(dataset) == whole


def test_a_lake_that_never_stands_still_is_an_error_that_says_so(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, lambda: move_last(dataset), each_time=True)
    with pytest.raises(LakeError, match=f"moved each of the {ATTEMPTS} times .* run again when"):
        read_dataset(dataset)


def test_a_file_that_goes_away_under_the_listing_begins_it_anew(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(paths(dataset))
    really, moved = Dataset.files, list[int]()

    def listed(self: Dataset) -> Any:
        for found in list(really(self)):
            if not moved:
                moved.append(1)
                last = dataset.file(*list(really(self))[-1][:2])
                os.rename(last, dataset.file(190001, "ELSE"))
            yield found

    monkeypatch.setattr(Dataset, "files", listed)
    found = states(dataset)
    assert moved
    assert len(found) == before
    assert (190001, "ELSE") in {(state.partition, state.ticker) for state in found}
