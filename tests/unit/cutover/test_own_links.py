"""Folders of the lake on another disk: the user's own links are told from the pointer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.__main__ import main
from flows.lake_status import status_of
from polygon_fundamentals import silver
from polygon_fundamentals.cutover import journal as journals
from polygon_fundamentals.cutover.archiving import cleanup, plan_of_cleanup
from polygon_fundamentals.cutover.drill import drill
from polygon_fundamentals.cutover.rehearsal import make_copy
from polygon_fundamentals.cutover.retention import Retention
from polygon_fundamentals.cutover.verify import verify
from polygon_fundamentals.errors import LakeError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.layout import check_layout
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.parity.run import v1_tickers
from polygon_fundamentals.statements import Generation, Statement
from tests.cutover_world import (
    LATER,
    TODAY,
    at_later,
    context,
    fill,
    load_later,
    run,
    v1_folder,
)

REFUSED = "is a link to .*, which is not a folder of this lake"


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.parquet")}


def away(lake: Lake, name: str, to: Path) -> Path:
    """Move a folder of bronze to another disk, and leave a link of the user's in its place."""
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(lake.bronze / name, to)
    (lake.bronze / name).symlink_to(to)
    return to


@pytest.fixture
def disk(lake: Lake, tmp_path: Path) -> Path:
    """v1's folder on another disk, as a tool or user left it before this project came."""
    fill(lake)
    for statement in Statement:
        shutil.rmtree(lake.dataset(Generation.V1, statement).index_folder)
    return away(lake, "fundamentals", tmp_path / "other disk" / "fundamentals")


def commands(lake: Lake) -> list[str]:
    with pytest.raises(LakeError, match=REFUSED) as error:
        check_layout(lake)
    assert "\n" not in str(error.value)
    return re.findall("`([^`]+)`", str(error.value))


def follow(command: str) -> None:
    subprocess.run(command, shell=True, check=True)


def test_no_command_takes_a_link_of_the_users_own_for_the_pointer(lake: Lake, disk: Path) -> None:
    before = files(disk)
    for use in (
        status_of,
        silver.build,
        v1_tickers,
        lambda given: drill(given, context(given), TODAY),
        lambda given: run(given, "cutover", checks=()),
        lambda given: run(given, "rollback", checks=()),
        lambda given: run(given, "cleanup", checks=()),
        verify,
        load_later,
    ):
        with pytest.raises(LakeError, match=REFUSED):
            use(lake)
    assert files(disk) == files(lake.pointer) == before
    assert not v1_folder(lake).exists()


@pytest.mark.parametrize("command", ["inspect", "serve-v1 --port 0", "fundamentals AAA"])
def test_readers_say_it_in_one_line(
    lake: Lake, disk: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command.split(), "--lake", str(lake.root)]) == 4
    printed = capsys.readouterr()
    assert printed.out == ""
    assert re.fullmatch(f"error: {lake.pointer} {REFUSED}.*\n", printed.err)


@pytest.mark.parametrize("relative", [False, True])
def test_the_commands_of_the_message_lead_to_a_lake_that_works(
    lake: Lake, disk: Path, relative: bool
) -> None:
    if relative:
        lake.pointer.unlink()
        lake.pointer.symlink_to(os.path.relpath(disk, lake.bronze))
    [command] = commands(lake)
    before = files(disk)
    assert len(before) == 18
    follow(command)
    assert files(lake.pointer) == files(disk) == before
    assert v1_tickers(lake) == ["AAA", "BBB"]
    load_later(lake)
    loaded = files(disk)
    assert len(loaded) == 21
    assert drill(lake, context(lake, checks=()), TODAY).passed is True
    for _ in range(2):
        assert run(lake, "cutover", checks=())["exit_code"] == 0
        assert (lake.primary, files(disk)) == (Generation.V2, loaded)
        assert run(lake, "rollback", checks=())["exit_code"] == 0
        assert files(lake.pointer) == files(disk) == loaded
    assert status_of(lake)[1]


def test_other_data_on_the_other_disk_stays_at_its_path(lake: Lake, disk: Path) -> None:
    (disk / "prices").mkdir()
    (disk / "prices" / "AAA.csv").write_text("1")
    follow(*commands(lake))
    assert run(lake, "cutover", checks=())["exit_code"] == 0
    (lake.pointer / "notes.txt").write_text("written to v2's folder since")
    for operation in ("rollback", "cutover", "rollback"):
        assert run(lake, operation, checks=())["exit_code"] == 0
        assert (lake.pointer / "prices" / "AAA.csv").read_text() == "1"
        assert (lake.pointer / "notes.txt").read_text() == "written to v2's folder since"
        assert drill(lake, context(lake, checks=()), TODAY).passed is True


def test_v2_on_another_disk_shows_what_is_beside_v1(lake: Lake, tmp_path: Path) -> None:
    away(fill(lake), "fundamentals_v2", tmp_path / "disk" / "v2")
    (lake.pointer / "prices.csv").write_text("1")
    assert drill(lake, context(lake, checks=()), TODAY).passed is True
    for operation in ("cutover", "rollback", "cutover"):
        assert run(lake, operation, checks=())["exit_code"] == 0
        assert (lake.pointer / "prices.csv").read_text() == "1"


def test_a_cleanup_is_refused_before_it_archives_anything_of_another_disk(
    lake: Lake, disk: Path
) -> None:
    follow(*commands(lake))
    before = files(disk)
    assert run(lake, "cutover", checks=())["exit_code"] == 0
    for clean in (
        lambda: run(lake, "cleanup", checks=()),
        lambda: plan_of_cleanup(lake, Retention(), at_later(LATER)()),
    ):
        with pytest.raises(LakeError, match=f"is a link to {disk}, and a cleanup") as error:
            clean()
    assert not (lake.root / "archive").exists()
    assert journals.unfinished(lake, journals.CLEANUP) is None
    retention = Retention(data_days=int(LATER) + 1)
    assert cleanup(lake, context(lake, clock=at_later(LATER)), retention).exit_code == 0
    [move] = re.findall("`([^`]+)`", str(error.value))
    follow(move)
    assert files(v1_folder(lake)) == before
    assert not disk.exists()
    for operation in ("cleanup", "restore", "rollback"):
        assert run(lake, operation, checks=())["exit_code"] == 0, operation
    assert files(lake.pointer) == before


def test_a_drill_sees_what_changes_on_the_other_disk(lake: Lake, disk: Path) -> None:
    follow(*commands(lake))
    path = next(disk.rglob("*.parquet"))

    def meddle(name: str) -> None:
        if name == "link replaced":
            path.write_bytes(path.read_bytes() + b" ")

    report = drill(lake, context(lake, checks=(), on_reached=meddle), TODAY)
    assert (report.passed, report.untouched) == (False, False)


def test_a_load_of_an_earlier_version_beside_the_link_is_joined(
    lake: Lake, disk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lake.pointer.rename(lake.bronze / "aside")
    made = v1_folder(lake)
    made.mkdir()
    lake.pointer.symlink_to(made.name)
    load_later(lake)  # as an earlier version stored it, in a folder that no reader opened
    lake.pointer.unlink()
    (lake.bronze / "aside").rename(lake.pointer)
    own, joining = commands(lake)
    assert own == f"ln -sfn {made.name} {lake.pointer}"
    *first, imports = joining.split(" && ")
    follow(" && ".join(first))
    monkeypatch.setenv("QUANTLAKE_ROOT", str(lake.root))
    assert main(imports.split()[1:]) == 0, capsys.readouterr().err
    assert len(files(lake.pointer)) == len(files(disk)) == 21
    rows = read_dataset(lake.dataset(Generation.V1, Statement.CASH_FLOW))
    assert rows.num_rows == 7


def test_a_lake_that_was_moved_or_copied_is_led_to_its_own_folder(
    lake: Lake, tmp_path: Path
) -> None:
    assert run(fill(lake), "cutover", checks=())["exit_code"] == 0
    lake.pointer.unlink()
    lake.pointer.symlink_to(lake.bronze / "fundamentals_v2")
    check_layout(lake)
    assert lake.primary is Generation.V2
    copy = Lake(tmp_path / "copy")
    shutil.copytree(lake.root, copy.root, symlinks=True)
    for _ in range(2):  # beside the old lake, and after it has gone
        [command] = commands(copy)
        assert command == f"ln -sfn fundamentals_v2 {copy.pointer}"
        shutil.rmtree(lake.root, ignore_errors=True)
    follow(command)
    assert os.readlink(copy.pointer) == "fundamentals_v2"
    assert run(copy, "rollback", checks=())["exit_code"] == 0


@pytest.mark.parametrize("as_rehearsed", [False, True])
def test_a_copy_of_a_lake_with_a_disk_of_its_own(
    lake: Lake, disk: Path, tmp_path: Path, as_rehearsed: bool
) -> None:
    if not as_rehearsed:
        follow(*commands(lake))
    make_copy(lake, tmp_path / "copy")
    copy = Lake(tmp_path / "copy")
    assert copy.generation_folder(Generation.V1).resolve().is_relative_to(copy.root)
    assert files(copy.pointer) == files(disk)
    check_layout(copy)


def test_a_disk_that_is_not_mounted_is_to_be_mounted(lake: Lake, disk: Path) -> None:
    disk.rename(disk.with_name("unmounted"))
    with pytest.raises(LakeError, match=f"{REFUSED}, and is not there; mount it, then run again"):
        check_layout(lake)
    disk.with_name("unmounted").rename(disk)
    follow(*commands(lake))
    disk.rename(disk.with_name("unmounted"))
    with pytest.raises(LakeError, match=f"which is not there; mount {disk}, to which it is a link"):
        check_layout(lake)


def test_a_pointer_that_was_deleted_leaves_v1_on_its_disk(lake: Lake, disk: Path) -> None:
    follow(*commands(lake))
    lake.pointer.unlink()
    assert lake.generation_folder(Generation.V1) == v1_folder(lake)
    with pytest.raises(LakeError, match="is not there; make it again"):
        _ = lake.primary
    lake.pointer.mkdir()
    with pytest.raises(LakeError, match="are both folders"):
        check_layout(lake)
    assert v1_folder(lake).is_symlink()


def as_absolute(lake: Lake, name: str) -> None:
    lake.pointer.symlink_to(lake.bronze / name)


def by_another_path(lake: Lake, name: str) -> None:
    (lake.root.parent / "alias").symlink_to(lake.root)
    lake.pointer.symlink_to(lake.root.parent / "alias" / "bronze" / name)


def in_a_roundabout_way(lake: Lake, name: str) -> None:
    lake.pointer.symlink_to(f"../bronze/./{name}/")


def in_a_linked_bronze(lake: Lake, name: str) -> None:
    elsewhere = lake.root.parent / "disk" / "bronze"
    elsewhere.parent.mkdir()
    lake.bronze.rename(elsewhere)
    lake.bronze.symlink_to(elsewhere)
    lake.pointer.symlink_to(f"../bronze/{name}")


@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize("name", ["fundamentals_v1_archive", "fundamentals_v2"])
@pytest.mark.parametrize(
    "make", [as_absolute, by_another_path, in_a_roundabout_way, in_a_linked_bronze]
)
def test_a_link_into_the_lake_itself_is_the_pointer(
    lake: Lake, make: Callable[[Lake, str], None], name: str, is_there: bool
) -> None:
    lake.bronze.mkdir(parents=True, exist_ok=True)
    if is_there:
        (lake.bronze / name).mkdir()
    make(lake, name)
    wanted = Generation.V2 if name == "fundamentals_v2" else Generation.V1
    assert lake.primary is wanted
