"""A table whose log an engine cleaned up is known if nobody can have changed its rows since."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from deltalake import DeltaTable, write_deltalake

from polygon_fundamentals.errors import PublishError
from polygon_fundamentals.publish import delta, ownership
from polygon_fundamentals.publish import publish as publishing
from polygon_fundamentals.publish.target import Target
from polygon_fundamentals.silver import TABLE
from tests.builders.ledger import entry
from tests.builders.publishing import (
    BothBuilds,
    files_of,
    fingerprint,
    names,
    opened,
    publish,
    rows_of,
)


def maintain(target: Target, times: int = 1) -> None:
    """Commit what changes no row, as another engine does."""
    table = opened(target)
    for number in range(times):
        table.alter.set_table_properties({"delta.checkpointInterval": str(10 + number)})


def append_a_row(target: Target) -> None:
    """Write what is not ours."""
    row = opened(target).to_pyarrow_table().slice(0, 1)
    options = dict(target.options)
    write_deltalake(target.table(TABLE), row, mode="append", storage_options=options)


def clean_up(target: Target) -> None:
    """Make a checkpoint, and remove the commits before it, as an engine does with old ones."""
    files, before = files_of(target, TABLE), opened(target).version()
    maintain(target)
    opened(target).create_checkpoint()
    for version in range(before + 1):
        files.delete_file(f"_delta_log/{version:020}.json")
    assert [c["operation"] for c in opened(target).history()] == ["SET TBLPROPERTIES"]


def parquet_files(target: Target) -> set[str]:
    return {name for name in names(files_of(target, TABLE)) if not name.startswith("_delta_log/")}


def noted(builds: BothBuilds, target: Target, version: int) -> None:
    """Note in the ledger that all was published there, as the version."""
    report = {"tables": [{"table": TABLE, "version": version}]}
    ran = {"parameters": {"to": target.url}, "outcome": "succeeded"}
    name = f"{uuid.uuid4().hex}-{version}"
    entry(builds.lake, name, flow="publish", published=report, **ran)


def test_what_is_ours_after_a_checkpoint_is_written_whole_and_what_it_replaces_goes(
    builds: BothBuilds, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(builds, builds.v1, target)
    first = parquet_files(target)
    clean_up(target)
    report = publish(builds, builds.v1, target).tables[0]
    assert (report.committed, report.partitions_written) == (True, report.partitions)
    assert fingerprint(opened(target).to_pyarrow_table()) == fingerprint(rows_of(builds.v1, TABLE))
    assert not publish(builds, builds.v1, target).tables[0].committed
    monkeypatch.setattr(delta, "HOURS", 0)  # what was replaced is old
    assert publish(builds, builds.v1, target).tables[0].files_removed == len(first)
    assert parquet_files(target).isdisjoint(first)
    assert len(parquet_files(target)) == len(opened(target).file_uris())


def test_many_commits_of_maintenance_hide_nothing(builds: BothBuilds, tmp_path: Path) -> None:
    target = Target.of(str(tmp_path / "tables"))
    publish(builds, builds.v1, target)
    maintain(target, times=205)
    version = opened(target).version()
    report = publish(builds, builds.v1, target).tables[0]
    assert (report.committed, report.version) == (False, version)


@pytest.mark.parametrize("published", [None, 1, 2])
def test_commits_that_nobody_knows_are_proof_of_nothing(
    builds: BothBuilds, target: Target, published: int | None
) -> None:
    """Version 2 may have been anything, unless a publish found it in order."""
    publish(builds, builds.v1, target)
    maintain(target, times=2)
    if published is not None:
        noted(builds, target, published)
    clean_up(target)
    if published == 2:
        assert publish(builds, builds.v1, target).tables[0].committed
        return
    with pytest.raises(PublishError) as caught:
        publish(builds, builds.v1, target)
    assert str(caught.value) == (
        f"{target.table(TABLE)}: this lake last wrote its version 0, its log begins after version "
        "2, and what was done in between is not known, so nothing was written; publish to another "
        "place, or if nobody else wrote rows there, replace all of it with "
        f"`polygon-fundamentals publish --to {target.url} --take-over`"
    )
    assert publish(builds, builds.v1, target, take_over=True).tables[0].committed


def test_rows_that_somebody_wrote_before_the_checkpoint_are_not_replaced(
    builds: BothBuilds, target: Target
) -> None:
    publish(builds, builds.v1, target)
    append_a_row(target)
    clean_up(target)
    rows = opened(target).to_pyarrow_table().num_rows
    with pytest.raises(PublishError, match="what was done in between is not known"):
        publish(builds, builds.v2, target)
    assert opened(target).to_pyarrow_table().num_rows == rows


def test_a_table_that_stands_where_ours_stood_is_not_replaced(
    builds: BothBuilds, target: Target
) -> None:
    noted(builds, target, 2)
    url, options = target.table(TABLE), dict(target.options)
    row = rows_of(builds.v1, TABLE).slice(0, 1)
    for _ in range(3):
        write_deltalake(url, row, mode="overwrite", storage_options=options)
    clean_up(target)
    with pytest.raises(
        PublishError,
        match="its log begins after version 2, and nothing in it says that this lake ever wrote",
    ):
        publish(builds, builds.v2, target)
    assert opened(target).to_pyarrow_table().num_rows == 1


@pytest.mark.parametrize("info", [None, {"operation": "OPTIMIZE"}])
def test_a_commit_that_changes_rows_is_no_maintenance_whatever_it_says(
    builds: BothBuilds, tmp_path: Path, info: dict[str, str] | None
) -> None:
    target = Target.of(str(tmp_path / "tables"))
    publish(builds, builds.v1, target)
    log = Path(target.table(TABLE)) / "_delta_log"
    first = [json.loads(line) for line in (log / f"{0:020}.json").read_text().splitlines()]
    file = next(action["add"] for action in first if "add" in action)
    removed = {"path": file["path"], "partitionValues": file["partitionValues"]}
    removed |= {"dataChange": True, "deletionTimestamp": 1, "extendedFileMetadata": True}
    removed["size"] = file["size"]
    actions = [{"remove": removed}, *([{"commitInfo": info}] if info else [])]
    (log / f"{1:020}.json").write_text("\n".join(map(json.dumps, actions)))
    with pytest.raises(PublishError, match="somebody else wrote its version 1, so nothing was"):
        publish(builds, builds.v2, target)
    assert opened(target).version() == 1


def test_files_of_others_stay_though_the_commit_that_took_over_is_gone(
    builds: BothBuilds, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, options = rows_of(builds.v1, TABLE).slice(0, 9), dict(target.options)
    write_deltalake(target.table(TABLE), rows, storage_options=options)
    theirs = parquet_files(target)
    noted(builds, target, publish(builds, builds.v1, target, take_over=True).tables[0].version)
    ours = parquet_files(target) - theirs
    clean_up(target)
    publish(builds, builds.v2, target)
    assert theirs | ours <= parquet_files(target)
    monkeypatch.setattr(delta, "HOURS", 0)
    publish(builds, builds.v2, target)
    assert theirs <= parquet_files(target)
    assert ours.isdisjoint(parquet_files(target))
    assert fingerprint(opened(target).to_pyarrow_table()) == fingerprint(rows_of(builds.v2, TABLE))


def test_a_table_of_an_earlier_version_is_marked_once(
    builds: BothBuilds, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(delta, "transactions", lambda *_: [])
        publish(builds, builds.v1, target)
    lake = publishing.lake_id(builds.lake)
    assert ownership.mark_of(opened(target), lake) is None
    assert publish(builds, builds.v1, target).tables[0].version == 1
    assert ownership.mark_of(opened(target), lake) == ownership.Mark(0, taken_over=False)
    assert publish(builds, builds.v1, target).tables[0].version == 1
    noted(builds, target, 1)
    clean_up(target)
    assert publish(builds, builds.v2, target).tables[0].committed


def test_who_writes_while_a_publish_runs_is_named_by_it(
    builds: BothBuilds, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(builds, builds.v1, target)
    vacuum = delta._vacuum

    def meanwhile(table: DeltaTable, *given: object) -> int:
        append_a_row(target)
        return vacuum(table, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(delta, "_vacuum", meanwhile)
    with pytest.raises(PublishError, match="somebody else wrote its version 1 while this lake"):
        publish(builds, builds.v1, target)
