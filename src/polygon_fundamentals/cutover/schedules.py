"""What a switch asks of a scheduler: the library's side, without Prefect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NotRequired, Protocol, TypedDict


class ScheduleEntry(TypedDict):
    """One schedule of a deployment: `generation` is v1, v2 or both, as of one that compares them.

    A deployment that is registered anew has schedules with other ids and the same slugs.
    """

    deployment: str
    deployment_id: str
    schedule_id: str
    slug: NotRequired[str | None]
    generation: str
    active: bool


Recorded = list[ScheduleEntry]


class Schedules(Protocol):
    """The schedules of the deployments that load this lake, or compare its generations.

    All methods raise FundamentalsError where the server does not answer.
    """

    @property
    def why_none(self) -> str:
        """Why `recorded` returns None."""

    def recorded(self) -> Recorded | None:
        """Return the schedules as they are; None where there are none to switch."""

    def apply(self, wanted: Recorded) -> None:
        """Make every schedule as active as `wanted` says, and read that back."""

    def running(self, generations: Sequence[str]) -> list[str]:
        """Return the names of the flow runs of these generations that are going on."""

    def retire(self, generations: Sequence[str]) -> list[str]:
        """Take the deployments of these generations out of service; return their names."""

    def reinstate(self, generations: Sequence[str]) -> list[str]:
        """Take the deployments that `retire` took out of service back; return their names."""


@dataclass(frozen=True)
class NoSchedules:
    """There are no schedules to switch: nothing to wait for but the lake's lock.

    `left_alone`: the server's are to stay as they are, since the lake is a copy.
    """

    why_none: str = "no server is configured; cron lines are yours to change"
    left_alone: bool = False

    def recorded(self) -> Recorded | None:
        """Return None: no server is configured."""
        return None

    def apply(self, wanted: Recorded) -> None:
        """Do nothing."""

    def running(self, generations: Sequence[str]) -> list[str]:
        """Return no runs."""
        return []

    def retire(self, generations: Sequence[str]) -> list[str]:
        """Return no deployments."""
        return []

    def reinstate(self, generations: Sequence[str]) -> list[str]:
        """None."""
        return []


def with_active(recorded: Recorded, active: dict[str, bool]) -> Recorded:
    """Return the entries with `active` set by generation; those not named stay as they are."""
    return [
        {**entry, "active": active.get(entry["generation"], entry["active"])} for entry in recorded
    ]
