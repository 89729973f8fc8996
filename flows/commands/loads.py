"""The commands that load: fundamentals, historical-load, daily-update, refresh."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from flows.commands.output_dir import lake_of
from flows.commands.report_lines import daily_lines, load_lines
from flows.commands.run import check_load, run_flow
from flows.commands.spread import (
    MANY,
    DaskAddress,
    refuse_unused_address,
    refuse_without_server,
)
from flows.parameters.declaration import Flag
from flows.parameters.fundamentals import FundamentalsParameters
from flows.parameters.loads import (
    MAX_SHARDS,
    DailyUpdateParameters,
    HistoricalLoadParameters,
    RatiosParameters,
    RefreshParameters,
)
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.settings import lake_root, load_settings


class HistoricalLoadCommand(HistoricalLoadParameters):
    """A historical load in this process, in shards, or on Dask."""

    shards: Annotated[
        int | None,
        Field(ge=1, le=MAX_SHARDS, description="split into N flow runs for the server's workers"),
        Flag(metavar="N", group=MANY),
    ] = None
    task_runner: Annotated[
        Literal["threads", "dask"],
        Flag(help="run tasks in threads of this process, or on a Dask cluster", group=MANY),
    ] = "threads"
    dask_address: DaskAddress = None

    @model_validator(mode="after")
    def _check_workers(self) -> Self:
        if self.shards is not None and self.task_runner == "dask":
            raise UsageError("give --shards or --task-runner dask, not both")
        refuse_unused_address(self.task_runner, self.dask_address)
        return self


def historical(given: HistoricalLoadCommand, as_json: bool) -> int:
    in_shards, on_dask = given.shards is not None, given.task_runner == "dask"
    if in_shards or on_dask:
        refuse_without_server("--shards" if in_shards else "--task-runner dask")
    check_load(given.lake, given.base_url, makes_lake=bool(given.names or given.universe))
    values = given.values(HistoricalLoadParameters)
    if in_shards:
        values |= {"shards": given.shards}
        return run_flow("flows.shards.sharded_load", values, load_lines, as_json)

    def prepared(flow: Any) -> Any:
        if not on_dask:
            _start_writers(given)
            return flow
        from flows.runtime.runners import with_dask

        return with_dask(flow, given.dask_address)

    return run_flow("flows.historical_load.historical_load", values, load_lines, as_json, prepared)


def _start_writers(given: HistoricalLoadParameters) -> None:
    """Start the processes that write while Prefect's server still starts: they import as long."""
    from flows.historical_load import writer_processes
    from polygon_fundamentals.load.writers import start_ahead

    units = len(given.names) * len(given.statements)
    start_ahead(writer_processes(load_settings(given.base_url), units or None))


class FundamentalsCommand(FundamentalsParameters):
    """Some tickers once, with the options of older users."""

    output_dir: Annotated[
        str | None,
        Flag(
            metavar="DIR",
            help="older name of --lake; its bronze/fundamentals or bronze/fundamentals_v2 will do",
        ),
    ] = None


def fundamentals(given: FundamentalsCommand, as_json: bool) -> int:
    lake = given.lake
    if given.output_dir is not None:
        named = lake_of(given.output_dir, given.generation)
        if lake is not None and lake_root(lake) != Path(named):
            raise UsageError(
                f"--lake {lake} and --output-dir {given.output_dir} name two lakes; give one"
            )
        lake = named
    check_load(lake, given.base_url, makes_lake=True)
    values = {**given.values(FundamentalsParameters), "lake": lake}
    return run_flow("flows.fundamentals.fundamentals", values, load_lines, as_json)


def daily(given: DailyUpdateParameters, as_json: bool) -> int:
    check_load(given.lake, given.base_url, makes_lake=bool(given.names))
    return run_flow("flows.daily_update.daily_update", given.values(), daily_lines, as_json)


def ratios(given: RatiosParameters, as_json: bool) -> int:
    check_load(given.lake, given.base_url, makes_lake=bool(given.names))
    return run_flow("flows.ratios.ratios", given.values(), load_lines, as_json)


def refresh(given: RefreshParameters, as_json: bool) -> int:
    check_load(given.lake, given.base_url, makes_lake=bool(given.names))
    return run_flow("flows.refresh.refresh", given.values(), load_lines, as_json)
