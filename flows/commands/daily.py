"""The commands `daily-update` and `refresh`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from flows.commands.common import add_common, add_what, add_who, check_before, day, finish
from flows.commands.loads import load_lines
from flows.runtime import temporary_server
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.statements import ALL_STATEMENTS, DEFAULT_TIMEFRAMES
from polygon_fundamentals.tickers import read_tickers

LONGEST = 3660


def daily_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `daily-update`."""
    parser.add_argument("--generation", choices=("v1", "v2", "both"), default="both", help="(both)")
    parser.add_argument("--days-back", type=int, default=7, metavar="N", help="days to ask for (7)")
    parser.add_argument("--date", metavar="D", help="the last day (today in New York)")
    add_who(parser)
    add_what(parser, "quarterly and annual")
    add_common(parser)


def daily(arguments: argparse.Namespace) -> int:
    """Run `daily-update`."""
    last = day(arguments.date, "--date")
    if not 0 <= arguments.days_back <= LONGEST:
        raise UsageError(f"--days-back {arguments.days_back} is not 0 to {LONGEST} days")
    names = read_tickers(arguments.tickers, arguments.tickers_file)
    if names and arguments.universe:
        raise UsageError("give tickers or --universe, not both")
    check_before(arguments, makes_lake=bool(names or arguments.universe))
    server = temporary_server.start()
    from flows.daily_update import daily_update

    with server:
        state = daily_update(
            generation=arguments.generation,
            days_back=arguments.days_back,
            day=last,
            tickers=names or None,
            universe=arguments.universe,
            timeframes=arguments.timeframe or DEFAULT_TIMEFRAMES,
            statements=arguments.statement or ALL_STATEMENTS,
            lake=arguments.lake,
            base_url=arguments.base_url,
            return_state=True,
        )
    return finish(state, arguments, _lines)


def refresh_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `refresh`."""
    who = parser.add_argument_group("which tickers")
    who.add_argument("--tickers", metavar="A,B", action="append", help="(those in the lake)")
    who.add_argument("--tickers-file", metavar="F", help="a text file with one ticker a line")
    add_what(parser, "quarterly and annual")
    add_common(parser)


def refresh(arguments: argparse.Namespace) -> int:
    """Run `refresh`."""
    names = read_tickers(arguments.tickers, arguments.tickers_file)
    check_before(arguments, makes_lake=bool(names))
    server = temporary_server.start()
    from flows.refresh import refresh as flow

    with server:
        state = flow(
            tickers=names or None,
            timeframes=arguments.timeframe or DEFAULT_TIMEFRAMES,
            statements=arguments.statement or ALL_STATEMENTS,
            lake=arguments.lake,
            base_url=arguments.base_url,
            return_state=True,
        )
    return finish(state, arguments, load_lines)


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    for note in report["notes"]:
        print(f"note: {note}", file=sys.stderr)
    yield from load_lines(report)
    unfollowed = {g: report[g]["rows_unfollowed"] for g in ("v1", "v2") if g in report}
    passed = ", ".join(f"{count:,} in {name}" for name, count in unfollowed.items() if count)
    if passed:
        yield f"rows of companies that the lake does not follow: {passed}"
