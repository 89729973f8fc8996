"""What a switch or cleanup works with besides the lake, and how it is asked to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from polygon_fundamentals.cutover.journal import Clock, now
from polygon_fundamentals.cutover.reader_checks import Check
from polygon_fundamentals.cutover.schedules import NoSchedules, Schedules
from polygon_fundamentals.cutover.silver_side import BuiltSilver, Silver
from polygon_fundamentals.lake.pointer import Point, nothing

# The generations of the deployments that load v1.
V1_SIDE = ("v1", "both")


@dataclass(frozen=True)
class Around:
    """What a switch works with besides the lake; tests put others in."""

    schedules: Schedules = field(default_factory=NoSchedules)
    silver: Silver = field(default_factory=BuiltSilver)
    checks: tuple[Check, ...] = ()
    clock: Clock = now
    point: Point = nothing
    say: Callable[[str], None] = nothing


@dataclass(frozen=True)
class Options:
    """How to switch.

    `wait_seconds`: how long v1's running jobs are waited for. `settle_seconds`: how long,
    after v1's folder has got its archive name for the first time, readers that resolved
    the path before that have to finish before the pointer moves on.
    """

    force: str | None = None
    postpone_file: Path | None = None
    wait_seconds: float = 1800.0
    settle_seconds: float = 1.0
    allow_gap: bool = False
