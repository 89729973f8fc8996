"""A lake that lacks a folder, or whose pointer is a copy: no command takes it for whole."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from flows.__main__ import main
from flows.lake_status import status_of
from flows.runs import recorded_run
from polygon_fundamentals import silver
from polygon_fundamentals.cutover.archive_steps import Cleanup
from polygon_fundamentals.cutover.verify import verify
from polygon_fundamentals.errors import LakeError, UsageError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.layout import check_layout
from polygon_fundamentals.settings import existing_lake_root
from polygon_fundamentals.statements import Generation, Statement
from polygon_fundamentals.v1_view.lake_files import LakeFiles
from tests.builders.ledger import entry
from tests.cutover_world import fill, load_later, run, v1_folder


def files(lake: Lake) -> list[tuple[Path, int]]:
    return sorted((path, path.stat().st_mtime_ns) for path in lake.root.rglob("*.*"))


def load_of_v2(lake: Lake) -> None:
    with recorded_run("daily-update", lake, {"generation": "v2"}, writes=[Generation.V2]):
        pass


def test_a_copy_of_v2_is_not_taken_for_v1(switched: Lake) -> None:
    v2 = (switched.bronze / "fundamentals_v2").resolve()
    switched.pointer.unlink()
    shutil.copytree(v2, switched.pointer)
    before = files(switched)
    with pytest.raises(LakeError, match="are both folders"):
        load_of_v2(switched)
    assert files(switched) == before
    assert switched.generation_folder(Generation.V1) == v1_folder(switched)


def test_a_load_does_not_stand_in_for_a_folder_that_is_gone(switched: Lake) -> None:
    (switched.bronze / "fundamentals_v2").rename(switched.root / "unmounted")
    for use in (load_of_v2, status_of):
        with pytest.raises(LakeError, match=r"leads to fundamentals_v2, .* mount it"):
            use(switched)
    assert verify(switched).exit_code == 4


@pytest.mark.parametrize("name", ["fundamentals", "fundamentals_v2"])
@pytest.mark.parametrize("as_mount_point", [False, True])
def test_the_folder_of_either_generation_is_missed(
    lake: Lake, name: str, as_mount_point: bool
) -> None:
    folder = fill(lake).bronze / name
    folder.rename(lake.root / "unmounted")
    if as_mount_point:
        folder.mkdir()
    for use in (load_of_v2, status_of):
        with pytest.raises(LakeError, match=f"^{folder}/balance_sheets, .* are not there"):
            use(lake)


@pytest.mark.parametrize("folder_is_there", [False, True])
@pytest.mark.parametrize("v1_is_there", [False, True])
def test_one_message_says_how_to_load_a_lost_v2_anew(
    switched: Lake, folder_is_there: bool, v1_is_there: bool
) -> None:
    v2 = switched.bronze / "fundamentals_v2"
    if not v1_is_there:
        assert run(switched, "cleanup", checks=())["exit_code"] == 0
    shutil.rmtree(v2)
    if folder_is_there:
        v2.mkdir()
    with pytest.raises(LakeError) as error:
        load_of_v2(switched)
    *before, load = re.findall("`([^`]+)`", str(error.value).partition("If no backup")[2])[:-1]
    assert load == "polygon-fundamentals historical-load --generation v2 --universe active"
    assert len(before) == (1 if folder_is_there else 2)
    for command in before:
        subprocess.run(command, shell=True, check=True)
    load_of_v2(switched)
    assert sum(1 for s in Statement for _ in switched.dataset(Generation.V1, s).files()) == (
        18 * v1_is_there
    )


def test_folders_that_are_lost_together_are_named_together(lake: Lake) -> None:
    shutil.rmtree(fill(lake).bronze)
    lake.bronze.mkdir()
    with pytest.raises(LakeError) as error:
        check_layout(lake)
    words = str(error.value)
    assert words.count("/bronze/") == words.count("/ops/index/") == 6
    assert "--generation v1" in words
    assert "--generation v2" in words


def test_no_cleanup_while_v2_is_an_empty_mount_point(switched: Lake) -> None:
    v2 = switched.bronze / "fundamentals_v2"
    (v1_folder(switched) / "prices").mkdir()
    v2.rename(switched.root / "unmounted")
    v2.mkdir()
    before = files(switched)
    with pytest.raises(LakeError, match=f"^{v2}/balance_sheets, .* are not there, although"):
        run(switched, "cleanup", checks=())
    assert (files(switched), list(v2.iterdir())) == (before, [])
    v2.rmdir()
    (switched.root / "unmounted").rename(v2)

    def refuse_removal(moment: str) -> None:
        assert moment != "archive proven"

    def lose_v2(*_: object) -> str:
        shutil.rmtree(v2 / "cash_flow")
        return "kept"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Cleanup, "keep", lose_v2)
        result = run(switched, "cleanup", checks=(), on_reached=refuse_removal)
    assert (result["exit_code"], v1_folder(switched).is_dir()) == (4, True)
    assert f"{v2}/cash_flow is not there" in result["message"]


def test_what_is_rightly_not_there_is_not_missed(lake: Lake, tmp_path: Path) -> None:
    check_layout(lake)
    one = Lake(tmp_path / "v1 alone")
    shutil.rmtree(fill(one).bronze / "fundamentals_v2")
    shutil.rmtree(one.ops / "index")
    check_layout(one)
    assert run(fill(lake), "cutover", checks=())["exit_code"] == 0
    check_layout(lake)
    assert run(lake, "cleanup", checks=())["exit_code"] == 0
    check_layout(lake)
    load_of_v2(lake)


def test_an_empty_mount_point_is_no_lake(tmp_path: Path, lake: Lake) -> None:
    with pytest.raises(UsageError, match="there is no lake at"):
        existing_lake_root(tmp_path / "lake" / "empty")
    assert verify(lake).message == "there is no file to verify"
    entry(lake, "verify-1", flow="verify", outcome="succeeded", ok=True, files=0)
    assert [row.name for row in status_of(lake)[1] if row.name == "verify"] == []


def test_silver_that_leads_to_a_build_that_is_gone_is_told(lake: Lake) -> None:
    made = silver.build(fill(lake))
    entry(lake, "silver-1", flow="silver", outcome="succeeded", parameters={"as_of": None})
    shutil.rmtree(made.path)
    row = next(row for row in status_of(lake)[1] if row.name == "silver")
    assert (row.ok, row.remedy) == (False, "run `silver`")
    assert f"{made.id}, the build that readers are led to, is not there" in row.reason
    report = verify(lake)
    assert report.exit_code == 4
    assert report.problems[0].reason == "is missing, and silver/fundamentals_wide leads to it"
    assert silver.build(lake).rows == made.rows


@pytest.mark.parametrize("name", ["fundamentals", "fundamentals_v2"])
def test_serve_v1_does_not_start_without_a_generation(
    lake: Lake, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fill(lake).bronze / name
    folder.rename(lake.root / "unmounted")
    folder.mkdir()
    assert main(["serve-v1", "--lake", str(lake.root), "--port", "0"]) == 4
    assert f"{folder}/balance_sheets is not there any more; mount it" in capsys.readouterr().err


def test_serve_v1_keeps_what_it_saw_while_the_lake_is_away(lake: Lake) -> None:
    seen = LakeFiles(fill(lake))
    seen.look()
    lake.bronze.rename(lake.root / "unmounted")
    with pytest.raises(LakeError, match="is not there any more; mount it"):
        seen.look()
    assert set(seen.tickers) == {"AAA", "BBB"}
    (lake.root / "unmounted").rename(lake.bronze)
    load_later(lake)
    assert "AAA" in seen.look()
    assert run(lake, "cutover", checks=())["exit_code"] == 0
    assert run(lake, "cleanup", checks=())["exit_code"] == 0
    seen.look()
    assert lake.dataset(Generation.V1, Statement.CASH_FLOW).folder.exists() is False
