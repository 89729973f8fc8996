"""Where the tasks of a command run: here, in processes of this machine, or on Dask."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from flows.parameters.declaration import Flag, Parameters
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.settings import load_settings, server_configured

MANY = "rarely needed: many cores or machines"
DaskAddress = Annotated[
    str | None,
    Field(description="address of a running scheduler, with --task-runner dask"),
    Flag(metavar="URL", unset="a cluster of this machine", group=MANY),
]


def refuse_without_server(options: str) -> None:
    """Raise UsageError if no server is configured that workers on other machines can reach."""
    if not server_configured():
        raise UsageError(
            f"{options} needs a Prefect server that all workers reach: set PREFECT_API_URL "
            "(`make serve` starts one here)"
        )


def refuse_unused_address(task_runner: str, dask_address: str | None) -> None:
    """Raise UsageError for a scheduler's address without Dask."""
    if dask_address is not None and task_runner != "dask":
        raise UsageError("--dask-address requires --task-runner dask")


class SpreadParameters(Parameters):
    """Which task runner a flow gets whose tasks are batches of companies."""

    task_runner: Annotated[
        Literal["threads", "processes", "dask"],
        Field(
            description="run tasks in threads of this process, in as many processes as "
            "POLYGON_PROCESSES says, or on a Dask cluster"
        ),
        Flag(group=MANY),
    ] = "threads"
    dask_address: DaskAddress = None

    @model_validator(mode="after")
    def _check_runner(self) -> Self:
        refuse_unused_address(self.task_runner, self.dask_address)
        return self

    def check_server(self) -> None:
        """Refuse Dask without a server that its workers can reach. Raises UsageError."""
        if self.task_runner == "dask":
            refuse_without_server("--task-runner dask")

    def with_runner(self, flow: Any) -> Any:
        """Return the flow with the task runner that was asked for."""
        if self.task_runner == "threads":
            return flow
        from flows.runtime.runners import with_dask, with_processes

        if self.task_runner == "dask":
            return with_dask(flow, self.dask_address, threads=1)
        return with_processes(flow, load_settings().processes)
