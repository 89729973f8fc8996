"""What the flows around the switch share: what they work with, and their ledger entry.

From the command line they run without Prefect's engine: a rollback must not wait ten
seconds for a temporary server, nor fail because the configured one is down.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Literal

from prefect.artifacts import create_table_artifact
from prefect.context import FlowRunContext

from flows import contacts as people
from flows.runs import Report, flow_run_id, warn_of_others
from flows.runtime.interrupt import sigterm_is_ctrl_c
from polygon_fundamentals import ledger
from polygon_fundamentals.cutover.checklist import Checklist, evaluate_checklist
from polygon_fundamentals.cutover.context import SwitchContext
from polygon_fundamentals.cutover.journal import CUTOVER, last_done, moment
from polygon_fundamentals.cutover.reader_checks import load_checks
from polygon_fundamentals.cutover.runner import OperationReport
from polygon_fundamentals.cutover.sign_offs import load_contacts
from polygon_fundamentals.cutover.thresholds import load_thresholds
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.ledger.queries import covered_days
from polygon_fundamentals.statements import Generation
from tasks.schedules import schedules_of

CONTACTS = people.CONTACTS
DEPLOYMENTS = Path(__file__).parents[1] / "deployments"
READERS = DEPLOYMENTS / "readers.toml"
THRESHOLDS = DEPLOYMENTS / "checklist.toml"
TRAINING = DEPLOYMENTS.parent / "docs" / "training.md"


def switch_context(lake: Lake) -> SwitchContext:
    """Return what a switch, cleanup or restore works with: the server's schedules."""
    return SwitchContext(
        schedules=schedules_of(lake),
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )


def with_checks(context: SwitchContext, readers: str | None) -> SwitchContext:
    """Return a context with the readers' checks of a file; None: the one in `deployments/`.

    Raises:
        UsageError: the file is not as it should be.
    """
    return replace(context, checks=load_checks(Path(readers) if readers else READERS))


def checklist_of(lake: Lake, v1: Literal["live", "retired"] | None = None) -> Checklist:
    """Return the checklist as evaluated now."""
    thresholds, contacts = load_thresholds(THRESHOLDS), load_contacts(CONTACTS)
    return evaluate_checklist(lake, thresholds, contacts, v1=v1)


def recorded(
    lake: Lake, flow: str, parameters: Mapping[str, object], body: Callable[[], OperationReport]
) -> Report:
    """Run a body under its own ledger entry; return its report."""
    lake.prepare()
    run = ledger.Run(lake, flow, parameters, flow_run_id=flow_run_id())
    with ledger.recorded(run), sigterm_is_ctrl_c():
        report = body().as_json()
        run.report.update(report, ok=report["exit_code"] == 0)
        del run.report["exit_code"]
    publish(flow, report)
    # At the end: a rollback in a hurry does not wait for it.
    warn_of_others(lake)
    return {**report, "run": run.id}


def publish(flow: str, report: Report) -> None:
    """Publish the steps as an artifact, where a flow run is under way."""
    if FlowRunContext.get() is None:
        return
    create_table_artifact(
        key=f"{flow}-steps",
        description=str(report.get("message", "")),
        table=[{"step": s["name"], "ok": s["ok"], "detail": s["detail"]} for s in report["steps"]],
    )


def v1_days(lake: Lake) -> list[date]:
    """Return the days whose filings some successful load of v1 took in, nothing missing.

    Of the runs since the cutover, however long ago; without a cutover of the last 120 days.
    """
    done = last_done(lake, CUTOVER)
    since = moment(done) if done else datetime.now(UTC) - timedelta(days=120)
    entries = ledger.read_entries(lake, since)[0]
    return sorted(covered_days(entries, Generation.V1))
