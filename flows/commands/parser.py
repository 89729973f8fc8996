"""The parser of the command line, with every command by group; completion and version."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterable
from shutil import get_terminal_size
from typing import Any

from flows.commands import COMMANDS, GROUPS
from flows.commands.options import add_options
from flows.commands.output import INSTALLED

SHELLS = ("bash", "zsh", "tcsh")
DESCRIPTION = """Move a lake of company fundamentals from Polygon's deprecated API (v1) to the
official one (v2)."""
EPILOG = """examples:
  {program} demo
  {program} fundamentals AAPL MSFT
  {program} historical-load --generation v2 --tickers AAPL,MSFT
  {program} historical-load --universe active --lake /lake

The API key is read from POLYGON_API_KEY (or MASSIVE_API_KEY), never from an
argument. Exit codes: 0 done; 1 a check failed; 2 wrong use or configuration;
3 the API or publish's store failed, some units are missing, or an unexpected
error; 4 the lake is locked or damaged; 130 interrupted."""


class _Version(argparse.Action):
    """Prints the versions and ends."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        import platform
        from importlib.metadata import version

        print(
            f"{INSTALLED} {version(INSTALLED)} (Prefect {version('prefect')}, "
            f"Great Expectations {version('great_expectations')}, "
            f"Python {platform.python_version()})"
        )
        parser.exit()


class _PrintCompletion(argparse.Action):
    """Prints a shell's completion of the installed command and ends."""

    def __call__(self, _: argparse.ArgumentParser, given: Any, shell: Any, *more: Any) -> None:
        import shtab

        whole = parser(INSTALLED)
        for action in whole._actions:
            if isinstance(action, argparse._SubParsersAction):
                action.help = "the command"  # what is not listed in the help is not completed
                for sub in action.choices.values():
                    _complete_files(sub._actions)
        print(shtab.complete(whole, shell))
        whole.exit()


def _complete_files(actions: Iterable[Any]) -> None:
    import shtab

    for action in actions:
        if action.metavar in ("FILE", "DIR"):
            action.complete = shtab.DIRECTORY if action.metavar == "DIR" else shtab.FILE


def parser(program: str) -> argparse.ArgumentParser:
    """Return the parser of the command line, with every command; `program` is its name."""
    top = argparse.ArgumentParser(
        prog=program,
        usage=f"{program} [-h] COMMAND ...",
        description=f"{DESCRIPTION}\n\n{_list_of_commands()}",
        epilog=EPILOG.format(program=program),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action=_Version, nargs=0, help="show the versions and exit")
    top.add_argument(
        "--print-completion",
        action=_PrintCompletion,
        choices=SHELLS,
        help=f'completion of {INSTALLED}: eval "$({INSTALLED} --print-completion bash)"',
    )
    commands = top.add_subparsers(
        dest="command", metavar="COMMAND", required=True, prog=program, help=argparse.SUPPRESS
    )
    for name, command in COMMANDS.items():
        lines = "\n".join(f"  {program} {example}" for example in command.examples)
        sub = commands.add_parser(
            name,
            help=command.summary,
            description=textwrap.fill(command.summary, get_terminal_size().columns - 2),
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
        for name, command in commands.items():
            # argparse leaves two columns at the right free, and so does this.
            lines += textwrap.wrap(
                command.summary,
                get_terminal_size().columns - 2,
                initial_indent=f"    {name:<{width}}",
                subsequent_indent=" " * (width + 4),
            )
    return "\n".join(lines)
