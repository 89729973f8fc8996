"""Tasks that load: some tickers of v1, one statement of a batch of v2, the daily windows of both.

Retries live in the HTTP client, so tasks have none. A task whose units failed ends Failed
with the reasons as its message; its report still says what was stored. A retired v1 is no
failure of a task of the daily update: the flow decides what it means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from prefect import task
from prefect.states import Completed, Failed, State

from polygon_fundamentals.errors import FundamentalsError, RetiredError, as_fundamentals_error
from polygon_fundamentals.lake.commit import Scope
from polygon_fundamentals.load.companies import read_companies, resolve_bisecting
from polygon_fundamentals.load.historical import (
    FetchedRows,
    fetch_v2,
    load_v1,
    load_v2_bisecting,
    store_fetched,
)
from polygon_fundamentals.load.loader import Loader
from polygon_fundamentals.load.query import Filters
from polygon_fundamentals.load.ratios import load_ratios
from polygon_fundamentals.load.window_v1 import update_v1
from polygon_fundamentals.load.window_v2 import Window, update_v2
from polygon_fundamentals.reports import LoadReport
from polygon_fundamentals.statements import Snapshot, Statement, Timeframe
from tasks.context import RunSpec, context

Report = TypeVar("Report", bound=LoadReport)
Units = dict[str, list[str]]  # ticker → the names of its statements


@dataclass(frozen=True)
class CompaniesReport(LoadReport):
    """The companies behind some tickers: ticker → CIKs."""

    companies: dict[str, list[str]] = field(default_factory=dict)


def _loader(spec: RunSpec) -> Loader:
    """Return what a task loads with; its client counts the task's own requests."""
    run = context(spec)
    return Loader(run.client.with_own_counts(), run.lake, run.writers)


def _reported(units: Iterable[tuple[str, str]], work: Callable[[], LoadReport]) -> LoadReport:
    """Return the report of some work, or one in which all of its units failed with its error."""
    try:
        return work()
    except (FundamentalsError, OSError) as error:
        return LoadReport.of_failure(units, as_fundamentals_error(error))


def _units(units: Units) -> list[tuple[str, str]]:
    return [(ticker, name) for ticker, names in units.items() for name in names]


def _end_state(loader: Loader, report: Report, *, may_be_retired: bool = False) -> State[Any]:
    """Return the task's end state with its report, to which the requests are added.

    It is Failed, with each reason once, if a unit failed, unless it may be because v1 is retired.
    """
    report = report + type(report).of(loader.client.counts)
    failed = [
        failure
        for failure in report.failed
        if not (may_be_retired and failure.error == RetiredError.__name__)
    ]
    if failed:
        tickers = dict.fromkeys(failure.ticker for failure in failed)
        reasons = dict.fromkeys(failure.reason for failure in failed)
        return Failed(message=f"{', '.join(tickers)}: {'; '.join(reasons)}"[:2000], data=report)
    if report.failed:
        return Completed(message=report.failed[0].reason, data=report)
    words = (
        f"{report.rows_new} new, {report.rows_changed} changed, {report.rows_unchanged} unchanged"
    )
    return Completed(message=words, data=report)


@task(name="v1 history", task_run_name="{label}", persist_result=False)
def load_v1_tickers(
    spec: RunSpec, label: str, units: Units, filters: Filters, cik: str | None = None
) -> State[Any]:
    """Load v1's records of some tickers, one chain of requests per ticker, or of one CIK."""
    loader, report = _loader(spec), LoadReport()
    for ticker, names in units.items():
        work = partial(load_v1, loader, ticker, [Statement(n) for n in names], filters, cik)
        report += _reported(_units({ticker: names}), work)
    return _end_state(loader, report, may_be_retired=True)


@task(name="v2 statements", task_run_name="{label}", persist_result=False)
def load_v2_statement(
    spec: RunSpec,
    label: str,
    statement: str,
    companies: dict[str, list[str]],
    filters: Filters,
    scope: Scope | None = None,
) -> State[Any]:
    """Load one statement of a ticker, or of a batch of tickers, from v2."""
    loader, units = _loader(spec), [(ticker, statement) for ticker in companies]
    work = partial(load_v2_bisecting, loader, companies, Statement(statement), filters, scope)
    return _end_state(loader, _reported(units, work))


@dataclass(frozen=True)
class FetchReport(LoadReport):
    """The requests of a fetch, and the rows that they gave."""

    rows: FetchedRows | None = None


@task(name="v2 fetch", task_run_name="fetch · {label}", persist_result=False)
def fetch_v2_statement(
    spec: RunSpec, label: str, statement: str, companies: dict[str, list[str]], filters: Filters
) -> State[Any]:
    """Fetch one statement of some tickers from v2 together, for the tasks that store each one.

    The task is Completed even if a ticker failed: the ticker's own task reports that.
    """
    loader = _loader(spec)
    rows = fetch_v2(loader, companies, Statement(statement), filters)
    report = FetchReport(rows=rows, rows_unfollowed=rows.unfollowed)
    return _end_state(loader, report)


@task(name="v2 statement", task_run_name="{label}", persist_result=False)
def store_v2_statement(
    spec: RunSpec,
    label: str,
    statement: str,
    ticker: str,
    ciks: list[str],
    filters: Filters,
    scope: Scope | None,
    fetched: FetchReport,
) -> State[Any]:
    """Store one statement of one ticker, of the rows that were fetched for several."""
    loader = _loader(spec)
    assert fetched.rows is not None
    asked = ticker, ciks, Statement(statement), filters, scope
    work = partial(store_fetched, loader, fetched.rows, *asked)
    return _end_state(loader, _reported([(ticker, statement)], work))


@task(name="v2 companies", task_run_name="companies · {label}", persist_result=False)
def find_companies(spec: RunSpec, label: str, units: Units, since: str | None = None) -> State[Any]:
    """Find the CIKs behind some tickers, so that v2 can be asked by company.

    Finds companies that the lake does not know only if they filed on the day `since` or later.
    """
    loader = _loader(spec)
    try:
        companies, failures = resolve_bisecting(loader.client, loader.lake, list(units), since)
    except (FundamentalsError, OSError) as error:
        companies, failures = {}, dict.fromkeys(units, as_fundamentals_error(error))
    report = CompaniesReport(companies=companies)
    for ticker, failure in failures.items():
        report += CompaniesReport.of_failure(_units({ticker: units[ticker]}), failure)
    return _end_state(loader, report)


@task(name="v2 ratios", task_run_name="ratios · {label}", persist_result=False)
def load_daily_ratios(spec: RunSpec, label: str, tickers: list[str]) -> State[Any]:
    """Store the present ratios of some tickers."""
    loader, units = _loader(spec), [(ticker, Snapshot.RATIOS.value) for ticker in tickers]
    return _end_state(loader, _reported(units, partial(load_ratios, loader, tickers)))


@task(name="v2 window", task_run_name="{label}", persist_result=False)
def update_v2_statement(
    spec: RunSpec,
    label: str,
    statement: str,
    window: Window,
    timeframes: list[Timeframe],
    companies_file: str,
    by_name: bool,
) -> State[Any]:
    """Store what v2 filed of a statement, of the companies of a file or of the whole market."""
    loader, companies = _loader(spec), read_companies(Path(companies_file))
    report = update_v2(loader, Statement(statement), window, timeframes, companies, by_name)
    return _end_state(loader, report)


@task(name="v1 window", task_run_name="{label}", persist_result=False)
def update_v1_window(
    spec: RunSpec,
    label: str,
    statements: list[Statement],
    window: Window,
    timeframes: list[Timeframe],
    companies_file: str,
    ticker: str | None,
) -> State[Any]:
    """Store what v1 filed, for one ticker or for all that are followed."""
    loader, companies = _loader(spec), read_companies(Path(companies_file))
    report = update_v1(loader, statements, window, timeframes, companies, ticker)
    return _end_state(loader, report, may_be_retired=True)
