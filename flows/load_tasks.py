"""What the loading flows share: planning, submitting, following, and the reports of tasks."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from prefect import unmapped
from prefect.futures import PrefectFuture, as_completed

from flows.runtime.progress import Progress
from polygon_fundamentals.errors import ApiError, UsageError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.commit import Scope
from polygon_fundamentals.ledger import Run
from polygon_fundamentals.load.query import BATCH, Filters, even_groups, v2_batch, v2_timeframes
from polygon_fundamentals.load.window_v2 import WHOLE_MARKET
from polygon_fundamentals.reports import LoadReport, UnitFailure
from polygon_fundamentals.settings import Settings
from polygon_fundamentals.statements import Generation, Statement
from tasks.context import RunSpec
from tasks.load import (
    CompaniesReport,
    fetch_v2_statement,
    find_companies,
    load_v1_tickers,
    load_v2_statement,
    store_v2_statement,
)

# Up to here there is a task run per ticker and statement; each costs some 30 ms, and beyond, tasks
# are batches. What is fetched in one request does not depend on it.
UNITS_SHOWN_ONE_BY_ONE = 60
V1_BATCH = 25

Unit = tuple[str, str]  # ticker, statement
Submitted = tuple["PrefectFuture[Any]", list[Unit]]  # a future and its units


@dataclass(frozen=True)
class LoadPlan:
    """A load as the flows plan it; `one_by_one` submits one task per unit where there are few.

    The companies behind the tickers are those in `ciks`; of tickers that are not in it, those that
    v2 names; with `new_since`, also those of all tickers that filed on that day or later.
    """

    spec: RunSpec
    settings: Settings
    run: Run
    tickers: Sequence[str]
    statements: Sequence[Statement]
    filters: Filters
    done: frozenset[tuple[str, ...]] = frozenset()
    scope: Scope | None = None
    ciks: Mapping[str, Sequence[str]] = field(default_factory=dict)
    one_by_one: bool = True
    new_since: str | None = None

    def todo(self, generation: Generation) -> list[Unit]:
        """Return the units that an interrupted run has not done yet."""
        return [
            (ticker, statement.value)
            for ticker in self.tickers
            for statement in self.statements
            if (generation.value, ticker, statement.value) not in self.done
        ]

    @property
    def in_batches(self) -> bool:
        """Whether a task is a batch of tickers, not one ticker's statement."""
        units = len(self.tickers) * len(self.statements)
        return units > UNITS_SHOWN_ONE_BY_ONE or not self.one_by_one


def load_generations(
    plan: LoadPlan, generations: Sequence[Generation]
) -> dict[Generation, LoadReport]:
    """Load generations one after the other; return what was done with each.

    A unit that fails does not stop the others.
    """
    totals = {f"{generation} history": len(plan.todo(generation)) for generation in generations}
    with Progress(totals) as progress:
        return {generation: _load(plan, generation, progress) for generation in generations}


def _load(plan: LoadPlan, generation: Generation, progress: Progress) -> LoadReport:
    started, name = time.monotonic(), f"{generation} history"
    todo = plan.todo(generation)
    units = len(plan.tickers) * len(plan.statements)
    report = LoadReport(units_resumed=units - len(todo))
    progress.begin(name)
    if generation is Generation.V1:
        submitted = _submit_v1(plan, todo)
    else:
        companies, unresolved = _companies(plan, todo)
        report += unresolved
        submitted = _submit_v2(plan, todo, companies)
    pending = dict(submitted)
    answered, rows = Counter[str](), Counter[str]()
    for future in as_completed(list(pending)):
        mine = pending[future]
        part = task_report(future, mine)
        report += part
        failed = {(failure.ticker, failure.statement) for failure in part.failed}
        good = [unit for unit in mine if unit not in failed]
        answered.update(statement for _, statement in good)
        for statement in {statement for _, statement in mine}:
            rows[statement] += part.rows_received + part.rows_unfollowed
        if good:
            plan.run.done([(generation.value, *unit) for unit in good])
        progress.advance(name, len(mine), failed=len(failed), rows=report)
    if plan.filters.spans_years:
        report += _without_rows(
            plan, generation, {s: n for s, n in answered.items() if not rows[s]}
        )
    return replace(report, units=units, seconds=time.monotonic() - started)


def _without_rows(
    plan: LoadPlan, generation: Generation, answered: Mapping[str, int]
) -> LoadReport:
    """Return what is missing of statements without a row of any of so many tickers.

    A few tickers may have none, as funds do. Of a whole batch the API gave nothing, and the
    statement would be missing without a word. v2 is not asked for twelve months of a balance sheet.
    """
    lost = tuple(
        UnitFailure(
            WHOLE_MARKET,
            statement,
            f"{generation} gave no row of {statement} for any of {tickers:,} tickers: look at the "
            "API's status and your plan, then run again",
            ApiError.__name__,
        )
        for statement, tickers in answered.items()
        if tickers >= BATCH
        and (generation is Generation.V1 or v2_timeframes(Statement(statement), plan.filters))
    )
    return LoadReport(failed=lost)


def task_report(
    future: PrefectFuture[Any], units: Sequence[Unit], kind: type[LoadReport] = LoadReport
) -> LoadReport:
    """Return a task's report; where it left none, that all its units failed."""
    result = future.result(raise_on_failure=False)
    if isinstance(result, kind):
        return result
    reason, error = str(future.state.message or result), type(result).__name__
    failed = tuple(UnitFailure(ticker, name, reason, error) for ticker, name in units)
    return kind(units=len(failed), failed=failed)


def _by_ticker(units: Sequence[Unit]) -> dict[str, list[str]]:
    statements: dict[str, list[str]] = {}
    for ticker, statement in units:
        statements.setdefault(ticker, []).append(statement)
    return statements


def _submit_v1(plan: LoadPlan, todo: Sequence[Unit]) -> Iterator[Submitted]:
    by_ticker = _by_ticker(todo)
    size = V1_BATCH if plan.in_batches else 1
    tickers = list(by_ticker)
    groups = [tickers[i : i + size] for i in range(0, len(tickers), size)]
    futures = load_v1_tickers.map(
        unmapped(plan.spec),
        [f"v1 · {label(group)}" for group in groups],
        [{ticker: by_ticker[ticker] for ticker in group} for group in groups],
        unmapped(plan.filters),
        [plan.ciks[group[0]][0] if group[0] in plan.ciks else None for group in groups],
    )
    for future, group in zip(futures, groups, strict=True):
        yield future, [(ticker, name) for ticker in group for name in by_ticker[ticker]]


def _submit_v2(
    plan: LoadPlan, todo: Sequence[Unit], companies: Mapping[str, Sequence[str]]
) -> Iterator[Submitted]:
    wanted = set(todo)
    # Two batches at least are for two writers; a small load, which has one, asks half as often.
    size = v2_batch(len(companies)) if plan.spec.processes > 1 else BATCH
    for tickers in v2_groups(companies, todo, size):
        for name in (statement.value for statement in plan.statements):
            asked = {t: list(companies[t]) for t in tickers if (t, name) in wanted}
            if not asked:
                continue
            elif plan.in_batches:
                yield _submit_batch(plan, name, asked)
            else:
                yield from _submit_units(plan, name, asked)


def _submit_batch(plan: LoadPlan, statement: str, companies: dict[str, list[str]]) -> Submitted:
    tickers = list(companies)
    text = f"{statement} · {label(tickers)}"
    future = load_v2_statement.submit(
        plan.spec, text, statement, companies, plan.filters, plan.scope
    )
    return future, [(ticker, statement) for ticker in tickers]


def _submit_units(
    plan: LoadPlan, statement: str, companies: dict[str, list[str]]
) -> Iterator[Submitted]:
    """Submit one task that fetches the rows of all tickers, and one per ticker that stores."""
    tickers = list(companies)
    text = f"{statement} · {label(tickers)}"
    fetched = fetch_v2_statement.submit(plan.spec, text, statement, companies, plan.filters)
    yield fetched, []
    futures = store_v2_statement.map(
        unmapped(plan.spec),
        [f"{statement} · {ticker}" for ticker in tickers],
        unmapped(statement),
        tickers,
        [companies[ticker] for ticker in tickers],
        unmapped(plan.filters),
        unmapped(plan.scope),
        unmapped(fetched),
    )
    for future, ticker in zip(futures, tickers, strict=True):
        yield future, [(ticker, statement)]


def v2_groups(
    companies: Mapping[str, Sequence[str]], todo: Sequence[Unit], size: int
) -> list[list[str]]:
    """Return the tickers to load, in groups of at most `size`.

    Those asked by CIK and those asked by symbol are kept apart: a mixed group needs two requests
    per statement.
    """
    tickers = dict.fromkeys(ticker for ticker, _ in todo if ticker in companies)
    by_cik = [ticker for ticker in tickers if companies[ticker]]
    by_symbol = [ticker for ticker in tickers if not companies[ticker]]
    return even_groups(by_cik, size) + even_groups(by_symbol, size)


def _companies(
    plan: LoadPlan, todo: Sequence[Unit]
) -> tuple[Mapping[str, Sequence[str]], LoadReport]:
    """Return ticker → CIKs for the tickers to load, and the report of finding them."""
    by_ticker = _by_ticker([unit for unit in todo if plan.new_since or unit[0] not in plan.ciks])
    groups = even_groups(list(by_ticker), BATCH)
    units = [{ticker: by_ticker[ticker] for ticker in group} for group in groups]
    labels, since = [label(group) for group in groups], unmapped(plan.new_since)
    futures = find_companies.map(unmapped(plan.spec), labels, units, since)
    companies = {t: ciks for t, ciks in plan.ciks.items() if t not in by_ticker}
    total = LoadReport()
    for future, group in zip(futures, units, strict=True):
        lost = [(ticker, name) for ticker, names in group.items() for name in names]
        report = task_report(future, lost, CompaniesReport)
        assert isinstance(report, CompaniesReport)
        for ticker, ciks in report.companies.items():
            companies[ticker] = sorted({*ciks, *plan.ciks.get(ticker, ())})
        total += report
    return companies, total


def no_tickers(lake: Lake) -> UsageError:
    """Return the error of a run that is to follow the lake's tickers, where there are none."""
    return UsageError(
        f"the lake {lake.root} contains no tickers yet: name some with `historical-load "
        "--generation v2 --tickers` or `--tickers-file`, or give `--universe active`"
    )


def label(tickers: Sequence[str]) -> str:
    """Return how a group of tickers is called in the UI."""
    if len(tickers) <= 3:
        return ", ".join(tickers)
    return f"{tickers[0]} … {tickers[-1]} ({len(tickers)})"
