"""Wrong use and configuration: one line, exit code 2, without waiting for Prefect."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.commands.parser import parser

ROOT = Path(__file__).parents[3]


def run(*words: str, key: str | None = "some-key") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPROFILEIMPORTTIME": ""}
    environment.pop("POLYGON_API_KEY", None)
    environment.pop("MASSIVE_API_KEY", None)
    if key is not None:
        environment["POLYGON_API_KEY"] = key
    # -X importtime lists every module loaded, so the test sees that Prefect was not.
    return subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "flows", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def said(finished: subprocess.CompletedProcess[str]) -> list[str]:
    return [x for x in finished.stderr.splitlines() if not x.startswith("import time:")]


def loaded(finished: subprocess.CompletedProcess[str]) -> set[str]:
    return {
        line.rsplit("|", 1)[1].strip().split(".")[0]
        for line in finished.stderr.splitlines()
        if line.startswith("import time:")
    }


CASES = [
    (
        ["historical-load", "--lake", "/none"],
        "there is no lake at /none; give its folder with --lake, or make one",
    ),
    (["historical-load", "--tickers", "A", "--universe", "all"], "not both"),
    (["historical-load", "--generation", "v2", "--adopt"], "--adopt is for v1's files"),
    (["historical-load", "--tickers", "A", "--from", "2024-13-01"], "write it as YYYY-MM-DD"),
    (
        ["historical-load", "--tickers", "A", "--from", "2024-02-01", "--to", "2024-01-01"],
        "comes after",
    ),
    (["historical-load", "--tickers-file", "/no/such/file"], "cannot be read"),
    (["historical-load", "--tickers", "AAPL;MSFT"], "write a comma between two tickers"),
    (["historical-load", "--tickers", "A", "--base-url", "ftp://x"], "not http"),
    (["historical-load", "--tickers", "A", "--lake", "{file}"], "is a file"),
    (["historical-load", "--tickers", "A", "--lake", "/proc/lake"], "cannot be written"),
    (["historical-load", "--tickers", "A", "--lake", "s3://bucket/x"], "object stores"),
    (["fundamentals"], "name a ticker"),
    (["fundamentals", "A", "--fiscal-quarter", "5"], "is not 1 to 4"),
    (["fundamentals", "A", "--limit", "0"], "is not 1 to 50000"),
    (["fundamentals", "A", "--filing-date-gte", "yesterday"], "write it as YYYY-MM-DD"),
    (["fundamentals", "A", "--filing-date-gte", "2024-W22-5"], "write it as YYYY-MM-DD"),
    (["fundamentals", "A", "--fiscal-year", "99999999999999999999"], "write it as YYYY"),
    (["fundamentals", "A", "--base-url", "http://x:99999"], "host or port"),
    (["fundamentals", "--cik", "x"], "is not a CIK"),
    (["fundamentals", "--cik", "12345678901"], "is not a CIK"),
    (["fundamentals", "--cik", "\u00b2"], "is not a CIK"),
    (["fundamentals", "--cik", ""], "is not a CIK"),
    (["sandbox", "--faults", "nonsense=2"], "--faults"),
]


@pytest.mark.parametrize(("words", "message"), CASES, ids=lambda v: " ".join(v)[:50])
def test_wrong_use_is_told_in_one_line(words: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    given = [word.format(file=tmp_path / "file") for word in words]
    finished = run(*given)
    assert finished.returncode == 2
    lines = said(finished)
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert finished.stdout == ""
    assert "prefect" not in loaded(finished)


def test_no_key_is_told_with_the_way_out(tmp_path: Path) -> None:
    finished = run("fundamentals", "AAPL", "--lake", str(tmp_path), key=None)
    assert finished.returncode == 2
    assert "POLYGON_API_KEY" in said(finished)[0]
    assert not (tmp_path / "bronze").exists()
    assert "prefect" not in loaded(finished)


def test_a_key_that_cannot_be_one_is_not_repeated(tmp_path: Path) -> None:
    finished = run("fundamentals", "AAPL", "--lake", str(tmp_path), key="two words")
    assert finished.returncode == 2
    assert "two words" not in finished.stderr


@pytest.mark.parametrize(
    ("words", "program", "error"),
    [
        (["statsu"], "COMMAND ...", "'statsu' is not a command; did you mean status?"),
        (["xyz"], "COMMAND ...", "'xyz' is not a command; polygon-fundamentals --help lists them"),
        (["status", "--htlm", "x"], "status", "--htlm x; did you mean --html?"),
        (["status", "x"], "status", "unrecognized arguments: x"),
        (
            ["daily-update", "AAPL"],
            "daily-update",
            "unrecognized arguments: AAPL; name tickers with --tickers A,B",
        ),
        (["deploy", "--lake", "x"], "deploy", "QUANTLAKE_ROOT says which lake it uses"),
        (["serve", "--lake=x"], "serve", "QUANTLAKE_ROOT says which lake it uses"),
    ],
)
def test_a_misspelt_word_gets_the_usage_of_its_command(
    words: list[str], program: str, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        parser("polygon-fundamentals").parse_args(words)
    usage, _, said_last = capsys.readouterr().err.rstrip().rpartition("\n")
    assert program in usage
    assert said_last.endswith(error)


def test_help_does_not_load_prefect_pandas_or_arrow() -> None:
    finished = run("--help")
    assert finished.returncode == 0
    assert "examples:" in finished.stdout
    assert not loaded(finished) & {"prefect", "pandas", "pyarrow", "great_expectations"}


def test_json_errors_are_json(tmp_path: Path) -> None:
    import json

    finished = run("historical-load", "--tickers", "A", "--json", "--lake", str(tmp_path), key=None)
    assert finished.returncode == 2
    assert json.loads(finished.stdout)["exit_code"] == 2
