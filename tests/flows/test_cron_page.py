"""docs/cron.md: its script, crontab and units are run or parsed as they stand on the page."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
from pathlib import Path

import pytest

from flows.commands import COMMANDS
from flows.commands.options import parameters_of
from flows.commands.parser import parser
from sandbox import Sandbox
from tests.conftest import KEY
from tests.console import NAME, ROOT, from_cron

PAGE = (ROOT / "docs" / "cron.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.M | re.S)


def commands() -> list[str]:
    """Return every command of ours on the page, as typed after the program's name."""
    code = "\n".join(re.findall(r"^```\w+\n(.*?)^```$", PAGE, re.M | re.S))
    code = code.split("#!/bin/sh")[0] + code.split("exit $code")[1]
    return re.findall(rf"(?:lake-run|bin/{NAME}|^{NAME}) ([a-z].*)$", code, re.M)


def crontab() -> list[str]:
    [table] = blocks("crontab")
    return re.findall(r"^(?:[-\d*]+ ){1}(?:\S+ ){4}(.+)$", table, re.M)


@pytest.fixture
def machine(tmp_path: Path, sandbox: Sandbox) -> Path:
    """A machine as the page sets it up: its script and its environment file, in a folder."""
    [script] = [block for block in blocks("sh") if block.startswith("#!")]
    (tmp_path / "log").mkdir()
    for there, here in {
        "/etc/polygon-fundamentals.env": tmp_path / "env",
        "/var/log/polygon-fundamentals": tmp_path / "log",
    }.items():
        assert there in script
        script = script.replace(there, str(here))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "lake-run").write_text(script)
    (tmp_path / "bin" / "lake-run").chmod(0o755)
    (tmp_path / "tickers.txt").write_text("\n".join(sandbox.tickers[:2]))
    (tmp_path / "env").write_text(
        f"POLYGON_API_KEY={KEY}\nQUANTLAKE_ROOT={tmp_path / 'lake'}\n"
        f"POLYGON_BASE_URL={sandbox.url}\n"
    )
    return tmp_path


def lake_run(words: str, machine: Path) -> tuple[int, str]:
    done = from_cron(f'PATH="{machine}/bin:$PATH" {words}', machine, {}, cwd=machine)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("command", commands())
def test_every_command_of_the_page_parses(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tickers.txt").write_text("AAPL\n")
    arguments = parser(NAME).parse_args(shlex.split(command))
    parameters_of(COMMANDS[arguments.command].parameters, arguments)


def test_the_page_has_a_line_for_each_scheduled_command() -> None:
    assert [line.split()[1] for line in crontab()] == [
        "daily-update",
        "parity",
        "silver",
        "refresh",
        "verify",
        "status",
    ]
    assert len(commands()) == len(crontab()) + 3


def test_a_command_that_fails_is_mailed_with_its_last_lines(machine: Path) -> None:
    code, mail = lake_run("lake-run daily-update", machine)
    assert code == 2
    assert mail.startswith("polygon-fundamentals daily-update ended with 2; the last lines of ")
    assert f"there is no lake at {machine / 'lake'}" in mail


@pytest.mark.slow
def test_the_crontab_runs_line_by_line_and_says_nothing(machine: Path) -> None:
    [history] = [block.strip() for block in blocks("sh") if "historical-load" in block[:40]]
    assert lake_run(history, machine) == (0, "")
    for line in crontab():
        code, mail = lake_run(line, machine)
        # Both are questions: two companies of one day may get a no, which is mailed.
        assert code == 0 or (code == 1 and line.split()[1] in ("parity", "status")), mail
        assert code or mail == ""
    assert {path.stem for path in (machine / "log").glob("*.log")} == {
        "historical-load",
        *(line.split()[1] for line in crontab()),
    }


def test_the_units_are_whole_and_name_each_other() -> None:
    units = []
    for text in blocks("ini"):
        if "[" in text:
            unit = configparser.ConfigParser(interpolation=None)
            unit.optionxform = str  # type: ignore[assignment,method-assign]
            unit.read_string(text)
            units.append(unit)
    daily, timer, mail = units
    assert daily["Service"]["Type"] == mail["Service"]["Type"] == "oneshot"
    assert daily["Unit"]["OnFailure"] == "mail-failure@%n.service"
    assert timer["Timer"]["OnCalendar"].endswith("America/New_York")
    if analyze := shutil.which("systemd-analyze"):
        assert os.system(f"{analyze} calendar '{timer['Timer']['OnCalendar']}' >/dev/null") == 0


def test_old_lines_are_found_and_commented_out_and_others_stay(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    table = tmp_path / "table"
    table.write_text("0 1 * * * backup\n30 22 * * 1-5 /opt/daily_update_parallel.sh\n")
    fake = tmp_path / "bin" / "crontab"
    fake.write_text(f'#!/bin/sh\n[ "$1" = -l ] && exec cat {table}\nexec cat > {table}.new\n')
    fake.chmod(0o755)
    find, retire = (block for block in blocks("sh") if block.startswith("crontab -l"))
    lines = find.splitlines()
    shown = from_cron(f"PATH={tmp_path}/bin:$PATH; {lines[0]}", tmp_path, {})
    assert shown.stdout == "2:30 22 * * 1-5 /opt/daily_update_parallel.sh\n"
    done = from_cron(f"PATH={tmp_path}/bin:$PATH; {retire}", tmp_path, {}, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert Path(f"{table}.new").read_text() == (
        "0 1 * * * backup\n# retired: 30 22 * * 1-5 /opt/daily_update_parallel.sh\n"
    )
    assert (tmp_path / "crontab_backup.txt").read_text() == table.read_text()
