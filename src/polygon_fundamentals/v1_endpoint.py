"""Whether v1's endpoint still answers: the one judgement that checklist, status and parity take."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from polygon_fundamentals.business_days import day_of
from polygon_fundamentals.errors import BrownoutError, RetiredError
from polygon_fundamentals.ledger import RUNNING, Record
from polygon_fundamentals.statements import Generation

# How far back the ledger is read. Whoever asks for the state must read as far as all others.
LEDGER_DAYS = timedelta(days=400)
# The sunset that v1's answers announced.
ANNOUNCED_SUNSET = datetime(2026, 10, 9, tzinfo=UTC)
# A success as recent as this outweighs an announced sunset.
FRESH = timedelta(days=7)
# The messages of our own errors in entries that were written before the class was recorded.
_RETIRED = re.compile(r"\S+ answered 410: this endpoint is retired(?: since (\d{4}-\d\d-\d\d))?")
_BROWNOUT = re.compile(
    r"\S+ (?:not asked: .*?\(\S+ )?answered 410 in a brownout before its sunset", re.DOTALL
)


@dataclass(frozen=True)
class V1Endpoint:
    """What the ledger knows of v1's endpoint.

    `state` is `live`, `browning out`, `frozen` or `archived` (both with the day they began,
    `since`), or `unknown` where no load of the last days says anything. `sunset` is as the API
    sent it. `retired` says whether v1 is to be taken for gone: it is `frozen`, or nothing is
    known and its sunset has passed.
    """

    state: str
    since: str | None = None
    sunset: str | None = None
    retired: bool = False


def v1_endpoint(
    records: Sequence[Record], now: datetime, archived: datetime | None = None
) -> V1Endpoint:
    """Return the state of v1's endpoint by the newest load of v1 that says anything about it.

    `records` are the ledger's, oldest first, of the last `LEDGER_DAYS`; `archived` is when v1's
    data was archived. Loads that left out an archived v1, and loads that failed for reasons of
    their own without receiving a row, say nothing.
    """
    endpoint = _asked(records, now)
    if archived is None:
        return endpoint
    return V1Endpoint("archived", day_of(archived).isoformat(), retired=endpoint.retired)


def _asked(records: Sequence[Record], now: datetime) -> V1Endpoint:
    sunset: str | None = None
    for record, report in _newest_reports(records):
        sunset = sunset or report.get("sunset")
        if is_retired(report):
            since = _retired_since(report) or day_of(record.started).isoformat()
            return V1Endpoint("frozen", since, since, retired=True)
        browning = bool(report.get("brownouts")) or BrownoutError.__name__ in _classes(report)
        answered = not report.get("failed") or bool(report.get("rows_received"))
        if browning or answered:
            if now - record.started > FRESH and _moment(sunset) <= now:
                return V1Endpoint("unknown", None, sunset, retired=True)
            return V1Endpoint("browning out" if browning else "live", None, sunset)
    return V1Endpoint("unknown", None, sunset, retired=_moment(sunset) <= now)


def _newest_reports(records: Sequence[Record]) -> Iterator[tuple[Record, Mapping[str, Any]]]:
    for record in reversed(records):
        generations = record.found.get("generations")
        report = generations.get(Generation.V1.value) if isinstance(generations, Mapping) else None
        ended = record.outcome != RUNNING
        if ended and isinstance(report, Mapping) and not report.get("archived_since"):
            yield record, report


def is_retired(report: Mapping[str, Any]) -> bool:
    """Say whether every unit of a load was told that its endpoint is gone for good."""
    if report.get("retired") or report.get("frozen_since"):
        return True
    return _classes(report) == {RetiredError.__name__}


def error_class(unit: Mapping[str, Any]) -> str:
    """Return the class of the error that a failed unit ended with, or an empty text.

    Entries of earlier versions hold the message alone: it is recognised by its whole beginning,
    since the address in it may hold any digits and a server may say anything.
    """
    if "error" in unit:
        return str(unit["error"])
    reason = str(unit.get("reason", ""))
    for pattern, kind in ((_RETIRED, RetiredError), (_BROWNOUT, BrownoutError)):
        if pattern.match(reason):
            return kind.__name__
    return ""


def _classes(report: Mapping[str, Any]) -> set[str]:
    return {error_class(unit) for unit in report.get("failed") or ()}


def _retired_since(report: Mapping[str, Any]) -> str | None:
    if report.get("frozen_since"):
        return str(report["frozen_since"])
    matches = (_RETIRED.match(str(unit.get("reason", ""))) for unit in report.get("failed") or ())
    return next((match[1] for match in matches if match and match[1]), None)


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


def first_seen_frozen(records: Sequence[Record], today: date) -> str:
    """Return the day on which a run first found v1 retired, where no header names one."""
    reports = (report for _, report in _newest_reports(records))
    days = [str(report["frozen_since"]) for report in reports if report.get("frozen_since")]
    return min(days, default=today.isoformat())
