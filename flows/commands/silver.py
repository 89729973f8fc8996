"""The commands `silver` and `export`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from flows.commands.common import STATEMENTS, add_common, day, finish
from flows.runtime import temporary_server
from polygon_fundamentals.errors import AnswerIsNo, UsageError
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.settings import existing_lake_root
from polygon_fundamentals.statements import Statement
from polygon_fundamentals.tickers import read_tickers


def silver_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `silver`."""
    parser.add_argument(
        "--as-of",
        metavar="DAY",
        help="the table as it could have been known at the end of that day, which must be over",
    )
    add_common(parser)


def silver(given: argparse.Namespace) -> int:
    """Build the silver table."""
    past = day(given.as_of, "--as-of")
    _lake(given)
    server = temporary_server.start()
    from flows.silver import silver as flow

    with server:
        state = flow(as_of=past, lake=given.lake, return_state=True)
    return finish(state, given, silver_lines)


def silver_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was built, for people."""
    yield f"{report['message']} ({report['seconds']:.1f} s)"
    yield f"table: {report['path']}"


def export_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `export`."""
    parser.add_argument("--shape", choices=("v1",), required=True, help="the form of the records")
    parser.add_argument(
        "--statement", action="append", choices=STATEMENTS, help="repeatable (all three)"
    )
    parser.add_argument(
        "--ticker", action="append", metavar="T", help="repeatable (the whole lake)"
    )
    parser.add_argument("--output", metavar="DIR", help="the whole lake, into this new folder")
    parser.add_argument(
        "--differing", action="store_true", help="also fields that v2 defines differently"
    )
    parser.add_argument(
        "--continue-v1",
        action="store_true",
        help="v1's own records as they are, v2's only for the periods that v1 lacks",
    )
    add_common(parser)


def export(given: argparse.Namespace) -> int:
    """Print some tickers' records as JSON, or write the whole lake into a folder."""
    tickers = read_tickers(given.ticker or [])
    if bool(tickers) == (given.output is not None):
        raise UsageError("give --ticker T to print records, or --output DIR for the whole lake")
    lake = _lake(given)
    statements = [Statement(name) for name in given.statement or STATEMENTS]
    if given.output is not None:
        server = temporary_server.start()
        from flows.export import export as flow

        with server:
            state = flow(
                output=given.output,
                statements=statements,
                differing=given.differing,
                continue_v1=given.continue_v1,
                lake=given.lake,
                return_state=True,
            )
        return finish(state, given, export_lines)
    from polygon_fundamentals.v1_view import export as view

    found = view.records(
        lake, tickers, statements, differing=given.differing, continue_v1=given.continue_v1
    )
    lost = view.loss(statements, differing=given.differing)
    if not found:
        raise AnswerIsNo(
            f"the lake has no records of {', '.join(tickers)}; load them with `python -m flows "
            "fundamentals`"
        )
    answer: dict[str, Any] = {"status": "OK", "count": len(found), "results": found}
    if given.json:
        answer["left_out"] = [asdict(item) for item in lost]
    else:
        print(f"note: {len(lost)} lines of v1 are left out; --json lists them", file=sys.stderr)
    print(json.dumps(answer))
    return 0


def export_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was written and what was left out, for people."""
    yield report["message"]
    yield f"{len(report['left_out'])} lines of v1 are left out:"
    for lost in report["left_out"]:
        yield f"  {lost['statement']}  {lost['field']}: {lost['reason']}"


def _lake(given: argparse.Namespace) -> Lake:
    return Lake(existing_lake_root(given.lake))
