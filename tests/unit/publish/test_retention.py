"""What a publish removes after the retention, and whose files it leaves alone."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from deltalake import DeltaTable, write_deltalake

from polygon_fundamentals.errors import PublishError
from polygon_fundamentals.publish import delta
from polygon_fundamentals.publish.target import Target
from polygon_fundamentals.silver import TABLE
from tests.builders.publishing import (
    BothBuilds,
    files_of,
    fingerprint,
    names,
    opened,
    publish,
    put,
    rows_of,
)


def test_what_no_kept_version_needs_is_removed(
    builds: BothBuilds, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(builds, builds.v1, target)
    publish(builds, builds.v2, target, keep_days=1)
    assert opened(target).version() == 2  # nothing is a day old
    # A day of no length: what v1's build had is then too old.
    with monkeypatch.context() as patched:
        patched.setattr(delta, "HOURS", 0)
        report = publish(builds, builds.v2, target, keep_days=1)
    assert report.tables[0].files_removed > 0
    assert not report.tables[0].committed
    operations = [c["operation"] for c in opened(target).history()]
    noted = "SET TBLPROPERTIES"  # that a day is kept
    assert operations == ["VACUUM END", "VACUUM START", noted, "WRITE", "WRITE"]
    assert fingerprint(opened(target).to_pyarrow_table()) == fingerprint(rows_of(builds.v2, TABLE))
    # Maintenance is no change of somebody else.
    assert publish(builds, builds.v1, target).tables[0].committed


def test_another_retention_is_noted_in_the_table_once(builds: BothBuilds, target: Target) -> None:
    publish(builds, builds.v1, target)
    for _ in range(2):
        publish(builds, builds.v1, target, keep_days=90)
    table = opened(target)
    settings = table.metadata().configuration
    assert settings["delta.logRetentionDuration"] == "interval 90 days"
    assert settings["delta.deletedFileRetentionDuration"] == "interval 180 days"
    assert [c["operation"] for c in table.history()] == ["SET TBLPROPERTIES", "WRITE"]
    publish(builds, builds.v2, target, keep_days=90)
    assert fingerprint(opened(target).to_pyarrow_table()) == fingerprint(rows_of(builds.v2, TABLE))


@pytest.mark.parametrize(
    "other", ["letter.txt", "year=2023/part-291666de185f1e4c.parquet", "year=2023/letter.txt"]
)
def test_a_place_with_other_files_is_left_alone(
    builds: BothBuilds, target: Target, other: str
) -> None:
    files = files_of(target, TABLE)
    put(files, other)
    with pytest.raises(PublishError, match=rf"holds other files, such as {re.escape(other)}"):
        publish(builds, builds.v1, target)
    assert names(files) == [other]


def test_what_a_first_publish_that_was_cut_off_left_is_in_nobodys_way(
    builds: BothBuilds, target: Target
) -> None:
    files = files_of(target, TABLE)
    publish(builds, builds.v1, target)
    log = [name for name in names(files) if name.startswith("_delta_log/")]
    for name in log:
        files.delete_file(name)
    assert publish(builds, builds.v1, target).tables[0].version == 0
    assert fingerprint(opened(target).to_pyarrow_table()) == fingerprint(rows_of(builds.v1, TABLE))


def test_a_file_that_publish_did_not_write_is_never_removed(
    builds: BothBuilds, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = files_of(target, TABLE)
    publish(builds, builds.v1, target)
    ours = names(files)
    others = ["letter.txt", "year=2023/part-0.parquet", "year=2023/part-1.csv", "old/a.parquet"]
    for other in others:
        put(files, other)
    monkeypatch.setattr(delta, "HOURS", 0)  # all that there is is old
    report = publish(builds, builds.v2, target)
    gone = {name for name in ours if name.endswith(".parquet")} - set(names(files))
    assert report.tables[0].files_removed == len(gone) > 0
    assert set(others) <= set(names(files))


@pytest.mark.slow
def test_the_files_of_a_table_that_was_taken_over_stay_and_ours_go(
    builds: BothBuilds, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = files_of(target, TABLE)
    url, options = target.table(TABLE), dict(target.options)
    theirs = rows_of(builds.v1, TABLE).slice(0, 9)
    for _ in range(2):  # the second replaced the files of the first, and they may want them back
        write_deltalake(url, theirs, mode="overwrite", storage_options=options)
    before = {name for name in names(files) if name.endswith(".parquet")}
    assert len(before) == 2
    monkeypatch.setattr(delta, "HOURS", 0)
    taken = publish(builds, builds.v1, target, take_over=True)
    again = publish(builds, builds.v1, target)
    assert [r.tables[0].files_removed for r in (taken, again)] == [0, 0]
    ours = {name for name in names(files) if name.endswith(".parquet")} - before
    report = publish(builds, builds.v2, target)
    assert report.tables[0].files_removed > 0
    assert before <= set(names(files))
    assert ours - set(names(files))
    assert opened(target).metadata().configuration["delta.deletedFileRetentionDuration"] == (
        "interval 120 days"
    )
    for version in (0, 1):
        past = DeltaTable(url, version=version, storage_options=options)
        assert past.to_pyarrow_table().num_rows == 9


@pytest.mark.slow
def test_a_checkpoint_keeps_the_versions_of_the_retention_and_the_names_of_what_goes(
    builds: BothBuilds, tmp_path: Path
) -> None:
    target = Target.of(str(tmp_path / "tables"))
    publish(builds, builds.v1, target)
    publish(builds, builds.v2, target)
    wide = Path(target.table(TABLE))
    for file in wide.rglob("*.parquet"):
        os.utime(file, (1, 1))

    def replaced_days_ago(days: int) -> int:
        # Delta Lake's client writes a checkpoint every 100 commits.
        for old in wide.glob("_delta_log/*checkpoint*"):
            old.unlink()
        log = wide / "_delta_log" / f"{1:020}.json"
        at = str(int((time.time() - days * 86_400) * 1000))
        log.write_text(re.sub(r'(?<="deletionTimestamp":)\d+', at, log.read_text()))
        opened(target).create_checkpoint()
        return publish(builds, builds.v2, target).tables[0].files_removed

    assert replaced_days_ago(29) == 0
    past = DeltaTable(target.table(TABLE), version=0)
    assert fingerprint(past.to_pyarrow_table()) == fingerprint(rows_of(builds.v1, TABLE))
    assert replaced_days_ago(60) > 0  # publishing paused for a month
