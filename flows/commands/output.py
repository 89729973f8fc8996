"""How commands print: a flow's report, as lines for people or as JSON, and errors."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp
from typing import Any
from urllib.parse import urlsplit

from polygon_fundamentals.errors import ApiError
from polygon_fundamentals.server import without_credentials

INSTALLED = "polygon-fundamentals"
# The name with a command behind it, as messages write it; not the end of a path.
_NAMED = re.compile(rf"(?<![\w/.-]){INSTALLED} (?=[a-z])")
Lines = Callable[[Mapping[str, Any]], Iterable[str]]
# As of a program that SIGPIPE ends: what it would have answered is not known.
READER_LEFT = 141


def program() -> str:
    """Return how the user called this program."""
    return INSTALLED if Path(sys.argv[0]).name == INSTALLED else "python -m flows"


def reworded(text: str) -> str:
    """Return a message with the commands that it names as the user called this program."""
    return _NAMED.sub(f"{program()} ", text)


def fitted(line: str) -> str:
    """Return a line broken at words for the terminal, what follows indented; else as it is.

    A file or a pipe gets every line whole, and an address or a path is never broken.
    """
    width = shutil.get_terminal_size().columns
    if not sys.stdout.isatty() or len(line) <= width:
        return line
    leading = len(line) - len(line.lstrip())
    indent = " " * (leading + 2 if leading else 4)
    return textwrap.fill(
        line,
        width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def finish(state: Any, lines: Lines, as_json: bool) -> int:
    """Print the report of a flow's end state, as JSON or by `lines`; return the exit code."""
    from flows.runs import report_of  # Prefect is loaded by now

    report = report_of(state)
    if report is None:
        result = state.result(raise_on_failure=False)
        if isinstance(result, Exception) and not state.is_cancelled():
            if silent := unanswered(result):
                return complain(str(silent), silent.exit_code, as_json)
            return complain(unforeseen(result), 3, as_json)
        return complain(str(state.message or state), 3, as_json)
    if "error" in report:
        return complain(report["error"], report["exit_code"], as_json)
    with reader_may_leave():
        if as_json:
            # What went wrong, and the remedy, may stand in the message alone.
            hidden = ("exit_code",) if report["exit_code"] else ("exit_code", "message")
            print(json.dumps({k: v for k, v in report.items() if k not in hidden}))
        else:
            for line in lines(report):
                print(fitted(reworded(line)))
    return int(report["exit_code"])


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """Keep the exit code of an answer although `| head` has stopped reading it."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        nobody_reads()


def nobody_reads() -> None:
    """Discard what is still to be printed, so that Python does not fail at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def unanswered(error: Exception) -> ApiError | None:
    """Return an ApiError if the configured Prefect server does not answer, else None."""
    if "Failed to reach API" not in str(error):
        return None
    url = urlsplit(without_credentials(os.environ.get("PREFECT_API_URL") or ""))
    address = url._replace(query="", fragment="").geturl()
    return ApiError(
        f"the Prefect server of {address or 'the active profile'} does not answer: start it or "
        "correct PREFECT_API_URL; unset it to run without one"
    )


def unforeseen(error: Exception) -> str:
    """Return the message for an unexpected error; write its traceback to a file.

    Only the user can read the file. It never holds the key, but perhaps an answer or a path.
    """
    file, name = mkstemp(prefix="polygon-fundamentals-", suffix=".log")
    with os.fdopen(file, "w") as log:
        log.writelines(traceback.format_exception(error))
    said = traceback.format_exception_only(error)[-1].strip().rstrip(".")
    return (
        f"unexpected {said}; run the same command again, which continues. If it fails again, "
        f"report it with the traceback in {name}"
    )


def complain(message: str, code: int, as_json: bool) -> int:
    """Print an error in one line (with --json, as the JSON object too); return the code."""
    text = " ".join(message.split())
    print(reworded(f"error: {text}"), file=sys.stderr)
    if as_json:
        print(json.dumps({"error": text, "exit_code": code}))
    return code
