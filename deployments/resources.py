"""What the deployments rely on: work pool, rate limit, the key's Secret block."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

from prefect.blocks.system import Secret
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import (
    GlobalConcurrencyLimitCreate,
    GlobalConcurrencyLimitUpdate,
    WorkPoolCreate,
    WorkPoolUpdate,
)
from prefect.exceptions import ObjectNotFound

from deployments.declared import JsonObject
from deployments.steps import CREATE, Step, differences
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.http.decay import FREE_PLAN, DecayLimit
from polygon_fundamentals.server import LIMIT_NAME, SECRET_BLOCK
from polygon_fundamentals.settings import api_key, load_settings

TEMPLATES = Path(__file__).parent / "pools"


def pool(client: SyncPrefectClient, name: str, kind: str) -> Step:
    """Return the step of the work pool that the deployments name.

    A pool that exists keeps its type and whatever its owner has set; only a pool that was
    paused is started again.
    """
    try:
        existing = client.read_work_pool(name)
    except ObjectNotFound:
        return Step(
            f"work pool {name} ({kind})",
            (CREATE,),
            lambda: client.create_work_pool(
                WorkPoolCreate(
                    name=name,
                    type=kind,
                    description="Runs the flows of polygon-fundamentals.",
                    base_job_template=template(kind),
                )
            ),
        )
    return Step(
        f"work pool {name} ({existing.type})",
        differences({"is_paused": False}, {"is_paused": existing.is_paused}),
        lambda: client.update_work_pool(name, WorkPoolUpdate(is_paused=False)),
    )


def template(kind: str) -> JsonObject:
    """Return the job template of a new work pool.

    Raises:
        UsageError: there is no template for this type.
    """
    if kind == "process":
        from prefect.workers.process import ProcessWorker

        return ProcessWorker.get_default_base_job_template()
    try:
        read: JsonObject = json.loads((TEMPLATES / f"{kind}.json").read_text("utf-8"))
    except FileNotFoundError as error:
        known = ", ".join(["process", *sorted(p.stem for p in TEMPLATES.glob("*.json"))])
        raise UsageError(f"no job template for a {kind} pool; there are {known}") from error
    return read


def limit(client: SyncPrefectClient) -> Step:
    """Return the step of the rate limit.

    Its rate is POLYGON_REQUESTS_PER_MINUTE. Where that is not set, a limit that is there
    stays as it is (but active), and a new one is the free plan's.
    """
    allowance = load_settings().requests_per_minute
    name = f"rate limit {LIMIT_NAME}"
    try:
        existing = client.read_global_concurrency_limit_by_name(LIMIT_NAME)
    except ObjectNotFound:
        wanted = DecayLimit.within(allowance or FREE_PLAN)
        hint = "" if allowance else "; for another plan set POLYGON_REQUESTS_PER_MINUTE"
        return Step(
            name,
            (CREATE,),
            lambda: client.create_global_concurrency_limit(
                GlobalConcurrencyLimitCreate(
                    name=LIMIT_NAME,
                    limit=wanted.slots,
                    active=True,
                    slot_decay_per_second=wanted.decay,
                )
            ),
            f"at most {allowance or FREE_PLAN} requests in any minute{hint}",
        )
    present = DecayLimit(existing.limit, existing.slot_decay_per_second)
    wanted = DecayLimit.within(allowance) if allowance else present
    values = {"limit": wanted.slots, "slot_decay_per_second": wanted.decay, "active": True}
    return Step(
        name,
        differences(
            values,
            {
                "limit": present.slots,
                "slot_decay_per_second": present.decay,
                "active": existing.active,
            },
        ),
        lambda: client.update_global_concurrency_limit(
            LIMIT_NAME, GlobalConcurrencyLimitUpdate.model_validate(values)
        ),
        f"at most {wanted.worst_minute:.0f} requests in any minute",
    )


def secret(client: SyncPrefectClient) -> Step:
    """Return the step of the key's Secret block; without a key here, the block is left alone."""
    name = f"secret block {SECRET_BLOCK}"
    try:
        key = api_key()
    except UsageError:
        return Step(
            name, (), lambda: None, "no POLYGON_API_KEY here: the block stays as it is, if any"
        )
    try:
        client.read_block_document_by_name(SECRET_BLOCK, "secret")
    except ObjectNotFound:
        return Step(name, (CREATE,), lambda: Secret(value=key).save(SECRET_BLOCK, overwrite=True))
    # Its decorator, which takes `_sync`, is not part of its type.
    block = cast(Secret[str], Secret.load(SECRET_BLOCK, _sync=True))  # type: ignore[call-arg]
    changed = () if block.get() == key else ("the key was replaced",)
    return Step(name, changed, lambda: Secret(value=key).save(SECRET_BLOCK, overwrite=True))
