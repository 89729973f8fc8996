"""Questions to the ledger: successes by day, days in a row, run times, a flow's newest run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import median

from polygon_fundamentals.business_days import day_of, previous_business_day, streak
from polygon_fundamentals.ledger.coverage import covers
from polygon_fundamentals.ledger.entry import FAILED, INTERRUPTED, SUCCEEDED, RunEntry
from polygon_fundamentals.ledger.v1_endpoint import is_retired
from polygon_fundamentals.reports import WindowReport
from polygon_fundamentals.statements import ALL_STATEMENTS, DEFAULT_TIMEFRAMES, Generation

# Runs in a row are counted within this time.
EVIDENCE_DAYS = timedelta(days=60)
DAILY = "daily-update"
SILVER = "silver"
LOADS = ("daily-update", "historical-load", "fundamentals", "refresh")
CHANGES = (*LOADS, "import-v1", "restore", "cleanup")
WHOLE = {"tickers": [], "statements": ALL_STATEMENTS, "timeframes": DEFAULT_TIMEFRAMES}


@dataclass(frozen=True)
class SuccessfulUpdate:
    """A daily update of one generation, up to its day, that left out and missed nothing."""

    day: date
    seconds: float


def successful_updates(
    entries: Iterable[RunEntry], generation: Generation
) -> list[SuccessfulUpdate]:
    """Return the daily updates of a generation, of the whole lake, in which no unit is missing.

    Each took in all up to its own day; the business day before will do, since a run may begin
    before the first filing of its day.
    """
    return [
        SuccessfulUpdate(day, report.seconds)
        for day, _, last, report in _whole_updates(entries, generation)
        if last >= previous_business_day(day)
    ]


def successful_days(
    entries: Iterable[RunEntry], wanted: Collection[Generation], now: datetime
) -> set[date]:
    """Return the days of the last `EVIDENCE_DAYS` on which every wanted generation succeeded."""
    recent = [entry for entry in entries if now - EVIDENCE_DAYS <= entry.started <= now]
    return set.intersection(*({s.day for s in successful_updates(recent, g)} for g in wanted))


def days_in_a_row(
    entries: Iterable[RunEntry], wanted: Collection[Generation], now: datetime
) -> list[date]:
    """Return the last business days in a row on which every wanted generation succeeded.

    Status and checklist both show these, oldest first. The row ends today, or on the business
    day before where today has not had its run yet.
    """
    return streak(successful_days(entries, wanted, now), day_of(now))


def covered_days(entries: Iterable[RunEntry], generation: Generation) -> set[date]:
    """Return the days whose filings some whole daily update of a generation took in.

    They are those of its window, and the day it ran on where the window reaches it.
    """
    days: set[date] = set()
    for day, first, last, _ in _whole_updates(entries, generation):
        span = (min(last, day) - first).days + 1
        days |= {first + timedelta(days=n) for n in range(span)}
        if last >= previous_business_day(day):
            days.add(day)
    return days


def _whole_updates(
    entries: Iterable[RunEntry], generation: Generation
) -> Iterator[tuple[date, date, date, WindowReport]]:
    """Yield (day it ran on, first and last day of its window, report) of whole daily updates."""
    for entry in entries:
        report = entry.generations.get(generation)
        if entry.flow != DAILY or entry.outcome not in (SUCCEEDED, FAILED):
            continue
        if report is None or report.failed or is_retired(report) or "to" not in report.window:
            continue
        # An archived v1 was not asked, which says nothing of its endpoint.
        if report.archived_since or not is_whole(entry):
            continue
        last = date.fromisoformat(report.window["to"])
        first = date.fromisoformat(report.window.get("from") or report.window["to"])
        yield day_of(entry.started), first, last, report


def is_whole(entry: RunEntry) -> bool:
    """Return whether a load was for the whole lake, or for a whole universe."""
    return covers(entry, {**WHOLE, "universe": entry.parameters.get("universe")})


def median_seconds(updates: Sequence[SuccessfulUpdate], days: Sequence[date]) -> float | None:
    """Return the median run time on some days, in seconds; None without a run."""
    seconds = [update.seconds for update in updates if update.day in set(days)]
    return median(seconds) if seconds else None


def newest(entries: Sequence[RunEntry], flow: str) -> RunEntry | None:
    """Return the newest run of a flow that has ended, or None."""
    return next((e for e in reversed(entries) if e.flow == flow and not e.is_running), None)


def newest_parity(entries: Sequence[RunEntry]) -> RunEntry | None:
    """Return the parity that counts: the newest that has ended, or None without one.

    A comparison of named tickers does not replace one of all tickers. Nor does a sample that
    passed, if one of all tickers did not pass, or has seen every load. A comparison as if on
    another day never counts, nor does a run that had nothing to compare.
    """
    ended = [
        e
        for e in reversed(entries)
        if e.flow == "parity"
        and not (e.is_running or e.nothing_to_compare)
        and is_of_its_own_day(e)
    ]
    of_all = [e for e in ended if not e.parameters.get("tickers")]
    if not of_all:
        return ended[0] if ended else None
    newest = of_all[0]
    whole = next((e for e in of_all if _is_whole_parity(e)), newest)
    if not _passed(newest):
        return newest
    changed = last_change(entries)
    outrun = changed is not None and changed > whole.started
    return newest if _passed(whole) and outrun else whole


def is_of_its_own_day(entry: RunEntry) -> bool:
    """Return whether a run of parity compared as of the day on which it ran.

    What was accepted or fresh on another day may no longer be so.
    """
    day = entry.parameters.get("date")
    return day is None or day == day_of(entry.started).isoformat()


def last_witness(entries: Sequence[RunEntry]) -> str | None:
    """Return the witness that parity last asked, or None if it never asked one."""
    asked = (e.parameters.get("witness") for e in reversed(entries) if e.flow == "parity")
    return next(filter(None, asked), None)


def _is_whole_parity(entry: RunEntry) -> bool:
    """Return whether a run compared the whole history of all tickers, or ended in an error."""
    sample = entry.parity.sample if entry.parity else entry.parameters.get("sample")
    return sample is None and entry.outcome != INTERRUPTED


def _passed(entry: RunEntry) -> bool:
    return entry.parity is not None and entry.parity.passed


def last_change(entries: Sequence[RunEntry]) -> datetime | None:
    """Return when a run last changed bronze's files, or ended without saying so; None: never."""
    moments = [entry.last_moment for entry in entries if entry.flow in CHANGES and _changed(entry)]
    return max(moments, default=None)


def _changed(entry: RunEntry) -> bool:
    if entry.flow == "cleanup" and entry.outcome == SUCCEEDED:
        return False  # v1 is in the archive, or only its deployments were retired
    reports = entry.generations.values()
    if entry.outcome == SUCCEEDED and reports and not entry.repaired:
        return any(
            r.rows_new or r.rows_changed or r.rows_withdrawn or r.files_written for r in reports
        )
    return True


def published_versions(entries: Iterable[RunEntry], to: str) -> dict[str, int]:
    """Return the version that each table in one place had after the last publish that wrote it."""
    return {
        table["table"]: table["version"]
        for entry in entries
        if entry.flow == "publish" and entry.outcome == SUCCEEDED
        if entry.parameters.get("to") == to
        for table in entry.content.get("published", {}).get("tables", ())
    }


def load_spans(
    entries: Iterable[RunEntry], generation: Generation, now: datetime
) -> list[tuple[datetime, datetime]]:
    """Return (start, end) of every load that may have written to a generation."""
    return [
        (entry.started, now if entry.is_running else entry.last_moment)
        for entry in entries
        if entry.flow in LOADS
        and (entry.asked_for(generation) or entry.parameters.get("generation") is None)
    ]
