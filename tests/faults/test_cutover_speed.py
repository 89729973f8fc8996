"""How long a switch takes on 300 companies, and how many calls of the system it is."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from polygon_fundamentals.cutover import journal as journals
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.pointer import leads_to
from polygon_fundamentals.load.historical import load_v1, load_v2_bisecting
from polygon_fundamentals.load.loader import Loader
from polygon_fundamentals.load.query import Filters
from polygon_fundamentals.load.writers import Inline
from polygon_fundamentals.statements import Generation, Statement, Timeframe
from sandbox import Sandbox
from tests.conftest import KEY, client_of

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
COMPANIES = int(os.environ.get("SWITCH_COMPANIES", "300"))
SWITCHING = ("adopt pointer", "move pointer", "move silver", "verify")
# Every call that can change what a name stands for.
NAMING = (
    "rename,renameat,renameat2,symlink,symlinkat,link,linkat,unlink,unlinkat,rmdir,mkdir,mkdirat"
)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The annual reports of 300 companies since 2010 from both generations."""
    lake = Lake(tmp_path_factory.mktemp("speed") / "lake")
    lake.prepare()
    filters = Filters(timeframes=(Timeframe.ANNUAL,))
    with Sandbox(companies=COMPANIES, seed=7, api_key=KEY, today=date(2026, 7, 1)) as server:
        client, writers = client_of(server), Inline()
        for ticker in server.tickers:
            load_v1(Loader(client, lake, writers), ticker, list(Statement), filters)
        everyone: dict[str, list[str]] = {ticker: [] for ticker in server.tickers}
        for statement in Statement:
            load_v2_bisecting(Loader(client, lake, writers), everyone, statement, filters)
    return lake


def switch(lake: Lake, *words: str, strace: Path | None = None) -> dict[str, Any]:
    """Run a command of the switch; return its report."""
    command = [sys.executable, "-m", "flows", *words, "--lake", str(lake.root), "--json"]
    if strace is not None:
        traced = ["strace", "-f", "-s", "400", "-e", f"trace={NAMING}", "-o", str(strace)]
        command = [*traced, *command]
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=1200
    )
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def times(report: dict[str, Any]) -> dict[str, float]:
    """Return step → seconds, as the journal has them."""
    journal = json.loads(Path(report["journal"]).read_text())
    return {step["name"]: step["seconds"] for step in journal["steps"]}


def test_a_switch_takes_under_five_seconds(loaded: Lake) -> None:
    files = {g: sum(1 for s in Statement for _ in loaded.dataset(g, s).files()) for g in Generation}
    assert min(files.values()) > 30 * COMPANIES
    told = {}
    for name in ("cutover", "rollback", "cutover again", "rollback again"):
        operation = name.split()[0]
        more = ["--force", "test"] if operation == "cutover" else ["--accept-stale"]
        report = switch(loaded, operation, "--execute", *more)
        seconds = times(report)
        told[name] = {
            "switching": round(sum(seconds.get(step, 0.0) for step in SWITCHING), 3),
            **{step: seconds[step] for step in SWITCHING if step in seconds},
            "silver": seconds.get("build silver", seconds.get("find silver")),
            "waiting": seconds.get("wait for running jobs", 0.0) + seconds.get("lock", 0.0),
        }
        assert report["switch_seconds"] == pytest.approx(told[name]["switching"], abs=0.002)
    print(json.dumps({"files": {str(g): n for g, n in files.items()}, **told}, indent=1))
    assert max(float(t["switching"]) for t in told.values()) < 5.0


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace (apt-get install strace)")
def test_the_pointers_own_change_is_one_call(loaded: Lake, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    shutil.copytree(loaded.root, lake.root, symlinks=True)
    if lake.pointer.is_symlink():  # as before any cutover
        lake.pointer.unlink()
        (lake.bronze / "fundamentals_v1_archive").rename(lake.pointer)
    shutil.rmtree(journals.folder(lake), ignore_errors=True)
    trace = tmp_path / "trace"
    place = re.escape(str(lake.pointer))

    def calls() -> list[str]:
        """Return the calls that name the pointer itself, without process and paths."""
        lines = [line for line in trace.read_text().splitlines() if re.search(f'{place}"', line)]
        assert all(line.rstrip().endswith("= 0") for line in lines)
        short = [re.sub(r"^\d+ +", "", line).replace(f"{lake.bronze}/", "") for line in lines]
        return [re.sub(r"\) += 0$", ")", line) for line in short]

    switch(lake, "cutover", "--execute", "--force", "test", strace=trace)
    swap = (
        'renameat2(AT_FDCWD, "fundamentals_v1_archive", AT_FDCWD, "fundamentals", RENAME_EXCHANGE)'
    )
    move = 'rename(".fundamentals.link", "fundamentals")'
    # v1's folder becomes a link under its name; then the link is replaced. Nothing else.
    assert calls() == [swap, move]
    assert leads_to(lake) is Generation.V2
    switch(lake, "rollback", "--execute", "--accept-stale", strace=trace)
    assert calls() == [move]
    assert leads_to(lake) is Generation.V1
