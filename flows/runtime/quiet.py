"""Defaults for a run from the command line, set before Prefect is imported.

What the user has set stays. Telemetry is off; Prefect's own log lines give way to our
progress and summary (`--verbose` shows them).
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Mapping
from contextlib import redirect_stderr
from typing import Any

from polygon_fundamentals.errors import UsageError

_LOOPBACK = ("127.0.0.1", "localhost")


def apply(*, verbose: bool = False) -> None:
    """Set the environment that Prefect and Great Expectations read when imported."""
    level = "INFO" if verbose else "CRITICAL"
    for name, value in {
        "PREFECT_LOGGING_LEVEL": level,
        "PREFECT_LOGGING_SERVER_LEVEL": "CRITICAL",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "GX_ANALYTICS_ENABLED": "false",
    }.items():
        os.environ.setdefault(name, value)
    _keep_loopback_off_proxies()
    if not verbose:
        warnings.filterwarnings("ignore", module="prefect|pydantic|great_expectations|websockets")


def _keep_loopback_off_proxies() -> None:
    """Reach the servers of this machine directly, since a proxy for the API cannot reach them."""
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [host for host in os.environ.get(name, "").split(",") if host.strip()]
        if hosts != ["*"]:
            os.environ[name] = ",".join(dict.fromkeys([*hosts, *_LOOPBACK]))


def import_prefect() -> None:
    """Import Prefect, with its settings.

    Raises:
        UsageError: a setting of Prefect's cannot be read.
    """
    from pydantic import ValidationError

    complaints = io.StringIO()  # Prefect prints the same in several lines before it raises
    try:
        with redirect_stderr(complaints):
            from prefect.settings import get_current_settings

            get_current_settings()
    except ValidationError as error:
        raise UsageError("; ".join(map(_setting, error.errors()))) from error
    print(complaints.getvalue(), end="", file=sys.stderr)


def _setting(error: Any) -> str:
    """Return which setting is wrong, and what to do."""
    given = str(error["input"])
    names = [n for n, v in os.environ.items() if n.startswith("PREFECT_") and v == given]
    where = " or ".join(names) or f"Prefect's setting {'.'.join(map(str, error['loc']))}"
    why = error["msg"].split(",")[0].removeprefix("Input should be ")
    return f"{where} is {given!r}, which is not {why}: correct or unset it"


def without(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which servers, workers and their runs log as usual.

    What `apply` sets for a run from the command line would silence a worker started from there.
    """
    silenced = {"PREFECT_LOGGING_LEVEL", "PREFECT_LOGGING_SERVER_LEVEL"}
    return {
        name: value
        for name, value in environment.items()
        if not (name in silenced and value == "CRITICAL")
    }
