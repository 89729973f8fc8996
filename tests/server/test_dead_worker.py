"""A worker that is killed: the server ends its run, and the deployment's next run takes place."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.server.world import World, until

pytestmark = pytest.mark.slow
OFTEN = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}  # the least that Prefect takes


def processes_below(parent: int) -> list[int]:
    """Return the process and all that it started, parents first."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(int(fields[1]), []).append(int(folder.name))
    below, processes = [parent], []
    while below:
        processes.append(below.pop())
        below += children.get(processes[-1], [])
    return processes


def heartbeats(served: World, run: str) -> int:
    """Return how many heartbeats of a run have reached the server."""
    wanted = {"event": {"name": ["prefect.flow-run.heartbeat"]}}
    events = served.api("/events/filter", {"filter": wanted, "limit": 50})["events"]
    return [event["resource"]["prefect.resource.id"] for event in events].count(
        f"prefect.flow-run.{run}"
    )


def test_a_run_whose_worker_is_killed_is_crashed_and_the_next_one_runs(served: World) -> None:
    assert served.run("deploy", **OFTEN).returncode == 0
    assert served.run("deploy", "--plan", **OFTEN).stdout.splitlines()[-1].startswith("0 of ")
    place = f"/deployments/{served.deployments()['history-v2']['id']}/create_flow_run"
    body = {"parameters": {"tickers": ["NAN", "SBX.A"]}, "state": {"type": "SCHEDULED"}}

    def state(run: str) -> str:
        return str(served.api(f"/flow_runs/{run}", method="GET")["state"]["type"])

    served.sandbox.latency = 60.0
    try:
        with served.worker("killed", **OFTEN) as worker:
            first = served.api(place, body)["id"]
            until(lambda: heartbeats(served, first), 120, "a heartbeat of the run")
            for process in processes_below(worker.pid):
                os.kill(process, signal.SIGKILL)
        assert state(first) == "RUNNING"
    finally:
        served.sandbox.latency = 0.0
    until(lambda: state(first) == "CRASHED", 240, "the server ended the run")
    message = served.api(f"/flow_runs/{first}", method="GET")["state"]["message"]
    assert message == "no heartbeat for 90 s: its worker died"
    with served.worker("next", **OFTEN):
        second = served.api(place, body)["id"]
        ended = until(
            lambda: state(second) in ("COMPLETED", "FAILED", "CRASHED") and state(second),
            180,
            "the next run",
        )
    assert ended == "COMPLETED"
