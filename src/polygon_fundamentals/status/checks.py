"""What the figures mean: one row each, fine or not, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from polygon_fundamentals.business_days import business_days_between, today_in_new_york
from polygon_fundamentals.lake.catalogue import DatasetCounts
from polygon_fundamentals.ledger import RUNNING
from polygon_fundamentals.statements import Generation
from polygon_fundamentals.status.figures import Figures

# A quarter and the longest delay of a quarterly report: after it something is amiss.
STALE_DAYS = 140
REFRESH_DAYS = 8
# By how much the difference in counts may grow, as a share of the records.
# States of v1 in which nothing more is taken in.
ENDED = ("frozen", "archived")
WIDENING = 0.01


@dataclass(frozen=True)
class Row:
    """One row of the status; `kind` names what it is about, for events."""

    name: str
    ok: bool
    detail: str
    kind: str = "figure"


def judge(figures: Figures) -> list[Row]:
    """Return the rows of a status, in the order in which they are shown."""
    return [*_lake(figures), *_runs(figures), *_comparison(figures)]


def _lake(figures: Figures) -> Iterator[Row]:
    yield Row("pointer", True, f"readers see {figures.primary}: {figures.pointer}")
    v1 = figures.v1
    details = {
        "unknown": "no recent answer, and its sunset has passed" if v1.retired else "not asked yet",
        "live": f"live, sunset announced for {v1.sunset}" if v1.sunset else "live",
        "browning out": f"browning out before its sunset on {v1.sunset or 'a day not announced'}",
        "frozen": f"frozen since {v1.since}: retired, nothing new comes",
        "archived": f"not asked: v1 is in the archive since {v1.since}",
    }
    yield Row("v1 endpoint", v1.state != "browning out", details[v1.state], "v1")
    for dataset in figures.datasets:
        yield Row(
            f"{dataset.generation} {dataset.statement}",
            not dataset.unreadable,
            described(dataset, figures),
            "damaged",
        )
    for path in figures.damaged:
        yield Row("ledger", False, f"{path} cannot be read and was passed over", "damaged")


def described(dataset: DatasetCounts, figures: Figures) -> str:
    """Return a dataset's figures in a line."""
    if not dataset.files:
        return "empty"
    dates = f"filed {dataset.first_filed} to {dataset.last_filed}"
    lost = f"; {len(dataset.unreadable)} unreadable" if dataset.unreadable else ""
    return (
        f"{dataset.records:,} records, {dataset.tickers:,} tickers, {dataset.periods:,} periods, "
        f"{dates}, newest {freshness(dataset, figures)} old, {dataset.files:,} files, "
        f"{dataset.bytes / 1e6:,.1f} MB{lost}"
    )


def freshness(dataset: DatasetCounts, figures: Figures) -> str:
    """Return the time since the newest filing taken in, in days."""
    if dataset.last_filed is None:
        return "–"
    return f"{(today_in_new_york(figures.at) - dataset.last_filed).days} d"


def _runs(figures: Figures) -> Iterator[Row]:
    for name, update in figures.updates.items():
        if name == Generation.V1 and figures.v1.state in ENDED:
            words = f"{figures.v1.state} since {figures.v1.since}"
            yield Row(f"{name} daily update", True, words, "late")
            continue
        if figures.updating_since is None:
            yield Row(f"{name} daily update", True, "none has run yet", "late")
            continue
        yield _daily(figures, name)
        yield from _stale(figures, name)
        if update.failed is not None:
            yield Row(f"{name} last run", False, update.failed, "failed")
    if figures.runs and figures.runs[0].outcome not in (RUNNING, "succeeded"):
        last = figures.runs[0]
        yield Row(
            "last run", False, f"{last.flow} {last.run} {last.outcome}: {last.message}", "failed"
        )
    yield _refresh(figures)


def _daily(figures: Figures, name: str) -> Row:
    update, what = figures.updates[name], f"{name} daily update"
    if update.ended is None:
        return Row(what, False, "none has succeeded yet; run daily-update", "late")
    missed = business_days_between(today_in_new_york(update.ended), today_in_new_york(figures.at))
    told = f"last success for {update.until}, ended {update.ended:%Y-%m-%d %H:%M} UTC"
    if missed > 1:
        return Row(what, False, f"{told}: {missed} business days ago; run daily-update", "late")
    return Row(what, True, told, "late")


def _stale(figures: Figures, name: str) -> Iterator[Row]:
    update = figures.updates[name]
    days = [d.last_filed for d in figures.datasets if d.generation == name and d.last_filed]
    if not days or update.until is None:
        return
    age = (update.until - max(days)).days
    if age > STALE_DAYS:
        yield Row(
            f"{name} freshness",
            False,
            f"the newest filing is {age} days older than the last window; is the endpoint still "
            "fed?",
            "stale",
        )


def _refresh(figures: Figures) -> Row:
    if figures.refreshed is not None:
        age = figures.at - figures.refreshed
        told = f"v2 was read whole {age.days} days ago"
        return Row("refresh", age <= timedelta(days=REFRESH_DAYS), told, "late")
    since = figures.updating_since
    due = since is not None and figures.at - since > timedelta(days=REFRESH_DAYS)
    return Row("refresh", not due, "v2 was never read whole since its load", "late")


def _comparison(figures: Figures) -> Iterator[Row]:
    row = f"{figures.days_in_a_row} business days"
    row += f" up to {figures.row_until}" if figures.row_until else ""
    yield Row("both succeeded in a row", True, row, "figure")
    for name, ratio in (
        ("run time v2 / v1", figures.time_ratio),
        ("storage v2 / v1", figures.storage_ratio),
    ):
        yield Row(name, True, "not measured yet" if ratio is None else f"{ratio:.2f}")
    then, now = figures.difference_then, figures.difference_now
    if then is not None and now is not None:
        widening = now - then > WIDENING and figures.v1.state not in ENDED
        told = f"record counts differ by {now:.1%}, {then:.1%} some runs ago"
        yield Row("difference in counts", not widening, told, "counts")
    for found in figures.targets:
        target = found.target
        goal = f"target {target.target:g}, acceptable {target.acceptable:g}"
        told = f"not measured yet ({goal})"
        if found.measured is not None:
            measured = f"{found.measured:g} {target.unit}".strip()
            told = f"{measured} ({goal}): {found.verdict}"
        yield Row(target.title, found.verdict != "missed", told, "target")
    if figures.parity is None:
        yield Row("parity", True, "never compared yet", "parity")
    else:
        passed = bool(figures.parity["passed"])
        verdict = "passed" if passed else "differs"
        yield Row("parity", passed, f"{verdict}, {figures.parity['ended']}", "parity")
