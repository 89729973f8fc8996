"""Tasks that load: one a ticker in v1, one a ticker or batch and statement in v2.

Retries live in the HTTP client, so tasks have none. A task whose units failed ends Failed
with the reasons as its message; its result still says what was stored.
"""

from __future__ import annotations

from typing import Any

from prefect import task
from prefect.states import Completed, Failed, State

from polygon_fundamentals.errors import FundamentalsError, class_of, told
from polygon_fundamentals.lake.commit import Scope
from polygon_fundamentals.load.historical import (
    Loaded,
    load_v1,
    load_v2_splitting,
    resolve_splitting,
)
from polygon_fundamentals.load.query import Filters
from polygon_fundamentals.statements import Statement
from tasks.context import RunSpec, context

Failures = dict[str, FundamentalsError]


def outcome(loaded: Loaded, failures: Failures) -> State[Any]:
    """Return the task's end state: Failed, naming every reason once, where a unit failed."""
    failed = {ticker: str(error) for ticker, error in failures.items()}
    exit_code = max((error.exit_code for error in failures.values()), default=0)
    errors = {ticker: class_of(error) for ticker, error in failures.items()}
    result = {
        "loaded": loaded.as_json(),
        "failed": failed,
        "errors": errors,
        "exit_code": exit_code,
    }
    if failed:
        reasons = "; ".join(dict.fromkeys(failed.values()))
        return Failed(message=f"{', '.join(failed)}: {reasons}"[:2000], data=result)
    rows = loaded.counts
    words = f"{rows.rows_new} new, {rows.rows_changed} changed, {rows.rows_unchanged} unchanged"
    return Completed(message=words, data=result)


@task(name="v1 history", task_run_name="{label}", persist_result=False)
def load_v1_tickers(
    spec: RunSpec,
    label: str,
    tickers: list[str],
    statements: list[str],
    filters: dict[str, Any],
    cik: str | None = None,
) -> State[Any]:
    """Load v1's records of some tickers, one request chain a ticker; by CIK where given."""
    run, loaded = context(spec), Loaded()
    failures: Failures = {}
    wanted = [Statement(name) for name in statements]
    for ticker in tickers:
        client = run.client.counting_anew()
        try:
            loaded.add(
                load_v1(
                    client, run.lake, run.writers, ticker, wanted, Filters.from_json(filters), cik
                )
            )
        except (FundamentalsError, OSError) as error:
            failures[ticker] = told(error)
            loaded.add(Loaded(requests=client.tally.requests, retries=client.tally.retries))
    return outcome(loaded, failures)


@task(name="v2 statements", task_run_name="{label}", persist_result=False)
def load_v2_statement(
    spec: RunSpec,
    label: str,
    statement: str,
    companies: dict[str, list[str]],
    filters: dict[str, Any],
    scope: str | None = None,
) -> State[Any]:
    """Load one statement of a ticker, or of a batch of tickers, from v2."""
    run = context(spec)
    client = run.client.counting_anew()
    try:
        loaded, failures = load_v2_splitting(
            client,
            run.lake,
            run.writers,
            companies,
            Statement(statement),
            Filters.from_json(filters),
            Scope(scope) if scope else None,
        )
    except (FundamentalsError, OSError) as error:
        loaded, failures = Loaded(), dict.fromkeys(companies, told(error))
    loaded.requests, loaded.retries = client.tally.requests, client.tally.retries
    return outcome(loaded, failures)


@task(name="v2 companies", task_run_name="companies · {label}", persist_result=False)
def find_companies(spec: RunSpec, label: str, tickers: list[str]) -> State[Any]:
    """Find the CIKs behind some tickers, so that v2 can be asked by company."""
    run = context(spec)
    client = run.client.counting_anew()
    try:
        companies, failures = resolve_splitting(client, run.lake, tickers)
    except (FundamentalsError, OSError) as error:
        companies, failures = {}, dict.fromkeys(tickers, told(error))
    state = outcome(Loaded(requests=client.tally.requests, retries=client.tally.retries), failures)
    state.data["companies"] = companies
    return state
