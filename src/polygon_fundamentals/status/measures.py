"""What the ledger and the lake say of the plan's targets, and what is missing to say it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from polygon_fundamentals.business_days import NEW_YORK
from polygon_fundamentals.lake.catalogue import DatasetCounts
from polygon_fundamentals.ledger import SUCCEEDED, RunEntry
from polygon_fundamentals.ledger.queries import LOADS, is_whole
from polygon_fundamentals.reports import LoadReport
from polygon_fundamentals.statements import Generation, Statement
from polygon_fundamentals.status.targets import PLANNED, Measured, Target

GIGABYTE = 1e9
# A smaller load says little of 1,000 tickers: what it takes to begin outweighs the rest.
FEWEST_TICKERS = 100
_UNDATED_YEAR = 1900


@dataclass(frozen=True)
class Evidence:
    """What the targets are measured by; `requests_per_minute` is the limit of the settings."""

    entries: Sequence[RunEntry]
    datasets: Sequence[DatasetCounts]
    at: datetime
    requests_per_minute: int | None = None


def measure(evidence: Evidence, targets: Mapping[str, Target]) -> tuple[Measured, ...]:
    """Return every target with what was measured, or with what is missing to measure it."""
    return tuple(_MEASURES[name](evidence, name, target) for name, target in targets.items())


def _measured(name: str, target: Target, value: float) -> Measured:
    return Measured(name, target, round(value, 3))


def _download(evidence: Evidence, name: str, target: Target) -> Measured:
    load = _newest_history(evidence)
    if load is None:
        return Measured(name, target, None, NO_HISTORY)
    entry, report = load
    statements = len(entry.parameters.get("statements") or Statement)
    tickers = (report.units - report.units_resumed) // statements
    limit = _rate_limit(evidence, entry)
    if tickers < FEWEST_TICKERS:
        missing = f"the newest `historical-load` had {tickers:,} tickers, not {FEWEST_TICKERS}"
        return Measured(name, target, None, missing)
    if limit is not None and limit < PLANNED["requests"].target:
        least = f"{PLANNED['requests'].target:g}"
        missing = f"the target assumes {least} requests per minute, but the limit was {limit:,}"
        return Measured(name, target, None, missing)
    return _measured(name, target, report.seconds / tickers * 1000 / 60)


NO_HISTORY = "needs a `historical-load` of v2 that succeeded, with no other load at the same time"


def _requests(evidence: Evidence, name: str, target: Target) -> Measured:
    load = _newest_history(evidence)
    if load is None:
        return Measured(name, target, None, NO_HISTORY)
    entry, report = load
    limit, requests = _rate_limit(evidence, entry), report.requests
    if limit is None:
        missing = "no rate limit was set; POLYGON_REQUESTS_PER_MINUTE sets one"
        return Measured(name, target, None, missing)
    scaled = target.at_limit(limit)
    if requests <= limit:
        missing = f"the newest `historical-load` needed only {requests:,} requests"
        return Measured(name, scaled, None, missing)
    rate = requests / report.seconds * 60
    if scaled.verdict(rate) == "missed":
        # Storing took the time, or the API's answers did, which `download` judges.
        missing = f"{rate:,.0f} of the {limit:,} allowed, so the limit did not hold the load up"
        return Measured(name, scaled, None, missing)
    return _measured(name, scaled, rate)


def _storage(evidence: Evidence, name: str, target: Target) -> Measured:
    v2 = [d for d in evidence.datasets if d.generation is Generation.V2]
    present = evidence.at.astimezone(NEW_YORK).year
    years = {year for d in v2 for year in d.bytes_by_year if _UNDATED_YEAR < year < present}
    if not years:
        return Measured(name, target, None, "needs a full year of v2; run `historical-load`")
    size = sum(d.bytes_by_year.get(max(years), 0) for d in v2)
    return _measured(name, target, size / GIGABYTE)


def _memory(evidence: Evidence, name: str, target: Target) -> Measured:
    newest = {
        entry.flow: entry.peak_memory_bytes
        for entry in evidence.entries
        if entry.flow in LOADS and entry.peak_memory_bytes
    }
    if not newest:
        return Measured(name, target, None, "needs a load in the ledger; run `historical-load`")
    return _measured(name, target, max(newest.values()) / GIGABYTE)


def _lag(evidence: Evidence, name: str, target: Target) -> Measured:
    runs = [
        entry
        for entry in evidence.entries
        if entry.flow == "daily-update" and entry.outcome == SUCCEEDED and is_whole(entry)
    ]
    if not runs:
        return Measured(name, target, None, "needs a `daily-update` that succeeded")
    began = runs[-1].scheduled or runs[-1].started
    return _measured(name, target, (runs[-1].last_moment - began).total_seconds() / 60)


_MEASURES: Mapping[str, Callable[[Evidence, str, Target], Measured]] = {
    "download": _download,
    "requests": _requests,
    "storage": _storage,
    "memory": _memory,
    "lag": _lag,
}


def _newest_history(evidence: Evidence) -> tuple[RunEntry, LoadReport] | None:
    """Return the newest historical load of v2 that succeeded, and its report.

    Shards and loads that ran beside another one shared the rate limit: they say nothing alone.
    """
    for entry in reversed(evidence.entries):
        report = entry.generations.get(Generation.V2)
        if entry.flow != "historical-load" or entry.outcome != SUCCEEDED or report is None:
            continue
        if report.seconds and report.units and _ran_alone(entry, evidence):
            return entry, report
    return None


def _ran_alone(entry: RunEntry, evidence: Evidence) -> bool:
    return not any(
        other.flow in LOADS
        and other.run != entry.run
        and other.started < entry.last_moment
        and (other.is_running or other.last_moment > entry.started)
        for other in evidence.entries
    )


def _rate_limit(evidence: Evidence, entry: RunEntry) -> int | None:
    """Return a run's rate limit: as its entry has it, in older entries that of the settings."""
    if "requests_per_minute" in entry.content:
        return entry.requests_per_minute
    return evidence.requests_per_minute
