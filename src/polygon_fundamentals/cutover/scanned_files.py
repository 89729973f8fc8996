"""The files of a lake that another tool wrote, as their footers and naming columns show them.

Every file's footer is read, and of its rows the columns that name a record. Only where a record
stands twice are the whole rows read, since only they tell whether the copies are alike.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import pyarrow as pa
import pyarrow.parquet as pq

from polygon_fundamentals.datasets.keys import (
    content_hashes,
    filing_order,
    is_addition,
    record_keys,
)
from polygon_fundamentals.datasets.schemas import MARK_KEY
from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.lake import codec
from polygon_fundamentals.lake.listing import FileState
from polygon_fundamentals.lake.paths import Dataset
from polygon_fundamentals.lake.processes import are_worth_processes, run_jobs
from polygon_fundamentals.statements import Generation

OURS, QUANTMINI = "polygon-fundamentals", "quantmini"
FILES_AT_ONCE = 200
_NAMING = ("cik", "timeframe", "end_date", "fiscal_year", "fiscal_period")
# What follows a list column in the path of its leaf, by writer.
_OF_LIST = re.compile(r"(list|bag)\.(element|item|array|array_element)")
RowId = tuple[str, ...]


@dataclass(frozen=True)
class ScannedFile:
    """One file as its footer and naming columns show it; `reason` says why it cannot be read.

    `has_copies_alone` says of a file that holds records twice that each is a copy of the first.
    """

    partition: int
    ticker: str
    tool: str = ""
    rows: tuple[RowId, ...] = ()
    named: frozenset[str] = frozenset()
    has_copies_alone: bool = True
    reason: str = ""


@dataclass(frozen=True)
class Part:
    """All files of some tickers, their records, and how many stand twice, alike or not."""

    files: list[ScannedFile]
    records: set[tuple[str, RowId]]
    alike: int
    differing: Counter[str]
    unreadable: list[tuple[str, str]]


def scanned(
    listed: Sequence[tuple[Dataset, Sequence[FileState]]],
) -> Iterator[tuple[Dataset, Part]]:
    """Yield the files as read, some tickers at a time; in two processes where there are many."""
    parts: list[tuple[Dataset, list[FileState]]] = []
    for dataset, files in listed:
        parts.append((dataset, []))
        for _, some in groupby(sorted(files, key=lambda f: f.ticker), key=lambda f: f.ticker):
            if len(parts[-1][1]) >= FILES_AT_ONCE:
                parts.append((dataset, []))
            parts[-1][1].extend(some)
    # To scan a file takes some three times as long as to read its rows.
    apart = are_worth_processes(3 * sum(len(files) for _, files in listed))
    for (dataset, _), part in zip(parts, run_jobs(scan, parts, in_processes=apart), strict=True):
        yield dataset, part


def scan(dataset: Dataset, files: Sequence[FileState]) -> Part:
    """Read the footers and naming columns of all files of some tickers of v1, and their doubles."""
    scanned = [_scan(dataset, file) for file in files]
    months: dict[tuple[str, RowId], list[int]] = {}
    for file in scanned:
        for row in file.rows:
            months.setdefault((file.ticker, row), []).append(file.partition)
    doubled = {place: months for place, months in months.items() if len(months) > 1}
    # Rows of one file need no normalising to be seen as copies; others are read as a load would.
    slow: dict[str, set[int]] = {}
    for (ticker, _), places in doubled.items():
        if len(set(places)) > 1:
            slow.setdefault(ticker, set()).update(places)
    for file in scanned:
        if not file.has_copies_alone:
            slow.setdefault(file.ticker, set()).add(file.partition)
    alike, differing, unreadable = 0, Counter[str](), []
    for (ticker, _), places in doubled.items():
        if not slow.get(ticker, set()).intersection(places):
            alike += len(places) - 1
    for ticker, partitions in slow.items():
        try:
            same, others = _doubles(dataset, ticker, sorted(partitions))
        except DamagedFileError as error:
            unreadable.append((ticker, str(error)))
            continue
        alike += same
        differing += others
    return Part(scanned, set(months), alike, differing, unreadable)


def _scan(dataset: Dataset, state: FileState) -> ScannedFile:
    path = dataset.file(state.partition, state.ticker)
    # Not ParquetFile: it builds a map of all columns of each file, a third of the time.
    file = pq.ParquetReader()
    try:
        file.open(str(path))
        metadata = file.metadata
        names = _top_level(metadata)
        leaves = [names[n][0] for n in (*_NAMING, "tickers") if n in names]
        table = file.read_all(column_indices=leaves, use_threads=False)
        tool = _tool(metadata.metadata or {}, names)
        rows = list(zip(*(_texts(table, name) for name in _NAMING), strict=True))
        doubled = len(set(rows)) < len(rows)
        copies_alone = not doubled or _has_copies_alone(file.read_all(use_threads=False), rows)
        file.close()
    except (OSError, pa.ArrowException) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        return ScannedFile(state.partition, state.ticker, reason=reason)
    lists = table["tickers"].to_pylist() if "tickers" in table.schema.names else []
    named = frozenset(str(name) for some in lists if isinstance(some, list) for name in some)
    return ScannedFile(state.partition, state.ticker, tool, tuple(rows), named, copies_alone)


def _top_level(metadata: pq.FileMetaData) -> dict[str, tuple[int, bool]]:
    """Return top-level column → (its first leaf, whether it is a struct), in no order.

    To ask for each leaf's path, or for the Arrow schema, takes as long as to open the file. v1's
    `financials` has nearly all of the leaves, so they are asked from both ends up to it.
    """
    schema, count = metadata.schema, metadata.num_columns
    names: dict[str, tuple[int, bool]] = {}
    ends = []
    for step in (range(count), range(count - 1, -1, -1)):
        for i in step:
            name, _, within = schema.column(i).path.partition(".")
            is_struct = bool(within) and not _OF_LIST.fullmatch(within)
            names[name] = (min(i, names.get(name, (i, False))[0]), is_struct)
            if is_struct:
                ends.append(name)
                break
    if len(set(ends)) > 1:
        for i in range(count):
            name, _, within = schema.column(i).path.partition(".")
            names.setdefault(name, (i, bool(within) and not _OF_LIST.fullmatch(within)))
    return names


def _has_copies_alone(table: pa.Table, rows: Sequence[RowId]) -> bool:
    """Return whether rows of one record are the same, but for what a tool adds."""
    said = table.drop_columns([n for n in table.schema.names if is_addition(n)]).combine_chunks()
    first: dict[RowId, int] = {}
    return all(
        first.setdefault(row, i) == i or said.slice(i, 1).equals(said.slice(first[row], 1))
        for i, row in enumerate(rows)
    )


def _texts(table: pa.Table, name: str) -> list[str]:
    """Return the column as text, a CIK in ten digits; empty where there is none."""
    if name not in table.schema.names:
        return [""] * table.num_rows
    texts = ["" if value is None else str(value)[:10] for value in table[name].to_pylist()]
    return (
        [text.zfill(10) if text.isdigit() else text for text in texts] if name == "cik" else texts
    )


def _tool(metadata: dict[bytes, bytes], names: Mapping[str, tuple[int, bool]]) -> str:
    """Return which tool wrote a file, from what it leaves in footer and columns."""
    if MARK_KEY.encode() in metadata:
        return OURS
    if any(name.startswith("_sdc_") for name in names):
        return "a Singer tap"
    _, is_whole = names.get("financials", (0, False))
    if is_whole and "downloaded_at" in names:
        return QUANTMINI
    return "pandas" if b"pandas" in metadata else "another tool"


def _doubles(dataset: Dataset, ticker: str, months: Sequence[int]) -> tuple[int, Counter[str]]:
    """Return how many rows of a ticker are a copy of another, and why others differ."""
    table = pa.concat_tables(
        [codec.read(dataset.file(month, ticker), dataset, ticker)[0] for month in months]
    ).combine_chunks()
    keys, hashes = record_keys(table, Generation.V1), content_hashes(table)
    filings = [tuple(filing) for filing in filing_order(table, Generation.V1).tolist()]
    versions: dict[str, dict[str, tuple[int, ...]]] = {}
    alike, differing = 0, Counter[str]()
    for key, digest, filing in zip(keys, hashes, filings, strict=True):
        known = versions.setdefault(key, {})
        if digest in known:
            alike += 1
        elif known:
            again = filing in known.values()
            differing["the same filing with other values" if again else "an amendment"] += 1
        known[digest] = filing
    return alike, differing
