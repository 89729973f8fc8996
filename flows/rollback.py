"""`rollback`: v1 becomes what readers see again, at once or after its missed days are filled."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import msgspec
from prefect import flow

from flows.parameters.switch import RollbackParameters
from flows.runs import Report, report_of
from flows.signature import takes
from flows.switching import recorded, switch_context, v1_days, with_checks
from polygon_fundamentals.business_days import day_of, missed_since
from polygon_fundamentals.business_days import today_in_new_york as today
from polygon_fundamentals.cutover.context import Options
from polygon_fundamentals.cutover.journal import CUTOVER, ROLLBACK, last_done, moment, unfinished
from polygon_fundamentals.cutover.operations import rollback as switch
from polygon_fundamentals.cutover.runner import OperationReport, StepResult
from polygon_fundamentals.cutover.v1_again import refuse_rollback
from polygon_fundamentals.errors import AnswerIsNo, RetiredError, UsageError
from polygon_fundamentals.http.client import Client
from polygon_fundamentals.lake import Lake, catalogue
from polygon_fundamentals.lake.layout import missing
from polygon_fundamentals.lake.pointer import leads_to
from polygon_fundamentals.ledger import read_entries
from polygon_fundamentals.ledger.queries import last_witness
from polygon_fundamentals.load.window_v1 import LONGEST_LIMITED
from polygon_fundamentals.settings import existing_lake_root, load_settings
from polygon_fundamentals.statements import DEFAULT_TIMEFRAMES, V1_PATH, Generation, Timeframe
from tasks.context import find_key, rate_limit

# A window of more days leaves no fourth quarter to a next run, which there will not be.
LOOK_BACK_DAYS = LONGEST_LIMITED.days + 1


@flow(name="rollback", persist_result=False)
@takes(RollbackParameters)
def rollback(given: RollbackParameters) -> Report:
    """Switch readers back to v1.

    Without `execute`, only say whether that is possible. If v1 missed business days, `delayed`
    fills them and checks parity first, and `accept_stale` takes v1 as it is.
    """
    delayed, accept_stale, base_url = given.delayed, given.accept_stale, given.base_url
    where = Lake(existing_lake_root(given.lake))
    if not given.execute:
        return _plan(where, delayed, accept_stale, base_url)
    context = switch_context(where)
    try:
        context = with_checks(context, given.readers)
    except UsageError as error:  # readers go back without them, and the last line says so
        context = replace(context, checks_error=f"the readers' checks were not run: {error}")
    first: list[StepResult] = []
    if delayed and leads_to(where) is Generation.V2:
        # v2 stays primary until v1 is complete and checked, so a failure here changes nothing.
        refuse_rollback(where, v1_days(where), today(), True)
        first = [step(where, base_url) for step in (_still_served, _backfilled)]
        first.append(_checked(where, base_url, given.accept_parity))
    days = v1_days(where)

    def body() -> OperationReport:
        return switch(
            where,
            context,
            Options(accept_parity=given.accept_parity),
            days,
            today(),
            accept_stale=accept_stale,
            v1_current=delayed,
        )

    parameters: dict[str, object] = {"delayed": delayed, "accept_stale": accept_stale}
    if given.accept_parity:
        parameters["accept_parity"] = given.accept_parity
    report = recorded(where, "rollback", parameters, body)
    return {**report, "steps": [*msgspec.to_builtins(first), *report["steps"]]}


def _plan(where: Lake, delayed: bool, accept_stale: bool, base_url: str | None) -> Report:
    left = unfinished(where, CUTOVER, ROLLBACK)
    if left is not None:
        words = f"{left.operation} {left.id} was cut off; --execute finishes or undoes it"
        return OperationReport(words, (StepResult("check", True, words),), executed=False).as_json()
    where.refuse_lost_pointer()
    if delayed or where.primary is Generation.V1:
        leads_to(where)  # v2's folder alone may be gone, where nothing is to be compared with it
    if where.primary is Generation.V1:
        words = "the pointer leads to v1; nothing to do"
        check = StepResult("check", True, words)
        return OperationReport(words, (check,), executed=False).as_json()
    words = refuse_rollback(where, v1_days(where), today(), accept_stale or delayed)
    steps = [StepResult("check", True, words)]
    if gone := missing(where, Generation.V2):
        steps.append(StepResult("v2", None, gone))
        words = f"{words}; readers can go back to it, but {gone}"
    if delayed:
        steps.append(_still_served(where, base_url))
        words = f"{words}, would be filled since {_incomplete_since(where)}"
    message = f"{words}; --execute carries it out"
    return OperationReport(message, tuple(steps), executed=False).as_json()


def _still_served(where: Lake, base_url: str | None) -> StepResult:
    """Ask v1 for one record.

    Raises:
        AnswerIsNo: its endpoint is gone; the text says what is left.
    """
    settings = load_settings(base_url)
    client = Client(settings, find_key(), rate_limit(where, settings))
    try:
        next(iter(client.pages(V1_PATH, {"limit": "1"})), None)
    except RetiredError as error:
        raise AnswerIsNo(
            f"{error}: v1's missed days cannot be filled. Instead, `polygon-fundamentals export "
            "--shape v1 --continue-v1 --output DIR` writes v1's history followed by v2's records "
            "in v1's form, each marked with its origin, so that old readers keep working while "
            "you examine v2; or roll back to v1 as it is with --accept-stale"
        ) from error
    return StepResult("v1 answers", True, "the endpoint is still served")


def _incomplete_since(where: Lake) -> date:
    """Return the first business day that v1 missed since the cutover; none: the cutover's."""
    done = last_done(where, CUTOVER)
    if done is None:
        return max(v1_days(where), default=today())
    missed = missed_since(moment(done), v1_days(where), today())
    return min(missed, default=day_of(moment(done)))


def _backfilled(where: Lake, base_url: str | None) -> StepResult:
    """Bring v1 up to date for every day since it was last complete.

    A daily update, since it also asks for what a window of filing dates cannot see; of
    trailing twelve months too, where v1 holds some.

    Raises:
        AnswerIsNo: units are missing.
    """
    from flows.daily_update import daily_update

    timeframes = {*DEFAULT_TIMEFRAMES, *catalogue.timeframes(where, Generation.V1)}
    since = _incomplete_since(where)
    state = daily_update(
        generation="v1",
        days_back=(today() - since).days + LOOK_BACK_DAYS,
        timeframes=[timeframe for timeframe in Timeframe if timeframe in timeframes],
        lake=str(where.root),
        base_url=base_url,
        return_state=True,
    )
    report = report_of(state)
    if report is None or report.get("exit_code"):
        raise AnswerIsNo(
            f"v1 could not be filled since {since} ({state.message}); v2 stays primary. Run again"
        )
    return StepResult("backfill v1", True, f"since {since}: {report['message']}")


def _checked(where: Lake, base_url: str | None, accepted: str | None) -> StepResult:
    """Run parity on the lake; with a reason it may fail, as it does where v2 is at fault.

    Raises:
        AnswerIsNo: it does not pass, and no reason accepts that.
    """
    # Great Expectations takes seconds to import, and a rollback in a hurry does not need it.
    from flows.parity import parity

    # Where the operator settles differences by the SEC's filings, new ones are settled so too.
    witness = last_witness(read_entries(where)[0])
    state = parity(lake=str(where.root), base_url=base_url, witness=witness, return_state=True)
    report = report_of(state)
    if report is None or report.get("exit_code"):
        words = " ".join(str(state.message).split())
        if accepted:
            return StepResult("parity", True, f"accepted ({accepted}): did not pass: {words}")
        raise AnswerIsNo(
            f"parity does not pass ({words}); v1 is filled and v2 stays primary. Look at the "
            "report. If v2 is at fault, roll back to v1 with `polygon-fundamentals rollback "
            "--delayed --accept-parity REASON --execute`"
        )
    return StepResult("parity", True, str(report.get("message", "passed")))
