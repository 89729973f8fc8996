"""Tasks of the daily update: one a statement in v2; in v1 the market, or one a ticker.

A retired v1 is no failure of a task: its result says since when.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from prefect import task
from prefect.states import Completed, State

from polygon_fundamentals.errors import FundamentalsError, RetiredError, told
from polygon_fundamentals.lake.catalogue import read_companies
from polygon_fundamentals.load.historical import Loaded
from polygon_fundamentals.load.window_v1 import update_v1
from polygon_fundamentals.load.window_v2 import WHOLE_MARKET, Window, merged, update_v2
from polygon_fundamentals.statements import Statement, Timeframe
from tasks.context import RunSpec, context
from tasks.load import outcome

Days = list[str]  # first and last, both included


def _window(days: Days) -> Window:
    return Window(date.fromisoformat(days[0]), date.fromisoformat(days[1]))


@task(name="v2 window", task_run_name="{label}", persist_result=False)
def update_v2_statement(
    spec: RunSpec,
    label: str,
    statement: str,
    days: Days,
    timeframes: list[str],
    companies_file: str,
    tickers: list[str],
) -> State[Any]:
    """Take in what v2 filed of a statement, for `tickers` or (none) for all that are followed."""
    run = context(spec)
    client = run.client.counting_anew()
    loaded, again, failures = Loaded(), 0, {}
    try:
        _, again = update_v2(
            client,
            run.lake,
            run.writers,
            Statement(statement),
            _window(days),
            [Timeframe(name) for name in timeframes],
            read_companies(Path(companies_file)),
            bool(tickers),
            loaded,
        )
    except (FundamentalsError, OSError) as error:
        failures = dict.fromkeys(tickers or [WHOLE_MARKET], told(error))
    state = outcome(merged(loaded, client), failures)
    state.data["asked_again"] = again
    return state


@task(name="v1 window", task_run_name="{label}", persist_result=False)
def update_v1_window(
    spec: RunSpec,
    label: str,
    statements: list[str],
    days: Days,
    timeframes: list[str],
    companies_file: str,
    ticker: str | None,
) -> State[Any]:
    """Take in what v1 filed, for one ticker or for all that are followed."""
    run = context(spec)
    client = run.client.counting_anew()
    loaded, left, failures = Loaded(), 0, {}
    try:
        _, left = update_v1(
            client,
            run.lake,
            run.writers,
            [Statement(name) for name in statements],
            _window(days),
            [Timeframe(name) for name in timeframes],
            read_companies(Path(companies_file)),
            ticker,
            loaded,
        )
    except RetiredError as error:
        result = {"loaded": merged(loaded, client).as_json(), "failed": {}, "exit_code": 0}
        return Completed(
            message=str(error), data={**result, "retired": str(error), "since": error.since}
        )
    except (FundamentalsError, OSError) as error:
        failures = {ticker or WHOLE_MARKET: told(error)}
    state = outcome(merged(loaded, client), failures)
    state.data["fourths_left"] = left
    return state
