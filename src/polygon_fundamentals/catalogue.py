"""The catalogue: what the lake holds, counted without reading data pages.

One derived file a dataset in `ops/cache/`: for every ticker the size and time of change of
its files, its records and the periods of each of its companies. Counts come from the
ticker's index; only what changed since the last time is looked at again, and only files
without an index of ours (an older tool's) are opened. Delete it and it is built anew.
"""

from __future__ import annotations

import calendar
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import orjson
import pyarrow.compute as pc

from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.lake import files, index
from polygon_fundamentals.lake.paths import UNDATED, Dataset, Lake
from polygon_fundamentals.normalise.content import PERIOD, cik_of, period_of, record_keys
from polygon_fundamentals.statements import Generation, Statement

VERSION = 1
# Starting processes pays from about this many files on that must be opened.
OPENED_WORTH_PROCESSES = 2_000
_OPENED_AT_ONCE = 200

Signatures = dict[str, list[int]]  # partition → [time of change in ns, size]


@dataclass(frozen=True)
class DatasetCounts:
    """What a dataset holds. `records` counts a record once a ticker file, `periods` once a company.

    `first_filed` and `last_filed` are None in a dataset without dated records;
    `unreadable` names files that could not be counted.
    """

    generation: Generation
    statement: Statement
    records: int = 0
    tickers: int = 0
    periods: int = 0
    files: int = 0
    bytes: int = 0
    first_filed: date | None = None
    last_filed: date | None = None
    undated: int = 0
    bytes_by_year: Mapping[int, int] = field(default_factory=dict)
    unreadable: tuple[str, ...] = ()


@dataclass
class _Entry:
    """What the catalogue knows of one ticker."""

    files: Signatures
    records: int = 0
    undated: int = 0
    periods: dict[str, int] = field(default_factory=dict)  # CIK → its periods
    unreadable: list[str] = field(default_factory=list)


def _cache_file(dataset: Dataset) -> Path:
    return dataset.lake.ops / "cache" / f"catalogue.{dataset.name}.json"


def _load(dataset: Dataset) -> tuple[dict[str, _Entry], dict[str, Any]]:
    """Return (ticker → entry, dates of the files at both ends); empty where there are none."""
    try:
        found = orjson.loads(_cache_file(dataset).read_bytes())
        if found["version"] != VERSION or found["folder"] != str(dataset.folder):
            return {}, {}
        return {name: _Entry(**entry) for name, entry in found["tickers"].items()}, found["edges"]
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        return {}, {}


def _listing(dataset: Dataset) -> dict[str, Signatures]:
    found: dict[str, Signatures] = {}
    for partition, ticker, entry in dataset.files():
        try:
            stat = entry.stat()
        except FileNotFoundError:
            continue  # moved to another partition between the listing and now
        found.setdefault(ticker, {})[str(partition)] = [stat.st_mtime_ns, stat.st_size]
    return found


def _brought_up(dataset: Dataset) -> tuple[dict[str, _Entry], dict[str, Any]]:
    """Return the catalogue of a dataset as its folders now are; write it where it changed."""
    known, edges = _load(dataset)
    now = _listing(dataset)
    changed = [ticker for ticker, signs in now.items() if _differs(known.get(ticker), signs)]
    fresh, unindexed = {}, []
    for ticker in changed:
        entry = _from_index(dataset, ticker, now[ticker])
        if entry is None:
            unindexed.append(ticker)
        else:
            fresh[ticker] = entry
    fresh.update(_opened(dataset, {ticker: now[ticker] for ticker in unindexed}))
    entries = {t: fresh[t] if t in fresh else known[t] for t in now}
    edges_now = _edges(dataset, now, edges)
    if changed or len(known) != len(entries) or edges_now != edges:
        tickers = {ticker: vars(entry) for ticker, entry in entries.items()}
        content = {
            "version": VERSION,
            "folder": str(dataset.folder),
            "tickers": tickers,
            "edges": edges_now,
        }
        files.replace_file(_cache_file(dataset), orjson.dumps(content))
    return entries, edges_now


def _differs(entry: _Entry | None, signs: Signatures) -> bool:
    return entry is None or entry.files != signs or bool(entry.unreadable)


def _indexed_keys(dataset: Dataset, ticker: str) -> index.TickerIndex | None:
    try:
        return index.TickerIndex.loads(dataset.index_file(ticker).read_bytes())
    except FileNotFoundError:
        return None


def _from_index(dataset: Dataset, ticker: str, signs: Signatures) -> _Entry | None:
    """Return a ticker's entry from its index, or None where that disagrees with the files."""
    found = _indexed_keys(dataset, ticker)
    if found is None or {str(p): list(f[:2]) for p, f in found.files.items()} != signs:
        return None
    undated = sum(1 for partition, _ in found.rows.values() if partition == UNDATED)
    return _counted(signs, found.rows, undated)


def _counted(signs: Signatures, keys: Iterable[str], undated: int) -> _Entry:
    keys = list(keys)
    periods: dict[str, int] = {}
    for period in {period_of(key) for key in keys}:
        cik = cik_of(period)
        periods[cik] = periods.get(cik, 0) + 1
    return _Entry(signs, len(keys), undated, periods)


def _opened(dataset: Dataset, tickers: Mapping[str, Signatures]) -> dict[str, _Entry]:
    """Return the entries of tickers without a usable index, from the files themselves."""
    items = list(tickers.items())
    count = sum(len(signs) for _, signs in items)
    if count < OPENED_WORTH_PROCESSES or (os.cpu_count() or 1) < 2:
        return _open(str(dataset.lake.root), dataset.generation, dataset.statement, items)
    found: dict[str, _Entry] = {}
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        futures = [
            pool.submit(
                _open,
                str(dataset.lake.root),
                dataset.generation,
                dataset.statement,
                items[i : i + _OPENED_AT_ONCE],
            )
            for i in range(0, len(items), _OPENED_AT_ONCE)
        ]
        for future in futures:
            found.update(future.result())
    return found


def _open(
    root: str,
    generation: Generation,
    statement: Statement,
    tickers: Sequence[tuple[str, Signatures]],
) -> dict[str, _Entry]:
    dataset = Lake(Path(root)).dataset(generation, statement)
    columns = ["ticker", "cik", "timeframe", *PERIOD[generation]]
    found = {}
    for ticker, signs in tickers:
        keys: dict[str, int] = {}
        unreadable = []
        for partition in sorted(map(int, signs)):
            path = dataset.file(partition, ticker)
            try:
                table, _ = files.read(path, dataset, ticker, columns)
            except FileNotFoundError:
                continue
            except DamagedFileError:
                unreadable.append(str(path))
                continue
            keys |= dict.fromkeys(record_keys(table, generation), partition)
        undated = sum(partition == UNDATED for partition in keys.values())
        found[ticker] = _counted(signs, keys, undated)
        found[ticker].unreadable = unreadable
    return found


def _edges(
    dataset: Dataset, now: Mapping[str, Signatures], known: Mapping[str, Any]
) -> dict[str, Any]:
    """Return `first` and `last` filing date with the files of their months.

    The month is in the path; the day is read from the files of the first and of the last
    month alone, and only where one of them changed.
    """
    months = {int(partition) for signs in now.values() for partition in signs} - {UNDATED}
    found: dict[str, Any] = {}
    for name, month in (("first", min(months, default=None)), ("last", max(months, default=None))):
        if month is None:
            continue
        signs = {t: s[str(month)] for t, s in now.items() if str(month) in s}
        before = known.get(name)
        if before is not None and before["month"] == month and before["files"] == signs:
            found[name] = before
            continue
        same = before["files"] if before is not None and before["month"] == month else {}
        gone = bool(same.keys() - signs.keys()) or any(same[t] != signs[t] for t in same)
        todo = [t for t in signs if gone or t not in same]
        days = [before["day"]] if before is not None and same and not gone else []
        days += _days(dataset, month, todo, last=name == "last")
        pick = max if name == "last" else min
        found[name] = {"month": month, "files": signs, "day": pick(days, default=None)}
    return found


def _days(dataset: Dataset, month: int, tickers: Sequence[str], *, last: bool) -> list[str]:
    """Return filing dates (YYYY-MM-DD) among which the first or last of a month is."""
    year, number = divmod(month, 100)
    limit = date(year, number, calendar.monthrange(year, number)[1] if last else 1).isoformat()
    found: list[str] = []
    for ticker in tickers:
        try:
            table, _ = files.read(dataset.file(month, ticker), dataset, ticker, ["filing_date"])
        except (FileNotFoundError, DamagedFileError):
            continue
        days = pc.min_max(table["filing_date"])
        value = days["max" if last else "min"].as_py()
        if value is not None:
            found.append(value.isoformat())
            if found[-1] == limit:
                break
    return found


def count(dataset: Dataset) -> DatasetCounts:
    """Return what a dataset holds; writes the catalogue where the lake changed."""
    entries, edges = _brought_up(dataset)
    by_year: dict[int, int] = {}
    for entry in entries.values():
        for partition, (_, size) in entry.files.items():
            year = int(partition) // 100
            by_year[year] = by_year.get(year, 0) + size
    days = {
        name: date.fromisoformat(edges[name]["day"])
        for name in ("first", "last")
        if name in edges and edges[name]["day"]
    }
    return DatasetCounts(
        dataset.generation,
        dataset.statement,
        records=sum(entry.records for entry in entries.values()),
        tickers=sum(1 for entry in entries.values() if entry.records),
        periods=_periods(dataset, entries),
        files=sum(len(entry.files) for entry in entries.values()),
        bytes=sum(by_year.values()),
        first_filed=days.get("first"),
        last_filed=days.get("last"),
        undated=sum(entry.undated for entry in entries.values()),
        bytes_by_year=by_year,
        unreadable=tuple(path for entry in entries.values() for path in entry.unreadable),
    )


def _periods(dataset: Dataset, entries: Mapping[str, _Entry]) -> int:
    """Return the number of periods, those of a company with several tickers once."""
    owners: dict[str, list[str]] = {}
    for ticker, entry in entries.items():
        for cik in entry.periods:
            owners.setdefault(cik, []).append(ticker)
    total = 0
    for cik, tickers in owners.items():
        if len(tickers) == 1:
            total += entries[tickers[0]].periods[cik]
            continue
        union: set[str] = set()
        for ticker in tickers:
            found = _indexed_keys(dataset, ticker)
            keys = found.rows if found is not None and found.rows else _keys_read(dataset, ticker)
            union.update(period_of(key) for key in keys if cik_of(key) == cik)
        total += len(union)
    return total


def _keys_read(dataset: Dataset, ticker: str) -> list[str]:
    known = _load(dataset)[0].get(ticker)
    keys: list[str] = []
    for partition in known.files if known else ():
        try:
            stored = index.read_file(dataset, int(partition), ticker)
        except DamagedFileError:
            continue
        keys += stored.keys if stored else []
    return keys


def companies(lake: Lake) -> dict[str, list[str]]:
    """Return every ticker that the lake follows → its CIKs, from both generations."""
    found: dict[str, set[str]] = {}
    for generation in Generation:
        for statement in Statement:
            for ticker, entry in _brought_up(lake.dataset(generation, statement))[0].items():
                ciks = found.setdefault(ticker, set())
                ciks.update(cik for cik in entry.periods if not cik.startswith("ticker:"))
    return {ticker: sorted(ciks) for ticker, ciks in sorted(found.items())}


def write_companies(path: Path, followed: Mapping[str, Sequence[str]]) -> None:
    """Write ticker → CIKs for the tasks of a run."""
    files.replace_file(path, orjson.dumps(dict(followed)))


def read_companies(path: Path) -> dict[str, list[str]]:
    """Return what `write_companies` wrote."""
    found: dict[str, list[str]] = orjson.loads(path.read_bytes())
    return found
