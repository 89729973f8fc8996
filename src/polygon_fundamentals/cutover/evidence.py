"""What the ledger says for the checklist: successes a day, run times, parity, drills."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import median
from typing import Any

from polygon_fundamentals.business_days import day_of, previous_business_day, streak
from polygon_fundamentals.ledger import FAILED, RUNNING, SUCCEEDED, Record, covers
from polygon_fundamentals.statements import ALL_STATEMENTS, DEFAULT_TIMEFRAMES, Generation
from polygon_fundamentals.v1_endpoint import is_retired

# What happened earlier counts for nothing that is asked for in a row.
EVIDENCE_DAYS = timedelta(days=60)
DAILY = "daily-update"
LOADS = ("daily-update", "historical-load", "fundamentals", "refresh")
WHOLE = {"tickers": [], "statements": ALL_STATEMENTS, "timeframes": DEFAULT_TIMEFRAMES}


@dataclass(frozen=True)
class Success:
    """A daily update of one generation, up to its day, that left out and missed nothing."""

    day: date
    seconds: float


def generations(record: Record) -> Mapping[str, Any]:
    """Return a run's reports by generation; empty where it wrote none."""
    found = record.found.get("generations")
    return found if isinstance(found, Mapping) else {}


def ended(record: Record) -> datetime:
    """Return when a run ended (started, while it goes on)."""
    text = record.found.get("ended")
    return datetime.fromisoformat(text) if text else record.started


def successes(records: Iterable[Record], generation: Generation) -> list[Success]:
    """Return the daily updates of a generation, of the whole lake, in which no unit is missing.

    Each took in all up to its own day; the business day before will do, since a run may begin
    before the first filing of its day.
    """
    return [
        Success(day, float(report.get("seconds", 0.0)))
        for day, _, last, report in _whole_updates(records, generation)
        if last >= previous_business_day(day)
    ]


def successful_days(
    records: Iterable[Record], wanted: Collection[Generation], now: datetime
) -> set[date]:
    """Return the days of the last `EVIDENCE_DAYS` on which every wanted generation succeeded."""
    recent = [record for record in records if now - EVIDENCE_DAYS <= record.started <= now]
    return set.intersection(*({s.day for s in successes(recent, g)} for g in wanted))


def days_in_a_row(
    records: Iterable[Record], wanted: Collection[Generation], now: datetime
) -> list[date]:
    """Return the last business days in a row on which every wanted generation succeeded.

    Status and checklist both show these, oldest first. The row ends today, or on the business
    day before where today has not had its run yet.
    """
    return streak(successful_days(records, wanted, now), day_of(now))


def covered_days(records: Iterable[Record], generation: Generation) -> set[date]:
    """Return the days whose filings some whole daily update of a generation took in.

    They are those of its window, and the day it ran on where the window reaches it.
    """
    days: set[date] = set()
    for day, first, last, _ in _whole_updates(records, generation):
        span = (min(last, day) - first).days + 1
        days |= {first + timedelta(days=n) for n in range(span)}
        if last >= previous_business_day(day):
            days.add(day)
    return days


def _whole_updates(
    records: Iterable[Record], generation: Generation
) -> Iterator[tuple[date, date, date, Mapping[str, Any]]]:
    """Yield (day it ran on, first and last day of its window, report) of whole daily updates."""
    for record in records:
        report = generations(record).get(generation.value)
        if record.found["flow"] != DAILY or record.outcome not in (SUCCEEDED, FAILED):
            continue
        if not isinstance(report, Mapping) or report.get("failed") or is_retired(report):
            continue
        scope = {**WHOLE, "universe": record.found["parameters"].get("universe")}
        window = report.get("window") or {}
        if _was_left_out(report) or not covers(record, scope) or "to" not in window:
            continue
        last = date.fromisoformat(str(window["to"]))
        first = date.fromisoformat(str(window.get("from") or last))
        yield day_of(record.started), first, last, report


def _was_left_out(report: Mapping[str, Any]) -> bool:
    """Say whether v1 was in the archive, and not asked: that tells nothing of its endpoint."""
    return bool(report.get("archived_since"))


def median_seconds(found: Sequence[Success], days: Sequence[date]) -> float | None:
    """Return the median run time on some days, in seconds; None without a run."""
    seconds = [s.seconds for s in found if s.day in set(days)]
    return median(seconds) if seconds else None


def last_of(records: Sequence[Record], flow: str) -> Record | None:
    """Return the newest run of a flow that has ended, or None."""
    return next(
        (r for r in reversed(records) if r.found["flow"] == flow and r.outcome != RUNNING), None
    )


def last_change(records: Sequence[Record]) -> datetime | None:
    """Return when a load last changed rows, or ended without saying so; None: never."""
    moments = [
        ended(record) for record in records if record.found["flow"] in LOADS and _changed(record)
    ]
    return max(moments, default=None)


def _changed(record: Record) -> bool:
    reports = generations(record).values()
    if record.outcome == SUCCEEDED and reports:
        return any(
            sum(int(r.get(k, 0)) for k in ("rows_new", "rows_changed", "rows_withdrawn"))
            for r in reports
        )
    return True


def windows(
    records: Iterable[Record], generation: Generation, now: datetime
) -> list[tuple[datetime, datetime]]:
    """Return (start, end) of every load that may have written to a generation."""
    found = []
    for record in records:
        chosen = record.found["parameters"].get("generation")
        if record.found["flow"] not in LOADS or chosen not in (generation.value, "both", None):
            continue
        found.append((record.started, now if record.outcome == RUNNING else ended(record)))
    return found
