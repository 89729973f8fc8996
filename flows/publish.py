"""`publish`: silver, and bronze's current records, as Delta Lake tables for readers elsewhere."""

from __future__ import annotations

import time

from prefect import flow, runtime

from flows.parameters.lake import PublishParameters
from flows.runs import Report, recorded_run, wait_for_silver
from flows.runtime.artifacts import publish_text
from flows.signature import takes
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.publish.target import PublishChoices, Target
from polygon_fundamentals.settings import existing_lake_root, publish_url
from tasks.publish import publish_tables
from tasks.states import answer_of


def _run_name() -> str:
    return f"publish to {runtime.flow_run.parameters.get('to') or 'QUANTLAKE_PUBLISH_URL'}"


@flow(name="publish", flow_run_name=_run_name, persist_result=False)
@takes(PublishParameters)
def publish(given: PublishParameters) -> Report:
    """Publish silver as Delta Lake tables in a folder or an object store.

    Only what changed is written. Each table gets one commit per build, with the build, its
    generation and the run in the metadata. `bronze` adds the current records of the generation that
    silver was built from. Credentials come from the worker's environment or from a Secret block,
    never from a parameter.

    A run of the deployment waits, for an hour at most, until silver is built.
    """
    where = Lake(existing_lake_root(given.lake))
    to = Target.of(publish_url(given.to)).url
    wait_for_silver(where)
    with recorded_run("publish", where, {"to": to, "bronze": given.bronze}) as run:
        result = _published(where, to, run.id, given)
        code = int(result["exit_code"])
        run.report.update(ok=code == 0, message=result["message"], published=result)
    if code == 0:
        publish_text("publish", str(result["message"]), "The published tables.")
    return {**result, "lake": str(where.root), "run": run.id}


def _published(lake: Lake, to: str, run: str, given: PublishParameters) -> Report:
    started = time.monotonic()
    choices = PublishChoices(given.bronze, given.keep_days, given.take_over)
    state = publish_tables(
        str(lake.root), to, run, to, given.credentials_block, choices, return_state=True
    )
    result = answer_of(state)
    if "error" in result:
        return {"to": to, **result, "message": result["error"]}
    return {**result, "seconds": round(time.monotonic() - started, 3), "exit_code": 0}
