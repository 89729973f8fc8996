"""Bad input to `parity`, and runs that die: one line with exit code 2, and the last whole site."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from urllib.parse import unquote

import pytest

import flows.parity
import tasks.parity
from expectations.answer import TOLERANCES_FILE
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.ledger import read_entries
from polygon_fundamentals.ledger.queries import newest_parity
from sandbox import Sandbox
from tests.builders.commands import call
from tests.conftest import KEY
from tests.filled import fill

pytestmark = pytest.mark.slow
NOWHERE = ["--base-url", "http://127.0.0.1:9"]
ACCEPTED = """accepted:
  - {statement: cash_flow, cik: '0000320193', timeframe: quarterly, period_end: 2024-12-28,
     v2_field: net_cash_from_operating_activities, v1_value: 1, v2_value: 2,
     reason: Somebody looked., by: A, until: 2026-01-31}
"""


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake with the site of one run; not to be changed."""
    lake = Lake(tmp_path_factory.mktemp("judged") / "lake")
    lake.prepare()
    with Sandbox(companies=1, seed=3, api_key=KEY, quirks=False, start=date(2024, 6, 1)) as server:
        fill(lake, server, server.tickers)
    assert call("parity", "--lake", str(lake.root), *NOWHERE)[0] == 0
    return lake


@pytest.fixture
def mine(judged: Lake, tmp_path: Path) -> Lake:
    shutil.copytree(judged.root, tmp_path / "mine")
    return Lake(tmp_path / "mine")


def site(lake: Lake) -> dict[Path, bytes]:
    folder = lake.ops / "parity" / "data_docs"
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(lake: Lake, *words: str) -> str:
    """The message of a run that ends with 2 and leaves the site as it was."""
    before = site(lake)
    code, answer = call("parity", "--lake", str(lake.root), *NOWHERE, *words)
    assert code == 2, answer
    assert site(lake) == before
    message = str(answer["error"])
    assert "\n" not in message
    return message


TEXT = TOLERANCES_FILE.read_text()


@pytest.mark.parametrize(
    ("constant", "text", "words"),
    [
        ("TOLERANCES_FILE", TEXT + "\nextra_key: 1\n", "extra_key"),
        ("TOLERANCES_FILE", TEXT.replace("  sign: {", "  sihn: {"), "sihn"),
        (
            "TOLERANCES_FILE",
            TEXT.replace("unexplained: {at_most: 0", "unexplained: {at_most: -1"),
            "unexplained",
        ),
        (
            "TOLERANCES_FILE",
            TEXT.replace("unique_keys: {at_most: 0", "unique_keys: {at_most: -1"),
            "unique_keys",
        ),
        ("TOLERANCES_FILE", "a: [", "tolerances.yaml"),
        ("ACCEPTED_FILE", ACCEPTED, "no longer accepted: cash_flow"),
        ("ACCEPTED_FILE", ACCEPTED.replace("reason:", "raison:"), "raison"),
        ("ACCEPTED_FILE", ACCEPTED.replace("cash_flow", "cash"), "statement"),
    ],
)
def test_a_file_of_rules_that_says_nonsense(
    mine: Lake,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    constant: str,
    text: str,
    words: str,
) -> None:
    path = tmp_path / getattr(tasks.parity, constant).name
    path.write_text(text)
    for module in (flows.parity, tasks.parity):
        monkeypatch.setattr(module, constant, path, raising=False)
    message = refused(mine)
    assert str(path) in message
    assert words in message
    newest = newest_parity(read_entries(mine)[0])
    assert newest is not None
    assert (newest.outcome, newest.parity) == ("failed", None)
    assert str(path) in newest.message


def spoil(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(text) and None


@pytest.mark.parametrize(
    ("spoils", "words"),
    [
        (spoil("format", "99"), "names format '99'"),
        (spoil("great_expectations.yml", "a: ["), "is not YAML"),
        (spoil("checkpoints/parity.json", "{"), "is not a checkpoint of Great Expectations"),
        (
            spoil("checkpoints/parity.json", '{"actions": [{"type": "no such"}]}'),
            "cannot be loaded",
        ),
    ],
)
def test_a_project_of_nonsense(mine: Lake, spoils: Callable[[Path], None], words: str) -> None:
    gx = mine.ops / "parity" / "gx"
    spoils(gx)
    message = refused(mine)
    assert words in message
    assert str(gx) in message
    assert "move " in message


def test_tickers_that_v1_does_not_have(mine: Lake) -> None:
    for folder in mine.pointer.glob("*/year=*"):
        shutil.rmtree(folder)
    assert "has no records of v1 to compare; store recordings" in refused(mine)


def test_killed_at_every_moment_a_run_leaves_a_whole_site(mine: Lake) -> None:
    """It dies before the first file that it puts in place, before the second, and so on."""
    code = f"""
import os, sys
from expectations import publishing
from flows.__main__ import main
really, left = publishing.replace_file, int(sys.argv[1])
def dies(path, data):
    global left
    left -= 1
    if left == 0:
        os._exit(9)
    really(path, data)
publishing.replace_file = dies
sys.exit(main(["parity", "--lake", {str(mine.root)!r}, "--base-url", "http://127.0.0.1:9"]))
"""
    index = site(mine)[Path("index.html")]
    links = re.findall(r'href="([^"]+)"', index.decode())
    for moment in itertools.count(1):
        run = [sys.executable, "-c", code, str(moment)]
        ended = subprocess.run(run, capture_output=True, check=False)
        if ended.returncode == 0:
            break
        assert ended.returncode == 9, ended.stderr
        after = site(mine)
        assert after[Path("index.html")] == index, moment
        assert {link for link in links if Path(unquote(link)) not in after} == set(), moment
    assert moment > 5
    assert site(mine)[Path("index.html")] != index
    assert not list((mine.ops / "parity").glob(".building-*"))
