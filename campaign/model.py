"""The model: every row that was ever shown or stored, and what a lake in order must look like.

It is small, slow and obvious on purpose: it reads the files themselves, and knows nothing of the
index, the cache or the plan that led to them.
"""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from campaign.facts import digest
from polygon_fundamentals.cutover.verify import verify
from polygon_fundamentals.datasets.flat import flattened
from polygon_fundamentals.datasets.keys import record_keys
from polygon_fundamentals.datasets.schemas import MARK_KEY, schema
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.codec import read_theirs
from polygon_fundamentals.lake.file_names import ticker_of_file
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.ledger.entry import read_entries
from polygon_fundamentals.silver import table_path
from polygon_fundamentals.statements import Generation, Statement

SECRET = b"campaign-secret"
V1_FOLDERS = ("fundamentals", "fundamentals_v1_archive")


class Broken(Exception):
    """An invariant does not hold; the text says which, and where."""


@dataclass(frozen=True)
class Stored:
    """One file of rows: where it counts, what its rows say, their keys and filing dates."""

    stamp: tuple[int, ...]
    place: str  # `current` or `revisions`
    digests: tuple[str, ...]
    keys: tuple[str, ...]
    filed: tuple[tuple[str, str], ...]  # period key → filing date
    flat: tuple[str, ...] = ()  # what the cache must hold of its rows


@dataclass
class Model:
    """What must be there: `must` of every row ever shown to a fetch that ended, or stored.

    `filed` is the first filing date by period, and by whatever ends on a day; also of rows that are
    in v1's archive meanwhile.
    """

    must: dict[str, str] = field(default_factory=dict)  # digest → generation
    filed: dict[str, str] = field(default_factory=dict)
    files: dict[str, Stored] = field(default_factory=dict)
    entries: set[str] = field(default_factory=set)

    def digests(self, place: str) -> set[str]:
        """Return what the rows of a place say."""
        return {d for f in self.files.values() if f.place == place for d in f.digests}

    def learn(self) -> None:
        """Remember every row that is stored now."""
        for path, stored in self.files.items():
            generation = "v2" if "fundamentals_v2" in path or "/v2." in path else "v1"
            self.must.update(dict.fromkeys(stored.digests, generation))
        self.filed = _first_filings(self.files, self.filed)

    def check_rows(self, archived: bool) -> None:
        """Raise where a row is lost, or stands twice.

        Raises:
            Broken: so it is.
        """
        there = self.digests("current") | self.digests("revisions")
        lost = [d for d, g in self.must.items() if d not in there and not (archived and g == "v1")]
        if lost:
            by_generation = Counter(self.must[d] for d in lost)
            raise Broken(f"rows lost: {len(lost)} ({dict(by_generation)}), such as {lost[0]}")
        keys: Counter[str] = Counter()
        for path, stored in self.files.items():
            if stored.place == "current":
                dataset = "/".join(path.split("/")[1:3]).replace(V1_FOLDERS[1], V1_FOLDERS[0])
                name = path.rsplit("/", 1)[1]
                keys.update(f"{dataset} {name} {key}" for key in stored.keys)
        double = [key for key, count in keys.items() if count > 1]
        if double:
            raise Broken(f"rows twice: {len(double)}, such as {double[0]}")


def scan(root: Path, known: dict[str, Stored]) -> tuple[dict[str, Stored], list[str]]:
    """Return every file of rows of a lake, and what is wrong with its files."""
    files: dict[str, Stored] = {}
    problems: list[str] = []
    for folder, folders, names in os.walk(root):
        where = os.path.relpath(folder, root)
        if where == "archive" or where.endswith(("ops/cache", ".partial")):
            # A build that was cut off is no build: nobody reads it. The caches are checked apart;
            # a drill that was killed leaves its copy of them.
            folders.clear()
            continue
        for name in names:
            path, shown = Path(folder, name), f"{where}/{name}"
            if path.is_symlink():
                continue
            stat = path.stat()
            stamp = (stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size)
            if shown in known and known[shown].stamp == stamp:
                files[shown] = known[shown]
                continue
            try:
                files[shown] = _read(path, shown, stamp)
            except (pa.ArrowException, OSError, ValueError) as error:
                problems.append(f"{shown} does not open: {str(error)[:200]}")
    return files, problems


def _read(path: Path, shown: str, stamp: tuple[int, ...]) -> Stored:
    data = path.read_bytes()
    if SECRET in data:
        raise ValueError("it holds the API key")
    parts = shown.split("/")
    if parts[0] == "bronze" and parts[1].startswith("fundamentals") and len(parts) == 6:
        place, dataset = "current", ("v2" if parts[1].endswith("v2") else "v1", parts[2])
    elif parts[:2] == ["ops", "revisions"] and not parts[2].endswith("ratios"):
        place, dataset = "revisions", tuple(parts[2].split(".", 1))  # type: ignore[assignment]
    else:
        if shown.endswith(".parquet"):
            pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)
        return Stored(stamp, "", (), (), ())
    generation, statement = dataset
    table = pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)
    if (
        MARK_KEY.encode() not in (table.schema.metadata or {})
        and "financials" in table.schema.names
    ):
        of_tool = Lake(Path()).dataset(Generation(generation), Statement(statement))
        table = read_theirs(table, of_tool, ticker_of_file(path.name) or "")
    flat: tuple[str, ...] = ()
    if place == "current":
        which = Generation(generation), Statement(statement)
        flat = _content(flattened(table.cast(schema(*which)), *which))
    keys = record_keys(table, Generation(generation))
    rows = table.to_pylist()
    said = []
    for row in rows:
        content = {
            k: v for k, v in row.items() if k not in ("event", "known_from", "superseded_at")
        }
        said.append(digest(generation, statement, content))
    filed = tuple(
        (
            key.rsplit("|", 2)[0].replace("|ttm|", "|trailing_twelve_months|"),
            str(row["filing_date"]),
        )
        for key, row in zip(keys, rows, strict=True)
        if row["filing_date"]
    )
    return Stored(stamp, place, tuple(said), tuple(keys), filed, flat)


def problems_of(
    lake: Lake, files: dict[str, Stored], settled: bool, filed: dict[str, str]
) -> list[str]:
    """Return what is not in order in a lake on which nothing is running.

    `settled`: every command has run since the last kill, so that nothing of it may be left.
    """
    problems = [f"verify: {p.file}: {p.reason}" for p in verify(lake).problems]
    problems += _left_over(lake, settled)
    entries, damaged = read_entries(lake)
    problems += [f"ledger: {path.name} cannot be read" for path in damaged]
    problems += [
        f"ledger: {e.path.name} has no end" for e in entries if e.is_running or not e.ended
    ]
    if not lake.pointer.is_dir():
        problems.append("pointer: leads nowhere")
    elif lake.pointer.resolve().name not in ("fundamentals_v2", *V1_FOLDERS):
        problems.append(f"pointer: leads to {lake.pointer.resolve().name}")
    return problems + _ahead(lake, _first_filings(files, filed))


def _left_over(lake: Lake, settled: bool) -> list[str]:
    left = [f"ops/unfinished/{p.name}" for p in (lake.ops / "unfinished").glob("*")]
    for folder, _, names in os.walk(lake.root):
        where = os.path.relpath(folder, lake.root)
        partial = where.startswith(("silver/", "ops/drill", "ops/cache/parity-work"))
        if ".staging" in folder:
            left += [f"{where}/{name}" for name in names]
        elif settled or not partial:
            left += [f"{where}/{name}" for name in names if name.startswith(".")]
        if settled and (folder.endswith(".partial") or where.startswith("ops/drill/")):
            left.append(where)
    for path in (lake.ops / "locks").glob("*.lock"):
        with path.open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                left.append(f"lock held: {path.name}")
    return [f"left over: {name}" for name in left]


def _first_filings(files: dict[str, Stored], known: dict[str, str]) -> dict[str, str]:
    """Return the first filing date of each period, and of whatever ends on a day, as known now."""
    first = dict(known)
    for stored in files.values():
        for period, filed in stored.filed:
            cik, _, end = period.split("|")
            for about in (period, f"{cik}||{end}"):
                first[about] = min(first.get(about, "9"), filed)
    return first


def _ahead(lake: Lake, first: dict[str, str]) -> list[str]:
    """Return what silver's history knows before anything of its period was filed."""
    if not (lake.silver / "fundamentals_history").exists():
        return []
    columns = ["cik", "timeframe", "period_end", "known_from", "known_to", "knowledge"]
    problems = []
    for path in table_path(lake, "fundamentals_history").rglob("*.parquet"):
        rows = pq.ParquetFile(path).read(columns, use_threads=False).to_pylist()
        for row in rows:
            cik, timeframe, end, known_from, known_to, knowledge = (row[n] for n in columns)
            # A record without a filing date was known with the first filing of its day's periods.
            filed = min(
                first.get(f"{cik}||{end}", "9") if knowledge == "derived" else "9",
                first.get(f"{cik}|{timeframe}|{end}", "9"),
                first.get(f"{cik}|{timeframe.replace('ttm', 'trailing_twelve_months')}|{end}", "9"),
            )
            if known_from and filed != "9" and str(known_from) < filed:
                problems.append(
                    f"history: {cik} {timeframe} {end} known {known_from}, filed {filed}"
                )
            if known_from and known_to and known_to <= known_from:
                problems.append(f"history: {cik} {timeframe} {end} known to {known_to}")
    return problems[:3]


def cache_problems(lake: Lake, files: dict[str, Stored]) -> list[str]:
    """Return the datasets whose rows, read with the cache, are not those of their files."""
    problems = []
    for generation in Generation:
        for statement in Statement:
            dataset = lake.dataset(generation, statement)
            where = f"{dataset.folder.relative_to(lake.root)}/"
            rows = sorted(r for n, f in files.items() if n.startswith(where) for r in f.flat)
            if rows and rows != sorted(_content(read_dataset(dataset))):
                problems.append(f"cache: {dataset.name} is not what its files hold")
    return problems


def _content(table: pa.Table) -> tuple[str, ...]:
    """Return a short text for each row of a flat table."""
    names = sorted(set(table.schema.names) - {"ours", "partition", "observed_at"})
    columns = (table[name].to_pylist() for name in names)
    rows = zip(*columns, strict=True)
    return tuple(blake2b(repr(row).encode(), digest_size=10).hexdigest() for row in rows)


def ledger_names(root: Path) -> set[str]:
    """Return the names of the ledger's entries."""
    return {path.name for path in (root / "ops" / "runs").glob("[!.]*.json")}
