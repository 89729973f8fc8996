"""Builds of the tables: versioned folders, and the one link that readers open.

    silver/fundamentals_wide          a link to the present build
    silver/fundamentals_history       a link to `fundamentals_wide/_history`
    silver/builds/<id>/               one build: year=YYYY/part-<digest>.parquet, _build.json
    silver/builds/<id>/_history       a link to its history
    silver/history/<id>/              the history of a build: initial=A/part-<digest>.parquet
    silver/as_of/<day>                a link to the table of a past day

The path of the history leads through the link of the wide table, so that one rename switches both.
`year` is the fiscal year, 0 for rows without one; `initial` is the first letter of the ticker. A
file is named for its content: one that did not change is the same file in both builds, linked, not
copied, and a reader that listed one build and opens the other finds the file it expects or none,
never another content.
"""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path

import orjson

from polygon_fundamentals.errors import DamagedFileError, LakeError
from polygon_fundamentals.lake.paths import SILVER_NOTE, Lake, lake_at
from polygon_fundamentals.lake.silver_files import HISTORY_FOLDER, TABLE, link_of
from polygon_fundamentals.lake.storage import local
from polygon_fundamentals.locks import exclusive
from polygon_fundamentals.silver.build_files import TableFiles, fiscal_year, initial_of
from polygon_fundamentals.silver.links import (
    lead_to_build,
    link_history,
    lock_link,
    refuse_others,
)
from polygon_fundamentals.silver.table import Part, history_parts, known_on
from polygon_fundamentals.statements import Generation

KEPT_SECONDS = 24 * 3600.0
LOCK_SECONDS = 600.0
_PARTIAL = ".partial"
# What a build's note says of it.
_NOTED = ("generation", "day", "rows", "files", "history_rows", "history_files")
Parts = Callable[[Lake, Generation], Iterator[Part]]


@dataclass(frozen=True)
class Build:
    """One build: its folder, its size, and how many of its files were written for it.

    Of the wide table, and `history_*` of the history; 0 in the build of a past day. `left_out`
    counts, by ticker, the records without a period end.
    """

    path: Path
    generation: str
    day: str | None
    rows: int
    files: int
    history_rows: int
    history_files: int
    files_written: int = 0
    bytes_written: int = 0
    history_files_written: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)

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
    parts: Parts | None = None,
) -> Build:
    """Build the table from a generation, beside the present one; with `link` point readers to it.

    Without a generation, the table is built from the one that the pointer leads to, and again from
    the other if a switch moves the pointer before readers are pointed to the build.

    Files that did not change are linked from `base`, by default the present build. If none changed
    and the generation is the same, `base` itself is returned and nothing is written. With `day` it
    is the table of that day, and its link is `silver/as_of/<day>`. `parts` makes the rows, by
    default `history_parts`.

    Raises:
        DamagedFileError: a file of the lake cannot be read; the text names it, and readers keep
            the table that they have.
        LakeLockedError: another build goes on for more than ten minutes.
        LakeError: the link's place is taken by something else.
    """
    with exclusive(lake.lock("silver"), LOCK_SECONDS, "the building of silver"):
        base = base or current_build(lake)
        while True:
            made = _written(lake, generation or lake.primary, base, day, parts or history_parts)
            if not link or point(lake, made, follows=generation is None):
                break
        _clear(lake, made)
        return made


def point(lake: Lake, made: Build, *, follows: bool = False) -> bool:
    """Point readers to a build, in one rename; return whether that was done.

    With `follows`, it is not done if the pointer has left the build's generation since.

    Raises:
        LakeError: the link's place is taken by something that is not a link.
    """
    with lock_link(lake):
        if follows and lake.primary.value != made.generation:
            return False
        link = link_of(lake) if made.day is None else lake.silver / "as_of" / made.day
        refuse_others(link)
        link.parent.mkdir(exist_ok=True)
        lead_to_build(link, made.path)
        return True


def current_build(lake: Lake) -> Build | None:
    """Return the build that readers see, or None where there is none yet.

    Raises:
        DamagedFileError: the build's note cannot be read.
    """
    link = link_of(lake)
    return _load(link.resolve()) if link.is_symlink() and link.exists() else None


def incomplete_builds(lake: Lake) -> Iterator[tuple[Path, str]]:
    """Yield each build that readers are led to and that is gone or lacks files, and what it lacks.

    Raises:
        DamagedFileError: a build's note cannot be read.
    """
    for link in _links(lake):
        folder = link.resolve()
        if not (folder / SILVER_NOTE).exists():
            # Else readers were led to another meanwhile, or it is not one of ours.
            if link.resolve() == folder and not folder.exists():
                yield folder, f"is missing, and {link.relative_to(lake.root)} leads to it"
            continue
        made = _load(folder)
        for pattern, count in (
            ("year=*/part-*.parquet", made.files),
            (f"{HISTORY_FOLDER}/initial=*/part-*.parquet", made.history_files),
        ):
            there = sum(1 for _ in folder.glob(pattern))
            # A build that readers no longer see may be cleared away meanwhile.
            if there < count and link.resolve() == folder:
                yield folder, f"has {there:,} of {count:,} files {pattern}; the others are missing"


def table_path(lake: Lake | Path | str, table: str = TABLE) -> Path:
    """Return the folder of the present build itself, so that a read is of one build throughout.

    `table` is `TABLE` or `HISTORY_TABLE`.

    Raises:
        LakeError: there is no lake, or silver was not built yet.
    """
    link = lake_at(lake).silver / table
    if not link.exists():
        raise LakeError(f"{link} is not there yet; build it with `polygon-fundamentals silver`")
    return link.resolve()


def _load(folder: Path) -> Build:
    path = folder / SILVER_NOTE
    try:
        # Earlier versions built no history.
        note = {"history_rows": 0, "history_files": 0, **orjson.loads(path.read_bytes())}
        return Build(folder, **{name: note[name] for name in _NOTED})
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise DamagedFileError(
            f"{path} cannot be read; remove the link {TABLE} beside `builds`, then build silver "
            "again with `polygon-fundamentals silver`"
        ) from error


def _written(
    lake: Lake, generation: Generation, base: Build | None, day: date | None, parts: Parts
) -> Build:
    link_history(lake)
    folder = lake.silver / "builds"
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    name = f"{now:%Y%m%dT%H%M%S%f}Z-{generation}"
    beside = lake.silver / "history" / name
    partial, partial_beside = folder / f"{name}{_PARTIAL}", beside.with_name(f"{name}{_PARTIAL}")
    wide = TableFiles(partial, None if base is None else base.path, fiscal_year)
    history = TableFiles(
        partial_beside,
        None if base is None else base.path / HISTORY_FOLDER,
        lambda rows: initial_of(rows["ticker"]),
    )
    left_out: Counter[str] = Counter()
    done = None
    try:
        partial.mkdir()
        if day is None:
            partial_beside.mkdir(parents=True)
            (partial / HISTORY_FOLDER).symlink_to(Path("..", "..", "history", name))
        for part in parts(lake, generation):
            left_out.update(part.left_out)
            wide.add(known_on(part.rows, day))
            if day is None:
                history.add(part.rows)
        wide.finish()
        history.finish()
        made = Build(
            folder / name,
            generation.value,
            None if day is None else day.isoformat(),
            wide.rows,
            wide.files,
            history.rows,
            history.files,
            wide.written,
            wide.size,
            history.written,
            left_out,
        )
        if base is not None and _is_as(made, base):
            return replace(base, left_out=left_out)
        note = {name: getattr(made, name) for name in _NOTED} | {"built": now.isoformat()}
        (partial / SILVER_NOTE).write_bytes(orjson.dumps(note))
        local.flush_to_disk(partial)
        if day is None:
            os.rename(partial_beside, beside)
        os.rename(partial, made.path)
        done = made
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(partial_beside, ignore_errors=True)
        if done is None:
            shutil.rmtree(beside, ignore_errors=True)
    return done


def _is_as(made: Build, base: Build) -> bool:
    """Return whether a build that was just written has the files of another, and no other."""
    return not made.files_written + made.history_files_written and all(
        getattr(made, name) == getattr(base, name) for name in _NOTED
    )


def _clear(lake: Lake, made: Build) -> None:
    """Remove builds that readers have not seen for a day, and what killed runs left."""
    linked = {link.resolve() for link in _links(lake)} | {made.path.resolve()}
    for folder in _entries(lake.silver / "builds"):
        if folder.resolve() in linked:
            continue
        note = folder / SILVER_NOTE
        with suppress(FileNotFoundError):  # somebody removed it by hand
            complete = not folder.name.endswith(_PARTIAL)
            if complete and time.time() - note.stat().st_mtime < KEPT_SECONDS:
                continue
        shutil.rmtree(folder, ignore_errors=True)
    for folder in _entries(lake.silver / "history"):
        if not (lake.silver / "builds" / folder.name).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _links(lake: Lake) -> list[Path]:
    """Return the links to builds: of the present table, and of the tables of past days."""
    links = [link_of(lake), *_entries(lake.silver / "as_of")]
    return [link for link in links if link.is_symlink()]


def _entries(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except FileNotFoundError:
        return []
