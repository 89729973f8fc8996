"""What something else wrote through the pointer into v2's files after the cutover.

An old cron script that still appends v1 rows to `bronze/fundamentals/...` now hits v2's
files. Such a file lacks our footer mark. It is kept under `ops/quarantine/`, its v1 rows go
to v1, and v2's file is made again from the index: each row that it names is looked for in
the file itself, in the cache of the last read and in the revisions, by its content hash.
Where the index is lost too, the file's own v2 rows are all that is known, and they stay.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from polygon_fundamentals.datasets.keys import content_hashes, record_keys
from polygon_fundamentals.datasets.schemas import schema
from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.lake import cache, codec, revisions
from polygon_fundamentals.lake.archived_rows import archived_since
from polygon_fundamentals.lake.codec import is_ours
from polygon_fundamentals.lake.commit import Incoming, Scope, commit
from polygon_fundamentals.lake.dataset_summary import unindexed
from polygon_fundamentals.lake.file_names import bucket_of, partition_folder
from polygon_fundamentals.lake.index import intact
from polygon_fundamentals.lake.listing import FileState, stamp_of
from polygon_fundamentals.lake.paths import Dataset, Lake
from polygon_fundamentals.lake.storage import local
from polygon_fundamentals.lake.storage.checked import bytes_checksum
from polygon_fundamentals.locks import exclusive
from polygon_fundamentals.statements import Generation, Statement


@dataclass(frozen=True)
class QuarantinedFile:
    """One file that something else wrote: where it is now, and what became of its rows.

    `v1_rows_unread` are rows in v1's form that no reader understands; they stay in the quarantine.
    """

    file: str
    quarantined_as: str
    ticker: str
    statement: str
    v1_rows: int
    v2_rows_restored: int
    v2_rows_lost: int
    v1_rows_unread: int = 0

    def sentence(self) -> str:
        """Return one line that describes the file and what to do."""
        lost = (
            f", {self.v2_rows_lost} v2 rows to load again: `historical-load --generation v2 "
            f"--tickers {self.ticker}`"
            if self.v2_rows_lost
            else ""
        )
        unread = (
            f" ({self.v1_rows_unread} cannot be read and stay there)" if self.v1_rows_unread else ""
        )
        return (
            f"{self.file} was written by something else: kept as {self.quarantined_as}, "
            f"{self.v1_rows} v1 rows moved to v1{unread}, "
            f"{self.v2_rows_restored} v2 rows restored{lost}"
        )


Changed = Callable[[Dataset], Sequence[FileState]]  # the files of a dataset that changed


def foreign_files(lake: Lake, changed: Changed = unindexed) -> list[tuple[Dataset, int, str]]:
    """Return (dataset, partition, ticker) of the v2 files of other tools."""
    foreign = []
    for statement in Statement:
        dataset = lake.dataset(Generation.V2, statement)
        for state in changed(dataset):
            if not is_ours(dataset.file(state.partition, state.ticker), dataset):
                foreign.append((dataset, state.partition, state.ticker))
    return foreign


def quarantine_foreign_files(lake: Lake) -> list[QuarantinedFile]:
    """Quarantine what another tool wrote into v2's folder and repair v2's files; return them.

    Safe beside running loads, and to repeat after a kill. Only once there has been a cutover:
    before it nothing reaches v2's folder through the pointer. After a rollback what was written
    before it is still there.

    Raises:
        DamagedFileError, OSError: one of our files that is needed cannot be read or written.
    """
    if not lake.pointer.is_symlink():
        return []
    return [
        finding
        for dataset, partition, ticker in foreign_files(lake)
        for finding in _mend(dataset, partition, ticker)
    ]


def _mend(dataset: Dataset, partition: int, ticker: str) -> Iterator[QuarantinedFile]:
    path = dataset.file(partition, ticker)
    with exclusive(dataset.lake.lock(f"{dataset.name}.{bucket_of(ticker):02d}")):
        if not path.exists() or is_ours(path, dataset):
            return
        local.remove_leftovers(path.parent)  # of a quarantine that was killed in `_restore`
        quarantined = _keep(dataset, partition, path)
        foreign = _read(quarantined)
        v1_rows, unread = _move_v1_rows(dataset, ticker, quarantined, foreign)
        restored, lost = _restore(dataset, partition, ticker, foreign)
    root = dataset.lake.root
    yield QuarantinedFile(
        str(path.relative_to(root)),
        str(quarantined.relative_to(root)),
        ticker,
        dataset.statement.value,
        v1_rows,
        restored,
        lost,
        unread,
    )


def _keep(dataset: Dataset, partition: int, path: Path) -> Path:
    """Keep the file as it is, under a name that says when it changed; return where."""
    changed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    name = f"{path.name}.{changed:%Y%m%dT%H%M%S%f}"
    folder = dataset.lake.ops / "quarantine" / dataset.name / partition_folder(partition)
    target = folder / name
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        # Bytes and no link: the script may still hold the file open and write on. Flushed, since
        # the next command after a power cut takes it for whole.
        with local.replacing(target) as beside:
            shutil.copy2(path, beside)
    return target


def _read(path: Path) -> pa.Table | None:
    """Return the rows of a quarantined file; None where it is not a readable Parquet file."""
    try:
        with pq.ParquetFile(path, memory_map=False) as file:
            return file.read(use_threads=False)
    except (OSError, pa.ArrowException):
        return None


def _move_v1_rows(
    dataset: Dataset, ticker: str, quarantined: Path, foreign: pa.Table | None
) -> tuple[int, int]:
    """Upsert the rows in v1's nested form into v1; return how many, and how many are unreadable.

    If v1's folder is archived, they stay in the quarantine, where nothing is lost; so do those of a
    file with an unreadable value, which must not stop all other loads.
    """
    if foreign is None or "financials" not in foreign.schema.names:
        return 0, 0
    rows = foreign.filter(pc.is_valid(foreign["financials"]))
    there = dataset.lake.generation_folder(Generation.V1).is_dir()
    if rows.num_rows == 0 or not there or archived_since(dataset.lake) is not None:
        return 0, 0
    aside = local.temporary_name(quarantined)
    try:
        pq.write_table(_nested_only(rows), aside)
        shutil.copystat(quarantined, aside)
        target = dataset.lake.dataset(Generation.V1, dataset.statement)
        table, _ = codec.read(aside, target, ticker)
    except DamagedFileError:
        return 0, int(rows.num_rows)
    finally:
        aside.unlink(missing_ok=True)
    incoming = Incoming(
        table,
        {ticker: range(table.num_rows)},
        Scope.WINDOW,
        frozenset(),
        datetime.fromtimestamp(quarantined.stat().st_mtime, UTC),
    )
    commit(target, incoming)
    return int(table.num_rows), 0


def _nested_only(rows: pa.Table) -> pa.Table:
    """Return v1 rows without the columns that only v2's files have."""
    v2_only = set()
    for statement in Statement:
        v2_only |= set(schema(Generation.V2, statement).names)
        v2_only -= set(schema(Generation.V1, statement).names)
    v2_only |= {"absent_fields", "unmapped", "observed_at"}
    return rows.select([name for name in rows.schema.names if name not in v2_only])


def _restore(
    dataset: Dataset, partition: int, ticker: str, foreign: pa.Table | None
) -> tuple[int, int]:
    """Restore v2's file as the index has it; return (rows restored, rows lost)."""
    path = dataset.file(partition, ticker)
    index = intact(dataset, ticker)
    if index is None:
        return _keep_v2_rows(path, dataset, ticker, foreign), 0
    wanted = {key: row[1] for key, row in index.rows.items() if row[0] == partition}
    rows_by_key: dict[str, pa.Table] = {}
    for source in _sources(dataset, ticker, foreign):
        for key, digest, position in _identified(dataset, source):
            if key not in rows_by_key and wanted.get(key) == digest:
                rows_by_key[key] = source.slice(position, 1)
    rows = [rows_by_key[key] for key in wanted if key in rows_by_key]
    if rows:
        table = pa.concat_tables(rows).combine_chunks()
        data = codec.encode(table, dataset)
        local.replace_file(path, data)
    else:
        path.unlink(missing_ok=True)
    index.files.pop(partition, None)
    index.checksums.pop(partition, None)
    stat = stamp_of(path)
    if stat is not None:
        index.files[partition] = (*stat, len(rows))
        index.checksums[partition] = bytes_checksum(data)
    # A key that is not in the index counts as new, so the next load brings a lost row back.
    index.rows = {k: v for k, v in index.rows.items() if k not in wanted or k in rows_by_key}
    index_file = dataset.index_file(ticker)
    if index_file.exists():
        local.replace_file(index_file, index.dumps(dataset))
    return len(rows), len(wanted) - len(rows)


def _keep_v2_rows(path: Path, dataset: Dataset, ticker: str, foreign: pa.Table | None) -> int:
    """Leave v2's rows of the foreign file in v2's file and return how many.

    The next load of the ticker derives its index from the files, as after any loss of it.
    """
    wanted = schema(dataset.generation, dataset.statement)
    rows = None if foreign is None else _as_ours(foreign, wanted)
    if rows is None or rows.num_rows == 0:
        path.unlink(missing_ok=True)
        return 0
    local.replace_file(path, codec.encode(codec.with_ticker(rows, ticker), dataset))
    return int(rows.num_rows)


def _sources(dataset: Dataset, ticker: str, foreign: pa.Table | None) -> Iterator[pa.Table]:
    """Yield tables in the dataset's schema in which a row may be found."""
    wanted = schema(dataset.generation, dataset.statement)
    if foreign is not None:
        cast = _as_ours(foreign, wanted)
        if cast is not None:
            yield codec.with_ticker(cast, ticker)
    cached = cache.rows(dataset, bucket_of(ticker))
    cast = _as_ours(cached.filter(pc.equal(cached["ticker"], ticker)), wanted)
    if cast is not None:
        yield cast
    yield revisions.read(dataset, ticker).select(wanted.names)


def _as_ours(table: pa.Table, wanted: pa.Schema) -> pa.Table | None:
    """Return the v2 rows of a table in our schema; None where its columns do not fit."""
    if not set(wanted.names) - {"ticker"} <= set(table.schema.names):
        return None
    rows = table.filter(pc.is_valid(table["period_end"]))
    columns = []
    for field in wanted:
        if field.name not in rows.schema.names:
            columns.append(pa.nulls(rows.num_rows, field.type))
            continue
        try:
            columns.append(rows[field.name].cast(field.type))
        except pa.ArrowException:
            return None
    return pa.table(columns, schema=wanted)


def _identified(dataset: Dataset, table: pa.Table) -> list[tuple[str, str, int]]:
    if table.num_rows == 0:
        return []
    keys = record_keys(table, dataset.generation)
    return list(zip(keys, content_hashes(table), range(table.num_rows), strict=True))
