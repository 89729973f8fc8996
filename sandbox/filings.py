"""The filings of a company: reports, amendments, notices, and restatements planted on request."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .company import Company
from .rows import iso

#: Added to a quarter's number in the accession number of what is no report of its own.
AMENDMENT, NOTICE, RESTATEMENT = 500_000, 300_000, 700_000


@dataclass(frozen=True)
class Filing:
    """One filing: its form and day, and the quarter (by index) that it is about."""

    accession: str
    form: str
    filed: int
    index: int

    @property
    def is_report(self) -> bool:
        """Whether it has statements: a notice has none."""
        return self.form != "8-K" or int(self.accession[-6:]) >= RESTATEMENT


def accession(cik: str, day: str, number: int) -> str:
    """Return an accession number: the filer, the year, a number within it."""
    return f"{cik}-{day[2:4]}-{number:06d}"


def filings_of(
    company: Company, today: int, restated: Iterable[tuple[int, int]] = ()
) -> list[Filing]:
    """Return the public filings, oldest first; `restated` gives quarters and days of 8-Ks."""
    calendar, cik = company.calendar, company.profile.cik
    filings: list[Filing] = []

    def add(form: str, day: int, index: int, plus: int = 0) -> None:
        if day <= today:
            filings.append(Filing(accession(cik, iso(day), plus + index), form, day, index))

    for i in range(company.last):
        if calendar.filed[i] > today + 10:
            break
        add("8-K", calendar.filed[i] - 7, i, NOTICE)
        add("10-K" if calendar.quarters[i] == 4 else "10-Q", calendar.filed[i], i)
        if i in company.amended:
            add("10-K/A", company.amended[i], i, AMENDMENT)
    for i, day in restated:
        add("8-K", day, i, RESTATEMENT)
    return sorted(filings, key=lambda filing: filing.filed)
