"""SIGKILL at random moments of a load, then again: the same lake, nothing stray."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.recovery import recover
from sandbox import Sandbox
from tests.lakes import contents, stray_files

ROOT = Path(__file__).parents[2]
# A load as the tasks do it, in a process of its own that can be killed.
LOADER = """
import sys
from polygon_fundamentals.http.client import Client
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.recovery import recover
from polygon_fundamentals.load.query import Filters
from polygon_fundamentals.load.companies import resolve_companies
from polygon_fundamentals.load.historical import load_v1, load_v2
from polygon_fundamentals.load.loader import Loader
from polygon_fundamentals.load.writers import Inline
from polygon_fundamentals.settings import Settings
from polygon_fundamentals.statements import Statement
from pathlib import Path

url, root, *tickers = sys.argv[1:]
lake = Lake(Path(root))
lake.prepare()
recover(lake)
client = Client(Settings(base_url=url), "sandbox-key")
filters = Filters(filing_date_gte="2023-01-01")
print("loading", flush=True)
for ticker in tickers:
    load_v1(Loader(client, lake), ticker, list(Statement), filters)
companies = {ticker: [] for ticker in tickers}
for statement in Statement:
    load_v2(Loader(client, lake), companies, statement, filters)
"""


def start(url: str, lake: Lake, tickers: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", LOADER, url, str(lake.root), *tickers],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("kills", [2, 20])
def test_killed_and_run_again_gives_the_same_lake(
    sandbox: Sandbox, tmp_path: Path, kills: int
) -> None:
    tickers = ["SBX.A", *sandbox.tickers[:2]]
    whole = Lake(tmp_path / "whole")
    started = time.monotonic()
    assert start(sandbox.url, whole, tickers).wait() == 0
    lasted = time.monotonic() - started
    expected = contents(whole)
    assert sum(map(len, expected.values())) > 100
    lake = Lake(tmp_path / "killed")
    random_moments = random.Random(20261122)
    for _ in range(kills):
        process = start(sandbox.url, lake, tickers)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(random_moments.uniform(0, lasted / 2))
        process.kill()
        process.wait()
        process.stdout.close()
        for path in lake.root.rglob("*.parquet"):
            pq.read_metadata(path)
    assert start(sandbox.url, lake, tickers).wait() == 0
    recover(lake)
    assert contents(lake) == expected
    assert stray_files(lake) == []


@pytest.mark.slow
def test_a_killed_command_leaves_no_process_behind(sandbox: Sandbox, tmp_path: Path) -> None:
    home = tmp_path / "prefect-home"
    process = command(sandbox, tmp_path / "k", home)
    ours = processes_with(str(home))
    assert len(ours) >= 2  # the command and its temporary server
    process.kill()
    process.communicate()
    assert_none_is_left(home)


@pytest.mark.slow
def test_an_interrupted_command_says_how_to_go_on_and_ends_its_processes(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Ctrl-C reaches every process of the terminal."""
    home = tmp_path / "prefect-home"
    process = command(sandbox, tmp_path / "k", home)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "error: interrupted; run the same command again to continue"
    assert "Traceback" not in said
    assert_none_is_left(home)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_interrupted_while_its_server_starts_leaves_nothing(
    tmp_path: Path, number: signal.Signals
) -> None:
    home, temporary = tmp_path / "prefect-home", tmp_path / "temporary"
    temporary.mkdir()
    Lake(tmp_path / "lake").prepare()
    process = subprocess.Popen(
        [sys.executable, "-m", "flows", "silver", "--lake", str(tmp_path / "lake")],
        cwd=ROOT,
        env={**os.environ, "PREFECT_HOME": str(home), "TMPDIR": str(temporary)},
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(temporary.iterdir()):  # the server's log
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == "error: interrupted; run the same command again to continue\n"
    assert list(temporary.iterdir()) == []
    assert processes_with(str(home)) == []


def command(sandbox: Sandbox, lake: Path, home: Path) -> subprocess.Popen[str]:
    """Start `historical-load`, as from a terminal; return once it has written files."""
    words = ["historical-load", "--generation", "v2", "--lake", str(lake)]
    words += ["--base-url", sandbox.url, "--tickers", ",".join(sandbox.tickers[:30])]
    process = subprocess.Popen(
        [sys.executable, "-m", "flows", *words],
        cwd=ROOT,
        env={**os.environ, "PREFECT_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not list(lake.glob("bronze/fundamentals_v2/*/year=*")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    return process


def assert_none_is_left(home: Path) -> None:
    until = time.monotonic() + 30
    while processes_with(str(home)) and time.monotonic() < until:
        time.sleep(0.2)
    assert processes_with(str(home)) == []


def processes_with(text: str) -> list[int]:
    """Return the processes whose environment names `text`, this one left out."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if text.encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue  # it ended while we looked, or is not ours
    return found
