"""An error that nobody foresaw: one line, exit code 3, and its traceback in a file."""

from __future__ import annotations

import json
import re
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from prefect.states import Cancelled, Failed, State

from flows.__main__ import main
from flows.commands import COMMANDS
from flows.commands.output import finish
from flows.parameters.declaration import Parameters

SAID = re.compile(r"error: unexpected (.*); run the same command again, .* traceback in (\S+)\n")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def broken(given: Parameters | None = None, as_json: bool = False) -> int:
    raise ZeroDivisionError("of a\nsecond line.")


def check(err: str, said: str, raised_in: str) -> None:
    told = SAID.fullmatch(err)
    assert told, err
    assert told[1] == said
    log = Path(told[2])
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert raised_in in log.read_text()


def test_in_a_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(COMMANDS, "status", replace(COMMANDS["status"], run=broken))
    assert main(["status", "--json"]) == 3
    out, err = capsys.readouterr()
    check(err, "ZeroDivisionError: of a second line", "in broken")
    assert json.loads(out)["exit_code"] == 3


def test_in_a_flow(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        broken()
    except ZeroDivisionError as error:
        state: State[None] = Failed(message="Flow run encountered an exception", data=error)
    assert finish(state, list, False) == 3
    check(capsys.readouterr().err, "ZeroDivisionError: of a second line", "in broken")


def test_a_run_that_somebody_cancelled_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert finish(Cancelled(message="cancelled in the UI"), list, False) == 3
    assert capsys.readouterr().err == "error: cancelled in the UI\n"
    assert list(tmp_path.iterdir()) == []
