"""`silver`: build the wide table from whichever generation the pointer leads to."""

from __future__ import annotations

import time

from prefect import flow, runtime

from flows.parameters.lake import SilverParameters
from flows.runs import Report, recorded_run, spreads_tasks, wait_for_update
from flows.runtime.artifacts import publish_text
from flows.signature import takes
from polygon_fundamentals.business_days import today_in_new_york
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.pointer import holds_data
from polygon_fundamentals.reports import counted
from polygon_fundamentals.settings import existing_lake_root
from polygon_fundamentals.silver import TABLE
from polygon_fundamentals.silver.foreign import adopt_path, give_back_path, move_out
from polygon_fundamentals.statements import Generation
from tasks.silver import build_silver
from tasks.states import answer_of

_SHOWN = 5


def _run_name() -> str:
    day = runtime.flow_run.parameters.get("as_of")
    return f"silver as of {day}" if day else "silver"


@flow(name="silver", flow_run_name=_run_name, persist_result=False)
@takes(SilverParameters)
def silver(given: SilverParameters) -> Report:
    """Build the silver tables, then switch readers to them in one step.

    With `as_of`, builds the table as it could have been known at the end of that day in New York,
    in `silver/as_of/`; the present tables stay as they are. `adopt_path` moves another tool's
    folder at the table's path aside, and `give_path_back` puts it back.
    """
    as_of, today = given.as_of, today_in_new_york()
    if as_of is not None and as_of >= today:
        raise UsageError(
            f"{as_of} is not over: today is {today} in New York; give an earlier day, or leave it "
            "out for the table as it is now"
        )
    where = Lake(existing_lake_root(given.lake))
    if given.give_path_back:
        path = give_back_path(where)
        return {"exit_code": 0, "path": path, "message": f"{path} is the other tool's again"}
    wait_for_update(where)
    day = None if as_of is None else as_of.isoformat()
    # A cutover waits for this. A rollback does not: the build then follows the pointer.
    with recorded_run("silver", where, {"as_of": day}) as run:
        result = _built(where, day, adopt=given.adopt_path)
        code = int(result.get("exit_code", 0))
        run.report.update(ok=code == 0, message=result["message"], silver=result)
    if code == 0:
        publish_text("silver", f"{result['message']}\n\n`{result['path']}`", "The silver table.")
    return {**result, "lake": str(where.root), "run": run.id, "exit_code": code}


def _built(lake: Lake, day: str | None, *, adopt: bool) -> Report:
    started = time.monotonic()
    moved = move_out(lake)
    aside = adopt_path(lake) if adopt else None
    label = f"as of {day}" if day else f"from {lake.primary}"
    state = build_silver(str(lake.root), label, day, spreads_tasks(), return_state=True)
    result = answer_of(state)
    if "error" in result:
        return {**result, "message": result["error"]}
    path = lake.silver / "as_of" / day if day else lake.silver / TABLE
    made = f"as of {day}" if day else f"from {result['generation']}"
    message = (
        f"silver {made}: {result['rows']:,} rows in {result['files']} files, "
        f"{result['files_written']} of them new"
    )
    v2 = lake.generation_folder(Generation.V2)
    if not result["rows"] and lake.primary is Generation.V1 and holds_data(v2):
        message += (
            "; note: readers see v1, of which the lake has no record. Silver is built from v2 once "
            "`cutover --execute --force REASON` has made it primary"
        )
    if aside:
        message += f"; the folder that was there is {aside} now"
    if left_out := result["rows_without_period_end"]:
        names = result["tickers_without_period_end"]
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        message += (
            f"; note: {counted(left_out, 'record')} without a period end left out "
            f"({', '.join(names[:_SHOWN])}{more})"
        )
    if moved:
        message += f"; {len(moved)} files of another tool moved out of it, such as {moved[0]}"
    seconds = round(time.monotonic() - started, 3)
    result |= {"moved_aside": aside, "moved_out": moved}
    return {**result, "as_of": day, "path": str(path), "seconds": seconds, "message": message}
