"""The command `serve`: server, worker and deployments on this machine, to try it out."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated

from deployments.steps import CREATE, Step
from flows.parameters.declaration import Flag, Parameters
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.server import LIMIT_NAME
from polygon_fundamentals.settings import api_key, load_settings, server_configured


class ServeParameters(Parameters):
    """A Prefect server on this machine."""

    port: Annotated[int, Flag(metavar="N", help="port of the server and its UI")] = 4200


def run(given: ServeParameters, _: bool) -> int:
    """Serve until Ctrl-C; return 0."""
    if server_configured():
        raise UsageError(
            "a Prefect server is configured already (PREFECT_API_URL, or the active profile): "
            "`make deploy` and `prefect worker start --pool fundamentals` use it; to try one here, "
            "unset it (`prefect config unset PREFECT_API_URL`)"
        )
    api_key()
    load_settings()
    signal.signal(signal.SIGTERM, _interrupt)
    from flows.runtime import serving

    home = Path(os.environ.get("PREFECT_HOME") or Path.home() / ".prefect")
    home.mkdir(parents=True, exist_ok=True)
    log = home / "polygon-fundamentals-server.log"
    print(f"starting a Prefect server (its log: {log})", flush=True)
    try:
        with serving.server(given.port, log) as server:
            os.environ["PREFECT_API_URL"] = server.api
            from prefect.client.orchestration import get_client

            from deployments.apply import deploy
            from deployments.declared import read
            from flows.runtime.settling import settle_runs

            done = deploy(plan=False)
            print(
                f"{len(done.steps)} objects on the server, {done.changes} of them new or changed",
                flush=True,
            )
            print(rate_limit_line(done.steps, load_settings().requests_per_minute), flush=True)
            pool = read().deployments[0].work_pool.name
            with get_client(sync_client=True) as client:
                for name in settle_runs(client, pool):
                    print(f"set to Crashed: {name}, because its worker had died", flush=True)
            with serving.worker(server, pool, None) as worker:
                print(f"look at {server.url}; Ctrl-C ends everything", flush=True)
                code = worker.wait()
                raise serving.ServingError(
                    f"the worker ended by itself (exit {code}); the lines above say why"
                )
    except KeyboardInterrupt:
        print("\nstopped the server and the worker; schedules do not run until the next start")
    return 0


def rate_limit_line(steps: Sequence[Step], requests_per_minute: int | None) -> str:
    """Return in a line which rate limit the runs share, why, and how to change it."""
    [step] = [step for step in steps if step.name == f"rate limit {LIMIT_NAME}"]
    limit = step.note.partition(";")[0]
    change = "set POLYGON_REQUESTS_PER_MINUTE to what your plan allows, then run this again"
    if requests_per_minute is not None:
        why = "as POLYGON_REQUESTS_PER_MINUTE says"
        change = "change it there, then run this again"
    elif CREATE in step.changes:
        why = "as the free plan allows, since POLYGON_REQUESTS_PER_MINUTE is not set"
    else:
        why = "as this server has it from before, since POLYGON_REQUESTS_PER_MINUTE is not set"
    return f"rate limit: {limit}, {why}; {change}"


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
