"""Defaults for a run from the command line, set before Prefect is imported.

What the user has set stays. Telemetry is off; Prefect's own log lines give way to our
progress and summary (`--verbose` shows them).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping


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
    if not verbose:
        warnings.filterwarnings("ignore", module="prefect|pydantic|great_expectations|websockets")


def without(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which runs log as usual: for servers, workers and their runs.

    What `apply` set for a run from the command line would silence the runs of a worker that
    is started from there.
    """
    silenced = {"PREFECT_LOGGING_LEVEL", "PREFECT_LOGGING_SERVER_LEVEL"}
    return {
        name: value
        for name, value in environment.items()
        if not (name in silenced and value == "CRITICAL")
    }
