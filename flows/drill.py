"""`drill`: cutover and rollback on a copy of the lake made of links."""

from __future__ import annotations

from prefect import flow

from flows.parameters.switch import DrillParameters
from flows.runs import Report
from flows.signature import takes
from flows.switching import checklist_of, recorded, switch_context, with_checks
from polygon_fundamentals.business_days import today_in_new_york as today
from polygon_fundamentals.cutover.drill import drill as rehearse
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.settings import existing_lake_root


@flow(name="drill", persist_result=False)
@takes(DrillParameters)
def drill(given: DrillParameters) -> Report:
    """Rehearse the cutover and the rollback on a copy of the lake, which itself is not changed."""
    where = Lake(existing_lake_root(given.lake))
    context = with_checks(switch_context(where), given.readers)
    report = recorded(where, "drill", {}, lambda: rehearse(where, context, today()))
    checklist = checklist_of(where).sentence()
    return {**report, "message": f"{report['message']}; checklist: {checklist}"}
