"""`ratios`: the vendor's ratios of today, and the same after a load that asks for them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from prefect import flow

from flows.load_tasks import label, no_tickers, task_report
from flows.parameters.loads import RatiosParameters
from flows.runs import Report, load_report, recorded_run, sentence
from flows.runtime.artifacts import publish_load
from flows.signature import takes
from polygon_fundamentals.errors import ApiError
from polygon_fundamentals.lake import Lake, catalogue
from polygon_fundamentals.load.query import BATCH
from polygon_fundamentals.load.window_v2 import WHOLE_MARKET
from polygon_fundamentals.reference.tickers import universe
from polygon_fundamentals.reports import LoadReport, UnitFailure, counted
from polygon_fundamentals.settings import existing_lake_root, load_settings, new_lake_root
from polygon_fundamentals.statements import Snapshot
from tasks.context import RunSpec, close, context
from tasks.load import load_daily_ratios

RATIOS = Snapshot.RATIOS.value


@flow(name="ratios", persist_result=False)
@takes(RatiosParameters)
def ratios(given: RatiosParameters) -> Report:
    """Load the vendor's ratios of the last trading day.

    Without tickers, this loads those of the tickers in the lake; `universe` loads the whole market.
    The vendor serves the last day alone: a day on which this does not run is missing for good.
    """
    root = new_lake_root if given.names else existing_lake_root
    where = Lake(root(given.lake))
    settings = load_settings(given.base_url)
    parameters = given.recorded(settings.base_url)
    with recorded_run("ratios", where, parameters) as run:
        spec = RunSpec(run=run.id, lake=str(where.root), base_url=given.base_url)
        try:
            tickers = given.names or list(catalogue.companies(where))
            if given.universe is not None:
                client = context(spec).client
                listed = universe(client, active_only=given.universe == "active")
                tickers = list(dict.fromkeys((*tickers, *listed)))
            if not tickers:
                raise no_tickers(where)
            loaded = _load(spec, tickers, named=bool(given.names))
        finally:
            close(spec)
        report = load_report(run, {RATIOS: loaded}, sentence({RATIOS: loaded}), loaded.exit_code)
        run.report.update(
            ok=loaded.exit_code == 0, message=report["message"], ratios=report[RATIOS]
        )
    publish_load("ratios", {RATIOS: report[RATIOS]})
    return report


def with_ratios(
    report: Report, tickers: Sequence[str], base_url: str | None, *, named: bool
) -> Report:
    """Return a load's report, to which the ratios of its tickers are added.

    Those of all tickers in the lake where there are none; `named` says that somebody named them.
    """
    where = Lake(Path(report["lake"]))
    spec = RunSpec(run=report["run"], lake=report["lake"], base_url=base_url)
    try:
        wanted = tickers or list(catalogue.companies(where))
        loaded = _load(spec, wanted, named=named)
    finally:
        close(spec)
    return {
        **report,
        RATIOS: loaded.as_json(),
        "exit_code": max(report["exit_code"], loaded.exit_code),
        "message": f"{report['message']}; {sentence({RATIOS: loaded})}",
    }


def _load(spec: RunSpec, tickers: Sequence[str], *, named: bool) -> LoadReport:
    """Return what became of the ratios of some tickers.

    A few that somebody named may have none. Where all of a lake's have none, or all of a long list,
    the API gave nothing, and the day would be missing without a word.
    """
    started = time.monotonic()
    may_be_none = named and len(tickers) < BATCH
    future = load_daily_ratios.submit(spec, label(tickers), list(tickers))
    report = task_report(future, [(ticker, RATIOS) for ticker in tickers])
    if tickers and not may_be_none and not report.failed and not report.rows_received:
        reason = (
            f"the API gave no ratios for any of {counted(len(tickers), 'ticker')}: look at its "
            "status and your plan, then run `ratios` again today"
        )
        lost = UnitFailure(WHOLE_MARKET, RATIOS, reason, ApiError.__name__)
        report = replace(report, failed=(lost,))
    return replace(report, seconds=time.monotonic() - started)
