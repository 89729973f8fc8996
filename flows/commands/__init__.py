"""The commands of `python -m flows`, in the order in which `--help` lists them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from flows.commands import demo, loads, sandbox


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
    "sandbox": Command(
        "serve the local stand-in for the API, with synthetic companies",
        sandbox.arguments,
        sandbox.run,
        "example: python -m flows sandbox --companies 20 --faults 429=.05,reset=.03",
    ),
}
