"""The command `inspect`: what a lake holds and what the migration will do to it, read only."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flows.commands.output import reworded
from flows.parameters.declaration import Parameters
from flows.parameters.shared import LakeFolder
from polygon_fundamentals.settings import existing_lake_root, load_settings

if TYPE_CHECKING:
    from polygon_fundamentals.cutover.advice import Inspection

LINE_EVERY_SECONDS = 2.0
NAMED = 5


class InspectParameters(Parameters):
    """Which lake."""

    lake: LakeFolder = None


def run(given: InspectParameters, as_json: bool) -> int:
    """Inspect a lake; return 1 where something stands in the way of a migration."""
    # These import Arrow and pandas, which --help does without.
    from polygon_fundamentals.cutover.advice import advise
    from polygon_fundamentals.cutover.inspection import examine
    from polygon_fundamentals.lake.paths import Lake

    lake = Lake(existing_lake_root(given.lake))
    began = printed_at = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal printed_at
        if time.monotonic() - printed_at >= LINE_EVERY_SECONDS:
            printed_at = time.monotonic()
            print(f"inspect: {done:,} of {total:,} files", file=sys.stderr, flush=True)

    limit = load_settings(None).requests_per_minute
    answer = advise(examine(lake, datetime.now(UTC), progress), limit)
    seconds = round(time.monotonic() - began, 1)
    if as_json:
        print(json.dumps({**answer.as_json(), "seconds": seconds}, default=str))
    else:
        print("\n".join(map(reworded, lines(answer))))
    return answer.exit_code


def lines(answer: Inspection) -> Iterator[str]:
    """Yield an inspection for people."""
    lake, needs = answer.inventory, answer.needs
    tools = ", ".join(f"{count:,} files by {tool}" for tool, count in lake.tools.items())
    yield f"{lake.lake}: {lake.tickers:,} tickers; {tools or 'no files of v1'}"
    for item in lake.statements:
        doubles = {"identical": item.doubles_alike, **item.doubles_differing}
        named = ", ".join(f"{n:,} {why}" for why, n in doubles.items() if n)
        yield (
            f"  {item.statement}: {item.files:,} files, {item.bytes / 1e6:,.1f} MB, "
            f"{item.tickers:,} tickers, {item.records:,} records, {item.periods:,} periods, "
            + (f"duplicates: {named}" if named else "no duplicates")
        )
    if lake.named_only:
        yield (
            "  symbols without a file, whose records v1 filed under another symbol: "
            f"{', '.join(lake.named_only[:NAMED])}"
            + (f" and {len(lake.named_only) - NAMED} more" if len(lake.named_only) > NAMED else "")
        )
    yield f"  silver: {lake.silver.state} ({lake.silver.path})"
    for writer in lake.writers:
        yield (
            f"  written within a day: {writer.files:,} files {writer.pattern}, "
            f"{writer.first:%Y-%m-%d %H:%M} to {writer.last:%H:%M} UTC"
        )
    for fate in answer.fates:
        yield fate.what
        yield f"    load: {fate.load}"
        yield f"    cutover: {fate.cutover}"
        yield f"    cleanup: {fate.cleanup}"
    yield (
        f"it takes about {needs.bytes_needed / 1e9:,.2f} GB of {needs.bytes_free / 1e9:,.1f} GB "
        f"free, {needs.requests:,} requests and {_minutes(needs.seconds)} of loading"
    )
    for obstacle in answer.obstacles:
        yield f"NO  {obstacle}"
    yield "the steps:"
    for number, step in enumerate(answer.steps, 1):
        yield f"  {number}. {step}"


def _minutes(seconds: float) -> str:
    return "less than a minute" if seconds < 60 else f"{seconds / 60:,.0f} minutes"
