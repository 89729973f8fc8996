"""The tools that are measured: the command of each, and the interpreter that has its packages.

Ours and the plain downloader run in the project's environment; the others in one of their own
(`benchmarks/requirements.txt`, built by `make bench`), which BENCH_PYTHON names.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.server import KEY, Served

ROOT = Path(__file__).parents[1]
HERE = Path(__file__).parent

OURS = "ours"


@dataclass(frozen=True)
class Tool:
    """A tool: what a table calls it, its script, the packages it needs, where its data goes."""

    name: str
    title: str
    script: str = ""
    needs: tuple[str, ...] = ()
    data: str = "."


LOADERS = {
    tool.name: tool
    for tool in (
        Tool("ours", "this project", data="bronze"),
        Tool(
            "library",
            "this project without Prefect",
            "library_only.py",
            ("polygon_fundamentals",),
            "bronze",
        ),
        Tool("plain", "plain asyncio downloader", "plain_asyncio.py", ("httpx", "polars")),
        Tool("vendor", "the vendor's client in a loop", "vendor_client.py", ("massive", "pandas")),
        Tool("dlt", "dlt REST source", "dlt_rest.py", ("dlt", "pyarrow"), data="lake"),
    )
}
COMPARERS = {
    tool.name: tool
    for tool in (
        Tool("ours", "this project"),
        Tool("duckdb", "DuckDB SQL", "duckdb_sql.py", ("duckdb",)),
        Tool("datacompy", "datacompy", "datacompy_frames.py", ("datacompy", "pandas")),
    )
}


@cache
def interpreter(needs: tuple[str, ...]) -> str | None:
    """Return the interpreter that can import all of `needs`, or None."""
    for python in filter(None, (sys.executable, os.environ.get("BENCH_PYTHON"))):
        code = f"import {', '.join(needs)}" if needs else ""
        found = subprocess.run([python, "-c", code], capture_output=True, check=False)
        if found.returncode == 0:
            return python
    return None


def missing(tool: Tool) -> str | None:
    """Return why a tool cannot be measured here, or None."""
    if interpreter(tool.needs):
        return None
    return f"{', '.join(tool.needs)} cannot be imported: see benchmarks/requirements.txt"


def flows(*words: str) -> list[str]:
    """Return a command of ours."""
    return [sys.executable, "-m", "flows", *words]


def history(tool: Tool, generation: str, server: Served, folder: Path) -> list[str]:
    """Return the command that loads the history of all the server's tickers."""
    if tool.name == OURS:
        return flows(
            *("historical-load", "--generation", generation, "--timeframe", "quarterly"),
            *("--tickers-file", str(server.tickers), "--base-url", server.url),
            *("--lake", str(folder), "--json"),
        )
    return _script(tool, generation, server, folder)


def update(
    tool: Tool, generation: str, server: Served, folder: Path, window: Sequence[str]
) -> list[str]:
    """Return the command that takes in the filings of a window of days over the whole market.

    `window`: first day, day after the last, days between the first and the last.
    """
    first, before, last, days = window
    if tool.name == OURS:
        return flows(
            *("daily-update", "--generation", generation, "--timeframe", "quarterly"),
            *("--date", last, "--days-back", days, "--base-url", server.url),
            *("--lake", str(folder), "--json"),
        )
    return [*_script(tool, generation, server, folder), first, before]


def _script(tool: Tool, generation: str, server: Served, folder: Path) -> list[str]:
    python = interpreter(tool.needs) or sys.executable
    return [
        *(python, str(HERE / tool.script), generation, server.url, KEY),
        *(str(folder), str(server.tickers)),
    ]


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of a measured command: the user's, without Prefect's settings."""
    plain = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT", "POLYGON", "MASSIVE", "QUANTLAKE"))
    }
    return plain | {"POLYGON_API_KEY": KEY, "PREFECT_HOME": str(home), **more}
