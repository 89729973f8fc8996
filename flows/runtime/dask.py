"""Tasks on a Dask cluster instead of threads, for those who have one (extra `dask`)."""

from __future__ import annotations

import os
from typing import Any

from prefect import Flow

from polygon_fundamentals.errors import UsageError


def with_dask(flow: Flow[..., Any], address: str | None = None) -> Flow[..., Any]:
    """Return the flow with its tasks on a Dask cluster: the one at `address`, or a new one here.

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
    few = {"n_workers": os.cpu_count() or 1, "threads_per_worker": 4, "dashboard_address": None}
    return flow.with_options(task_runner=DaskTaskRunner(cluster_kwargs=few))
