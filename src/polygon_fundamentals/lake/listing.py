"""What the folders of a dataset show of its files, without opening one."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass

from polygon_fundamentals.errors import LakeError
from polygon_fundamentals.lake.file_names import bucket_of
from polygon_fundamentals.lake.paths import Dataset

# A load of a ticker moves its rows within a second; a listing takes less than that for 500 tickers.
ATTEMPTS = 10


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

    A row that a load moves is written to its new file before it leaves the old one, and later
    months are listed later: so of a row that moves meanwhile one of the two is seen, unless it
    moves back. Where a file goes away under the listing, it begins anew.

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


def moving(dataset: Dataset) -> LakeError:
    """Return the error for a reader whose listing kept changing during a load."""
    return LakeError(
        f"files of {dataset.folder} moved each of the {ATTEMPTS} times that they were read; "
        "run again when the load that is running has ended (`polygon-fundamentals status` names it)"
    )
