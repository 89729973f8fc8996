"""A shelf: the records of some tickers in v1's form, as one file.

Tickers that share a company stand on one shelf. It says which state of the lake's files it was
made from, so that nobody serves it after they changed. Derived: delete it and it is made anew.
A bare shelf lists v1's records without their text, which is read from the lake when it is asked
for; a full one holds the text of all, compressed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from itertools import count
from pathlib import Path
from sys import intern
from typing import Any

import orjson

from polygon_fundamentals.lake.file_names import ticker_file_name

VERSION = 5
_MAGIC = b"v1shelf\n"
_DIGEST = 16
Text = tuple[bytes, bytes | None]  # `body` and `sourced` of a record
_NUMBERS = count(1)


@dataclass(frozen=True, slots=True)
class Record:
    """One record as v1's answers hold it; `body` and `sourced` are its JSON text, compressed.

    Of a record on a bare shelf `body` is None, and `rows` says as JSON which rows of the lake it is
    made from. `sourced` has what `include_sources` asks for, and is None where the lake has none.
    `owners` are the tickers under which the lake keeps the record. Dates are texts, "" for none.
    """

    cik: str
    company_name: str
    sic: str
    tickers: tuple[str, ...]
    owners: tuple[str, ...]
    end_date: str
    filing_date: str
    timeframe: str
    label: str
    accepted: str
    generation: str
    body: bytes | None
    sourced: bytes | None
    rows: bytes = b""

    @property
    def ties(self) -> tuple[str, ...]:
        """What orders records of one date: company, timeframe, period, filing."""
        return (
            self.cik,
            self.timeframe,
            self.end_date,
            self.filing_date,
            self.accepted,
            self.label,
        )


@dataclass(frozen=True)
class Shelf:
    """The records of some tickers; `digests`: ticker → state of the files they are from.

    `error` says why they cannot be given. `number` is another for every shelf of a process.
    """

    digests: dict[str, str]
    ciks: tuple[str, ...]
    records: tuple[Record, ...]
    error: str | None = None
    number: int = field(default_factory=lambda: next(_NUMBERS))

    @cached_property
    def is_full(self) -> bool:
        """Whether the text of every record is there."""
        return all(record.body is not None for record in self.records)


_BLOBS = ("body", "sourced", "rows")
_META = [name for name in Record.__dataclass_fields__ if name not in _BLOBS]
SUFFIXES = (".bare", ".shelf")


def path_of(folder: Path, tickers: Collection[str], *, is_full: bool) -> Path:
    """Return the file of a shelf: named for the first of its tickers."""
    return folder / ticker_file_name(min(tickers)).replace(".parquet", SUFFIXES[is_full])


def dump(shelf: Shelf) -> bytes:
    """Return a shelf as the bytes of its file."""
    blobs: list[bytes] = []
    rows = []
    for record in shelf.records:
        rows.append(
            [
                *(getattr(record, name) for name in _META),
                *(None if (b := getattr(record, name)) is None else len(b) for name in _BLOBS),
            ]
        )
        blobs += [record.body or b"", record.sourced or b"", record.rows]
    head = orjson.dumps(
        {
            "version": VERSION,
            "digests": shelf.digests,
            "ciks": shelf.ciks,
            "error": shelf.error,
            "records": rows,
        }
    )
    content = b"".join([len(head).to_bytes(8, "big"), head, *blobs])
    return _MAGIC + blake2b(content, digest_size=_DIGEST).digest() + content


def load(path: Path) -> Shelf | None:
    """Return the shelf in a file, or None where it is not there or not one of this version."""
    try:
        data = path.read_bytes()
        first = len(_MAGIC) + _DIGEST
        own = blake2b(data[first:], digest_size=_DIGEST).digest()
        if data[:first] != _MAGIC + own:
            return None
        start = first + 8
        at = start + int.from_bytes(data[first:start], "big")
        head: Any = orjson.loads(data[start:at])
        if head["version"] != VERSION:
            return None
        records = []
        for *meta, body, sourced, rows in head["records"]:
            names: dict[str, Any] = {
                # Most of these texts stand in many records.
                name: intern(value) if isinstance(value, str) else tuple(map(intern, value))
                for name, value in zip(_META, meta, strict=True)
            }
            for name, length in zip(_BLOBS, (body, sourced, rows), strict=True):
                names[name] = None if length is None else data[at : at + length]
                at += length or 0
            records.append(Record(**names))
        if at != len(data):
            return None
        return Shelf(head["digests"], tuple(head["ciks"]), tuple(records), head["error"])
    except (FileNotFoundError, orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None
