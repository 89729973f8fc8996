"""The commands of `python -m flows`, in the order in which `--help` lists them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from flows.commands import (
    cutover,
    daily,
    demo,
    deploy,
    loads,
    parity,
    sandbox,
    serve,
    silver,
    status,
)


@dataclass(frozen=True)
class Command:
    """One command: its summary, its options, and what it runs."""

    summary: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    examples: str = ""


COMMANDS: dict[str, Command] = {
    "demo": Command(
        "everything once, on a local stand-in for the API, in a lake of its own",
        demo.arguments,
        demo.run,
        "example: python -m flows demo",
    ),
    "fundamentals": Command(
        "load some tickers once, from the primary generation unless told",
        loads.fundamentals_arguments,
        loads.fundamentals,
        "example: python -m flows fundamentals AAPL --use-v2 --filing-date-gte 2024-01-01",
    ),
    "historical-load": Command(
        "load all history of the given tickers",
        loads.historical_arguments,
        loads.historical,
        "example: python -m flows historical-load --generation v2 --tickers-file tickers.txt",
    ),
    "daily-update": Command(
        "take in what was filed in the last days, both generations side by side",
        daily.daily_arguments,
        daily.daily,
        "example: python -m flows daily-update --generation both --days-back 7",
    ),
    "refresh": Command(
        "read all of v2 again and withdraw what is gone (weekly)",
        daily.refresh_arguments,
        daily.refresh,
        "example: python -m flows refresh",
    ),
    "parity": Command(
        "compare both generations value by value, run the rules, build the data docs",
        parity.arguments,
        parity.run,
        "example: python -m flows parity --sample 100 --seed 1",
    ),
    "status": Command(
        "show both pipelines side by side, and what is amiss",
        status.arguments,
        status.run,
        "example: python -m flows status --watch",
    ),
    "silver": Command(
        "build the silver table from whichever generation readers see",
        silver.silver_arguments,
        silver.silver,
        "example: python -m flows silver --as-of 2024-05-31",
    ),
    "export": Command(
        "give v2's records in v1's nested form, for readers that cannot change yet",
        silver.export_arguments,
        silver.export,
        "example: python -m flows export --shape v1 --statement balance_sheets --ticker AAPL",
    ),
    "checklist": Command(
        "say what still stands between here and the cutover",
        cutover.checklist_arguments,
        cutover.checklist,
        "example: python -m flows checklist",
    ),
    "sign-off": Command(
        "record that somebody signs an item of the checklist off",
        cutover.sign_off_arguments,
        cutover.sign_off,
        "example: python -m flows sign-off training --by 'Ada Lovelace'",
    ),
    "cutover": Command(
        "make v2 what readers see (nothing without --execute)",
        cutover.cutover_arguments,
        cutover.cutover,
        "example: python -m flows cutover --execute",
    ),
    "rollback": Command(
        "make v1 what readers see again (nothing without --execute)",
        cutover.rollback_arguments,
        cutover.rollback,
        "example: python -m flows rollback --execute",
    ),
    "drill": Command(
        "rehearse cutover and rollback on a copy made of links",
        cutover.drill_arguments,
        cutover.drill,
        "example: python -m flows drill",
    ),
    "cleanup": Command(
        "retire v1's deployments, archive and remove its data (nothing without --execute)",
        cutover.cleanup_arguments,
        cutover.cleanup,
        "example: python -m flows cleanup --execute --script /opt/jobs/fundamentals.py",
    ),
    "restore": Command(
        "bring v1's data back from its archive (nothing without --execute)",
        cutover.restore_arguments,
        cutover.restore,
        "example: python -m flows restore --execute",
    ),
    "deploy": Command(
        "make the configured Prefect server as prefect.yaml declares",
        deploy.arguments,
        deploy.run,
        "example: PREFECT_API_URL=http://127.0.0.1:4200/api python -m flows deploy --plan",
    ),
    "serve": Command(
        "run a Prefect server, a worker and the schedules on this machine until Ctrl-C",
        serve.arguments,
        serve.run,
        "example: python -m flows serve --port 4200",
    ),
    "sandbox": Command(
        "serve the local stand-in for the API, with synthetic companies",
        sandbox.arguments,
        sandbox.run,
        "example: python -m flows sandbox --companies 20 --faults 429=.05,reset=.03",
    ),
}
