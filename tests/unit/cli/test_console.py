"""`polygon-fundamentals`: the same as `python -m flows`, from any folder and from cron."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flows.commands import COMMANDS
from polygon_fundamentals import console
from tests.console import NAME, ROOT, from_cron


def test_the_help_is_that_of_the_module_from_any_folder(tmp_path: Path) -> None:
    by_name = from_cron(f"{NAME} parity --help", tmp_path, {})
    module = subprocess.run(
        [sys.executable, "-m", "flows", "parity", "--help"],
        cwd=ROOT,
        env={"COLUMNS": "80"},
        capture_output=True,
        text=True,
    )
    assert (by_name.returncode, by_name.stderr) == (0, "")

    def words(text: str) -> list[str]:
        return text.replace("python -m flows", NAME).split()

    assert words(by_name.stdout) == words(module.stdout)


def test_wrong_use_and_its_exit_code_reach_the_caller(tmp_path: Path) -> None:
    done = from_cron(f"{NAME} historical-load", tmp_path, {"POLYGON_API_KEY": "x"})
    assert done.returncode == 2
    assert done.stderr.startswith("error: there is no lake at")
    assert (
        "make one: `polygon-fundamentals historical-load --generation v2 --tickers" in done.stderr
    )


def test_the_lake_is_the_callers_and_not_the_projects(tmp_path: Path) -> None:
    done = from_cron(f"{NAME} status", tmp_path, {}, cwd=tmp_path)
    assert done.returncode == 2
    assert f"there is no lake at {tmp_path / 'data'}" in done.stderr


@pytest.mark.slow
def test_a_reader_that_leaves_early_hides_no_exit_code(tmp_path: Path) -> None:
    runs = tmp_path / "lake" / "ops" / "runs"
    runs.mkdir(parents=True)
    (runs / "20260702T000000000000Z-x.json").write_text("{")
    for words in ("status", "status --json", "checklist --json"):
        line = f"({NAME} {words}; echo $? >{tmp_path}/code) | true"
        done = from_cron(line, tmp_path, {"QUANTLAKE_ROOT": str(tmp_path / "lake")})
        assert (done.stderr, (tmp_path / "code").read_text()) == ("", "1\n"), words


def test_without_the_checkout_the_command_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "ROOT", tmp_path)
    assert console.main() == 2
    assert "needs the project's checkout; clone it and run `make setup`" in capsys.readouterr().err


def test_the_version_names_what_it_runs_on(tmp_path: Path) -> None:
    done = from_cron(f"{NAME} --version", tmp_path, {})
    assert done.returncode == 0
    assert done.stdout.startswith("polygon-fundamentals 0.")
    assert "Prefect 3." in done.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["par"], {"parity"}),
        ([""], set(COMMANDS)),
        (["parity", "--s"], {"--sample", "--seed"}),
        (["historical-load", "--generation", ""], {"v1", "v2", "both"}),
    ],
)
def test_bash_completes(words: list[str], expected: set[str], tmp_path: Path) -> None:
    script = from_cron(f"{NAME} --print-completion bash", tmp_path, {})
    assert script.returncode == 0, script.stderr
    typed = " ".join(f"'{word}'" for word in [NAME, *words])
    asked = (
        f"{script.stdout}\nCOMP_WORDS=({typed})\nCOMP_CWORD={len(words)}\n"
        '_shtab_polygon_fundamentals\nprintf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) >= expected


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_other_shells_get_their_script(shell: str, tmp_path: Path) -> None:
    done = from_cron(f"{NAME} --print-completion {shell}", tmp_path, {})
    assert done.returncode == 0
    assert "historical-load" in done.stdout
