"""The checksums of v1's folder: taken, recorded, and compared with what is there now."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import orjson

from polygon_fundamentals.cutover.journal import folder
from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.lake.file_names import partition_of_folder, ticker_of_file
from polygon_fundamentals.lake.index import written
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.storage.checked import bytes_checksum
from polygon_fundamentals.lake.storage.local import replace_file
from polygon_fundamentals.statements import Generation, Statement

_STATEMENTS = frozenset(statement.value for statement in Statement)
Recorded = tuple[int, int, str]  # size, time of change in ns, content


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def walk(folder_: Path) -> Iterator[Path]:
    """Yield every file and link under a folder, sorted; links are not followed."""
    for where, folders, names in os.walk(folder_):
        folders.sort()
        linked = [name for name in folders if os.path.islink(os.path.join(where, name))]
        for name in sorted((*names, *linked)):
            yield Path(where) / name


def own_files(folder_: Path) -> Iterator[Path]:
    """Yield what `walk` does of the statements; other entries are the user's (`companions`)."""
    for statement in sorted(Statement):
        path = folder_ / statement
        yield from [path] if path.is_symlink() else walk(path)


def checksums(folder_: Path) -> dict[str, str]:
    """Return path within the folder → SHA-256 (of a link: its target) of all it holds."""
    return {str(path.relative_to(folder_)): content_of(path) for path in walk(folder_)}


def content_of(path: Path) -> str:
    """Return the SHA-256 of a file, `-> target` of a link; of a pipe or device only that it is."""
    if path.is_symlink():
        return f"-> {os.readlink(path)}"
    # Opening a pipe would wait for whoever writes to it.
    return checksum(path) if path.is_file() else "neither file nor link"


def record(lake: Lake) -> dict[str, Recorded]:
    """Write the checksums of v1's folder to `ops/cutover/v1_checksums.json`; return them."""
    where = lake.generation_folder(Generation.V1)
    entries: dict[str, Recorded] = {}
    for path in own_files(where):
        stat = path.lstat()
        content = printable(content_of(path))
        entries[_shown(path, where)] = (stat.st_size, stat.st_mtime_ns, content)
    replace_file(_file(lake), orjson.dumps(entries, option=orjson.OPT_INDENT_2))
    return entries


def _shown(path: Path, where: Path) -> str:
    return printable(str(path.relative_to(where)))


def printable(name: str) -> str:
    """Return a name as text that JSON and a terminal take: bytes that are no UTF-8 as \\xNN."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _file(lake: Lake) -> Path:
    return folder(lake) / "v1_checksums.json"


def recorded(lake: Lake) -> dict[str, Recorded] | None:
    """Return what `record` wrote, or None where it never ran.

    Raises:
        DamagedFileError: it cannot be read.
    """
    try:
        return msgspec.json.decode(_file(lake).read_bytes(), type=dict[str, Recorded])
    except FileNotFoundError:
        return None
    except (ValueError, msgspec.MsgspecError) as error:
        raise DamagedFileError(
            f"{_file(lake)} holds no checksums ({error}); compare v1 with a copy of it, then "
            "record them again with `polygon-fundamentals checklist --record-checksums`"
        ) from error


def changed_since(lake: Lake, known: Mapping[str, Recorded]) -> list[str]:
    """Return the files of v1 that are new, gone or changed since the checksums were taken.

    Every file is read: a flipped bit changes neither size nor time.
    """
    where = lake.generation_folder(Generation.V1)
    present = {_shown(path, where): path for path in own_files(where)}
    known = {name: entry for name, entry in known.items() if name.split("/")[0] in _STATEMENTS}
    changed = [
        name
        for name, path in present.items()
        if name not in known or printable(content_of(path)) != known[name][2]
    ]
    return sorted([*changed, *(known.keys() - present.keys())])


def is_as_indexed(lake: Lake, file: str) -> bool:
    """Return whether a file, as `changed_since` names it, is as a load of ours left it."""
    statement, _, rest = file.partition("/")
    dataset = lake.dataset(Generation.V1, Statement(statement))
    path = dataset.folder / rest
    ticker, partition = ticker_of_file(path.name), partition_of_folder(path.parent)
    if ticker is None or partition is None:
        return False
    known = written(dataset, ticker)
    if not path.exists():
        return bool(known.files) and partition not in known.files
    return known.checksums.get(partition) == bytes_checksum(path.read_bytes())
