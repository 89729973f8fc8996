"""`cleanup` and `restore`: v1's data into its archive, and back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from prefect import flow

from flows.parameters.switch import CleanupParameters, RestoreParameters
from flows.runs import Report
from flows.signature import takes
from flows.switching import recorded, switch_context
from polygon_fundamentals.cutover.archiving import cleanup as tidy
from polygon_fundamentals.cutover.archiving import plan_of_cleanup, plan_of_restore
from polygon_fundamentals.cutover.archiving import restore as bring_back
from polygon_fundamentals.cutover.originals import give_back
from polygon_fundamentals.cutover.retention import Retention
from polygon_fundamentals.cutover.runner import OperationReport, StepResult
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.settings import existing_lake_root


@flow(name="cleanup", persist_result=False)
@takes(CleanupParameters)
def cleanup(given: CleanupParameters) -> Report:
    """Retire v1's deployments and archive its data, each when its days since the cutover are over.

    Without `execute`, only show what is due.
    """
    where = Lake(existing_lake_root(given.lake))
    files = tuple(Path(path).absolute() for path in given.scripts or ())
    cron = tuple(given.cron_lines or ())
    retention = Retention(given.deployments_days, given.data_days, files, cron)
    if given.execute:
        days = {"deployments_days": given.deployments_days, "data_days": given.data_days}
        return recorded(
            where, "cleanup", days, lambda: tidy(where, switch_context(where), retention)
        )
    return _plan(plan_of_cleanup(where, retention, datetime.now(UTC)))


@flow(name="restore", persist_result=False)
@takes(RestoreParameters)
def restore(given: RestoreParameters) -> Report:
    """Bring v1's data back from its archive, byte for byte.

    With `adopted`, put v1's files back as another tool wrote them, before our loads rewrote them.
    Without `execute`, only show what would be done.
    """
    where, archive = Lake(existing_lake_root(given.lake)), given.archive
    if given.adopted and given.execute:
        return recorded(where, "restore", {"adopted": True}, lambda: give_back(where, execute=True))
    if given.adopted:
        return give_back(where, execute=False).as_json()
    if given.execute:
        return recorded(
            where,
            "restore",
            {"archive": archive},
            lambda: bring_back(where, switch_context(where), archive),
        )
    return _plan(plan_of_restore(where, archive))


def _plan(message: str) -> Report:
    step = StepResult("plan", True, message)
    return OperationReport(message, (step,), executed=False).as_json()
