"""What a switch notes on a Prefect server of the schedules that it switched, for later deploys."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import VariableCreate, VariableUpdate

from polygon_fundamentals.cutover.schedules import Recorded
from polygon_fundamentals.server import LAST_SCHEDULES, SWITCHED, schedule_key


def note_switched(client: SyncPrefectClient, wanted: Recorded) -> None:
    """Note on the server what was switched, so that a later deploy does not undo it.

    A deployment with some schedules on and others off is as `prefect.yaml` declares it, or as
    somebody set it since.
    """
    states: dict[str, set[bool]] = {}
    for entry in wanted:
        states.setdefault(entry["deployment"], set()).add(entry["active"])
    now = {name: active for name, (active, *others) in states.items() if not others}
    _note(client, SWITCHED, states.keys(), now)
    schedules = {
        schedule_key(entry["deployment"], slug): entry["active"]
        for entry in wanted
        if (slug := entry.get("slug")) and entry["deployment"] in now
    }
    _note(client, LAST_SCHEDULES, states.keys(), schedules)


def _note(
    client: SyncPrefectClient, name: str, deployments: AbstractSet[str], now: Mapping[str, bool]
) -> None:
    """Put `now` in the place of what a variable has of these deployments and their schedules."""
    if not deployments:
        return
    variable = client.read_variable_by_name(name)
    if variable is None:
        client.create_variable(VariableCreate(name=name, value={**now}))
        return
    before = variable.value if isinstance(variable.value, dict) else {}
    elsewhere = {k: v for k, v in before.items() if k.partition("/")[0] not in deployments}
    client.update_variable(VariableUpdate(name=name, value={**elsewhere, **now}))
