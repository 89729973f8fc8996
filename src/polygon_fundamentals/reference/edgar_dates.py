"""When periods were first filed, as SEC EDGAR has it: exact, and before XBRL too.

The `reportDate` of a 10-Q, 10-K, 20-F or 40-F is the end of the period that it reports. Amendments
never are the first filing and are left aside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

import pandas as pd

from polygon_fundamentals.reference.edgar_facts import PERIODIC_FORMS

# A statement's period end may be some days off the report's: v1's of 2009 and 2010 are.
_DAYS_OFF = 10
# A CIK whose first report comes so long after a period did not report that period.
_FIRST_REPORT = timedelta(days=400)


class Report(NamedTuple):
    """A periodic report that is no amendment."""

    filed: date
    end: date
    form: str


# Returns a company's reports, None where EDGAR was not asked for it.
ReportsOf = Callable[[str], Sequence[Report] | None]


@dataclass(frozen=True)
class EdgarDates:
    """First filings: rows of cik, period_end, first_filing_date, form_type.

    `late_ciks` are CIKs whose reports begin long after the first of their periods, with the day
    on which they begin: the periods before belong to a CIK that nothing links to this one.
    """

    rows: list[tuple[str, date, date, str]]
    late_ciks: dict[str, date]


def reports_in(filings: pd.DataFrame) -> list[Report]:
    """Return the reports among a company's filings, in `edgar_facts.FILINGS_SCHEMA`."""
    return sorted(
        Report(filed, end, form)
        for filed, end, form in zip(
            filings["filing_date"], filings["report_date"], filings["form"], strict=True
        )
        if form in PERIODIC_FORMS and isinstance(end, date) and not pd.isna(end)
    )


def first_filings(periods: pd.DataFrame, reports_of: ReportsOf) -> EdgarDates:
    """Return when periods were first filed.

    `periods` has cik, period_end and bound, the earliest filing that any of its records names: a
    report after it cannot be the first, whatever date it bears.
    """
    dates = EdgarDates([], {})
    for cik, group in periods.sort_values(["cik", "period_end"]).groupby("cik"):
        reports = reports_of(str(cik))
        if not reports:
            continue
        begins = reports[0].filed
        bounds = [None if pd.isna(b) else b.date() for b in group["bound"]]
        for end, bound in zip(group["period_end"].dt.date, bounds, strict=True):
            if begins - end > _FIRST_REPORT:
                dates.late_ciks[str(cik)] = begins
            report = _first(reports, end, bound)
            if report is not None:
                dates.rows.append((str(cik), end, report.filed, report.form))
    return dates


def _first(reports: Sequence[Report], end: date, bound: date | None) -> Report | None:
    """Return the first report of the period, None where none fits or several ends do."""
    near = [
        report
        for report in reports
        if abs((report.end - end).days) <= _DAYS_OFF and report.filed >= report.end
    ]
    exact = [report for report in near if report.end == end]
    if not exact and len({report.end for report in near}) > 1:
        return None
    first = next(iter(exact or near), None)
    return None if first is None or (bound is not None and first.filed > bound) else first
