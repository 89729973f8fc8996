"""The comparison of a lake as mapped tasks, one per batch, wherever the task runner runs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from prefect import get_run_logger, unmapped
from prefect.futures import PrefectFuture

from flows.load_tasks import label
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.parity.cache import known_of
from polygon_fundamentals.parity.plan import Plan, plan_comparison
from polygon_fundamentals.parity.run import is_compared, merge
from polygon_fundamentals.reference.tickers import ReferenceTicker
from polygon_fundamentals.statements import Statement
from tasks.context import RunSpec
from tasks.parity import BatchJob, compare_one, question_of, statement_folder
from tasks.states import error_of, failure_of


def compare_statements(
    spec: RunSpec, chosen: Sequence[str] | None, reference: Mapping[str, ReferenceTicker], day: date
) -> None:
    """Compare what changed; leave the findings of each statement in its folder.

    If a batch fails, the others are still compared and cached, and the next run continues with what
    is missing.

    Raises:
        DamagedFileError: a file of the lake cannot be read; the text names it.
        LakeError: a process that compared died.
    """
    lake, question, failures = Lake(Path(spec.lake)), question_of(spec, reference, day), []
    plans = [
        plan_comparison(lake, statement, question, statement_folder(spec, statement), chosen)
        for statement in Statement
    ]
    submitted = [_submit(spec, plan, reference, day) for plan in plans]
    for plan, futures in zip(plans, submitted, strict=True):
        # A process may die between a batch's tables and its answer: the tables decide.
        errors = [
            error
            for number, future in enumerate(futures)
            if (error := failure_of(future)) is not None and not is_compared(plan, number)
        ]
        failures += errors
        if len(errors) == len(futures) > 0:
            continue
        done = merge(lake, plan)
        get_run_logger().info(
            f"{plan.statement.value}: {done.tickers_compared_anew} anew, "
            f"{done.tickers_from_cache} as before"
        )
    if failures:
        count = sum(map(len, submitted))
        raise error_of(failures, f"{len(failures)} of {count} batches were not compared")


def _submit(
    spec: RunSpec, plan: Plan, reference: Mapping[str, ReferenceTicker], day: date
) -> list[PrefectFuture[Any]]:
    name = plan.statement.value
    jobs = [
        BatchJob(
            name,
            number,
            tickers,
            known_of(reference, tickers, plan.ciks),
            day.isoformat(),
        )
        for number, tickers in enumerate(plan.batches)
    ]
    labels = [f"{name} · {label(job.tickers)}" for job in jobs]
    return list(compare_one.map(unmapped(spec), labels, jobs))
