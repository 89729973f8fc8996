"""How a flow begins and ends: its locks, its ledger entry, its state and its report."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from prefect import get_run_logger, runtime
from prefect.context import FlowRunContext
from prefect.exceptions import MissingResult
from prefect.futures import PrefectFuture
from prefect.states import Completed, Failed, State
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows.contacts import whom_to_tell
from flows.runtime.interrupt import sigterm_is_ctrl_c
from polygon_fundamentals import ledger
from polygon_fundamentals.cutover.other_writers import mend_others, notice
from polygon_fundamentals.errors import FundamentalsError, as_fundamentals_error
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.archived_rows import refuse_archived
from polygon_fundamentals.lake.layout import check_layout
from polygon_fundamentals.lake.older_rows import mend_older_rows
from polygon_fundamentals.lake.recovery import recover
from polygon_fundamentals.lake.their_form import use_our_form
from polygon_fundamentals.ledger.queries import DAILY, SILVER
from polygon_fundamentals.locks import shared
from polygon_fundamentals.reports import LoadReport
from polygon_fundamentals.settings import threads
from polygon_fundamentals.statements import Generation

# A drill of a large lake links files for minutes, and a cutover builds silver.
LOCK_SECONDS = 300.0
# How long a run of a deployment waits at most for the runs whose work it uses.
WAIT_SECONDS = 3600.0
POLL_SECONDS = 5.0
# How long it may take until a run that a worker starts, or that has ended its own waiting, is in
# the ledger.
BEGINS_SECONDS = 30.0
_CALLED = {DAILY: "the daily update", SILVER: "the build of silver"}

Report = dict[str, Any]


class FlowFailed(Exception):
    """The data of our Failed states: the message and, for the command line, the report.

    Prefect raises the data of such a state, and a TypeError if that is not an exception.
    """

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message, report)
        self.report = report

    def __str__(self) -> str:
        return str(self.args[0])


class _SaidAlready(logging.Filter):
    """Drops the traceback that Prefect's engine logs for our Failed states, which say it all."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], FlowFailed))


for _name in ("prefect.flow_runs", "prefect.engine"):
    logging.getLogger(_name).addFilter(_SaidAlready())


def threads_runner() -> TaskRunner[PrefectFuture[Any]]:
    """Return the task runner of a loading flow, with as many threads as the settings say."""
    return cast("TaskRunner[PrefectFuture[Any]]", ThreadPoolTaskRunner(max_workers=threads()))


def one_by_one() -> TaskRunner[PrefectFuture[Any]]:
    """Return the task runner of a flow whose tasks need the processor and much memory."""
    return cast("TaskRunner[PrefectFuture[Any]]", ThreadPoolTaskRunner(max_workers=1))


def spreads_tasks() -> bool:
    """Return whether the present flow's tasks run in other processes."""
    context = FlowRunContext.get()
    return context is not None and not isinstance(context.task_runner, ThreadPoolTaskRunner)


# Flow run → its report. A server that takes an end state and is too slow to say so is sent it
# again, and answers with the state that it has, without the data.
_REPORTS: dict[str | None, Report] = {}


def finish_flow(body: Callable[[], Report]) -> State[Any]:
    """Run a flow's body; return its end state with the report as data, see `report_of`.

    The report's `exit_code` decides: 0 is Completed, anything else Failed with the
    report's `message` and whom to contact. An error with a remedy is a Failed state with that one
    line, not a traceback. A parity that has nothing to compare is Completed, but called Skipped.
    """
    try:
        report = body()
    except (FundamentalsError, OSError) as error:
        ours = as_fundamentals_error(error)
        report = {"error": str(ours), "exit_code": ours.exit_code, "message": str(ours)}
    message = str(report.get("message", ""))
    _REPORTS[runtime.flow_run.id] = report
    if report.get("exit_code"):
        # The webhook sends the state's message; the command line prints the report's.
        words = "; ".join(filter(None, (message, whom_to_tell())))
        return Failed(message=words, data=FlowFailed(message, report))
    name = "Skipped" if report.get("nothing_to_compare") else "Completed"
    return Completed(name=name, message=message, data=report)


def report_of(state: State[Any]) -> Report | None:
    """Return the report of an end state; None where `finish_flow` did not make the state."""
    result = None
    with suppress(MissingResult):
        result = state.result(raise_on_failure=False)
    if isinstance(result, FlowFailed):
        return result.report
    if isinstance(result, Mapping):
        return dict(result)
    ended = state.is_completed() or state.is_failed()
    return _REPORTS.get(str(state.state_details.flow_run_id)) if ended else None


def sentence(reports: Mapping[str, LoadReport]) -> str:
    """Return what a load did with each generation, in one line."""
    parts = []
    for name, report in reports.items():
        failed = f", {len(report.failed)} missing" if report.failed else ""
        parts.append(
            f"{name}: {report.units:,} units{failed}, {report.rows_new:,} rows new, "
            f"{report.rows_changed:,} changed, {report.rows_unchanged:,} unchanged"
            + (f", {report.rows_withheld:,} withheld" if report.rows_withheld else "")
        )
    return "; ".join(parts)


def load_report(
    run: ledger.Run, load_reports: Mapping[str, LoadReport], message: str, exit_code: int
) -> Report:
    """Return a load's report: what was done with each generation, in which lake, by which run."""
    return {
        **{name: report.as_json() for name, report in load_reports.items()},
        "lake": str(run.lake.root),
        "run": run.id,
        "exit_code": exit_code,
        "message": message,
    }


def flow_run_id() -> str | None:
    """Return the id of the present Prefect run, for the ledger."""
    run_id = runtime.flow_run.id
    return str(run_id) if run_id else None


def warn_of_others(lake: Lake) -> None:
    """Print to standard error what another tool wrote that no load has repaired yet."""
    if words := notice(lake):
        print(f"warning: {words}", file=sys.stderr, flush=True)


def is_deployed() -> bool:
    """Return whether the present run is one of a deployment, not one by hand."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    return run is not None and run.deployment_id is not None


def wait_for_update(lake: Lake) -> None:
    """In a deployment's run, wait until no daily update of the lake is under way.

    With the free plan, an update after an outage is not over when the schedules of parity and
    silver begin; v1 then has filings that v2 has not.
    """
    _wait_for(lake, (DAILY,))


def wait_for_silver(lake: Lake) -> None:
    """In a deployment's run, wait until no build of silver is under way, and none is about to be.

    Silver waits for the daily update, so that update is waited for too. Between its end and the
    moment at which silver's run is in the ledger, none of them is under way.
    """
    _wait_for(lake, (DAILY, SILVER), quiet_seconds=BEGINS_SECONDS)


def _wait_for(lake: Lake, flows: Collection[str], quiet_seconds: float = 0.0) -> None:
    """In a deployment's run, wait until no run of these flows has been under way for a while.

    After `WAIT_SECONDS` the run begins nevertheless, which its log says. A run by hand does not
    wait.
    """
    if not is_deployed():
        return
    log, began = get_run_logger(), time.monotonic()
    last_seen, named = began, ""
    while (entry := _under_way(lake, flows)) or time.monotonic() - last_seen < quiet_seconds:
        if entry is not None:
            words = f"{_CALLED[entry.flow]} {entry.run}, which began at {entry.started:%H:%M} UTC"
            if time.monotonic() - began > WAIT_SECONDS:
                log.warning("%s, still runs; this run does not wait for it any longer", words)
                return
            if entry.run != named:
                log.info("waiting for %s, for %d minutes at most", words, WAIT_SECONDS / 60)
            last_seen, named = time.monotonic(), entry.run
        time.sleep(POLL_SECONDS)


def _under_way(lake: Lake, flows: Collection[str]) -> ledger.RunEntry | None:
    """Return the oldest run of these flows that a process still carries out.

    A build of silver as of a day is left out: no other run reads it.
    """
    entries, _ = ledger.read_entries(lake, datetime.now(UTC) - timedelta(days=1))
    runs = (e for e in entries if e.flow in flows and not e.parameters.get("as_of"))
    return next((e for e in runs if e.is_running and not ledger.is_dead(e)), None)


@contextmanager
def recorded_run(
    flow: str,
    lake: Lake,
    parameters: Mapping[str, Any],
    *,
    writes: Sequence[Generation] = (),
    resume: bool = False,
    adopt: bool = False,
) -> Iterator[ledger.Run]:
    """Yield a run that may use the lake, with an entry in the ledger while the body runs.

    All flows begin with this, in this order: a switch of the lake waits for the run (and the run
    for it); a lake that lacks a folder is not used; an archived v1 is not written; with `adopt`,
    v1's files get our form from now on; a commit that was killed is repaired; foreign files leave
    v2's folder before an upsert could take their rows for v2's; runs that died are closed, and only
    then can one be found that this run continues.

    Raises:
        LakeLockedError: a cutover or rollback is under way.
        LakeError: as `check_layout`; or v1 is written, and it is in the archive.
    """
    lake.prepare()
    in_time = shared(lake.lock("writers"), LOCK_SECONDS, "a switch or drill of the lake")
    with sigterm_is_ctrl_c(), in_time:
        check_layout(lake)
        if Generation.V1 in writes:
            refuse_archived(lake)
        if adopt:
            use_our_form(lake)
        recover(lake)
        repaired = []
        if writes and (older := mend_older_rows(lake)):
            repaired.append(older.sentence())
        if writes and (mended := mend_others(lake)):
            repaired.append(mended)
        for words in repaired:
            print(f"warning: {words}", file=sys.stderr, flush=True)
        if not writes:
            warn_of_others(lake)
        run = ledger.Run(lake, flow, parameters, flow_run_id=flow_run_id())
        if repaired:
            run.report["repaired"] = repaired
        with ledger.recorded(run):
            if resume:
                run.resume()
            yield run
