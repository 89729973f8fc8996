"""What damages a lake between a cutover and a restore: each is named before anything is lost."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import orjson
import pytest

from polygon_fundamentals.cutover import checksums
from polygon_fundamentals.cutover import journal as journals
from polygon_fundamentals.cutover.archiving import plan_of_cleanup, plan_of_restore, restore
from polygon_fundamentals.cutover.checklist import Checklist
from polygon_fundamentals.cutover.drill import drill
from polygon_fundamentals.cutover.operations import plan_of_cutover
from polygon_fundamentals.cutover.retention import Retention
from polygon_fundamentals.errors import DamagedFileError, LakeError, UsageError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.pointer import leads_to
from polygon_fundamentals.statements import Generation, Statement
from tests.builders.damage import flip_a_bit
from tests.cutover_world import (
    LATER,
    QUICK,
    TODAY,
    at_later,
    context,
    fill,
    load_later,
    run,
    state,
    v1_folder,
)


def test_a_flipped_bit_is_found_by_the_recorded_checksums(lake: Lake) -> None:
    fill(lake)
    checksums.record(lake)
    assert run(lake, "cutover", checks=())["exit_code"] == 0
    victim = next(v1_folder(lake).rglob("*.parquet"))
    flip_a_bit(victim)
    known = checksums.recorded(lake)
    assert known is not None
    assert checksums.changed_since(lake, known) == [str(victim.relative_to(v1_folder(lake)))]
    report = run(lake, "cleanup", checks=())
    assert (report["exit_code"], report["state"]) == (4, "undone")
    assert "1 files of v1 are not what the recorded checksums say" in report["message"]
    assert victim.exists()


def test_recorded_checksums_of_another_form_are_damage(switched: Lake) -> None:
    (journals.folder(switched) / "v1_checksums.json").write_text('{"a": [1, "2"]}')
    with pytest.raises(DamagedFileError, match=r"v1_checksums.json holds no checksums .* record"):
        checksums.recorded(switched)


def link_to_outside(folder: Path, tmp_path: Path) -> str:
    year = next(folder.glob("balance_sheets/year=*"))
    year.rename(tmp_path / "elsewhere")
    year.symlink_to(tmp_path / "elsewhere")
    return f"balance_sheets/{year.name} is a link to .*elsewhere, outside of v1's folder"


def climb_out(folder: Path, _: Path) -> str:
    (folder / "cash_flow" / "up").symlink_to("../../fundamentals_v2")
    return "cash_flow/up is a link to ../../fundamentals_v2, outside of v1's folder"


def leave_a_pipe(folder: Path, _: Path) -> str:
    os.mkfifo(folder / "cash_flow" / "pipe")
    return "pipe is neither file nor link; remove it"


def name_no_text(folder: Path, _: Path) -> str:
    Path(os.fsdecode(os.fsencode(folder) + b"/cash_flow/a\xff.parquet")).touch()
    return r"a\\xff.parquet has a name that is not UTF-8; rename it"


@pytest.mark.parametrize("damage", [link_to_outside, climb_out, leave_a_pipe, name_no_text])
def test_what_an_archive_cannot_give_back_is_refused_by_name(
    switched: Lake, tmp_path: Path, damage: object
) -> None:
    words = damage(v1_folder(switched), tmp_path)  # type: ignore[operator]
    before = checksums.checksums(switched.bronze)
    with pytest.raises(LakeError, match=words):
        plan_of_cleanup(switched, Retention(), at_later(LATER)())
    with pytest.raises(LakeError, match=words):
        run(switched, "cleanup", checks=())
    assert checksums.checksums(switched.bronze) == before
    assert not (switched.root / "archive").exists()


def test_a_restore_that_would_fail_stops_the_cleanup(
    switched: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    from polygon_fundamentals.cutover import archive_file

    # The disk takes the archive, and gives back something else than was written.
    real = archive_file.extract

    def spoiled(tar: Path, manifest: archive_file.Manifest, folder: Path) -> None:
        real(tar, manifest, folder)
        found = {name: "0" * 64 for name in manifest["files"]}
        archive_file.refuse_differences(found, manifest, str(folder))

    monkeypatch.setattr(archive_file, "extract", spoiled)
    before = state(switched)["v1"]
    report = run(switched, "cleanup", checks=())
    assert (report["exit_code"], report["state"]) == (4, "undone")
    assert report["message"].startswith("read back: ")
    assert state(switched)["v1"] == before
    assert [name for name in os.listdir(switched.bronze) if "restoring" in name] == []


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("folders", "../../../outside", [0o777, 0]),
        ("folders", "/tmp/outside-of-the-lake", [0o777, 0]),
        ("files", "../outside", {"size": 0, "mtime_ns": 0, "mode": 0o777, "sha256": "0"}),
        ("links", "cash_flow/out", "../../outside"),
    ],
)
def test_a_manifest_cannot_lead_out_of_the_lake(
    switched: Lake, part: str, name: str, value: object
) -> None:
    assert run(switched, "cleanup", checks=())["exit_code"] == 0
    (path,) = (switched.root / "archive").glob("*.manifest.json")
    manifest = orjson.loads(path.read_bytes())
    manifest[part][name] = value
    path.write_bytes(orjson.dumps(manifest))
    before = sorted(p for p in switched.root.parent.rglob("*"))
    for call in (plan_of_restore, lambda lake: restore(lake, context(lake))):
        with pytest.raises(DamagedFileError, match="leads out of v1's folder, so nothing is wr"):
            call(switched)
    assert sorted(p for p in switched.root.parent.rglob("*")) == before
    manifest[part][name] = 0
    path.write_bytes(orjson.dumps(manifest))
    with pytest.raises(DamagedFileError, match=r"is not a readable manifest; .* \(Expected `"):
        plan_of_restore(switched)


def test_an_archive_is_named_not_pathed(switched: Lake) -> None:
    assert run(switched, "cleanup", checks=())["exit_code"] == 0
    with pytest.raises(UsageError, match=r"--archive \.\./x.tar.zst is not the name of a file in"):
        plan_of_restore(switched, "../x.tar.zst")


def lose(lake: Lake) -> str:
    lake.pointer.unlink()
    return r"fundamentals, the link that readers open, is not there; make it again: `ln -s fund"


def copy(lake: Lake) -> str:
    """Make of the link what `cp -rL` makes of it."""
    target = lake.pointer.resolve()
    lake.pointer.unlink()
    shutil.copytree(target, lake.pointer)
    return r"make the link again: `ln -s fundamentals_v2 "


@pytest.mark.parametrize("damage", [lose, copy])
@pytest.mark.parametrize("archived", [False, True])
def test_a_lost_pointer_is_told_with_its_remedy(
    switched: Lake, damage: object, archived: bool
) -> None:
    if archived:
        assert run(switched, "cleanup", checks=())["exit_code"] == 0
    words = damage(switched)  # type: ignore[operator]
    with pytest.raises(LakeError, match=words):
        _ = switched.primary
    for operation in ("cutover", "rollback", "cleanup", "restore"):
        with pytest.raises(LakeError, match=words):
            run(switched, operation, checks=())
    with pytest.raises(LakeError, match=words):
        plan_of_cutover(switched, Checklist(), context(switched), QUICK)
    with pytest.raises(LakeError, match=words):
        drill(switched, context(switched, checks=()), TODAY)
    shutil.rmtree(switched.pointer, ignore_errors=True)
    switched.pointer.symlink_to("fundamentals_v2")
    assert run(switched, "cutover", checks=())["message"].endswith("already; nothing to do")


def test_a_load_of_v1_finds_its_folder_though_the_pointer_is_gone(switched: Lake) -> None:
    switched.pointer.unlink()
    load_later(switched)
    assert not switched.pointer.exists()
    dataset = switched.dataset(Generation.V1, Statement.CASH_FLOW)
    assert len([ticker for _, ticker, _ in dataset.files() if ticker == "AAA"]) == 4


def test_an_open_journal_without_facts_moves_nothing(switched: Lake) -> None:
    journal = journals.Journal.begin(switched, "cutover", {})
    journal.step_begins("move pointer")
    report = run(switched, "cutover", checks=())
    assert (report["exit_code"], report["state"]) == (4, "open")
    assert "does not say where" in report["message"]
    assert "move that journal away" in report["message"]
    assert leads_to(switched) is Generation.V2
    assert switched.pointer.is_symlink()


@pytest.mark.parametrize(
    ("name", "value"),
    [("facts", {"data": "yes"}), ("steps", [{"name": 1}]), ("started", "yesterday")],
)
def test_a_journal_of_another_form_is_damage(switched: Lake, name: str, value: object) -> None:
    (journal,) = journals.journals(switched)
    entry = orjson.loads(journal.path.read_bytes())
    journal.path.write_bytes(orjson.dumps({**entry, name: value}))
    with pytest.raises(DamagedFileError, match=r"is not a readable journal .* move the file away"):
        journals.journals(switched)
