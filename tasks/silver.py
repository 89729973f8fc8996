"""Tasks of the silver table: build it, and ask when periods were first filed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from prefect import task, unmapped
from prefect.states import Completed, State

from polygon_fundamentals import silver
from polygon_fundamentals.errors import FundamentalsError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.reference.edgar_cache import EdgarCache, reports_of
from polygon_fundamentals.reference.original_dates import companies_of, date_periods
from polygon_fundamentals.silver.parts import make_part, plan_parts, read_part
from polygon_fundamentals.silver.table import Part, history_parts
from polygon_fundamentals.statements import Generation
from tasks.context import RunSpec, context
from tasks.states import error_of, failed, failure_of
from tasks.witness import ask_edgar


@task(name="silver", task_run_name="silver · {label}", persist_result=False)
def build_silver(lake: str, label: str, day: str | None, spread: bool = False) -> State[Any]:
    """Build the silver tables and switch readers to them; with `day`, the table of a past day.

    With `spread`, the flow's task runner makes the rows, one task per part.
    """
    past = None if day is None else date.fromisoformat(day)
    try:
        build = silver.build(Lake(Path(lake)), day=past, parts=mapped_parts if spread else None)
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
        "rows_without_period_end": sum(build.left_out.values()),
        "tickers_without_period_end": sorted(build.left_out),
    }
    return Completed(message=f"{build.rows:,} rows, {build.files_written} files new", data=result)


def mapped_parts(lake: Lake, generation: Generation) -> Iterator[Part]:
    """Yield the rows as `silver.table.history_parts` does, made by mapped tasks."""
    works = lake.ops / "cache" / "silver-work"
    shutil.rmtree(works, ignore_errors=True)  # of a killed build: only one runs at a time
    folder = works / uuid4().hex
    try:
        parts = plan_parts(lake, generation)
        if not parts:
            yield from history_parts(lake, generation)
            return
        numbers = list(range(len(parts)))
        futures = make_one.map(
            unmapped(str(lake.root)),
            [f"{tickers[0]} … {tickers[-1]} ({len(tickers)})" for tickers in parts],
            unmapped(generation.value),
            parts,
            unmapped(str(folder)),
            numbers,
        )
        for number, future in zip(numbers, futures, strict=True):
            if (failure := failure_of(future)) is not None:
                raise error_of([failure], f"part {number + 1} of {len(parts)} of silver is missing")
            yield read_part(folder, number)
    finally:
        shutil.rmtree(works, ignore_errors=True)


@task(name="silver part", task_run_name="silver · {label}", persist_result=False)
def make_one(
    lake: str, label: str, generation: str, tickers: list[str], folder: str, number: int
) -> int:
    """Make the rows of some companies; return how many. They are left in a file of `folder`."""
    return make_part(Lake(Path(lake)), Generation(generation), tickers, Path(folder), number)


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
