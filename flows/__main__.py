"""`python -m flows COMMAND`: parse, run the flow, print; nothing else.

Prefect is imported only when a command really runs a flow, so that `--help` and wrong
use answer at once.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence

from flows.commands import COMMANDS, Command
from flows.commands.common import complain, unforeseen
from flows.runtime import quiet
from flows.runtime.interrupt import requests_end_at_ctrl_c
from polygon_fundamentals.errors import FundamentalsError, told

EPILOG = """examples:
  python -m flows demo
  python -m flows fundamentals AAPL MSFT
  python -m flows historical-load --generation both --tickers AAPL,MSFT --from 2010-01-01
  python -m flows historical-load --generation v2 --universe active --lake /data/lake

The API key is read from POLYGON_API_KEY (or MASSIVE_API_KEY), never from an argument.
Exit codes: 0 done; 1 the answer is no; 2 wrong use or configuration; 3 the API failed or
some units are missing; 4 the lake is locked or damaged; 130 interrupted."""


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser, with every command."""
    top = argparse.ArgumentParser(
        prog="python -m flows",
        description="Move a lake of company fundamentals from Polygon's deprecated API (v1) "
        "to the official one (v2).",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        sub = commands.add_parser(
            name,
            help=command.summary,
            description=command.summary,
            epilog=command.examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.arguments(sub)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    arguments = parser().parse_args(argv)
    command: Command = COMMANDS[arguments.command]
    quiet.apply(verbose=getattr(arguments, "verbose", False))
    try:
        with requests_end_at_ctrl_c():
            return command.run(arguments)
    except (FundamentalsError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        ours = told(error)
        return complain(str(ours), ours.exit_code, arguments)
    except KeyboardInterrupt:
        return complain("interrupted; run the same command again to go on", 130, arguments)
    except Exception as error:  # noqa: BLE001 - Python's own end would be 1: "the answer is no"
        return complain(unforeseen(error), 3, arguments)


if __name__ == "__main__":
    code = main()
    gc.freeze()  # the system takes the memory back; looking for garbage first takes 0.4 s
    sys.exit(code)
