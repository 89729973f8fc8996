"""Ctrl-C at the moments at which Python by itself would lose it, or end in another way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path

import pytest

from flows.runtime.interrupt import ends_when_asked
from polygon_fundamentals.lake import Lake
from tests.cutover_world import fill

ROOT = Path(__file__).parents[3]
# What `python -m flows verify` does where the signal arrives while a dataclass is being imported.
INTERRUPTED_IN_EXEC = """
import sys
from dataclasses import replace
from flows import __main__ as program
def run(*_):
    exec("raise KeyboardInterrupt")
program.COMMANDS["verify"] = replace(program.COMMANDS["verify"], run=run)
sys.exit(program.main(["verify"]))
"""
# `python -m flows status --lake FOLDER`, to which a signal comes while Python ends.
LATE = """
import atexit, os, runpy, sys
atexit.register(lambda: os.kill(os.getpid(), {number}))
sys.argv = ["flows", "status", "--lake", {lake!r}]
runpy.run_module("flows", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_arrives_in_a_finaliser_is_not_lost(
    number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    """The campaign, seed 385003: Python printed a traceback and dropped the interrupt."""

    class Something:
        pass

    thing = Something()
    _ = weakref.ref(thing, lambda _: signal.raise_signal(number))
    until = time.monotonic() + 10
    with pytest.raises(KeyboardInterrupt), ends_when_asked():  # noqa: PT012 - both raise it
        del thing
        while time.monotonic() < until:
            time.sleep(0.01)
    assert capfd.readouterr().err == ""


def test_the_exit_code_is_130_wherever_the_signal_arrives(tmp_path: Path) -> None:
    """The campaign, seed 486001: the process was ended by SIGINT after its last message."""
    (tmp_path / "interrupted.py").write_text(INTERRUPTED_IN_EXEC)
    ended = subprocess.run(
        [sys.executable, "-m", "interrupted"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 130
    assert ended.stderr == "error: interrupted; run the same command again to continue\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_comes_when_all_is_done_changes_no_exit_code(
    number: signal.Signals, lake: Lake
) -> None:
    """The campaign, seed 598002: SIGINT ended a `status` that had printed its answer."""
    fill(lake)
    code = LATE.format(number=int(number), lake=str(lake.root))
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
