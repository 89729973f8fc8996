"""What the ledger says of silver, parity, verify and ratios, which run beside the loads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from polygon_fundamentals.business_days import day_of
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.ledger import CRASHED, FAILED, SUCCEEDED, RunEntry
from polygon_fundamentals.ledger.queries import is_of_its_own_day, last_change, newest_parity
from polygon_fundamentals.status.publishing import present_build

# Where there is no build, failures that are older say that nobody needs one.
TRIED_LATELY = timedelta(days=8)
# Whoever collects ratios does so every trading day: on three days within ten, holidays included.
RATIOS_ROUTINE = timedelta(days=10)
RATIOS_ROUTINE_DAYS = 3


@dataclass(frozen=True)
class FollowUp:
    """What became of a flow that follows the loads.

    `ended` is when its newest success ended, None without one, and `failed` why the newest run
    after that gave nothing. `damage` is what `verify` named. `behind_since` is when a load first
    changed rows that the success did not see.
    `is_routine` says whether there were successes on more than one day: a single one may have been
    a trial. `lost` names the build that readers are led to, where it is not there. `brought` says
    when the newest run ended that brought a row.
    """

    ended: datetime | None
    failed: str = ""
    lost: str = ""
    damage: str = ""
    behind_since: datetime | None = None
    is_routine: bool = False
    brought: datetime | None = None


def follow_silver(lake: Lake, entries: Sequence[RunEntry], at: datetime) -> FollowUp | None:
    """Return what became of the builds of today's table; None where silver is not in use.

    It is in use where a run of `silver` is in the ledger and readers have a build, or where it was
    tried on several days, and lately, and there is none. A cutover builds silver too, so the build
    that readers have counts as well.
    """
    runs = [
        entry
        for entry in sorted(entries, key=lambda entry: entry.last_moment)
        if entry.flow == "silver"
        and not entry.parameters.get("as_of")
        # One that somebody interrupted says nothing of silver.
        and entry.outcome in (SUCCEEDED, FAILED, CRASHED)
    ]
    build = present_build(lake) or ""
    made = _made(build)
    if made is None:
        return _never_built(runs, at)
    if not lake.silver.joinpath("builds", build).exists():
        return FollowUp(ended=made, lost=build)
    if not runs:
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


def _never_built(runs: Sequence[RunEntry], at: datetime) -> FollowUp | None:
    if not runs or runs[-1].outcome == SUCCEEDED or at - runs[-1].last_moment > TRIED_LATELY:
        return None
    failed = [entry for entry in runs if entry.outcome != SUCCEEDED]
    if len({day_of(entry.started) for entry in failed}) < 2:
        return None
    return FollowUp(ended=None, failed=runs[-1].message or runs[-1].outcome)


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
        if entry.flow == "parity"
        and entry.parity
        and not entry.parameters.get("tickers")
        and is_of_its_own_day(entry)
    }
    return FollowUp(
        ended=newest.last_moment,
        behind_since=_first_change(entries, newest.started),
        is_routine=len(days) > 1,
    )


def follow_verify(entries: Sequence[RunEntry]) -> FollowUp | None:
    """Return what became of `verify`; None without a run that ended.

    Damage that it found stays until it finds none. A run that somebody interrupted says nothing.
    """
    runs = [
        entry
        for entry in sorted(entries, key=lambda entry: entry.last_moment)
        if entry.flow == "verify"
        and entry.outcome in (SUCCEEDED, FAILED, CRASHED)
        and entry.content.get("files") != 0  # of an empty lake it says nothing
    ]
    if not runs:
        return None
    newest = runs[-1]
    answered = [entry for entry in runs if "ok" in entry.content]
    last = answered[-1] if answered else None
    return FollowUp(
        ended=last.last_moment if last else None,
        failed="" if newest is last else newest.message or newest.outcome,
        damage="" if last is None or last.content["ok"] else last.message or "damage",
        is_routine=len({day_of(entry.started) for entry in answered}) > 1,
    )


def follow_ratios(entries: Sequence[RunEntry], at: datetime) -> FollowUp | None:
    """Return what became of the daily ratios; None where nobody collects them.

    `ratios` loads them, and so do loads with `--ratios`. They are collected routinely where they
    succeeded, or failed lately, on several days that lie close together. Where all tickers are
    collected, runs of named ones do not replace that.
    """
    runs = [
        (entry, failed)
        for entry in sorted(entries, key=lambda entry: entry.last_moment)
        if (failed := _ratios_failed(entry)) is not None
    ]
    runs = [run for run in runs if not run[0].parameters.get("tickers")] or runs
    good = [entry for entry, failed in runs if not failed]
    # Who failed some time ago, and does not try any more, has given up.
    tried_lately = bool(runs) and at - runs[-1][0].last_moment <= TRIED_LATELY
    if not good and not tried_lately:
        return None
    counted_runs = good or [entry for entry, _ in runs]
    days = {
        day_of(entry.started)
        for entry in counted_runs
        if counted_runs[-1].started - entry.started <= RATIOS_ROUTINE
    }
    return FollowUp(
        ended=good[-1].last_moment if good else None,
        failed=runs[-1][1] if tried_lately else "",
        is_routine=len(days) >= RATIOS_ROUTINE_DAYS,
        brought=max((entry.last_moment for entry in good if _brought_ratios(entry)), default=None),
    )


def _brought_ratios(entry: RunEntry) -> bool:
    report = entry.content["ratios"]
    return bool(report.get("rows_new", 1) or report.get("rows_changed"))


def _ratios_failed(entry: RunEntry) -> str | None:
    """Return why a run that was to load ratios loaded none or not all of them; empty if it did.

    None: it was not to load any, it goes on, or somebody interrupted it.
    """
    report = entry.content.get("ratios")
    if report is None:
        ended_in_error = entry.flow == "ratios" and entry.outcome in (FAILED, CRASHED)
        return (entry.message or entry.outcome) if ended_in_error else None
    failed = report.get("failed") or []
    return str(failed[0]["reason"]) if failed else ""


def _first_change(entries: Sequence[RunEntry], since: datetime) -> datetime | None:
    """Return when the first load ended after a moment that changed rows, None without one."""
    changes = (moment for entry in entries if (moment := last_change([entry])) is not None)
    return min((moment for moment in changes if moment > since), default=None)
