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
        Day, Flag(metavar="DAY", help="the day that it takes for today", unset="today")
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
    from polygon_fundamentals.business_days import today_in_new_york
    from sandbox import Faults, Sandbox

    try:
        faults = Faults.parse(given.faults) if given.faults else Faults()
    except ValueError as error:
        raise UsageError(f"--faults {given.faults!r}: {error}") from error
    sandbox = Sandbox(
        companies=given.companies,
        seed=given.seed,
        port=given.port,
        latency=given.latency,
        api_key=given.key,
        faults=faults,
        v1_retired=given.v1_retired,
        requests_per_minute=given.requests_per_minute,
        today=given.today or today_in_new_york(),
    )
    with sandbox:
        tickers = " ".join(sandbox.tickers[:10]) + (" ..." if len(sandbox.tickers) > 10 else "")
        generation = "v2" if given.v1_retired else "both"
        print(
            f"Synthetic data of {given.companies} companies at {sandbox.url}, to {sandbox.today}.\n"
            f"Its tickers: {tickers}\n\n"
            "In another terminal:\n"
            f"  export POLYGON_API_KEY={given.key} POLYGON_BASE_URL={sandbox.url}\n"
            f"  {program()} historical-load --generation {generation} --universe all "
            "--lake sandbox-lake\n\nCtrl-C ends it.",
            flush=True,
        )
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print(f"\nended after {sandbox.request_count} requests")
    return 0
