"""v1's records after its files went to the archive: files of `ops/kept/` for each statement.

Delisted companies stand in v1 alone, and silver carries them over whichever generation is
primary, so their records must outlive the files. So must the rows that share their record key
with a later one: they say what was known on a past day.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from polygon_fundamentals.datasets.flat import flat_schema
from polygon_fundamentals.datasets.keys import record_keys
from polygon_fundamentals.errors import DamagedFileError, LakeError
from polygon_fundamentals.lake.paths import V1_ARCHIVE, Dataset, Lake
from polygon_fundamentals.lake.storage.checked import encoded
from polygon_fundamentals.lake.storage.local import replace_file
from polygon_fundamentals.statements import Generation, Statement

_ROWS_TOGETHER = 10_000


def archived_file(dataset: Dataset) -> Path:
    """Return the file of a dataset's archived records."""
    return dataset.lake.ops / "kept" / f"{dataset.name}.parquet"


def write_archived(dataset: Dataset, table: pa.Table) -> int:
    """Keep the rows of `lake.read.read_dataset`; return how many."""
    # So that a reader of some tickers decodes a part of the file.
    rows = table.sort_by("ticker")
    replace_file(archived_file(dataset), encoded(rows, row_group_size=_ROWS_TOGETHER))
    return int(table.num_rows)


def repeats_file(dataset: Dataset) -> Path:
    """Return the file of the rows that shared their record key with another one."""
    return dataset.lake.ops / "kept" / f"{dataset.name}.repeats.parquet"


def write_repeats(dataset: Dataset, table: pa.Table) -> None:
    """Write the rows that `lake.read.repeated_rows` returns; call it before `write_archived`."""
    replace_file(repeats_file(dataset), encoded(table))


def lines_file(dataset: Dataset) -> Path:
    """Return the file of rows whose lines are not as the field map has them: `archived_lines`."""
    return dataset.lake.ops / "kept" / f"{dataset.name}.lines.parquet"


def drop_archived(dataset: Dataset) -> None:
    """Remove what was kept of a dataset."""
    for path in (archived_file(dataset), repeats_file(dataset), lines_file(dataset)):
        path.unlink(missing_ok=True)


def is_archived(dataset: Dataset) -> bool:
    """Return whether `cleanup` archived the dataset's files, until `restore` brings them back."""
    return archived_file(dataset).exists()


def archived_since(lake: Lake) -> datetime | None:
    """Return when v1's files went to the archive, or None where they did not."""
    for statement in Statement:
        with contextlib.suppress(FileNotFoundError):
            stat = archived_file(lake.dataset(Generation.V1, statement)).stat()
            return datetime.fromtimestamp(stat.st_mtime, UTC)
    return None


def refuse_archived(lake: Lake) -> None:
    """Refuse to write to an archived v1: what a load left in its folder would be a torn history.

    Raises:
        LakeError: v1's files are in the archive.
    """
    if archived_since(lake) is not None:
        remedy = "bring it back with `polygon-fundamentals restore --execute`"
        if (lake.bronze / V1_ARCHIVE).exists():
            remedy = (
                "if a cleanup was cut off, continue it with "
                "`polygon-fundamentals cleanup --execute`; else join what was loaded since with "
                "`polygon-fundamentals restore --execute`"
            )
        raise LakeError(
            "v1 is in the archive that `cleanup` made, so nothing is written to it; "
            f"{remedy}, or load v2 alone"
        )


def read_archived(
    dataset: Dataset,
    tickers: Iterable[str] | None = None,
    columns: Sequence[str] | None = None,
) -> pa.Table | None:
    """Return the archived rows of a dataset, all or of some tickers, or None without an archive.

    The dataset has no other rows, unless something wrote to v1 after its cleanup. Rows that are not
    asked for are never in memory all at once.

    Raises:
        DamagedFileError: they cannot be read.
    """
    wanted = flat_schema(dataset.generation, dataset.statement)
    return read_kept(archived_file(dataset), dataset, wanted, tickers, columns)


def read_repeats(dataset: Dataset, tickers: Iterable[str] | None = None) -> pa.Table | None:
    """Return the kept rows that shared their record key with another one, all or of some tickers.

    None if there is no archive, or if an earlier version made it.

    Raises:
        DamagedFileError: they cannot be read.
    """
    wanted = flat_schema(dataset.generation, dataset.statement)
    return read_kept(repeats_file(dataset), dataset, wanted, tickers)


def read_archived_versions(
    dataset: Dataset, tickers: Iterable[str] | None = None
) -> pa.Table | None:
    """Return all archived rows of a dataset, also those that shared their record key with another.

    v1 listed an original and its amendment as two records. None without an archive.

    Raises:
        DamagedFileError: they cannot be read.
    """
    wanted = None if tickers is None else set(tickers)
    archived, repeats = read_archived(dataset, wanted), read_repeats(dataset, wanted)
    if archived is None or repeats is None:
        return archived
    return with_archived(repeats, archived, dataset)  # the repeats hold the standing rows too


def read_kept(
    path: Path,
    dataset: Dataset,
    schema: pa.Schema,
    tickers: Iterable[str] | None = None,
    columns: Sequence[str] | None = None,
) -> pa.Table | None:
    """Return the rows of a kept file, all or of some tickers; None where it is not there.

    Raises:
        DamagedFileError: they cannot be read, or have another schema.
    """
    # The type is stated, since of no ticker at all it could not be inferred.
    symbols = None if tickers is None else pa.array(sorted(set(tickers)), pa.string())
    wanted = None if symbols is None else pc.field("ticker").isin(symbols)
    try:
        if not pq.read_schema(path).equals(schema):
            raise ValueError(f"its columns are not those of {dataset.name}")
        return pq.read_table(
            path,
            columns=None if columns is None else list(columns),
            filters=wanted,
            partitioning=None,
            page_checksum_verification=True,
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DamagedFileError(
            f"{path} cannot be read ({str(error).splitlines()[0][:120]}); bring v1 back with "
            "`polygon-fundamentals restore --execute`"
        ) from error


def with_archived(stored: pa.Table, archived: pa.Table, dataset: Dataset) -> pa.Table:
    """Return the rows of files, and the archived rows under another ticker or record key.

    What stands in a file after a cleanup was observed later.
    """
    if not stored.num_rows:
        return archived
    left = pc.invert(pc.is_in(_keys(archived, dataset), _keys(stored, dataset)))
    return pa.concat_tables([stored, archived.filter(left)])


def _keys(rows: pa.Table, dataset: Dataset) -> pa.Array:
    """Return ticker and record key of each row as one text."""
    keys = pa.array(record_keys(rows, dataset.generation), pa.string())
    return pc.binary_join_element_wise(rows["ticker"], keys, "\x1f").combine_chunks()
