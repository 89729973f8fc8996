"""What the ledger says of `refresh`: when v2 was last read in full, and what was withheld."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from polygon_fundamentals.ledger import SUCCEEDED, RunEntry
from polygon_fundamentals.ledger.coverage import covers
from polygon_fundamentals.ledger.queries import WHOLE, is_whole
from polygon_fundamentals.reports import LoadReport
from polygon_fundamentals.statements import Generation


def last_refreshed(entries: Sequence[RunEntry]) -> datetime | None:
    """Return when the newest `refresh` ended that read v2 in full, or None.

    One that withheld rows has read it, and stored all the rest.
    """
    whole = (
        entry
        for entry, report in _refreshes(entries)
        if is_whole(entry)
        and (entry.outcome == SUCCEEDED or (report and report.tickers_withheld))
        and not (report and report.failed)
    )
    return max((entry.last_moment for entry in whole), default=None)


def tickers_withheld(entries: Sequence[RunEntry]) -> tuple[str, ...]:
    """Return the tickers of which a refresh withheld rows and none has settled that since.

    A later refresh of a ticker settles it where it withholds nothing more: the rows were in its
    answer, or they were accepted as withdrawn.
    """
    withheld: set[str] = set()
    for entry, report in _refreshes(entries):
        if report is None or not report.rows_received:
            continue
        tickers = entry.parameters.get("tickers") or []
        scope = {**WHOLE, "tickers": tickers, "universe": entry.parameters.get("universe")}
        if covers(entry, scope):
            read = set(tickers or withheld) - {unit.ticker for unit in report.failed}
            withheld -= read
        withheld |= report.tickers_withheld
    return tuple(sorted(withheld))


def _refreshes(entries: Sequence[RunEntry]) -> Iterator[tuple[RunEntry, LoadReport | None]]:
    """Yield the refreshes, oldest first, each with its report, which a crashed one lacks."""
    for entry in entries:
        if entry.flow == "refresh":
            yield entry, entry.generations.get(Generation.V2)
