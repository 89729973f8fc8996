"""One table's commit: the partitions that changed, replaced in one step, with where they come from.

The commit's metadata has, under `KEY`, the lake, the build, its generation, the run, and the digest
of every partition. The next publish compares with it: of what is the same nothing is written. A
commit of anybody else since, but for maintenance that changes no row, is refused. Where the log has
lost our commit, and only maintenance can have followed it, the table is written whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pa_fs
from deltalake import CommitProperties, DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import TableNotFoundError
from deltalake.fs import DeltaStorageHandler

from polygon_fundamentals.errors import PublishError
from polygon_fundamentals.publish.faults import explained
from polygon_fundamentals.publish.ownership import (
    KEY,
    TAKEN_OVER,
    Mark,
    NewestWrite,
    known_write,
    mark_of,
    newest_write,
    not_ours,
    refuse_another_write,
    transactions,
)
from polygon_fundamentals.publish.sources import TableSource
from polygon_fundamentals.publish.target import PublishChoices, Target
from polygon_fundamentals.silver.build_files import ROW_GROUP

HOURS = 24
# For how long the commits themselves are there, which time travel needs beside the files.
_LOG_KEPT = "delta.logRetentionDuration"
# For how long a checkpoint still names a file that was replaced. Only what is named is ever
# removed, so it is longer than the retention: after a pause of publishing the file is found, too.
_REMOVED_NAMED = "delta.deletedFileRetentionDuration"
_PAUSE_DAYS = 90
# How our commits name a file. Where there is no table, a publish that was cut off left it.
_OURS = re.compile(r"[^/=]+=[^/]+/part-\d{5}-[0-9a-f-]{36}-c000\.zstd\.parquet")


@dataclass(frozen=True)
class Provenance:
    """Where a commit comes from: the lake's id, the build of silver, its generation, the run."""

    lake: str
    build: str
    generation: str
    run: str


@dataclass(frozen=True)
class TableReport:
    """What became of one table; `version` is the one that readers see now.

    `partitions_written` are those replaced or removed, `files_removed` what the retention let go.
    """

    table: str
    url: str
    version: int
    committed: bool
    partitions: int
    partitions_written: int = 0
    files_removed: int = 0


def publish_table(
    source: TableSource,
    target: Target,
    provenance: Provenance,
    choices: PublishChoices,
    version_before: int | None = None,
) -> TableReport:
    """Bring a table to a source's content in one commit, or none if it has it; return the report.

    Files that only versions older than `keep_days` need are removed afterwards: those that our
    commits replaced, and no others. `version_before` is the version that the table had when the
    lake was last published there, and all of it was the lake's; None if it never was. A table that
    had one and is gone is refused. With `take_over` it is begun anew, and all rows of a table that
    somebody else wrote are replaced; its files stay.

    Raises:
        PublishError: the table stands as it was, or somebody else wrote to it meanwhile; the text
            says why and what to do.
    """
    url, keep_days = target.table(source.name), choices.keep_days
    with explained(url, target.command):
        options = dict(target.options)
        table = _opened(url, options)
        newest = known = None
        if table is not None:
            newest = newest_write(table, url, options)
            known = known_write(table, newest, provenance.lake, version_before)
            if known is None and not choices.take_over:
                raise not_ours(url, newest, mark_of(table, provenance.lake), target)
        taken_over = table is not None and known is None
        if table is None:
            if version_before is not None and not choices.take_over:
                raise _gone(url, version_before, target)
            if target.is_folder:
                Path(url).mkdir(parents=True, exist_ok=True)
            _refuse_others(url, options)
        elif known is not None and TAKEN_OVER in known:
            _forget_replaced(table)
        written = _write(table or url, source, known, options, provenance, keep_days)
        table = DeltaTable(url, storage_options=options)
        removed = 0 if taken_over else _vacuum(table, keep_days, provenance)
        _note(table, keep_days, provenance.lake, newest)
        table.update_incremental()
        refuse_another_write(table, url, target, provenance.lake)
    return TableReport(
        source.name, url, table.version(), written > 0, len(source.digests), written, removed
    )


def _opened(url: str, options: dict[str, str]) -> DeltaTable | None:
    try:
        return DeltaTable(url, storage_options=options)
    except TableNotFoundError:
        return None


def _gone(url: str, version: int, target: Target) -> PublishError:
    """Return why a table that is gone is not begun anew: its folder may just not be mounted."""
    where = "mount it" if target.is_folder else "check the bucket's name and AWS_ENDPOINT_URL"
    return PublishError(
        f"{url} was published as version {version} and is not there, so nothing was written; "
        f"{where}, or begin the table anew with `{target.command} --take-over`"
    )


def _refuse_others(url: str, options: dict[str, str]) -> None:
    """Refuse a place with files of others: who reads them would read ours with them."""
    store = pa_fs.PyFileSystem(DeltaStorageHandler(url, options))
    there = store.get_file_info(pa_fs.FileSelector("", recursive=True, allow_not_found=True))
    for file in there:
        ours = file.path.startswith("_delta_log/") or _OURS.fullmatch(file.path)
        # Nothing is read from an empty object, which many tools write for a folder of a bucket.
        if file.is_file and file.size and not ours:
            raise PublishError(
                f"{url} is not a Delta table and holds other files, such as {file.path}; publish "
                "to another place, or move them away"
            )


def _write(
    place: DeltaTable | str,
    source: TableSource,
    known: Mapping[str, Any] | None,
    options: dict[str, str],
    provenance: Provenance,
    keep_days: int,
) -> int:
    """Commit what changed; return the number of partitions that were replaced or removed."""
    shape = blake2b(source.schema.to_string().encode(), digest_size=8).hexdigest()
    whole = known is None or known["schema"] != shape
    before = {} if known is None else known["partitions"]
    now = source.digests
    changed = sorted(v for v in {*before, *now} if whole or before.get(v) != now.get(v))
    if not changed and not whole:
        return 0
    ours = {**vars(provenance), "schema": shape, "partitions": dict(now)}
    mark = Mark(0, taken_over=False)
    if not isinstance(place, str):
        mark = Mark(place.version() + 1, taken_over=known is None)
    if mark.taken_over:
        ours[TAKEN_OVER] = True
    properties = CommitProperties(
        custom_metadata={KEY: ours},
        app_transactions=transactions(provenance.lake, mark),
        # Never upon another's commit: a mixture of two builds would come of it.
        max_commit_retries=0,
    )
    batches = source.rows([value for value in changed if value in now])
    rows = pa.RecordBatchReader.from_batches(source.schema, batches)
    shared: dict[str, Any] = {
        "writer_properties": WriterProperties(compression="ZSTD", max_row_group_size=ROW_GROUP),
        "commit_properties": properties,
    }
    column = source.partition
    if isinstance(place, str):
        write_deltalake(
            place,
            rows,
            partition_by=[column.name],
            mode="error",
            name=source.name,
            configuration=_retention(keep_days),
            storage_options=options,
            **shared,
        )
    elif whole:
        write_deltalake(place, rows, mode="overwrite", schema_mode="overwrite", **shared)
    else:
        wanted = changed if column.type == pa.int32() else [f"'{value}'" for value in changed]
        predicate = f"{column.name} IN ({', '.join(wanted)})"
        write_deltalake(place, rows, mode="overwrite", predicate=predicate, **shared)
    return max(len(changed), 1)


def _retention(keep_days: int) -> dict[str, str]:
    return {
        _LOG_KEPT: f"interval {keep_days} days",
        _REMOVED_NAMED: f"interval {keep_days + _PAUSE_DAYS} days",
    }


def _note(table: DeltaTable, keep_days: int, lake: str, newest: NewestWrite | None) -> None:
    """Note the retention in the table, and the lake's mark, which earlier versions did not set."""
    wanted, marks = _retention(keep_days), []
    if mark_of(table, lake) is None and newest is not None and newest.ours is not None:
        marks = transactions(lake, Mark(newest.version, TAKEN_OVER in newest.ours))
    if marks or not wanted.items() <= table.metadata().configuration.items():
        properties = CommitProperties(app_transactions=marks)
        table.alter.set_table_properties(wanted, commit_properties=properties)


def _forget_replaced(table: DeltaTable) -> None:
    """Write a checkpoint that names no replaced file, for a table that our newest commit took over.

    What was replaced until then is of others. A run that is cut off leaves it to the next one.
    """
    # Never upon another's commit, which ours would then build on unseen.
    alone = CommitProperties(max_commit_retries=0)
    nothing = {_REMOVED_NAMED: "interval 0 days"}
    table.alter.set_table_properties(nothing, commit_properties=alone)
    table.create_checkpoint()


def _vacuum(table: DeltaTable, keep_days: int, provenance: Provenance) -> int:
    """Remove what our commits replaced more than `keep_days` ago; return how many files.

    Never `full`, which removes every file that the log does not name, whoever wrote it.
    """
    retention: dict[str, Any] = {
        "retention_hours": keep_days * HOURS,
        "enforce_retention_duration": False,
        "full": False,
    }
    if not table.vacuum(dry_run=True, **retention):
        return 0
    properties = CommitProperties(custom_metadata={KEY: vars(provenance)})
    return len(table.vacuum(dry_run=False, commit_properties=properties, **retention))
