"""What a switch or cleanup needs besides the lake: its dependencies and options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from polygon_fundamentals import silver
from polygon_fundamentals.cutover.journal import Clock, now
from polygon_fundamentals.cutover.reader_checks import Check
from polygon_fundamentals.cutover.schedules import NoSchedules, Schedules
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.pointer import OnReached, ignore
from polygon_fundamentals.statements import Generation

# The generations of the deployments that load v1.
V1_DEPLOYMENTS = ("v1", "both")


class Silver(Protocol):
    """What builds silver."""

    def build(self, lake: Lake, generation: Generation) -> Path:
        """Build silver from a generation, beside the present build; return its folder."""


@dataclass(frozen=True)
class BuiltSilver:
    """The library's own silver table."""

    def build(self, lake: Lake, generation: Generation) -> Path:
        """Build silver from a generation without linking it; return its folder."""
        return silver.build(lake, generation, link=False).path


@dataclass(frozen=True)
class SwitchContext:
    """The dependencies of a switch; tests replace them.

    `on_reached` is called with the name of each moment that the operation reaches. `checks_error`
    says why the readers' checks could not be read.
    """

    schedules: Schedules = field(default_factory=NoSchedules)
    silver: Silver = field(default_factory=BuiltSilver)
    checks: tuple[Check, ...] = ()
    checks_error: str = ""
    clock: Clock = now
    on_reached: OnReached = ignore
    say: Callable[[str], None] = ignore


@dataclass(frozen=True)
class Options:
    """How to switch.

    `wait_seconds`: how long v1's running jobs are waited for. `settle_seconds`: the pause after
    v1's folder is renamed for the first time, so that readers that resolved the old path can
    finish. `accept_parity`: why a rollback goes on though parity does not pass.
    """

    force: str | None = None
    postpone_file: Path | None = None
    wait_seconds: float = 1800.0
    settle_seconds: float = 1.0
    allow_gap: bool = False
    accept_parity: str | None = None
