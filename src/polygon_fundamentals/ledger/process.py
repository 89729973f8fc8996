"""Identifies a process, and a version of this code."""

from __future__ import annotations

import resource
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from polygon_fundamentals.lake.storage.local import boot_id


@cache
def code_version() -> str:
    """Return the version of this code: the package's, and the git commit where there is one."""
    try:
        number = version("polygon-fundamentals")
    except PackageNotFoundError:
        number = "0"
    try:
        commit = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short=12", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        ).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        commit = ""
    return f"{number}+{commit}" if commit else number


def peak_memory_bytes() -> int:
    """Return the largest resident size so far of this process or any child, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * max(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )


def process_started(pid: int) -> str | None:
    """Return a text that identifies a process beyond its number, or None.

    From Linux's /proc: the boot and the moment in it; elsewhere None.
    """
    try:
        # The name, in parentheses, may hold spaces; the start is the 20th field after it.
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None
    return f"{boot_id()}:{ticks}"
