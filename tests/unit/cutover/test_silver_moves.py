"""Silver's link over and back: never to nothing, never to an older build, never to another lake."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import orjson
import pandas as pd
import pytest

from polygon_fundamentals import silver
from polygon_fundamentals.cutover import journal as journals
from polygon_fundamentals.cutover.checklist import Checklist
from polygon_fundamentals.cutover.context import BuiltSilver
from polygon_fundamentals.cutover.drill import drill
from polygon_fundamentals.cutover.operations import cutover
from polygon_fundamentals.cutover.quarantine import quarantine_foreign_files
from polygon_fundamentals.cutover.schedules import Recorded
from polygon_fundamentals.errors import ApiError, LakeError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.commit import Incoming, Scope, commit
from polygon_fundamentals.locks import shared
from polygon_fundamentals.normalise import v1_tables, v2_table
from polygon_fundamentals.statements import Generation, Statement
from tests.builders.templates import copied
from tests.cutover_world import (
    OBSERVED,
    QUICK,
    TODAY,
    FakeSchedules,
    context,
    fill,
    run,
    state,
    v1_row,
    v2_row,
)

Q4 = ("2025-12-31", "2026-02-01", 4)
OLD_ENDS = ["2025-03-31", "2025-06-30", "2025-09-30"]
ALL_ENDS = [*OLD_ENDS, "2025-12-31"]


def switch(lake: Lake, operation: str, **other: object) -> dict[str, object]:
    """Carry out a switch with the library's own silver and no readers' checks."""
    return run(lake, operation, **{"silver": BuiltSilver(), "checks": (), **other})


def load_q4(lake: Lake, generation: Generation) -> None:
    """Store one more quarter of AAA."""
    for statement in Statement:
        if generation is Generation.V1:
            table = v1_tables([v1_row("0000000001", "AAA", Q4, 7.0)], OBSERVED)[statement]
        else:
            row = v2_row("0000000001", "AAA", Q4, 7.0, statement)
            table = v2_table([row], statement, OBSERVED)
        incoming = Incoming(table, {"AAA": range(1)}, Scope.WINDOW, frozenset(), OBSERVED)
        commit(lake.dataset(generation, statement), incoming)


def readers_see(lake: Lake) -> tuple[set[str], list[str]]:
    """Return the generations, and the period ends of AAA, in the table that readers open."""
    table = pd.read_parquet(lake.silver / "fundamentals_wide")
    ends = table[table["ticker"] == "AAA"]["period_end"].astype(str)
    return set(table["generation"]), sorted(ends)


def the_lake(real: Path) -> Path:
    """Put a link where the lake's folder was."""
    real.rename(real.parent / "elsewhere")
    real.symlink_to("elsewhere")
    return real


def its_silver(real: Path) -> Path:
    """Put a link to another disk where silver's folder was."""
    other = real.parent / "disk" / "of" / "silver"
    shutil.copytree(real / "silver", other, symlinks=True)
    shutil.rmtree(real / "silver")
    (real / "silver").symlink_to(other)
    return real


def build(lake: Lake) -> None:
    silver.build(fill(lake))


def switch_over(lake: Lake) -> None:
    build(lake)
    assert switch(lake, "cutover")["exit_code"] == 0


@pytest.mark.parametrize("linked", [pytest.param(the_lake, marks=pytest.mark.slow), its_silver])
def test_over_and_back_where_the_way_leads_through_a_link(
    linked: Callable[[Path], Path], lake: Lake
) -> None:
    copied(lake, build)
    moved = Lake(linked(lake.root))
    silver.build(moved)  # nothing new: the same build is linked again
    assert readers_see(moved) == ({"v1"}, OLD_ENDS)
    first = os.readlink(moved.silver / "fundamentals_wide")
    assert switch(moved, "cutover")["exit_code"] == 0
    assert readers_see(moved) == ({"v2"}, OLD_ENDS)
    assert switch(moved, "rollback")["exit_code"] == 0
    assert readers_see(moved) == ({"v1"}, OLD_ENDS)
    assert os.readlink(moved.silver / "fundamentals_wide") == first
    assert first.startswith("builds/")


class Down(FakeSchedules):
    """The schedules of a server that does not answer."""

    def recorded(self) -> Recorded:
        """Fail."""
        raise ApiError("the Prefect server does not answer; start it")


def test_a_rollback_that_goes_on_leaves_silver_that_was_built_since(lake: Lake) -> None:
    copied(lake, switch_over)
    report = switch(lake, "rollback", schedules=Down(lake.root / "schedules.json"))
    assert (report["exit_code"], report["state"]) == (1, "open")
    load_q4(lake, Generation.V1)
    silver.build(lake)
    assert readers_see(lake) == ({"v1"}, ALL_ENDS)
    assert switch(lake, "rollback")["exit_code"] == 0
    assert readers_see(lake) == ({"v1"}, ALL_ENDS)


class CutOff(BaseException):
    """The end of a process, as far as its journal goes."""


def test_a_cutover_that_goes_on_leaves_silver_that_was_built_since(lake: Lake) -> None:
    def cut(name: str) -> None:
        if name == "before resume schedules":
            raise CutOff

    copied(lake, build)
    with pytest.raises(CutOff):
        switch(lake, "cutover", on_reached=cut)
    load_q4(lake, Generation.V2)
    silver.build(lake)
    assert readers_see(lake) == ({"v2"}, ALL_ENDS)
    assert switch(lake, "cutover")["exit_code"] == 0
    assert readers_see(lake) == ({"v2"}, ALL_ENDS)


def test_loads_go_on_while_the_switch_is_held_again(lake: Lake, tmp_path: Path) -> None:
    hold, said = tmp_path / "hold", list[str]()
    schedules = FakeSchedules(lake.root / "schedules.json")
    active = [schedules.active()]

    def held_again(name: str) -> None:
        if name == "after readers' checks":
            hold.touch()

    def load_meanwhile(text: str) -> None:
        said.append(text)
        active.append(schedules.active())
        with shared(lake.lock("writers"), 0):
            load_q4(lake, Generation.V2)
        hold.unlink()

    copied(lake, build)
    options = replace(QUICK, postpone_file=hold)
    report = cutover(
        lake,
        Checklist,
        context(lake, silver=BuiltSilver(), checks=(), on_reached=held_again, say=load_meanwhile),
        options,
    )
    assert (report.exit_code, said) == (0, [f"waiting while {hold} exists; remove it to continue"])
    assert active[0] == active[1] == {"v1": True, "v2": False, "both": True}
    assert schedules.active() == {"v1": False, "v2": True, "both": False}
    assert readers_see(lake) == ({"v2"}, ALL_ENDS)


def test_a_rollback_takes_in_v1_rows_that_an_old_script_wrote_through_the_pointer(
    lake: Lake,
) -> None:
    copied(lake, switch_over)
    old = v1_tables([v1_row("0000000001", "AAA", Q4, 7.0)], OBSERVED)[Statement.BALANCE_SHEETS]
    file = lake.pointer / "balance_sheets/year=2026/month=02/ticker=AAA.parquet"
    file.parent.mkdir(parents=True)
    old.drop_columns(["observed_at", "absent_fields", "unmapped"]).to_pandas().to_parquet(file)
    (report,) = quarantine_foreign_files(lake)
    assert report.v1_rows == 1
    assert switch(lake, "rollback")["exit_code"] == 0
    assert readers_see(lake) == ({"v1"}, ALL_ENDS)


@pytest.mark.parametrize("whole_paths", [False, True])
def test_a_copied_lake_keeps_to_builds_of_its_own(
    lake: Lake, tmp_path: Path, whole_paths: bool
) -> None:
    copied(lake, switch_over)
    if whole_paths:  # as journals of before have it
        file = journals.journals(lake)[-1].path
        entry = orjson.loads(file.read_bytes())
        for fact in ("silver_before", "silver_after"):
            entry["facts"][fact] = str(lake.silver / "builds" / entry["facts"][fact])
        file.write_bytes(orjson.dumps(entry))
    copy = Lake(tmp_path / "copy")
    shutil.copytree(lake.root, copy.root, symlinks=True)
    assert switch(copy, "rollback")["exit_code"] == 0
    (v1,) = (copy.silver / "builds").glob("*-v1")
    assert os.readlink(copy.silver / "fundamentals_wide") == f"builds/{v1.name}"
    assert readers_see(copy) == ({"v1"}, OLD_ENDS)


@pytest.mark.parametrize("built", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_lake_without_v1_cuts_over(lake: Lake, built: bool) -> None:
    shutil.rmtree(fill(lake).pointer)
    if built:
        assert silver.build(lake).rows == 0
    rehearsed = drill(lake, context(lake, silver=BuiltSilver()), TODAY)
    assert (rehearsed.passed, rehearsed.schema_same) == (True, True)
    assert "there is no v1 to roll back to" in rehearsed.message
    report = switch(lake, "cutover")
    assert (report["exit_code"], state(lake)["pointer"]) == (0, "v2")
    assert readers_see(lake) == ({"v2"}, OLD_ENDS)
    with pytest.raises(LakeError, match=r"nor an archive of it in .* cannot go back to v1"):
        switch(lake, "rollback")
