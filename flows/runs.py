"""How a flow ends: its state, its ledger entry, and the report that the command line prints."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from prefect import runtime
from prefect.states import Completed, Failed, State

from polygon_fundamentals.errors import FundamentalsError, as_fundamentals_error

Report = dict[str, Any]


class NotDone(Exception):
    """What a Failed state of ours holds: the message and, for the command line, the report.

    Prefect raises what such a state holds; of anything but an exception it makes a TypeError.
    """

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message, report)
        self.report = report

    def __str__(self) -> str:
        return str(self.args[0])


class _SaidAlready(logging.Filter):
    """Drops the traceback that Prefect's engine adds to a state of ours: the state says it."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], NotDone))


for _name in ("prefect.flow_runs", "prefect.engine"):
    logging.getLogger(_name).addFilter(_SaidAlready())


def ended(body: Callable[[], Report]) -> State[Any]:
    """Run a flow's body; return its end state with the report as data, see `report_of`.

    The report's `exit_code` decides: 0 is Completed, anything else Failed with the
    report's `message`. An error with a remedy is a Failed state with that one line, not a
    traceback.
    """
    try:
        report = body()
    except (FundamentalsError, OSError) as error:
        ours = as_fundamentals_error(error)
        report = {"error": str(ours), "exit_code": ours.exit_code, "message": str(ours)}
    message = str(report.get("message", ""))
    if report.get("exit_code"):
        return Failed(message=message, data=NotDone(message, report))
    return Completed(message=message, data=report)


def report_of(state: State[Any]) -> Report | None:
    """Return the report of an end state; None where the run ended otherwise than by `ended`."""
    found = state.result(raise_on_failure=False)
    if isinstance(found, NotDone):
        return found.report
    return dict(found) if isinstance(found, Mapping) else None


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
