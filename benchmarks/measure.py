"""Measure one command: wall time, processor time and peak memory of its whole process tree.

The tree is sampled through /proc, so that a server which the command starts counts too, also
after its parent has gone. Memory is the proportional set size (shared pages are shared out), looked
at whenever the pages in memory have grown by a hundredth. Where there is no /proc, processor time
and the largest process are the operating system's accounting.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

EVERY_SECONDS = 0.1
GROWN = 1.01
_PROC = Path("/proc")
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Measured:
    """One run: seconds, bytes, the exit code, and what the command printed."""

    wall: float
    cpu: float
    peak: int
    peak_is: str
    exit_code: int
    printed: str
    errors: str


@dataclass
class _Tree:
    """The processes seen below one: their processor time, and the largest sum of memory."""

    root: int
    seconds: dict[tuple[int, int], float] = field(default_factory=dict)
    peak: int = 0
    resident: int = 0  # when the peak was last looked at, shared pages counted in each process

    def sample(self) -> None:
        """Look once."""
        stats = dict(filter(None, map(_stat, _PROC.iterdir())))
        mine = {self.root} | {pid for pid, start in self.seconds if pid in stats}
        mine = {p for p in mine if p == self.root or (p, stats[p].start) in self.seconds}
        grown = True
        while grown:
            more = {pid for pid, stat in stats.items() if stat.parent in mine} - mine
            mine |= more
            grown = bool(more)
        mine &= stats.keys()
        for pid in mine:
            self.seconds[pid, stats[pid].start] = stats[pid].seconds
        # To add up the shares of its pages holds a process up, for 50 ms at 600 MB: only where
        # there may be a new peak.
        resident = sum(stats[pid].resident for pid in mine)
        if resident > self.resident * GROWN:
            self.resident = resident
            self.peak = max(self.peak, sum(map(_memory, mine)))

    def watch(self, stop: threading.Event) -> None:
        """Look until told to stop."""
        while not stop.wait(EVERY_SECONDS):
            self.sample()


class _Stat(NamedTuple):
    """What the system says of a process: its parent, when it started, seconds, bytes in memory."""

    parent: int
    start: int
    seconds: float
    resident: int


def _stat(entry: Path) -> tuple[int, _Stat] | None:
    """Return pid → what the system says of a process, or None."""
    if not entry.name.isdecimal():
        return None
    try:
        rest = (entry / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    seconds = (int(rest[11]) + int(rest[12])) / _TICK
    return int(entry.name), _Stat(int(rest[1]), int(rest[19]), seconds, int(rest[21]) * _PAGE)


def _memory(pid: int) -> int:
    try:
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:  # gone, or another user's
        return 0
    return 0


def measured(
    words: Sequence[str], cwd: Path, environment: Mapping[str, str], logs: Path, seconds: float
) -> Measured:
    """Run a command and measure it; `logs` gets what it prints. Ended after `seconds`."""
    logs.mkdir(parents=True, exist_ok=True)
    out, err = logs / "stdout.txt", logs / "stderr.txt"
    with out.open("wb") as to_out, err.open("wb") as to_err:
        started = time.monotonic()
        process = subprocess.Popen(
            words, cwd=cwd, stdout=to_out, stderr=to_err, env=dict(environment)
        )
        tree, stop = _Tree(process.pid), threading.Event()
        watch = threading.Thread(target=tree.watch, args=(stop,), daemon=True)
        overdue = threading.Timer(seconds, process.kill)
        overdue.start()
        if _PROC.is_dir():
            watch.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            overdue.cancel()
            stop.set()
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - started
    if watch.is_alive():
        watch.join()
    unit = 1 if sys.platform == "darwin" else 1024
    # What fork hands on counts in a short process's own figure: without a sample there is none.
    whole = _PROC.is_dir()
    return Measured(
        wall=wall,
        cpu=max(usage.ru_utime + usage.ru_stime, sum(tree.seconds.values())),
        peak=tree.peak if whole else usage.ru_maxrss * unit,
        peak_is="process tree" if whole else "largest process",
        exit_code=process.returncode,
        printed=out.read_text(errors="replace"),
        errors=err.read_text(errors="replace")[-2000:],
    )
