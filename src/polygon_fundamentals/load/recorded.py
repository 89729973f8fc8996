"""Recordings of v1's answers into the lake: a load without HTTP.

A recording is what people kept of v1: pages or bare records as JSON, one a line or a file whole,
Singer messages, Parquet and CSV files of records. Its format is seen from its content. When a
record was observed is the recording's own time, so that what was known when stays true.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from polygon_fundamentals.datasets.keys import cik_of
from polygon_fundamentals.errors import ApiError, UsageError
from polygon_fundamentals.lake import Lake, index
from polygon_fundamentals.lake.commit import Scope
from polygon_fundamentals.lake.paths import ticker_of_file
from polygon_fundamentals.load.recorded_tables import is_table, table_rows
from polygon_fundamentals.load.store import StoreJob, store_v1
from polygon_fundamentals.normalise.exact import parse_exact, parse_text, to_json
from polygon_fundamentals.reports import UpsertCounts
from polygon_fundamentals.statements import Generation, Statement, Timeframe

_DAY = re.compile(r"(?<!\d)(20\d\d)-(\d\d)-(\d\d)(?!\d)")
# Singer's and other tools' names of the moment at which a record was fetched.
_MOMENTS = ("time_extracted", "_sdc_extracted_at", "observed_at", "recorded_at")
_SINGER = frozenset(("RECORD", "SCHEMA", "STATE", "ACTIVATE_VERSION", "BATCH"))
# Records that are stored together, where their recordings are of one moment.
_BATCH = 2_000
_TIMEFRAMES = frozenset(t.v1 for t in Timeframe)


@dataclass(frozen=True)
class Problem:
    """A recording, or a line of it, of which nothing was imported.

    `kind`: `skipped` is not of v1, `refused` is of v2, `damaged` is v1's but cannot be read.
    """

    file: str
    line: int | None
    kind: str
    reason: str


@dataclass
class ImportReport:
    """What an import did."""

    files: int = 0
    records: int = 0
    counts: UpsertCounts = field(default_factory=UpsertCounts)
    problems: list[Problem] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """Return the report as the command prints it."""
        names = ("rows_new", "rows_changed", "rows_unchanged", "bytes_written")
        return {
            "files": self.files,
            "records": self.records,
            **{name: getattr(self.counts, name) for name in names},
            "failed": [asdict(problem) for problem in self.problems],
        }


Row = dict[str, Any]
Found = tuple[Row, datetime]


def files_of(paths: Iterable[Path]) -> list[Path]:
    """Return the files of some paths, folders with all below them, hidden ones left out.

    Raises:
        UsageError: a path is not there.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inner = (p for p in path.rglob("*") if p.is_file())
            files += [p for p in inner if not any(n.startswith(".") for n in p.parts)]
        elif path.exists():
            files.append(path)
        else:
            raise UsageError(f"{path} is not there; name files or folders of recordings")
    return sorted(set(files))


def import_v1(
    lake: Lake,
    paths: Iterable[Path],
    recorded: datetime | None = None,
    on_file: Callable[[int, int], None] = lambda done, of: None,
) -> ImportReport:
    """Upsert recordings of v1 into its datasets, the earliest first; return what that did.

    `recorded` is when they were made, where that is known better than from themselves.

    Raises:
        UsageError: a path is not there.
        LakeError, OSError: the lake cannot be used.
    """
    files = files_of(paths)
    companies = _followed(lake)
    moments: list[tuple[datetime, int, Path]] = []
    for number, path in enumerate(files):
        earliest: datetime | None = None
        for row, moment in _rows(path, recorded, []):
            earliest = moment if earliest is None else min(earliest, moment)
            _follow(companies, row)
        if earliest is not None:
            moments.append((earliest, number, path))
    report = ImportReport(files=len(files))
    empty = set(files) - {path for _, _, path in moments}
    for path in sorted(empty):
        list(_rows(path, recorded, report.problems))
    known = {ticker: sorted(ciks) for ticker, ciks in companies.items()}
    batch: list[Found] = []
    for done, (_, _, path) in enumerate(sorted(moments), 1):
        for row, moment in _rows(path, recorded, report.problems):
            if batch and (batch[0][1] != moment or len(batch) >= _BATCH):
                _store(lake, batch, known, report)
                batch = []
            batch.append((row, moment))
        on_file(done, len(moments))
    _store(lake, batch, known, report)
    return report


def _store(
    lake: Lake, batch: list[Found], companies: dict[str, list[str]], report: ImportReport
) -> None:
    if not batch:
        return
    job = StoreJob(
        root=str(lake.root),
        statements=list(Statement),
        bodies=[],
        rows=[row for row, _ in batch],
        companies=companies,
        scope=Scope.WINDOW,
        timeframes=_TIMEFRAMES,
        observed_at=batch[0][1],
        window=True,
    )
    report.counts += store_v1(job).counts
    report.records += len(batch)


def _followed(lake: Lake) -> dict[str, set[str]]:
    """Return ticker → CIKs of v1's records in the lake."""
    ciks_by_ticker: dict[str, set[str]] = {}
    for statement in Statement:
        dataset = lake.dataset(Generation.V1, statement)
        for path in dataset.index_file("X").parent.glob("ticker=*.json"):
            ticker = ticker_of_file(path.name.removesuffix(".json") + ".parquet")
            if ticker is not None:
                ciks = {cik_of(key) for key in index.written(dataset, ticker).rows}
                named = {cik for cik in ciks if not cik.startswith("ticker:")}
                ciks_by_ticker.setdefault(ticker, set()).update(named)
    return ciks_by_ticker


def _follow(companies: dict[str, set[str]], row: Row) -> None:
    """Add a record's tickers; a company that names none is followed by its CIK."""
    cik = row.get("cik")
    tickers = [t for t in row.get("tickers") or () if isinstance(t, str) and t]
    if not tickers and isinstance(cik, str) and cik:
        if not any(cik in mine for mine in companies.values()):
            companies.setdefault(f"CIK{cik}", set()).add(cik)
        return
    for ticker in tickers:
        mine = companies.setdefault(ticker, set())
        if isinstance(cik, str) and cik:
            mine.add(cik)
            alone = companies.get(f"CIK{cik}")
            if alone is not None and f"CIK{cik}" not in tickers:
                del companies[f"CIK{cik}"]


def _rows(path: Path, recorded: datetime | None, problems: list[Problem]) -> Iterator[Found]:
    """Yield the v1 records of a recording and when each was observed; add what is none."""

    def problem(kind: str, reason: str, line: int | None = None) -> None:
        problems.append(Problem(str(path), line, kind, reason))

    at = recorded or _moment_of(path)
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        problem("damaged", f"the compressed file is cut off or damaged ({error})")
        return
    if is_table(data):
        try:
            values: list[tuple[int | None, Any]] = [
                # As an answer would have it: a day is a text, and so is what is no number.
                (None, parse_exact(to_json(row)))
                for row in table_rows(data)
            ]
        except (ValueError, ApiError) as error:
            problem("damaged", f"the table cannot be read ({str(error).splitlines()[0][:120]})")
            return
    else:
        values = list(_values(data, problem))
    for line, value in values:
        for record, moment in _records(value):
            reason = _refused(record)
            if reason is None:
                row = {k: v for k, v in record.items() if k not in _MOMENTS}
                yield row, recorded or _parsed(moment) or at
            else:
                problem(*reason, line)


def _values(data: bytes, problem: Callable[..., None]) -> Iterator[tuple[int | None, Any]]:
    """Yield (line, JSON value) of a text: the whole of it, or one a line."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        problem("skipped", "it is neither text nor Parquet")
        return
    if not text.strip():
        problem("skipped", "it is empty")
        return
    try:
        yield None, parse_text(text.encode())
        return
    except (ValueError, RecursionError) as error:
        lines = text.splitlines()
        if len(lines) < 2 or not _is_json(lines[0]):
            kind = "damaged" if text.lstrip()[:1] in ("{", "[") else "skipped"
            reason = "it is cut off or no JSON" if kind == "damaged" else "it is no JSON"
            place = getattr(error, "lineno", None)
            problem(kind, f"{reason} ({str(error)[:80]})", place if kind == "damaged" else None)
            return
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield number, parse_text(line.encode())
        except (ValueError, RecursionError) as error:
            problem("damaged", f"the line is cut off or no JSON ({str(error)[:80]})", number)


def _is_json(line: str) -> bool:
    try:
        parse_exact(line)
    except (ValueError, RecursionError):
        return False
    return True


def _records(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (record, its moment) of a page, a record, a list of either, or a Singer message."""
    if isinstance(value, list):
        for item in value:
            yield from _records(item)
    elif isinstance(value, dict) and value.get("type") in _SINGER:
        if value["type"] == "RECORD":
            yield value.get("record"), value.get("time_extracted")
    elif isinstance(value, dict) and isinstance(value.get("results"), list):
        moment = next((value[n] for n in _MOMENTS if value.get(n)), None)
        for record in value["results"]:
            own = _own_moment(record)
            yield record, own or moment
    else:
        yield value, _own_moment(value)


def _own_moment(record: Any) -> Any:
    if not isinstance(record, dict):
        return None
    return next((record[name] for name in _MOMENTS if record.get(name)), None)


def _refused(record: Any) -> tuple[str, str] | None:
    """Return (kind, reason) where a value is no record of v1."""
    if not isinstance(record, dict):
        return "skipped", "it is no record of v1"
    if isinstance(record.get("financials"), dict) and (record.get("cik") or record.get("tickers")):
        return None
    if "period_end" in record and ("cik" in record or "tickers" in record):
        return (
            "refused",
            "it is a record of v2, which is still served: load it with "
            "`python -m flows historical-load --generation v2`",
        )
    if "status" in record and ("error" in record or "message" in record):
        said = str(record.get("error") or record.get("message"))[:80]
        return "damaged", f"it is an error that v1 answered with ({said}), not records"
    return "skipped", "it is no record of v1"


def _moment_of(path: Path) -> datetime:
    """Return when a recording was made: the day that its path names, else its file's time."""
    for part in reversed(path.parts):
        days = _DAY.findall(part)
        if len(days) == 1:
            try:
                return datetime.fromisoformat("-".join(days[0])).replace(tzinfo=UTC)
            except ValueError:
                continue
    return datetime.fromtimestamp(int(path.stat().st_mtime), UTC)


def _parsed(text: Any) -> datetime | None:
    if isinstance(text, datetime):
        return text if text.tzinfo else text.replace(tzinfo=UTC)
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
