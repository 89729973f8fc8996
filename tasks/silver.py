"""Tasks of the silver table: build it, and ask when periods were first filed."""

from __future__ import annotations

from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from prefect import task
from prefect.states import Completed, State

from polygon_fundamentals import silver
from polygon_fundamentals.errors import FundamentalsError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.reference.edgar_cache import EdgarCache, reports_of
from polygon_fundamentals.reference.original_dates import companies_of, date_periods
from tasks.context import RunSpec, context
from tasks.states import failed
from tasks.witness import ask_edgar


@task(name="silver", task_run_name="silver · {label}", persist_result=False)
def build_silver(lake: str, label: str, day: str | None) -> State[Any]:
    """Build the table that readers are to see and lead them to it; on a past day with `day`."""
    past = None if day is None else date.fromisoformat(day)
    try:
        build = silver.build(Lake(Path(lake)), day=past)
    except (FundamentalsError, OSError) as error:
        return failed(error)
    result = {
        "generation": build.generation,
        "rows": build.rows,
        "files": build.files,
        "files_written": build.files_written,
        "bytes_written": build.bytes_written,
        "history_rows": build.history_rows,
        "history_files": build.history_files,
        "history_files_written": build.history_files_written,
        "build": str(build.path),
    }
    return Completed(message=f"{build.rows:,} rows, {build.files_written} files new", data=result)


@task(name="original dates", task_run_name="original dates · {label}", persist_result=False)
def ask_original_dates(
    spec: RunSpec, label: str, tickers: list[str], witness: str | None = None
) -> State[Any]:
    """Ask the filings index, or EDGAR first, when the periods of some tickers were first filed."""
    run = context(spec)
    try:
        note = None
        if witness is not None:
            ciks = sorted(companies_of(run.lake, tickers)["cik"].unique())
            note = ask_edgar(run.lake, ciks, with_facts=False).note
        reports = partial(reports_of, EdgarCache(run.lake))
        counts = date_periods(run.lake, run.client.with_own_counts(), tickers, reports)
        counts |= {"note": note} if note else {}
    except (FundamentalsError, OSError) as error:
        return failed(error)
    return Completed(message=f"{counts['periods']:,} periods", data=counts)
