"""The deployments and their schedules: what differs on a server, and its correction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import (
    DeploymentScheduleCreate,
    DeploymentScheduleUpdate,
    DeploymentUpdate,
)
from prefect.client.schemas.objects import ConcurrencyOptions
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectNotFound
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from pydantic.fields import FieldInfo

from deployments.declared import Deployment, JsonObject, PrefectFile, Schedule
from deployments.schedules import Activity
from deployments.steps import CREATE, Step, differences
from polygon_fundamentals.server import RETIRED_TAG


@dataclass(frozen=True)
class _Settings:
    """What can differ between a deployment as declared and as the server has it."""

    entrypoint: str | None
    description: str | None
    tags: list[str]
    parameters: Mapping[str, object]
    schedules: Mapping[str, list[object]]  # slug → cron, timezone, whether it is active
    concurrency_limit: int | None
    collision_strategy: str | None
    work_pool: str | None
    job_variables: Mapping[str, object] | None
    pull_steps: list[JsonObject] | None
    parameter_openapi_schema: JsonObject | None
    enforce_parameter_schema: bool


def steps(client: SyncPrefectClient, file: PrefectFile, activity: Activity) -> list[Step]:
    """Return one step per deployment; `activity` says which schedules are active."""
    return [_step(client, file, declared, activity) for declared in file.deployments]


def _step(
    client: SyncPrefectClient, file: PrefectFile, declared: Deployment, activity: Activity
) -> Step:
    flow: Flow[..., Any] = load_flow_from_entrypoint(
        declared.entrypoint, use_placeholder_flow=False
    )
    name = f"{flow.name}/{declared.name}"
    try:
        present = client.read_deployment_by_name(name)
    except ObjectNotFound:
        active = activity.declared(declared)
        wanted = _wanted(flow, file, declared, active)
        return Step(
            name,
            (CREATE,),
            lambda: client.create_deployment(
                flow_id=client.create_flow_from_name(flow.name),
                name=declared.name,
                schedules=[
                    DeploymentScheduleCreate(**_schedule(s, active)) for s in declared.schedules
                ],
                **_sent(wanted, declared),
            ),
            activity.overruled(declared, active),
        )

    if RETIRED_TAG in present.tags:
        return Step(name, (), lambda: None, "retired by `cleanup`: left alone")
    active = activity.wanted(declared, {s.slug: s.active for s in present.schedules if s.slug})
    wanted, stored = _wanted(flow, file, declared, active), _as_stored(present)
    left = activity.left(declared, active)
    if present.paused:
        left.append("it is paused on the server; left paused")
    note = "; ".join([*filter(None, [activity.overruled(declared, active)]), *left])

    def update() -> None:
        _update(client, present, declared, active, wanted, stored)

    return Step(name, differences(vars(wanted), vars(stored)), update, note, is_left=bool(left))


def _update(
    client: SyncPrefectClient,
    present: DeploymentResponse,
    declared: Deployment,
    active: Mapping[str, bool],
    wanted: _Settings,
    stored: _Settings,
) -> None:
    """Make a deployment on the server as it is declared."""
    same_slugs = wanted.schedules.keys() == stored.schedules.keys()
    sent = _sent(wanted, declared)
    if not same_slugs:
        # Sent, though empty: a list that is left out keeps the old schedules, and active.
        sent["schedules"] = [
            DeploymentScheduleUpdate(**_schedule(s, active)) for s in declared.schedules
        ]
    client.update_deployment(present.id, DeploymentUpdate(**sent))
    if same_slugs:
        # One by one they keep their ids, which a cutover's journal may hold.
        by_slug = {s.slug: s.id for s in present.schedules}
        for schedule in declared.schedules:
            if wanted.schedules[schedule.slug] != stored.schedules[schedule.slug]:
                client.update_deployment_schedule(
                    present.id,
                    by_slug[schedule.slug],
                    active=active[schedule.slug],
                    schedule=CronSchedule(cron=schedule.cron, timezone=schedule.timezone),
                )


def _sent(wanted: _Settings, declared: Deployment) -> dict[str, Any]:
    """Return what is sent whether a deployment is created or changed; schedules aside."""
    elsewhere = ("schedules", "collision_strategy", "work_pool")
    same = {name: value for name, value in vars(wanted).items() if name not in elsewhere}
    limit = declared.concurrency_limit
    options = limit and ConcurrencyOptions.model_validate(
        {"collision_strategy": limit.collision_strategy}
    )
    return same | {"work_pool_name": declared.work_pool.name, "concurrency_options": options}


def _wanted(
    flow: Flow[..., Any], file: PrefectFile, declared: Deployment, active: Mapping[str, bool]
) -> _Settings:
    limit = declared.concurrency_limit
    return _Settings(
        entrypoint=declared.entrypoint,
        description=declared.description,
        tags=sorted(declared.tags),
        parameters=declared.parameters,
        schedules={s.slug: [s.cron, s.timezone, active[s.slug]] for s in declared.schedules},
        concurrency_limit=limit.limit if limit else None,
        collision_strategy=limit.collision_strategy if limit else None,
        work_pool=declared.work_pool.name,
        job_variables=declared.work_pool.job_variables,
        pull_steps=file.pull_steps(),
        parameter_openapi_schema=form(flow),
        enforce_parameter_schema=True,
    )


def form(flow: Flow[..., Any]) -> JsonObject:
    """Return the schema of a flow's parameters, with the descriptions of their annotations.

    Prefect takes descriptions from docstrings only and drops those of `Field`.
    """
    schema = parameter_schema(flow).model_dump(mode="json", exclude_unset=True)
    for name, hint in get_type_hints(flow.fn, include_extras=True).items():
        marks = getattr(hint, "__metadata__", ())
        descriptions = [mark.description for mark in marks if isinstance(mark, FieldInfo)]
        if name in schema["properties"] and any(descriptions):
            schema["properties"][name]["description"] = descriptions[-1]
    return schema


def _as_stored(present: DeploymentResponse) -> _Settings:
    """Return a deployment's settings as the server has them."""
    limit, options = present.global_concurrency_limit, present.concurrency_options
    return _Settings(
        entrypoint=present.entrypoint,
        description=present.description,
        tags=sorted(present.tags),
        parameters=present.parameters,
        schedules={
            s.slug or str(s.id): [
                getattr(s.schedule, "cron", str(s.schedule)),
                s.schedule.timezone if isinstance(s.schedule, CronSchedule) else None,
                s.active,
            ]
            for s in present.schedules
        },
        concurrency_limit=limit.limit if limit else None,
        collision_strategy=(
            options.collision_strategy.value if limit and options is not None else None
        ),
        work_pool=present.work_pool_name,
        job_variables=present.job_variables,
        pull_steps=present.pull_steps,
        parameter_openapi_schema=present.parameter_openapi_schema,
        enforce_parameter_schema=present.enforce_parameter_schema,
    )


def _schedule(schedule: Schedule, active: Mapping[str, bool]) -> dict[str, Any]:
    """Return what is sent of a schedule."""
    return {
        "schedule": CronSchedule(cron=schedule.cron, timezone=schedule.timezone),
        "active": active[schedule.slug],
        "slug": schedule.slug,
    }
