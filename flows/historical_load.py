"""`historical-load`: all history of some tickers, in one generation or both."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from prefect import flow, runtime
from prefect.states import State
from prefect.task_runners import ThreadPoolTaskRunner

from flows.load_tasks import LoadPlan, load_generation
from flows.parameters import (
    BaseUrl,
    Day,
    GenerationChoice,
    LakeFolder,
    Statements,
    Tickers,
    TickersFile,
    Timeframes,
    Universe,
    Witness,
)
from flows.runs import Report, ended, recorded_run, sentence
from flows.runtime.artifacts import publish_load
from polygon_fundamentals import ledger
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.listing import states
from polygon_fundamentals.load.query import Filters
from polygon_fundamentals.load.report import LoadReport
from polygon_fundamentals.reference.tickers import tickers_of_cik
from polygon_fundamentals.reference.tickers import universe as whole_universe
from polygon_fundamentals.settings import (
    Settings,
    lake_root,
    load_edgar_settings,
    load_settings,
    threads,
)
from polygon_fundamentals.statements import (
    ALL_STATEMENTS,
    DEFAULT_TIMEFRAMES,
    Generation,
    Statement,
)
from polygon_fundamentals.tickers import read_tickers
from tasks.context import RunSpec, close, context

# Below this many units the writer processes cost more to start than they save.
UNITS_WORTH_PROCESSES = 60


def _run_name() -> str:
    given = runtime.flow_run.parameters
    first, last = given.get("from_date") or "the beginning", given.get("to_date") or "today"
    return f"history {given['generation']} · {first} to {last}"


@flow(
    name="historical-load",
    flow_run_name=_run_name,
    task_runner=ThreadPoolTaskRunner(max_workers=threads()),
    persist_result=False,
)
def historical_load(
    generation: GenerationChoice = "both",
    tickers: Tickers = None,
    tickers_file: TickersFile = None,
    universe: Universe = None,
    timeframes: Timeframes = DEFAULT_TIMEFRAMES,
    statements: Statements = ALL_STATEMENTS,
    from_date: Day = None,
    to_date: Day = None,
    lake: LakeFolder = None,
    base_url: BaseUrl = None,
    resume: bool = True,
    original_dates: bool = False,
    witness: Witness = None,
) -> State[Any]:
    """Load all history of the given tickers into the lake.

    Name them with `tickers`, `tickers_file` or `universe`. Running it twice changes
    nothing; a run that was cut off within the last day goes on where it stopped unless
    `resume` is off. Both days are included and mean filing dates. With `original_dates`
    the filings index is asked when v2's periods were first filed, with a witness SEC EDGAR first.
    """
    filters = filters_of(timeframes, from_date, to_date)

    def body() -> Report:
        names = read_tickers(tickers, tickers_file)
        if bool(names) == (universe is not None):
            raise UsageError(
                "historical-load needs tickers: give --tickers A,B, --tickers-file F or "
                "--universe active, and only one of names and universe"
            )
        parameters = {
            "generation": generation,
            "tickers": names,
            "universe": universe,
            "statements": [s.value for s in statements],
            **filters.as_json(),
        }
        if original_dates and generation == "v1":
            raise UsageError("--original-dates is for v2's periods: give --generation v2 or both")
        if witness and not original_dates:
            raise UsageError("--witness is for original dates here: give --original-dates too")
        if witness:
            load_edgar_settings()
        return run_load(
            "historical-load",
            parameters,
            generations_of(generation),
            names,
            statements,
            filters,
            lake=lake,
            base_url=base_url,
            universe=universe,
            resume=resume,
            original_dates=original_dates,
            witness=witness,
        )

    return ended(body)


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
    found = state.result(raise_on_failure=False)
    if not isinstance(found, dict) or "error" in found:
        reason = found["error"] if isinstance(found, dict) else str(state.message or found)
        code = max(report["exit_code"], found["exit_code"] if isinstance(found, dict) else 3)
        message = f"{report['message']}; original dates: {reason}"
        return {
            **report,
            "original_dates": {"error": reason},
            "exit_code": code,
            "message": message,
        }
    return {**report, "original_dates": found}


def filters_of(timeframes: Sequence[Any], first: date | None, last: date | None) -> Filters:
    """Return the filters of a window whose both ends are included."""
    return Filters(
        timeframes=tuple(timeframes),
        filing_date_gte=first.isoformat() if first else None,
        filing_date_lt=(last + timedelta(days=1)).isoformat() if last else None,
    )


def generations_of(choice: str) -> list[Generation]:
    """Return the generations that a choice names; v1 first, so that v2 can use its CIKs."""
    return list(Generation) if choice == "both" else [Generation(choice)]


def run_load(
    flow_name: str,
    parameters: dict[str, Any],
    generations: Sequence[Generation],
    tickers: Sequence[str],
    statements: Sequence[Statement],
    filters: Filters,
    *,
    lake: str | None,
    base_url: str | None,
    universe: str | None = None,
    resume: bool = False,
    cik: str | None = None,
    original_dates: bool = False,
    witness: str | None = None,
) -> Report:
    """Load the generations one after the other; record the run; return the report.

    Raises:
        FundamentalsError: the run could not start (lake locked, no key, ...).
    """
    where = Lake(lake_root(lake))
    settings = load_settings(base_url)
    parameters = {**parameters, "base_url": settings.base_url}
    with recorded_run(flow_name, where, parameters, writes=generations, resume=resume) as run:
        found = _loaded(
            run,
            settings,
            generations,
            tickers,
            statements,
            filters,
            base_url,
            universe,
            cik,
        )
        code = max(report.exit_code for report in found.values())
        reports = {name: report.as_json() for name, report in found.items()}
        report = {
            **reports,
            "lake": str(where.root),
            "run": run.id,
            "exit_code": code,
            "message": sentence(reports),
        }
        if original_dates:
            report = with_original_dates(report, tickers, base_url, witness)
            run.report["original_dates"] = report["original_dates"]
        # A sharded load knows its shards by what the ledger says of them.
        run.report.update(
            ok=report["exit_code"] == 0,
            exit_code=report["exit_code"],
            message=report["message"],
            generations=reports,
        )
    publish_load(flow_name, reports)
    return report


def _loaded(
    run: ledger.Run,
    settings: Settings,
    generations: Sequence[Generation],
    tickers: Sequence[str],
    statements: Sequence[Statement],
    filters: Filters,
    base_url: str | None,
    universe: str | None,
    cik: str | None,
) -> dict[str, LoadReport]:
    many = len(tickers) * len(statements) >= UNITS_WORTH_PROCESSES or universe is not None
    spec = RunSpec(
        run=run.id,
        lake=str(run.lake.root),
        base_url=base_url,
        processes=settings.processes if many else 0,
    )
    try:
        context(spec)  # no key, or no limit on the server: said before the first task
        names = list(tickers)
        if universe is not None:
            names = whole_universe(context(spec).client, active_only=universe == "active")
        if cik is not None and not names:
            names = tickers_of_cik(context(spec).client, cik)
        ciks = {name: [cik] for name in names} if cik is not None else {}
        plan = LoadPlan(spec, settings, run, names, statements, filters, run.done_before, ciks=ciks)
        found = {g.value: load_generation(plan, g) for g in generations}
    finally:
        close(spec)
    return found
