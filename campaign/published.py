"""The published tables: the step that publishes, and what must be in them after every step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import pyarrow.parquet as pq
from deltalake import DeltaTable

from campaign.where import Done, Where
from flows.runs import recorded_run
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.silver_files import HISTORY_FOLDER
from polygon_fundamentals.publish.ownership import newest_write
from polygon_fundamentals.publish.publish import publish
from polygon_fundamentals.publish.target import PublishChoices, Target
from polygon_fundamentals.silver import HISTORY_TABLE, TABLE, current_build

_FOLDERS = {TABLE: "", HISTORY_TABLE: HISTORY_FOLDER}


@dataclass
class Published:
    """What each build that readers saw holds, by table; and the build of each published table."""

    builds: dict[str, dict[str, str]] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)  # by readers: before the step, and after
    tables: dict[str, str] = field(default_factory=dict)  # → build and version
    said_build: str = ""  # the build that a publish said it had published in this step


def place(where: Where) -> Path:
    """Return where the tables are published: beside the lake, which may move."""
    return where.beside / "published"


def publish_silver(where: Where, draw: int) -> Done:
    """Publish silver; every other time once more, which must write nothing."""
    target, lake = Target.of(str(place(where))), where.lake
    # A lake whose id was deleted takes its own tables over, now and then.
    choices = PublishChoices(take_over=draw % 4 == 0)
    with recorded_run("publish", lake, {"to": target.url}) as run:
        build = publish(lake, target, run.id, choices).build
        if draw % 2:
            before, first = _files(place(where)), build
            build = publish(lake, target, run.id, choices).build  # another one after a switch
            if build == first and _files(place(where)) != before:
                raise AssertionError(f"published again without a change: {build}")
        run.report["published"] = {"build": build}  # `status` reads it
        return Done(published=build)


def _files(folder: Path) -> set[tuple[str, int, int]]:
    stats = {path: path.stat() for path in folder.rglob("*") if path.is_file()}
    return {(str(path), stat.st_ino, stat.st_mtime_ns) for path, stat in stats.items()}


def look(where: Where, known: Published) -> tuple[Published, list[str]]:
    """Return what is published now and what readers of silver see, and what is wrong with it."""
    build = current_build(where.lake)
    builds = dict(known.builds)
    if build is not None and build.id not in builds:
        builds[build.id] = {table: _of_build(where.lake, build.id, table) for table in _FOLDERS}
    seen = [*known.seen[-1:], *([build.id] if build else [])]
    tables, problems = dict[str, str](), list[str]()
    for name in _FOLDERS:
        path = place(where) / name
        if not DeltaTable.is_deltatable(str(path)):
            problems += [f"published: {name} is gone"] if name in known.tables else []
            continue
        table = DeltaTable(path)
        ours = newest_write(table, str(path), {}).ours
        if ours is None:
            problems.append(f"published: {name} does not say what it holds")
            continue
        build_there, before = ours["build"], known.tables.get(name, "")
        tables[name] = f"{build_there} {table.version()}"
        expected = [known.said_build] if known.said_build else [*seen, before.split(" ")[0]]
        if build_there not in expected:
            problems.append(f"published: {name} has {build_there}, not one of {expected}")
        elif tables[name] != before and _of_table(table) != builds[build_there][name]:
            problems.append(f"published: {name} is not what build {build_there} holds")
    return Published(builds, seen, tables), problems


def _of_build(lake: Lake, build: str, table: str) -> str:
    folder = lake.silver / "builds" / build / _FOLDERS[table]
    rows = list[Mapping[str, object]]()
    for path in folder.glob("*=*/*.parquet"):
        column, _, value = path.parent.name.partition("=")
        read = pq.ParquetFile(path).read(use_threads=False).to_pylist()
        rows += [{**row, column: value} for row in read]
    return _digest(rows)


def _of_table(table: DeltaTable) -> str:
    column = table.metadata().partition_columns[0]
    rows = table.to_pyarrow_table().to_pylist()
    return _digest({**row, column: str(row[column])} for row in rows)


def _digest(rows: Iterable[Mapping[str, object]]) -> str:
    """Return a short text that stands for some rows, in whatever order they are."""
    said = sorted(repr(sorted(row.items())) for row in rows)
    return blake2b("\n".join(said).encode(), digest_size=10).hexdigest()
