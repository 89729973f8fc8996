"""Runs of deployments in this process, on the tests' Prefect server."""

from __future__ import annotations

from typing import Any

from prefect import Flow, State
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow

from polygon_fundamentals.lake import Lake


def deployed(flow: Flow[Any, Any], lake: Lake) -> State[Any]:
    """Carry out a run of a deployment of a flow, as a worker does; return its end state."""
    with get_client(sync_client=True) as client:
        deployment = client.create_deployment(client.create_flow(flow), name="nightly")
        run = client.create_flow_run_from_deployment(deployment)
    state: State[Any] = run_flow(
        flow, flow_run=run, parameters={"lake": str(lake.root)}, return_type="state"
    )
    return state
