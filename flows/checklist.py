"""`checklist`: what still stands between here and the cutover."""

from __future__ import annotations

from dataclasses import asdict

from prefect import flow

from flows.parameters.switch import ChecklistParameters
from flows.runs import Report, warn_of_others
from flows.signature import takes
from flows.switching import checklist_of, publish
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.settings import existing_lake_root


@flow(name="checklist", persist_result=False)
@takes(ChecklistParameters)
def checklist(given: ChecklistParameters) -> Report:
    """Check every condition for the cutover. The run fails while one is unmet."""
    where = Lake(existing_lake_root(given.lake))
    evaluated = checklist_of(where, given.v1)
    unmet = evaluated.unmet
    report = {
        "steps": [asdict(item) for item in evaluated.items],
        "ok": not unmet,
        "exit_code": 1 if unmet else 0,
        "message": evaluated.sentence(),
    }
    publish("checklist", report)
    warn_of_others(where)
    return report
