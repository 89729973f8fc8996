"""`fundamentals`: the command older users know; one load of the primary generation."""

from __future__ import annotations

from prefect import flow, runtime

from flows.historical_load import run_load
from flows.parameters.fundamentals import FundamentalsParameters
from flows.runs import Report, threads_runner
from flows.signature import takes
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.settings import new_lake_root
from polygon_fundamentals.statements import Generation


def _run_name() -> str:
    given = runtime.flow_run.parameters
    return f"fundamentals {given['generation'] or 'primary'} · {', '.join(given['tickers'])[:60]}"


@flow(
    name="fundamentals",
    flow_run_name=_run_name,
    task_runner=threads_runner(),
    persist_result=False,
)
@takes(FundamentalsParameters)
def fundamentals(given: FundamentalsParameters) -> Report:
    """Load some tickers once, from the generation that readers see unless one is chosen.

    Without any date or period, this loads what was filed in the last 180 days.
    """
    where, named = Lake(new_lake_root(given.lake)), given.generation
    chosen = Generation(named) if named else where.primary
    return run_load("fundamentals", where, given.recorded(chosen), given, [chosen])
