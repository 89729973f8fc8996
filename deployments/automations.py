"""The automations: runs whose worker died are ended, and a webhook is called for failures.

Only a run's heartbeats tell the server that it is alive. Without the first automation, a run whose
worker was killed stays Running, and holds its deployment's place against every later run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import cast
from uuid import UUID

from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import CallWebhook, ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings

from deployments.steps import CREATE, Step, differences
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.server import TAG

WEBHOOK_VARIABLE = "POLYGON_NOTIFY_WEBHOOK"
BLOCK = "polygon-fundamentals-notify"
# What an event's related resource must have, label → value.
Related = dict[str, str]
# `tojson`, since a message may hold quotes, backslashes and line ends.
_PAYLOAD = (
    '{"text": {{ ("%s: " ~ flow.name ~ " / " ~ flow_run.name ~ ": " '
    '~ (flow_run.state.message | default("", true) | truncate(300))) | tojson }}}'
)
# Without it Prefect sends a template's text with no content type, which receivers refuse.
_HEADERS = {"Content-Type": "application/json"}
_FAILED = frozenset(
    {"prefect.flow-run.Failed", "prefect.flow-run.Crashed", "prefect.flow-run.TimedOut"}
)


def _tag(tag: str) -> Related:
    return {"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{tag}"}


def _flow(name: str) -> Related:
    """Return what matches the runs of a flow; with `!` before its name, those of all others.

    A run is of one flow, but has several tags: `!` before a tag would match every run with another.
    """
    return {"prefect.resource.role": "flow", "prefect.resource.name": name}


# name → (what the message starts with, the events, whose runs)
_RUNS: dict[str, tuple[str, frozenset[str], list[Related]]] = {
    # Not of parity, of which the last of these tells: one message for a run that failed.
    "polygon-fundamentals: a run failed": ("failed", _FAILED, [_tag(TAG), _flow("!parity")]),
    # Of those that a schedule starts: more shards than workers wait for their turn by design.
    "polygon-fundamentals: a run is late": (
        "late",
        frozenset({"prefect.flow-run.Late"}),
        [_tag(TAG), _tag("auto-scheduled")],
    ),
    "polygon-fundamentals: parity failed": ("parity failed", _FAILED, [_tag(TAG), _flow("parity")]),
}


DEAD = "polygon-fundamentals: a run's worker died"
_HEARTBEAT = "prefect.flow-run.heartbeat"
# Prefect sends a heartbeat every 180 s unless PREFECT_FLOWS_HEARTBEAT_FREQUENCY says otherwise.
_HEARTBEAT_SECONDS = 180
_MISSED_HEARTBEATS = 3


def steps(client: SyncPrefectClient) -> list[Step]:
    """Return the steps of the automations, and of the webhook block that some of them call.

    Without a webhook in the environment or on the server, those that call it are left out.
    """
    return [_step(client, DEAD, _ending_dead_runs), *_telling(client)]


def _step(client: SyncPrefectClient, name: str, make: Callable[[], AutomationCore]) -> Step:
    """Return the step of an automation; `make` is called once more when it is carried out."""
    existing = client.read_automations_by_name(name)

    def put() -> None:
        if present := client.read_automations_by_name(name):
            client.update_automation(present[0].id, make())
        else:
            client.create_automation(make())

    changes: tuple[str, ...] = (CREATE,)
    if existing:
        changes = differences(_settings(make()), _settings(existing[0]))
    return Step(f"automation {name!r}", changes, put)


def _settings(automation: AutomationCore) -> dict[str, object]:
    """Return the settings that the server must have too: the trigger's fields, and the actions."""
    actions = [action.model_dump() for action in automation.actions]
    return {**automation.trigger.model_dump(), "actions": actions}


def _automation(
    name: str,
    related: Sequence[Related],
    trigger: dict[str, object],
    action: CallWebhook | ChangeFlowRunState,
) -> AutomationCore:
    """Return the automation that acts on events of the runs to which all of `related` belong."""
    # An update sends only what is set here, and the server refuses one without `posture`.
    common: dict[str, object] = {
        "posture": Posture.Reactive,
        "threshold": 1,
        "within": timedelta(0),
        "match": {"prefect.resource.id": "prefect.flow-run.*"},
        "match_related": related,
    }
    return AutomationCore(
        name=name,
        description="Made by `make deploy`.",
        trigger=EventTrigger.model_validate(common | trigger),
        actions=[action],
    )


def _ending_dead_runs() -> AutomationCore:
    """Return the automation that sets a run without heartbeats to Crashed."""
    every = get_current_settings().flows.heartbeat_frequency or _HEARTBEAT_SECONDS
    seconds = every * _MISSED_HEARTBEATS
    ends = ("Completed", "Failed", "Cancelled", "Crashed", "Paused", "Suspended")
    trigger: dict[str, object] = {
        "after": {_HEARTBEAT},
        "expect": {_HEARTBEAT, *(f"prefect.flow-run.{state}" for state in ends)},
        "for_each": {"prefect.resource.id"},
        "posture": Posture.Proactive,
        "within": timedelta(seconds=seconds),
    }
    message = f"no heartbeat for {seconds} s: its worker died"
    return _automation(
        DEAD, [_tag(TAG)], trigger, ChangeFlowRunState(state=StateType.CRASHED, message=message)
    )


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
    return [block, *(_step(client, name, partial(_call_of, client, name)) for name in _RUNS)]


def _stored_block(client: SyncPrefectClient) -> UUID | None:
    """Return the id of the webhook block on the server, None where it is not there."""
    try:
        return client.read_block_document_by_name(BLOCK, "webhook").id
    except ObjectNotFound:
        return None


def _call_of(client: SyncPrefectClient, name: str) -> AutomationCore:
    """Return the automation that calls the webhook."""
    words, events, related = _RUNS[name]
    # Where the block is not there yet, the step before this one makes it.
    block = _stored_block(client) or UUID(int=0)
    return _automation(
        name,
        related,
        {"expect": events},
        CallWebhook(block_document_id=block, payload=_PAYLOAD % words),
    )
