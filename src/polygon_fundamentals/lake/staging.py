"""The files of a plan, written beside the lake's: nothing that readers see changes here."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pyarrow as pa

from polygon_fundamentals.lake import codec
from polygon_fundamentals.lake.changes import Plan
from polygon_fundamentals.lake.file_names import partition_folder
from polygon_fundamentals.lake.one_row_files import NewRow
from polygon_fundamentals.lake.paths import Dataset
from polygon_fundamentals.lake.storage import local
from polygon_fundamentals.lake.storage.checked import bytes_checksum

# A fault of the Parquet writer must not wait for a reader: one in so many files is read back.
FILES_A_PROOF = 100


def staging_folder(dataset: Dataset, bucket: int) -> Path:
    """Return the folder in which a commit of a bucket writes its files."""
    # Within bronze, so that a rename into place never crosses file systems.
    return dataset.lake.bronze / ".staging" / f"{dataset.name}.{bucket:02d}"


def stage_plan(
    staging: Path,
    dataset: Dataset,
    plan: Plan,
    counts: Counter[str],
    checksums: dict[str, str],
) -> tuple[list[tuple[str, str]], list[tuple[str | None, str]]]:
    """Write a plan's files beside the lake's; return those with new rows, and those that lose some.

    Each is a staged file and the path that it goes to; None as the staged file removes the path's.
    Adds path → checksum to `checksums`.
    """
    moves: list[tuple[str, str]] = []
    departures: list[tuple[str | None, str]] = []
    for partition, table in sorted(plan.contents.items()):
        path = dataset.file_name(partition, plan.ticker)
        if partition in plan.adopted and partition not in plan.index.checksums:
            _keep_original(dataset, partition, Path(path))
        moved = plan.moved_out.get(partition)
        data = plan.theirs.get((partition, False))
        if partition in plan.arrivals and moved is not None:
            # Rows that leave this file stay in it until they stand in their new one.
            both = pa.concat_tables([table, moved])
            with_moved = plan.theirs.get((partition, True))
            moves.append((_stage(staging, both, dataset, counts, with_moved)[0], path))
            staged, checksums[path] = _stage(staging, table, dataset, counts, data)
            departures.append((staged, path))
        elif partition in plan.arrivals or table.num_rows or plan.keeps_loose(partition):
            staged, checksums[path] = _stage(staging, table, dataset, counts, data)
            if data is not None and partition not in plan.arrivals:
                # Rows without a moment of their own were observed when the file was.
                stat = os.stat(path)
                os.utime(staged, ns=(stat.st_atime_ns, stat.st_mtime_ns))
            (moves if partition in plan.arrivals else departures).append((staged, path))
        else:
            departures.append((None, path))
    return moves, departures


def _stage(
    staging: Path,
    content: pa.Table | NewRow,
    dataset: Dataset,
    counts: Counter[str],
    data: bytes | None = None,
) -> tuple[str, str]:
    """Write a file's new content beside the lake's files; return where, and its checksum.

    `data` are its bytes where the file stays in another tool's form.
    """
    if data is None:
        is_new = isinstance(content, NewRow)
        data = content.encode() if is_new else codec.encode(content, dataset)
        if counts["files_written"] % FILES_A_PROOF == 0:
            codec.prove(data, content.table if is_new else content, dataset)
    staged = f"{staging}/{counts['files_written']}"
    local.write_bytes(staged, data)
    counts["bytes_written"] += len(data)
    counts["files_written"] += 1
    return staged, bytes_checksum(data)


def _keep_original(dataset: Dataset, partition: int, path: Path) -> None:
    """Keep a file that another tool wrote, as it was, before it is rewritten.

    What was kept before stays: a later version that the tool wrote gets a number and lies beside.
    """
    original = dataset.lake.ops / "adopted" / dataset.name / partition_folder(partition) / path.name
    versions, number = [original], 2
    while (later := original.with_name(f"{original.name}.{number}")).exists():
        versions.append(later)
        number += 1
    if not original.exists():
        later = original
    elif versions[-1].read_bytes() == path.read_bytes():
        return  # a commit that was killed after this is repeated
    original.parent.mkdir(parents=True, exist_ok=True)
    local.link_or_copy(path, later)
