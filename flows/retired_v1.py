"""A v1 that answers 410 for good: beside v2 it is left out of a load, and is no failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from polygon_fundamentals import ledger
from polygon_fundamentals.errors import RetiredError
from polygon_fundamentals.ledger.v1_endpoint import first_seen_frozen, retired_since
from polygon_fundamentals.reports import LoadReport

Loaded = TypeVar("Loaded", bound=LoadReport)


def as_frozen(report: Loaded, run: ledger.Run) -> Loaded:
    """Return v1's report as one of a frozen v1, if v1 answered a unit that it is gone for good.

    The units of such answers are no failures in it.
    """
    left = tuple(unit for unit in report.failed if unit.error != RetiredError.__name__)
    if left == report.failed:
        return report
    since = retired_since(report) or first_seen_frozen(
        ledger.read_entries(run.lake)[0], run.started
    )
    return replace(report, failed=left, frozen_since=since)


def retirement_notes(reports: Mapping[str, LoadReport]) -> list[str]:
    """Return what to say of a load of both generations that got nothing of a retired v1."""
    return [
        f"{name} is retired (410) since {report.frozen_since}: only v2 was loaded, and what the "
        f"lake has of {name} stays; `--generation v2` asks for v2 alone"
        for name, report in reports.items()
        if report.frozen_since
    ]
