"""What ran and how it ended: the entries in `ops/runs`, written and read here only.

What is learned from the entries (days in a row, what is covered, whether v1 still answers) is
asked of this room by status, checklist, parity and flows alike. How a run is carried out never
belongs here.
"""

from polygon_fundamentals.ledger.entry import (
    CRASHED,
    FAILED,
    INTERRUPTED,
    RUNNING,
    SILENT_SECONDS,
    SUCCEEDED,
    RunEntry,
    is_dead,
    read_entries,
    runs_folder,
)
from polygon_fundamentals.ledger.run import Run, close_crashed, recorded, resumable, runs_of_a_day

__all__ = [
    "CRASHED",
    "FAILED",
    "INTERRUPTED",
    "RUNNING",
    "SILENT_SECONDS",
    "SUCCEEDED",
    "Run",
    "RunEntry",
    "close_crashed",
    "is_dead",
    "read_entries",
    "recorded",
    "resumable",
    "runs_folder",
    "runs_of_a_day",
]
