"""Builds: versioned folders behind one link; killed or damaged, readers keep what they had."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polygon_fundamentals import silver
from polygon_fundamentals.errors import DamagedFileError, LakeError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.pointer import point_to
from polygon_fundamentals.silver import builds, table
from polygon_fundamentals.silver.parts import make_part, read_part
from polygon_fundamentals.silver.schema import SORTED_BY
from polygon_fundamentals.statements import Generation, Statement
from sandbox import Sandbox
from tests.cutover_world import fill
from tests.unit.silver.feeding import COMPANIES, company, feed, noon, put, v1_balance, v2_balance

FOLLOWED = {"AAA": [company(0)], "BBB": [company(1)]}


def files(build: silver.Build) -> dict[str, Path]:
    """Return the files of both tables of a build, named for their content."""
    return {
        str(path.relative_to(folder)): path
        for folder in (build.path, (build.path / "_history").resolve())
        for path in folder.glob("*/*.parquet")
    }


def inodes(build: silver.Build) -> dict[str, int]:
    return {name: path.stat().st_ino for name, path in files(build).items()}


@pytest.mark.slow
def test_a_days_update_writes_only_its_fiscal_years(lake: Lake) -> None:
    sandbox = Sandbox(companies=2, start=date(2021, 10, 1), today=date(2025, 2, 1), quirks=False)
    feed(sandbox, lake, FOLLOWED, datetime(2025, 2, 1, 20, tzinfo=UTC))
    first = silver.build(lake, Generation.V2)
    assert (lake.silver / silver.TABLE).resolve() == first.path
    assert os.readlink(lake.silver / silver.TABLE) == f"builds/{first.id}"
    assert silver.build(lake, Generation.V2).id == first.id  # nothing new: nothing written
    sandbox.advance(120)
    feed(sandbox, lake, FOLLOWED, datetime(2025, 6, 1, 20, tzinfo=UTC), [Generation.V2])
    second = silver.build(lake, Generation.V2)
    old, new = inodes(first), inodes(second)
    kept = {name for name in new if old.get(name) == new[name]}
    assert {name.split("/")[0] for name in kept} == {"year=2021"}
    assert {name.split("/")[0] for name in new.keys() - kept} == {
        *(f"year={year}" for year in (2022, 2023, 2024, 2025)),
        *("initial=A", "initial=B"),
    }
    assert (second.files_written, second.history_files_written) == (4, 2)
    assert first.path.is_dir()  # kept for a day
    # Three years are touched: a 10-K carries the two years before its own. The same from nothing:
    (lake.silver / silver.TABLE).unlink()
    whole = silver.build(lake, Generation.V2)
    assert inodes(whole).keys() == new.keys()
    assert whole.files_written == whole.files


def test_beside_the_present_one_and_pointed_later(lake: Lake) -> None:
    fill(lake)
    assert silver.current_build(lake) is None
    with pytest.raises(LakeError, match="build it with `polygon-fundamentals silver`"):
        silver.table_path(lake)
    v1 = silver.build(lake, Generation.V1)
    v2 = silver.build(lake, Generation.V2, link=False, base=v1)
    assert silver.current_build(lake) is not None
    assert silver.table_path(lake) == v1.path
    silver.point(lake, v2)
    assert silver.table_path(lake) == v2.path
    found = silver.current_build(lake)
    assert found is not None
    assert (found.generation, found.rows, found.files) == ("v2", v2.rows, v2.files)
    silver.point(lake, v1)
    assert silver.table_path(lake) == v1.path


@pytest.mark.parametrize("in_parts", [False, True])
def test_a_record_without_a_period_end_stays_in_the_lake_and_is_counted(
    lake: Lake, tmp_path: Path, in_parts: bool
) -> None:
    def one_part(lake: Lake, generation: Generation) -> Iterable[table.Part]:
        make_part(lake, generation, ["ABC"], tmp_path, 0)
        yield read_part(tmp_path, 0)

    put(lake, Generation.V1, v1_balance(), "2026-10-01T12:00")
    put(lake, Generation.V2, v2_balance("2024-05-10", 5.0), "2026-10-01T12:00")
    parts = one_part if in_parts else None
    before = silver.build(lake, Generation.V2, parts=parts)
    assert before.left_out == {}
    put(lake, Generation.V1, v1_balance(end_date=""), "2026-10-02T12:00")
    without = v2_balance("2024-05-10", 6.0, period_end="0000-00-00")
    put(lake, Generation.V2, without, "2026-10-02T12:00")
    again = silver.build(lake, Generation.V2, parts=parts)
    assert (again.id, again.rows, again.left_out) == (before.id, 1, {"ABC": 2})
    # Of v1 alone, its own record is left out.
    assert silver.build(lake, Generation.V1, link=False, parts=parts).left_out == {"ABC": 1}


@pytest.mark.parametrize(("told", "seen"), [(None, "v1"), (Generation.V2, "v2")])
def test_a_switch_meanwhile_and_the_build_follows_the_pointer(
    lake: Lake,
    monkeypatch: pytest.MonkeyPatch,
    told: Generation | None,
    seen: str,
) -> None:
    fill(lake)
    lake.pointer.rename(lake.bronze / "fundamentals_v1_archive")
    lake.pointer.symlink_to("fundamentals_v2")
    really, made = builds.history_parts, list[str]()

    def rolled_back(lake: Lake, generation: Generation) -> Iterable[table.Part]:
        made.append(generation.value)
        point_to(lake, Generation.V1)
        return really(lake, generation)

    monkeypatch.setattr(builds, "history_parts", rolled_back)
    build = silver.build(lake, told)
    assert silver.table_path(lake) == build.path
    assert (build.generation, made[-1]) == (seen, seen)
    assert set(pd.read_parquet(lake.silver / silver.TABLE)["generation"]) == {seen}


def test_older_builds_go_after_a_day(lake: Lake) -> None:
    fill(lake)
    first = silver.build(lake, Generation.V1)
    past = silver.build(lake, Generation.V1, day=date(2025, 8, 15))
    assert (lake.silver / "as_of" / "2025-08-15").resolve() == past.path
    second = silver.build(lake, Generation.V2)
    left = lake.silver / "builds" / "20240101T000000000000Z-v1.partial"
    left.mkdir()
    long_ago = time.time() - 25 * 3600
    for build in (first, past, second):
        os.utime(build.path / "_build.json", (long_ago, long_ago))
    third = silver.build(lake, Generation.V1)
    there = {path.name for path in (lake.silver / "builds").iterdir()}
    assert there == {third.id, second.id, past.id}


def test_a_damaged_bronze_file_is_named_and_the_table_stays(lake: Lake) -> None:
    fill(lake)
    first = silver.build(lake, Generation.V2)
    path = next(lake.dataset(Generation.V2, Statement.CASH_FLOW).folder.rglob("ticker=AAA.parquet"))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DamagedFileError, match=str(path)) as caught:
        silver.build(lake, Generation.V2)
    assert caught.value.exit_code == 4
    assert silver.table_path(lake) == first.path
    assert len(pd.read_parquet(lake.silver / silver.TABLE)) == first.rows


def test_a_damaged_revision_or_note_is_named(lake: Lake) -> None:
    fill(lake)
    first = silver.build(lake, Generation.V2)
    path = lake.dataset(Generation.V2, Statement.CASH_FLOW).revisions_file("AAA")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"nothing")
    with pytest.raises(DamagedFileError, match="revisions"):
        silver.build(lake, Generation.V2)
    path.unlink()
    (first.path / "_build.json").write_bytes(b"{")
    with pytest.raises(DamagedFileError, match=r"_build\.json cannot be read"):
        silver.current_build(lake)


def test_a_folder_in_the_links_place_is_refused(lake: Lake) -> None:
    fill(lake)
    (lake.silver / silver.TABLE).mkdir(parents=True)
    with pytest.raises(LakeError, match="is not a link: another tool made it"):
        silver.build(lake, Generation.V1)


def test_without_hard_links_files_are_written(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(lake)

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    base = silver.build(lake, Generation.V1)
    monkeypatch.setattr(builds.os, "link", refuse)
    build = silver.build(lake, Generation.V2, base=base)
    assert build.files_written == build.files


PROGRAM = """
import sys
from pathlib import Path
from polygon_fundamentals import silver
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.statements import Generation
lake = Lake(Path(sys.argv[1]))
print("ready", flush=True)
for number in range(1000):
    silver.build(lake, list(Generation)[number % 2])
"""


@pytest.mark.slow
def test_killed_at_any_moment(lake: Lake) -> None:
    """Readers see one build whole: v1's or v2's, never a mixture, and the next build succeeds."""
    fill(lake)
    rows = {g.value: silver.build(lake, g).rows for g in Generation}
    seen = set()
    for number in range(12):
        child = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(lake.root)], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        time.sleep(0.1 + 0.17 * number)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        found = silver.current_build(lake)
        assert found is not None
        table = pd.read_parquet(silver.table_path(lake))
        assert set(table["generation"]) == {found.generation}
        assert len(table) == rows[found.generation]
        seen.add(found.generation)
    assert seen == {"v1", "v2"}
    silver.build(lake, Generation.V1)
    assert not [path for path in (lake.silver / "builds").iterdir() if "partial" in path.name]


@pytest.mark.slow
@pytest.mark.parametrize("generation", Generation)
def test_after_each_of_many_updates_a_build_is_the_one_from_nothing(
    lake: Lake, generation: Generation
) -> None:
    followed = COMPANIES | {"ONE": [company(0)], "EARL": [company(34)], "BANK": [company(5)]}
    sandbox = Sandbox(companies=46, start=date(2021, 1, 1), today=date(2025, 4, 20))
    written = []
    for days in (0, 1, 1, 7, 1, 40, 1):
        sandbox.advance(days)
        feed(sandbox, lake, followed, noon(sandbox.today))
        built = silver.build(lake, generation)
        (lake.silver / silver.TABLE).unlink()
        whole = silver.build(lake, generation, link=False)
        silver.point(lake, built)
        ours, theirs = files(built), files(whole)
        assert ours.keys() == theirs.keys()
        assert all(ours[name].read_bytes() == theirs[name].read_bytes() for name in ours)
        assert whole.history_files == whole.history_files_written == 8
        written.append(built.history_files_written)
        stands = silver.known_on(silver.read_history(lake), None)
        wide = pa.concat_tables(
            pq.ParquetFile(path).read() for name, path in ours.items() if name.startswith("y")
        )
        assert stands.equals(wide.sort_by([(name, "ascending") for name in SORTED_BY]))
    assert written[0] == 8
    assert any(0 < number < 8 for number in written[1:])
    assert 0 in written


@pytest.mark.slow
def test_some_companies_at_a_time_it_is_the_same_files(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two tickers of one company, a delisted one, dates days off; revisions, and a past day."""
    followed = {
        "AAA": [company(0)],
        "ALSO": [company(0)],
        "LOST": [company(16)],
        "EARL": [company(34)],
        "BANK": [company(5)],
    }
    sandbox = Sandbox(companies=40, start=date(2021, 1, 1), today=date(2025, 2, 1))
    feed(sandbox, lake, followed, datetime(2025, 2, 1, 20, tzinfo=UTC))
    sandbox.advance(120)
    feed(sandbox, lake, followed, datetime(2025, 6, 1, 20, tzinfo=UTC))
    past = date(2025, 3, 1)
    cases = [(Generation.V1, None), (Generation.V2, None), (Generation.V2, past)]
    whole = [inodes(silver.build(lake, g, link=False, day=day)).keys() for g, day in cases]
    asked: list[frozenset[str] | None] = []
    really = table.Source.table
    monkeypatch.setattr(
        table.Source, "table", lambda self, some: asked.append(some) or really(self, some)
    )
    monkeypatch.setattr(table, "BATCH_TICKERS", 1)
    parts = [inodes(silver.build(lake, g, link=False, day=day)).keys() for g, day in cases]
    assert parts == whole
    alone = {frozenset({name}) for name in ("LOST", "EARL", "BANK")}
    # The feed stores what v1 says of a company under one ticker only.
    assert set(asked) == {frozenset({"AAA", "ALSO"}), frozenset({"ALSO"}), *alone}
    assert not list(lake.silver.rglob(".rows"))
