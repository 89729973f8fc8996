"""How a flow ends: its state, its ledger entry, and the report that the command line prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from prefect import runtime
from prefect.states import Completed, Failed, State

from flows.temporary_server import end_with_this_process
from polygon_fundamentals.errors import FundamentalsError, told

end_with_this_process()
Report = dict[str, Any]


def ended(body: Callable[[], Report]) -> State[Any]:
    """Run a flow's body; return its end state with the report as data.

    The report's `exit_code` decides: 0 is Completed, anything else Failed with the
    report's `message`. An error with a remedy is a Failed state with that one line, not a
    traceback.
    """
    try:
        report = body()
    except (FundamentalsError, OSError) as error:
        ours = told(error)
        return Failed(message=str(ours), data={"error": str(ours), "exit_code": ours.exit_code})
    state = Failed if report.get("exit_code") else Completed
    return state(message=str(report.get("message", "")), data=report)


def sentence(generations: Mapping[str, Report]) -> str:
    """Return what a load did in one line."""
    parts = []
    for name, told_of in generations.items():
        failed = f", {len(told_of['failed'])} missing" if told_of["failed"] else ""
        parts.append(
            f"{name}: {told_of['units']:,} units{failed}, {told_of['rows_new']:,} rows new, "
            f"{told_of['rows_changed']:,} changed, {told_of['rows_unchanged']:,} unchanged"
        )
    return "; ".join(parts)


def flow_run_id() -> str | None:
    """Return the id of the present Prefect run, for the ledger."""
    found = runtime.flow_run.id
    return str(found) if found else None
