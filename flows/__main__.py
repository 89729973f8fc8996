"""`python -m flows COMMAND`, or `polygon-fundamentals COMMAND`: parse, run the flow, print.

Prefect is imported only when a command really runs a flow, so that `--help` and wrong
use answer at once.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

from flows.commands import COMMANDS
from flows.commands.options import parameters_of
from flows.commands.output import (
    READER_LEFT,
    complain,
    nobody_reads,
    program,
    unanswered,
    unforeseen,
)
from flows.commands.parser import parser
from flows.runtime import quiet
from flows.runtime.interrupt import ends_when_asked, pass_signals_over
from polygon_fundamentals.errors import FundamentalsError, as_fundamentals_error


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    arguments = parser(program()).parse_args(argv)
    command, as_json = COMMANDS[arguments.command], getattr(arguments, "json", False)
    quiet.apply(verbose=getattr(arguments, "verbose", False))
    try:
        with ends_when_asked():
            return command.run(parameters_of(command.parameters, arguments), as_json)
    except (FundamentalsError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            nobody_reads()
            return READER_LEFT
        ours = as_fundamentals_error(error)
        return complain(str(ours), ours.exit_code, as_json)
    except KeyboardInterrupt as error:
        # Python ends a process by SIGINT, whatever its exit code, where the interrupt met an `exec`
        # of a text (each dataclass that is imported makes one), until the next `exec`.
        exec("")
        so_far = f"interrupted: {error}" if str(error) else "interrupted"
        return complain(f"{so_far}; run the same command again to continue", 130, as_json)
    except Exception as error:  # noqa: BLE001 - Python's own end would be 1: "the answer is no"
        return complain(str(unanswered(error) or unforeseen(error)), 3, as_json)


if __name__ == "__main__":
    code = main()
    pass_signals_over()
    gc.freeze()  # the system takes the memory back; looking for garbage first takes 0.4 s
    sys.exit(code)
