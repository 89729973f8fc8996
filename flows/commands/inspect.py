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
    from polygon_fundamentals.ledger.v1_endpoint import V1Endpoint

LINE_EVERY_SECONDS = 2.0
NAMED = 5


class InspectParameters(Parameters):
    """Which lake."""

    lake: LakeFolder = None


def run(given: InspectParameters, as_json: bool) -> int:
    """Inspect a lake; return 1 where something stands in the way of a migration."""
    # These import Arrow and pandas, which --help does without.
    from flows.contacts import CONTACTS
    from flows.lake_status import THRESHOLDS
    from polygon_fundamentals.cutover.advice import advise
    from polygon_fundamentals.cutover.checklist import evaluate_checklist
    from polygon_fundamentals.cutover.inspection import examine
    from polygon_fundamentals.cutover.sign_offs import load_contacts
    from polygon_fundamentals.cutover.steps import progress_of
    from polygon_fundamentals.cutover.thresholds import load_thresholds
    from polygon_fundamentals.lake.paths import Lake

    lake = Lake(existing_lake_root(given.lake))
    began = printed_at = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal printed_at
        if time.monotonic() - printed_at >= LINE_EVERY_SECONDS:
            printed_at = time.monotonic()
            print(f"inspect: {done:,} of {total:,} files", file=sys.stderr, flush=True)

    limit = load_settings(None).requests_per_minute
    now = datetime.now(UTC)
    inventory = examine(lake, now, progress)
    checklist = evaluate_checklist(lake, load_thresholds(THRESHOLDS), load_contacts(CONTACTS))
    answer = advise(inventory, progress_of(lake, checklist, now), limit)
    seconds = round(time.monotonic() - began, 1)
    if as_json:
        print(json.dumps({**answer.as_json(), "seconds": seconds}, default=str))
    else:
        print("\n".join(map(reworded, lines(answer))))
    return answer.exit_code


def lines(answer: Inspection) -> Iterator[str]:
    """Yield an inspection for people."""
    lake = answer.inventory
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
    v2 = answer.progress.v2
    yield (
        f"  v2: {v2.files:,} files, {v2.bytes / 1e6:,.1f} MB, {v2.tickers:,} tickers"
        if v2.files
        else "  v2: not loaded"
    )
    yield f"  v1's endpoint: {_endpoint(answer.progress.endpoint)}"
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
    yield _needed(answer)
    for obstacle in answer.obstacles:
        yield f"NO  {obstacle}"
    yield "the steps, with ok where one is done:"
    for number, step in enumerate(answer.steps, 1):
        yield f"  {number:>2}. {'ok ' if step.done else '   '}{step.words}"


def _needed(answer: Inspection) -> str:
    """Return what the rest of the migration takes: disk space, requests and time."""
    needs, endpoint = answer.needs, answer.progress.endpoint
    needed, free = needs.bytes_needed / 1e9, needs.bytes_free / 1e9
    words = f"it takes about {needed:,.2f} GB of {free:,.1f} GB free"
    if not needs.requests:
        return f"{words}; the load is done"
    v1 = f"{needs.v1_requests:,} of v1"
    if not needs.v1_requests:
        which = "v2"
    elif endpoint.retired:
        which = f"v2 (and {v1}, if v1 still answers)"
    else:
        which = f"v2 and {v1}"
    return (
        f"{words}, and for the load {needs.requests:,} requests of {which}, "
        f"{_minutes(needs.seconds)}"
    )


def _endpoint(endpoint: V1Endpoint) -> str:
    """Return what the ledger knows of v1's endpoint."""
    if endpoint.state in ("frozen", "archived"):
        return f"{endpoint.state} since {endpoint.since}"
    if endpoint.retired:
        return "no load says whether it still answers; it was to end on 2026-10-09"
    return "no load has asked it" if endpoint.state == "unknown" else endpoint.state


def _minutes(seconds: float) -> str:
    return "less than a minute" if seconds < 60 else f"{seconds / 60:,.0f} minutes"
