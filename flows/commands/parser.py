"""The parser of the command line, with every command by group; completion and version."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterable
from difflib import get_close_matches
from shutil import get_terminal_size
from typing import Any

from flows.commands import COMMANDS, GROUPS
from flows.commands.options import add_options
from flows.commands.output import INSTALLED

SHELLS = ("bash", "zsh", "tcsh")
# Commands whose lake is the environment's: their schedules and workers read it there.
LAKE_OF_ENVIRONMENT = (" deploy", " serve")
DESCRIPTION = """Move a lake of company fundamentals from Polygon's deprecated API (v1) to the
official one (v2)."""
EPILOG = """examples:
  {program} demo
  {program} fundamentals AAPL MSFT --use-v2
  {program} historical-load --generation v2 --tickers AAPL,MSFT
  {program} historical-load --generation v2 --universe active

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


class _Parser(argparse.ArgumentParser):
    """One whose errors about a word that it does not know name the nearest one that it knows."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse what is left over with the usage of the command, which argparse does not."""
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            options = [word for action in self._actions for word in action.option_strings]
            word = unknown[0].partition("=")[0]
            near = _nearest(word, options)
            if not word.startswith("-") and "--tickers" in options:
                near = "; name tickers with --tickers A,B"
            elif word == "--lake" and self.prog.endswith(LAKE_OF_ENVIRONMENT):
                near = "; QUANTLAKE_ROOT says which lake it uses"
            self.error(f"unrecognized arguments: {' '.join(unknown)}{near}")
        return known, unknown

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.dest == "command" and value not in COMMANDS:
            near = _nearest(value, COMMANDS) or f"; {self.prog} --help lists them"
            self.error(f"{value!r} is not a command{near}")
        super()._check_value(action, value)


def _nearest(word: str, words: Iterable[str]) -> str:
    """Return what to add to an error about a word: which of `words` may have been meant."""
    near = get_close_matches(word, list(words), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def parser(program: str) -> argparse.ArgumentParser:
    """Return the parser of the command line, with every command; `program` is its name."""
    top = _Parser(
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
