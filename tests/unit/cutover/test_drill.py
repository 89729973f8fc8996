"""The drill: over and back on a copy, the real lake untouched and proven so."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from polygon_fundamentals.cutover import drill as module
from polygon_fundamentals.cutover.context import BuiltSilver
from polygon_fundamentals.cutover.drill import drill, linked_copy
from polygon_fundamentals.errors import LakeError, LakeLockedError, UsageError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.locks import exclusive, shared
from polygon_fundamentals.statements import Generation, Statement
from tests.cutover_world import TODAY, FakeSilver, context, fill, run, state


@pytest.fixture
def filled(lake: Lake) -> Lake:
    return fill(lake)


def test_a_drill_goes_over_and_back_and_touches_nothing(filled: Lake) -> None:
    before = state(filled)
    found = drill(filled, context(filled), TODAY)
    assert (found.passed, found.exit_code) == (True, 0)
    assert (found.untouched, found.changed) == (True, ())
    assert found.schema_same is True
    assert found.answers_differ == ()
    assert found.checks == 1
    assert found.files_compared >= 18
    [check] = [step for step in found.steps if step.name == "cutover: check"]
    assert check.detail == "the checklist is not evaluated", "a drill says nothing of its lines"
    assert state(filled) == before
    assert not (filled.ops / "drill").exists()


def test_a_drill_on_a_lake_that_was_switched_before(filled: Lake) -> None:
    run(filled, "cutover")
    run(filled, "rollback")
    before = state(filled)
    assert drill(filled, context(filled), TODAY).passed is True
    assert state(filled) == before


def test_without_v2_it_is_refused_before_the_copy_and_the_lake_is_named(filled: Lake) -> None:
    """It named a folder of the copy, which was gone by then, with the code of a damaged lake."""
    index = [filled.dataset(Generation.V2, statement).index_folder for statement in Statement]
    for folder in (filled.bronze / "fundamentals_v2", *index):
        shutil.rmtree(folder, ignore_errors=True)
    with pytest.raises(UsageError) as refused:
        drill(filled, context(filled), TODAY)
    assert str(refused.value).startswith(f"the lake {filled.root} has no records of v2; load it")
    assert not (filled.ops / "drill").exists()


def test_what_a_killed_drill_left_is_cleared_by_the_next(filled: Lake) -> None:
    held = filled.ops / "drill" / "0123456789ab" / "bronze" / "held.parquet"
    held.parent.mkdir(parents=True)
    held.touch()
    with exclusive(filled.lock("drill")), pytest.raises(LakeLockedError, match="the drill is held"):
        drill(filled, context(filled), TODAY)
    assert held.exists()
    assert drill(filled, context(filled), TODAY).passed is True
    assert not (filled.ops / "drill").exists()


def test_silver_that_does_not_build_fails_the_drill(filled: Lake) -> None:
    found = drill(filled, context(filled, silver=FakeSilver(broken="v2"), checks=()), TODAY)
    assert (found.passed, found.exit_code) == (False, 1)
    assert not (filled.ops / "drill").exists()


def test_a_file_that_changes_meanwhile_is_told(filled: Lake) -> None:
    intruder = next(filled.dataset(Generation.V2, Statement.CASH_FLOW).folder.rglob("*.parquet"))
    seen: list[str] = []

    def meddle(name: str) -> None:
        if len(seen) == 5:  # the copy has been made, the switch is under way
            intruder.unlink()
            intruder.write_bytes(b"something else")
        seen.append(name)

    found = drill(filled, context(filled, on_reached=meddle), TODAY)
    assert found.passed is False
    assert found.untouched is False
    assert any("ticker=" in name for name in found.changed)
    assert "changed during the drill" in found.message


def test_a_lake_that_is_being_loaded_is_not_drilled(filled: Lake) -> None:
    with shared(filled.lock("writers")), pytest.raises(LakeLockedError, match="held by another"):
        drill(filled, context(filled), TODAY, wait_seconds=0.1)


def test_loads_wait_while_the_copy_is_made_and_no_longer(
    filled: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    really, loaded = module.checksums, list[str]()

    def checksums(folder: Path) -> dict[str, str]:
        with shared(filled.lock("writers"), 0):
            loaded.append(folder.name)
        return really(folder)

    monkeypatch.setattr(module, "checksums", checksums)
    assert drill(filled, context(filled), TODAY).passed
    assert {"bronze", "silver"} <= set(loaded)


@pytest.mark.skipif(
    os.geteuid() != 0 or Path("/proc/sys/fs/protected_hardlinks").read_text().strip() != "1",
    reason="only root can be another user, and the system must protect hard links",
)
def test_files_of_another_user_are_no_fault_of_the_file_system() -> None:
    # Not below pytest's folder, which only its owner may enter.
    with TemporaryDirectory(prefix="drill-") as folder:
        lake = fill(Lake(Path(folder) / "lake"))
        for where, _, names in os.walk(folder):
            Path(where).chmod(0o777)
            for name in names:
                (Path(where) / name).chmod(0o644)
        os.seteuid(65534)
        try:
            with pytest.raises(LakeError, match=r"belongs to another user, .* `chmod -R g\+w "):
                linked_copy(lake, lake.ops / "drill" / "x")
        finally:
            os.seteuid(0)


def test_files_on_another_disk_are_drilled_too(
    filled: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    before = state(filled)
    monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr(fcntl, "ioctl", link)
    report = drill(filled, context(filled, silver=BuiltSilver()), TODAY)
    assert (report.passed, report.untouched, report.checks) == (True, True, 1)
    assert state(filled) == before


def test_a_drill_sees_years_that_are_links_to_another_disk(filled: Lake, tmp_path: Path) -> None:
    folder = filled.dataset(Generation.V1, Statement.CASH_FLOW).folder
    years = sorted(folder.iterdir())
    for number, year in enumerate(years):
        disk = tmp_path / "disk" / year.name
        disk.parent.mkdir(exist_ok=True)
        year.rename(disk)
        year.symlink_to(disk if number % 2 else os.path.relpath(disk, folder))
    copy = linked_copy(filled, filled.ops / "drill" / "x")
    for year in years:
        copied = copy.pointer / year.relative_to(filled.pointer)
        assert sorted(copied.rglob("*.parquet"))
        assert copied.resolve() == year.resolve()
    assert drill(filled, context(filled), TODAY).passed is True
