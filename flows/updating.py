"""What the daily update does for the generations: tasks side by side, and their reports."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from prefect.futures import PrefectFuture

from flows.load_tasks import task_report
from flows.retired_v1 import as_frozen
from polygon_fundamentals import ledger
from polygon_fundamentals.ledger import Run
from polygon_fundamentals.ledger.coverage import last_covered
from polygon_fundamentals.load.window_v2 import WHOLE_MARKET, Window, window_until
from polygon_fundamentals.reports import WindowReport
from polygon_fundamentals.statements import Generation, Statement, Timeframe
from tasks.context import RunSpec
from tasks.load import update_v1_window, update_v2_statement

# v1 takes one ticker a request: beyond a few, the window over the whole market costs less.
NAMED_ONE_BY_ONE = 5

Unit = tuple[str, str]
Submitted = list[tuple["PrefectFuture[Any]", list[Unit]]]


@dataclass(frozen=True)
class Update:
    """A daily update as planned; no `tickers`: the whole market is asked for."""

    spec: RunSpec
    run: Run
    tickers: Sequence[str]
    statements: Sequence[Statement]
    timeframes: Sequence[Timeframe]
    companies_file: Path
    windows: Mapping[Generation, Window]

    def submit(self, generation: Generation) -> Submitted:
        """Submit the tasks of a generation; return each with its units."""
        window, names = self.windows[generation], list(self.tickers)
        days = f"{window.first} to {window.last}"
        shared = window, list(self.timeframes), str(self.companies_file)
        if generation is Generation.V2:
            return [
                (
                    update_v2_statement.submit(
                        self.spec, f"{s} · {days}", s.value, *shared, bool(names)
                    ),
                    [(ticker, s.value) for ticker in names or [WHOLE_MARKET]],
                )
                for s in self.statements
            ]
        one_by_one: list[str | None] = [*names] if len(names) <= NAMED_ONE_BY_ONE else []
        return [
            (
                update_v1_window.submit(
                    self.spec,
                    f"v1 · {ticker or 'market'} · {days}",
                    list(self.statements),
                    *shared,
                    ticker,
                ),
                [(ticker or WHOLE_MARKET, s.value) for s in self.statements],
            )
            for ticker in (one_by_one or [None])
        ]


def windows_of(
    run: Run,
    generations: Sequence[Generation],
    last: date,
    days_back: int,
    scope: Mapping[str, Any],
) -> dict[Generation, Window]:
    """Return each generation's window, widened back to its own last success."""
    entries, _ = ledger.read_entries(run.lake)
    return {
        generation: window_until(last, days_back, last_covered(entries, generation, scope))
        for generation in generations
    }


def update_side_by_side(update: Update) -> dict[str, WindowReport]:
    """Run all generations at once; return each one's report.

    A generation that fails does not stop or spoil the other.
    """
    started = time.monotonic()
    submitted = {generation: update.submit(generation) for generation in update.windows}
    return {
        generation.value: _report(update, generation, tasks, started)
        for generation, tasks in submitted.items()
    }


def _report(
    update: Update, generation: Generation, tasks: Submitted, started: float
) -> WindowReport:
    report = WindowReport(window=update.windows[generation].as_json())
    for future, units in tasks:
        part = task_report(future, units, WindowReport)
        assert isinstance(part, WindowReport)
        report += replace(part, seconds=_ended(future, started))
    report = replace(report, units=sum(len(units) for _, units in tasks))
    if generation is Generation.V2:
        return report
    known = as_frozen(report, update.run)
    # Beside v2, a retired v1 is no failure; a load of v1 alone cannot do what it was asked.
    return replace(known, failed=report.failed) if len(update.windows) == 1 else known


def _ended(future: PrefectFuture[Any], started: float) -> float:
    """Return how many seconds after the start a task ended, by the timestamp of its state."""
    now, moment = time.time(), future.state.timestamp
    return max(0.0, (time.monotonic() - started) - max(0.0, now - moment.timestamp()))
