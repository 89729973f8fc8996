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

from flows.commands import COMMANDS, GROUPS
from flows.commands.options import add_options, parameters_of
from flows.commands.output import complain, unforeseen
from flows.runtime import quiet
from polygon_fundamentals.errors import FundamentalsError, told

PROGRAM = "python -m flows"
DESCRIPTION = """Move a lake of company fundamentals from Polygon's deprecated API (v1) to the
official one (v2)."""
EPILOG = """examples:
  {program} demo
  {program} fundamentals AAPL MSFT
  {program} historical-load --generation both --tickers AAPL,MSFT --from 2010-01-01
  {program} historical-load --generation v2 --universe active --lake /data/lake

The API key is read from POLYGON_API_KEY (or MASSIVE_API_KEY), never from an argument.
Exit codes: 0 done; 1 the answer is no; 2 wrong use or configuration; 3 the API failed or
some units are missing; 4 the lake is locked or damaged; 130 interrupted."""


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser, with every command."""
    top = argparse.ArgumentParser(
        prog=PROGRAM,
        usage=f"{PROGRAM} [-h] COMMAND ...",
        description=f"{DESCRIPTION}\n\n{_list_of_commands()}",
        epilog=EPILOG.format(program=PROGRAM),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(
        dest="command", metavar="COMMAND", required=True, prog=PROGRAM, help=argparse.SUPPRESS
    )
    for name, command in COMMANDS.items():
        lines = "\n".join(f"  {PROGRAM} {example}" for example in command.examples)
        sub = commands.add_parser(
            name,
            description=command.summary,
            epilog=f"examples:\n{lines}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add_options(sub, command.parameters, command.shared)
    return top


def _list_of_commands() -> str:
    """Return the commands by group, as `--help` shows them."""
    width = max(len(name) for name in COMMANDS) + 2
    lines = []
    for title, commands in GROUPS.items():
        lines.append(f"  {title}:")
        lines += [f"    {name:<{width}}{command.summary}" for name, command in commands.items()]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    arguments = parser().parse_args(argv)
    command, as_json = COMMANDS[arguments.command], getattr(arguments, "json", False)
    quiet.apply(verbose=getattr(arguments, "verbose", False))
    try:
        return command.run(parameters_of(command.parameters, arguments), as_json)
    except (FundamentalsError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        ours = told(error)
        return complain(str(ours), ours.exit_code, as_json)
    except KeyboardInterrupt:
        return complain("interrupted; run the same command again to go on", 130, as_json)
    except Exception as error:  # noqa: BLE001 - Python's own end would be 1: "the answer is no"
        return complain(unforeseen(error), 3, as_json)


if __name__ == "__main__":
    code = main()
    gc.freeze()  # the system takes the memory back; looking for garbage first takes 0.4 s
    sys.exit(code)
