"""The automations: runs whose worker died are ended, and a webhook is told of what fails.

Only a run's heartbeats tell the server that it is alive. Without the first automation, a run whose
worker was killed stays Running, and holds its deployment's place against every later run.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import cast
from uuid import UUID

from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events import ResourceSpecification
from prefect.events.actions import CallWebhook, ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings

from deployments.steps import CREATE, Step, differences
from polygon_fundamentals.errors import UsageError

WEBHOOK_VARIABLE = "POLYGON_NOTIFY_WEBHOOK"
BLOCK = "polygon-fundamentals-notify"
TAG = "polygon-fundamentals"
# `tojson`, since a message may hold quotes, backslashes and line ends.
_PAYLOAD = (
    '{"text": {{ ("%s: " ~ flow.name ~ " / " ~ flow_run.name ~ ": " '
    '~ (flow_run.state.message | default("", true) | truncate(300))) | tojson }}}'
)
# Without it Prefect sends a template's text with no content type, which receivers refuse.
_HEADERS = {"Content-Type": "application/json"}
# name → (what the message starts with, the events, whose runs)
_RUNS: dict[str, tuple[str, set[str], str]] = {
    "polygon-fundamentals: a run failed": (
        "failed",
        {
            "prefect.flow-run.Failed",
            "prefect.flow-run.Crashed",
            "prefect.flow-run.TimedOut",
        },
        TAG,
    ),
    "polygon-fundamentals: a run is late": ("late", {"prefect.flow-run.Late"}, TAG),
    "polygon-fundamentals: parity failed": (
        "parity failed",
        {"prefect.flow-run.Failed"},
        "parity",
    ),
}


@dataclass(frozen=True)
class _Wanted:
    """What an automation waits for, and what it sends."""

    trigger: EventTrigger
    payload: str


DEAD = "polygon-fundamentals: a run's worker died"
# Prefect sends a heartbeat every 180 s unless PREFECT_FLOWS_HEARTBEAT_FREQUENCY says otherwise.
_HEARTBEAT_SECONDS = 180
_MISSED_HEARTBEATS = 3


def steps(client: SyncPrefectClient) -> list[Step]:
    """Return the steps of the automations, and of the webhook block that some of them call.

    Without a webhook in the environment and none on the server there is nobody to tell.
    """
    return [_ending_dead_runs(client), *_telling(client)]


def _ending_dead_runs(client: SyncPrefectClient) -> Step:
    """Return the step of the automation that sets a run without heartbeats to Crashed."""
    every = get_current_settings().flows.heartbeat_frequency or _HEARTBEAT_SECONDS
    ends = ("Completed", "Failed", "Cancelled", "Crashed", "Paused", "Suspended")
    trigger = EventTrigger.model_validate(
        {
            "after": {"prefect.flow-run.heartbeat"},
            "expect": {
                "prefect.flow-run.heartbeat",
                *(f"prefect.flow-run.{state}" for state in ends),
            },
            "match": {"prefect.resource.id": "prefect.flow-run.*"},
            "match_related": _runs_with_tag(TAG),
            "for_each": {"prefect.resource.id"},
            "posture": Posture.Proactive,
            "threshold": 1,
            "within": timedelta(seconds=every * _MISSED_HEARTBEATS),
        }
    )
    message = f"no heartbeat for {every * _MISSED_HEARTBEATS} s: its worker died"
    core = AutomationCore(
        name=DEAD,
        description="Made by `make deploy`.",
        trigger=trigger,
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message=message)],
    )
    existing = client.read_automations_by_name(DEAD)
    present = existing[0].trigger if existing else None
    same = isinstance(present, EventTrigger) and all(
        getattr(present, name) == getattr(trigger, name)
        for name in ("after", "expect", "for_each", "posture", "within")
    )
    changes = (CREATE,) if not existing else () if same else ("its trigger differs",)
    return Step(f"automation {DEAD!r}", changes, lambda: _put(client, core))


def _put(client: SyncPrefectClient, core: AutomationCore) -> None:
    """Create an automation, or correct the one of its name."""
    existing = client.read_automations_by_name(core.name)
    if existing:
        client.update_automation(existing[0].id, core)
    else:
        client.create_automation(core)


def _runs_with_tag(tag: str) -> dict[str, str]:
    return {"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{tag}"}


def _telling(client: SyncPrefectClient) -> list[Step]:
    url = os.environ.get(WEBHOOK_VARIABLE, "").strip()
    if url and not url.startswith(("http://", "https://")):
        raise UsageError(f"{WEBHOOK_VARIABLE} is not an http(s) address; set it again")
    stored = _stored_block(client)
    there = stored is not None
    if not url and not there:
        return [Step("automations", (), lambda: None, f"none: {WEBHOOK_VARIABLE} is not set")]
    changes: tuple[str, ...] = () if there else (CREATE,)
    if url and there:
        webhook = cast(Webhook, Webhook.load(BLOCK))
        same = (webhook.url.get_secret_value(), webhook.headers.get_secret_value())
        changes = () if same == (url, _HEADERS) else ("the address or its headers were replaced",)
    block = Step(
        f"webhook block {BLOCK}",
        changes,
        lambda: Webhook(method="POST", url=url, headers=_HEADERS).save(BLOCK, overwrite=True),
    )
    return [block, *(_automation(client, name, stored) for name in _RUNS)]


def _stored_block(client: SyncPrefectClient) -> UUID | None:
    """Return the id of the webhook block on the server, None where it is not there."""
    try:
        return client.read_block_document_by_name(BLOCK, "webhook").id
    except ObjectNotFound:
        return None


def _automation(client: SyncPrefectClient, name: str, block: UUID | None) -> Step:
    existing = client.read_automations_by_name(name)

    def create() -> None:
        document = client.read_block_document_by_name(BLOCK, "webhook")
        wanted = _wanted(name)
        action = CallWebhook(block_document_id=document.id, payload=wanted.payload)
        core = AutomationCore(
            name=name,
            description="Made by `make deploy`.",
            trigger=wanted.trigger,
            actions=[action],
        )
        _put(client, core)

    if not existing:
        return Step(f"automation {name!r}", (CREATE,), create)
    wanted, present = _wanted(name), existing[0]
    trigger, action = present.trigger, present.actions[0]
    return Step(
        f"automation {name!r}",
        differences(
            {
                "expect": sorted(wanted.trigger.expect),
                "match_related": _related(wanted.trigger),
                "payload": wanted.payload,
                "block": str(block) if block else "the new one",
            },
            {
                "expect": sorted(getattr(trigger, "expect", [])),
                "match_related": _related(trigger),
                "payload": action.payload if isinstance(action, CallWebhook) else None,
                # A block that was deleted and made again has another id.
                "block": str(action.block_document_id) if isinstance(action, CallWebhook) else None,
            },
        ),
        create,
    )


def _related(trigger: object) -> object:
    """Return the related resources that a trigger names, as JSON."""
    related = trigger.match_related if isinstance(trigger, EventTrigger) else None
    return related.model_dump(mode="json") if isinstance(related, ResourceSpecification) else None


def _wanted(name: str) -> _Wanted:
    words, events, tag = _RUNS[name]
    trigger = EventTrigger.model_validate(
        {
            "expect": events,
            "match": {"prefect.resource.id": "prefect.flow-run.*"},
            "match_related": _runs_with_tag(tag),
            "posture": Posture.Reactive,
            "threshold": 1,
            "within": timedelta(0),
        }
    )
    return _Wanted(trigger, _PAYLOAD % words)
