"""The flow runs of a sharded load: started on the pool, watched, and replaced where one died."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from prefect import get_run_logger
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import State as RunState
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.states import Cancelling, Crashed, Scheduled

from polygon_fundamentals import ledger
from polygon_fundamentals.errors import ApiError, UsageError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.server import SHARD_DEPLOYMENT
from tasks.pages import read_all

POLL_SECONDS = 2.0
# A shard that its worker began and that left no sign in the ledger is started again after this.
SILENT_SECONDS = ledger.SILENT_SECONDS
# How long what a worker elsewhere wrote may take to show on a file system that is shared.
SHOWS_SECONDS = 60.0
UNTAKEN_SECONDS = 600.0
ATTEMPTS = 3
_GOING_ON = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING]


@dataclass
class Shard:
    """One shard: its tickers' file and the flow run that has it now."""

    number: int
    tickers: list[str]
    file: Path
    run: UUID | None = None
    attempts: int = 0
    began: float = 0.0
    completed: float = 0.0
    entry: ledger.RunEntry | None = None
    problem: str = ""

    @property
    def open(self) -> bool:
        """Whether it is still to be waited for."""
        return self.entry is None and not self.problem


def carry_out(lake: Lake, shards: list[Shard], common: dict[str, object]) -> None:
    """Start every shard and wait until each has ended; replace the runs that died.

    A shard that a run of an earlier, interrupted call still loads is waited for, not started again.
    Ctrl-C and a cancellation cancel the shards.
    """
    try:
        with get_client(sync_client=True) as client:
            try:
                deployment = client.read_deployment_by_name(SHARD_DEPLOYMENT).id
            except ObjectNotFound as error:
                raise UsageError(
                    f"the deployment {SHARD_DEPLOYMENT} is not on the configured server; "
                    "`make deploy` registers it"
                ) from error
            going = _going_on(client, deployment, common)
            try:
                for shard in shards:
                    shard.run = going.get(tuple(shard.tickers))
                    if shard.run is None:
                        _start(client, deployment, shard, common)
                _wait(lake, client, shards, lambda shard: _start(client, deployment, shard, common))
            except BaseException as error:
                if not isinstance(error, Exception):  # Ctrl-C, or Prefect's TerminationSignal
                    _cancel(client, shards)
                raise
    except (httpx.HTTPError, PrefectException) as error:
        raise ApiError(
            f"the Prefect server stopped answering ({type(error).__name__}); the workers continue "
            "their shards. Run again when the server is back: what is done is skipped"
        ) from error


def _going_on(
    client: SyncPrefectClient, deployment: UUID, common: Mapping[str, object]
) -> dict[tuple[str, ...], UUID]:
    """Return tickers → the flow run of an earlier call that loads them with these parameters."""
    chosen = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[deployment]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_GOING_ON)),
    )
    going_on = read_all(
        lambda limit, offset: client.read_flow_runs(
            flow_run_filter=chosen, sort=FlowRunSort.ID_DESC, limit=limit, offset=offset
        )
    )
    runs: dict[tuple[str, ...], UUID] = {}
    for run in going_on:
        file = Path(str(run.parameters.get("tickers_file")))
        if file.is_file() and common.items() <= run.parameters.items():
            runs[tuple(file.read_text(encoding="utf-8").split())] = run.id
    return runs


def _cancel(client: SyncPrefectClient, shards: Sequence[Shard]) -> None:
    """Cancel the shards that have not ended; what they loaded stays."""
    log = get_run_logger()
    for shard in shards:
        if shard.run is not None and shard.open:
            try:
                client.set_flow_run_state(
                    shard.run, Cancelling(message="the sharded load was interrupted")
                )
            except (httpx.HTTPError, PrefectException) as error:
                log.warning(
                    "shard %d continues, since the server did not cancel it (%s): run the same "
                    "command again to wait for it, or `prefect flow-run cancel %s`",
                    shard.number,
                    type(error).__name__,
                    shard.run,
                )


def _wait(
    lake: Lake, client: SyncPrefectClient, shards: list[Shard], start: Callable[[Shard], None]
) -> None:
    """Wait until each shard has ended; start those again whose runs died."""
    log, taken = get_run_logger(), time.monotonic()
    while any(shard.open for shard in shards):
        time.sleep(POLL_SECONDS)
        ledger.close_crashed(lake)
        entries = {e.flow_run_id: e for e in ledger.read_entries(lake)[0]}
        for shard in filter(lambda shard: shard.open, shards):
            state = client.read_flow_run(_known(shard)).state
            if state and state.type is not StateType.SCHEDULED:
                taken = time.monotonic()
            lost = _look(shard, state, entries.get(str(shard.run)))
            if lost and shard.attempts >= ATTEMPTS:
                shard.problem = f"{lost} ({ATTEMPTS} times); check the workers"
            elif lost:
                log.warning("shard %d: %s; started again", shard.number, lost)
                client.set_flow_run_state(_known(shard), Crashed(message=lost), force=True)
                start(shard)
        if time.monotonic() - taken > UNTAKEN_SECONDS:
            log.warning(
                "no worker has taken any of the shards left for %d minutes: start another worker "
                "of the pool, or raise the limit of the one that carries out this run",
                UNTAKEN_SECONDS / 60,
            )
            taken = time.monotonic()


def _start(
    client: SyncPrefectClient, deployment: UUID, shard: Shard, common: dict[str, object]
) -> None:
    shard.attempts += 1
    shard.began = shard.completed = 0.0
    shard.run = client.create_flow_run_from_deployment(
        deployment,
        name=f"shard {shard.number} · {len(shard.tickers)} tickers"
        + (f" · try {shard.attempts}" if shard.attempts > 1 else ""),
        parameters={**common, "tickers_file": str(shard.file)},
        state=Scheduled(scheduled_time=datetime.now(UTC)),
        tags=["polygon-fundamentals", "shard"],
    ).id


def _known(shard: Shard) -> UUID:
    assert shard.run is not None, "asked of a shard that was never started"
    return shard.run


def _look(shard: Shard, state: RunState[Any] | None, entry: ledger.RunEntry | None) -> str:
    """Note what became of a shard; return why its run is lost, or an empty text."""
    kind = state.type if state else StateType.SCHEDULED
    state_text = ": ".join(filter(None, (state.name, state.message))) if state else ""
    if entry is not None and entry.outcome in (ledger.SUCCEEDED, ledger.FAILED):
        if entry.generations:
            shard.entry = entry
        else:
            shard.problem = entry.message or state_text
        return ""
    if kind in (StateType.CANCELLED, StateType.CANCELLING):
        shard.problem = "it was cancelled"
    elif entry is not None and entry.outcome in (ledger.CRASHED, ledger.INTERRUPTED):
        return f"its worker died ({entry.message})"
    elif kind is StateType.FAILED:
        shard.problem = state_text
    elif kind is StateType.CRASHED:
        return state_text
    elif kind is StateType.COMPLETED and entry is None:
        shard.completed = shard.completed or time.monotonic()
        if time.monotonic() - shard.completed > SHOWS_SECONDS:
            shard.problem = (
                f"it ended as {state_text!r}, but left nothing in this lake: look whether its "
                f"worker has the same lake, with {shard.file} in it, then run again"
            )
    elif kind in (StateType.RUNNING, StateType.PENDING) and entry is None:
        shard.began = shard.began or time.monotonic()
        if time.monotonic() - shard.began > SILENT_SECONDS:
            return "no sign of life from its worker"
    return ""
