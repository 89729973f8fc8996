"""What the folders of a dataset show of its files, without opening one."""

from __future__ import annotations

from dataclasses import dataclass

from polygon_fundamentals.lake.paths import Dataset


@dataclass(frozen=True)
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


def states(dataset: Dataset) -> list[FileState]:
    """Return every ticker file of a dataset, from folder listings alone."""
    found = []
    for partition, ticker, entry in dataset.files():
        stat = entry.stat()
        found.append(FileState(partition, ticker, stat.st_mtime_ns, stat.st_size))
    return found
