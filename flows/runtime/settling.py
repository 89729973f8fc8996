"""Runs that a worker left behind when it died."""

from __future__ import annotations

from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, WorkPoolFilter
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Cancelled, Crashed, State

_PAGE = 200
_UNDER_WAY = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
_MESSAGE = "its worker ended before it did; the next run continues where this one stopped"


def settle_runs(client: SyncPrefectClient, pool: str) -> list[str]:
    """End every run of a pool that is still under way; return their names.

    Only for a pool that has no worker: nobody carries such a run on, and until it ends it holds
    its deployment's place, so that each later run is cancelled. A run that was being cancelled
    is Cancelled, the others are Crashed.
    """
    names = []
    while runs := _under_way(client, pool):
        for run in runs:
            cancelling = run.state_type is StateType.CANCELLING
            state: State[Any] = (Cancelled if cancelling else Crashed)(message=_MESSAGE)
            # Forced, so that no rule refuses it; its slot is released either way.
            client.set_flow_run_state(run.id, state, force=True)
            names.append(run.name)
    return names


def _under_way(client: SyncPrefectClient, pool: str) -> list[FlowRun]:
    return client.read_flow_runs(
        flow_run_filter=FlowRunFilter.model_validate({"state": {"type": {"any_": _UNDER_WAY}}}),
        work_pool_filter=WorkPoolFilter.model_validate({"name": {"any_": [pool]}}),
        limit=_PAGE,
    )
