"""The summary of a dataset: its files, records and periods by ticker, without reading data pages.

There is one derived file per dataset in `ops/cache/`: for every partition the size and time of
change of its files, for every ticker its records and the periods of each of its companies. Counts
come from the ticker's index; only what changed since the last time is looked at again, and only
files that our index does not know (an older tool's) are opened. It can be deleted at any time.

A whole market has millions of files, and to stat each takes a minute. `Look` says which are. All
that we write is renamed into place, which changes its folder's time. Only a file that another tool
wrote over in place can go unseen in a folder that is skipped; the next load of its ticker, `verify`
and `mend_others` of every load look at each file.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

import msgspec
import orjson

from polygon_fundamentals.datasets.keys import PERIOD, cik_of, period_of, record_keys
from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.lake import codec, index
from polygon_fundamentals.lake.file_names import UNDATED
from polygon_fundamentals.lake.filing_edges import Edge, Files, filing_edges
from polygon_fundamentals.lake.listing import FileState, Stamp
from polygon_fundamentals.lake.paths import Dataset, ticker_files
from polygon_fundamentals.lake.processes import are_worth_processes, run_jobs
from polygon_fundamentals.lake.storage import checked, local

VERSION = 5
# A folder that changed so shortly before it was listed may have changed again at the same time
# of change, by a file system that counts in seconds or a server whose clock is behind.
_SETTLED_NS = 60 * 1_000_000_000
_OPENED_AT_ONCE = 200

Stamps = dict[str, Stamp]  # partition → its file, of one ticker
Folders = dict[str, int]  # partition → its folder's time of change in ns
Sizes = dict[str, tuple[int, int]]  # partition → how many files it has, and their bytes
_FILES = msgspec.json.Decoder(Files)


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

    records: int = 0
    undated: int = 0
    periods: dict[str, int] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    indexed: bool = True


def _cache_file(dataset: Dataset) -> Path:
    return dataset.lake.ops / "cache" / f"catalogue.{dataset.name}.json"


@dataclass
class DatasetSummary:
    """What is known of a dataset: its tickers, files, settled folders, sizes, first and last day.

    `files` has the files of each partition as JSON. Those of a market are too many to read all of
    them each time: a partition that is passed over is kept as it is.
    """

    tickers: dict[str, TickerSummary] = field(default_factory=dict)
    files: dict[str, msgspec.Raw] = field(default_factory=dict)
    folders: Folders = field(default_factory=dict)
    sizes: Sizes = field(default_factory=dict)
    edges: dict[str, Edge] = field(default_factory=dict)

    def files_in(self, partition: str) -> Files:
        """Return the files of a partition, by ticker."""
        return _FILES.decode(self.files[partition]) if partition in self.files else {}

    def stamps_of(self, tickers: Collection[str]) -> dict[str, Stamps]:
        """Return the files of some tickers, by ticker and partition; tickers without any not."""
        stamps: dict[str, Stamps] = {}
        for partition in self.files if tickers else ():
            files = self.files_in(partition)
            for ticker in files.keys() & tickers:
                stamps.setdefault(ticker, {})[partition] = files[ticker]
        return stamps


class _Saved(msgspec.Struct):
    version: int
    folder: str
    tickers: dict[str, TickerSummary]
    files: dict[str, msgspec.Raw]
    folders: Folders
    sizes: Sizes
    edges: dict[str, Edge]


_DECODER = msgspec.json.Decoder(_Saved)


def _load(dataset: Dataset) -> DatasetSummary:
    """Return the summary as last stored, empty if there is none of this folder."""
    try:
        data = _cache_file(dataset).read_bytes()
        if not checked.is_intact(data):
            return DatasetSummary()
        saved = _DECODER.decode(data)
    except (OSError, ValueError, msgspec.MsgspecError):
        return DatasetSummary()
    if saved.version != VERSION or saved.folder != str(dataset.folder):
        return DatasetSummary()
    return DatasetSummary(saved.tickers, saved.files, saved.folders, saved.sizes, saved.edges)


def _listing(
    dataset: Dataset, known: DatasetSummary, look: Look
) -> tuple[dict[str, Files | None], Folders, Sizes]:
    """Return partition → its files as they are now, the folders that have settled, and all sizes.

    None stands for the files of a folder that was passed over.
    """
    settled: Folders = {}
    listed: dict[str, Files | None] = {}
    sizes: Sizes = {}
    for number, folder in dataset.partitions():
        partition, now = str(number), time.time_ns()
        changed = folder.stat().st_mtime_ns  # before it is listed: a later change shows next time
        if changed < now - _SETTLED_NS:
            settled[partition] = changed
            if not look.asks(number) and known.folders.get(partition) == changed:
                if partition in known.sizes:
                    listed[partition], sizes[partition] = None, known.sizes[partition]
                continue
        files: Files = {}
        for ticker, file in ticker_files(folder):
            try:
                stat = file.stat()
            except FileNotFoundError:
                continue  # moved to another partition between the listing and now
            files[ticker] = (stat.st_mtime_ns, stat.st_size)
        if files:
            listed[partition] = files
            sizes[partition] = (len(files), sum(size for _, size in files.values()))
    return listed, settled, sizes


def _compared(
    known: DatasetSummary, listed: Mapping[str, Files | None]
) -> tuple[dict[str, msgspec.Raw], set[str]]:
    """Return the files of each partition as they are now, and the tickers whose files changed."""
    files: dict[str, msgspec.Raw] = {}
    changed: set[str] = set()
    for partition, now in listed.items():
        before = {} if now is None else known.files_in(partition)
        if now is None or now == before:
            files[partition] = known.files[partition]
            continue
        files[partition] = msgspec.Raw(msgspec.json.encode(now))
        changed.update(t for t in now.keys() | before.keys() if now.get(t) != before.get(t))
    for partition in known.files.keys() - listed.keys():
        changed.update(known.files_in(partition))
    return files, changed


def summarise(dataset: Dataset, look: Look) -> DatasetSummary:
    """Return a dataset's summary as its folders now are; write it where it changed."""
    known = _load(dataset)
    listed, folders, sizes = _listing(dataset, known, look)
    files, changed = _compared(known, listed)
    summary = DatasetSummary({}, files, folders, sizes)
    changed |= {t for t, entry in known.tickers.items() if entry.unreadable}
    uncertain = {t for t, entry in known.tickers.items() if not entry.indexed}
    entries = {t: entry for t, entry in known.tickers.items() if t not in changed}
    to_open: dict[str, Stamps] = {}
    for ticker, signs in summary.stamps_of(changed | uncertain).items():
        if (indexed := _from_index(dataset, ticker, signs)) is not None:
            entries[ticker] = indexed
        elif ticker in changed:
            to_open[ticker] = signs
    summary.tickers = entries | _opened(dataset, to_open)
    summary.edges = filing_edges(dataset, summary.files_in, sizes, known.edges)
    if summary != known:
        content = {
            "version": VERSION,
            "folder": str(dataset.folder),
            "tickers": {ticker: vars(entry) for ticker, entry in summary.tickers.items()},
            "files": {partition: orjson.Fragment(bytes(raw)) for partition, raw in files.items()},
            "folders": folders,
            "sizes": sizes,
            "edges": summary.edges,
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
    uncertain = {ticker for ticker, entry in summary.tickers.items() if not entry.indexed}
    for ticker, signs in summary.stamps_of(uncertain).items():
        ours = index.written(dataset, ticker).files
        for partition, sign in signs.items():
            if ours.get(int(partition), ())[:2] != sign:
                foreign.append(FileState(int(partition), ticker, *sign))
    return sorted(foreign, key=lambda state: (state.partition, state.ticker))


def _from_index(dataset: Dataset, ticker: str, signs: Stamps) -> TickerSummary | None:
    """Return a ticker's entry from its index, or None where that disagrees with the files."""
    ticker_index = index.written(dataset, ticker)
    if {str(p): f[:2] for p, f in ticker_index.files.items()} != signs:
        return None
    undated = sum(1 for partition, _ in ticker_index.rows.values() if partition == UNDATED)
    return _counted(ticker_index.rows, undated)


def _counted(keys: Iterable[str], undated: int) -> TickerSummary:
    keys = list(keys)
    periods: dict[str, int] = {}
    for period in {period_of(key) for key in keys}:
        cik = cik_of(period)
        periods[cik] = periods.get(cik, 0) + 1
    return TickerSummary(len(keys), undated, periods)


def _opened(dataset: Dataset, tickers: Mapping[str, Stamps]) -> dict[str, TickerSummary]:
    """Return the entries of tickers without a usable index, from the files themselves."""
    items = list(tickers.items())
    count = sum(len(signs) for _, signs in items)
    starts = range(0, len(items), _OPENED_AT_ONCE)
    jobs = [(dataset, items[start : start + _OPENED_AT_ONCE]) for start in starts]
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
        entries[ticker] = _counted(keys, undated)
        entries[ticker].unreadable, entries[ticker].indexed = unreadable, False
    return entries


def keys_read(dataset: Dataset, ticker: str) -> list[str]:
    """Return the record keys of a ticker from its files; a damaged one is passed over."""
    keys: list[str] = []
    for partition in sorted(dataset.partitions_of([ticker])[ticker]):
        try:
            stored = index.read_file(dataset, partition, ticker)
        except DamagedFileError:
            continue
        keys += stored.keys if stored else []
    return keys
