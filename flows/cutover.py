"""`cutover`: v2 becomes what readers see."""

from __future__ import annotations

from pathlib import Path

from prefect import flow
from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from pydantic import Field

from flows.parameters.switch import CutoverParameters
from flows.runs import Report
from flows.signature import takes
from flows.switching import checklist_of, recorded, switch_context, with_checks
from polygon_fundamentals.cutover.context import Options
from polygon_fundamentals.cutover.operations import cutover as switch
from polygon_fundamentals.cutover.operations import plan_of_cutover
from polygon_fundamentals.errors import AnswerIsNo
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.settings import existing_lake_root

APPROVAL_SECONDS = 24 * 3600


class Approval(RunInput):
    """The form that a person fills in before the cutover goes on."""

    approved: bool = Field(default=False, description="Switch readers to v2 now")
    by: str = Field(default="", description="Your name, for the record")


@flow(name="cutover", persist_result=False)
@takes(CutoverParameters)
def cutover(given: CutoverParameters) -> Report:
    """Switch readers to v2: check, pause v1, build silver, move the pointer, verify.

    Without `execute`, only show the plan.
    """
    approved = asked() if given.execute and given.ask_approval else None
    where = Lake(existing_lake_root(given.lake))
    options = Options(
        force=given.force,
        postpone_file=Path(given.postpone_file) if given.postpone_file else None,
        wait_seconds=60.0 * given.wait_minutes,
        allow_gap=given.allow_gap,
    )
    context = with_checks(switch_context(where), given.readers)
    if not given.execute:
        return plan_of_cutover(where, checklist_of(where, given.v1), context, options).as_json()
    parameters = {
        "force": given.force,
        "postpone_file": given.postpone_file,
        "approved_by": approved,
    }
    return recorded(
        where,
        "cutover",
        parameters,
        lambda: switch(where, lambda: checklist_of(where, given.v1), context, options),
    )


def asked() -> str:
    """Pause until a person has filled in the form; return who approved.

    Raises:
        AnswerIsNo: the answer is no, or there was none in time.
    """
    try:
        answer = pause_flow_run(wait_for_input=Approval, timeout=APPROVAL_SECONDS)
    except FlowPauseTimeout as error:
        raise AnswerIsNo(
            f"nobody approved within {APPROVAL_SECONDS / 3600:g} h; nothing was changed. Start "
            "the cutover again when somebody is there to answer"
        ) from error
    if not answer.approved:
        raise AnswerIsNo(f"{answer.by or 'somebody'} did not approve; nothing was changed")
    return str(answer.by)
