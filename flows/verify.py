"""`verify`: every file of the lake against what was recorded of it."""

from __future__ import annotations

from prefect import flow

from flows.parameters.switch import VerifyParameters
from flows.runs import Report
from flows.signature import takes
from flows.switching import recorded, switch_context
from polygon_fundamentals.cutover.verify import verify as verify_lake
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.settings import existing_lake_root


@flow(name="verify", persist_result=False)
@takes(VerifyParameters)
def verify(given: VerifyParameters) -> Report:
    """Compare every file of the lake with its recorded hash. The run fails if one differs."""
    where = Lake(existing_lake_root(given.lake))
    say = switch_context(where).say
    return recorded(where, "verify", {}, lambda: verify_lake(where, say))
