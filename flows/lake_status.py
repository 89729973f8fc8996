"""The status of a lake by the settings of this folder, for the flow and the command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from polygon_fundamentals.cutover.cut_off import cut_off
from polygon_fundamentals.cutover.other_writers import other_writers
from polygon_fundamentals.cutover.thresholds import load_thresholds
from polygon_fundamentals.lake import Lake, catalogue
from polygon_fundamentals.lake.catalogue import DatasetCounts
from polygon_fundamentals.lake.dataset_summary import Look
from polygon_fundamentals.parity.tolerances import load_tolerances
from polygon_fundamentals.settings import load_settings
from polygon_fundamentals.status import Figures, Row, check_status, gather, load_targets

ROOT = Path(__file__).parents[1]
DEPLOYMENTS = ROOT / "deployments"
TARGETS_FILE, THRESHOLDS = DEPLOYMENTS / "targets.toml", DEPLOYMENTS / "checklist.toml"
TOLERANCES_FILE = ROOT / "expectations" / "tolerances.yaml"


def status_of(
    lake: Lake, targets: Path = TARGETS_FILE, datasets: Sequence[DatasetCounts] | None = None
) -> tuple[Figures, list[Row]]:
    """Return a lake's figures, and its rows as judged.

    `datasets` are the counts where they have just been taken.

    Raises:
        UsageError: the targets, the thresholds, the tolerances or the environment cannot be used.
    """
    counts = catalogue.counts(lake, Look.RECENT) if datasets is None else datasets
    figures = gather(
        lake,
        load_targets(targets),
        datasets=counts,
        requests_per_minute=load_settings().requests_per_minute,
        days_required=load_thresholds(THRESHOLDS).business_days,
        others=other_writers(lake, counts),
        cut_off=cut_off(lake),
        stale_days=load_tolerances(TOLERANCES_FILE).rules.freshness.limit,
    )
    return figures, check_status(figures)
