"""`drill`: cutover and rollback on a copy of the lake made of links."""

from __future__ import annotations

from typing import Annotated, Any

from prefect import flow
from prefect.states import State
from pydantic import Field

from flows.parameters import LakeFolder
from flows.runs import Report, ended
from flows.switching import around_of, lake_of, recorded, today
from polygon_fundamentals.cutover.drill import drill as rehearse


@flow(name="drill", persist_result=False)
def drill(
    readers: Annotated[str | None, Field(description="Another readers.toml")] = None,
    lake: LakeFolder = None,
) -> State[Any]:
    """Rehearse cutover and rollback on a copy of the lake; the real one is not touched."""
    return ended(lambda: drill_report(readers, lake))


def drill_report(readers: str | None, lake: str | None) -> Report:
    """Carry out a drill; return its report."""
    where = lake_of(lake)
    around = around_of(where, readers)
    return recorded(where, "drill", {}, lambda: rehearse(where, around, today()))
