"""Cleanup and restore: each refusal, and what is put back when a step fails half-way."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGKILL

import orjson
import pytest

from polygon_fundamentals.cutover import archive_file, archive_steps
from polygon_fundamentals.cutover import journal as journals
from polygon_fundamentals.cutover.archiving import (
    cleanup,
    newest_archive,
    plan_of_cleanup,
    plan_of_restore,
    restore,
)
from polygon_fundamentals.cutover.checksums import checksums
from polygon_fundamentals.cutover.originals import give_back
from polygon_fundamentals.cutover.retention import Retention
from polygon_fundamentals.errors import AnswerIsNo, DamagedFileError, LakeError, UsageError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.recovery import clear_leftovers
from tests.cutover_world import LATER, FakeSchedules, at_later, context, run, state, v1_folder


def files_in(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.glob("*")) if folder.is_dir() else []


def test_scripts_and_cron_lines_go_into_the_archive(switched: Lake, tmp_path: Path) -> None:
    script = tmp_path / "download_v1.py"
    script.write_text("print('v1')\n")
    cron = ("0 5 * * 1-5 python download_v1.py",)
    found = cleanup(
        switched,
        context(switched, clock=at_later(LATER)),
        Retention(scripts=(script,), cron=cron),
    )
    assert found.exit_code == 0
    (tar,) = (switched.root / "archive").glob("*.tar.zst")
    listed = subprocess.run(
        ["tar", "--zstd", "-xOf", str(tar), "scripts/000-download_v1.py", "cron_lines.txt"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert listed == "print('v1')\n0 5 * * 1-5 python download_v1.py\n"
    manifest = archive_file.load_manifest(tar.with_name(str(found.archive)[:-8] + ".manifest.json"))
    assert list(manifest["scripts"]) == [str(script)]
    assert manifest["cron"] == list(cron)


def test_links_and_hard_links_come_back_as_they_were(switched: Lake) -> None:
    top = v1_folder(switched)
    folder = top / "balance_sheets"
    first = next(folder.rglob("*.parquet"))
    os.link(first, folder / "twin.parquet")
    (folder / "link").symlink_to("../cash_flow")
    (folder / "empty").mkdir(mode=0o750)
    before = checksums(top)
    assert before["balance_sheets/link"] == "-> ../cash_flow"
    assert run(switched, "cleanup", checks=())["exit_code"] == 0
    assert run(switched, "restore", checks=())["exit_code"] == 0
    assert checksums(top) == before
    assert (folder / "empty").stat().st_mode & 0o777 == 0o750


def refused(lake: Lake, kind: type[Exception], words: str, retention: Retention) -> None:
    before = checksums(lake.bronze)
    with pytest.raises(kind, match=words) as told:
        cleanup(lake, context(lake, clock=at_later(LATER)), retention)
    assert "\n" not in str(told.value)
    assert checksums(lake.bronze) == before
    assert [j.operation for j in journals.journals(lake)] in ([], ["cutover"])


def test_a_script_that_is_not_there_is_named(switched: Lake) -> None:
    gone = Retention(scripts=(Path("/nowhere/download.py"),))
    refused(switched, UsageError, "--script /nowhere/download.py is not a file", gone)


def test_an_archive_of_that_day_is_not_overwritten(switched: Lake) -> None:
    at = at_later(LATER)()
    name = f"fundamentals_v1_{at_later(LATER)():%Y%m%d}.tar.zst"
    other = switched.root / "archive"
    other.mkdir()
    for place in (name, f"fundamentals_v1_{at_later(LATER - 1)():%Y%m%d}.tar.zst"):
        (other / place).touch()  # the day in New York may be the one before
    refused(switched, LakeError, r"is there already; move it away", Retention())
    with pytest.raises(LakeError, match=r"is there already; move it away"):
        plan_of_cleanup(switched, Retention(), at)


def test_without_a_journal_the_days_cannot_be_counted(switched: Lake) -> None:
    for path in journals.folder(switched).glob("*.json"):
        path.unlink()
    refused(switched, LakeError, "no journal of a cutover, so its days cannot be", Retention())


class CutOff(BaseException):
    """The end of a process, as far as its journal goes."""


def test_scripts_and_cron_lines_are_kept_where_a_cleanup_was_cut_off(
    switched: Lake, tmp_path: Path
) -> None:
    def cut(name: str) -> None:
        if name == "after write archive":
            raise CutOff

    script = tmp_path / "old_job.py"
    script.write_text("print(1)")
    given = Retention(scripts=(script,), cron=("0 5 * * * old_job.py",))
    at = at_later(LATER)
    with pytest.raises(CutOff):
        cleanup(switched, context(switched, clock=at, on_reached=cut), given)
    others = Retention(cron=("0 6 * * * other.py",))
    words = r"began with \(.*old_job.py, 0 5 \* \* \* old_job.py\); run it without"
    with pytest.raises(UsageError, match=words):
        plan_of_cleanup(switched, others, at())
    with pytest.raises(UsageError, match=words):
        cleanup(switched, context(switched, clock=at), others)
    assert run(switched, "cleanup", checks=())["exit_code"] == 0
    (manifest,) = (switched.root / "archive").glob("*.manifest.json")
    found = archive_file.load_manifest(manifest)
    assert list(found["scripts"]) == [str(script)]
    assert found["cron"] == ["0 5 * * * old_job.py"]


def test_a_plan_says_what_would_be(switched: Lake) -> None:
    at = at_later(LATER)
    carried_out = "; --execute carries it out"
    planned = plan_of_cleanup(switched, Retention(), at())
    files = [path for path in v1_folder(switched).rglob("*") if path.is_file()]
    cash = [path for path in files if "cash_flow" in path.parts]
    size, part = (sum(p.stat().st_size for p in ps) / 1e6 for ps in (files, cash))
    words = f"would retire v1's deployments, archive and remove v1's data: {len(files)} files, "
    assert planned.startswith(f"{words}{size:.1f} MB (")
    assert f"cash_flow {len(cash)} in {part:.1f} MB" in planned
    assert planned.endswith(carried_out)
    assert plan_of_restore(switched) == (
        f"v1's folder is in {switched.bronze} already; nothing to do"
    )
    assert run(switched, "cleanup", checks=())["exit_code"] == 0
    words = "would retire v1's deployments" + carried_out
    assert plan_of_cleanup(switched, Retention(), at()) == words
    name = newest_archive(switched)
    assert plan_of_restore(switched) == f"would bring v1 back from {name}{carried_out}"
    count = len(journals.journals(switched))
    with pytest.raises(LakeError, match=r"archive/nosuch.tar.zst is not there; put the archive"):
        plan_of_restore(switched, "nosuch.tar.zst")
    with pytest.raises(LakeError, match=r"archive/nosuch.tar.zst is not there; put the archive"):
        restore(switched, context(switched), "nosuch.tar.zst")
    assert len(journals.journals(switched)) == count
    journals.Journal.begin(switched, "restore", {}, facts={"archive": name})
    assert plan_of_restore(switched).startswith("a restore was cut off; --execute continues")
    with pytest.raises(LakeError, match=r"a restore was cut off; run `.* restore --execute`"):
        plan_of_cleanup(switched, Retention(), at())


def test_a_rollback_that_was_cut_off_comes_first(switched: Lake) -> None:
    journals.Journal.begin(switched, "rollback", {})
    with pytest.raises(LakeError, match=r"a rollback was cut off; run `.* rollback --execute`"):
        run(switched, "cleanup", checks=())
    with pytest.raises(LakeError, match="a rollback was cut off"):
        run(switched, "restore", checks=())


def test_a_switch_waits_for_a_cleanup_that_was_cut_off(switched: Lake) -> None:
    journals.Journal.begin(switched, "cleanup", {}, facts={"archive": "x", "data": False})
    with pytest.raises(LakeError, match=r"a cleanup was cut off; run `.* cleanup --execute`"):
        run(switched, "rollback", checks=())


def meddle(lake: Lake, at: str, what: object) -> dict[str, object]:
    """Run cleanup, doing something at one of its points; return the report."""
    done: list[str] = []

    def point(name: str) -> None:
        if name == at and not done:
            done.append(name)
            what(lake)  # type: ignore[operator]

    return run(lake, "cleanup", checks=(), on_reached=point)


def touch(lake: Lake) -> None:
    next(v1_folder(lake).rglob("*.parquet")).touch()


def add(lake: Lake) -> None:
    (v1_folder(lake) / "cash_flow" / "new.parquet").write_bytes(b"new")


def point_back(lake: Lake) -> None:
    lake.pointer.unlink()
    lake.pointer.symlink_to("fundamentals_v1_archive")


def lose_manifest(lake: Lake) -> None:
    next((lake.root / "archive").glob("*.manifest.json")).write_text("{ damaged")


def lose_archive(lake: Lake) -> None:
    next((lake.root / "archive").glob("*.tar.zst")).unlink()


@pytest.mark.parametrize(
    ("at", "what", "code", "words"),
    [
        ("after keep records", touch, 4, "1 files of v1 changed while they were archived"),
        ("after keep records", add, 4, r"changed while they were archived (cash_flow/new.parquet)"),
        (
            "after take checksums",
            add,
            4,
            "1 files differ from the manifest (cash_flow/new.parquet)",
        ),
        ("after keep records", point_back, 1, "leads to v1; nothing was removed"),
        ("after take checksums", lose_manifest, 4, "is not a readable manifest; use another copy"),
        ("after write archive", lose_archive, 4, "is not there; put the archive back"),
    ],
    ids=lambda v: getattr(v, "__name__", None),
)
def test_what_happens_meanwhile_stops_it_and_nothing_is_removed(
    switched: Lake, at: str, what: object, code: int, words: str
) -> None:
    before = set(checksums(v1_folder(switched)))
    found = meddle(switched, at, what)
    assert (found["exit_code"], found["state"]) == (code, "undone")
    assert words in str(found["message"])
    assert str(found["message"]).endswith("(everything was put back)")
    assert before <= set(checksums(v1_folder(switched)))
    assert files_in(switched.root / "archive") == []
    assert files_in(switched.ops / "kept") == []


def test_removal_that_fails_half_way_is_put_back_from_the_archive(
    switched: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(switched)["v1"]
    real, calls = shutil.rmtree, list[str]()

    def half(path: Path, **other: object) -> None:
        calls.append(Path(path).name)
        if calls.count(".fundamentals_v1_removing") == 1 and calls[-1].endswith("_removing"):
            next(Path(path).rglob("*.parquet")).unlink()
            raise OSError(5, "Input/output error", str(path))
        real(path, **other)  # type: ignore[arg-type]

    monkeypatch.setattr(archive_steps.shutil, "rmtree", half)
    found = run(switched, "cleanup", checks=())
    assert (found["exit_code"], found["state"]) == (4, "undone")
    assert "Input/output error" in found["message"]
    assert state(switched)["v1"] == before


def test_what_cannot_be_put_back_is_told_and_done_by_the_next_call(
    switched: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(switched)["v1"]

    real = shutil.rmtree

    def never(path: Path, **other: object) -> None:
        if Path(path).name == ".fundamentals_v1_removing":
            raise OSError(30, "Read-only file system", str(path))
        real(path, **other)  # type: ignore[arg-type]

    with monkeypatch.context() as broken:
        broken.setattr(archive_steps.shutil, "rmtree", never)
        broken.setattr(archive_steps.os, "rename", _second_fails(os.rename))
        found = run(switched, "cleanup", checks=())
    assert (found["exit_code"], found["state"]) == (4, "open")
    assert "not put back yet: remove" in found["message"]
    found = run(switched, "cleanup", checks=())
    assert (found["exit_code"], found["state"]) == (1, "undone")
    assert found["message"].endswith("(everything was put back); run again")
    assert state(switched)["v1"] == before
    assert run(switched, "cleanup", checks=())["exit_code"] == 0


def _second_fails(real):  # type: ignore[no-untyped-def]
    calls: list[object] = []

    def rename(old: Path, new: Path) -> None:
        calls.append(old)
        if len(calls) == 2:
            raise OSError(30, "Read-only file system", str(old))
        real(old, new)

    return rename


def test_restore_says_what_it_lacks(switched: Lake, tmp_path: Path) -> None:
    assert "is in" in run(switched, "restore", checks=())["message"]
    run(switched, "cleanup", checks=())
    where = switched.root / "archive"
    (tar,) = where.glob("*.tar.zst")
    whole = tar.read_bytes()
    tar.write_bytes(whole[: len(whole) // 2])
    found = run(switched, "restore", checks=())
    assert (found["exit_code"], found["state"]) == (4, "undone")
    assert f"{tar} cannot be read" in found["message"]
    tar.unlink()
    with pytest.raises(LakeError, match="is not there; put the archive back"):
        run(switched, "restore", checks=())
    tar.write_bytes(whole)
    (where / "other.tar.zst").touch()
    with pytest.raises(LakeError, match=r"other.manifest.json is not there; put the manifest back"):
        restore(switched, context(switched), "other.tar.zst")
    manifest = next(where.glob("*.manifest.json"))
    content = orjson.loads(manifest.read_bytes())
    del content["files"][next(iter(content["files"]))]
    manifest.write_bytes(orjson.dumps(content))
    found = run(switched, "restore", checks=())
    assert "1 files differ from the manifest" in found["message"]
    assert not v1_folder(switched).exists()
    manifest.unlink()
    with pytest.raises(LakeError, match="holds no archive of v1; nothing to restore"):
        newest_archive(switched)


def test_an_extraction_that_differs_stops_short_of_the_lake(
    switched: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(switched, "cleanup", checks=())
    # The disk gives back something else than was written.
    monkeypatch.setattr(archive_file, "checksum", lambda _: "0" * 64)
    found = run(switched, "restore", checks=())
    assert (found["exit_code"], found["state"]) == (4, "undone")
    assert "18 files differ from the manifest" in found["message"]
    assert not v1_folder(switched).exists()
    assert [n for n in os.listdir(switched.bronze) if "restoring" in n] == []


def test_retired_schedules_are_named(switched: Lake) -> None:
    found = run(switched, "cleanup", checks=())
    step = next(s for s in found["steps"] if s["name"] == "retire deployments")
    assert step["detail"] == "retired daily/v1, daily/both"
    schedules = FakeSchedules(switched.root / "schedules.json")
    assert schedules.active() == {"v1": False, "v2": True, "both": False}


def test_a_cutover_of_the_future_has_not_aged(switched: Lake) -> None:
    early = context(switched, clock=lambda: datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(AnswerIsNo, match="v1's deployments are retired after 30 days"):
        cleanup(switched, early, Retention())


def test_what_a_killed_archive_left_is_removed_by_the_next_switch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(tmp_path / "lake")
    lake.prepare()
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "data").write_bytes(b"data")
    manifest = archive_file.describe(tmp_path / "v1", [], [])
    child = os.fork()
    if not child:
        monkeypatch.setattr(archive_file, "checksum", lambda _: os.kill(os.getpid(), SIGKILL))
        archive_file.write(tmp_path / "v1", manifest, lake.root / "archive" / "v1.tar.zst")
    os.waitpid(child, 0)
    (left,) = (lake.root / "archive").iterdir()
    assert left.name.startswith(".v1.tar.zst.")
    clear_leftovers(lake)
    assert list((lake.root / "archive").iterdir()) == []


def test_a_manifest_of_another_form_is_damage(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text('{"files": {}}')
    with pytest.raises(DamagedFileError, match="is not a readable manifest"):
        archive_file.load_manifest(tmp_path / "m.json")


ORIGINALS = {
    "v1.balance_sheets/year=2025/month=05/ticker=AAA.parquet": b"as it was",
    "v1.balance_sheets/year=2025/month=05/ticker=AAA.parquet.2": b"as it was later",
    "v1.cash_flow/year=2025/month=05/ticker=BBB.parquet": b"another",
}
# A file of the ratios is none of v1's.
RATIOS = "v2.ratios/year=2026/month=06/ticker=AAA.parquet"


def keep_originals(lake: Lake) -> None:
    for name, data in {**ORIGINALS, RATIOS: b"ratios"}.items():
        path = lake.ops / "adopted" / name
        path.parent.mkdir(parents=True) if not path.parent.is_dir() else None
        path.write_bytes(data)


def originals_of(lake: Lake) -> dict[str, bytes]:
    folder = lake.ops / "adopted"
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.parquet*")}


def test_originals_go_and_come_with_v1s_data(switched: Lake) -> None:
    keep_originals(switched)
    before = originals_of(switched)
    plan = plan_of_cleanup(switched, Retention(), at_later(LATER)())
    assert "with 3 originals of its files (0.0 MB) in ops/adopted" in plan
    assert run(switched, "cleanup", checks=())["exit_code"] == 0
    assert originals_of(switched) == {RATIOS: b"ratios"}
    (tar,) = (switched.root / "archive").glob("*.tar.zst")
    names = subprocess.run(
        ["tar", "--zstd", "-tf", str(tar)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert {f"data/.adopted_originals/{name}" for name in ORIGINALS} <= set(names)
    with pytest.raises(AnswerIsNo, match=r"they are in v1's archive, which `restore --execute`"):
        give_back(switched, execute=False)
    assert run(switched, "restore", checks=())["exit_code"] == 0
    assert originals_of(switched) == before
    assert not (v1_folder(switched) / ".adopted_originals").exists()


def test_originals_stay_where_the_archive_cannot_be_written(
    switched: Lake,
) -> None:
    keep_originals(switched)
    before, data = originals_of(switched), checksums(v1_folder(switched))
    (switched.root / "archive").write_text("no folder")
    assert run(switched, "cleanup", checks=())["exit_code"] == 4
    assert (originals_of(switched), checksums(v1_folder(switched))) == (before, data)
