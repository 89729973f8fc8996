"""What a lake of v1 that another tool wrote holds, found by reading alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from polygon_fundamentals.cutover import companions
from polygon_fundamentals.cutover.scanned_files import Part, scanned
from polygon_fundamentals.lake import silver_files
from polygon_fundamentals.lake.listing import FileState, states
from polygon_fundamentals.lake.paths import Dataset, Lake
from polygon_fundamentals.statements import Generation, Statement

YOUNG = timedelta(days=1)
_PATTERN = re.compile(r"=[^/]+?(?=/|\.parquet$)")
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Writer:
    """Who wrote files within the last day where readers look, by the pattern of their paths."""

    pattern: str
    files: int
    first: datetime
    last: datetime


@dataclass(frozen=True)
class Silver:
    """What stands at the path of the silver table: `state` is none, ours or another's."""

    state: str
    path: str
    files: int = 0
    pattern: str = ""
    foreign: tuple[str, ...] = ()


@dataclass(frozen=True)
class StatementInventory:
    """What one dataset of v1 holds; rows count as alike where only what a tool adds differs."""

    statement: str
    files: int
    bytes: int
    tickers: int
    records: int
    periods: int
    doubles_alike: int
    doubles_differing: dict[str, int]
    unreadable: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class LakeInventory:
    """What a lake holds, as found by reading alone."""

    lake: str
    tools: dict[str, int]
    statements: tuple[StatementInventory, ...]
    tickers: int
    named_only: tuple[str, ...]
    companions: tuple[str, ...]
    hidden: tuple[str, ...]
    silver: Silver
    writers: tuple[Writer, ...]


def examine(lake: Lake, now: datetime, progress: Progress = lambda done, of: None) -> LakeInventory:
    """Return what a lake holds. Nothing is written, not even a cache."""
    datasets = [lake.dataset(Generation.V1, statement) for statement in Statement]
    listed = [(dataset, states(dataset)) for dataset in datasets]
    total, done = sum(len(files) for _, files in listed), 0
    parts: dict[Dataset, list[Part]] = {dataset: [] for dataset in datasets}
    for dataset, part in scanned(listed):
        parts[dataset].append(part)
        done += len(part.files)
        progress(done, total)
    files_scanned = [file for some in parts.values() for part in some for file in part.files]
    tools = Counter(file.tool for file in files_scanned if file.tool)
    named = {name for file in files_scanned for name in file.named}
    tickers = {file.ticker for _, files in listed for file in files}
    statements = [_of_statement(dataset, files, parts[dataset]) for dataset, files in listed]
    return LakeInventory(
        str(lake.root),
        dict(tools.most_common()),
        tuple(statements),
        len(tickers),
        tuple(sorted(named - tickers)),
        companions.shown(lake),
        tuple(companions.in_both(lake)),
        _silver(lake),
        tuple(_writers(lake, listed, now)),
    )


def _of_statement(
    dataset: Dataset, files: Sequence[FileState], parts: Sequence[Part]
) -> StatementInventory:
    records = {row for part in parts for row in part.records}
    unreadable = [
        (str(dataset.file(file.partition, file.ticker)), file.reason)
        for part in parts
        for file in part.files
        if file.reason
    ]
    return StatementInventory(
        dataset.statement.value,
        len(files),
        sum(file.size for file in files),
        len({file.ticker for file in files}),
        len(records),
        len({(row[0] or ticker, *row[1:3]) for ticker, row in records}),
        sum(part.alike for part in parts),
        dict(sum((part.differing for part in parts), Counter[str]())),
        (*unreadable, *(problem for part in parts for problem in part.unreadable)),
    )


def _silver(lake: Lake) -> Silver:
    link = silver_files.link_of(lake)
    if link.is_symlink():
        return Silver("ours", str(link), foreign=tuple(silver_files.foreign_files(link)))
    if not link.exists():
        return Silver("none", str(link))
    files = [path for path in sorted(link.rglob("*")) if path.is_file()]
    pattern = _pattern(str(files[0].relative_to(lake.root))) if files else ""
    return Silver("another's", str(link), len(files), pattern)


def _pattern(path: str) -> str:
    return _PATTERN.sub("=…", path)


def _writers(
    lake: Lake,
    listed: Sequence[tuple[Dataset, Sequence[FileState]]],
    now: datetime,
) -> Iterator[Writer]:
    """Yield what wrote within a day: into v1's statements, beside them, and into silver."""
    moments: dict[str, list[float]] = {}
    since = (now - YOUNG).timestamp()
    for dataset, some in listed:
        for file in some:
            if file.changed_ns / 1e9 > since:
                path = dataset.file(file.partition, file.ticker).relative_to(lake.root)
                moments.setdefault(_pattern(str(path)), []).append(file.changed_ns / 1e9)
    folder = lake.generation_folder(Generation.V1)
    beside = [folder / name for name in companions.companions(folder)]
    if not silver_files.link_of(lake).is_symlink():
        beside.append(silver_files.link_of(lake))
    for place in beside:
        for path in [place] if place.is_file() else place.rglob("*"):
            if path.is_file() and (changed := path.stat().st_mtime) > since:
                moments.setdefault(_pattern(str(path.relative_to(lake.root))), []).append(changed)
    for pattern, times in sorted(moments.items()):
        first, last = (datetime.fromtimestamp(t, UTC) for t in (min(times), max(times)))
        yield Writer(pattern, len(times), first, last)
