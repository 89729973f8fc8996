"""Where the tasks of a command run: here, in processes of this machine, or on Dask."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from flows.parameters import Flag
from flows.parameters.declaration import Parameters
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.settings import load_settings, server_configured

MANY = "many workers"


class SpreadParameters(Parameters):
    """Which task runner a flow gets whose tasks are batches of companies."""

    task_runner: Annotated[
        Literal["threads", "processes", "dask"],
        Field(description="processes: as many as POLYGON_PROCESSES says, each with its own memory"),
        Flag(group=MANY),
    ] = "threads"
    dask_address: Annotated[
        str | None,
        Field(description="a running scheduler"),
        Flag(metavar="URL", unset="a cluster of this machine", group=MANY),
    ] = None

    @model_validator(mode="after")
    def _check_runner(self) -> Self:
        if self.dask_address is not None and self.task_runner != "dask":
            raise UsageError("--dask-address goes with --task-runner dask")
        return self

    def check_server(self) -> None:
        """Refuse Dask without a server.

        Raises:
            UsageError: no server is configured that Dask's workers could reach.
        """
        if self.task_runner == "dask" and not server_configured():
            raise UsageError(
                "--task-runner dask needs a Prefect server that all workers reach: set "
                "PREFECT_API_URL (`make serve` starts one here)"
            )

    def with_runner(self, flow: Any) -> Any:
        """Return the flow with the task runner that was asked for."""
        if self.task_runner == "threads":
            return flow
        from flows.runtime.runners import with_dask, with_processes

        if self.task_runner == "dask":
            return with_dask(flow, self.dask_address, threads=1)
        return with_processes(flow, load_settings().processes)
