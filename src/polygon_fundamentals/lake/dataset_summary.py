"""The summary of a dataset: its files, records and periods by ticker, without reading data pages.

One derived file a dataset in `ops/cache/`: for every ticker the size and time of change of
its files, its records and the periods of each of its companies. Counts come from the
ticker's index; only what changed since the last time is looked at again, and only files
without an index of ours (an older tool's) are opened. Delete it and it is built anew.

A whole market has millions of files, and asking each for its size takes a minute. `Look` says
which are asked. Whatever is written by renaming, as everything of ours is, changes its folder's
time. Only a file that another tool wrote over in place can go unseen in a folder that is passed
over; the next load of its ticker, `verify` and `mend_others` of every load ask each file.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

import msgspec

from polygon_fundamentals.datasets.keys import PERIOD, cik_of, period_of, record_keys
from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.lake import codec, index
from polygon_fundamentals.lake.file_names import UNDATED
from polygon_fundamentals.lake.filing_edges import Edge, Stamps, filing_edges
from polygon_fundamentals.lake.listing import FileState
from polygon_fundamentals.lake.paths import Dataset, ticker_files
from polygon_fundamentals.lake.processes import are_worth_processes, run_jobs
from polygon_fundamentals.lake.storage import checked, local

VERSION = 4
# A folder that changed so shortly before it was listed may have changed again at the same time
# of change, by a file system that counts in seconds or a server whose clock is behind.
_SETTLED_NS = 60 * 1_000_000_000
_OPENED_AT_ONCE = 200

Folders = dict[str, int]  # partition → its folder's time of change in ns
Sizes = dict[str, tuple[int, int]]  # partition → how many files it has, and their bytes


class Look(Enum):
    """Which files are asked for their size and time of change, besides those of changed folders."""

    EVERY_FILE = "every file"
    RECENT = "the files of rows without a filing date, and of those filed in the last year"
    CHANGED = "none: folders that are as they were are passed over"

    def asks(self, partition: int) -> bool:
        """Return whether the files of an unchanged folder are asked."""
        if self is Look.RECENT:
            today = datetime.now(UTC)
            return partition == UNDATED or partition >= (today.year - 1) * 100 + today.month
        return self is Look.EVERY_FILE


@dataclass
class TickerSummary:
    """What is known of one ticker.

    `periods`: CIK → how many; `unreadable`: files that could not be counted; `indexed`: whether
    the files are as our last load wrote them.
    """

    files: Stamps
    records: int = 0
    undated: int = 0
    periods: dict[str, int] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    indexed: bool = True


def _cache_file(dataset: Dataset) -> Path:
    return dataset.lake.ops / "cache" / f"catalogue.{dataset.name}.json"


@dataclass
class DatasetSummary:
    """What is known of a dataset: its tickers, settled folders, sizes, and first and last day."""

    tickers: dict[str, TickerSummary] = field(default_factory=dict)
    folders: Folders = field(default_factory=dict)
    sizes: Sizes = field(default_factory=dict)
    edges: dict[str, Edge] = field(default_factory=dict)


class _Saved(msgspec.Struct):
    version: int
    folder: str
    tickers: dict[str, TickerSummary]
    folders: Folders
    sizes: Sizes
    edges: dict[str, Edge]


_DECODER = msgspec.json.Decoder(_Saved)


def _load(dataset: Dataset) -> DatasetSummary:
    """Return the summary as last stored; empty where there is none of this folder."""
    try:
        data = _cache_file(dataset).read_bytes()
        if not checked.is_intact(data):
            return DatasetSummary()
        saved = _DECODER.decode(data)
    except (OSError, ValueError, msgspec.MsgspecError):
        return DatasetSummary()
    if saved.version != VERSION or saved.folder != str(dataset.folder):
        return DatasetSummary()
    return DatasetSummary(saved.tickers, saved.folders, saved.sizes, saved.edges)


def _listing(
    dataset: Dataset, known: DatasetSummary, look: Look
) -> tuple[dict[str, Stamps], Folders, Sizes]:
    """Return ticker → its files as they are now, the folders that have settled, and all sizes."""
    settled, passed_over = {}, set()
    listed: dict[str, Stamps] = {}
    sizes: Sizes = {}
    for number, folder in dataset.partitions():
        partition, now = str(number), time.time_ns()
        changed = folder.stat().st_mtime_ns  # before it is listed: a later change shows next time
        if changed < now - _SETTLED_NS:
            settled[partition] = changed
            if not look.asks(number) and known.folders.get(partition) == changed:
                passed_over.add(partition)
                if partition in known.sizes:
                    sizes[partition] = known.sizes[partition]
                continue
        files = size = 0
        for ticker, file in ticker_files(folder):
            try:
                stat = file.stat()
            except FileNotFoundError:
                continue  # moved to another partition between the listing and now
            listed.setdefault(ticker, {})[partition] = (stat.st_mtime_ns, stat.st_size)
            files, size = files + 1, size + stat.st_size
        if files:
            sizes[partition] = (files, size)
    if not passed_over:
        return listed, settled, sizes
    listed_anew = known.sizes.keys() - passed_over
    unchanged: dict[str, Stamps] = {}
    for ticker, entry in known.tickers.items():
        signs = entry.files.copy()
        for partition in listed_anew:
            signs.pop(partition, None)
        signs |= listed.pop(ticker, {})
        if signs:
            unchanged[ticker] = signs
    return unchanged | listed, settled, sizes


def summarise(dataset: Dataset, look: Look) -> DatasetSummary:
    """Return a dataset's summary as its folders now are; write it where it changed."""
    known = _load(dataset)
    now, folders, sizes = _listing(dataset, known, look)
    fresh: dict[str, TickerSummary] = {}
    to_open: dict[str, Stamps] = {}
    for ticker, signs in now.items():
        entry = known.tickers.get(ticker)
        if entry is not None and (entry.files != signs or entry.unreadable):
            entry = None
        if entry is not None and entry.indexed:
            continue
        if (indexed := _from_index(dataset, ticker, signs)) is not None:
            fresh[ticker] = indexed
        elif entry is None:
            to_open[ticker] = signs
    fresh.update(_opened(dataset, to_open))
    entries = {t: fresh[t] if t in fresh else known.tickers[t] for t in now}
    edges = filing_edges(dataset, now, sizes, known.edges)
    summary = DatasetSummary(entries, folders, sizes, edges)
    if summary != known:
        content = {
            "version": VERSION,
            "folder": str(dataset.folder),
            "tickers": {ticker: vars(entry) for ticker, entry in entries.items()},
            "folders": folders,
            "sizes": sizes,
            "edges": edges,
        }
        # On a disk that is full or read-only the summary is as true; it is only not stored.
        with suppress(OSError):
            local.replace_file(_cache_file(dataset), checked.dumps(content))
    return summary


def unindexed(dataset: Dataset, look: Look = Look.EVERY_FILE) -> list[FileState]:
    """Return the files of a dataset that changed since we last wrote their ticker, by month."""
    return unindexed_in(dataset, summarise(dataset, look))


def unindexed_in(dataset: Dataset, summary: DatasetSummary) -> list[FileState]:
    """Return the files of a summary that changed since we last wrote their ticker, by month."""
    foreign = []
    for ticker, entry in summary.tickers.items():
        if entry.indexed:
            continue
        ours = index.written(dataset, ticker).files
        for partition, sign in entry.files.items():
            if ours.get(int(partition), ())[:2] != sign:
                foreign.append(FileState(int(partition), ticker, *sign))
    return sorted(foreign, key=lambda state: (state.partition, state.ticker))


def _from_index(dataset: Dataset, ticker: str, signs: Stamps) -> TickerSummary | None:
    """Return a ticker's entry from its index, or None where that disagrees with the files."""
    ticker_index = index.written(dataset, ticker)
    if {str(p): f[:2] for p, f in ticker_index.files.items()} != signs:
        return None
    undated = sum(1 for partition, _ in ticker_index.rows.values() if partition == UNDATED)
    return _counted(signs, ticker_index.rows, undated)


def _counted(signs: Stamps, keys: Iterable[str], undated: int) -> TickerSummary:
    keys = list(keys)
    periods: dict[str, int] = {}
    for period in {period_of(key) for key in keys}:
        cik = cik_of(period)
        periods[cik] = periods.get(cik, 0) + 1
    return TickerSummary(signs, len(keys), undated, periods)


def _opened(dataset: Dataset, tickers: Mapping[str, Stamps]) -> dict[str, TickerSummary]:
    """Return the entries of tickers without a usable index, from the files themselves."""
    items = list(tickers.items())
    count = sum(len(signs) for _, signs in items)
    jobs = [
        (dataset, items[i : i + _OPENED_AT_ONCE]) for i in range(0, len(items), _OPENED_AT_ONCE)
    ]
    entries: dict[str, TickerSummary] = {}
    for opened in run_jobs(_open, jobs, in_processes=are_worth_processes(count)):
        entries |= opened
    return entries


def _open(dataset: Dataset, tickers: Sequence[tuple[str, Stamps]]) -> dict[str, TickerSummary]:
    generation = dataset.generation
    columns = ["ticker", "cik", "timeframe", *PERIOD[generation]]
    entries = {}
    for ticker, signs in tickers:
        keys: dict[str, int] = {}
        unreadable = []
        for partition in sorted(map(int, signs)):
            path = dataset.file(partition, ticker)
            try:
                table, _ = codec.read(path, dataset, ticker, columns)
            except FileNotFoundError:
                continue
            except DamagedFileError:
                unreadable.append(str(path))
                continue
            keys |= dict.fromkeys(record_keys(table, generation), partition)
        undated = sum(partition == UNDATED for partition in keys.values())
        entries[ticker] = _counted(signs, keys, undated)
        entries[ticker].unreadable, entries[ticker].indexed = unreadable, False
    return entries


def keys_read(dataset: Dataset, ticker: str) -> list[str]:
    """Return the record keys of a ticker from its files; a damaged one is passed over."""
    known = _load(dataset).tickers.get(ticker)
    keys: list[str] = []
    for partition in known.files if known else ():
        try:
            stored = index.read_file(dataset, int(partition), ticker)
        except DamagedFileError:
            continue
        keys += stored.keys if stored else []
    return keys
