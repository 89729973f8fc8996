"""Damage to the files of a lake, and whether it is seen."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from campaign.model import V1_FOLDERS, Broken
from campaign.process import Child
from polygon_fundamentals.cutover.verify import verify
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.file_names import partition_of_folder, ticker_of_file
from polygon_fundamentals.lake.index import written
from polygon_fundamentals.statements import Generation, Statement

_DERIVED = "ops/cache/"
_FLIPPED = (
    "bronze/",
    "silver/builds/",
    "silver/history/",
    "ops/revisions/",
    "ops/kept/",
    _DERIVED,
)
# The only copy of what they say. Whatever else is deleted under ops/ is made again, or was a lock.
_NOT_DELETED = ("ops/revisions", "ops/kept", "ops/adopted", "ops/quarantine", "ops/cutover")


def flip_a_bit(root: Path, trouble: dict[str, Any]) -> tuple[Path, bytes, bytes] | None:
    """Flip one bit of a file of rows, kept or derived, or of silver; its size and time stay."""
    paths = [p for p in sorted(root.rglob("*.parquet")) if not p.is_symlink()]
    paths = [p for p in paths if str(p.relative_to(root)).startswith(_FLIPPED)]
    if not paths:
        return None
    path = paths[int(trouble["which"] * len(paths))]
    stat, data = path.stat(), path.read_bytes()
    place = int(trouble["where"] * len(data) * 8)
    rotten = bytearray(data)
    rotten[place // 8] ^= 1 << place % 8
    with path.open("r+b") as file:
        file.write(rotten)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return path.relative_to(root), data, bytes(rotten)


def put_right(lake: Lake, name: Path, data: bytes, rotten: bytes) -> None:
    """Have `verify` name a damaged file that is still there, then put a copy back.

    A switch may have given the file's generation another folder meanwhile. One of the cache stays
    as it is: nothing that is read may depend on it.
    """
    if str(name).startswith(_DERIVED):
        return
    top, _, *below = name.parts
    folders = [name.parent, *(Path(top, folder, *below[:-1]) for folder in V1_FOLDERS)]
    paths = [lake.root / folder / name.name for folder in folders]
    there = [p for p in paths if p.is_file() and p.read_bytes() == rotten]
    if not there:
        return
    path = there[0]
    shown = f"{path.parent.resolve().relative_to(lake.root.resolve())}/{path.name}"
    ended = Child(lambda: [p.file for p in verify(lake).problems], lake.root).wait()
    if shown not in (ended.returned or []) and not _cannot_tell(lake, path, data, rotten):
        raise Broken(f"verify does not name {shown}, of which a bit was flipped: {ended}")
    stat = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def _cannot_tell(lake: Lake, path: Path, data: bytes, rotten: bytes) -> bool:
    """Return whether nothing is recorded of a file, or no checksum, and the flip changed no row.

    Such a file is one under `ops/`, or one of bronze whose index was deleted. Where no command has
    derived the index anew, `verify` says that nothing is recorded of the file.
    """
    top, folder, statement, *_ = path.relative_to(lake.root).parts
    if top == "bronze":
        generation = Generation.V2 if folder.endswith("_v2") else Generation.V1
        dataset = lake.dataset(generation, Statement(statement))
        ticker, partition = ticker_of_file(path.name), partition_of_folder(path.parent)
        index = written(dataset, ticker or "")
        if ticker is None or partition in index.checksums:
            return False
        if partition not in index.files:
            return True
    elif top != "ops":
        return False
    try:
        both = [pq.read_table(io.BytesIO(some)) for some in (data, rotten)]
    except (OSError, ValueError):
        return False
    return bool(both[0].equals(both[1]))


def delete_a_file(root: Path, trouble: dict[str, Any]) -> str | None:
    """Delete a file under ops/, not one that alone holds rows or a switch; return its name."""
    paths = [p for p in sorted((root / "ops").rglob("*")) if p.is_file()]
    paths = [p for p in paths if not str(p.relative_to(root)).startswith(_NOT_DELETED)]
    if not paths:
        return None
    path = paths[int(trouble["which"] * len(paths))]
    path.unlink()
    return path.name
