"""`daily-update`: what was filed in the last days, both generations side by side."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from prefect import flow, get_run_logger, runtime

from flows.historical_load import generations_of
from flows.load_tasks import no_tickers
from flows.parameters.loads import DailyUpdateParameters
from flows.ratios import with_ratios
from flows.runs import Report, load_report, recorded_run, sentence, threads_runner
from flows.runtime.artifacts import publish_load
from flows.signature import takes
from flows.status import tell_status
from flows.updating import Update, update_side_by_side, windows_of
from polygon_fundamentals import ledger
from polygon_fundamentals.business_days import day_of, today_in_new_york
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.lake import Lake, catalogue
from polygon_fundamentals.lake.archived_rows import archived_since
from polygon_fundamentals.lake.dataset_summary import Look
from polygon_fundamentals.load.companies import write_companies
from polygon_fundamentals.reference.tickers import universe as whole_universe
from polygon_fundamentals.reports import WindowReport, counted
from polygon_fundamentals.settings import (
    existing_lake_root,
    load_settings,
    new_lake_root,
)
from polygon_fundamentals.statements import Generation
from tasks.context import RunSpec, close, context

_SHOWN = ("v1", "v2", "ratios")


def _run_name() -> str:
    given = runtime.flow_run.parameters
    return f"daily {given['generation']} · {given.get('day') or 'today'} − {given['days_back']} d"


@flow(
    name="daily-update",
    flow_run_name=_run_name,
    task_runner=threads_runner(),
    persist_result=False,
)
@takes(DailyUpdateParameters)
def daily_update(given: DailyUpdateParameters) -> Report:
    """Load what was filed in the days up to `day`, by default today in New York.

    Without tickers, this updates those in the lake; `universe` adds the whole market. After a
    missed run, the window reaches back to the last day that was covered.
    """
    today = today_in_new_york()
    last = given.day or today
    if last > today:
        raise UsageError(
            f"the last day {last} is in the future: today is {today} in New York; give an earlier "
            "day, or leave it out"
        )
    # The market is added to a lake that is there; an empty mount point is not to become one.
    root = new_lake_root if given.names else existing_lake_root
    where = Lake(root(given.lake))
    settings = load_settings(given.base_url)
    # Of both, an archived v1 is left out; alone it is refused.
    writes = [Generation.V1] if given.generation == "v1" else [Generation.V2]
    parameters = given.recorded(last, settings.base_url)
    with recorded_run("daily-update", where, parameters, writes=writes) as run:
        report = _updated(run, given)
        counts = catalogue.counts(where, Look.CHANGED)
        run.report["records"] = _records(counts)
    publish_load("daily-update", {name: report[name] for name in _SHOWN if name in report})
    tell_status(where, report, counts)
    return report


def _updated(run: ledger.Run, given: DailyUpdateParameters) -> Report:
    """Run the update of a run that is being recorded; return the flow's report."""
    spec = RunSpec(run=run.id, lake=str(run.lake.root), base_url=given.base_url)
    file = run.lake.ops / "cache" / f"companies-{run.id}.json"
    last = date.fromisoformat(str(run.parameters["date"]))
    days_back = int(run.parameters["days_back"])
    windows = windows_of(run, generations_of(given.generation), last, days_back, run.parameters)
    archived = archived_since(run.lake)
    v1_window = windows.pop(Generation.V1) if archived and Generation.V1 in windows else None
    scheduled = runtime.flow_run.scheduled_start_time
    if isinstance(scheduled, datetime):
        run.report["scheduled"] = scheduled.isoformat()
    log = get_run_logger()
    notes = [
        f"{which}: the window was widened to {(window.last - window.first).days} days, so that it "
        f"goes back {counted(days_back, 'day')} from the first day that no run has covered"
        for which, window in windows.items()
        # A weekend or a missed night widens it too, which nobody needs to read.
        if (window.last - window.first).days > 2 * days_back
    ]
    for note in notes:
        log.warning(note)
    try:
        context(spec)  # refuses a missing key or server limit before the first task
        followed = catalogue.companies(run.lake)
        if given.names:
            followed = {name: followed.get(name, []) for name in given.names}
        if given.universe is not None:
            client = context(spec).client
            wanted = whole_universe(client, active_only=given.universe == "active")
            followed |= {name: [] for name in wanted if name not in followed}
            run.report["universe_requests"] = client.counts.requests
        if not followed:
            raise no_tickers(run.lake)
        write_companies(file, followed)
        update = Update(spec, run, given.names, given.statements, given.timeframes, file, windows)
        reports_by_generation = update_side_by_side(update)
    finally:
        close(spec)
        file.unlink(missing_ok=True)
    if archived and v1_window:
        # An archived v1 is asked for nothing.
        since = day_of(archived).isoformat()
        left_out = WindowReport(window=v1_window.as_json(), archived_since=since)
        reports_by_generation = {"v1": left_out, **reports_by_generation}
    code = max(report.exit_code for report in reports_by_generation.values())
    for name, report in reports_by_generation.items():
        notes += _notes_of(name, report)
    message = "; ".join([sentence(reports_by_generation), *notes])
    whole = load_report(run, reports_by_generation, message, code)
    whole |= {"notes": notes, "tickers_followed": len(followed)}
    reports = {name: whole[name] for name in reports_by_generation}
    if given.ratios:
        whole = with_ratios(whole, list(followed), given.base_url, named=bool(given.names))
        run.report["ratios"] = whole["ratios"]
    ok = whole["exit_code"] == 0
    run.report.update(ok=ok, message=whole["message"], generations=reports, notes=notes)
    run.report["tickers_followed"] = len(followed)
    return whole


def _notes_of(name: str, report: WindowReport) -> list[str]:
    """Return what is told of one generation besides its counts."""
    notes = []
    if report.archived_since:
        notes.append(
            f"{name} has been in the archive since {report.archived_since} and was left out: "
            "`polygon-fundamentals restore --execute` brings it back"
        )
    elif report.frozen_since:
        notes.append(f"{name} is retired: frozen since {report.frozen_since}")
    if report.fourths_left:
        notes.append(
            f"{name}: {report.fourths_left} fourth quarters without a filing date are still to "
            "be fetched; the next run continues with them"
        )
    return notes


def _records(counts: Sequence[catalogue.DatasetCounts]) -> dict[str, dict[str, int]]:
    """Return the number of records by generation and statement, for the ledger."""
    records: dict[str, dict[str, int]] = {}
    for one in counts:
        records.setdefault(one.generation.value, {})[one.statement.value] = one.records
    return records
