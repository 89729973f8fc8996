"""The schedules of this project's deployments on the configured Prefect server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import PrefectException

from polygon_fundamentals.cutover.rehearsal import rehearsal_of
from polygon_fundamentals.cutover.schedules import NoSchedules, Recorded, Schedules
from polygon_fundamentals.errors import ApiError, UsageError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.server import PARITY_TAG, RETIRED_TAG, TAG, without_credentials
from polygon_fundamentals.settings import is_default_lake, server_configured
from tasks.pages import read_all
from tasks.switched import note_switched

GENERATIONS = ("v1", "v2", "both")
GOING_ON = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]


class ServerError(ApiError):
    """The Prefect server did not do what was asked of it."""


def schedules_of(lake: Lake) -> Schedules:
    """Return the schedules of the configured server.

    None without one, and none for a copy to rehearse on: those on the server are of the lake that
    was copied.
    """
    if not server_configured():
        return NoSchedules()
    if rehearsal_of(lake) is not None:
        return NoSchedules(
            "this is a copy to rehearse on, and the server's schedules stay as they are",
            left_alone=True,
        )
    return ServerSchedules(lake)


class ServerSchedules:
    """Schedules as the server has them: of parity, and of deployments with a `generation`.

    Those of another lake are left alone: their `lake` parameter names it, or they have none
    and QUANTLAKE_ROOT names it.
    """

    why_none = "no server was configured when this switch began"

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def recorded(self) -> Recorded | None:
        """Return every schedule of the deployments of this lake."""
        with _server() as client:
            return self._recorded(client)

    def _recorded(self, client: SyncPrefectClient) -> Recorded:
        return [
            {
                "deployment": deployment.name,
                "deployment_id": str(deployment.id),
                "schedule_id": str(schedule.id),
                "slug": schedule.slug,
                "generation": _generation(deployment),
                "active": schedule.active,
            }
            for deployment in self._deployments(client)
            for schedule in deployment.schedules
        ]

    def apply(self, wanted: Recorded) -> None:
        """Make every schedule as active as `wanted` says, and read that back."""
        with _server() as client:
            there = self._recorded(client)
            now = {entry["schedule_id"]: entry["active"] for entry in there}
            targets = _as_wanted(there, wanted)
            for entry in targets:
                name = entry["schedule_id"]
                if now[name] != entry["active"]:
                    client.update_deployment_schedule(
                        UUID(entry["deployment_id"]), UUID(name), active=entry["active"]
                    )
            applied = {entry["schedule_id"]: entry["active"] for entry in self._recorded(client)}
            for entry in targets:
                if applied.get(entry["schedule_id"], entry["active"]) != entry["active"]:
                    raise ServerError(
                        f"the schedule of {entry['deployment']} is not as it was set; look at it "
                        "in the Prefect UI, then run again"
                    )
            note_switched(client, wanted)

    def running(self, generations: Sequence[str]) -> list[str]:
        """Return the names of the flow runs of these generations that are going on.

        Runs of our deployments have the deployments' tag. A run that was started by hand has none;
        the lock on the lake waits for it.
        """
        ours = FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=GOING_ON)),
            tags=FlowRunFilterTags(all_=[TAG]),
        )
        with _server() as client:
            runs = read_all(
                lambda limit, offset: client.read_flow_runs(
                    flow_run_filter=ours, sort=FlowRunSort.ID_DESC, limit=limit, offset=offset
                )
            )
        return [
            run.name
            for run in runs
            if run.parameters.get("generation") in generations
            and self._is_mine(run.name, run.parameters)
        ]

    def retire(self, generations: Sequence[str]) -> list[str]:
        """Pause the deployments themselves and tag them, so that nothing starts them again."""
        names = []
        with _server() as client:
            for deployment in self._deployments(client):
                if _generation(deployment) in generations:
                    tags = sorted({*deployment.tags, RETIRED_TAG})
                    change = DeploymentUpdate(paused=True, tags=tags)
                    client.update_deployment(deployment.id, change)
                    names.append(deployment.name)
        return names

    def reinstate(self, generations: Sequence[str]) -> list[str]:
        """Undo `retire`, and read that back; return the names of what had been retired."""
        with _server() as client:
            retired = self._retired(client, generations)
            for deployment in retired:
                tags = [tag for tag in deployment.tags if tag != RETIRED_TAG]
                client.update_deployment(deployment.id, DeploymentUpdate(paused=False, tags=tags))
            left = self._retired(client, generations)
        if left:
            raise ServerError(
                f"the deployment {left[0].name} is still retired; look at it in the Prefect UI, "
                "then run again"
            )
        return [deployment.name for deployment in retired]

    def _retired(
        self, client: SyncPrefectClient, generations: Sequence[str]
    ) -> list[DeploymentResponse]:
        return [
            d
            for d in self._deployments(client)
            if _generation(d) in generations and RETIRED_TAG in d.tags
        ]

    def _deployments(self, client: SyncPrefectClient) -> list[DeploymentResponse]:
        return [
            d
            for d in read_all(
                lambda limit, offset: client.read_deployments(limit=limit, offset=offset)
            )
            if TAG in d.tags
            and _generation(d) in GENERATIONS
            and self._is_mine(d.name, d.parameters)
        ]

    def _is_mine(self, name: str, parameters: dict[str, object]) -> bool:
        """Return whether a deployment or run loads this lake.

        Raises:
            UsageError: it names no lake, and nothing here says which one that is.
        """
        named = parameters.get("lake")
        if named is not None:
            return Path(str(named)).resolve() == self._lake.root.resolve()
        mine = is_default_lake(self._lake.root)
        if mine is None:
            raise UsageError(
                f"{name} on the Prefect server names no lake, so it loads the one that "
                "QUANTLAKE_ROOT names to its worker; here QUANTLAKE_ROOT is not set. Set it to "
                f"the lake that the deployment loads, such as {self._lake.root}, and run again"
            )
        return mine


def _generation(deployment: DeploymentResponse) -> str:
    """Return which generation a deployment loads; parity compares both."""
    if PARITY_TAG in deployment.tags:
        return "both"
    return str(deployment.parameters.get("generation", ""))


def _as_wanted(there: Recorded, wanted: Recorded) -> Recorded:
    """Return the schedules that are there as they should be.

    A deployment that was registered anew has schedules with other ids: what was wanted of those
    that are gone holds for those of the same slug, or for all where there is none.

    Raises:
        ServerError: a deployment that should run has no schedule.
    """
    by_id = {entry["schedule_id"]: entry["active"] for entry in wanted}
    ids = {entry["schedule_id"] for entry in there}
    names = {entry["deployment"] for entry in there}
    gone: dict[str, bool] = {}
    by_slug: dict[tuple[str, str], bool] = {}
    for entry in wanted:
        if entry["schedule_id"] not in ids:
            name = entry["deployment"]
            gone[name] = gone.get(name, False) or entry["active"]
            if slug := entry.get("slug"):
                by_slug[name, slug] = entry["active"]
    if missing := sorted(name for name, active in gone.items() if active and name not in names):
        raise ServerError(
            f"{', '.join(missing)} should run, but has no schedule on the server; register it with "
            "`make deploy`, then run again"
        )
    targets: Recorded = []
    for entry in there:
        name = entry["deployment"]
        active = by_id.get(entry["schedule_id"])
        if active is None:
            active = by_slug.get((name, entry.get("slug") or ""), gone.get(name))
        if active is not None:
            targets.append({**entry, "active": active})
    return targets


@contextmanager
def _server() -> Iterator[SyncPrefectClient]:
    """Yield a client of the server.

    Raises:
        ServerError: it does not answer, or refuses.
    """
    try:
        with get_client(sync_client=True) as client:
            yield client
    except (PrefectException, httpx.HTTPError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        reason = without_credentials(first_line)[:160]
        raise ServerError(
            f"the Prefect server does not answer ({reason}); start it or correct PREFECT_API_URL, "
            "then run again"
        ) from error
