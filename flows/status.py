"""`status` as a flow: both pipelines side by side, as an artifact and as events."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from prefect import flow
from prefect.events import emit_event

from flows.contacts import whom_to_tell
from flows.lake_status import status_of
from flows.parameters.lake import StatusParameters
from flows.runs import Report
from flows.runtime.artifacts import publish_text
from flows.signature import takes
from polygon_fundamentals import ledger
from polygon_fundamentals.errors import FundamentalsError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.catalogue import DatasetCounts
from polygon_fundamentals.settings import existing_lake_root
from polygon_fundamentals.status import Row, alarms, as_json, as_markdown

# What an automation can listen for: EVENT + "warning." + the row's kind, and EVENT + "failed".
EVENT = "polygon-fundamentals."
_DETAIL = 500


@flow(name="status", persist_result=False)
@takes(StatusParameters)
def status(given: StatusParameters) -> Report:
    """Show what is in the lake, how the runs went, and what is wrong, as an artifact.

    The run fails if a row is not ok: a late or failed run, record counts that drift apart, a
    generation without new filings, a missed target and so on.
    """
    where = Lake(existing_lake_root(given.lake))
    with suppress(OSError):  # a lake that cannot be written has its status too
        ledger.close_crashed(where)
    report = publish_status(where)
    code = 0 if report["ok"] else 1
    message = "; ".join(report["warnings"])
    return {**report, "contacts": whom_to_tell(), "exit_code": code, "message": message}


def publish_status(lake: Lake, datasets: Sequence[DatasetCounts] | None = None) -> Report:
    """Publish the status as an artifact, each warning as an event; return it.

    `datasets` are the counts where they have just been taken; else every file is counted.
    """
    figures, rows = status_of(lake, datasets=datasets)
    publish_text("status", as_markdown(figures, rows), "Both pipelines side by side.")
    for row in alarms(rows):
        _emit_warning(lake, row)
    return as_json(figures, rows)


def tell_status(lake: Lake, report: Report, datasets: Sequence[DatasetCounts]) -> None:
    """After a scheduled run: publish the status, and an event where the run failed.

    Why there is no status, such as a mistake in `deployments/targets.toml`, is added to the
    report's message: the report is of what was loaded, and stays.
    """
    if report["exit_code"]:
        emit(lake, "failed", {"message": str(report["message"])[:_DETAIL], "run": report["run"]})
    try:
        publish_status(lake, datasets)
    except FundamentalsError as error:
        report["message"] = f"{report['message']}; no status: {error}"


def _emit_warning(lake: Lake, row: Row) -> None:
    emit(lake, f"warning.{row.kind}", {"row": row.name, "detail": row.detail[:_DETAIL]})


def emit(lake: Lake, name: str, payload: dict[str, object]) -> None:
    """Emit an event about a lake."""
    emit_event(
        event=EVENT + name,
        resource={
            "prefect.resource.id": f"{EVENT}lake",
            "prefect.resource.name": str(lake.root),
        },
        payload=payload,
    )
