"""Every refusal of a switch: one line, the right exit code, nothing changed."""

from __future__ import annotations

import errno
import multiprocessing
import os
import subprocess
from pathlib import Path

import pytest

from flows.cutover import cutover as cutover_flow
from flows.parameters.switch import CutoverParameters
from flows.signature import body_of
from polygon_fundamentals.cutover import journal as journals
from polygon_fundamentals.cutover.checklist import Checklist, ChecklistItem
from polygon_fundamentals.cutover.checksums import checksums
from polygon_fundamentals.cutover.context import Options
from polygon_fundamentals.cutover.operations import cutover, plan_of_cutover
from polygon_fundamentals.errors import (
    AnswerIsNo,
    FundamentalsError,
    LakeError,
    LakeLockedError,
    UsageError,
)
from polygon_fundamentals.lake import Lake, probe
from polygon_fundamentals.locks import exclusive, shared
from tests.builders.mounts import mounted
from tests.cutover_world import QUICK, context, fill, run, state


@pytest.fixture
def filled(lake: Lake) -> Lake:
    return fill(lake)


def refused(lake: Lake, kind: type[FundamentalsError], words: str) -> None:
    before = checksums(lake.bronze)
    with pytest.raises(kind, match=words) as told:
        run(lake, "cutover", checks=())
    assert "\n" not in str(told.value)
    assert checksums(lake.bronze) == before
    assert journals.journals(lake) == []


def no_exchange(*_: object) -> None:
    raise probe.NoExchangeError("no such call")


def test_a_file_system_without_exchange_is_refused(
    filled: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "exchange", no_exchange)
    refused(filled, LakeError, "cannot swap two names in one call.*--allow-gap")


def test_with_allow_gap_two_renames_do(filled: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "exchange", no_exchange)
    options = Options(force="test", settle_seconds=0.0, allow_gap=True)
    found = cutover(filled, Checklist, context(filled, checks=()), options)
    assert (found.exit_code, state(filled)["pointer"]) == (0, "v2")


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EINVAL])
def test_the_kernel_saying_it_cannot_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    class Libc:
        def renameat2(self, *_: object) -> int:
            probe.ctypes.set_errno(code)
            return -1

    monkeypatch.setattr(probe.ctypes, "CDLL", lambda *_, **__: Libc())
    with pytest.raises(probe.NoExchangeError, match="cannot swap"):
        probe.exchange(tmp_path / "a", tmp_path / "b")


def test_a_mount_point_as_v1s_folder_is_refused(
    filled: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted = frozenset({os.path.realpath(filled.pointer)})
    monkeypatch.setattr(probe, "_mount_points", lambda: mounted)
    refused(filled, UsageError, "fundamentals is a mount point and cannot be renamed")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_real_mount_is_seen(filled: Lake, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    # A bind mount has the device number of its parent, which os.path.ismount does not see.
    mount = ["mount", "--bind", str(folder), str(filled.pointer)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(UsageError, match="mount point"):
            probe.refuse_mounts(filled)
    finally:
        subprocess.run(["umount", str(filled.pointer)], check=True)


def _fill_up(descriptor: int) -> None:
    while True:
        os.write(descriptor, b"x" * 4096)


def test_a_full_disk_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    with mounted(tmp_path / "small", megabytes=2) as folder:
        filled = fill(Lake(folder / "lake"))
        filler = os.open(folder / "filler", os.O_WRONLY | os.O_CREAT)
        with pytest.raises(OSError, match="No space"):
            _fill_up(filler)
        os.close(filler)
        before = checksums(filled.bronze)
        with pytest.raises((FundamentalsError, OSError)):
            run(filled, "cutover", checks=())
        assert checksums(filled.bronze) == before
        (folder / "filler").unlink()
        assert run(filled, "cutover", checks=())["exit_code"] == 0
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        with pytest.raises(UsageError, match="cannot be written"):
            run(filled, "rollback", checks=())
        assert filled.primary == "v2"


def test_an_address_is_refused() -> None:
    with pytest.raises(UsageError, match="is an address, not a folder"):
        body_of(cutover_flow)(
            CutoverParameters(execute=True, force="test", lake="s3://bucket/lake")
        )


def test_two_folders_that_could_be_v1_are_refused(filled: Lake) -> None:
    (filled.bronze / "fundamentals_v1_archive").mkdir()
    refused(filled, LakeError, "are both folders")


def test_a_pointer_that_leads_elsewhere_is_refused(filled: Lake) -> None:
    filled.pointer.rename(filled.bronze / "other")
    filled.pointer.symlink_to("other")
    refused(filled, LakeError, "which is not a folder of this lake")


def test_without_v2_there_is_nothing_to_switch_to(lake: Lake) -> None:
    (lake.pointer / "balance_sheets").mkdir(parents=True)
    refused(lake, UsageError, f"the lake {lake.root} has no records of v2; load it first")


def test_a_second_cutover_at_the_same_moment_is_refused(filled: Lake) -> None:
    with exclusive(filled.lock("cutover")):
        refused(filled, LakeLockedError, "held by another run")


def _hold(path: Path, held: object, end: object) -> None:
    with shared(path):
        held.set()  # type: ignore[attr-defined]
        end.wait(20)  # type: ignore[attr-defined]


def test_a_load_that_does_not_end_in_time_puts_everything_back(filled: Lake) -> None:
    held, end = multiprocessing.Event(), multiprocessing.Event()
    other = multiprocessing.Process(target=_hold, args=(filled.lock("writers"), held, end))
    other.start()
    assert held.wait(20)
    before = state(filled)
    options = Options(force="test", wait_seconds=0.2, settle_seconds=0.0)
    found = cutover(filled, Checklist, context(filled, checks=()), options)
    end.set()
    other.join()
    assert (found.exit_code, found.state) == (4, "undone")
    assert state(filled) == before


def test_an_unmet_checklist_is_refused_unless_forced(filled: Lake) -> None:
    unmet = Checklist([ChecklistItem("parity", False, "has not been run", "run it")])
    with pytest.raises(AnswerIsNo, match=r"unmet \(parity\)"):
        cutover(filled, lambda: unmet, context(filled, checks=()), Options())
    assert not filled.pointer.is_symlink()
    plan = plan_of_cutover(filled, unmet, context(filled), Options()).as_json()
    assert plan["steps"] == [{"name": "parity", "ok": False, "detail": "has not been run"}]
    assert not filled.pointer.is_symlink()
    assert cutover(filled, lambda: unmet, context(filled, checks=()), QUICK).exit_code == 0
    forced = journals.last_done(filled, "cutover")
    assert forced is not None
    assert forced.facts["forced"] == {"reason": "test", "unmet": ["parity"]}


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_blank_reason_forces_nothing(filled: Lake, reason: str) -> None:
    unmet = Checklist([ChecklistItem("parity", False, "has not been run", "run it")])
    with pytest.raises(AnswerIsNo, match=r"unmet \(parity\)"):
        cutover(filled, lambda: unmet, context(filled, checks=()), Options(force=reason))
    assert not filled.pointer.is_symlink()


def test_a_plain_folder_of_an_older_tool_is_switched_like_any_other(lake: Lake) -> None:
    import pandas as pd

    fill(lake)
    other = lake.pointer / "balance_sheets" / "year=2019" / "month=05"
    other.mkdir(parents=True)
    pd.DataFrame({"ticker": ["OLD"], "cik": [320193]}).to_parquet(other / "ticker=OLD.parquet")
    assert run(lake, "cutover", checks=())["exit_code"] == 0
    kept = lake.bronze / "fundamentals_v1_archive" / other.relative_to(lake.pointer)
    assert (kept / "ticker=OLD.parquet").exists()
