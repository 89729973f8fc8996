"""The command `parity`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from flows.commands.common import add_common, day, finish
from flows.runtime import temporary_server
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.settings import existing_lake_root, load_settings
from polygon_fundamentals.tickers import read_tickers

SHOWN = 5


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `parity`."""
    who = parser.add_argument_group("which tickers (all of v1's)")
    who.add_argument("--tickers", metavar="A,B", action="append", help="tickers, repeatable")
    who.add_argument("--tickers-file", metavar="F", help="a text file with one ticker a line")
    who.add_argument("--sample", type=int, metavar="N", help="so many of them, for a quick look")
    who.add_argument("--seed", type=int, default=0, help="with --sample: another one, others (0)")
    parser.add_argument("--date", metavar="D", help="the day to judge by (today in New York)")
    add_common(parser)


def run(given: argparse.Namespace) -> int:
    """Run `parity`; 1 where the answer is no."""
    last = day(given.date, "--date")
    names = read_tickers(given.tickers, given.tickers_file)
    if given.sample is not None and given.sample < 1:
        raise UsageError(f"--sample {given.sample} is no number of tickers; give 1 or more")
    if names and given.sample is not None:
        raise UsageError("give --tickers or --sample, not both")
    load_settings(given.base_url)
    existing_lake_root(given.lake)
    server = temporary_server.start()
    from flows.parity import parity

    with server:
        state = parity(
            tickers=names or None,
            sample=given.sample,
            seed=given.seed,
            day=last,
            lake=given.lake,
            base_url=given.base_url,
            return_state=True,
        )
    return finish(state, given, _lines)


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the answer for people."""
    yield (
        f"parity {'passed' if report['passed'] else 'not passed'}: {report['compared']:,} values "
        f"compared, {report['matched']:,} equal, of {report['tickers_compared']:,} tickers "
        f"(v1 has {report['tickers_total']:,})"
    )
    yield report["reach"]
    for note in report["notes"]:
        yield f"note: {note}"
    found = ", ".join(f"{count:,} {kind}" for kind, count in report["differences"].items())
    yield f"not equal: {found or 'none'}"
    if report["rules_broken"]:
        yield f"{len(report['rules_broken'])} of {report['rules']} rules are broken:"
    for broken in report["rules_broken"][: 4 * SHOWN]:
        detail = f" ({broken['detail']})" if broken["detail"] else ""
        yield f"  {broken['statement']}: {broken['rule']}{detail}: {broken['count']:,}"
    missing = report["missing_periods"]
    for one in missing[:SHOWN]:
        yield (
            f"  missing in v2: {one['ticker']} {one['statement']} {one['timeframe']} "
            f"{one['period_end']}"
        )
    if len(missing) > SHOWN:
        yield f"  and {len(missing) - SHOWN:,} more"
    yield f"data docs: {report['data_docs']}"
    yield f"every value that is not equal: {report['report']}"
