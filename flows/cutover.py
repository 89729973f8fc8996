"""`cutover`: v2 becomes what readers see."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from prefect.states import State
from pydantic import Field

from flows.checklist import V1Side
from flows.parameters import LakeFolder
from flows.runs import Report, ended
from flows.switching import around_of, judged, lake_of, recorded
from polygon_fundamentals.cutover.context import Options
from polygon_fundamentals.cutover.operations import cutover as switch
from polygon_fundamentals.cutover.operations import plan_of_cutover
from polygon_fundamentals.errors import AnswerIsNo

APPROVAL_SECONDS = 24 * 3600


class Approval(RunInput):
    """The form that a person fills in before the cutover goes on."""

    approved: bool = Field(default=False, description="Switch readers to v2 now")
    by: str = Field(default="", description="Your name, for the record")


@flow(name="cutover", persist_result=False)
def cutover(
    execute: Annotated[bool, Field(description="Off: show the plan, change nothing")] = False,
    force: Annotated[
        str | None, Field(description="A reason passes the unmet lines of the checklist")
    ] = None,
    postpone_file: Annotated[
        str | None, Field(description="Nothing is switched while this file exists")
    ] = None,
    wait_minutes: Annotated[
        float, Field(ge=0, description="How long v1's running jobs are waited for")
    ] = 30.0,
    allow_gap: Annotated[
        bool, Field(description="Accept a gap where names cannot be swapped in one call")
    ] = False,
    ask_approval: Annotated[
        bool, Field(description="Pause until a person approves in the UI")
    ] = False,
    readers: Annotated[str | None, Field(description="Another readers.toml")] = None,
    v1: V1Side = None,
    lake: LakeFolder = None,
) -> State[Any]:
    """Make v2 what readers see: check, pause v1, build silver, move the pointer, verify."""

    def body() -> Report:
        approved = None
        if execute and ask_approval:
            approved = asked()
        return cutover_report(
            execute, force, postpone_file, wait_minutes, allow_gap, readers, v1, lake, approved
        )

    return ended(body)


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


def cutover_report(
    execute: bool,
    force: str | None,
    postpone_file: str | None,
    wait_minutes: float,
    allow_gap: bool,
    readers: str | None,
    v1: Any,
    lake: str | None,
    approved: str | None = None,
) -> Report:
    """Carry out a cutover, or without `execute` return its plan."""
    where = lake_of(lake)
    options = Options(
        force=force,
        postpone_file=Path(postpone_file) if postpone_file else None,
        wait_seconds=60.0 * wait_minutes,
        allow_gap=allow_gap,
    )
    around = around_of(where, readers)
    if not execute:
        return plan_of_cutover(where, judged(where, v1), around, options)
    parameters = {"force": force, "postpone_file": postpone_file, "approved_by": approved}
    return recorded(
        where,
        "cutover",
        parameters,
        lambda: switch(where, lambda: judged(where, v1), around, options),
    )
