"""The rows on silver, verify, ratios and parity, which run beside the loads."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from polygon_fundamentals.business_days import business_days_between, day_of
from polygon_fundamentals.statements import Generation
from polygon_fundamentals.status.figures import Figures
from polygon_fundamentals.status.follow_ups import FollowUp
from polygon_fundamentals.status.row import Row

# Some build silver once a week, by hand: a week, and a day for the hour not to matter. Nightly
# builds that fail are not ok at once.
SILVER_DAYS = 8
NOTHING_TO_COMPARE = "nothing to compare: the lake has no records of v1"
# Of a whole market parity takes hours, and some run it once a month. Nothing is switched on an old
# one: the checklist asks for one that has seen every load.
PARITY_DAYS = 32
# It reads every file; some let it run once a month.
VERIFY_DAYS = 32
# Who has not collected ratios for this long does so no more.
RATIOS_DAYS = 32
# The market closes on a business day at most once a week, and a run of that day brings nothing.
RATIOS_STILL_DAYS = 3


def check_silver(figures: Figures) -> Iterator[Row]:
    """Yield the row on silver, where it is in use.

    A silver that is left behind is not ok only where the lake is kept up to date by daily updates
    and silver has been built on several days: others build it when they need it.
    """
    silver, name, remedy = figures.silver, "silver", "run `silver`"
    if silver is None:
        return
    if silver.lost:
        reason = f"silver/builds/{silver.lost}, the build that readers are led to, is not there"
        yield Row(name, False, reason, name, remedy)
        return
    reason = f"built {_minute(silver.ended)}" if silver.ended else "not built yet"
    if silver.failed:
        yield Row(name, False, f"{reason}; the last run failed: {silver.failed}", name, remedy)
        return
    days = _days_behind(silver, figures)
    if days <= SILVER_DAYS:
        yield Row(name, True, reason, name)
        return
    reason += f"; loads have changed rows since, for {days} days"
    updated = any(update.asked for update in figures.updates.values())
    yield Row(name, False if updated and silver.is_routine else None, reason, name, remedy)


def check_verify(figures: Figures) -> Iterator[Row]:
    """Yield the row on the files, where `verify` is in use.

    A success of long ago is not ok only where there were some on several days.
    """
    verified, name, again = figures.verified, "verify", "run `verify`"
    if verified is None:
        return
    ended = _minute(verified.ended) if verified.ended else ""
    if verified.damage:
        remedy = "repair the files that `verify --json` lists, then run `verify` again"
        yield Row(name, False, f"{verified.damage} ({ended})", "damaged", remedy)
        return
    reason = f"every file as recorded, {ended}" if ended else "no run has checked every file yet"
    if verified.failed:
        reason += f"; the last run failed: {verified.failed}"
        yield Row(name, False, reason, "failed", f"{again} again")
        return
    days = (figures.at - verified.ended).days if verified.ended else 0
    if days > VERIFY_DAYS and verified.is_routine:
        yield Row(name, False, f"{reason}, {days} days ago", "late", again)
        return
    yield Row(name, True, reason, "damaged")


def check_ratios(figures: Figures) -> Iterator[Row]:
    """Yield the row on the daily ratios, where somebody collects them.

    The vendor serves the last trading day alone, so one that is missed is lost. The row is not ok
    only where they were collected on several days: a single run may have been a trial.
    """
    ratios, name, remedy = figures.ratios, "ratios", "run `ratios`, today if you can"
    if ratios is None:
        return
    bad = False if ratios.is_routine else None
    reason = f"last collected {_minute(ratios.ended)}" if ratios.ended else "not collected yet"
    days = (figures.at - ratios.ended).days if ratios.ended else 0
    if ratios.failed:
        yield Row(name, bad, f"{reason}; the last run failed: {ratios.failed}", "failed", remedy)
        return
    if days > RATIOS_DAYS:
        yield Row(name, None, f"{reason}; taken to be given up", "late")
        return
    missed = business_days_between(day_of(ratios.ended or figures.at), day_of(figures.at))
    if missed > 1:
        yield Row(name, bad, f"{reason}: {missed} business days ago", "late", remedy)
        return
    brought = ratios.brought or figures.at
    if business_days_between(day_of(brought), day_of(figures.at)) > RATIOS_STILL_DAYS:
        reason += f", but nothing new since {_minute(brought)}"
        yield Row(name, bad, reason, "late", "ask the vendor why its ratios stand still")
        return
    yield Row(name, True, reason, "late")


def check_parity(figures: Figures) -> Row:
    """Return the row on parity.

    One that passed a long time ago is not ok only where both generations are still updated and
    parity was run on several days. Where v1 rests, nothing of it changes any more; a cutover pauses
    parity's schedule, and one that did not pass after it says nothing of v2. A lake with v2 alone
    has nothing to compare, whatever became of runs that tried.
    """
    parity, name = figures.parity, "parity"
    if _has_v2_alone(figures):
        return Row(name, None, NOTHING_TO_COMPARE, name)
    if parity is None:
        return Row(name, None, "parity has not been run", name, "run `parity`")
    ended = "still running"
    if parity["ended"] is not None:
        ended = _minute(datetime.fromisoformat(parity["ended"]))
    if parity["passed"]:
        reason, seen = f"passed, {ended}", figures.compared
        days = _days_behind(seen, figures) if seen else 0
        rests = figures.v1_rests or figures.primary == Generation.V2
        if days <= PARITY_DAYS or rests:
            return Row(name, True, reason, name)
        reason += f"; loads have changed rows since, for {days} days"
        updated = all(update.asked for update in figures.updates.values())
        bad = updated and seen is not None and seen.is_routine
        return Row(name, False if bad else None, reason, name, "run `parity`")
    if figures.primary == Generation.V2:
        # v2 restates what v1 will never change again.
        reason = f"did not pass, {ended}"
        if figures.v1_rests:
            reason += f"; v1: {figures.v1_rests}"
        return Row(name, None, reason, name)
    remedy = parity_remedy(reported=parity["reported"])
    return Row(name, False, f"did not pass, {ended}", name, remedy)


def parity_remedy(*, reported: bool) -> str:
    """Return what to do about a parity that failed, with or without a report of its own."""
    page = 'do what its review page says under "What is broken", then ' if reported else ""
    return f"{page}run `parity` again"


def _has_v2_alone(figures: Figures) -> bool:
    files = {g: sum(d.files for d in figures.datasets if d.generation is g) for g in Generation}
    was_archived = figures.v1.state == "archived"
    return bool(files[Generation.V2]) and not (files[Generation.V1] or was_archived)


def _days_behind(flow: FollowUp, figures: Figures) -> int:
    return 0 if flow.behind_since is None else (figures.at - flow.behind_since).days


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
