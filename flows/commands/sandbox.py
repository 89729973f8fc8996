"""The command `sandbox`."""

from __future__ import annotations

import threading
from typing import Annotated

from flows.commands.output import program
from flows.parameters.declaration import Flag, Parameters
from flows.parameters.shared import Day
from polygon_fundamentals.errors import UsageError


class SandboxParameters(Parameters):
    """The local stand-in for the API."""

    port: Annotated[
        int, Flag(metavar="N", help="port to listen on", unset="8790; 0: any free one")
    ] = 8790
    companies: Annotated[int, Flag(metavar="N", help="synthetic companies")] = 60
    seed: Annotated[int, Flag(metavar="N", help="same seed, same data")] = 7
    today: Annotated[
        Day, Flag(metavar="DAY", help="the day that it takes for today", unset="2026-07-01")
    ] = None
    latency: Annotated[float, Flag(metavar="SECONDS", help="added to each answer")] = 0.0
    key: Annotated[str, Flag(help="the API key it accepts")] = "sandbox-key"
    faults: Annotated[
        str,
        Flag(
            metavar="RATES",
            help="share of answers that fail, such as 429=.05,reset=.03. Kinds: 429 and 500 (that "
            "status), reset (connection cut), truncate (body cut off), html (a web page instead "
            "of JSON), dup (rows twice), slow, foreign_next (next page on another host)",
        ),
    ] = ""
    v1_retired: Annotated[bool, Flag(help="v1 answers 410 for good")] = False
    requests_per_minute: Annotated[int | None, Flag(metavar="N", help="answer 429 beyond N")] = None


def run(given: SandboxParameters, _: bool) -> int:
    """Serve until Ctrl-C."""
    from sandbox import Faults, Sandbox

    try:
        faults = Faults.parse(given.faults) if given.faults else Faults()
    except ValueError as error:
        raise UsageError(f"--faults {given.faults!r}: {error}") from error
    clock = {"today": given.today} if given.today else {}
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
        tickers = " ".join(sandbox.tickers[:10]) + (" ..." if len(sandbox.tickers) > 10 else "")
        print(
            f"synthetic data of {given.companies} companies at {sandbox.url}\n"
            f"its clock says {sandbox.today}; no filing is later (--today DAY sets the clock)\n"
            f"its tickers: {tickers}\n"
            f"in another terminal: export POLYGON_API_KEY={given.key}\n"
            f"{program()} fundamentals {sandbox.tickers[0]} --base-url {sandbox.url} "
            "--filing-date-gte 2025-01-01\nCtrl-C ends it",
            flush=True,
        )
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print(f"\nended after {sandbox.request_count} requests")
    return 0
