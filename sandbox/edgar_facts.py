"""What the filings of a company say in XBRL, as EDGAR's companyfacts have it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .company import ANNUAL, QUARTERLY, Company, PerShare
from .facts import LEVELS
from .fields import V2_LINES, read_table
from .filings import RESTATEMENT, Filing
from .planted import Planted
from .rows import iso
from .v2_rows import absent_facts

#: Tag by fact. A company's own tags (other assets, accrued liabilities, ...) are not among them.
TAGS: dict[str, str] = {row["fact"]: row["tag"] for row in read_table("xbrl_tags.csv")}
_SHARES = ("eps_basic", "eps_diluted", "shares_basic", "shares_diluted")
_UNITS = dict(zip(_SHARES, ("USD/shares", "USD/shares", "shares", "shares"), strict=True))
_CASH_FLOW = frozenset(("cfo", "cfi", "cff", "dcash", "capex", "div", "dda_cf"))
#: Facts that a restatement or an amendment moves.
_MOVED = frozenset(("rev", "cost", "rev_v1"))
_BANK = frozenset(("rev_v1", "bank_int_inc", "bank_non_inc"))


class CompanyFacts:
    """Writes one company's companyfacts document as of a day."""

    def __init__(
        self, company: Company, filings: Sequence[Filing], planted: Sequence[tuple[Planted, str]]
    ) -> None:
        self.company = company
        self._filings = [filing for filing in filings if filing.is_report]
        self._planted = planted
        absent = absent_facts(company)
        bank = company.profile.template == "bank"
        self._facts = [
            fact
            for fact in TAGS
            if fact not in absent
            and fact not in _SHARES
            and (fact in _BANK) <= bank
            and not (bank and fact in ("rev", "gross"))
            # Some filers have a tag of their own for a line.
            and not (fact == "sga" and company.profile.index % 5 == 4)
        ]

    def document(self) -> dict[str, Any]:
        """Return the answer of companyfacts."""
        concepts: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for filing in self._filings:
            calendar = self.company.calendar
            year, quarter = calendar.years[filing.index], calendar.quarters[filing.index]
            head = {
                "accn": filing.accession,
                "fy": year,
                "fp": "FY" if quarter == 4 else f"Q{quarter}",
                "form": filing.form,
                "filed": iso(filing.filed),
            }
            for tag, unit, period, value in self._said(filing):
                concepts[tag][unit].append({**period, "val": value, **head})
        profile = self.company.profile
        return {
            "cik": int(profile.cik),
            "entityName": profile.name,
            "facts": {
                "dei": {},
                "us-gaap": {
                    tag: {"label": tag, "description": None, "units": units}
                    for tag, units in concepts.items()
                },
            },
        }

    def _said(self, filing: Filing) -> Iterator[tuple[str, str, dict[str, str], float]]:
        if int(filing.accession[-6:]) >= RESTATEMENT:
            yield from self._restated(filing)
            return
        i, quarter = filing.index, self.company.calendar.quarters[filing.index]
        annual = quarter == 4
        for end in (i, i - 4 if annual else i - quarter):
            if end >= 0:
                yield from self._balances(filing, end)
        for end in (i, i - 4, i - 8) if annual else (i, i - 4):
            for length in {4} if annual else {1, quarter}:
                if end - length + 1 >= 0:
                    yield from self._flows(filing, end, length)

    def _balances(
        self, filing: Filing, end: int
    ) -> Iterator[tuple[str, str, dict[str, str], float]]:
        for fact in self._facts:
            if fact in LEVELS:
                value = int(self.company.facts.quarterly[fact][end])
                period = {"end": self.company.ends_iso[end]}
                yield TAGS[fact], "USD", period, self._as_shown(value, filing, end)

    def _flows(
        self, filing: Filing, end: int, length: int
    ) -> Iterator[tuple[str, str, dict[str, str], float]]:
        company = self.company
        first = end - length + 1
        period = {"start": iso(company.calendar.starts[first]), "end": company.ends_iso[end]}
        to_date = length == company.calendar.quarters[end]
        for fact in self._facts:
            # Cash flows are told from the year's first day on only.
            if fact in LEVELS or (fact in _CASH_FLOW and not to_date):
                continue
            value = int(company.facts.quarterly[fact][first : end + 1].sum())
            if fact in _MOVED:
                value += self._moved(filing, end, length)
            yield TAGS[fact], "USD", period, self._as_shown(value, filing, end)
        share = self._per_share(filing, end, length)
        if share is not None:
            for fact, number in zip(_SHARES, share, strict=True):
                yield TAGS[fact], _UNITS[fact], period, number

    def _per_share(self, filing: Filing, end: int, length: int) -> PerShare | None:
        if length not in (1, 4):
            return None
        timeframe = QUARTERLY if length == 1 else ANNUAL
        return self.company.per_share(timeframe, end, filing.filed)

    def _moved(self, filing: Filing, end: int, length: int) -> int:
        """Return by how much a filing has revenue moved: restated later, or not yet amended."""
        company = self.company
        if length == 4 and end in company.amended:
            original = filing.index == end and filing.form == "10-K"
            return -company.revenue_shift(ANNUAL, end) if original else 0
        return sum(
            company.revenue_shift(QUARTERLY, k)
            for k in range(end - length + 1, end + 1)
            if k in company.restated and filing.index != end and filing.index >= k + 4
        )

    def _as_shown(self, value: int, filing: Filing, end: int) -> int:
        if "rounded" in self.company.profile.roles and filing.index != end:
            return int(np.rint(value / 1e6)) * 1_000_000
        return value

    def _restated(self, filing: Filing) -> Iterator[tuple[str, str, dict[str, str], float]]:
        company = self.company
        for planted, day in self._planted:
            if (planted.period_end, day) != (company.ends_iso[filing.index], iso(filing.filed)):
                continue
            line = next(n for n in V2_LINES[planted.statement or ""] if n.name == planted.field)
            if line.fact not in TAGS or planted.v2_value is None:
                continue
            end = company.ends_iso[filing.index]
            period = {"end": end}
            if line.fact not in LEVELS:
                length = 1 if planted.timeframe == QUARTERLY else 4
                start = company.calendar.starts[filing.index - length + 1]
                period = {"start": iso(start), "end": end}
            yield (
                TAGS[line.fact],
                _UNITS.get(line.fact, "USD"),
                period,
                line.sign * planted.v2_value,
            )
