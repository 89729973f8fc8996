"""What the daily update does for the generations: tasks side by side, and their reports."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from prefect.futures import PrefectFuture

from flows.load_tasks import Tally, units_failed
from flows.runs import Report
from polygon_fundamentals import ledger
from polygon_fundamentals.errors import RetiredError
from polygon_fundamentals.ledger import Run
from polygon_fundamentals.load.window_v2 import WHOLE_MARKET, Window, window_until
from polygon_fundamentals.statements import Generation, Statement, Timeframe
from polygon_fundamentals.v1_endpoint import first_seen_frozen
from tasks.context import RunSpec
from tasks.window import update_v1_window, update_v2_statement

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
        window = self.windows[generation]
        days = [window.first.isoformat(), window.last.isoformat()]
        frames = [timeframe.value for timeframe in self.timeframes]
        file, names = str(self.companies_file), list(self.tickers)
        statements = [statement.value for statement in self.statements]
        if generation is Generation.V2:
            return [
                (
                    update_v2_statement.submit(
                        self.spec, f"{s} · {days[0]} to {days[1]}", s, days, frames, file, names
                    ),
                    [(ticker, s) for ticker in names or [WHOLE_MARKET]],
                )
                for s in statements
            ]
        one_by_one = names if len(names) <= NAMED_ONE_BY_ONE else []
        return [
            (
                update_v1_window.submit(
                    self.spec,
                    f"v1 · {ticker or 'market'} · {days[0]} to {days[1]}",
                    statements,
                    days,
                    frames,
                    file,
                    ticker,
                ),
                [(ticker or WHOLE_MARKET, s) for s in statements],
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
    found, _ = ledger.records(run.lake)
    return {
        generation: window_until(
            last, days_back, ledger.last_covered(found, generation.value, scope)
        )
        for generation in generations
    }


def update_side_by_side(update: Update) -> dict[str, tuple[Report, int]]:
    """Run all generations at once; return each one's report and exit code.

    A generation that fails does not stop or spoil the other.
    """
    started = time.monotonic()
    submitted = {generation: update.submit(generation) for generation in update.windows}
    return {
        generation.value: _report(update, generation, tasks, started)
        for generation, tasks in submitted.items()
    }


def report_of_archived(window: Window, since: date) -> Report:
    """Return the report of an archived v1, which is asked for nothing."""
    return {
        **_facts(Tally(Generation.V1), window),
        "archived_since": since.isoformat(),
        "ok": None,
    }


def _facts(tally: Tally, window: Window) -> Report:
    return {
        **tally.report(),
        "window": {"from": window.first.isoformat(), "to": window.last.isoformat()},
        "periods_asked_again": 0,
        "fourths_left": 0,
        "frozen_since": None,
        "ok": not tally.failed,
    }


def _report(
    update: Update, generation: Generation, tasks: Submitted, started: float
) -> tuple[Report, int]:
    tally = Tally(generation, units=sum(len(units) for _, units in tasks))
    again = left = 0
    retired: dict[str, Any] | None = None
    for future, units in tasks:
        units_failed(future, units, tally)
        result = future.result(raise_on_failure=False)
        if isinstance(result, dict):
            again += result.get("asked_again", 0)
            left += result.get("fourths_left", 0)
            retired = result if "retired" in result else retired
        tally.seconds = max(tally.seconds, _ended(future, started))
    report = _facts(tally, update.windows[generation]) | {
        "periods_asked_again": again,
        "fourths_left": left,
    }
    code = tally.exit_code
    if retired is not None:
        report["frozen_since"] = retired["since"] or first_seen_frozen(
            ledger.records(update.run.lake)[0], update.run.started.date()
        )
        report["ok"] = None
        if len(update.windows) == 1:
            reason = str(retired["retired"])
            lost = [unit for _, units in tasks for unit in units]
            tally.lost(lost, reason, RetiredError.__name__)
            report |= {"failed": tally.failed, "ok": False}
            code = tally.exit_code
    return report, code


def _ended(future: PrefectFuture[Any], started: float) -> float:
    """Return how long after the start a task ended, by its own state's time."""
    now, moment = time.time(), future.state.timestamp
    return max(0.0, (time.monotonic() - started) - max(0.0, now - moment.timestamp()))
