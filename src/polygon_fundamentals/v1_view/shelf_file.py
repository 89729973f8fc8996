"""A shelf: the records of some tickers in v1's form, as one file.

Tickers that share a company are on one shelf. It says which state of the lake's files it was made
from, so that it is not served after they changed. It may be deleted and is then made again.
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

import msgspec
from msgspec.structs import astuple

from polygon_fundamentals.lake.file_names import ticker_file_name

VERSION = 6
_DIGEST = 16
Text = tuple[bytes, bytes | None]  # `body` and `sourced` of a record
_NUMBERS = count(1)


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
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


class _File(msgspec.Struct, array_like=True):
    """What a shelf's file holds, after a digest of it."""

    version: int
    digests: dict[str, str]
    ciks: tuple[str, ...]
    error: str | None
    records: tuple[Record, ...]


# Made with the module, see http/answers.py.
_ENCODER, _DECODER = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(_File)
SUFFIXES = (".bare", ".shelf")


def path_of(folder: Path, tickers: Collection[str], *, is_full: bool) -> Path:
    """Return the file of a shelf: named for the first of its tickers."""
    return folder / ticker_file_name(min(tickers)).replace(".parquet", SUFFIXES[is_full])


def dump(shelf: Shelf) -> bytes:
    """Return a shelf as the bytes of its file."""
    file = _File(VERSION, shelf.digests, shelf.ciks, shelf.error, shelf.records)
    content = _ENCODER.encode(file)
    return blake2b(content, digest_size=_DIGEST).digest() + content


def load(path: Path) -> Shelf | None:
    """Return the shelf in a file, or None where it is not there or not one of this version."""
    try:
        data = memoryview(path.read_bytes())
    except FileNotFoundError:
        return None
    digest, content = data[:_DIGEST], data[_DIGEST:]
    if digest != blake2b(content, digest_size=_DIGEST).digest():
        return None
    try:
        file = _DECODER.decode(content)
    except msgspec.ValidationError:  # of a version with other fields
        return None
    if file.version != VERSION:
        return None
    records = tuple(Record(*map(_interned, astuple(record))) for record in file.records)
    return Shelf(file.digests, file.ciks, records, file.error)


def _interned(value: Any) -> Any:
    """Return a field of a record; its texts stand in many records, and each is held once."""
    if isinstance(value, str):
        return intern(value)
    return tuple(map(intern, value)) if isinstance(value, tuple) else value
