"""The command `parity`."""

from __future__ import annotations

from flows.commands.output import parity_lines
from flows.commands.run import run_flow
from flows.parameters import ParityParameters
from polygon_fundamentals.settings import existing_lake_root, load_settings


def parity(given: ParityParameters, as_json: bool) -> int:
    """Run `parity`; 1 where the answer is no."""
    load_settings(given.base_url)
    existing_lake_root(given.lake)
    return run_flow("flows.parity.parity", given.values(), parity_lines, as_json)
