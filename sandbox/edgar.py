"""The sandbox as SEC EDGAR: facts and filings of its companies, and the bodies of its errors.

It answers at the same address as the APIs, under EDGAR's paths, and wants no key but a name and an
e-mail address in `User-Agent`. Of the real 403 and 429 pages only titles and phrases are known.
"""

from __future__ import annotations

import io
import json
import re
import threading
import time
import zipfile
from collections import deque
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from .answers import Answer
from .company import Company
from .edgar_facts import CompanyFacts
from .filings import Filing, filings_of
from .planted import Planted
from .rows import iso

if TYPE_CHECKING:
    from .world import World

#: Filings that a submissions answer holds itself; the real one has a thousand.
RECENT = 60
_FACTS = re.compile(r"/api/xbrl/companyfacts/CIK(\d{10})\.json")
_SUBMISSIONS = re.compile(r"/submissions/CIK(\d{10})(?:-submissions-(\d{3}))?\.json")
_ZIPS = {
    "/Archives/edgar/daily-index/xbrl/companyfacts.zip": "companyfacts",
    "/Archives/edgar/daily-index/bulkdata/submissions.zip": "submissions",
}
_PREFIXES = ("/api/xbrl/", "/submissions/", "/Archives/")
_IDENTITY = re.compile(r"[^@]+ [^\s@]+@[^\s@]+\.[^\s@]+")
_PAGE = (
    "<!DOCTYPE html><html><head><title>SEC.gov | {}</title></head><body><h1>{}</h1></body></html>"
)
_UNDECLARED = "Your Request Originates from an Undeclared Automated Tool"
_TOO_FAST = "Request Rate Threshold Exceeded"
_XML = '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{}</Code><Message>{}</Message></Error>'


def _page(status: int, title: str) -> Answer:
    return Answer(status, _PAGE.format(title, title).encode(), content_type="text/html")


def _xml(status: int, code: str, message: str) -> Answer:
    return Answer(status, _XML.format(code, message).encode(), content_type="application/xml")


#: What `Edgar.answer_next` can be told to answer with.
ANSWERS = {
    "undeclared": _page(403, _UNDECLARED),
    "too_fast": _page(403, _TOO_FAST),
    "too_many": _page(429, _TOO_FAST),
    "access_denied": _xml(403, "AccessDenied", "Access Denied"),
    "no_such_key": _xml(404, "NoSuchKey", "The specified key does not exist."),
    "blocked": _page(403, "Access Denied"),
    "unavailable": _page(503, "Service Unavailable"),
    "moved": Answer(302, b"", {"Location": "http://evil.example/"}),
    "no_json": Answer(200, b"<html>busy</html>", content_type="text/html"),
}
_FAULTS = {
    "too_many": "too_fast",
    "retry_after": "too_many",
    "server_error": "unavailable",
    "unavailable": "unavailable",
}


def is_edgars(path: str) -> bool:
    """Return whether a path is one of EDGAR's."""
    return path.startswith(_PREFIXES)


class Edgar:
    """EDGAR's side of a sandbox; `per_second` is what it allows before it answers 403."""

    def __init__(self, world: World, lock: threading.RLock, per_second: int = 10) -> None:
        self._world, self._lock = world, lock
        self.per_second = per_second
        self._next: deque[str] = deque()
        self._times: deque[float] = deque()
        self._counting = threading.Lock()
        self.busiest_second = 0

    def answer_next(self, word: str, times: int = 1) -> None:
        """Give one of `ANSWERS` to the next requests."""
        if word not in ANSWERS:
            raise ValueError(f"unknown answer {word!r}; one of {', '.join(ANSWERS)}")
        self._next.extend([word] * times)

    def forget_answers(self) -> None:
        """Drop what `answer_next` was told and nobody has asked for."""
        self._next.clear()

    def forget_requests(self) -> None:
        """Count the requests of a second anew."""
        with self._counting:
            self._times.clear()
            self.busiest_second = 0

    def reports(self) -> dict[str, list[tuple[int, int]]]:
        """Return the truth: period end and first filing, in days since 1970, by CIK."""
        epoch = date(1970, 1, 1).toordinal()
        with self._lock:
            companies = {cik: self._world.company(i) for cik, i in self._world.by_cik.items()}
            return {
                cik: [
                    (company.calendar.ends[i] - epoch, company.calendar.filed[i] - epoch)
                    for i in range(company.last)
                ]
                for cik, company in companies.items()
            }

    def answer(self, path: str, headers: Mapping[str, str], fault: str) -> Answer:
        """Return the answer to a request."""
        if self._is_too_fast():
            return ANSWERS["too_fast"]
        with self._lock:
            if self._next:
                return ANSWERS[self._next.popleft()]
            if fault in _FAULTS:
                return ANSWERS[_FAULTS[fault]]
            agent = headers.get("user-agent", "")
            if not _IDENTITY.fullmatch(agent) or "://" in agent:
                return ANSWERS["undeclared"]
            return self._document(path)

    def _is_too_fast(self) -> bool:
        with self._counting:  # not the world's lock: requests that wait for it have arrived
            now = time.monotonic()
            self._times.append(now)
            while now - self._times[0] >= 1.0:
                self._times.popleft()
            self.busiest_second = max(self.busiest_second, len(self._times))
            return len(self._times) > self.per_second

    def _document(self, path: str) -> Answer:
        if path in _ZIPS:
            return Answer(200, self._zip(_ZIPS[path]), content_type="application/zip")
        if facts := _FACTS.fullmatch(path):
            document = self._facts(facts[1])
        elif submissions := _SUBMISSIONS.fullmatch(path):
            document = self._submissions(submissions[1], submissions[2])
        elif path.startswith("/Archives/"):
            return ANSWERS["access_denied"]
        else:
            document = None
        if document is None:
            return ANSWERS["no_such_key"]
        headers = {"Cache-Control": "max-age=0, no-cache, no-store"}
        return Answer(200, json.dumps(document, separators=(",", ":")).encode(), headers)

    def _zip(self, kind: str) -> bytes:
        sink = io.BytesIO()
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
            for cik in self._world.by_cik:
                if kind == "companyfacts":
                    documents = {f"CIK{cik}.json": self._facts(cik)}
                else:
                    documents = {
                        f"CIK{cik}.json": self._submissions(cik, None),
                        f"CIK{cik}-submissions-001.json": self._submissions(cik, "001"),
                    }
                for name, document in documents.items():
                    if document is not None:
                        archive.writestr(name, json.dumps(document))
        return sink.getvalue()

    def _company(self, cik: str) -> Company | None:
        index = self._world.by_cik.get(cik)
        return None if index is None else self._world.company(index)

    def _filed(self, company: Company) -> tuple[list[Filing], list[tuple[Planted, str]]]:
        planted = self._world.plantings.restatements(company.profile.index)
        ends = {end: i for i, end in enumerate(company.ends_iso)}
        days = {
            (ends[one.period_end or ""], date.fromisoformat(day).toordinal())
            for one, day in planted
        }
        return filings_of(company, self._world.today, sorted(days)), planted

    def _facts(self, cik: str) -> dict[str, Any] | None:
        company = self._company(cik)
        if company is None:
            return None
        filings, planted = self._filed(company)
        return CompanyFacts(company, filings, planted).document()

    def _submissions(self, cik: str, page: str | None) -> dict[str, Any] | None:
        company = self._company(cik)
        if company is None:
            return None
        newest_first = self._filed(company)[0][::-1]
        older = newest_first[RECENT:]
        if page is not None:
            return _lists(company, older) if older and page == "001" else None
        profile = company.profile
        files = []
        if older:
            name = f"CIK{cik}-submissions-001.json"
            files.append(
                {
                    "name": name,
                    "filingCount": len(older),
                    "filingFrom": iso(older[-1].filed),
                    "filingTo": iso(older[0].filed),
                }
            )
        gone = profile.delisted is not None and profile.delisted.toordinal() <= self._world.today
        return {
            "cik": cik,
            "entityType": "operating",
            "sic": profile.sic,
            "name": profile.name,
            "tickers": [] if gone else list(profile.symbols),
            "fiscalYearEnd": f"{profile.fiscal_month:02d}31",
            "formerNames": [],
            "filings": {"recent": _lists(company, newest_first[:RECENT]), "files": files},
        }


def _lists(company: Company, filings: list[Filing]) -> dict[str, list[Any]]:
    accepted = company.calendar.accepted
    return {
        "accessionNumber": [f.accession for f in filings],
        "filingDate": [iso(f.filed) for f in filings],
        "reportDate": [company.ends_iso[f.index] for f in filings],
        "acceptanceDateTime": [iso(f.filed) + accepted[f.index] for f in filings],
        "form": [f.form for f in filings],
        "isXBRL": [int(f.is_report) for f in filings],
        "primaryDocument": [f"{f.accession}.htm" for f in filings],
    }
