"""Silver as Delta Lake tables: what is written, what is not, and every fault."""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from polygon_fundamentals import silver
from polygon_fundamentals.errors import LakeError, LakeLockedError, PublishError, UsageError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.locks import exclusive
from polygon_fundamentals.periods.current import current_rows
from polygon_fundamentals.publish import publish as publishing
from polygon_fundamentals.publish.delta import Provenance, publish_table
from polygon_fundamentals.publish.ownership import KEY
from polygon_fundamentals.publish.publish import PublishReport, lake_id
from polygon_fundamentals.publish.sources import silver_tables
from polygon_fundamentals.publish.target import PublishChoices, Target
from polygon_fundamentals.silver import HISTORY_TABLE, TABLE
from polygon_fundamentals.statements import Generation, Statement
from tests.builders.ledger import entry
from tests.builders.mounts import mounted
from tests.builders.publishing import (
    BUCKET,
    READERS,
    S3,
    BothBuilds,
    cut_after,
    files_of,
    fingerprint,
    in_order,
    names,
    opened,
    publish,
    read,
    readers,
    rows_of,
)

SWITCHES = 20


def credentials(target: Target) -> dict[str, str]:
    """Return what a reader needs; our patience is not theirs."""
    return {name: text for name, text in target.options.items() if name.startswith("AWS_")}


@pytest.mark.parametrize("table", [TABLE, HISTORY_TABLE])
def test_every_reader_reads_silvers_rows(builds: BothBuilds, target: Target, table: str) -> None:
    publish(builds, builds.v1, target)
    expected = rows_of(builds.v1, table)
    assert expected.num_rows > 50
    for tool in READERS:
        rows = read(tool, target.table(table), credentials(target)).select(expected.schema.names)
        assert in_order(rows.cast(expected.schema)).equals(expected), tool


def test_the_same_build_again_writes_nothing(builds: BothBuilds, target: Target) -> None:
    first = publish(builds, builds.v1, target)
    assert [(t.version, t.committed) for t in first.tables] == [(0, True), (0, True)]
    again = publish(builds, builds.v1, target)
    assert [(t.version, t.committed, t.partitions_written) for t in again.tables] == [
        (0, False, 0)
    ] * 2
    assert again.message == (
        f"nothing to publish; unchanged: {TABLE}, {HISTORY_TABLE}; build {builds.v1.id} in "
        f"{target.url}"
    )


def test_a_switch_is_one_commit_more_and_time_travel_goes_back(
    builds: BothBuilds, target: Target
) -> None:
    for build in (builds.v1, builds.v2, builds.v1):
        publish(builds, build, target)
    for table in (TABLE, HISTORY_TABLE):
        commits = opened(target, table).history()
        assert [c["operation"] for c in commits] == ["WRITE"] * 3
        ours = [c[KEY] for c in reversed(commits)]
        assert [o["build"] for o in ours] == [builds.v1.id, builds.v2.id, builds.v1.id]
        assert [o["generation"] for o in ours] == ["v1", "v2", "v1"]
        assert {(o["run"], o["lake"]) for o in ours} == {("a-run", lake_id(builds.lake))}
    past = DeltaTable(target.table(TABLE), version=1, storage_options=dict(target.options))
    assert fingerprint(past.to_pyarrow_table()) == fingerprint(rows_of(builds.v2, TABLE))


def test_only_partitions_that_changed_are_written(builds: BothBuilds, target: Target) -> None:
    sources = {s.name: s for s in silver_tables(builds.v1)}
    wide = sources[TABLE]
    years = sorted(wide.digests)
    assert len(years) > 2
    known = Provenance(lake_id(builds.lake), "b1", "v1", "r1")
    publish_table(wide, target, known, PublishChoices())
    before = set(opened(target).file_uris())
    # One partition has other content now, and one is gone.
    asked: list[str] = []

    def rows(values: Sequence[str]) -> Iterator[pa.RecordBatch]:
        asked.extend(values)
        yield from wide.rows(values)

    digests = {**wide.digests, years[1]: "another"}
    del digests[years[0]]
    report = publish_table(
        replace(wide, digests=digests, rows=rows), target, known, PublishChoices()
    )
    after = set(opened(target).file_uris())
    assert (report.partitions_written, asked) == (2, [years[1]])
    assert len(before & after) == len(years) - 2
    assert len(after) == len(years) - 1


def test_a_table_of_another_schema_is_replaced_whole(builds: BothBuilds, target: Target) -> None:
    wide = next(iter(silver_tables(builds.v1)))
    known = Provenance(lake_id(builds.lake), "b1", "v1", "r1")
    publish_table(wide, target, known, PublishChoices())
    narrow = pa.schema([f for f in wide.schema if f.name != "is_revenue"])

    def rows(values: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for batch in wide.rows(values):
            yield batch.select(narrow.names)

    report = publish_table(replace(wide, schema=narrow, rows=rows), target, known, PublishChoices())
    table = opened(target).to_pyarrow_table()
    assert report.version == 1
    assert "is_revenue" not in table.schema.names
    assert table.num_rows == rows_of(builds.v1, TABLE).num_rows


@pytest.mark.parametrize("generation", list(Generation))
def test_bronze_has_the_current_records_of_the_primary_generation(
    builds: BothBuilds, tmp_path: Path, generation: Generation
) -> None:
    target = Target.of(str(tmp_path / "tables"))
    build = builds.v1 if generation is Generation.V1 else builds.v2
    report = publish(builds, build, target, bronze=True)
    assert [t.table for t in report.tables[2:]] == [f"bronze_{generation}_{s}" for s in Statement]
    again = publish(builds, build, target, bronze=True)
    assert not any(t.committed for t in again.tables)
    records = read_dataset(builds.lake.dataset(generation, Statement.CASH_FLOW))
    current = records.take(pa.array(current_rows(records, generation, by_ticker=True)))
    table = opened(target, f"bronze_{generation}_cash_flow").to_pyarrow_table()
    assert 0 < table.num_rows == current.num_rows < records.num_rows + 1
    keys = ["ticker", "cik", "timeframe", "observed_at"]
    assert sorted(map(str, table.select(keys).to_pylist())) == sorted(
        map(str, current.select(keys).to_pylist())
    )


@pytest.mark.slow
def test_readers_never_fail_and_never_see_a_mixture_while_builds_switch(
    builds: BothBuilds, target: Target, tmp_path: Path
) -> None:
    publish(builds, builds.v1, target)
    with readers(target.table(TABLE), credentials(target), tmp_path) as seen:
        for number in range(SWITCHES):
            report = publish(builds, (builds.v2, builds.v1)[number % 2], target)
            assert report.tables[0].version == number + 1
    assert set(seen) == set(READERS)
    marks = {fingerprint(rows_of(build, TABLE)) for build in (builds.v1, builds.v2)}
    for tool, counts in seen.items():
        assert set(counts) <= marks, tool
        assert sum(counts.values()) > 1, tool
    assert set().union(*seen.values()) == marks


def refused(target: Target, table: str, match: str, call: Any, kind: Any = PublishError) -> None:
    """Assert that a publish fails so, in one line, and that readers see the version before."""
    before = opened(target, table)
    rows = fingerprint(before.to_pyarrow_table())
    with pytest.raises(kind, match=match) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    after = opened(target, table)
    assert after.version() == before.version()
    assert fingerprint(after.to_pyarrow_table()) == rows


def test_of_two_publishers_at_once_one_is_told_to_run_again(
    builds: BothBuilds, target: Target
) -> None:
    v1, v2 = (next(iter(silver_tables(b))) for b in (builds.v1, builds.v2))
    known = Provenance(lake_id(builds.lake), "b", "v1", "r")
    publish_table(v1, target, known, PublishChoices())

    def rows(values: Sequence[str]) -> Iterator[pa.RecordBatch]:
        # The other one commits while this one writes its files.
        other = threading.Thread(
            target=lambda: publish_table(
                replace(v1, digests={**v1.digests, values[0]: "x"}), target, known, PublishChoices()
            )
        )
        other.start()
        other.join()
        yield from v2.rows(values)

    with pytest.raises(PublishError, match="another publisher committed at the same time"):
        publish_table(replace(v2, rows=rows), target, known, PublishChoices())
    table = opened(target)
    assert table.version() == 1
    assert fingerprint(table.to_pyarrow_table()) == fingerprint(rows_of(builds.v1, TABLE))


def test_of_two_that_create_a_table_one_is_told_to_run_again(
    builds: BothBuilds, target: Target
) -> None:
    wide = next(iter(silver_tables(builds.v1)))
    known = Provenance(lake_id(builds.lake), "b", "v1", "r")

    def rows(values: Sequence[str]) -> Iterator[pa.RecordBatch]:
        other = threading.Thread(
            target=lambda: publish_table(wide, target, known, PublishChoices())
        )
        other.start()
        other.join()
        yield from wide.rows(values)

    with pytest.raises(PublishError, match=rf"run `{re.escape(target.command)}` again"):
        publish_table(replace(wide, rows=rows), target, known, PublishChoices())
    assert opened(target).version() == 0
    assert fingerprint(opened(target).to_pyarrow_table()) == fingerprint(rows_of(builds.v1, TABLE))


def test_two_publishes_of_one_lake_take_turns(
    builds: BothBuilds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "LOCK_SECONDS", 0.1)
    with (
        exclusive(builds.lake.lock("publish")),
        pytest.raises(LakeLockedError, match="publishing of this lake is held by another run"),
    ):
        publish(builds, builds.v1, Target.of(str(tmp_path / "tables")))
    assert not (tmp_path / "tables").exists()


def test_a_publish_that_waited_takes_the_build_that_readers_see_then(
    builds: BothBuilds, tmp_path: Path
) -> None:
    target, reports = Target.of(str(tmp_path / "tables")), list[PublishReport]()
    waiting = threading.Thread(target=lambda: reports.append(publish(builds, builds.v1, target)))
    with exclusive(builds.lake.lock("publish")):
        waiting.start()
        time.sleep(0.5)  # until it waits
        silver.point(builds.lake, builds.v2)
    waiting.join()
    assert [report.build for report in reports] == [builds.v2.id]


def test_a_table_that_somebody_else_wrote_to_is_left_alone_unless_taken_over(
    builds: BothBuilds, target: Target
) -> None:
    publish(builds, builds.v1, target)
    url, options = target.table(TABLE), dict(target.options)
    table = opened(target)
    table.delete("ticker = 'no such'")
    one = table.to_pyarrow_table().slice(0, 1)
    write_deltalake(url, one, mode="append", storage_options=options)
    refused(
        target,
        TABLE,
        r"somebody else wrote its version \d, so nothing was written; publish to another place, or "
        rf"replace all of it with `polygon-fundamentals publish --to {target.url} --take-over`",
        lambda: publish(builds, builds.v2, target),
    )
    report = publish(builds, builds.v2, target, take_over=True)
    assert report.tables[0].committed
    assert fingerprint(opened(target).to_pyarrow_table()) == fingerprint(rows_of(builds.v2, TABLE))


def test_a_table_that_is_gone_is_begun_anew_only_where_it_is_asked_for(
    builds: BothBuilds, tmp_path: Path
) -> None:
    share = tmp_path / "share"
    target = Target.of(str(share / "tables"))
    publish(builds, builds.v1, target)
    second = publish(builds, builds.v2, target)
    ran = {"parameters": {"to": target.url}, "outcome": "succeeded"}
    entry(builds.lake, tmp_path.name, flow="publish", published=second.as_json(), **ran)
    share.rename(tmp_path / "disk")
    share.mkdir()  # the mount point, while the disk is away
    refused = (
        rf"{target.table(TABLE)} was published as version 1 and is not there, so nothing was "
        "written; mount it, or begin the table anew with "
        rf"`polygon-fundamentals publish --to {target.url} --take-over`"
    )
    with pytest.raises(PublishError, match=refused):
        publish(builds, builds.v1, target)
    assert list(share.iterdir()) == []
    share.rmdir()
    (tmp_path / "disk").rename(share)
    assert publish(builds, builds.v1, target).tables[0].version == 2
    shutil.rmtree(share)
    anew = publish(builds, builds.v1, target, take_over=True)
    assert [t.version for t in anew.tables] == [0, 0]
    assert fingerprint(opened(target).to_pyarrow_table()) == fingerprint(rows_of(builds.v1, TABLE))


@pytest.mark.slow
def test_a_table_that_is_gone_from_its_bucket_is_not_begun_anew(
    builds: BothBuilds, store: S3, tmp_path: Path
) -> None:
    """As where AWS_ENDPOINT_URL names another store that has such a bucket."""
    target = Target.of(f"s3://{BUCKET}/{tmp_path.name}", store.options())
    report = {"tables": [{"table": TABLE, "version": 41}]}
    ran = {"parameters": {"to": target.url}, "outcome": "succeeded"}
    entry(builds.lake, tmp_path.name, flow="publish", published=report, **ran)
    refused = "published as version 41 and is not there, .* check the bucket's name and AWS_END"
    with pytest.raises(PublishError, match=refused):
        publish(builds, builds.v1, target)
    with pytest.raises(FileNotFoundError):  # nothing was written
        names(files_of(target, TABLE))
    assert publish(builds, builds.v1, target, take_over=True).tables[0].committed


def test_compaction_by_somebody_else_changes_no_row_and_is_no_reason(
    builds: BothBuilds, target: Target
) -> None:
    publish(builds, builds.v1, target)
    opened(target).optimize.compact()
    publish(builds, builds.v2, target)
    assert fingerprint(opened(target).to_pyarrow_table()) == fingerprint(rows_of(builds.v2, TABLE))


def test_a_table_of_another_lake_is_left_alone(
    builds: BothBuilds, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(builds, builds.v1, target)
    monkeypatch.setattr(publishing, "lake_id", lambda lake: "another")
    refused(
        target, TABLE, "another lake wrote its version", lambda: publish(builds, builds.v2, target)
    )


def _fill_up(path: Path) -> None:
    with open(path, "wb", buffering=0) as filler:
        while True:
            filler.write(b"x" * 4096)


def test_a_full_disk_leaves_the_version_before(builds: BothBuilds, tmp_path: Path) -> None:
    with mounted(tmp_path / "small", megabytes=3) as folder:
        target = Target.of(str(folder))
        publish(builds, builds.v1, target)
        with pytest.raises(OSError, match="No space"):
            _fill_up(folder / "filler")
        refused(
            target,
            TABLE,
            "the disk is full; .* Free space there",
            lambda: publish(builds, builds.v2, target),
        )
        (folder / "filler").unlink()
        publish(builds, builds.v2, target)
        rows = fingerprint(opened(target).to_pyarrow_table())
        assert rows == fingerprint(rows_of(builds.v2, TABLE))


@pytest.mark.slow
# In the first while the table is opened, in the second while files are sent.
@pytest.mark.parametrize("bytes_sent", [1_500, 20_000])
def test_a_connection_that_is_cut_leaves_the_version_before(
    builds: BothBuilds, store: S3, tmp_path: Path, bytes_sent: int
) -> None:
    url = f"s3://{BUCKET}/{tmp_path.name}"
    target = Target.of(url, store.options())
    publish(builds, builds.v1, target)
    with cut_after(store.endpoint, bytes_sent) as endpoint:
        short = {"max_retries": "1", "retry_timeout": "5s"}
        cut = Target.of(url, {**store.options(), **short, "AWS_ENDPOINT_URL": endpoint})
        refused(
            target,
            TABLE,
            "the store does not answer; .* Check the network",
            lambda: publish(builds, builds.v2, cut),
        )
    publish(builds, builds.v2, target)
    assert fingerprint(opened(target).to_pyarrow_table()) == fingerprint(rows_of(builds.v2, TABLE))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"AWS_ACCESS_KEY_ID": "guest-key"}, "does not accept the credentials"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong-secret"}, "does not accept the credentials"),
        (
            {"AWS_ACCESS_KEY_ID": "guest-key", "AWS_SECRET_ACCESS_KEY": "guest-secret-7Zq9"},
            "access is denied; .* Give the credentials the right to list, read, write and delete",
        ),
    ],
)
def test_a_denied_bucket_leaves_the_version_before(
    builds: BothBuilds, store: S3, tmp_path: Path, change: dict[str, str], match: str
) -> None:
    url = f"s3://{BUCKET}/{tmp_path.name}"
    target = Target.of(url, store.options())
    publish(builds, builds.v1, target)
    denied = Target.of(url, {**store.options(), **change})
    refused(target, TABLE, match, lambda: publish(builds, builds.v2, denied))


@pytest.mark.slow
def test_a_bucket_that_is_not_there_is_named(builds: BothBuilds, store: S3) -> None:
    with pytest.raises(PublishError, match=r"there is no such bucket; .* correct --to"):
        publish(builds, builds.v1, Target.of("s3://nowhere/x", store.options()))


@pytest.mark.parametrize("called", ["json.dumps", "polygon_fundamentals.publish.sources._with"])
def test_ctrl_c_while_the_writer_calls_back_is_ctrl_c(
    builds: BothBuilds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, called: str
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(called, interrupted)
    with pytest.raises(KeyboardInterrupt):
        publish(builds, builds.v1, Target.of(str(tmp_path / "tables")))


def test_without_silver_there_is_nothing_to_publish(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="silver was not built yet"):
        publishing.publish(lake, Target.of(str(tmp_path / "t")), "r", PublishChoices())


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("ftp://host/x", "ftp:// is not known"),
        ("s3://key:secret@bucket/x", "must not hold a user, a password"),
        ("s3://bucket/x?sig=secret", "must not hold a user, a password"),
        ("s3:///x", "names no bucket"),
        ("gs://my bucket", "names no bucket"),
        ("file://", "--to is empty"),
    ],
)
def test_a_place_that_cannot_be_used_is_refused(url: str, match: str) -> None:
    with pytest.raises(UsageError, match=match) as caught:
        Target.of(url)
    assert "secret" not in str(caught.value)


def test_options_are_not_shown() -> None:
    assert "hidden" not in repr(Target.of("s3://bucket/x", {"AWS_SECRET_ACCESS_KEY": "hidden"}))
    assert Target.of("file:///tmp/a%20b").url == "/tmp/a b"
    assert Target.of("abfss://box@account.dfs.core.windows.net/x/").url.endswith("/x")
