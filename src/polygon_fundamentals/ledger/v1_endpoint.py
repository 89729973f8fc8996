"""Whether v1's endpoint still answers, decided once for checklist, status and parity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from polygon_fundamentals.business_days import day_of
from polygon_fundamentals.errors import BrownoutError, RetiredError
from polygon_fundamentals.ledger.earlier_errors import RETIRED
from polygon_fundamentals.ledger.entry import RunEntry
from polygon_fundamentals.reports import LoadReport, WindowReport
from polygon_fundamentals.statements import Generation

# How far back the ledger must be read for the state, so that all callers get the same one.
LEDGER_DAYS = timedelta(days=400)
# The sunset that v1's answers announced.
ANNOUNCED_SUNSET = datetime(2026, 10, 9, tzinfo=UTC)
# An endpoint that was asked or answered this recently counts as served after its sunset.
FRESH = timedelta(days=7)


@dataclass(frozen=True)
class V1Endpoint:
    """What the ledger knows of v1's endpoint.

    `state` is `live`, `browning out`, `frozen` or `archived` (both with the day they began,
    `since`), or `unknown` where no load says anything that still holds. `sunset` is as the API
    sent it. `retired` says whether v1 is to be taken for gone: it is `frozen`, or nothing is
    known and its sunset has passed. `failing_since` is the day of the first load that failed after
    the last answer.
    """

    state: str
    since: str | None = None
    sunset: str | None = None
    retired: bool = False
    failing_since: str | None = None


def v1_endpoint(
    entries: Sequence[RunEntry], now: datetime, archived: datetime | None = None
) -> V1Endpoint:
    """Return the state of v1's endpoint by the newest load of v1 that says anything about it.

    `entries` are the ledger's, oldest first, of the last `LEDGER_DAYS`; `archived` is when v1's
    data was archived. Loads that left out an archived v1, and loads that failed for reasons of
    their own without receiving a row, say nothing.
    """
    endpoint = _asked(entries, now)
    if archived is None:
        return endpoint
    return V1Endpoint("archived", day_of(archived).isoformat(), retired=endpoint.retired)


def _asked(entries: Sequence[RunEntry], now: datetime) -> V1Endpoint:
    sunset: str | None = None
    asked: datetime | None = None
    failing_since: str | None = None
    for entry, report in _newest_reports(entries):
        asked = asked or entry.started
        sunset = sunset or report.sunset
        if is_retired(report):
            since = retired_since(report) or day_of(entry.started).isoformat()
            return V1Endpoint("frozen", since, since, retired=True)
        browning = bool(report.brownouts) or BrownoutError.__name__ in _classes(report)
        if browning or not report.failed or report.rows_received:
            ends = _moment(sunset)
            nobody_asks = now - asked > FRESH
            silent_since = now - entry.started > FRESH and entry.started < ends
            if ends <= now and (nobody_asks or silent_since):
                return V1Endpoint("unknown", None, sunset, retired=True)
            state = "browning out" if browning else "live"
            return V1Endpoint(state, None, sunset, failing_since=failing_since)
        failing_since = day_of(entry.started).isoformat()
    return V1Endpoint("unknown", None, sunset, retired=_moment(sunset) <= now)


def _newest_reports(entries: Sequence[RunEntry]) -> Iterator[tuple[RunEntry, WindowReport]]:
    for entry in reversed(entries):
        report = entry.generations.get(Generation.V1)
        if report is not None and not entry.is_running and not report.archived_since:
            yield entry, report


def is_retired(report: WindowReport) -> bool:
    """Return whether the API answered every unit of a load that the endpoint is gone for good."""
    return bool(report.frozen_since) or _classes(report) == {RetiredError.__name__}


def _classes(report: WindowReport) -> set[str]:
    return {unit.error for unit in report.failed}


def retired_since(report: LoadReport) -> str | None:
    """Return since when v1 is retired, as its answers to a load said; None if they did not."""
    matches = (RETIRED.match(unit.reason) for unit in report.failed)
    return report.frozen_since or next((m[1] for m in matches if m and m[1]), None)


def _moment(sunset: str | None) -> datetime:
    """Return an announced sunset; the known one where none was sent or it cannot be read."""
    if not sunset:
        return ANNOUNCED_SUNSET
    try:
        moment = datetime.fromisoformat(str(sunset))
    except ValueError:
        try:
            moment = parsedate_to_datetime(str(sunset))
        except ValueError:
            return ANNOUNCED_SUNSET
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def first_seen_frozen(entries: Sequence[RunEntry], now: datetime) -> str:
    """Return the day in New York on which a run first found v1 retired, if no header names one."""
    days = [report.frozen_since for _, report in _newest_reports(entries)]
    return min((day for day in days if day), default=day_of(now).isoformat())
