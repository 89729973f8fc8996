"""Status: both pipelines side by side, gathered from the catalogue and the ledger."""

from polygon_fundamentals.status.checks import alarms, check_status
from polygon_fundamentals.status.figures import Figures, gather
from polygon_fundamentals.status.render import as_html, as_json, as_markdown
from polygon_fundamentals.status.row import Row
from polygon_fundamentals.status.targets import load_targets

__all__ = [
    "Figures",
    "Row",
    "alarms",
    "as_html",
    "as_json",
    "as_markdown",
    "check_status",
    "gather",
    "load_targets",
]
