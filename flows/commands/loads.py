"""The commands `historical-load` and `fundamentals`."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from flows.commands.common import add_common, add_what, add_who, check_before, day, finish
from flows.runtime import temporary_server
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.load.query import Filters, as_cik
from polygon_fundamentals.settings import server_configured
from polygon_fundamentals.statements import ALL_STATEMENTS, DEFAULT_TIMEFRAMES
from polygon_fundamentals.tickers import read_tickers

REASONS_SHOWN = 5
MOST_SHARDS = 500


def historical_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `historical-load`."""
    parser.add_argument("--generation", choices=("v1", "v2", "both"), default="both", help="(both)")
    add_who(parser)
    add_what(parser, "quarterly and annual")
    parser.add_argument("--from", dest="first", metavar="DAY", help="first filing date (all)")
    parser.add_argument("--to", dest="last", metavar="DAY", help="last filing date, included")
    parser.add_argument(
        "--fresh", action="store_true", help="do not go on where a cut-off run stopped"
    )
    parser.add_argument(
        "--original-dates",
        action="store_true",
        help="ask the filings index when v2's periods were first filed",
    )
    many = parser.add_argument_group("many workers")
    many.add_argument(
        "--shards", type=int, metavar="N", help="split into N flow runs for the server's workers"
    )
    many.add_argument("--task-runner", choices=("threads", "dask"), default="threads")
    many.add_argument(
        "--dask-address", metavar="URL", help="a running scheduler (else a cluster of this machine)"
    )
    add_common(parser)


def historical(arguments: argparse.Namespace) -> int:
    """Run `historical-load`."""
    first, last = day(arguments.first, "--from"), day(arguments.last, "--to")
    if first and last and first > last:
        raise UsageError(f"--from {first} comes after --to {last}")
    names = read_tickers(arguments.tickers, arguments.tickers_file)
    if bool(names) == (arguments.universe is not None):
        raise UsageError(
            "give --tickers A,B, --tickers-file F or --universe active|all, one of "
            "names and universe"
        )
    many_workers = arguments.shards is not None or arguments.task_runner == "dask"
    if arguments.shards is not None and not 1 <= arguments.shards <= MOST_SHARDS:
        raise UsageError(f"--shards {arguments.shards} is not 1 to {MOST_SHARDS}")
    if arguments.shards is not None and arguments.task_runner == "dask":
        raise UsageError("give --shards or --task-runner dask, not both")
    if many_workers and not server_configured():
        raise UsageError(
            "--shards and --task-runner dask need a Prefect server that all workers reach: set "
            "PREFECT_API_URL (`make serve` starts one here)"
        )
    check_before(arguments)
    server = temporary_server.start()
    from flows.historical_load import historical_load

    flow, more = historical_load, {}
    if arguments.shards is not None:
        from flows.shards import sharded_load

        flow, more = sharded_load, {"shards": arguments.shards}
    elif arguments.task_runner == "dask":
        from flows.runtime.dask import with_dask

        flow = with_dask(historical_load, arguments.dask_address)
    with server:
        state = flow(
            **more,
            generation=arguments.generation,
            tickers=names or None,
            universe=arguments.universe,
            timeframes=arguments.timeframe or DEFAULT_TIMEFRAMES,
            statements=arguments.statement or ALL_STATEMENTS,
            from_date=first,
            to_date=last,
            lake=arguments.lake,
            base_url=arguments.base_url,
            resume=not arguments.fresh,
            original_dates=arguments.original_dates,
            return_state=True,
        )
    return finish(state, arguments, load_lines)


def fundamentals_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `fundamentals`."""
    parser.add_argument("tickers", nargs="*", metavar="TICKER")
    add_what(parser, "quarterly")
    parser.add_argument("--filing-date-gte", metavar="DAY", help="first filing date (180 days ago)")
    parser.add_argument("--filing-date-lt", metavar="DAY", help="filed before this day")
    parser.add_argument("--cik", help="load by CIK instead of by ticker")
    parser.add_argument("--period-end", metavar="DAY", help="the period that ends on this day")
    parser.add_argument("--fiscal-year", type=int)
    parser.add_argument("--fiscal-quarter", type=int)
    parser.add_argument("--limit", type=int, metavar="N", help="rows a page (the most there are)")
    parser.add_argument("--output-dir", metavar="DIR", help="older name of --lake")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--use-v1", action="store_const", const="v1", dest="generation")
    which.add_argument("--use-v2", action="store_const", const="v2", dest="generation")
    add_common(parser)


def fundamentals(arguments: argparse.Namespace) -> int:
    """Run `fundamentals`."""
    arguments.lake = arguments.lake or arguments.output_dir
    names = read_tickers(arguments.tickers)
    if not names and arguments.cik is None:
        raise UsageError("name a ticker, such as `fundamentals AAPL`, or give --cik")
    if arguments.cik is not None:
        as_cik(arguments.cik)
    days = {
        name: day(getattr(arguments, name), "--" + name.replace("_", "-"))
        for name in ("filing_date_gte", "filing_date_lt", "period_end")
    }
    Filters(
        filing_date_gte=arguments.filing_date_gte,
        filing_date_lt=arguments.filing_date_lt,
        fiscal_year=arguments.fiscal_year,
        fiscal_quarter=arguments.fiscal_quarter,
        page=arguments.limit,
    )
    check_before(arguments)
    server = temporary_server.start()
    from flows.fundamentals import fundamentals as flow

    with server:
        state = flow(
            tickers=names,
            generation=arguments.generation,
            timeframes=arguments.timeframe or ["quarterly"],
            statements=arguments.statement or ALL_STATEMENTS,
            cik=arguments.cik,
            fiscal_year=arguments.fiscal_year,
            fiscal_quarter=arguments.fiscal_quarter,
            limit=arguments.limit,
            lake=arguments.lake,
            base_url=arguments.base_url,
            **days,
            return_state=True,
        )
    return finish(state, arguments, load_lines)


def load_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a load did, for people; what is missing goes to standard error."""
    for name in ("v1", "v2"):
        if name not in report:
            continue
        found = report[name]
        yield (
            f"{name}  {found['units']:>6,} units  {found['rows_new']:>9,} rows new  "
            f"{found['rows_changed']:>7,} changed  {found['rows_unchanged']:>9,} unchanged  "
            f"{found['requests']:>6,} requests  {found['seconds']:>7.1f} s  "
            f"{found['bytes_written'] / 1e6:>8.1f} MB"
        )
        if found["units_resumed"]:
            yield f"    {found['units_resumed']:,} units had been done by the run before"
        warn(name, found)
    if "original_dates" in report:
        yield _dates_line(report["original_dates"])
    yield f"lake: {report['lake']}"


def _dates_line(found: Mapping[str, Any]) -> str:
    if "error" in found:
        print(f"error: original dates: {found['error']}", file=sys.stderr)
    if "periods" not in found:
        return "original dates: none"
    return (
        f"original dates: {found['index']:,} of {found['periods']:,} periods from the filings "
        f"index, {found['index_estimate']:,} estimated, {found['unknown']:,} unknown"
    )


def warn(name: str, found: Mapping[str, Any]) -> None:
    """Tell on standard error which units are missing and why, each reason once."""
    reasons = Counter(unit["reason"] for unit in found["failed"])
    for reason, count in reasons.most_common(REASONS_SHOWN):
        tickers = dict.fromkeys(u["ticker"] for u in found["failed"] if u["reason"] == reason)
        who = ", ".join(list(tickers)[:3]) + (", ..." if len(tickers) > 3 else "")
        print(
            f"error: {name}: {count} of {found['units']} units missing ({who}): {reason}",
            file=sys.stderr,
        )
    if len(reasons) > REASONS_SHOWN:
        print(
            f"error: {name}: {len(reasons) - REASONS_SHOWN} more reasons; --json lists all",
            file=sys.stderr,
        )
    nothing = found["tickers_without_rows"]
    if nothing and not found["failed"]:
        who = ", ".join(nothing[:5]) + (f" and {len(nothing) - 5} more" if len(nothing) > 5 else "")
        stray = found.get("rows_unfollowed", 0)
        why = f"{stray:,} rows came that name no ticker or company asked for, and were not stored"
        if not stray:
            why = "not listed (v2), nothing filed in these days, or a misspelt ticker"
        print(f"warning: {name}: no rows for {who}: {why}", file=sys.stderr)
