"""`refresh`: read all of v2 again, at leisure, and withdraw what is gone."""

from __future__ import annotations

from datetime import timedelta

from prefect import flow

from flows.historical_load import UNITS_WORTH_PROCESSES
from flows.load_tasks import LoadPlan, load_generations
from flows.parameters.loads import RefreshParameters
from flows.runs import Report, load_report, recorded_run, sentence, threads_runner
from flows.runtime.artifacts import publish_load
from flows.signature import takes
from flows.status import tell_status
from polygon_fundamentals import ledger
from polygon_fundamentals.business_days import today_in_new_york
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.lake import Lake, catalogue
from polygon_fundamentals.lake.commit import Scope
from polygon_fundamentals.lake.dataset_summary import Look
from polygon_fundamentals.settings import (
    Settings,
    existing_lake_root,
    load_settings,
    new_lake_root,
)
from polygon_fundamentals.statements import Generation
from tasks.context import RunSpec, close, context

# A company that was reorganised files under a new CIK. Each files at least once a year.
NEW_COMPANY = timedelta(days=400)


@flow(
    name="refresh",
    task_runner=threads_runner(),
    persist_result=False,
)
@takes(RefreshParameters)
def refresh(given: RefreshParameters) -> Report:
    """Read all of v2 again for the tickers in the lake, or for those named.

    Splits and corrections change rows without a new filing date, so a daily update does not see
    them. Records that v2 no longer has move to the revisions as withdrawn. A company of which v2
    has nothing any more was delisted, and stays in the lake. If the answer lacks a ticker's newest
    period, more than a fifth of its periods, or periods of many tickers, it may be partial: the
    records stay, and the run ends with exit code 1 unless `accept_withdrawals` is on.
    """
    where = Lake(new_lake_root(given.lake) if given.names else existing_lake_root(given.lake))
    settings = load_settings(given.base_url)
    parameters = given.recorded(settings.base_url)
    with recorded_run("refresh", where, parameters, writes=[Generation.V2]) as run:
        report = _refreshed(run, settings, given)
    publish_load("refresh", {"v2": report["v2"]})
    tell_status(where, report, catalogue.counts(where, Look.CHANGED))
    return report


def _refreshed(run: ledger.Run, settings: Settings, given: RefreshParameters) -> Report:
    names, statements = given.names, given.statements
    followed = catalogue.companies(run.lake)
    if names:
        followed = {name: followed.get(name, []) for name in names}
    if not followed:
        raise UsageError(
            f"the lake {run.lake.root} holds no ticker to refresh; load some with historical-load"
        )
    many = len(followed) * len(statements) >= UNITS_WORTH_PROCESSES
    spec = RunSpec(
        run=run.id,
        lake=str(run.lake.root),
        base_url=given.base_url,
        processes=settings.processes if many else 0,
    )
    try:
        context(spec)  # refuses a missing key or server limit before the first task
        plan = LoadPlan(
            spec,
            settings,
            run,
            list(followed),
            statements,
            given.filters,
            scope=Scope.ACCEPTED if given.accept_withdrawals else Scope.COMPANIES,
            ciks=followed,
            one_by_one=False,
            new_since=(today_in_new_york() - NEW_COMPANY).isoformat(),
        )
        loaded = load_generations(plan, [Generation.V2])[Generation.V2]
    finally:
        close(spec)
    message = f"{sentence({'v2': loaded})}, {loaded.rows_withdrawn:,} withdrawn"
    code = loaded.exit_code
    if not loaded.failed and not loaded.rows_received:
        code = 3
        message = (
            f"v2 gave no row for any of {len(followed):,} tickers, so nothing was compared or "
            "withdrawn: look at the API's status and your plan, then run again"
        )
    report = load_report(run, {Generation.V2.value: loaded}, message, code)
    run.report.update(ok=code == 0, message=message, generations={"v2": report["v2"]})
    return report
