"""`rehearse`: a copy of the lake, and days that pass in it; a real lake is refused."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from polygon_fundamentals import ledger
from polygon_fundamentals.business_days import day_of, previous_business_day, streak
from polygon_fundamentals.cutover import journal as journals
from polygon_fundamentals.cutover import rehearsal
from polygon_fundamentals.cutover.checklist import evaluate_checklist
from polygon_fundamentals.cutover.sign_offs import Contacts, Person, sign
from polygon_fundamentals.cutover.thresholds import Thresholds
from polygon_fundamentals.errors import LakeError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.publish.publish import lake_id
from tasks.schedules import ServerSchedules, schedules_of
from tests.builders.commands import call
from tests.builders.ledger import entry
from tests.cutover_world import fill, run
from tests.lakes import fingerprint

NOW = datetime.now(UTC)


@pytest.fixture
def copy(lake: Lake, tmp_path: Path) -> Lake:
    """A copy of a lake of both generations, made by the command."""
    fill(lake)
    # A link by its whole path, as a user may have made one.
    (lake.root / "latest").symlink_to(lake.bronze / "fundamentals_v2")
    target = tmp_path / "copy"
    code, report = call("rehearse", "--lake", str(lake.root), "--copy", str(target))
    assert code == 0, report
    return Lake(target)


def ended(lake: Lake, started: datetime, number: int = 0) -> None:
    """Write the entry of a run that succeeded."""
    moment = started.isoformat(timespec="seconds")
    entry(lake, f"{number}", started=moment, ended=moment, outcome="succeeded")


def passes(copy: Lake, *words: str) -> None:
    code, report = call("rehearse", "--lake", str(copy.root), *words)
    assert code == 0, report


def days(lake: Lake) -> list[object]:
    return [day_of(entry.started) for entry in ledger.read_entries(lake)[0]]


def test_a_copy_has_the_bytes_and_none_of_its_links_leads_out(copy: Lake, lake: Lake) -> None:
    for folder in ("bronze", "silver"):
        assert fingerprint(copy.root / folder, "**/*") == fingerprint(lake.root / folder, "**/*")
    assert os.path.realpath(copy.root / "latest") == str(copy.bronze / "fundamentals_v2")
    [file] = list((copy.bronze / "fundamentals_v2").rglob("*=AAA.parquet"))[:1]
    assert file.stat().st_nlink == 1
    assert rehearsal.rehearsal_of(lake) is None


def test_what_a_lake_has_on_another_disk_is_copied_too(lake: Lake, tmp_path: Path) -> None:
    fill(lake)
    assert run(lake, "cutover", checks=())["exit_code"] == 0
    disk = tmp_path / "disk"
    lake.bronze.rename(disk)
    lake.bronze.symlink_to(disk)
    (disk / "latest").symlink_to(disk / "fundamentals_v2")
    (lake.root / "notes").symlink_to("../notes")
    (tmp_path / "notes").write_text("mine")
    copy = Lake(tmp_path / "far" / "copy")
    assert call("rehearse", "--lake", str(lake.root), "--copy", str(copy.root))[0] == 0
    before = fingerprint(disk, "**/*")
    assert os.readlink(copy.pointer) == "fundamentals_v2"
    links = [path for path in copy.root.rglob("*") if path.is_symlink()]
    assert copy.bronze / "latest" in links
    assert all(path.resolve().is_relative_to(copy.root) for path in links)
    (copy.root / "notes").write_text("the copy's")
    assert (tmp_path / "notes").read_text() == "mine"
    passes(copy, "--days", "200")
    assert run(copy, "cleanup")["exit_code"] == 0
    assert not (copy.bronze / "fundamentals_v1_archive").exists()
    assert fingerprint(disk, "**/*") == before


def test_a_copy_does_not_publish_over_what_the_lake_published(copy: Lake, lake: Lake) -> None:
    known = lake_id(lake)
    again = copy.root.with_name("again")
    assert call("rehearse", "--lake", str(lake.root), "--copy", str(again))[0] == 0
    assert lake_id(Lake(again)) != known
    assert lake_id(lake) == known


def test_a_copy_leaves_the_schedules_of_the_server_alone(
    copy: Lake, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    schedules = schedules_of(copy)
    assert (schedules.recorded(), schedules.retire(["v1", "both"])) == (None, [])
    assert schedules.why_none.startswith("this is a copy to rehearse on")
    assert isinstance(schedules_of(lake), ServerSchedules)


def test_five_runs_of_one_day_become_five_business_days(copy: Lake) -> None:
    for _ in range(5):
        ended(copy, datetime.now(UTC))
        passes(copy)
    row = streak(set(days(copy)), day_of(datetime.now(UTC)))  # type: ignore[arg-type]
    assert len(row) == 5
    made = rehearsal.rehearsal_of(copy)
    assert made is not None
    assert made.days_passed >= 5


def test_what_was_before_the_copy_keeps_its_order(lake: Lake, tmp_path: Path) -> None:
    fill(lake)
    # Saturday, Sunday and Monday have one business day before them.
    hours = (datetime(2026, 6, 6, 12, tzinfo=UTC), datetime(2026, 6, 7, 9, tzinfo=UTC),
             datetime(2026, 6, 8, 6, tzinfo=UTC))  # fmt: skip
    for number, hour in enumerate(hours):
        ended(lake, hour, number)
    copy = Lake(tmp_path / "copy")
    assert call("rehearse", "--lake", str(lake.root), "--copy", str(copy.root))[0] == 0
    passes(copy)
    entries = ledger.read_entries(copy)[0]
    assert [one.run for one in entries] == ["0", "1", "2"]
    moved = {(before - one.started).days for before, one in zip(hours, entries, strict=True)}
    assert moved == {(day_of(NOW) - previous_business_day(day_of(NOW))).days}


def test_a_switch_and_the_sign_offs_grow_older_too(copy: Lake) -> None:
    people = Contacts(migration_lead=Person(name="Ada"))
    sign(copy, people, "cutover", "Ada")
    assert run(copy, "cutover", checks=())["exit_code"] == 0
    passes(copy, "--days", "90")
    done = journals.last_done(copy, journals.CUTOVER)
    assert done is not None
    assert 89 < (datetime.now(UTC) - journals.moment(done)).total_seconds() / 86400 < 91
    assert f"{journals.moment(done):%Y%m%d}" in done.path.name
    item = next(i for i in evaluate_checklist(copy, Thresholds(), people).items
                if i.name == "sign-offs")  # fmt: skip
    assert f"cutover: Ada on {journals.moment(done):%Y-%m-%d}" in item.detail


def test_a_real_lake_is_refused_and_a_copy_that_was_moved_too(copy: Lake, lake: Lake) -> None:
    before = fingerprint(lake.root, "**/*")
    code, answer = call("rehearse", "--lake", str(lake.root))
    assert (code, fingerprint(lake.root, "**/*")) == (2, before)
    assert "is not a copy made for rehearsing" in answer["error"]
    assert f"--lake {lake.root} --copy DIR" in answer["error"]
    moved = copy.root.rename(copy.root.with_name("production"))
    code, answer = call("rehearse", "--lake", str(moved))
    assert (code, "is not a copy made for rehearsing" in answer["error"]) == (2, True)
    items = evaluate_checklist(Lake(moved), Thresholds(), Contacts()).items
    item = next(item for item in items if item.name == "rehearsal")
    assert (item.ok, f"was moved here from {copy.root}" in item.detail) == (False, True)


def test_a_run_that_is_going_on_is_waited_for_by_its_owner(copy: Lake) -> None:
    with (
        ledger.recorded(ledger.Run(copy, "refresh", {})),
        pytest.raises(LakeError, match="another run uses"),
    ):
        rehearsal.let_days_pass(copy, 1)


def test_wrong_use_is_named(lake: Lake, tmp_path: Path) -> None:
    fill(lake)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for target, words in (
        (tmp_path / "full", "is not empty"),
        (lake.root / "copy", "lies in the lake"),
    ):
        code, answer = call("rehearse", "--lake", str(lake.root), "--copy", str(target))
        assert (code, words in answer["error"]) == (2, True)
    here = ["rehearse", "--lake", str(lake.root), "--copy", str(tmp_path / "x"), "--days", "3"]
    code, answer = call(*here)
    assert (code, "give --copy to make a copy" in answer["error"]) == (2, True)


def test_a_mark_that_cannot_be_read_is_named(copy: Lake) -> None:
    mark = copy.ops / "rehearsal.json"
    mark.write_text("{")
    code, report = call("rehearse", "--lake", str(copy.root), "--days", "1")
    assert code == 4
    assert report["error"].startswith(f"{mark} cannot be read")
    assert call("checklist", "--lake", str(copy.root))[0] == 4
