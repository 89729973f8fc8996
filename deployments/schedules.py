"""Which schedules a deploy makes active, and which stay as somebody set them on the server.

A schedule that is on the server stays as it is there, unless it is to be otherwise than at the last
deploy: the `active` of prefect.yaml has changed since, or what a cutover or rollback switched has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import VariableCreate, VariableUpdate

from deployments.declared import Deployment, PrefectFile, Schedule
from deployments.steps import CREATE, Step, differences
from polygon_fundamentals.server import LAST_SCHEDULES, SWITCHED, schedule_key


@dataclass(frozen=True)
class Activity:
    """What decides whether a schedule is active, besides prefect.yaml and the schedule itself.

    `switched` (deployment → active) is what a cutover or rollback switched; it overrules
    prefect.yaml. `before` (deployment/slug → active) is what the last deploy or switch wanted, and
    lacks what none of them noted.
    """

    switched: Mapping[str, bool]
    before: Mapping[str, bool]

    def declared(self, deployment: Deployment) -> dict[str, bool]:
        """Return slug → whether the schedule is to be active, whatever the server has."""
        return {s.slug: self.switched.get(deployment.name, s.active) for s in deployment.schedules}

    def wanted(self, deployment: Deployment, stored: Mapping[str, bool]) -> dict[str, bool]:
        """Return slug → whether the schedule is active after a deploy; `stored`: as it is now."""
        wanted = self.declared(deployment)
        for slug, active in wanted.items():
            before = self.before.get(schedule_key(deployment.name, slug), active)
            if before == active:
                wanted[slug] = stored.get(slug, active)
        return wanted

    def left(self, deployment: Deployment, wanted: Mapping[str, bool]) -> list[str]:
        """Return a sentence for each schedule that stays otherwise than declared."""
        declared = self.declared(deployment)
        return [
            self._left(deployment, schedule, wanted[schedule.slug])
            for schedule in deployment.schedules
            if wanted[schedule.slug] != declared[schedule.slug]
        ]

    def _left(self, deployment: Deployment, schedule: Schedule, active: bool) -> str:
        name = "its schedule" if len(deployment.schedules) == 1 else f"schedule {schedule.slug}"
        declared = f"{_word(not active)} in prefect.yaml"
        if deployment.name in self.switched:
            declared = f"was made {_word(not active)} by the last cutover or rollback"
        return f"{name} is {_word(active)} on the server and {declared}; left {_word(active)}"

    def overruled(self, deployment: Deployment, wanted: Mapping[str, bool]) -> str:
        """Return a sentence where prefect.yaml is overruled by a switch, else an empty text."""
        active = self.switched.get(deployment.name)
        if active is None or set(wanted.values()) != {active}:
            return ""
        if all(schedule.active == active for schedule in deployment.schedules):
            return ""
        return f"schedules stay {_word(active)}: a cutover switched them"


def read(client: SyncPrefectClient) -> Activity:
    """Return what the server's variables note of schedules."""
    return Activity(_noted(client, SWITCHED) or {}, _noted(client, LAST_SCHEDULES) or {})


def switched(client: SyncPrefectClient) -> Step:
    """Return the step of the variable in which a cutover notes the schedules it switched.

    What it holds is never touched: a deploy after the cutover must not wake v1's schedules.
    """
    there = _noted(client, SWITCHED) is not None
    return Step(
        f"variable {SWITCHED}",
        () if there else (CREATE,),
        lambda: client.create_variable(VariableCreate(name=SWITCHED, value={})),
    )


def last(client: SyncPrefectClient, file: PrefectFile) -> Step:
    """Return the step of the variable that notes which schedules were to be active.

    It must be the last one: a deploy that is cut off has not carried out what it would note.
    """
    activity = read(client)
    wanted = {
        schedule_key(deployment.name, slug): active
        for deployment in file.deployments
        for slug, active in activity.declared(deployment).items()
    }
    name, there = LAST_SCHEDULES, _noted(client, LAST_SCHEDULES) is not None
    if not there:
        return Step(
            f"variable {name}",
            (CREATE,),
            lambda: client.create_variable(VariableCreate(name=name, value={**wanted})),
        )
    return Step(
        f"variable {name}",
        differences({**dict.fromkeys(activity.before), **wanted}, activity.before),
        lambda: client.update_variable(VariableUpdate(name=name, value={**wanted})),
    )


def _noted(client: SyncPrefectClient, name: str) -> dict[str, bool] | None:
    """Return what a variable holds; None where it is not there."""
    stored = client.read_variable_by_name(name)
    if stored is None:
        return None
    value = stored.value
    return {str(k): bool(v) for k, v in value.items()} if isinstance(value, dict) else {}


def _word(active: bool) -> str:
    return "active" if active else "inactive"
