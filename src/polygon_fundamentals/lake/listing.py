"""What the folders of a dataset show of its files, without opening one.

To list a market's folders takes a second for every 100,000 files. Where tasks run in other
processes it is done once: `write_shown` leaves it in files, of which each task reads its buckets.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import orjson

from polygon_fundamentals.errors import LakeError
from polygon_fundamentals.lake.file_names import bucket_of
from polygon_fundamentals.lake.paths import Dataset
from polygon_fundamentals.lake.storage.local import write_bytes

# A load of a ticker moves its rows within a second; a listing takes less than that for 500 tickers.
ATTEMPTS = 10
Stamp = tuple[int, int]  # time of change in ns, size in bytes


def stamp_of(path: Path | str) -> Stamp | None:
    """Return the stamp of a file or folder, or None where it is not there."""
    try:
        stat = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return stat.st_mtime_ns, stat.st_size


@dataclass(frozen=True, slots=True)
class FileState:
    """One ticker file as a folder listing shows it."""

    partition: int
    ticker: str
    changed_ns: int
    size: int

    @property
    def key(self) -> str:
        """`YYYYMM/TICKER`."""
        return f"{self.partition}/{self.ticker}"

    @property
    def stamp(self) -> Stamp:
        """As `stamp_of` has it where the file did not change."""
        return self.changed_ns, self.size


Shown = Mapping[int, list[FileState]]  # bucket → its files


@dataclass(frozen=True)
class OtherWriters:
    """Files that another tool wrote, relative to the lake.

    `v1`: since our last load of their tickers, while v1 is in that tool's form; `v2`: among v2's
    files, through the pointer; `silver`: in our present build.
    """

    v1: tuple[str, ...] = ()
    v2: tuple[str, ...] = ()
    silver: tuple[str, ...] = ()


def states(dataset: Dataset, buckets: Collection[int] | None = None) -> list[FileState]:
    """Return every ticker file of a dataset, or of some buckets, from folder listings alone.

    A load that moves a row writes it to its new file before it leaves the old one, and later months
    are listed later: so a row that moves meanwhile is seen in one of the two, unless it moves back.
    If a file goes away during the listing, the folders are listed again.

    Raises:
        LakeError: files went away in each of `ATTEMPTS` listings.
    """
    for _ in range(ATTEMPTS):
        try:
            return [
                _state(*place)
                for place in dataset.files()
                if buckets is None or bucket_of(place[1]) in buckets
            ]
        except FileNotFoundError:
            continue
    raise moving(dataset)


def _state(partition: int, ticker: str, entry: os.DirEntry[str]) -> FileState:
    stat = entry.stat()
    return FileState(partition, ticker, stat.st_mtime_ns, stat.st_size)


def by_bucket(shown: Iterable[FileState]) -> Shown:
    """Return bucket → its files."""
    buckets: dict[int, list[FileState]] = {}
    for state in shown:
        buckets.setdefault(bucket_of(state.ticker), []).append(state)
    return buckets


def write_shown(folder: Path, dataset: Dataset, shown: Shown) -> None:
    """Write the files of each bucket into `folder`, which must be there."""
    for bucket, files in shown.items():
        rows = [(s.partition, s.ticker, s.changed_ns, s.size) for s in files]
        write_bytes(_shown_file(folder, dataset, bucket), orjson.dumps(rows))


def read_shown(folder: Path, dataset: Dataset, tickers: Iterable[str]) -> Shown:
    """Return bucket → its files, of the buckets of some tickers."""
    shown: dict[int, list[FileState]] = {}
    for bucket in sorted({bucket_of(ticker) for ticker in tickers}):
        with suppress(FileNotFoundError):  # nothing was listed there
            rows = orjson.loads(_shown_file(folder, dataset, bucket).read_bytes())
            shown[bucket] = [FileState(*row) for row in rows]
    return shown


def _shown_file(folder: Path, dataset: Dataset, bucket: int) -> Path:
    return folder / f"{dataset.generation.value}.{dataset.statement.value}.{bucket:02}.json"


def moving(dataset: Dataset) -> LakeError:
    """Return the error for a reader whose listing kept changing during a load."""
    return LakeError(
        f"files of {dataset.folder} moved each of the {ATTEMPTS} times that they were read; "
        "run again when the load that is running has ended (`polygon-fundamentals status` names it)"
    )
