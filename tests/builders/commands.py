"""Running commands in this process, as a user does."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

from flows.__main__ import main
from polygon_fundamentals.lake import Lake


def call(*words: str) -> tuple[int, dict[str, Any]]:
    """Return the exit code and the answer of a command with `--json`."""
    code, answer, _ = call_with_errors(*words)
    return code, answer


def call_with_errors(*words: str) -> tuple[int, dict[str, Any], str]:
    """Return exit code, answer and standard error of a command with `--json`."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([*words, "--json"])
    return code, json.loads(out.getvalue()), err.getvalue()


def where(url: str, lake: Lake) -> list[str]:
    """Return the options that name an API and a lake."""
    return ["--base-url", url, "--lake", str(lake.root)]
