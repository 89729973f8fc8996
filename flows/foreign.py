"""What every load looks for first: files that something else wrote through the pointer."""

from __future__ import annotations

import sys

from polygon_fundamentals.cutover.quarantine import Finding, sweep
from polygon_fundamentals.lake import Lake


def quarantine(lake: Lake) -> list[Finding]:
    """Quarantine foreign files in v2's folder and tell of each; nothing before the cutover.

    It must come before the load writes: an upsert would take their rows for v2's.
    """
    found = sweep(lake)
    for finding in found:
        print(f"warning: {finding.sentence()}", file=sys.stderr, flush=True)
    return found
