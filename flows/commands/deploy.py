"""The command `deploy`: make the configured Prefect server as prefect.yaml declares."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from flows.parameters.declaration import Flag, Parameters
from flows.runtime import quiet
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.settings import server_configured


class DeployParameters(Parameters):
    """What a deploy may change."""

    plan: Annotated[bool, Flag(help="only print what would change")] = False
    pool_type: Annotated[
        Literal["process", "docker", "kubernetes"],
        Flag(help="type of the work pool, if it has to be created"),
    ] = "process"


def run(given: DeployParameters, as_json: bool) -> int:
    """Deploy, read back, and print what changed."""
    quiet.import_prefect()
    from deployments.apply import deploy

    if not server_configured():
        raise UsageError(
            "no Prefect server is configured: set PREFECT_API_URL (or `prefect cloud login`), or "
            "try `make serve`, which starts one here"
        )
    done = deploy(plan=given.plan, pool_type=given.pool_type, with_image=True)
    if as_json:
        steps = [
            {"name": s.name, "ok": not s.changes, "detail": "; ".join(s.changes) or s.note}
            for s in done.steps
        ]
        print(json.dumps({"server": done.server, "changes": done.changes, "steps": steps}))
        return 0
    for step in done.steps:
        note = f"  ({step.note})" if step.note else ""
        print(f"{'!' if step.changes else ' '} {step.name}{note}")
        for change in step.changes:
            print(f"    {change}")
    if given.plan:
        print(f"{done.changes} of {len(done.steps)} objects would change on {done.server}")
    else:
        but = f", but for {done.left} left as set on the server" if done.left else ""
        print(
            f"{done.changes} of {len(done.steps)} objects changed on {done.server}; "
            f"all are as declared{but}"
        )
    return 0
