"""Up to which day a generation's filings are in the lake, by the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from polygon_fundamentals.business_days import day_of
from polygon_fundamentals.ledger.entry import FAILED, RunEntry
from polygon_fundamentals.statements import Generation


def last_covered(
    entries: Sequence[RunEntry], generation: Generation, scope: Mapping[str, Any]
) -> date | None:
    """Return the last day up to which a generation's filings were loaded, or None.

    It is the last day of the newest `daily-update` that succeeded for the generation and
    covered `scope` (its tickers, universe, statements and timeframes). Before the first of
    them, it is the day of the oldest historical load that had no last day and may have
    stored anything, however it ended. No run covers days after the one it started on, and none
    that was given no row at all of a statement covers any: an outage may answer with nothing. Rows
    of companies that the lake does not follow are an answer.

    Updates that asked the API at the same address count (`base_url` of `scope`), and entries older
    than that parameter. Where there is none, the API may have moved, or the lake have been tried
    on another one: then updates at any address count, but no further than this one's first load.
    """
    asked = scope.get("base_url")
    mine = [entry for entry in entries if entry.parameters.get("base_url", asked) == asked]
    here, anywhere = (_updated(runs, generation, scope) for runs in (mine, entries))
    if here or anywhere is None:
        return here or _first_load(entries, generation)
    return min(anywhere, _first_load(mine, generation) or anywhere)


def _updated(
    entries: Sequence[RunEntry], generation: Generation, scope: Mapping[str, Any]
) -> date | None:
    days = []
    for entry in entries:
        report = entry.generations.get(generation)
        if report is None or not report.ok or "to" not in report.window:
            continue
        rows = report.rows_received + report.rows_unfollowed
        came = rows and not report.statements_without_rows
        if came and entry.flow == "daily-update" and covers(entry, scope):
            days.append(min(date.fromisoformat(report.window["to"]), day_of(entry.started)))
    return max(days, default=None)


def _first_load(entries: Sequence[RunEntry], generation: Generation) -> date | None:
    loads = [
        day_of(entry.started)
        for entry in entries
        if entry.flow == "historical-load"
        and _may_have_stored(entry, generation)
        and not entry.parameters.get("filing_date_lt")
    ]
    return min(loads, default=None)


def _may_have_stored(entry: RunEntry, generation: Generation) -> bool:
    if entry.generations:
        return generation in entry.generations
    # It goes on, was cut off, or raised: if it raised before any unit, it has no list of them.
    began = entry.outcome != FAILED or entry.done_file.exists()
    return entry.asked_for(generation) and began


def covers(entry: RunEntry, scope: Mapping[str, Any]) -> bool:
    """Return whether a load was asked for at least `scope`, its universe just so.

    Without names a load is of the lake's tickers or of the universe: whether these are among the
    names of another, or the reverse, is not known here.
    """
    asked = entry.parameters
    if asked.get("universe") != scope["universe"]:
        return False
    if not scope["tickers"] and asked.get("tickers") != scope["tickers"]:
        return False
    return all(
        set(scope[name]) <= set(asked.get(name) or ())
        for name in ("tickers", "statements", "timeframes")
    )
