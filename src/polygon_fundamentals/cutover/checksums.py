"""Files that something other than our runs wrote, and the checksums that tell a change."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from polygon_fundamentals.cutover.journal import folder
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.storage.local import replace_file
from polygon_fundamentals.statements import Generation

_CHUNK = 1 << 20


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
