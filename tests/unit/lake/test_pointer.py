"""The pointer and the probe: what each refuses, and what a kill inside the switch leaves."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pyarrow as pa
import pytest

from polygon_fundamentals.datasets.flat import flat_schema
from polygon_fundamentals.errors import DamagedFileError, LakeError
from polygon_fundamentals.lake import Lake, archived_rows, pointer, probe
from polygon_fundamentals.lake.pointer import adopt, leads_to, opened, point_to, replace_link
from polygon_fundamentals.lake.probe import NoExchangeError
from polygon_fundamentals.statements import Generation, Statement


@pytest.fixture
def both(lake: Lake) -> Lake:
    """Two folders with one dataset each, and no more."""
    (lake.pointer / "balance_sheets").mkdir(parents=True)
    (lake.bronze / "fundamentals_v2" / "balance_sheets").mkdir(parents=True)
    return lake


def no_exchange(*_: object) -> None:
    raise NoExchangeError("no such call")


def refuses(*_: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted", "fundamentals")


def test_over_and_back(both: Lake) -> None:
    assert leads_to(both) is Generation.V1
    assert adopt(both) is True
    assert os.readlink(both.pointer) == "fundamentals_v1_archive"
    assert adopt(both) is False
    point_to(both, Generation.V2)
    assert leads_to(both) is Generation.V2
    point_to(both, Generation.V1)
    assert leads_to(both) is Generation.V1


def test_a_pointer_that_leads_nowhere_is_named(both: Lake) -> None:
    adopt(both)
    (both.bronze / "fundamentals_v1_archive").rename(both.bronze / "elsewhere")
    with pytest.raises(LakeError, match=r"which is not there; put it back \(.*restore"):
        leads_to(both)
    with pytest.raises(LakeError, match="fundamentals_v1_archive is not there, so"):
        point_to(both, Generation.V1)


def test_a_pointer_is_no_file(lake: Lake) -> None:
    assert leads_to(lake) is None
    assert adopt(lake) is False
    lake.pointer.write_text("v1")
    with pytest.raises(LakeError, match="is a file; move it away"):
        adopt(lake)


def test_a_folder_is_not_replaced_by_a_link(both: Lake) -> None:
    with pytest.raises(LakeError, match="is still a folder; it must be turned into a link first"):
        point_to(both, Generation.V2)


def test_without_exchange_there_is_a_gap_which_must_be_allowed(
    both: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "exchange", no_exchange)
    with pytest.raises(NoExchangeError):
        adopt(both)
    assert os.listdir(both.pointer) == ["balance_sheets"]
    assert not (both.bronze / "fundamentals_v1_archive").is_symlink()
    seen: list[str] = []
    assert adopt(both, allow_gap=True, on_reached=seen.append) is True
    assert seen == ["link made", "within the gap", "exchanged"]
    assert leads_to(both) is Generation.V1


def test_a_kill_within_the_gap_is_mended(both: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "exchange", no_exchange)

    def kill(name: str) -> None:
        if name == "within the gap":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        adopt(both, allow_gap=True, on_reached=kill)
    assert not both.pointer.exists()
    assert adopt(both) is True
    assert leads_to(both) is Generation.V1


def test_a_link_left_beside_is_taken_up_or_away(both: Lake) -> None:
    archive = both.bronze / "fundamentals_v1_archive"
    archive.symlink_to("fundamentals_v1_archive")  # killed after it was made
    assert adopt(both) is True
    both.pointer.unlink()
    archive.rename(both.bronze / "away")
    archive.symlink_to("fundamentals_v1_archive")
    assert adopt(both) is False
    assert not archive.is_symlink()


def test_an_exchange_that_is_refused_leaves_no_link(
    both: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "exchange", refuses)
    with pytest.raises(OSError, match="Operation not permitted"):
        adopt(both)
    assert not (both.bronze / "fundamentals_v1_archive").is_symlink()
    assert leads_to(both) is Generation.V1


def test_exchange_tells_what_the_system_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OSError, match="No such file") as told:
        probe.exchange(tmp_path / "a", tmp_path / "b")
    assert told.value.errno == errno.ENOENT
    monkeypatch.setattr(probe.ctypes, "CDLL", lambda *_, **__: object())
    with pytest.raises(NoExchangeError, match=r"this system has no renameat2\); move the lake"):
        probe.exchange(tmp_path / "a", tmp_path / "b")
    monkeypatch.setattr(probe.sys, "platform", "darwin")
    with pytest.raises(NoExchangeError, match="this system has no renamex_np"):
        probe.exchange(tmp_path / "a", tmp_path / "b")


def test_the_probe_tells_what_was_tried_and_leaves_nothing(
    both: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(os.listdir(both.bronze))
    assert probe.probe(both).sentence() == (
        "swaps names in one call, hard links, distinguishes upper and lower case"
    )
    monkeypatch.setattr(probe, "exchange", no_exchange)
    monkeypatch.setattr(probe.os, "link", refuses)
    monkeypatch.setattr(probe.Path, "exists", lambda self: self.name == "case")
    found = probe.probe(both)
    monkeypatch.undo()
    assert found.sentence() == (
        "cannot swap names in one call, no hard links, does not distinguish upper and lower case"
    )
    assert sorted(os.listdir(both.bronze)) == before


def test_rename_and_lock_must_work(both: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(probe.os, "replace", lambda *_: None)
        with pytest.raises(LakeError, match="does not rename atomically"):
            probe.probe(both)
    monkeypatch.setattr(probe.fcntl, "flock", lambda *_: None)
    with pytest.raises(LakeError, match="does not support locks"):
        probe.probe(both)


def test_where_the_system_does_not_tell_its_mounts(
    both: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_there(*_: object, **__: object) -> str:
        raise FileNotFoundError(errno.ENOENT, "No such file", "/proc/self/mountinfo")

    monkeypatch.setattr(probe.Path, "read_text", not_there)
    probe.refuse_mounts(both)
    monkeypatch.setattr(probe.os.path, "ismount", lambda path: path == both.pointer)
    with pytest.raises(probe.UsageError, match="is a mount point and cannot be renamed"):
        probe.refuse_mounts(both)


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EIO])
def test_a_folder_that_cannot_be_flushed(
    both: Lake, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fsync(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(pointer.os, "fsync", fsync)
    link = both.bronze / "link"
    if code == errno.EINVAL:  # a file system that has no such call
        replace_link(link, "fundamentals_v2")
        assert os.readlink(link) == "fundamentals_v2"
    else:
        with pytest.raises(OSError, match="Input/output error"):
            replace_link(link, "fundamentals_v2")


def test_opened_holds_the_folder_through_a_switch(
    both: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(both) as folder:
        adopt(both)
        point_to(both, Generation.V2)
        assert os.path.samefile(folder, both.bronze / "fundamentals_v1_archive")
    monkeypatch.setattr(pointer.Path, "exists", lambda _: False)  # a system without /proc
    with opened(both) as folder:
        assert folder == (both.bronze / "fundamentals_v2").resolve()


def test_opened_says_what_is_not_there(lake: Lake) -> None:
    with pytest.raises(LakeError, match="is not there; load something first"), opened(lake):
        pass


def test_kept_records_count_until_a_restore_removes_them(lake: Lake) -> None:
    dataset = lake.dataset(Generation.V1, Statement.BALANCE_SHEETS)
    wanted = flat_schema(dataset.generation, dataset.statement)
    table = pa.Table.from_pylist([{"ticker": "AAA"}, {"ticker": "BBB"}], schema=wanted)
    assert archived_rows.read_archived(dataset) is None
    assert archived_rows.write_archived(dataset, table) == 2
    assert archived_rows.read_archived(dataset) == table
    assert archived_rows.read_archived(dataset, []).num_rows == 0  # type: ignore[union-attr]
    # A record that something wrote to v1 since makes the folder, and hides nothing.
    dataset.folder.mkdir(parents=True)
    assert archived_rows.read_archived(dataset) == table
    path = archived_rows.archived_file(dataset)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(
        DamagedFileError, match=rf"{path} cannot be read .*; bring v1 back with .*restore"
    ):
        archived_rows.read_archived(dataset)
    path.unlink()
    assert archived_rows.read_archived(dataset) is None
