"""Files that something other than our runs wrote, and the checksums that tell a change."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from polygon_fundamentals.cutover.journal import folder
from polygon_fundamentals.lake.files import replace_file
from polygon_fundamentals.lake.index import TickerIndex, written
from polygon_fundamentals.lake.listing import FileState, states
from polygon_fundamentals.lake.paths import Dataset, Lake
from polygon_fundamentals.normalise.schemas import MARK_KEY, mark
from polygon_fundamentals.statements import Generation, Statement

# Times of change are the kernel's clock, the ledger's are ours: they may differ by a tick.
SLACK_NS = 2_000_000_000
_CHUNK = 1 << 20


def unindexed(dataset: Dataset) -> list[FileState]:
    """Return the files of a dataset that are not as our last write of their ticker left them."""
    found: list[FileState] = []
    known: dict[str, TickerIndex] = {}
    for state in states(dataset):
        if state.ticker not in known:
            known[state.ticker] = written(dataset, state.ticker)
        entry = known[state.ticker].files.get(state.partition)
        if entry is None or tuple(entry[:2]) != (state.changed_ns, state.size):
            found.append(state)
    return found


def is_ours(path: Path, dataset: Dataset) -> bool:
    """Say whether a file carries the mark of our writer; one that cannot be read does not."""
    try:
        metadata = pq.read_metadata(path).metadata or {}
    except (OSError, pa.ArrowException):
        return False
    return bool(metadata.get(MARK_KEY.encode()) == mark(*_names(dataset)).encode())


def _names(dataset: Dataset) -> tuple[Generation, Statement]:
    return dataset.generation, dataset.statement


def written_by_others(
    lake: Lake, generation: Generation, spans: Sequence[tuple[datetime, datetime]]
) -> list[Path]:
    """Return the files that changed since our first load, other than by our loads.

    A file counts where no load was going on when it changed, or where it lacks our mark.
    Files that were there before our first load are another tool's, and meant to be.
    """
    first = int(min(start for start, _ in spans).timestamp() * 1e9)
    windows = [(int(a.timestamp() * 1e9), int(b.timestamp() * 1e9)) for a, b in spans]
    found = []
    for statement in Statement:
        dataset = lake.dataset(generation, statement)
        for state in unindexed(dataset):
            if state.changed_ns < first - SLACK_NS:
                continue
            path = dataset.file(state.partition, state.ticker)
            within = any(
                start - SLACK_NS <= state.changed_ns <= end + SLACK_NS for start, end in windows
            )
            if not within or not is_ours(path, dataset):
                found.append(path)
    return sorted(found)


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def walk(folder_: Path) -> Iterator[Path]:
    """Yield every file and link under a folder, sorted; links are not followed."""
    for where, folders, names in os.walk(folder_):
        folders.sort()
        linked = [name for name in folders if os.path.islink(os.path.join(where, name))]
        for name in sorted((*names, *linked)):
            yield Path(where) / name


def checksums(folder_: Path) -> dict[str, str]:
    """Return path within the folder → SHA-256 (of a link: its target) of all it holds."""
    return {str(path.relative_to(folder_)): _sum(path) for path in walk(folder_)}


def _sum(path: Path) -> str:
    return f"-> {os.readlink(path)}" if path.is_symlink() else checksum(path)


def record(lake: Lake) -> dict[str, Any]:
    """Write the checksums of v1's folder to `ops/cutover/v1_checksums.json`; return them."""
    where = lake.generation_folder(Generation.V1)
    found: dict[str, Any] = {}
    for path in walk(where):
        stat = path.lstat()
        found[_shown(path, where)] = [stat.st_size, stat.st_mtime_ns, _printable(_sum(path))]
    replace_file(_file(lake), orjson.dumps(found, option=orjson.OPT_INDENT_2))
    return found


def _shown(path: Path, where: Path) -> str:
    return _printable(str(path.relative_to(where)))


def _printable(name: str) -> str:
    """Return a name as text that JSON and a terminal take: bytes that are no UTF-8 as \\xNN."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _file(lake: Lake) -> Path:
    return folder(lake) / "v1_checksums.json"


def recorded(lake: Lake) -> dict[str, Any] | None:
    """Return what `record` wrote, or None where it never ran."""
    try:
        found: dict[str, Any] = orjson.loads(_file(lake).read_bytes())
    except FileNotFoundError:
        return None
    return found


def changed_since(lake: Lake, known: dict[str, Any]) -> list[str]:
    """Return the files of v1 that are new, gone or changed since the checksums were taken.

    Size and time of change tell most; only a file whose time differs is read again.
    """
    where = lake.generation_folder(Generation.V1)
    seen, changed = set(), []
    for path in walk(where):
        name = _shown(path, where)
        seen.add(name)
        stat, entry = path.lstat(), known.get(name)
        same = entry is not None and entry[:2] == [stat.st_size, stat.st_mtime_ns]
        if not same and (entry is None or _printable(_sum(path)) != entry[2]):
            changed.append(name)
    return sorted([*changed, *(known.keys() - seen)])
