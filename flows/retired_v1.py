"""A v1 that answers 410 for good: beside v2 it is left out of a load, and is no failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from polygon_fundamentals import ledger
from polygon_fundamentals.errors import RetiredError
from polygon_fundamentals.ledger.v1_endpoint import first_seen_frozen, retired_since
from polygon_fundamentals.reports import LoadReport, WindowReport


def as_frozen(report: LoadReport, run: ledger.Run) -> LoadReport:
    """Return v1's report as one of a frozen v1, if v1 answered a unit that it is gone for good.

    The units of such answers are no failures in it.
    """
    left = tuple(unit for unit in report.failed if unit.error != RetiredError.__name__)
    if left == report.failed:
        return report
    since = retired_since(report) or first_seen_frozen(
        ledger.read_entries(run.lake)[0], run.started
    )
    return replace(frozen(report, since), failed=left)


def frozen(report: LoadReport, since: str) -> WindowReport:
    """Return a load's report with the day since which v1 is frozen."""
    return replace(WindowReport(**vars(report)), frozen_since=since)


def frozen_day(report: LoadReport | None) -> str | None:
    """Return since when v1 is frozen by a report of it; None where it is not."""
    return report.frozen_since if isinstance(report, WindowReport) else None


def retirement_notes(reports: Mapping[str, LoadReport]) -> list[str]:
    """Return what to say of a load of both generations that got nothing of a retired v1."""
    return [
        f"{name} is retired (410) since {since}: only v2 was loaded, and what the lake has of "
        f"{name} stays; `--generation v2` asks for v2 alone"
        for name, report in reports.items()
        if (since := frozen_day(report))
    ]
