"""Builds of the table: versioned folders, and the one link that readers open.

    silver/fundamentals_wide          a link to the present build
    silver/builds/<id>/               one build: year=YYYY/part-<digest>.parquet, _build.json
    silver/as_of/<day>                a link to the table of a past day

`year` is the fiscal year, 0 for rows without one. A file is named for its content: a year that did
not change is the same file in both builds, linked, not copied, and a reader that listed one build
and opens the other finds the file it expects or none, never another content.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import blake2b
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from polygon_fundamentals.errors import DamagedFileError, LakeError
from polygon_fundamentals.lake.paths import SILVER_NOTE, Lake
from polygon_fundamentals.lake.storage import local
from polygon_fundamentals.locks import exclusive
from polygon_fundamentals.silver.links import TABLE, lead_to_build, link_of, lock_link
from polygon_fundamentals.silver.schema import SORTED_BY, wide_schema
from polygon_fundamentals.silver.table import wide_parts
from polygon_fundamentals.statements import Generation

KEPT_SECONDS = 24 * 3600.0
LOCK_SECONDS = 600.0
# Small enough that a ticker's rows are found without reading a year, large enough to compress.
ROW_GROUP = 4_000
_PARTIAL = ".partial"


@dataclass(frozen=True)
class Build:
    """One build: its folder, its size, and how many of its files were written for it."""

    path: Path
    rows: int
    files: int
    schema: pa.Schema
    generation: str
    files_written: int = 0
    bytes_written: int = 0
    day: str | None = None

    @property
    def id(self) -> str:
        """The name of its folder."""
        return self.path.name


def build(
    lake: Lake,
    generation: Generation | None = None,
    *,
    link: bool = True,
    base: Build | None = None,
    day: date | None = None,
) -> Build:
    """Build the table from a generation, beside the present one; with `link` point readers to it.

    Without a generation it is the one that the pointer leads to when readers are led to the build:
    where a switch moves the pointer meanwhile, the table is built again, from the other.

    Files that did not change are linked from `base`, by default the present build; where none
    changed and the generation is the same, `base` itself is returned and nothing is written. With
    `day` it is the table of that day, and its link is `silver/as_of/<day>`.

    Raises:
        DamagedFileError: a file of the lake cannot be read; the text names it, and readers keep
            the table that they have.
        LakeLockedError: another build goes on for more than ten minutes.
        LakeError: the link's place is taken by something else.
    """
    with exclusive(lake.lock("silver"), LOCK_SECONDS, "the building of silver"):
        base = base or current_build(lake)
        while True:
            found = _written(lake, generation or lake.primary, base, day)
            if not link or _led(lake, found, follows=generation is None):
                break
        _clear(lake, found)
        return found


def _led(lake: Lake, found: Build, *, follows: bool) -> bool:
    """Lead readers to a build unless it must follow the pointer and that has moved since."""
    with lock_link(lake):
        if follows and lake.primary.value != found.generation:
            return False
        _point(lake, found)
        return True


def point(lake: Lake, found: Build) -> None:
    """Lead readers to a build, in one rename.

    Raises:
        LakeError: the link's place is taken by something that is no link.
    """
    with lock_link(lake):
        _point(lake, found)


def current_build(lake: Lake) -> Build | None:
    """Return the build that readers see, or None where there is none yet.

    Raises:
        DamagedFileError: the build's note cannot be read.
    """
    link = link_of(lake)
    return _load(link.resolve()) if link.is_symlink() and link.exists() else None


def table_path(lake: Lake) -> Path:
    """Return the folder of the present build itself, so that a read is of one build throughout.

    Raises:
        LakeError: silver was not built yet.
    """
    link = link_of(lake)
    if not link.exists():
        raise LakeError(f"{link} is not there yet; build it with `python -m flows silver`")
    return link.resolve()


def _load(folder: Path) -> Build:
    path = folder / SILVER_NOTE
    try:
        note = orjson.loads(path.read_bytes())
        return Build(
            folder, note["rows"], note["files"], wide_schema(), note["generation"], day=note["day"]
        )
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise DamagedFileError(
            f"{path} cannot be read; remove the link {TABLE} beside `builds`, then build silver "
            "again with `python -m flows silver`"
        ) from error


def _written(lake: Lake, generation: Generation, base: Build | None, day: date | None) -> Build:
    folder = lake.silver / "builds"
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    partial = folder / f"{now:%Y%m%dT%H%M%S%f}Z-{generation}{_PARTIAL}"
    said = None if day is None else day.isoformat()
    same = base is not None and base.generation == generation.value and base.day == said
    count = written = size = total = 0
    try:
        partial.mkdir()
        for year, rows in _years(wide_parts(lake, generation, day), partial / ".rows"):
            total += rows.num_rows
            data = _encode(rows)
            name = f"year={year}/part-{blake2b(data, digest_size=8).hexdigest()}.parquet"
            count += 1
            (partial / f"year={year}").mkdir()
            if base is None or not _linked(base.path / name, partial / name):
                local.write_bytes(partial / name, data)
                written, size = written + 1, size + data.size
        if same and base is not None and not written and count == base.files:
            return base
        note = {
            "generation": generation.value,
            "day": said,
            "built": now.isoformat(),
            "rows": total,
            "files": count,
        }
        (partial / SILVER_NOTE).write_bytes(orjson.dumps(note))
        local.flush_to_disk(partial)
        done = partial.with_name(partial.name.removesuffix(_PARTIAL))
        os.rename(partial, done)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Build(done, total, count, wide_schema(), generation.value, written, size, said)


def _years(parts: Iterable[pa.Table], folder: Path) -> Iterator[tuple[int, pa.Table]]:
    """Yield (fiscal year, its rows, sorted), 0 for rows without one.

    The parts go through files in `folder`, one a year, so that a year is in memory at a time.
    """
    folder.mkdir()
    with ExitStack() as ends:
        files_of: dict[int, pa.ipc.RecordBatchFileWriter] = {}
        for part in parts:
            years = pc.fill_null(part["fiscal_year"], 0).to_numpy()
            order = np.argsort(years, kind="stable")
            for year in np.unique(years):
                low, high = np.searchsorted(years[order], [year, year + 1])
                if year not in files_of:
                    file = pa.ipc.new_file(folder / str(year), part.schema)
                    files_of[year] = ends.enter_context(file)
                files_of[year].write_table(part.take(pa.array(order[low:high])))
    for year in sorted(files_of):
        with pa.ipc.open_file(folder / str(year)) as file:
            rows = file.read_all().sort_by([(name, "ascending") for name in SORTED_BY])
        yield int(year), rows.combine_chunks()
    shutil.rmtree(folder)


def _encode(table: pa.Table) -> pa.Buffer:
    """Return a year as Parquet: the same rows always give the same bytes."""
    sink = pa.BufferOutputStream()
    texts = [field.name for field in table.schema if pa.types.is_string(field.type)]
    keys = [name for name in table.schema.names if name in (*SORTED_BY, "fiscal_year")]
    pq.write_table(
        table,
        sink,
        compression="zstd",
        row_group_size=ROW_GROUP,
        use_dictionary=texts,
        write_statistics=keys,
        sorting_columns=pq.SortingColumn.from_ordering(
            table.schema, [(name, "ascending") for name in SORTED_BY]
        ),
    )
    return sink.getvalue()


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except FileNotFoundError:
        return False
    except OSError:  # no hard links here, or too many of one file: written as a file of its own
        return False
    return True


def _point(lake: Lake, found: Build) -> None:
    link = link_of(lake) if found.day is None else lake.silver / "as_of" / found.day
    if link.exists() and not link.is_symlink():
        raise LakeError(
            f"{link} is no link but something that another tool made; move it away, then run again"
        )
    link.parent.mkdir(exist_ok=True)
    lead_to_build(link, found.path)


def _clear(lake: Lake, found: Build) -> None:
    """Remove builds that nobody was led to for a day, and what killed runs left."""
    links = [link_of(lake), *_entries(lake.silver / "as_of")]
    kept = {link.resolve() for link in links if link.is_symlink()} | {found.path.resolve()}
    for folder in _entries(lake.silver / "builds"):
        if folder.resolve() in kept:
            continue
        note = folder / SILVER_NOTE
        with _passing():
            complete = not folder.name.endswith(_PARTIAL)
            if complete and time.time() - note.stat().st_mtime < KEPT_SECONDS:
                continue
        shutil.rmtree(folder, ignore_errors=True)


def _entries(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except FileNotFoundError:
        return []


@contextmanager
def _passing() -> Iterator[None]:
    """Pass over a build whose note is gone: somebody removed it by hand."""
    try:
        yield
    except FileNotFoundError:
        return
