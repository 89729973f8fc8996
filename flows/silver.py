"""`silver`: build the wide table from whichever generation the pointer leads to."""

from __future__ import annotations

import time

from prefect import flow, runtime

from flows.parameters import SilverParameters
from flows.runs import Report, recorded_run
from flows.runtime.artifacts import publish_text
from flows.signature import takes
from polygon_fundamentals.business_days import today_in_new_york
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.settings import existing_lake_root
from polygon_fundamentals.silver import TABLE
from tasks.silver import build_silver


def _run_name() -> str:
    day = runtime.flow_run.parameters.get("as_of")
    return f"silver as of {day}" if day else "silver"


@flow(name="silver", flow_run_name=_run_name, persist_result=False)
@takes(SilverParameters)
def silver(given: SilverParameters) -> Report:
    """Build the silver table beside the present one, then lead readers to it in one step.

    With `as_of`, the table as it could have been known at the end of that day in New York,
    in `silver/as_of/`; the present table stays as it is.
    """
    as_of, today = given.as_of, today_in_new_york()
    if as_of is not None and as_of >= today:
        raise UsageError(
            f"{as_of} is not over in New York, where it is {today}: give a day before, or "
            "leave it out for the table as it is now"
        )
    where = Lake(existing_lake_root(given.lake))
    day = None if as_of is None else as_of.isoformat()
    # A cutover waits for this. A rollback does not: the build then follows the pointer.
    with recorded_run("silver", where, {"as_of": day}) as run:
        found = _built(where, day)
        code = int(found.get("exit_code", 0))
        run.report.update(ok=code == 0, message=found["message"], silver=found)
    if code == 0:
        publish_text("silver", f"{found['message']}\n\n`{found['path']}`", "The silver table.")
    return {**found, "lake": str(where.root), "run": run.id, "exit_code": code}


def _built(lake: Lake, day: str | None) -> Report:
    started = time.monotonic()
    label = f"as of {day}" if day else f"from {lake.primary}"
    state = build_silver(str(lake.root), label, day, return_state=True)
    found = state.result(raise_on_failure=False)
    if not isinstance(found, dict):
        return {"error": str(state.message or found), "message": str(state.message), "exit_code": 3}
    if "error" in found:
        return {**found, "message": found["error"]}
    path = lake.silver / "as_of" / day if day else lake.silver / TABLE
    made = f"as of {day}" if day else f"from {found['generation']}"
    message = (
        f"silver {made}: {found['rows']:,} rows in {found['files']} files, "
        f"{found['files_written']} of them new"
    )
    seconds = round(time.monotonic() - started, 3)
    return {**found, "as_of": day, "path": str(path), "seconds": seconds, "message": message}
