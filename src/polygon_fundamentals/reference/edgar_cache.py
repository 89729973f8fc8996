"""What EDGAR said of companies, kept in the lake under `ops/reference/edgar/`.

A company's filings and its facts are one Parquet file each, which may be deleted at any time. Its
submissions are asked for once a day at most, its facts only where the submissions show a periodic
report that the facts do not have. What EDGAR answered once stays: filings are never taken back, so
an answer of 404 about a company that had some is a fault of the moment.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from polygon_fundamentals.errors import ContentError, EdgarIdentityError, EdgarUnreachableError
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.storage.checked import encoded
from polygon_fundamentals.lake.storage.local import replace_file
from polygon_fundamentals.reference.edgar_dates import Report, reports_in
from polygon_fundamentals.reference.edgar_facts import (
    FACTS_SCHEMA,
    FILINGS_SCHEMA,
    OlderPage,
    read_facts,
    read_filings,
)

if TYPE_CHECKING:  # who only reads the cache does without HTTP, 7 MB in every process
    from polygon_fundamentals.reference.edgar import Edgar

# From so many companies on both zips, 3 GB, are there sooner than two answers for each at eight a
# second. A company that was asked before needs one.
ARCHIVES_FROM = 3_000
_THREADS = 4
_NOTE = b"polygon_fundamentals"
_CIK = re.compile(r"[0-9]{10}")


class Source(Protocol):
    """Where a company's documents come from: EDGAR itself, or its nightly zips."""

    def company_facts(self, cik: str) -> bytes | None:
        """Return a companyfacts document, None where there is none."""

    def submissions(self, cik: str) -> bytes | None:
        """Return a submissions document, None where there is none."""

    def older_page(self, name: str) -> bytes | None:
        """Return an older page of submissions, None where there is none."""


class Note(msgspec.Struct, frozen=True):
    """What a file of the cache says of itself, in its footer; `nothing`: EDGAR has no answer."""

    asked: date
    nothing: bool = False
    name: str | None = None
    former_names: tuple[str, ...] = ()
    older_pages: tuple[OlderPage, ...] = ()


@dataclass(frozen=True)
class Entry:
    """A file of the cache: its rows and what it says of itself."""

    rows: pa.Table
    note: Note


@dataclass
class EdgarReport:
    """What was asked of EDGAR; `note` says why not everything, else it is None."""

    companies: int = 0
    companies_asked: int = 0
    companies_without_facts: int = 0
    requests: int = 0
    body_bytes: int = 0
    note: str | None = None
    problems: list[str] = field(default_factory=list)


class EdgarCache:
    """The companies that EDGAR was asked for.

    A CIK makes a path of a request and of a file, and a lake may hold any text as one. Of a
    company whose CIK is not ten digits nothing is asked, read or written.
    """

    def __init__(self, lake: Lake) -> None:
        self.folder = lake.ops / "reference" / "edgar"

    def facts(self, cik: str) -> Entry | None:
        """Return a company's facts in `FACTS_SCHEMA`, None where they were never asked for."""
        return self._read("facts", cik, FACTS_SCHEMA)

    def has_facts(self) -> bool:
        """Return whether facts of any company are here."""
        return any((self.folder / "facts").glob("CIK*.parquet"))

    def filings(self, cik: str) -> Entry | None:
        """Return a company's periodic reports in `FILINGS_SCHEMA`, None where not asked for."""
        return self._read("filings", cik, FILINGS_SCHEMA)

    def update(self, source: Source, cik: str, day: date, *, with_facts: bool) -> bool:
        """Ask for what is new of a company on a day and write it; return whether it was asked.

        Raises:
            EdgarUnreachableError, EdgarIdentityError: as `Edgar`.
            ContentError: an answer that cannot be read.
        """
        if not _CIK.fullmatch(cik):
            return False
        asked = False
        filings = self.filings(cik)
        if filings is None or filings.note.asked < day:
            filings = self._ask_filings(source, cik, day, filings)
            asked = True
        if with_facts and not filings.note.nothing:
            facts = self.facts(cik)
            if facts is None or (facts.note.asked < day and _lacks_newest(facts, filings)):
                body = source.company_facts(cik)
                if body is not None:
                    facts = Entry(read_facts(body, f"CIK{cik}'s companyfacts"), Note(day))
                else:
                    facts = _without_answer(facts, day, FACTS_SCHEMA)
                self._write("facts", cik, facts)
                asked = True
        return asked

    def _ask_filings(self, source: Source, cik: str, day: date, before: Entry | None) -> Entry:
        body = source.submissions(cik)
        if body is None:
            entry = _without_answer(before, day, FILINGS_SCHEMA)
        else:
            recent, head = read_filings(body, f"CIK{cik}'s submissions")
            tables = [recent] if before is None else [recent, before.rows]
            known = set() if before is None else set(before.note.older_pages)
            answered = []
            for page in head.older_pages:
                if page not in known:
                    body = source.older_page(page.name)
                    if body is None:
                        continue  # not noted, so that it is asked for again
                    tables.append(read_filings(body, page.name)[0])
                answered.append(page)
            note = Note(
                day,
                name=head.name,
                former_names=head.former_names,
                older_pages=tuple(answered),
            )
            entry = Entry(_once(tables), note)
        self._write("filings", cik, entry)
        return entry

    def _read(self, kind: str, cik: str, schema: pa.Schema) -> Entry | None:
        """Return an entry; a file that cannot be read counts as none: it is derived."""
        if not _CIK.fullmatch(cik):
            return None
        path = self._path(kind, cik)
        try:
            table = pq.read_table(path, partitioning=None, page_checksum_verification=True)
            note = msgspec.json.decode(table.schema.metadata[_NOTE], type=Note)
            return Entry(table.cast(schema), note)
        except (OSError, TypeError, KeyError, ValueError, msgspec.MsgspecError, pa.ArrowException):
            return None

    def _write(self, kind: str, cik: str, entry: Entry) -> None:
        noted = entry.rows.replace_schema_metadata({_NOTE: msgspec.json.encode(entry.note)})
        path = self._path(kind, cik)
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, encoded(noted, compression_level=9))

    def _path(self, kind: str, cik: str) -> Path:
        return self.folder / kind / f"CIK{cik}.parquet"


def ask(
    cache: EdgarCache, edgar: Edgar, ciks: Sequence[str], day: date, *, with_facts: bool
) -> EdgarReport:
    """Bring the cache up to a day for some companies; return what that took.

    An EDGAR that cannot be reached is a normal state: the cache stays what it was, and the report
    says so.
    """
    report = EdgarReport(companies=len(ciks))
    before = [(t.requests, t.body_bytes) for t in edgar.counts]
    try:
        with _source(cache, edgar, ciks, day) as source, ThreadPoolExecutor(_THREADS) as threads:
            for asked, problem in threads.map(
                lambda cik: _update(cache, source, cik, day, with_facts), ciks
            ):
                report.companies_asked += asked
                report.problems += [problem] if problem else []
    except (EdgarUnreachableError, EdgarIdentityError) as error:
        report.note = str(error)
    for counts, (requests, body_bytes) in zip(edgar.counts, before, strict=True):
        report.requests += counts.requests - requests
        report.body_bytes += counts.body_bytes - body_bytes
    if report.problems and report.note is None:
        report.note = (
            f"{len(report.problems)} answers of SEC EDGAR cannot be read: " + (report.problems[0])
        )
    return report


def reports_of(cache: EdgarCache, cik: str) -> list[Report] | None:
    """Return a company's periodic reports as they are in the cache, None where not asked for."""
    entry = cache.filings(cik)
    return None if entry is None else reports_in(entry.rows.to_pandas(date_as_object=True))


def _update(
    cache: EdgarCache, source: Source, cik: str, day: date, with_facts: bool
) -> tuple[bool, str | None]:
    try:
        return cache.update(source, cik, day, with_facts=with_facts), None
    except ContentError as error:
        return True, str(error)


@contextmanager
def _source(cache: EdgarCache, edgar: Edgar, ciks: Sequence[str], day: date) -> Iterator[Source]:
    """Yield EDGAR itself, or for many companies its nightly zips, fetched for as long."""
    known = [cache.filings(cik) for cik in ciks]
    wanted = sum(2 if entry is None else int(entry.note.asked < day) for entry in known)
    if wanted < 2 * ARCHIVES_FROM:
        yield edgar
        return
    from polygon_fundamentals.reference.edgar_archives import Archives

    cache.folder.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="zips-", dir=cache.folder))
    try:
        with Archives.fetched(edgar, folder, ciks) as archives:
            yield archives
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _without_answer(before: Entry | None, day: date, schema: pa.Schema) -> Entry:
    """Return the entry of a company that EDGAR has nothing of: what it said before, if anything."""
    if before is None:
        return Entry(schema.empty_table(), Note(day, nothing=True))
    return Entry(before.rows, msgspec.structs.replace(before.note, asked=day))


def _once(tables: Sequence[pa.Table]) -> pa.Table:
    """Return the filings of several tables, each accession number once, by day."""
    rows = pa.concat_tables(tables)
    first = rows.append_column("at", pa.array(range(rows.num_rows), pa.int64()))
    chosen = first.group_by("accession").aggregate([("at", "min")])["at_min"]
    return rows.take(chosen).sort_by([("filing_date", "ascending"), ("accession", "ascending")])


def _lacks_newest(facts: Entry, filings: Entry) -> bool:
    """Return whether the newest periodic report with figures is not among the facts."""
    reports = filings.rows.filter(filings.rows["is_xbrl"])
    if reports.num_rows == 0:
        return False
    newest = reports["accession"][reports.num_rows - 1]
    there: bool = pc.any(pc.equal(facts.rows["accession"].cast(pa.string()), newest)).as_py()
    return not there
