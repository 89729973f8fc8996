"""A record on a bare shelf has the text that a full one holds, read from its rows alone."""

from __future__ import annotations

import os
import shutil
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.commit import Incoming, Scope, commit
from polygon_fundamentals.lake.paths import Dataset
from polygon_fundamentals.normalise import v2_table
from polygon_fundamentals.statements import Generation, Statement
from polygon_fundamentals.v1_view import lake_files
from polygon_fundamentals.v1_view.lake_files import LakeFiles
from polygon_fundamentals.v1_view.shelf_file import Record
from polygon_fundamentals.v1_view.shelving import (
    ciks_of_tickers,
    companies_of,
    fill_shelves,
    make_shelves,
)
from polygon_fundamentals.v1_view.texts import texts_of
from polygon_fundamentals.v1_view.view import View
from tests.cutover_world import OBSERVED as AT
from tests.cutover_world import QUARTERS, fill, load_gone, load_later, run, v2_row
from tests.unit.v1_view.conftest import Pair
from tests.unit.v1_view.shelves import companies, loaded, shelves


def assert_same(view: View, folder: Path) -> int:
    """Compare the records of both kinds of shelves; return how many texts were read late."""
    bare = shelves(view, folder / "bare", bare=True)
    full = shelves(view, folder / "full", bare=False)
    assert [s.digests for s in bare] == [s.digests for s in full]
    late = 0
    for one, other in zip(bare, full, strict=True):
        assert one.ciks == other.ciks
        missing = [r for r in one.records if r.body is None]
        late += len(missing)
        texts = iter(texts_of(view.root, [(r.ties, r.rows) for r in missing]))
        for mine, whole in zip(one.records, other.records, strict=True):
            names = set(Record.__struct_fields__) - {"body", "sourced", "rows"}
            assert [getattr(mine, n) for n in names] == [getattr(whole, n) for n in names]
            text = (mine.body, mine.sourced) if mine.body is not None else next(texts)
            assert text == (whole.body, whole.sourced)
    filled = fill_shelves(view, str(folder / "bare"), [tuple(s.digests) for s in bare])
    assert [s.records for s in loaded(filled)] == [s.records for s in full]
    assert not list((folder / "bare").glob("*.bare"))
    return late


@pytest.mark.slow
@pytest.mark.parametrize("day", [None, date(2026, 6, 1)])
def test_of_a_sandbox_with_its_oddities(pair: Pair, tmp_path: Path, day: date | None) -> None:
    assert assert_same(View(str(pair.lake.root), day), tmp_path) > 20


@pytest.mark.slow
@pytest.mark.parametrize("day", [None, date(2026, 6, 15)])
def test_of_corrected_and_delisted_records(tmp_path: Path, day: date | None) -> None:
    lake = load_later(load_gone(fill(Lake(tmp_path / "lake"))))
    assert list((lake.ops / "revisions").rglob("*.parquet"))
    assert assert_same(View(str(lake.root), day), tmp_path) > 5


def test_a_row_that_is_gone_is_told(tmp_path: Path) -> None:
    lake = fill(Lake(tmp_path / "lake"))
    (shelf, _) = shelves(View(str(lake.root)), tmp_path / "bare", bare=True)
    wanted = [(r.ties, r.rows) for r in shelf.records]
    assert all(texts_of(str(lake.root), wanted))
    shutil.rmtree(lake.dataset(Generation.V1, Statement.CASH_FLOW).folder)
    assert texts_of(str(lake.root), wanted) == [None] * len(wanted)


@pytest.mark.slow
def test_a_bare_shelf_of_files_that_changed_is_not_filled_but_made_anew(tmp_path: Path) -> None:
    lake = fill(Lake(tmp_path / "lake"))
    view = View(str(lake.root))
    bare = shelves(view, tmp_path / "bare", bare=True)
    load_later(lake)
    filled = loaded(
        fill_shelves(view, str(tmp_path / "bare"), [tuple(shelf.digests) for shelf in bare])
    )
    assert [s.digests for s in filled] != [s.digests for s in bare]
    anew = loaded(make_shelves(view, str(tmp_path / "bare"), companies(view)))
    assert [(s.digests, s.records) for s in filled] == [(s.digests, s.records) for s in anew]


def test_a_bare_shelf_of_a_damaged_file_is_filled_with_the_reason(tmp_path: Path) -> None:
    lake = fill(Lake(tmp_path / "lake"))
    view = View(str(lake.root))
    path = next(
        Path(e.path) for _, _, e in lake.dataset(Generation.V1, Statement.CASH_FLOW).files()
    )
    damaged = path.read_bytes()
    bare = shelves(view, tmp_path / "bare", bare=True)
    state = path.stat()
    path.write_bytes(b"x" * len(damaged))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    filled = loaded(
        fill_shelves(view, str(tmp_path / "bare"), [tuple(shelf.digests) for shelf in bare])
    )
    (broken,) = [shelf for shelf in filled if shelf.error]
    assert str(path) in str(broken.error)
    assert broken.records == ()
    assert all(shelf.is_full for shelf in filled)


@pytest.mark.slow
def test_companies_are_known_from_the_index_and_from_the_rows_without_it(pair: Pair) -> None:
    lake = pair.lake
    files = LakeFiles(lake)
    files.look()
    by_index = ciks_of_tickers(str(lake.root), files.tickers)
    assert sum(len(company) > 1 for company in companies_of(by_index)) > 0
    shutil.copytree(lake.root, copy := lake.root.parent / "without-index", symlinks=True)
    shutil.rmtree(copy / "ops" / "index")
    shutil.rmtree(copy / "ops" / "cache")
    assert ciks_of_tickers(str(copy), files.tickers) == by_index


def test_a_file_that_another_tool_changed_is_read_for_its_company(tmp_path: Path) -> None:
    lake = fill(Lake(tmp_path / "lake"))
    files = LakeFiles(lake)
    files.look()
    before = ciks_of_tickers(str(lake.root), files.tickers)
    ticker = min(before)
    dataset = lake.dataset(Generation.V1, Statement.CASH_FLOW)
    path = next(Path(entry.path) for _, name, entry in dataset.files() if name == ticker)
    table = pq.read_table(path, partitioning=None)
    other = pa.array(["0000004711"] * table.num_rows)
    pq.write_table(table.set_column(table.schema.get_field_index("cik"), "cik", other), path)
    assert files.look() == {ticker}
    after = ciks_of_tickers(str(lake.root), files.tickers)
    assert after == before | {ticker: tuple(sorted({*before[ticker], "0000004711"}))}


def test_companies_are_known_of_a_file_that_is_cut_off(tmp_path: Path) -> None:
    lake = fill(Lake(tmp_path / "lake"))
    files = LakeFiles(lake)
    files.look()
    before = ciks_of_tickers(str(lake.root), files.tickers)
    assert all(before.values())
    for statement in Statement:
        for generation in Generation:
            for _, ticker, entry in lake.dataset(generation, statement).files():
                if ticker == min(before):
                    os.truncate(entry.path, 100)
    assert files.look() == {min(before)}
    assert ciks_of_tickers(str(lake.root), files.tickers) == before


def test_a_switch_while_the_folders_are_looked_at_leaves_no_file_of_the_other_generation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = fill(Lake(tmp_path / "lake"))
    for statement in Statement:
        rows = v2_table([v2_row("0000000003", "NEW", QUARTERS[0], 5.0, statement)], statement, AT)
        incoming = Incoming(rows, {"NEW": range(1)}, Scope.WINDOW, frozenset(), AT)
        commit(lake.dataset(Generation.V2, statement), incoming)
    files = LakeFiles(lake)
    folders_of = lake_files._folders

    def list_then_switch(dataset: Dataset) -> list[tuple[int, Path]]:
        monkeypatch.undo()
        before = list(folders_of(dataset))  # v1's, by the name that v2's are about to get
        assert run(lake, "cutover", checks=())["exit_code"] == 0
        return before

    monkeypatch.setattr(lake_files, "_folders", list_then_switch)
    files.look()
    afresh = LakeFiles(lake)
    afresh.look()
    assert files.tickers == afresh.tickers
