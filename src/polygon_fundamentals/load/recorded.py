"""Recordings of v1's answers into the lake: a load without HTTP.

A recording is what people kept of v1: pages or bare records as JSON, one per line or one per file,
Singer messages, Parquet and CSV files of records. Its content shows its format. A record counts as
observed when it was recorded, so that it stays true what was known when.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from pathlib import Path

from polygon_fundamentals.datasets.keys import cik_of
from polygon_fundamentals.errors import DamagedFileError, FormatError, UsageError
from polygon_fundamentals.lake import Lake, index
from polygon_fundamentals.lake.commit import Scope
from polygon_fundamentals.load.recorded_rows import (
    TIMEFRAMES,
    Problem,
    Row,
    company_of,
    published_on,
    recorded_at,
    recorded_rows,
    tickers_of,
    undatable,
)
from polygon_fundamentals.load.store import StoreJob, follow, store_v1
from polygon_fundamentals.reports import UpsertCounts
from polygon_fundamentals.statements import Generation, Statement

# Records that are stored together, where their recordings are of one moment.
_BATCH = 2_000
# A record with its file and when it was observed.
_Recorded = tuple[Path, Row, datetime]


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


def files_of(paths: Iterable[Path]) -> list[Path]:
    """Return the files of some paths, folders with all below them, hidden ones left out.

    Raises:
        UsageError: a path is not there or neither file nor folder, or all of them hold no file.
    """
    files: list[Path] = []
    given = list(paths)
    for path in given:
        if path.is_dir():
            inner = (p for p in path.rglob("*") if p.is_file())
            files += [
                p for p in inner if not any(n.startswith(".") for n in p.relative_to(path).parts)
            ]
        elif path.is_file():
            files.append(path)
        elif path.exists():
            raise UsageError(
                f"{path} is not a file but a pipe or device, and recordings are read twice; write "
                "it to a file and name that"
            )
        else:
            raise UsageError(f"{path} is not there; name files or folders of recordings")
    if not files:
        raise UsageError(
            f"there is no file in {', '.join(map(str, given))}, hidden ones aside; name files or "
            "folders of recordings"
        )
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
        UsageError: as `files_of`.
        LakeError, OSError: the lake cannot be used. A damaged file of it is a problem of the
            recordings that have records of its ticker, and the others are imported.
    """
    files = files_of(paths)
    companies = _followed(lake)
    report = ImportReport(files=len(files))
    recordings = _in_order(files, recorded, companies, report.problems)
    empty = set(files) - recordings.keys()
    for path in sorted(empty):
        list(recorded_rows(path, recorded, report.problems))
    known = {ticker: sorted(ciks) for ticker, ciks in companies.items()}
    batch: list[_Recorded] = []
    for done, (path, made) in enumerate(recordings.items(), 1):
        for row, own in recorded_rows(path, recorded, report.problems):
            moment = own or made
            if batch and (batch[0][2] != moment or len(batch) >= _BATCH):
                _store(lake, batch, known, report)
                batch = []
            batch.append((path, row, moment))
        on_file(done, len(recordings))
    _store(lake, batch, known, report)
    return report


def _in_order(
    files: Iterable[Path],
    recorded: datetime | None,
    companies: dict[str, set[str]],
    problems: list[Problem],
) -> dict[Path, datetime]:
    """Return the files with records, the earliest first, and when each of them was made.

    Adds the companies of the records, and the files of which nobody can say when they were made.
    """
    recordings: list[tuple[datetime, int, Path, datetime]] = []
    for number, path in enumerate(files):
        moments: set[datetime] = set()
        since: date | None = None  # of the records that do not say when they were observed
        for row, own in recorded_rows(path, recorded, []):
            _follow(companies, row)
            if own is None:
                since = max(since or date.min, published_on(row))
            else:
                moments.add(own)
        made = max(moments, default=None) if since is None else recorded_at(path, since)
        if since is not None and made is None:
            problems.append(undatable(path, since))
        if made is not None:
            recordings.append((min(moments | {made}), number, path, made))
    return {path: made for _, _, path, made in sorted(recordings)}


def _store(
    lake: Lake, batch: list[_Recorded], companies: dict[str, list[str]], report: ImportReport
) -> None:
    """Store records of one moment; what cannot be stored is a problem of its recording."""
    if not batch:
        return
    job = StoreJob(
        root=str(lake.root),
        statements=list(Statement),
        bodies=[],
        rows=[row for _, row, _ in batch],
        companies=companies,
        scope=Scope.WINDOW,
        timeframes=TIMEFRAMES,
        observed_at=batch[0][2],
        window=True,
    )
    damaged: dict[str, DamagedFileError] = {}
    try:
        report.counts += store_v1(job, damaged).counts
        _note_damage(batch, companies, damaged, report)
    except FormatError as error:
        files = sorted({path for path, _, _ in batch})
        if len(files) == 1:
            report.problems.append(Problem(str(files[0]), None, "damaged", str(error)))
            return
        for file in files:
            _store(lake, [item for item in batch if item[0] == file], companies, report)


def _note_damage(
    batch: list[_Recorded],
    companies: dict[str, list[str]],
    damaged: Mapping[str, DamagedFileError],
    report: ImportReport,
) -> None:
    """Count the records of which all was stored; those of damaged tickers make a problem."""
    refused = {ticker: companies[ticker] for ticker in damaged}
    places = follow([row for _, row, _ in batch], refused)
    for ticker, positions in places.items():
        for file in sorted({batch[i][0] for i in positions}):
            report.problems.append(Problem(str(file), None, "lake", str(damaged[ticker])))
    report.records += len(batch) - len({i for positions in places.values() for i in positions})


def _followed(lake: Lake) -> dict[str, set[str]]:
    """Return ticker → CIKs of v1's records in the lake."""
    ciks_by_ticker: dict[str, set[str]] = {}
    for statement in Statement:
        dataset = lake.dataset(Generation.V1, statement)
        for ticker in index.indexed_tickers(dataset):
            ciks = {cik_of(key) for key in index.written(dataset, ticker).rows}
            named = {cik for cik in ciks if not cik.startswith("ticker:")}
            ciks_by_ticker.setdefault(ticker, set()).update(named)
    return ciks_by_ticker


def _follow(companies: dict[str, set[str]], row: Row) -> None:
    """Add a record's tickers; a company that names none is followed by its CIK."""
    cik, tickers = company_of(row), tickers_of(row)
    if not tickers and cik is not None:
        if not any(cik in mine for mine in companies.values()):
            companies.setdefault(f"CIK{cik}", set()).add(cik)
        return
    for ticker in tickers:
        mine = companies.setdefault(ticker, set())
        if cik is not None:
            mine.add(cik)
            alone = companies.get(f"CIK{cik}")
            if alone is not None and f"CIK{cik}" not in tickers:
                del companies[f"CIK{cik}"]
