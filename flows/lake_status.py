"""The status of a lake by the settings of this folder, for the flow and the command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.catalogue import DatasetCounts
from polygon_fundamentals.settings import load_settings
from polygon_fundamentals.status import Figures, Row, gather, judge, load_targets

TARGETS_FILE = Path(__file__).parents[1] / "deployments" / "targets.toml"


def status_of(
    lake: Lake, targets: Path = TARGETS_FILE, datasets: Sequence[DatasetCounts] | None = None
) -> tuple[Figures, list[Row]]:
    """Return a lake's figures, and its rows as judged.

    `datasets` are the counts where they have just been taken; else every file is counted.

    Raises:
        UsageError: the targets or the environment cannot be used.
    """
    limit = load_settings().requests_per_minute
    figures = gather(lake, load_targets(targets), datasets=datasets, requests_per_minute=limit)
    return figures, judge(figures)
