"""What the figures mean: one row each, which is ok, not ok or not judged, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from polygon_fundamentals.business_days import business_days_between, today_in_new_york
from polygon_fundamentals.lake.catalogue import DatasetCounts
from polygon_fundamentals.ledger import RUNNING
from polygon_fundamentals.reports import counted
from polygon_fundamentals.statements import Generation
from polygon_fundamentals.status.figures import GONE, Figures
from polygon_fundamentals.status.follow_up_checks import (
    check_parity,
    check_ratios,
    check_silver,
    check_verify,
    parity_remedy,
)
from polygon_fundamentals.status.publishing import Published
from polygon_fundamentals.status.row import POINTER, Row
from polygon_fundamentals.status.targets import check_target

REFRESH_DAYS = 8
# By how much the difference in counts may grow, as a share of the records.
WIDENING = 0.01
# So many tickers are named in a row; that more of them lose periods in a week is no withdrawal.
NAMED = 10


def check_status(figures: Figures) -> list[Row]:
    """Return one row a check, in the order in which they are shown."""
    return [*_lake(figures), *_runs(figures), *_comparison(figures)]


def alarms(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that failed; a check without an answer raises no alarm."""
    return [row for row in rows if row.ok is False]


def _lake(figures: Figures) -> Iterator[Row]:
    there = None if figures.pointer == "not there yet" else True
    yield Row(POINTER, there, f"readers see {figures.primary}: {figures.pointer}")
    if figures.cut_off:
        reason, remedy = figures.cut_off
        yield Row("switch", False, reason, "switch", remedy)
    yield _endpoint(figures)
    yield from (_dataset(dataset, figures) for dataset in figures.datasets)
    yield from _others(figures)
    for path in figures.damaged:
        yield Row(
            "ledger",
            False,
            f"{path} cannot be read and was skipped",
            "damaged",
            f"restore the file, or remove it: `rm {path}`",
        )


def _others(figures: Figures) -> Iterator[Row]:
    """Yield what another tool wrote; of v1 before the cutover that is as it should be."""
    name, kind = "other writers", "others"
    if count := len(figures.others.v1):
        reason = f"{count:,} files of v1 since our last load, such as {figures.others.v1[0]}"
        remedy = "`daily-update --generation both` takes their rows in"
        yield Row(f"{name} of v1", None, reason, kind, remedy)
    if count := len(figures.others.v2):
        reason = f"{count:,} files among v2's, which readers open: {figures.others.v2[0]}"
        remedy = "stop what writes there, then run `daily-update`, which repairs them"
        yield Row(f"{name} of v2", False, reason, kind, remedy)
    if count := len(figures.others.silver):
        reason = f"{count:,} files in our build of silver, such as {figures.others.silver[0]}"
        yield Row(
            f"{name} of silver", False, reason, kind, "stop what writes there, then run `silver`"
        )


def _endpoint(figures: Figures) -> Row:
    v1, name, kind = figures.v1, "v1 endpoint", "v1"
    if v1.state == "archived":
        return Row(name, True, f"not requested: v1 was archived on {v1.since}", kind)
    if v1.state == "frozen":
        return Row(name, True, f"frozen since {v1.since}: the endpoint is retired", kind)
    if v1.state == "live":
        sunset = f", sunset announced for {v1.sunset}" if v1.sunset else ""
        if v1.failing_since:
            return Row(name, None, f"no answer since {v1.failing_since}{sunset}", kind)
        return Row(name, True, f"live{sunset}", kind)
    if v1.state == "browning out":
        day = f"on {v1.sunset}" if v1.sunset else "on a day that was not announced"
        reason = f"browning out (answers 410 at times) before its sunset {day}"
        if figures.v1_rests:
            return Row(name, None, f"{reason}; {figures.v1_rests}", kind)
        remedy = "run `daily-update --generation v1` again in an hour"
        return Row(name, False, reason, kind, remedy)
    if v1.retired:
        announced = f" (announced for {v1.sunset})" if v1.sunset else ""
        return Row(name, None, f"{GONE}{announced}; nothing to do", kind)
    return Row(name, None, "not requested yet", kind)


def _dataset(dataset: DatasetCounts, figures: Figures) -> Row:
    name = f"{dataset.generation} {dataset.statement}"
    if dataset.unreadable:
        shown = ", ".join(dataset.unreadable[:3])
        reason = f"{len(dataset.unreadable)} unreadable: {shown}"
        remedy = "move them away, then load their tickers: `historical-load --tickers SYMBOL`"
        return Row(name, False, reason, "damaged", remedy)
    if not dataset.files:
        archived = dataset.generation is Generation.V1 and figures.v1.state == "archived"
        reason = f"empty: archived since {figures.v1.since}" if archived else "empty"
        return Row(name, None, reason, "damaged")
    return Row(name, True, described(dataset, figures), "damaged")


def described(dataset: DatasetCounts, figures: Figures) -> str:
    """Return a dataset's figures in a line."""
    dates = f"filed {dataset.first_filed} to {dataset.last_filed}"
    return (
        f"{dataset.records:,} records, {dataset.tickers:,} tickers, {dataset.periods:,} periods, "
        f"{dates}, newest {freshness(dataset, figures)} old, {dataset.files:,} files, "
        f"{dataset.bytes / 1e6:,.1f} MB"
    )


def age_days(dataset: DatasetCounts, figures: Figures) -> int | None:
    """Return the days in New York since the newest filing that was loaded, None without one."""
    if dataset.last_filed is None:
        return None
    return (today_in_new_york(figures.at) - dataset.last_filed).days


def freshness(dataset: DatasetCounts, figures: Figures) -> str:
    """Return the time since the newest filing that was loaded, in words."""
    days = age_days(dataset, figures)
    return "–" if days is None else counted(days, "day")


def _runs(figures: Figures) -> Iterator[Row]:
    for name, update in figures.updates.items():
        if name == Generation.V1 and figures.v1_rests:
            yield Row(f"{name} daily update", None, figures.v1_rests, "late")
            continue
        yield _daily(figures, name)
        yield from _stale(figures, name)
        if update.failed is not None:
            remedy = f"run `daily-update --generation {name}` again"
            yield Row(f"{name} last run", False, update.failed, "failed", remedy)
    if figures.runs and figures.runs[0].outcome not in (RUNNING, "succeeded"):
        last = figures.runs[0]
        reason = f"{last.flow} {last.run} {last.outcome}: {last.message}"
        remedy = f"run `{last.flow}` again"
        if last.flow == "parity":
            remedy = parity_remedy(reported=last.reported)
        yield Row("last run", False, reason, "failed", remedy)
    yield _refresh(figures)
    yield from _withheld(figures.withheld)
    yield from check_verify(figures)
    yield from check_silver(figures)
    yield from check_ratios(figures)
    yield from (_published(place, figures) for place in figures.published)


def _daily(figures: Figures, name: str) -> Row:
    update, what = figures.updates[name], f"{name} daily update"
    remedy = f"run `daily-update --generation {name}`"
    if not update.asked:
        return Row(what, None, "no update of all tickers has run yet", "late", remedy)
    if update.ended is None:
        return Row(what, False, "none has succeeded yet", "late", remedy)
    missed = business_days_between(today_in_new_york(update.ended), today_in_new_york(figures.at))
    reason = f"loaded up to {update.until}, last success {update.ended:%Y-%m-%d %H:%M} UTC"
    if missed > 1:
        return Row(what, False, f"{reason}: {missed} business days ago", "late", remedy)
    return Row(what, True, reason, "late")


def _stale(figures: Figures, name: str) -> Iterator[Row]:
    """Yield a row where one of a generation's statements, the oldest, has stood still for long."""
    update = figures.updates[name]
    filed = {d.statement: d.last_filed for d in figures.datasets if d.generation == name}
    days = {statement: day for statement, day in filed.items() if day}
    if not days or update.until is None:
        return
    statement, newest = min(days.items(), key=lambda item: item[1])
    age = (update.until - newest).days
    if age > figures.stale_days:
        reason = f"the newest filing of {statement} is {age} days older than the last window"
        remedy = f"load these days again: `daily-update --generation {name} --days-back {age}`"
        stale = timedelta(days=figures.stale_days)
        if any(first <= newest and last - newest > stale for first, last in update.windows):
            # One run asked for all of the time: another one would bring nothing. Windows of a few
            # days each prove less, for they may have met an API that answered nothing.
            reason += f"; all days since {newest} were requested at once, and nothing newer came"
            remedy = "ask the vendor whether the endpoint is still updated"
        yield Row(f"{name} freshness", False, reason, "stale", remedy)


def _refresh(figures: Figures) -> Row:
    if figures.refreshed is not None:
        age = figures.at - figures.refreshed
        reason = f"v2 was last read in full {age.days} days ago"
        if age <= timedelta(days=REFRESH_DAYS):
            return Row("refresh", True, reason, "late")
        return Row("refresh", False, reason, "late", "run `refresh`")
    since = figures.updating_since
    due = since is not None and figures.at - since > timedelta(days=REFRESH_DAYS)
    reason = "v2 has not been read in full since its load"
    if due:
        return Row("refresh", False, reason, "late", "run `refresh`")
    return Row(
        "refresh", None, f"{reason}; due {REFRESH_DAYS} days after the first `daily-update`", "late"
    )


def _withheld(tickers: Sequence[str]) -> Iterator[Row]:
    """Yield the row on what `refresh` left in the lake although v2 did not give it, if any."""
    if not tickers:
        return
    names = ",".join(tickers[:NAMED])
    reason = f"v2's answer lacked periods of {counted(len(tickers), 'ticker')}: {names}"
    remedy = (
        f"run `refresh --tickers {names}` again; if v2 still lacks them, add `--accept-withdrawals`"
    )
    if len(tickers) > NAMED:
        reason += ", ..."
        remedy = "run `refresh` again; if v2 still lacks as many, ask the vendor"
    yield Row("withheld rows", False, reason, "late", remedy)


def _published(place: Published, figures: Figures) -> Row:
    name, again = f"published in {place.to}", f"run `publish --to {place.to}`"
    bad = False if place.in_use else None
    if place.at is None:
        return Row(name, bad, f"nothing yet: {place.failed}", "published", again)
    hours = (figures.at - place.at) / timedelta(hours=1)
    age = f"{hours:.0f} hours" if hours < 48 else f"{hours / 24:.0f} days"
    reason = f"build {place.build}, {age} ago"
    if place.failed:
        return Row(name, bad, f"{reason}; the last run failed: {place.failed}", "failed", again)
    if place.behind:
        behind = f"{reason}; the lake's readers see {place.behind}"
        return Row(name, bad if place.late else None, behind, "published", again)
    return Row(name, True, reason, "published")


def _comparison(figures: Figures) -> Iterator[Row]:
    yield _in_a_row(figures)
    if not figures.v1_rests:
        yield _ratio("run time v2 / v1", figures.time_ratio)
    if figures.primary != Generation.V2:
        yield _ratio("storage v2 / v1", figures.storage_ratio)
    then, now = figures.difference_then, figures.difference_now
    if then is not None and now is not None:
        reason = f"record counts differ by {now:.1%}, {then:.1%} some runs ago"
        if figures.v1_rests:
            yield Row("difference in counts", None, f"{reason}; v1: {figures.v1_rests}", "counts")
        else:
            wide = now - then > WIDENING
            remedy = "run `parity`, which names what is missing" if wide else ""
            yield Row("difference in counts", not wide, reason, "counts", remedy)
    yield from (check_target(measured) for measured in figures.targets)
    yield check_parity(figures)


def _in_a_row(figures: Figures) -> Row:
    name, row, least = "both succeeded in a row", figures.days_in_a_row, figures.days_required
    days = "on no business day yet"
    if row:
        days = f"on {counted(len(row), 'business day')} ({row[0]} to {row[-1]})"
    if figures.v1_rests:
        if figures.primary == Generation.V2:
            return Row("v2 succeeded in a row", None, f"{days}; only a cutover asks for them")
        remedy = "run `daily-update --generation v2` on every business day" * (len(row) < least)
        words = f"{days}, of the {least} that `checklist` requires"
        return Row("v2 succeeded in a row", None, words, remedy=remedy)
    if len(row) >= least:
        return Row(name, True, days)
    remedy = "run `daily-update --generation both` on every business day"
    return Row(name, None, f"{days}, of the {least} that `checklist` requires", remedy=remedy)


def _ratio(name: str, ratio: float | None) -> Row:
    reason = "both generations are needed" if ratio is None else f"{ratio:.2f}"
    return Row(name, None, f"{reason}; `checklist` judges it before a cutover")
