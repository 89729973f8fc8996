"""`historical-load`: all history of some tickers, in one generation or both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from prefect import flow, runtime

from flows.load_tasks import LoadPlan, load_generations, no_tickers
from flows.parameters.fundamentals import FundamentalsParameters
from flows.parameters.loads import HistoricalLoadParameters
from flows.ratios import with_ratios
from flows.retired_v1 import as_frozen, retirement_notes
from flows.runs import Report, load_report, recorded_run, sentence, threads_runner
from flows.runtime.artifacts import publish_load
from flows.signature import takes
from polygon_fundamentals import ledger
from polygon_fundamentals.errors import ApiError
from polygon_fundamentals.http.client import Client
from polygon_fundamentals.lake import Lake, catalogue
from polygon_fundamentals.lake.listing import states
from polygon_fundamentals.reference.tickers import tickers_of_cik
from polygon_fundamentals.reference.tickers import universe as whole_universe
from polygon_fundamentals.reports import LoadReport
from polygon_fundamentals.settings import (
    Settings,
    existing_lake_root,
    load_edgar_settings,
    load_settings,
    new_lake_root,
)
from polygon_fundamentals.statements import Generation, Statement
from tasks.context import RunSpec, close, context, find_key
from tasks.states import answer_of

# Below this many units the writer processes cost more to start than they save.
UNITS_WORTH_PROCESSES = 60


def _run_name() -> str:
    given = runtime.flow_run.parameters
    first, last = given.get("from_date") or "the beginning", given.get("to_date") or "today"
    return f"history {given['generation']} · {first} to {last}"


@flow(
    name="historical-load",
    flow_run_name=_run_name,
    task_runner=threads_runner(),
    persist_result=False,
)
@takes(HistoricalLoadParameters)
def historical_load(given: HistoricalLoadParameters) -> Report:
    """Load all history of the given tickers into the lake.

    Name them with `tickers`, `tickers_file` or `universe`; without any of these, the tickers that
    are in the lake are loaded. Of both generations, a v1 that answers 410 for good is left out.
    Running it twice changes nothing, and a run that was cut off within the last day is continued
    unless `resume` is off. `from_date` and `to_date` are filing dates, both included.
    `original_dates` asks the vendor's filings index when v2's periods were first filed; with a
    witness, SEC EDGAR first.
    """
    if given.witness:
        load_edgar_settings()
    if given.adopt:
        find_key()  # without one nothing is loaded, and v1's files keep their form
    generations = generations_of(given.generation)
    return run_load("historical-load", lake_of(given), given.recorded, given, generations)


def with_original_dates(
    report: Report, tickers: Sequence[str], base_url: str | None, witness: str | None = None
) -> Report:
    """Ask when v2's periods were first filed, of all tickers in the lake where none are named."""
    # It needs pandas, 40 MB that other loads do without.
    from tasks.silver import ask_original_dates

    where = Lake(Path(report["lake"]))
    if not tickers:
        folder = where.dataset(Generation.V2, Statement.BALANCE_SHEETS)
        tickers = sorted({state.ticker for state in states(folder)})
    spec = RunSpec(run=report["run"], lake=report["lake"], base_url=base_url)
    label = f"{len(tickers):,} tickers"
    try:
        state = ask_original_dates(spec, label, list(tickers), witness, return_state=True)
    finally:
        close(spec)
    dates: Report = answer_of(state)
    if "error" not in dates:
        return {**report, "original_dates": dates}
    return {
        **report,
        "original_dates": {"error": dates["error"]},
        "exit_code": max(report["exit_code"], dates["exit_code"]),
        "message": f"{report['message']}; original dates: {dates['error']}",
    }


def lake_of(given: HistoricalLoadParameters) -> Lake:
    """Return the lake to load, which is made only where tickers or a universe are given.

    Raises:
        UsageError: neither is given, and there is no lake.
    """
    root = new_lake_root if given.names or given.universe else existing_lake_root
    return Lake(root(given.lake))


def generations_of(choice: str) -> list[Generation]:
    """Return the generations that a choice names; v1 first, so that v2 can use its CIKs."""
    return list(Generation) if choice == "both" else [Generation(choice)]


def run_load(
    flow_name: str,
    where: Lake,
    recorded: dict[str, object],
    given: HistoricalLoadParameters | FundamentalsParameters,
    generations: Sequence[Generation],
) -> Report:
    """Load the generations one after the other; record the run; return the report.

    Raises:
        FundamentalsError: the run could not start (lake locked, no key, ...).
    """
    settings = load_settings(given.base_url)
    parameters = {**recorded, "base_url": settings.base_url}
    with recorded_run(
        flow_name,
        where,
        parameters,
        writes=generations,
        resume=given.resume,
        adopt=given.adopt,
    ) as run:
        run.report["requests_per_minute"] = settings.requests_per_minute
        loaded = _loaded(run, settings, given, generations)
        if len(generations) > 1:
            loaded[Generation.V1] = as_frozen(loaded[Generation.V1], run)
        code = max(report.exit_code for report in loaded.values())
        notes = retirement_notes(loaded)
        report = load_report(run, loaded, "; ".join([sentence(loaded), *notes]), code)
        if notes:
            report["notes"] = notes
        whole = code == 0 and given.filters.is_whole_history
        if whole and _are_unknown(where, given.names, loaded):
            report["exit_code"] = ApiError.exit_code
            report["message"] += "; the API has no row of any of the tickers"
            report["tickers_unknown"] = sorted(given.names)
        reports = {name: report[name] for name in loaded}
        if given.original_dates:
            report = with_original_dates(report, given.names, given.base_url, given.witness)
            run.report["original_dates"] = report["original_dates"]
        if given.ratios:
            named = bool(given.names)
            report = with_ratios(report, given.names, given.base_url, named=named)
            run.report["ratios"] = report["ratios"]
        # A sharded load knows its shards by what the ledger says of them.
        run.report.update(
            ok=report["exit_code"] == 0,
            exit_code=report["exit_code"],
            message=report["message"],
            generations=reports,
        )
    publish_load(flow_name, reports | ({"ratios": report["ratios"]} if given.ratios else {}))
    return report


def _are_unknown(lake: Lake, given: Sequence[str], loaded: Mapping[str, LoadReport]) -> bool:
    """Whether names were given of which neither the API has a row nor the lake."""
    names = set(given)
    if not names or any(report.rows_unfollowed for report in loaded.values()):
        return False
    # Twelve months of balance sheets, which v2 does not serve, are not asked for.
    asked = any(report.requests for report in loaded.values())
    nothing = all(
        names == set(report.tickers_without_rows)
        for report in loaded.values()
        if not report.frozen_since
    )
    return asked and nothing and names.isdisjoint(catalogue.companies(lake))


def names_of(lake: Lake, universe: str | None, client: Client) -> list[str]:
    """Return the tickers of a universe, or those of the lake where none is given.

    Raises:
        UsageError: the lake has no tickers.
    """
    if universe is not None:
        return whole_universe(client, active_only=universe == "active")
    names = list(catalogue.companies(lake))
    if not names:
        raise no_tickers(lake)
    return names


def writer_processes(settings: Settings, units: int | None) -> int:
    """Return in how many processes a load writes; `units` is None until its tickers are known."""
    return settings.processes if units is None or units >= UNITS_WORTH_PROCESSES else 0


def _loaded(
    run: ledger.Run,
    settings: Settings,
    given: HistoricalLoadParameters | FundamentalsParameters,
    generations: Sequence[Generation],
) -> dict[str, LoadReport]:
    names, cik = given.names, given.known_cik
    units = None
    if names or cik is not None:
        units = len(names) * len(given.statements)
    spec = RunSpec(
        run=run.id,
        lake=str(run.lake.root),
        base_url=given.base_url,
        processes=writer_processes(settings, units),
    )
    try:
        context(spec)  # refuses a missing key or server limit before the first task
        if not names and cik is not None:
            names = tickers_of_cik(context(spec).client, cik)
        elif not names:
            names = names_of(run.lake, given.universe, context(spec).client)
        ciks = {name: [cik] for name in names} if cik is not None else {}
        plan = LoadPlan(
            spec, settings, run, names, given.statements, given.filters, run.done_before, ciks=ciks
        )
        loaded = load_generations(plan, generations)
    finally:
        close(spec)
    return {generation.value: report for generation, report in loaded.items()}
