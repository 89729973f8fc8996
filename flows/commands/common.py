"""What the commands share: arguments, the checks before Prefect is loaded, and printing."""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from datetime import date
from tempfile import mkstemp
from typing import Any

from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.load.query import as_day
from polygon_fundamentals.settings import (
    api_key,
    existing_lake_root,
    lake_root,
    load_settings,
    server_configured,
)

TIMEFRAMES = ("quarterly", "annual", "ttm")
STATEMENTS = ("balance_sheets", "cash_flow", "income_statements")


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options that every command takes."""
    shared = parser.add_argument_group("where and how")
    shared.add_argument("--lake", metavar="DIR", help="the lake (QUANTLAKE_ROOT, else ./data)")
    shared.add_argument("--base-url", metavar="URL", help="another address of the API")
    shared.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    shared.add_argument("--verbose", action="store_true", help="show Prefect's own log lines")


def add_what(parser: argparse.ArgumentParser, timeframes: str) -> None:
    """Add the options that say which periods and statements to load."""
    parser.add_argument(
        "--timeframe", action="append", choices=TIMEFRAMES, help=f"repeatable ({timeframes})"
    )
    parser.add_argument(
        "--statement", action="append", choices=STATEMENTS, help="repeatable (all three)"
    )


def add_who(parser: argparse.ArgumentParser) -> None:
    """Add the options that name tickers."""
    who = parser.add_argument_group("which tickers")
    who.add_argument("--tickers", metavar="A,B", action="append", help="tickers, repeatable")
    who.add_argument("--tickers-file", metavar="F", help="a text file with one ticker a line")
    who.add_argument("--universe", choices=("active", "all"), help="the whole market")


def day(text: str | None, name: str) -> date | None:
    """Return the day that an option names.

    Raises:
        UsageError: it names none.
    """
    return None if text is None else as_day(text, name)


def check_before(arguments: argparse.Namespace, *, makes_lake: bool = True) -> None:
    """Refuse what can be refused without Prefect and without a request; `makes_lake` if need be.

    Raises:
        UsageError: unusable settings, no key, or a lake that cannot be written.
    """
    load_settings(arguments.base_url)
    if not server_configured():
        api_key()
    root = lake_root if makes_lake else existing_lake_root
    Lake(root(arguments.lake)).prepare()


def finish(state: Any, arguments: argparse.Namespace, lines: Any) -> int:
    """Print a flow's report from its end state; return the exit code.

    `lines` makes the text for people from the report.
    """
    from flows.runs import report_of  # Prefect is loaded by now

    report = report_of(state)
    if report is None:
        found = state.result(raise_on_failure=False)
        if isinstance(found, Exception) and not state.is_cancelled():
            return complain(unforeseen(found), 3, arguments)
        return complain(str(state.message or state), 3, arguments)
    if "error" in report:
        return complain(report["error"], report["exit_code"], arguments)
    if arguments.json:
        # What went wrong, and the remedy, may stand in the message alone.
        hidden = ("exit_code",) if report["exit_code"] else ("exit_code", "message")
        print(json.dumps({k: v for k, v in report.items() if k not in hidden}))
    else:
        for line in lines(report):
            print(line)
    return int(report["exit_code"])


def unforeseen(error: Exception) -> str:
    """Return what to say of an error that no class of ours stands for; its traceback is kept.

    In a file that only the user can read: nothing of ours puts the key into one, but an answer
    or a path may stand in it.
    """
    file, name = mkstemp(prefix="polygon-fundamentals-", suffix=".log")
    with os.fdopen(file, "w") as log:
        log.writelines(traceback.format_exception(error))
    said = traceback.format_exception_only(error)[-1].strip().rstrip(".")
    return (
        f"unforeseen {said}; run the same command again (what is done stays done), and if it "
        f"stays report it with the traceback in {name}"
    )


def complain(message: str, code: int, arguments: argparse.Namespace) -> int:
    """Tell an error in one line (with --json, as the JSON object too); return the code."""
    text = " ".join(message.split())
    print(f"error: {text}", file=sys.stderr)
    if getattr(arguments, "json", False):
        print(json.dumps({"error": text, "exit_code": code}))
    return code
