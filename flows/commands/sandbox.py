"""The command `sandbox`."""

from __future__ import annotations

import argparse
import threading

from flows.commands.common import day
from polygon_fundamentals.errors import UsageError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `sandbox`."""
    parser.add_argument("--port", type=int, default=8790, help="(8790; 0: any free one)")
    parser.add_argument("--companies", type=int, default=60, help="synthetic companies (60)")
    parser.add_argument("--seed", type=int, default=7, help="same seed, same data (7)")
    parser.add_argument("--today", metavar="DAY", help="the sandbox's clock (2026-07-01)")
    parser.add_argument("--latency", type=float, default=0.0, metavar="S", help="seconds added")
    parser.add_argument("--key", default="sandbox-key", help="the API key it accepts")
    parser.add_argument(
        "--faults",
        default="",
        metavar="RATES",
        help="429=.05,500=.05,reset=.03,truncate=.03,html=.02,dup=.05,slow=.01,foreign_next=.01",
    )
    parser.add_argument("--v1-retired", action="store_true", help="v1 answers 410 for good")
    parser.add_argument("--requests-per-minute", type=int, help="beyond it, 429")


def run(given: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    from sandbox import Faults, Sandbox

    try:
        faults = Faults.parse(given.faults) if given.faults else Faults()
    except ValueError as error:
        raise UsageError(f"--faults {given.faults!r}: {error}") from error
    clock = {"today": day(given.today, "--today")} if given.today else {}
    sandbox = Sandbox(
        companies=given.companies,
        seed=given.seed,
        port=given.port,
        latency=given.latency,
        api_key=given.key,
        faults=faults,
        v1_retired=given.v1_retired,
        requests_per_minute=given.requests_per_minute,
        **clock,  # type: ignore[arg-type]
    )
    with sandbox:
        print(
            f"synthetic data of {given.companies} companies at {sandbox.url}\n"
            f"in another terminal: export POLYGON_API_KEY={given.key}\n"
            f"python -m flows fundamentals {sandbox.tickers[0]} --base-url {sandbox.url} "
            "--filing-date-gte 2025-01-01\nCtrl-C ends it",
            flush=True,
        )
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print(f"\nended after {sandbox.request_count} requests")
    return 0
