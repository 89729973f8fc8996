"""The processes that a process started."""

from __future__ import annotations

import subprocess


def descendants(pid: int) -> list[int]:
    """Return the processes that one started, and theirs."""
    lines = subprocess.run(
        ["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    children: dict[int, list[int]] = {}
    for line in lines:
        child, parent = map(int, line.split())
        children.setdefault(parent, []).append(child)
    below, new = list[int](), children.get(pid, [])
    while new:
        below += new
        new = [c for p in new for c in children.get(p, [])]
    return below
