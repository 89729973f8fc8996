"""A listing of a dataset's folders, left in files for tasks that run in other processes.

To list a market's folders takes a second for every 100,000 files: it is done once, and each task
reads of it the buckets that it needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import orjson

from polygon_fundamentals.lake.file_names import bucket_of
from polygon_fundamentals.lake.listing import FileState
from polygon_fundamentals.lake.paths import Dataset
from polygon_fundamentals.lake.read import Shown
from polygon_fundamentals.lake.storage.local import write_bytes


def write_shown(folder: Path, dataset: Dataset, shown: Shown) -> None:
    """Write the files of each bucket into `folder`, which must be there."""
    for bucket, states in shown.items():
        rows = [(s.partition, s.ticker, s.changed_ns, s.size) for s in states]
        write_bytes(_path(folder, dataset, bucket), orjson.dumps(rows))


def read_shown(folder: Path, dataset: Dataset, tickers: Iterable[str]) -> Shown:
    """Return bucket → its files, of the buckets of some tickers."""
    shown: dict[int, list[FileState]] = {}
    for bucket in sorted({bucket_of(ticker) for ticker in tickers}):
        with suppress(FileNotFoundError):  # nothing was listed there
            rows = orjson.loads(_path(folder, dataset, bucket).read_bytes())
            shown[bucket] = [FileState(*row) for row in rows]
    return shown


def _path(folder: Path, dataset: Dataset, bucket: int) -> Path:
    return folder / f"{dataset.generation.value}.{dataset.statement.value}.{bucket:02}.json"
