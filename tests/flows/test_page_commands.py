"""Every command in a code block of every page is run against the sandbox, in the page's order."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
import requests

from expectations.answer import ACCEPTED_FILE
from flows import contacts, switching
from flows.__main__ import main
from flows.commands import COMMANDS
from polygon_fundamentals.lake import Lake
from sandbox import Sandbox
from tests.builders.commands import call
from tests.conftest import KEY
from tests.contract.doc_pages import PAGES, ROOT, Command, commands

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]
NAMES = frozenset(COMMANDS)
# What needs a server of its own or is one: the test that runs it as the page has it.
ELSEWHERE = {
    "--help": "tests/unit/cli/test_wrong_use.py",
    "--credentials-block": "tests/flows/test_publish.py",
    "--shards": "tests/server/test_many_workers.py",
    "deploy": "tests/server/test_server.py",
    "serve": "tests/server/test_serve.py",
    "serve-v1": "tests/contract/test_old_readers.py",
    "sandbox": "tests/unit/cli/test_sandbox_command.py",
    "demo": "tests/server/test_demo.py",
}
# Questions may have the answer no (1) on a lake of some companies; all else must end well.
# `accept restated --ticker AAPL` too: the sandbox has no such company.
MAY_SAY_NO = {"parity", "checklist", "status", "inspect", "accept"}
PEOPLE = '[migration_lead]\nname = "Ada Lovelace"\n\n[rollback_authority]\nname = "NAME"\n'
LAKES = ("demo-lake", "/data/lake", "/lake", "lake", "DIR")
# Places that the pages name and this machine does not have: the test's own folder stands for them.
PLACES = ("/opt/jobs/", "/mnt/share/", "s3://bucket/", "gs://bucket/")


def elsewhere(command: Command) -> str | None:
    """Return the test that runs a command which needs or is a server."""
    return next((ELSEWHERE[word] for word in command.words if word in ELSEWHERE), None)


def shown(page: Path) -> list[Command]:
    return [c for c in commands(page, NAMES) if c.whole and not elsewhere(c)]


# Its commands are the days of one lake, in order: tests/flows/test_from_quantmini.py goes them all.
WAYS = {"from-quantmini.md"}
RUN = [page for page in PAGES if shown(page) and page.name not in WAYS]


@pytest.fixture(scope="module")
def market() -> Iterator[Sandbox]:
    with Sandbox(companies=5, start=date(2024, 1, 1), today=date(2026, 7, 1), api_key=KEY) as made:
        yield made


@pytest.fixture(scope="module")
def filled(market: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of both generations, compared once and with silver, as the pages take for granted."""
    root = tmp_path_factory.mktemp("pages") / "lake"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POLYGON_API_KEY", KEY)
        patch.setenv("POLYGON_BASE_URL", market.url)
        names = ",".join(market.tickers[:3])
        assert call("historical-load", "--tickers", names, "--lake", str(root))[0] == 0
        assert call("silver", "--lake", str(root))[0] == 0
        assert call("parity", "--lake", str(root))[0] in (0, 1)
    return root


@pytest.fixture
def folder(market: Sandbox, filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the pages have it: the lake, a list of tickers, recordings, the people."""
    shutil.copytree(filled, tmp_path / "lake", symlinks=True)
    (tmp_path / "tickers.txt").write_text("\n".join(market.tickers[:3]))
    (tmp_path / "recordings").mkdir()
    headers = {"Authorization": f"Bearer {KEY}"}
    page = requests.get(f"{market.url}/vX/reference/financials", headers=headers, timeout=60)
    (tmp_path / "recordings" / "page.json").write_text(json.dumps(page.json()))
    [report] = sorted(tmp_path.glob("lake/ops/parity/reports/*/values.csv"))[-1:]
    values = pd.read_csv(report, dtype=str).head(3).assign(reason="It was looked at.")
    values.to_csv(tmp_path / "values.csv", index=False)
    shutil.copy(ACCEPTED_FILE, tmp_path / "accepted.yaml")
    (tmp_path / "contacts.toml").write_text(PEOPLE)
    for module in (contacts, switching):
        monkeypatch.setattr(module, "CONTACTS", tmp_path / "contacts.toml")
    script = tmp_path / "daily_update_parallel.sh"
    script.write_text("#!/bin/sh\n")
    monkeypatch.setenv("POLYGON_BASE_URL", market.url)
    monkeypatch.setenv("QUANTLAKE_ROOT", str(tmp_path / "lake"))
    monkeypatch.setenv("EDGAR_DATA_URL", market.url)
    monkeypatch.setenv("EDGAR_BASE_URL", market.url)
    monkeypatch.setenv("EDGAR_IDENTITY", "Ada ada@example.com")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", RUN, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_commands_of_a_page_run(
    page: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in shown(page):
        words = [str(folder / "lake") if word in LAKES else word for word in command.words]
        for place in PLACES:
            words = [
                f"{folder}/{w.removeprefix(place)}" if w.startswith(place) else w for w in words
            ]
        if words[0] == "accept":
            words += ["--accepted", str(folder / "accepted.yaml")]
        if words[0] == "cleanup":  # the page is about a lake that was cut over months ago
            assert main(["cutover", "--execute", "--force", "a test"]) == 0
            words += ["--deployments-days", "0", "--data-days", "0"]
        code = main(words)
        may_say_no = words[0] in MAY_SAY_NO and "--from-report" not in words
        allowed = (0, 1) if may_say_no else (0,)
        assert code in allowed, f"{command}: {code}\n{capsys.readouterr().err}"
        assert Lake(folder / "lake").primary


def test_what_is_run_elsewhere_is_run_there() -> None:
    for word, test in ELSEWHERE.items():
        assert word.lstrip("-") in (ROOT / test).read_text(encoding="utf-8"), test
    assert sum(len(shown(page)) for page in PAGES) > 25
