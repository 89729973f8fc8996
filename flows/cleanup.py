"""`cleanup` and `restore`: v1's data into its archive, and back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.states import State
from pydantic import Field

from flows.parameters import LakeFolder
from flows.runs import Report, ended
from flows.switching import around_of, lake_of, recorded
from polygon_fundamentals.cutover.archive_steps import Retention
from polygon_fundamentals.cutover.archiving import cleanup as tidy
from polygon_fundamentals.cutover.archiving import plan_of_cleanup, plan_of_restore
from polygon_fundamentals.cutover.archiving import restore as bring_back

Execute = Annotated[bool, Field(description="Off: say what would be done, change nothing")]


@flow(name="cleanup", persist_result=False)
def cleanup(
    execute: Execute = False,
    deployments_days: Annotated[int, Field(ge=0, description="v1's deployments go after")] = 30,
    data_days: Annotated[int, Field(ge=0, description="v1's data goes after")] = 90,
    scripts: Annotated[
        list[str] | None, Field(description="Scripts of v1 that go into the archive too")
    ] = None,
    cron_lines: Annotated[
        list[str] | None, Field(description="Cron lines that go into the archive too")
    ] = None,
    lake: LakeFolder = None,
) -> State[Any]:
    """Retire v1's deployments and archive its data, when their days have passed."""
    return ended(
        lambda: cleanup_report(execute, deployments_days, data_days, scripts, cron_lines, lake)
    )


def cleanup_report(
    execute: bool,
    deployments_days: int,
    data_days: int,
    scripts: list[str] | None,
    cron_lines: list[str] | None,
    lake: str | None,
) -> Report:
    """Carry out a cleanup, or without `execute` say what it would do."""
    where = lake_of(lake)
    files = tuple(Path(path).absolute() for path in scripts or ())
    retention = Retention(deployments_days, data_days, files, tuple(cron_lines or ()))
    if execute:
        parameters = {"deployments_days": deployments_days, "data_days": data_days}
        return recorded(
            where, "cleanup", parameters, lambda: tidy(where, around_of(where), retention)
        )
    return _plan(plan_of_cleanup(where, retention, datetime.now(UTC)))


@flow(name="restore", persist_result=False)
def restore(
    execute: Execute = False,
    archive: Annotated[str | None, Field(description="Its file name; none: the newest")] = None,
    lake: LakeFolder = None,
) -> State[Any]:
    """Bring v1's data back from its archive, byte for byte."""
    return ended(lambda: restore_report(execute, archive, lake))


def restore_report(execute: bool, archive: str | None, lake: str | None) -> Report:
    """Carry out a restore, or without `execute` say what it would do."""
    where = lake_of(lake)
    if execute:
        return recorded(
            where,
            "restore",
            {"archive": archive},
            lambda: bring_back(where, around_of(where), archive),
        )
    return _plan(plan_of_restore(where, archive))


def _plan(message: str) -> Report:
    return {
        "executed": False,
        "steps": [{"name": "plan", "ok": True, "detail": message}],
        "exit_code": 0,
        "message": message,
    }
