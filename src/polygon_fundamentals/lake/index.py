"""The index of a ticker: record key → partition and content hash.

It is derived from the files and rebuilt where it disagrees with them: every file's size and
time of change are kept beside the keys. There is one small JSON file per ticker and dataset.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from polygon_fundamentals.datasets.keys import content_hashes, filing_order, record_keys
from polygon_fundamentals.datasets.schemas import schema
from polygon_fundamentals.lake import codec
from polygon_fundamentals.lake.file_names import ticker_of_file
from polygon_fundamentals.lake.listing import Stamp, stamp_of
from polygon_fundamentals.lake.paths import Dataset
from polygon_fundamentals.lake.storage import checked
from polygon_fundamentals.lake.storage.checked import bytes_checksum
from polygon_fundamentals.statements import Generation

VERSION = 3
# Since then the keys of the ratios changed: they have no CIK any more.
_VERSIONS = {"v2.ratios": 4}
# How many columns the datasets had when the index did not yet record their number.
_FIRST_COLUMNS = {
    "v2.balance_sheets": 42,
    "v2.cash_flow": 36,
    "v2.income_statements": 38,
    "v2.ratios": 26,
}


@dataclass
class TickerIndex:
    """What the lake holds of one ticker in one dataset.

    `rows`: record key → (partition, content hash). `files`: partition → (time of change in
    ns, size in bytes, rows), `checksums`: partition → the checksum of the file's bytes, if we wrote
    them. `untidy`: partitions that hold a key twice, or a key whose row is elsewhere too (an
    unfinished move); the next commit rewrites them. `stale` says that the index file lacks some of
    this, `is_older` that an earlier version wrote it, `as_read` that the hashes are of what the
    files give back. An earlier version noted those of the answer, which differ where a file in
    another tool's form cannot hold all of it. `gone`: partitions of `files` whose file is missing,
    although no commit of ours was removing it.
    """

    rows: dict[str, tuple[int, str]] = field(default_factory=dict)
    files: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    untidy: set[int] = field(default_factory=set)
    checksums: dict[int, str] = field(default_factory=dict)
    stale: bool = False
    is_older: bool = False
    as_read: bool = True
    gone: set[int] = field(default_factory=set)

    def forget_gone(self) -> None:
        """Drop the partitions whose file is missing."""
        self.rows = {key: row for key, row in self.rows.items() if row[0] not in self.gone}
        for partition in self.gone:
            self.files.pop(partition, None)
            self.checksums.pop(partition, None)
        self.stale = self.stale or bool(self.gone)
        self.gone = set()

    def dumps(self, dataset: Dataset) -> bytes:
        """Return the index as JSON, with the number of columns that the hashes cover."""
        return checked.dumps(
            {
                "version": _version(dataset),
                "columns": 0 if self.is_older else _columns(dataset),
                "rows": self.rows,
                "files": {str(k): v for k, v in self.files.items()},
                "untidy": sorted(self.untidy),
                "checksums": {str(k): v for k, v in self.checksums.items()},
                "as_read": self.as_read,
            }
        )

    @classmethod
    def loads(cls, data: bytes, dataset: Dataset) -> TickerIndex | None:
        """Return the index, or None if the text is damaged.

        Other versions took other keys and rows from the files of older tools, or hashed the columns
        of a field map that had fewer: `is_older` says that none of the files counts as read.
        """
        if checked.is_intact(data) is False:  # an index of an earlier version has no checksum
            return None
        first = _FIRST_COLUMNS.get(dataset.name, _columns(dataset))
        try:
            content: Any = orjson.loads(data)
            return cls(
                {key: (row[0], row[1]) for key, row in content["rows"].items()},
                {int(key): (f[0], f[1], f[2]) for key, f in content["files"].items()},
                set(content["untidy"]),
                {int(key): str(value) for key, value in content.get("checksums", {}).items()},
                is_older=(content["version"], content.get("columns", first))
                != (_version(dataset), _columns(dataset)),
                as_read=bool(content.get("as_read", False)),
            )
        except (KeyError, TypeError, IndexError, ValueError, AttributeError):
            return None


def _version(dataset: Dataset) -> int:
    return _VERSIONS.get(dataset.name, VERSION)


def _columns(dataset: Dataset) -> int:
    return len(schema(dataset.generation, dataset.statement))


@dataclass(frozen=True)
class StoredFile:
    """One file as read: its rows and their keys, hashes, in the order of the file."""

    generation: Generation
    partition: int
    table: pa.Table
    keys: list[str]
    hashes: list[str]
    ours: bool
    stamp: Stamp

    @cached_property
    def current_rows(self) -> dict[str, int]:
        """The current row of each key, as key → position; the latest filing wins."""
        current = {key: position for position, key in enumerate(self.keys)}
        if len(current) < len(self.keys):
            for position in sorted(range(len(self.keys)), key=self._lateness):
                current[self.keys[position]] = position
        return current

    def stands_over(self, other: StoredFile, key: str) -> bool:
        """Return whether this file's row of a key takes precedence over the other file's.

        Two of our files hold it after a move that was cut off: the moved row was observed later.
        The time of another tool's file only says when it was touched, so there the later filing
        takes precedence.
        """
        mine, its = self._lateness(self.current_rows[key]), other._lateness(other.current_rows[key])
        if self.ours and other.ours:
            return mine[1:] > its[1:]
        return mine > its

    def _lateness(self, position: int) -> tuple[tuple[int, ...], int]:
        return tuple(self._filings[position].tolist()), self._moments[position]

    @cached_property
    def _filings(self) -> npt.NDArray[np.int64]:
        return filing_order(self.table, self.generation)

    @cached_property
    def _moments(self) -> list[int]:
        return self.table["observed_at"].cast(pa.int64()).to_pylist()


def read_file(dataset: Dataset, partition: int, ticker: str) -> StoredFile | None:
    """Return a file of the lake with keys and hashes, or None where there is none.

    Raises:
        DamagedFileError: it cannot be read.
    """
    path = dataset.file(partition, ticker)
    before = stamp_of(path)
    if before is None:
        return None
    try:
        table, ours = codec.read(path, dataset, ticker)
    except FileNotFoundError:
        return None
    keys = record_keys(table, dataset.generation)
    return StoredFile(
        dataset.generation, partition, table, keys, content_hashes(table), ours, before
    )


def indexed_tickers(dataset: Dataset) -> Iterator[str]:
    """Yield every ticker that has an index file, also one whose files are all gone."""
    for path in dataset.index_folder.glob("ticker=*.json"):
        ticker = ticker_of_file(f"{path.stem}.parquet")
        if ticker is not None:
            yield ticker


def written(dataset: Dataset, ticker: str) -> TickerIndex:
    """Return a ticker's index as it was last written; an empty one where there is none."""
    return intact(dataset, ticker) or TickerIndex()


def intact(dataset: Dataset, ticker: str) -> TickerIndex | None:
    """Return a ticker's index as it was last written, or None where it is missing or damaged."""
    try:
        return TickerIndex.loads(dataset.index_file(ticker).read_bytes(), dataset)
    except FileNotFoundError:
        return None


def without_index(dataset: Dataset, tickers: Iterable[str]) -> dict[str, set[int]]:
    """Return the partitions of each ticker without an index: new, an older tool's, or lost.

    All of them must be read: an index of some files would pass for one of all.
    """
    return dataset.partitions_of([t for t in tickers if not dataset.index_file(t).exists()])


def load(
    dataset: Dataset,
    ticker: str,
    extra_partitions: set[int],
    arriving: Iterable[int] = (),
    *,
    keeps_form: bool = False,
) -> TickerIndex:
    """Return the ticker's index, made to agree with its files.

    `extra_partitions` are looked at even where the index does not name them: what a
    killed run may have written, and what older tools left. Of the `arriving` ones, which are
    about to be written, those where another tool has put a file since then. `keeps_form`: files
    stay in another tool's form, so that hashes that are not `as_read` say nothing of them. A file
    that is missing stays in the index, as `gone`.

    Raises:
        DamagedFileError: a file that must be read for it cannot be.
    """
    try:
        index = TickerIndex.loads(dataset.index_file(ticker).read_bytes(), dataset)
    except FileNotFoundError:
        index = TickerIndex()
    if index is None:
        index = TickerIndex()
        extra_partitions = extra_partitions | {
            partition for partition, other, _ in dataset.files() if other == ticker
        }
    stale = set(extra_partitions)
    for partition in set(arriving) - index.files.keys():
        if stamp_of(dataset.file_name(partition, ticker)) is not None:
            stale.add(partition)
    of_before = index.is_older or (keeps_form and not index.as_read)
    for partition, known in index.files.items():
        stamp = stamp_of(dataset.file_name(partition, ticker))
        if stamp is None and not (index.is_older or partition in stale):
            index.gone.add(partition)
        elif of_before or stamp != known[:2]:
            stale.add(partition)
    if index.gone:  # its rows may stand in a file that an index lost with the power had listed
        index.untidy -= index.gone
        stale |= dataset.partitions_of([ticker])[ticker] - index.files.keys()
    if stale:
        _reread(index, dataset, ticker, stale)
        index.is_older = False
        index.as_read = index.as_read or of_before
    return index


def _reread(index: TickerIndex, dataset: Dataset, ticker: str, stale: set[int]) -> None:
    """Put the present content of some partitions into the index.

    Of a key in two partitions (an unfinished move, or two filings in an older tool's files) one
    row is taken, and the other's partition counts as untidy.
    """
    index.stale = True
    index.rows = {key: row for key, row in index.rows.items() if row[0] not in stale}
    read: dict[int, StoredFile | None] = {}
    for partition in sorted(stale):
        index.files.pop(partition, None)
        recorded = index.checksums.pop(partition, None)
        index.untidy.discard(partition)
        stored = read[partition] = read_file(dataset, partition, ticker)
        if stored is None:
            continue
        index.files[partition] = (*stored.stamp, stored.table.num_rows)
        if recorded and recorded == bytes_checksum(dataset.file(partition, ticker).read_bytes()):
            index.checksums[partition] = recorded
        if len(set(stored.keys)) < len(stored.keys):
            index.untidy.add(partition)
        for key, position in stored.current_rows.items():
            other = index.rows.get(key)
            if other is not None:
                if other[0] not in read:
                    read[other[0]] = read_file(dataset, other[0], ticker)
                rival = read[other[0]]
                if rival is not None and key in rival.current_rows:
                    if rival.stands_over(stored, key):
                        index.untidy.add(partition)
                        continue
                    index.untidy.add(other[0])
            index.rows[key] = (partition, stored.hashes[position])
