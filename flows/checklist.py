"""`checklist`: what still stands between here and the cutover."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from prefect import flow
from prefect.states import State
from pydantic import Field

from flows.parameters import LakeFolder
from flows.runs import Report, ended
from flows.switching import entries, judged, lake_of, publish
from polygon_fundamentals.cutover import checksums

V1Side = Annotated[
    Literal["live", "retired"] | None,
    Field(description="Whether v1's endpoint still answers; none: what the ledger knows"),
]


@flow(name="checklist", persist_result=False)
def checklist(lake: LakeFolder = None, v1: V1Side = None) -> State[Any]:
    """Judge every line of the checklist; ends Failed while one is unmet."""
    return ended(lambda: checklist_report(lake, v1))


def checklist_report(lake: str | None, v1: Any = None, record_checksums: bool = False) -> Report:
    """Return the checklist; with `record_checksums` take v1's checksums first."""
    where = lake_of(lake)
    if record_checksums:
        checksums.record(where)
    found = judged(where, v1)
    unmet = found.unmet
    report = {
        "steps": entries(list(found.lines)),
        "ok": not unmet,
        "exit_code": 1 if unmet else 0,
        "message": f"unmet: {', '.join(unmet)}" if unmet else "every line is met",
    }
    publish("checklist", report)
    return report
