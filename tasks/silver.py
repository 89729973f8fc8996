"""Tasks of the silver table: build it, and ask when periods were first filed."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from prefect import task
from prefect.states import Completed, Failed, State

from polygon_fundamentals import silver
from polygon_fundamentals.errors import FundamentalsError, told
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.reference.original_dates import date_periods
from tasks.context import RunSpec, context


def _failed(error: FundamentalsError | OSError) -> State[Any]:
    ours = told(error)
    return Failed(message=str(ours), data={"error": str(ours), "exit_code": ours.exit_code})


@task(name="silver", task_run_name="silver · {label}", persist_result=False)
def build_silver(lake: str, label: str, day: str | None) -> State[Any]:
    """Build the table that readers are to see and lead them to it; on a past day with `day`."""
    past = None if day is None else date.fromisoformat(day)
    try:
        found = silver.build(Lake(Path(lake)), day=past)
    except (FundamentalsError, OSError) as error:
        return _failed(error)
    result = {
        "generation": found.generation,
        "rows": found.rows,
        "files": found.files,
        "files_written": found.files_written,
        "bytes_written": found.bytes_written,
        "build": str(found.path),
    }
    return Completed(message=f"{found.rows:,} rows, {found.files_written} files new", data=result)


@task(name="original dates", task_run_name="original dates · {label}", persist_result=False)
def ask_original_dates(spec: RunSpec, label: str, tickers: list[str]) -> State[Any]:
    """Ask the filings index when the periods of some tickers were first filed."""
    run = context(spec)
    try:
        counts = date_periods(run.lake, run.client.counting_anew(), tickers)
    except (FundamentalsError, OSError) as error:
        return _failed(error)
    return Completed(message=f"{counts['periods']:,} periods", data=counts)
