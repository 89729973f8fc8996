"""What every load looks for first: files that something else wrote through the pointer."""

from __future__ import annotations

import sys

from polygon_fundamentals.cutover.quarantine import QuarantinedFile, quarantine_foreign_files
from polygon_fundamentals.lake import Lake


def quarantine(lake: Lake) -> list[QuarantinedFile]:
    """Quarantine foreign files in v2's folder and print each; nothing before the cutover.

    It must come before the load writes: an upsert would take their rows for v2's.
    """
    files = quarantine_foreign_files(lake)
    for file in files:
        print(f"warning: {file.sentence()}", file=sys.stderr, flush=True)
    return files
