"""The command `rehearse`: a copy of the lake, and days that pass in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from flows.commands.output import finish
from flows.commands.report_lines import switch_lines
from flows.parameters.declaration import Flag, Parameters
from flows.parameters.shared import LakeFolder
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.settings import existing_lake_root, lake_root


class RehearseParameters(Parameters):
    """A copy to make of the lake, or how many days are to pass in a copy."""

    lake: LakeFolder = None
    copy_to: Annotated[
        str | None,
        Flag("--copy", metavar="DIR", help="copy the lake to this empty folder"),
    ] = None
    days: Annotated[
        int | None,
        Field(ge=1),
        Flag(metavar="N", help="days to let pass in a copy", unset="one business day"),
    ] = None


def run(given: RehearseParameters, as_json: bool) -> int:
    """Make a copy of a lake, or let days pass in one."""
    # These import Arrow, which --help does without.
    from flows.runs import finish_flow
    from polygon_fundamentals.cutover.rehearsal import let_days_pass, make_copy
    from polygon_fundamentals.lake import Lake

    def body() -> dict[str, object]:
        if given.copy_to and given.days:
            raise UsageError("give --copy to make a copy, or --days to age one, not both")
        lake = Lake(existing_lake_root(given.lake))
        if given.copy_to:
            return make_copy(lake, lake_root(Path(given.copy_to))).as_json()
        return let_days_pass(lake, given.days).as_json()

    return finish(finish_flow(body), switch_lines, as_json)
