"""The command `parity`."""

from __future__ import annotations

from flows.commands.report_lines import parity_lines
from flows.commands.run import run_flow
from flows.commands.spread import SpreadParameters
from flows.parameters.lake import ParityParameters
from polygon_fundamentals.settings import existing_lake_root, load_settings


class ParityCommand(ParityParameters, SpreadParameters):
    """A comparison of the generations, in this process, in several, or on Dask."""


def parity(given: ParityCommand, as_json: bool) -> int:
    load_settings(given.base_url)
    given.check_server()
    existing_lake_root(given.lake)
    values = given.values(ParityParameters)
    return run_flow("flows.parity.parity", values, parity_lines, as_json, given.with_runner)
