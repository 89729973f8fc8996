"""How the files and folders of tickers and months are named, and the bucket of a ticker's lock."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote, unquote
from zlib import crc32

from polygon_fundamentals.errors import UsageError

# A record without a filing date: pandas cannot read a folder that holds Hive's null partition.
UNDATED = 190001
BUCKETS = 16
_FILE = re.compile(r"ticker=(.+)\.parquet")
_LONGEST = 200


@lru_cache(maxsize=65_536)  # a ticker has the same name in every month
def ticker_file_name(ticker: str) -> str:
    """Return the file name of a ticker, safe on every file system that tells letter case apart.

    Letters, digits, `.`, `-` and `_` stay; every other byte becomes %XX.

    Raises:
        UsageError: an empty ticker, or one whose name would be longer than 200 bytes.
    """
    name = quote(ticker, safe="")
    name = name.replace("~", "%7E")
    if not name or len(name) > _LONGEST:
        raise UsageError(
            f"{ticker[:40]!r} is not a ticker: it must have 1 to {_LONGEST} characters"
        )
    return f"ticker={name}.parquet"


@lru_cache(maxsize=65_536)
def ticker_of_file(name: str) -> str | None:
    """Return the ticker that a file name stands for, or None where it is no ticker file."""
    match = _FILE.fullmatch(name)
    return unquote(match[1]) if match else None


def partition_folder(partition: int) -> str:
    """Return `year=YYYY/month=MM`."""
    return f"year={partition // 100:04d}/month={partition % 100:02d}"


def partition_of_folder(month: Path) -> int | None:
    """Return the partition of a `year=YYYY/month=MM` folder, None for another folder."""
    match = re.fullmatch(r"year=(\d{4})/month=(\d{2})", f"{month.parent.name}/{month.name}")
    return int(match[1]) * 100 + int(match[2]) if match else None


def bucket_of(ticker: str) -> int:
    """Return which of the lock buckets a ticker belongs to."""
    return crc32(ticker.encode()) % BUCKETS
