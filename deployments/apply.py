"""A deploy: plan, apply, and read back that the server is as declared."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.deployments.steps.core import StepExecutionError, run_steps
from prefect.exceptions import PrefectException

from deployments import automations, declared, register, resources, schedules
from deployments.steps import Step
from polygon_fundamentals.errors import ApiError, UsageError
from polygon_fundamentals.server import without_credentials


@dataclass(frozen=True)
class Done:
    """What differed on a server, step by step."""

    server: str
    steps: list[Step]

    @property
    def changes(self) -> int:
        """How many steps differ, or differed before they were applied."""
        return sum(bool(step.changes) for step in self.steps)

    @property
    def left(self) -> int:
        """How many steps leave something as somebody set it on the server."""
        return sum(step.is_left for step in self.steps)


def deploy(
    *,
    plan: bool,
    pool_type: str = "process",
    file: Path = declared.FILE,
    with_image: bool = False,
) -> Done:
    """Make the configured server as declared, or with `plan` only return what differs.

    With `with_image`, first carry out the steps under `build:` and `push:`.

    Raises:
        UsageError: the declaration is unusable.
        ApiError: the server does not answer, or is otherwise than declared after the deploy.
    """
    wanted = declared.read(file)
    with _connected() as client:
        # Read once: the last step notes it anew, and what the others set is read back by it.
        activity = schedules.read(client)
        steps = _steps(client, wanted, pool_type, activity)
        if plan:
            return Done(without_credentials(str(client.api_url)), steps)
        if with_image:
            make_image(wanted)
        for step in steps:
            if step.changes:
                step.apply()
        left = [
            f"{step.name} ({'; '.join(step.changes)})"
            for step in _steps(client, wanted, pool_type, activity)
            if step.changes
        ]
        if left:
            raise ApiError(
                f"after the deploy the server is not as declared: {', '.join(left)}; "
                "somebody else may be changing it. Run the deploy again"
            )
        return Done(without_credentials(str(client.api_url)), steps)


def make_image(wanted: declared.PrefectFile) -> None:
    """Carry out the steps that build and push an image, where `prefect.yaml` names some.

    Raises:
        UsageError: a step failed; nothing was changed on the server.
    """
    steps = [*(wanted.build or ()), *(wanted.push or ())]
    if not steps:
        return
    try:
        asyncio.run(run_steps(steps, print_function=partial(print, file=sys.stderr)))
    except (StepExecutionError, RuntimeError) as error:
        reason = " ".join(str(error.__cause__ or error).split())[:300]
        raise UsageError(
            "a step under build: or push: of prefect.yaml failed, so nothing was deployed: "
            f"{reason}"
        ) from error


def _steps(
    client: SyncPrefectClient,
    wanted: declared.PrefectFile,
    kind: str,
    activity: schedules.Activity,
) -> list[Step]:
    names = dict.fromkeys(d.work_pool.name for d in wanted.deployments)
    return [
        *(resources.pool(client, name, kind) for name in names),
        resources.limit(client),
        resources.secret(client),
        schedules.switched(client),
        *automations.steps(client),
        *register.steps(client, wanted, activity),
        schedules.last(client, wanted),
    ]


@contextmanager
def _connected() -> Iterator[SyncPrefectClient]:
    try:
        with get_client(sync_client=True) as client:
            yield client
    except (httpx.HTTPError, PrefectException) as error:
        text = without_credentials(" ".join(str(error).split()))[:300]
        raise ApiError(
            f"the Prefect server refused or did not answer ({type(error).__name__}: {text}); "
            "check PREFECT_API_URL (and PREFECT_API_KEY) and that the server is up"
        ) from error
