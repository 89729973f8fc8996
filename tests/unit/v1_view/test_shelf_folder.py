"""What a server finds on its next start: shelves of tickers that came, went or were unreadable."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from polygon_fundamentals import field_map
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.commit import Incoming, Scope, commit
from polygon_fundamentals.normalise import v1_tables
from polygon_fundamentals.statements import Generation, Statement
from polygon_fundamentals.v1_view import index
from polygon_fundamentals.v1_view.index import Index
from polygon_fundamentals.v1_view.lake_files import LakeFiles
from polygon_fundamentals.v1_view.shelf_folder import UNUSED_DAYS, ShelfFolder
from polygon_fundamentals.v1_view.shelving import fill_shelves, make_shelves
from polygon_fundamentals.v1_view.state import UnreadableError
from polygon_fundamentals.v1_view.view import View
from tests.cutover_world import OBSERVED, QUARTERS, fill, load_gone, run, v1_row
from tests.v1_server import V1Server, serving_v1


def load_v1(lake: Lake, ticker: str, quarters: Any, cik: str = "0000000001") -> None:
    rows = [v1_row(cik, ticker, quarter, 3.0) for quarter in quarters]
    for statement in Statement:
        table = v1_tables(rows, OBSERVED)[statement]
        incoming = Incoming(table, {ticker: range(len(rows))}, Scope.WINDOW, frozenset(), OBSERVED)
        commit(lake.dataset(Generation.V1, statement), incoming)


def files_of(lake: Lake, ticker: str) -> list[Path]:
    return sorted(lake.bronze.resolve().rglob(f"ticker={ticker}.parquet"))


def shelf_files(lake: Lake) -> list[str]:
    return sorted(p.name for p in (lake.ops / "cache" / "serve_v1" / "now").iterdir())


def wait_for(true: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.2)


def load_shelves(lake: Lake) -> dict[str, list[str]]:
    """Return ticker → the tickers of its shelf, as a server that starts takes them."""
    files = LakeFiles(lake)
    files.look()
    shelves = ShelfFolder(lake, "now").good_shelves(files)
    return {ticker: sorted(shelf.digests) for ticker, shelf in sorted(shelves.items())}


def test_shelves_made_with_another_field_map_are_not_taken(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their text is compressed with the map's words: it came out as another, without an error."""
    load_v1(lake, "FB", QUARTERS[:2])
    make_shelves(View(str(lake.root)), str(ShelfFolder(lake, "now").path), [("FB",)])
    assert load_shelves(lake) == {"FB": ["FB"]}
    more = replace(field_map.FIELD_MAP[0], v1="another_line")
    monkeypatch.setattr(field_map, "FIELD_MAP", (*field_map.FIELD_MAP, more))
    field_map.tables_digest.cache_clear()
    try:
        assert load_shelves(lake) == {}
    finally:
        monkeypatch.undo()
        field_map.tables_digest.cache_clear()
    assert shelf_files(lake) == []


@pytest.mark.slow
def test_a_start_takes_shelves_that_hold_and_removes_the_others(lake: Lake) -> None:
    load_v1(lake, "FB", QUARTERS[:2])
    load_v1(lake, "MSFT", QUARTERS, "0000000002")
    view, folder = View(str(lake.root)), ShelfFolder(lake, "now").path
    make_shelves(view, str(folder), [("FB",), ("MSFT",)])
    assert load_shelves(lake) == {"FB": ["FB"], "MSFT": ["MSFT"]}
    alone = (folder / "ticker=FB.shelf").read_bytes()

    load_v1(lake, "ABC", QUARTERS[2:])
    make_shelves(view, str(folder), [("ABC", "FB")], bare=True)
    assert shelf_files(lake) == ["ticker=ABC.bare", "ticker=MSFT.shelf"]
    # As a server leaves them that was killed before it removed the old ones.
    (folder / "ticker=FB.shelf").write_bytes(alone)
    joined = {"ABC": ["ABC", "FB"], "FB": ["ABC", "FB"]}
    assert load_shelves(lake) == {**joined, "MSFT": ["MSFT"]}
    assert shelf_files(lake) == ["ticker=ABC.bare", "ticker=MSFT.shelf"]
    bare = (folder / "ticker=ABC.bare").read_bytes()
    fill_shelves(view, str(folder), [("ABC", "FB")])
    (folder / "ticker=ABC.bare").write_bytes(bare)
    assert load_shelves(lake) == {**joined, "MSFT": ["MSFT"]}
    assert shelf_files(lake) == ["ticker=ABC.shelf", "ticker=MSFT.shelf"]

    data = rot(files_of(lake, "MSFT")[0])
    make_shelves(view, str(folder), [("MSFT",)])
    assert load_shelves(lake) == joined
    assert shelf_files(lake) == ["ticker=ABC.shelf"]
    restore(files_of(lake, "MSFT")[0], data)

    for path in files_of(lake, "ABC"):
        path.unlink()
    make_shelves(view, str(folder), [("ABC",), ("FB",)])
    assert load_shelves(lake) == {"FB": ["FB"]}
    assert shelf_files(lake) == ["ticker=FB.shelf"]


def health(server: V1Server) -> dict[str, Any]:
    answer: dict[str, Any] = requests.get(f"{server.url}/health", timeout=60).json()
    return answer


@pytest.mark.slow
def test_a_ticker_that_joins_a_company_and_leaves_it_again_stands_on_one_shelf(lake: Lake) -> None:
    load_v1(lake, "FB", QUARTERS[:2])
    shelves = lake.ops / "cache" / "serve_v1" / "now"
    with serving_v1(lake.root) as server:
        server.wait_until_complete()
        alone = (shelves / "ticker=FB.shelf").read_bytes()
        load_v1(lake, "ABC", QUARTERS[2:])
        wait_for(lambda: len(server.everything(limit=100)) == 3)
        wait_for(lambda: shelf_files(lake) == ["ticker=ABC.shelf"])
    # As a server leaves it that was killed before it removed the old one.
    (shelves / "ticker=FB.shelf").write_bytes(alone)
    with serving_v1(lake.root) as server:
        server.wait_until_complete()
        for terms in ({}, {"cik": "0000000001"}):
            assert len(server.everything(limit=100, **terms)) == 3
        assert len(server.everything(ticker="FB", limit=100)) == 2
        assert shelf_files(lake) == ["ticker=ABC.shelf"]
        for path in files_of(lake, "ABC"):
            path.unlink()
        wait_for(lambda: health(server)["tickers"] == 1)
        assert health(server)["complete"]
        assert len(server.everything(limit=100)) == 2
    with serving_v1(lake.root) as server:
        server.wait_until_complete()
        for terms in ({}, {"cik": "0000000001"}, {"ticker": "FB"}):
            assert len(server.everything(limit=100, **terms)) == 2
        assert server.everything(ticker="ABC") == []


@pytest.mark.slow
def test_a_ticker_without_files_keeps_nobody_waiting_after_a_restart(tmp_path: Path) -> None:
    lake = fill(Lake(tmp_path / "lake"))
    with serving_v1(lake.root) as server:
        server.wait_until_complete()
        for path in files_of(lake, "BBB"):
            path.unlink()
        wait_for(lambda: health(server)["tickers"] == 1)
        assert len(server.everything(limit=100)) == 3
    with serving_v1(lake.root) as server:
        server.wait_until_complete(30)
        assert server.get().status_code == 200
        assert server.get(cik="0000000001").json()["count"] == 3
        assert shelf_files(lake) == ["ticker=AAA.shelf"]


@pytest.mark.slow
def test_delisted_companies_are_served_after_a_cleanup(tmp_path: Path) -> None:
    lake = load_gone(fill(Lake(tmp_path / "lake"), ("AAA",)))
    for switch in ("cutover", "cleanup"):
        assert run(lake, switch, checks=())["exit_code"] == 0
    with serving_v1(lake.root) as server:
        server.wait_until_complete()
        assert len(server.everything(ticker="GONE")) == 3
        assert len(server.everything(limit=100)) == 6


@pytest.mark.slow
def test_delisted_companies_are_served_through_a_cleanup_and_back(tmp_path: Path) -> None:
    lake = load_gone(fill(Lake(tmp_path / "lake"), ("AAA",)))
    assert run(lake, "cutover", checks=())["exit_code"] == 0

    def check(server: V1Server) -> list[dict[str, Any]]:
        server.wait_until_complete()
        assert len(server.everything(cik="0000000009")) == 3
        assert len(server.everything(limit=100)) == 6
        return server.everything(ticker="GONE")

    with serving_v1(lake.root) as server:
        before = check(server)
        shelf = lake.ops / "cache" / "serve_v1" / "now" / "ticker=GONE.shelf"
        made = shelf.stat().st_mtime_ns
        assert run(lake, "cleanup", checks=())["exit_code"] == 0
        assert files_of(lake, "GONE") == []
        wait_for(lambda: shelf.stat().st_mtime_ns != made)
        assert check(server) == before
    with serving_v1(lake.root) as server:
        assert check(server) == before
    shutil.rmtree(lake.ops / "cache" / "serve_v1")
    with serving_v1(lake.root) as server:
        assert check(server) == before
    assert run(lake, "restore")["exit_code"] == 0
    with serving_v1(lake.root) as server:
        assert check(server) == before


def rot(path: Path) -> bytes:
    """Change a file's bytes but not its size and time; return those it had."""
    state, data = path.stat(), path.read_bytes()
    path.write_bytes(bytes(byte ^ 0xFF for byte in data))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    return data


def restore(path: Path, data: bytes) -> None:
    """Bring a file back as `cp -p` does: with the time of change that it had."""
    state = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


@pytest.mark.slow
def test_a_file_restored_as_it_was_is_served_after_a_restart(tmp_path: Path) -> None:
    lake = fill(Lake(tmp_path / "lake"), ("AAA", "MSFT"))
    path = files_of(lake, "MSFT")[0]
    data = rot(path)
    shutil.rmtree(lake.ops / "cache")
    with serving_v1(lake.root) as server:
        server.wait_until_complete()
        assert server.get(ticker="AAA").json()["count"] == 3
        for terms in ({}, {"ticker": "MSFT"}, {"cik": "0000000002"}):
            assert server.get(**terms).status_code == 500
        assert str(path) in server.log
    restore(path, data)
    with serving_v1(lake.root) as server:
        server.wait_until_complete()
        assert server.get(ticker="MSFT").json()["count"] == 3
        assert server.get(limit=100).json()["count"] == 6


@pytest.mark.slow
def test_a_file_restored_as_it_was_is_served_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "RETRY_SECONDS", 2.0)
    lake = fill(Lake(tmp_path / "lake"), ("AAA", "MSFT"))
    path = files_of(lake, "MSFT")[0]
    data = rot(path)
    shutil.rmtree(lake.ops / "cache")
    served = Index(View(str(lake.root)))

    def is_read() -> bool:
        try:
            return len(served.records("MSFT", None)[0]) == 3
        except UnreadableError:
            return False

    try:
        served.start()
        assert served.wait_until_complete(60)
        assert len(served.records("AAA", None)[0]) == 3
        for cik in (None, "0000000002"):
            with pytest.raises(UnreadableError, match="MSFT"):
                served.records(None, cik)
        restore(path, data)
        wait_for(is_read)
        assert len(served.records(None, None)[0]) == 6
    finally:
        served.stop()


@pytest.mark.slow
def test_a_cut_off_file_fails_its_own_company_and_no_other(tmp_path: Path) -> None:
    lake = fill(Lake(tmp_path / "lake"), ("AAA", "MSFT"))
    path = files_of(lake, "MSFT")[0]
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with serving_v1(lake.root) as server:
        server.wait_until_complete(30)
        assert server.get(ticker="AAA").json()["count"] == 3
        assert server.get(cik="0000000001").json()["count"] == 3
        for terms in ({}, {"ticker": "MSFT"}, {"cik": "0000000002"}):
            assert server.get(**terms).status_code == 500
        (whole := path.with_suffix(".whole")).write_bytes(data)
        whole.replace(path)
        wait_for(lambda: server.get(limit=100).status_code == 200)
        assert server.get(limit=100).json()["count"] == 6


@pytest.mark.slow
def test_unreadable_archived_records_are_told_in_one_line(tmp_path: Path) -> None:
    lake = load_gone(fill(Lake(tmp_path / "lake"), ("AAA",)))
    for switch in ("cutover", "cleanup"):
        assert run(lake, switch, checks=())["exit_code"] == 0
    path = lake.ops / "kept" / f"v1.{Statement.CASH_FLOW}.parquet"
    path.write_bytes(path.read_bytes()[:-8])
    with (
        pytest.raises(AssertionError, match=f"{path} cannot be read .* bring v1 back with"),
        serving_v1(lake.root),
    ):
        pass


@pytest.mark.slow
def test_a_temporary_folder_of_shelves_is_removed(tmp_path: Path) -> None:
    lake = fill(Lake(tmp_path / "lake"), ("AAA",))
    (lake.ops / "cache" / "serve_v1").write_text("shelves cannot be written here")
    (folder := tmp_path / "temporary").mkdir()
    with serving_v1(lake.root, TMPDIR=str(folder)) as server:
        server.wait_until_complete()
        assert len(server.everything(limit=100)) == 3
        (shelves,) = folder.glob("serve-v1-*")
        assert [p.name for p in shelves.iterdir()] == ["ticker=AAA.shelf"]
    assert list(folder.glob("serve-v1-*")) == []


@pytest.mark.slow
def test_views_that_nobody_serves_any_more_are_removed(tmp_path: Path) -> None:
    lake = fill(Lake(tmp_path / "lake"), ("AAA",))
    views = lake.ops / "cache" / "serve_v1"
    long_ago = time.time() - (UNUSED_DAYS + 1) * 86_400
    for name in ("2025-06-30", "2025-07-31", "2025-08-31"):
        (views / name).mkdir(parents=True)
        (views / name / "ticker=AAA.shelf").write_bytes(b"")
    for name in ("2025-06-30", "2025-08-31"):
        os.utime(views / name, (long_ago, long_ago))
    with serving_v1(lake.root, "--as-of", "2025-08-31") as server:
        server.wait_until_complete()
        assert len(server.everything(limit=100)) == 2
        assert sorted(p.name for p in views.iterdir()) == ["2025-07-31", "2025-08-31"]
