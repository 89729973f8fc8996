"""Each fault that the campaign found, as the shortest test that showed it."""

from __future__ import annotations

import os
import signal
import struct
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from campaign.faults import Trap
from polygon_fundamentals import silver
from polygon_fundamentals.cutover.other_writers import notice
from polygon_fundamentals.cutover.quarantine import quarantine_foreign_files
from polygon_fundamentals.cutover.verify import verify
from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.commit import Incoming, Scope, commit
from polygon_fundamentals.lake.index import read_file
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.lake.recovery import recover
from polygon_fundamentals.lake.storage import local
from polygon_fundamentals.normalise import v2_table
from polygon_fundamentals.statements import Generation, Statement
from tests.builders.old_script import PLACE, append_as_the_old_script
from tests.cutover_world import OBSERVED, fill, run, v2_row


def test_what_a_host_left_that_never_came_back_is_removed_after_a_day(lake: Lake) -> None:
    folder = lake.ops / "cache"
    folder.mkdir(parents=True)
    names = [f".catalogue.json.{host}.4026531836-77-7fe1.tmp" for host in ("gone", "busy")]
    for name in names:
        (folder / name).write_text("{")
    old = time.time() - local.ABANDONED_SECONDS - 60
    os.utime(folder / names[0], (old, old))
    recover(lake)
    assert os.listdir(folder) == [names[1]]


def test_a_flipped_bit_is_not_written_anew_as_if_the_vendor_had_said_so(lake: Lake) -> None:
    statement = Statement.BALANCE_SHEETS
    dataset = lake.dataset(Generation.V2, statement)
    quarters = (("2024-12-31", "2025-05-02", 4), ("2025-03-31", "2025-05-02", 1))

    def load(*values: float) -> None:
        rows = [
            v2_row("0000000001", "AAA", quarter, value, statement)
            for quarter, value in zip(quarters, values, strict=True)
        ]
        table = v2_table(rows, statement, OBSERVED)
        places = {"AAA": range(len(rows))}
        commit(dataset, Incoming(table, places, Scope.WINDOW, frozenset(), OBSERVED))

    load(1000.0, 2000.0)
    path = dataset.file(202505, "AAA")
    stat, data = path.stat(), path.read_bytes()
    assert struct.pack("<d", 1000.0) in data
    rotten = data.replace(struct.pack("<d", 1000.0), struct.pack("<d", 1001.0))
    path.write_bytes(rotten)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(DamagedFileError, match=r"ticker=AAA\.parquet is damaged: a row in it"):
        load(1000.0, 2001.0)
    assert path.read_bytes() == rotten
    path.write_bytes(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    load(1000.0, 2001.0)
    assert struct.pack("<d", 2001.0) in path.read_bytes()


def test_a_commit_stopped_while_it_makes_a_lost_index_anew_leaves_no_row_twice(
    lake: Lake,
) -> None:
    """The index held the files of the stopped commit alone, so a filing that moved stood twice."""
    statement = Statement.BALANCE_SHEETS
    dataset = lake.dataset(Generation.V2, statement)
    first, second = ("2024-12-31", "2025-02-18", 4), ("2025-03-31", "2025-05-02", 1)

    def load(*quarters: tuple[str, str, int], value: float = 1000.0) -> None:
        rows = [v2_row("0000000001", "AAA", quarter, value, statement) for quarter in quarters]
        table = v2_table(rows, statement, OBSERVED)
        places = {"AAA": range(len(rows))}
        commit(dataset, Incoming(table, places, Scope.WINDOW, frozenset(), OBSERVED))

    for act in ("kill", "power"):
        at = 0
        load(first, second)
        dataset.index_file("AAA").unlink()
        for at in stopped_at_changes(lake, act, 1, lambda: load(second, value=time.time())):
            recover(lake)
            load(("2024-12-31", "2026-02-23", 4))
            assert dataset.partitions_of(["AAA"]) == {"AAA": {202505, 202602}}, (act, at)
            load(first)
            dataset.index_file("AAA").unlink()
        assert at > 10


def stopped_at_changes(
    lake: Lake, act: str, every: int, work: Callable[[], object]
) -> Iterator[int]:
    """Do some work in a process that is stopped at its n-th change; yield n until none is left.

    n grows by `every`, from 1 on.
    """
    status, at = -signal.SIGKILL, 1 - every
    while status:
        at += every
        child = os.fork()
        if not child:
            Trap(lake.root, act, at).install()
            work()
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in (0, -signal.SIGKILL)
        yield at


@pytest.mark.parametrize(
    ("act", "every"),
    [
        ("power", 10),
        pytest.param("power", 1, marks=pytest.mark.slow),
        pytest.param("kill", 1, marks=pytest.mark.slow),
    ],
)
def test_a_quarantine_stopped_at_any_change_loses_no_row_and_leaves_no_file(
    lake: Lake, act: str, every: int
) -> None:
    """After a power cut the copy was empty, and the next command took it for whole."""
    assert run(fill(lake), "cutover", checks=())["exit_code"] == 0
    v1 = lake.dataset(Generation.V1, Statement.BALANCE_SHEETS)
    written, at = read_dataset(v1).num_rows, 0
    days = (date(1999, 1, 1) + timedelta(days=day) for day in range(1_000))
    append_as_the_old_script(lake.pointer / PLACE, end_date=f"{next(days)}")
    for at in stopped_at_changes(lake, act, every, lambda: quarantine_foreign_files(lake)):
        recover(lake)
        quarantine_foreign_files(lake)
        written += 1
        assert read_dataset(v1).num_rows == written, at
        assert [path for path in lake.root.rglob(".*") if path.is_file()] == [], at
        append_as_the_old_script(lake.pointer / PLACE, end_date=f"{next(days)}")
    assert at > 10


@pytest.mark.parametrize("every", [8, pytest.param(1, marks=pytest.mark.slow)])
def test_a_power_cut_leaves_no_file_of_silver_that_does_not_open(lake: Lake, every: int) -> None:
    """The history lies beside the build, and had its final name from the beginning."""
    fill(lake, tickers=["AAA"])
    at = 0
    for at in stopped_at_changes(lake, "power", every, lambda: silver.build(lake)):
        for path in lake.silver.rglob("part-*.parquet"):
            if not any(part.endswith(".partial") for part in path.parts):
                assert pq.read_metadata(path).num_rows, at
    assert at > 20
    assert not list(lake.silver.rglob("*.partial"))


def test_a_cleanup_archives_no_file_of_which_a_bit_was_flipped(lake: Lake) -> None:
    """Without checksums of `checklist --record-checksums`, the index has what was written."""
    assert run(fill(lake), "cutover", checks=())["exit_code"] == 0
    folder = lake.bronze / "fundamentals_v1_archive"
    path = sorted(folder.rglob("*.parquet"))[0]
    stat, data = path.stat(), path.read_bytes()
    place = data.index(b"created_by") if b"created_by" in data else len(data) // 2
    path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    report = run(lake, "cleanup", checks=())
    assert report["exit_code"] == 4
    assert f"{path.relative_to(lake.root)}: " in report["message"]
    assert path.exists()
    assert list((lake.root / "archive").glob("*.tar.zst")) == []
    path.write_bytes(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert run(lake, "cleanup", checks=())["exit_code"] == 0
    assert not path.exists()


def test_what_a_killed_cleanup_left_beside_the_archives_is_removed(lake: Lake) -> None:
    archive = lake.root / "archive"
    archive.mkdir(parents=True)
    child = os.fork()
    if not child:
        local.temporary_name(archive / "fundamentals_v1_20270615.manifest.json").write_text("{")
        os._exit(0)
    os.waitpid(child, 0)
    assert len(os.listdir(archive)) == 1
    recover(lake)
    assert os.listdir(archive) == []


def test_a_cleanup_takes_along_what_an_old_script_wrote_before_it(lake: Lake) -> None:
    fill(lake)
    assert run(lake, "cutover")["exit_code"] == 0
    append_as_the_old_script(lake.pointer / PLACE)
    done = run(lake, "cleanup", checks=())
    assert done["exit_code"] == 0
    assert "1 file was written by something else and repaired" in str(done["steps"])
    assert run(lake, "restore")["exit_code"] == 0
    path = lake.dataset(Generation.V1, Statement.BALANCE_SHEETS).file(202505, "AAA")
    rows = pq.read_table(path, partitioning=None)["financials"].to_pylist()
    assert 77.0 in [row["balance_sheet"]["assets"]["value"] for row in rows]


def test_what_an_old_script_wrote_before_a_rollback_goes_to_v1(lake: Lake) -> None:
    assert run(fill(lake), "cutover", checks=())["exit_code"] == 0
    append_as_the_old_script(lake.pointer / PLACE)
    assert run(lake, "rollback", checks=())["exit_code"] == 0
    assert lake.primary is Generation.V1
    assert notice(lake) is not None
    quarantine_foreign_files(lake)  # as the next load does
    assert notice(lake) is None
    path = lake.dataset(Generation.V1, Statement.BALANCE_SHEETS).file(202505, "AAA")
    rows = pq.read_table(path, partitioning=None)["financials"].to_pylist()
    assert 77.0 in [row["balance_sheet"]["assets"]["value"] for row in rows]


@pytest.mark.parametrize("generation", Generation)
def test_a_flipped_bit_in_a_text_is_named_like_any_other(
    lake: Lake, generation: Generation
) -> None:
    fill(lake)
    dataset = lake.dataset(generation, Statement.BALANCE_SHEETS)
    partition, ticker, _ = next(iter(dataset.files()))
    path = dataset.file(partition, ticker)
    table = pq.read_table(path, partitioning=None)
    position = table.schema.get_field_index("cik")
    broken = pa.array([b"00\xec0000001"] * table.num_rows).view(pa.string())
    table = table.set_column(position, table.schema.field(position), broken)
    pq.write_table(table, path)
    shown = str(path.relative_to(lake.root))
    assert [problem.file for problem in verify(lake).problems] == [shown]
    with pytest.raises(DamagedFileError, match=r"cannot be read .*Invalid UTF8"):
        read_file(dataset, partition, ticker)
