"""How long v1 stays after the cutover."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Retention:
    """After how many days v1's deployments, and its data, go; what goes into the archive too."""

    deployments_days: int = 30
    data_days: int = 90
    scripts: tuple[Path, ...] = ()
    cron: tuple[str, ...] = ()
