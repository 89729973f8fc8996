"""Tasks in processes of this machine, or on a Dask cluster (extra `dask`), instead of threads."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

from prefect import Flow

from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.lake.processes import begin_process

if TYPE_CHECKING:
    from prefect.futures import PrefectFuture
    from prefect.task_runners import TaskRunner


def with_processes(flow: Flow[..., Any], count: int) -> Flow[..., Any]:
    """Return the flow with its tasks in `count` processes, started when the first one comes."""
    from prefect.task_runners import ProcessPoolTaskRunner

    runner = ProcessPoolTaskRunner(max_workers=count, initializer=begin_process)
    return flow.with_options(task_runner=cast("TaskRunner[PrefectFuture[Any]]", runner))


def with_dask(
    flow: Flow[..., Any], address: str | None = None, *, threads: int = 4
) -> Flow[..., Any]:
    """Return the flow with its tasks on a Dask cluster: the one at `address`, or a new one here.

    A new one has one worker per core, each with `threads` tasks at a time.

    Raises:
        UsageError: prefect-dask is not installed.
    """
    try:
        from prefect_dask import DaskTaskRunner
    except ModuleNotFoundError as error:
        raise UsageError(
            "prefect-dask is not installed: `make setup EXTRAS=test,dask`, or "
            "`pip install -c constraints.txt prefect-dask`"
        ) from error
    # Dask's workers are the processes: each writes what it fetched itself.
    os.environ["POLYGON_PROCESSES"] = "1"
    if address:
        return flow.with_options(task_runner=DaskTaskRunner(address=address))
    few = {
        "n_workers": os.cpu_count() or 1,
        "threads_per_worker": threads,
        "dashboard_address": None,
    }
    return flow.with_options(task_runner=DaskTaskRunner(cluster_kwargs=few))
