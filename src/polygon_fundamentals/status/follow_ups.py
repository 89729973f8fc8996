"""What the ledger says of the runs that follow the loads: silver, parity and verify."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from polygon_fundamentals.business_days import day_of
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.ledger import CRASHED, FAILED, SUCCEEDED, RunEntry
from polygon_fundamentals.ledger.queries import last_change, newest_parity
from polygon_fundamentals.status.publishing import present_build


@dataclass(frozen=True)
class FollowUp:
    """What became of a flow that follows the loads.

    `ended` is when its newest success ended, and `failed` why the newest run after that gave
    nothing. `behind_since` is when a load first changed rows that the success did not see.
    `is_routine` says whether there were successes on more than one day: a single one may have been
    a trial.
    """

    ended: datetime
    failed: str = ""
    behind_since: datetime | None = None
    is_routine: bool = False


def follow_silver(lake: Lake, entries: Sequence[RunEntry]) -> FollowUp | None:
    """Return what became of the builds of today's table; None where silver is not in use.

    It is in use where a run of `silver` is in the ledger and readers have a build. A cutover builds
    silver too, so the build that readers have counts as well.
    """
    runs = [
        entry
        for entry in sorted(entries, key=lambda entry: entry.last_moment)
        if entry.flow == "silver"
        and not entry.parameters.get("as_of")
        # One that somebody interrupted says nothing of silver.
        and entry.outcome in (SUCCEEDED, FAILED, CRASHED)
    ]
    made = _made(present_build(lake) or "")
    if not runs or made is None:
        return None
    good = [entry for entry in runs if entry.outcome == SUCCEEDED]
    # A run that finds nothing new makes no build.
    began = max([made, *(entry.started for entry in good)])
    ended = max([made, *(entry.last_moment for entry in good)])
    newest = runs[-1]
    failed = newest.outcome != SUCCEEDED and newest.last_moment > ended
    return FollowUp(
        ended=ended,
        failed=(newest.message or newest.outcome) if failed else "",
        behind_since=_first_change(entries, began),
        is_routine=len({day_of(entry.started) for entry in good}) > 1,
    )


def _made(build: str) -> datetime | None:
    """Return when a build was made: it is named MOMENT-GENERATION. None: it is not one of ours."""
    try:
        return datetime.strptime(build.partition("-")[0], "%Y%m%dT%H%M%S%f%z")
    except ValueError:
        return None


def follow_parity(entries: Sequence[RunEntry]) -> FollowUp | None:
    """Return what became of the newest parity that passed; None where the newest one did not."""
    newest = newest_parity(entries)
    if newest is None or newest.parity is None or not newest.parity.passed:
        return None
    days = {
        day_of(entry.started)
        for entry in entries
        if entry.flow == "parity" and entry.parity and not entry.parameters.get("tickers")
    }
    return FollowUp(
        ended=newest.last_moment,
        behind_since=_first_change(entries, newest.started),
        is_routine=len(days) > 1,
    )


def follow_verify(entries: Sequence[RunEntry]) -> FollowUp | None:
    """Return what the newest `verify` found; None without one that looked at the files."""
    answered = (e for e in reversed(entries) if e.flow == "verify" and "ok" in e.content)
    newest = next(answered, None)
    if newest is None:
        return None
    failed = "" if newest.content["ok"] else newest.message
    return FollowUp(ended=newest.last_moment, failed=failed)


def _first_change(entries: Sequence[RunEntry], since: datetime) -> datetime | None:
    """Return when the first load ended after a moment that changed rows, None without one."""
    changes = (moment for entry in entries if (moment := last_change([entry])) is not None)
    return min((moment for moment in changes if moment > since), default=None)
