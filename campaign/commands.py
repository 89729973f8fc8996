"""Real commands, and what must hold of one that a signal asks to end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from campaign import published
from campaign.draw import SIGNALS
from campaign.model import SECRET, Broken, ledger_names
from campaign.process import load_factor
from campaign.where import Where
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.ledger.entry import read_entries

ROOT = Path(__file__).parents[1]
KEY = f"{SECRET.decode()}-command"
END_SECONDS = 15.0  # within which a command ends that is asked to, on a machine with nothing to do
PASSED_OVER_SECONDS = 1.0
INTERRUPTED = 130


def run(where: Where, step: str, draw: int, troubles: Mapping[str, Any]) -> str:
    """Run the command of a step, ended by a signal where that is a trouble; return how it ended.

    Raises:
        Broken: it did not end as a command does.
    """
    url = ["--base-url", where.url]
    words = {
        "load v2": ["historical-load", "--generation", "v2", "--tickers", where.tickers[0], *url],
        "refresh": ["refresh", *url],
        "update": ["daily-update", "--date", str(where.day), *url],
        "silver": ["silver"],
        "publish": ["publish", "--to", str(published.place(where))],
        "parity": ["parity", *url],
        "verify": ["verify"],
    }.get(step, ["status"])
    temporary = where.beside / "tmp"
    temporary.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "flows", *words, "--lake", str(where.root)],
        cwd=ROOT,
        env={**os.environ, "POLYGON_API_KEY": KEY, "TMPDIR": str(temporary)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    how, patience = "ended", 180.0
    if asks := sorted(SIGNALS & troubles.keys()):
        _ask_for_the_end(process, where.root, asks[0], draw)
        patience = END_SECONDS * load_factor()
    elif {"kill", "power", "timer"} & troubles.keys():
        patience = draw % 10
    with process:
        try:
            _, said = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            process.kill()
            how, (_, said) = "killed", process.communicate()
    if asks:
        if how == "killed":
            raise Broken(f"signal: {words[0]} went on for {patience:.0f} s after {asks[0]}")
        interrupted = process.returncode == INTERRUPTED
        check_end(where.lake, process.pid, words[0], 0.0, interrupted)
        how = "interrupted" if interrupted else how
    if how == "killed":
        shutil.rmtree(temporary)  # nobody is left who would remove its server's log
    elif left := os.listdir(temporary):
        raise Broken(f"left over: {words[0]} left the temporary files {left}: {said[-2000:]}")
    # 2: the words above are not the command's.
    wrong = process.returncode not in (0, 1, 3, 4, INTERRUPTED) and how != "killed"
    if wrong or SECRET.decode() in said or "Traceback" in said:
        raise Broken(f"{words[0]}: exit code {process.returncode}: {said[-2000:]}")
    return how


def check_end(lake: Lake, pid: int, name: str, late: float, interrupted: bool) -> None:
    """Raise unless a process that was asked to end did so in time, and its run says so.

    Raises:
        Broken: it did not.
    """
    if late > END_SECONDS * load_factor():
        raise Broken(f"signal: {name} went on for {late:.0f} s")
    if late > PASSED_OVER_SECONDS and not interrupted:
        raise Broken(f"signal: {name} passed it over")
    for entry in read_entries(lake)[0]:
        if entry.content["pid"] == pid and entry.is_running:
            raise Broken(f"signal: the entry of {name} has no end")


def _ask_for_the_end(process: subprocess.Popen[str], root: Path, name: str, draw: int) -> None:
    """Send a command a signal once it can answer; of two out of three when its run has begun."""
    before, until = ledger_names(root), time.monotonic() + 100.0
    while process.poll() is None and not _answers(process.pid) and time.monotonic() < until:
        time.sleep(0.01)
    if draw % 3 == 0:
        until = time.monotonic() + draw % 100 / 10
    while process.poll() is None and time.monotonic() < until:
        if draw % 3 and ledger_names(root) - before:
            until = min(until, time.monotonic() + draw % 50 / 100)
        time.sleep(0.01)
    process.send_signal(signal.Signals[name])


def _answers(pid: int) -> bool:
    """Return whether a process has a handler for SIGTERM, as a command has from its beginning."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> signal.SIGTERM - 1 & 1)
