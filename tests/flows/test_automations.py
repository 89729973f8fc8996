"""Which automation tells of a run that failed, as Prefect's server decides it."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.server.events.schemas.automations import EventTrigger
from prefect.server.events.schemas.events import ReceivedEvent

from deployments import automations
from deployments.declared import Deployment, read

DECLARED = read().deployments


def event(deployment: Deployment, name: str) -> ReceivedEvent:
    """Return the event of a run of a deployment, with what Prefect relates to it."""
    flow = deployment.entrypoint.rpartition(".")[2].replace("_", "-")
    related = [("flow", f"prefect.flow.{uuid4()}", flow)]
    related += [("deployment", f"prefect.deployment.{uuid4()}", deployment.name)]
    related += [("tag", f"prefect.tag.{tag}", tag) for tag in [*deployment.tags, "auto-scheduled"]]
    return ReceivedEvent.model_validate(
        {
            "id": uuid4(),
            "occurred": datetime.now(UTC),
            "received": datetime.now(UTC),
            "event": f"prefect.flow-run.{name}",
            "resource": {"prefect.resource.id": f"prefect.flow-run.{uuid4()}"},
            "related": [
                {
                    "prefect.resource.role": role,
                    "prefect.resource.id": identity,
                    "prefect.resource.name": name,
                }
                for role, identity, name in related
            ],
        }
    )


@pytest.mark.parametrize("name", ["Failed", "Crashed", "TimedOut", "Late"])
def test_one_automation_tells_of_each_run(name: str) -> None:
    with get_client(sync_client=True) as client:
        triggers = {
            automation: EventTrigger.model_validate(
                automations._call_of(client, automation).trigger.model_dump(mode="json")
            )
            for automation in automations._RUNS
        }
    for deployment in DECLARED:
        happened = event(deployment, name)
        sending = [
            automation for automation, trigger in triggers.items() if trigger.covers(happened)
        ]
        words = "parity failed" if deployment.name == "parity-nightly" else "a run failed"
        words = "a run is late" if name == "Late" else words
        assert sending == [f"polygon-fundamentals: {words}"], deployment.name
