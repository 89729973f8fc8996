"""The help, `status` and `checklist` fit into the terminal that they are read in."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from flows.commands import COMMANDS
from flows.commands.parser import parser
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.status.render import DATASET_COLUMNS
from tests.builders.status_lakes import retired

ROOT = Path(__file__).parents[3]


def in_a_terminal(columns: int, *words: str, **environment: str) -> list[str]:
    """Return the lines that a command prints into a terminal of that width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    plain = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR")}
    command = subprocess.Popen(
        [sys.executable, "-m", "flows", *words],
        cwd=ROOT,
        env={**plain, "TERM": "xterm-256color", **environment},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs)
    text = b""
    while part := _read(ours):
        text += part
    os.close(ours)
    assert command.wait(60) in (0, 1)
    return text.decode().replace("\r", "").splitlines()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the command has ended
        return b""


def without_style(line: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", line)


@pytest.mark.parametrize("columns", [80, 140])
@pytest.mark.parametrize("program", ["python -m flows", "polygon-fundamentals"])
def test_the_help_is_no_wider_than_the_terminal(
    columns: int, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text = parser(program).format_help()
    assert [line for line in text.splitlines() if len(line) > columns] == []
    assert [name for name in COMMANDS if f"    {name} " not in text] == []
    assert "\x1b" not in text


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 140])
@pytest.mark.parametrize("command", ["status", "checklist"])
def test_a_screen_fits_and_nothing_of_it_is_cut(command: str, columns: int, lake: Lake) -> None:
    retired(lake)
    lines = in_a_terminal(columns, command, "--lake", str(lake.root), NO_COLOR="1")
    assert len(lines) > 10
    paths = [line for line in lines if str(lake.root) in line]  # a path is never broken
    shown = [without_style(line) for line in lines if line not in paths]
    assert [line for line in shown if len(line.rstrip()) > columns] == []
    assert [line for line in shown if "…" in line] == []
    assert [line for line in lines if re.search(r"\x1b\[[0-9;]*(3[0-7]|9[0-7])m", line)] == []
    assert not re.search(r"\d{4}-\d\d-\d\dT\d\d", "".join(shown)), "a moment as it is stored"
    if command == "status":
        head = next(line for line in shown if "records" in line)
        left_out = {name for name in DATASET_COLUMNS if name not in head}
        assert left_out == ({"age"} if columns == 80 else set())


@pytest.mark.slow
def test_a_pipe_gets_each_line_of_the_checklist_whole(lake: Lake) -> None:
    retired(lake)
    words = [sys.executable, "-m", "flows", "checklist", "--lake", str(lake.root)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert max(len(line) for line in done.stdout.splitlines()) > 100
    assert all(re.match(r"(ok|NO| \?) |     |unmet", line) for line in done.stdout.splitlines())
