"""The way of docs/from-quantmini.md on a lake that quantmini wrote, with v1 alive and with it gone.

The page's commands are run as they stand, in its order, on a lake of 40 companies: without
`--force`, with the budgets and thresholds that ship. The five business days and the 90 days before
the cleanup pass in a copy that `rehearse` makes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from flows import contacts, switching
from flows.commands import COMMANDS
from polygon_fundamentals.business_days import today_in_new_york
from polygon_fundamentals.lake import Lake, revisions
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.statements import Generation, Statement
from sandbox import Sandbox
from tests.builders import quantmini
from tests.builders.commands import call
from tests.conftest import KEY
from tests.contract.doc_pages import ROOT, commands
from tests.lakes import fingerprint

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]
COMPANIES = int(os.environ.get("QUANTMINI_COMPANIES", "40"))
PAGE = ROOT / "docs" / "from-quantmini.md"
WEEK = 5
PERSON = 'name = "Ada Lovelace"\n'


@pytest.fixture(scope="module", params=["alive", "gone"])
def market(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """Some companies, whose records of a year and a half quantmini has; v1 alive or gone.

    Its clock is a week late, and moves on with each day of the rehearsal.
    """
    today = today_in_new_york() - timedelta(days=WEEK)
    with Sandbox(
        companies=COMPANIES,
        seed=5,
        quirks=False,
        start=date(today.year - 1, 1, 1),
        today=today,
        api_key=KEY,
    ) as server:
        server.v1_retired = request.param == "gone"
        yield server


@dataclass
class Way:
    """A lake, its copy, and what was in the lake before anything was done."""

    market: Sandbox
    lake: Lake
    copy: Lake
    tickers: Path
    loaded: datetime
    beside: dict[str, str]

    def words(self, command: tuple[str, ...]) -> list[str]:
        """Return the words of a command of the page, for this lake."""
        places = {
            "/data/lake": str(self.lake.root),
            "/tmp/copy": str(self.copy.root),
            "tickers.txt": str(self.tickers),
            "NAME": "Ada Lovelace",
            "both": "v2" if self.market.v1_retired else "both",
        }
        return [places.get(word, word) for word in command]

    def run(self, command: tuple[str, ...]) -> tuple[int, dict[str, Any]]:
        """Run a command; the fifth day of `daily-update` is followed by the page's next line."""
        code, report = call(*self.words(command))
        if command[0] != "daily-update":
            return code, report
        for _ in range(WEEK - 1):
            assert code == 0, report
            code, day = call("rehearse", "--lake", str(self.copy.root))
            assert code == 0, day
            self.market.advance(1)
            self.cron(self.copy)
            code, report = call(*self.words(command))
        return code, report

    def cron(self, lake: Lake) -> list[Path]:
        """Run the old job, as on every day: what was filed lately is appended again."""
        now = datetime.now(UTC).replace(tzinfo=None)
        return quantmini.cron(lake.root, self.market, now, days=70)


@pytest.fixture
def way(market: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Way:
    """A lake as quantmini wrote it, and the people who sign."""
    people = tmp_path / "contacts.toml"
    people.write_text(f"[migration_lead]\n{PERSON}[rollback_authority]\n{PERSON}")
    for module in (contacts, switching):
        monkeypatch.setattr(module, "CONTACTS", people)
    monkeypatch.setenv("POLYGON_BASE_URL", market.url)
    lake, copy = Lake(tmp_path / "lake"), Lake(tmp_path / "copy")
    loaded = datetime.combine(market.today, time(6))
    quantmini.write_lake(lake.root, market, loaded)
    tickers = tmp_path / "tickers.txt"
    tickers.write_text("\n".join(market.tickers))
    return Way(market, lake, copy, tickers, loaded, companions_of(lake))


def companions_of(lake: Lake) -> dict[str, str]:
    """Return the digest of each file beside the statements, by the path that readers open."""
    return {
        f"{folder}/{name}": digest
        for folder in quantmini.COMPANIONS
        for name, digest in fingerprint(lake.pointer / folder).items()
    }


def after_inspect(way: Way, code: int, report: dict[str, Any]) -> None:
    """Its silver is in the way, and the page says how it is put aside."""
    assert (code, list(report["found"]["tools"])) == (1, ["quantmini"])
    [obstacle] = report["obstacles"]
    assert "--adopt-path" in obstacle


def after_load(way: Way, code: int, report: dict[str, Any]) -> None:
    """What v1 answers is what quantmini has; the old job goes on, and its rows are taken in."""
    assert code == 0, report
    assert way.market.v1_retired or report["v1"]["rows_changed"] == 0
    facts_are_those_of_quantmini(way, way.lake)
    assert way.cron(way.lake)
    code, report = call("historical-load", *way.words(("--generation", "both")),
                        "--tickers-file", str(way.tickers), "--fresh",
                        "--lake", str(way.lake.root))  # fmt: skip
    assert code == 0, report
    facts_are_those_of_quantmini(way, way.lake)


def after_silver(way: Way, code: int, report: dict[str, Any]) -> None:
    """No value is known later than its filing, but for quarters that v1 derives."""
    assert code == 0, report
    if (way.lake.silver / "fundamentals_wide").is_symlink():  # else the old one was put aside
        check_silver(way.lake)


def check_silver(lake: Lake) -> None:
    """Check `values_known_from` of every row that has a filing date of its own."""
    files = sorted((lake.silver / "fundamentals_wide").rglob("*.parquet"))
    rows = pd.concat([pq.read_table(file, partitioning=None).to_pandas() for file in files])
    filed = rows[rows["filing_date"].notna()]
    assert len(filed) > 5 * COMPANIES
    late = filed[filed["values_known_from"] != filed["filing_date"]]
    assert late.empty, late[["ticker", "timeframe", "period_end", "filing_date"]].head()
    derived = rows[rows["filing_date"].isna()]
    # v1 derives fourth quarters alone.
    assert set(derived["fiscal_quarter"]) <= {4}


def facts_are_those_of_quantmini(way: Way, lake: Lake) -> None:
    """Check that nothing is a false revision, and that the first download is the observation."""
    for statement in Statement:
        dataset = lake.dataset(Generation.V1, statement)
        rows = read_dataset(dataset)
        dated = rows.filter(rows["filing_date"].is_valid()).to_pandas()
        # It has read everything once, some of it twice: the first time counts.
        old = dated[dated["filing_date"] <= way.loaded.date()]
        assert set(old["observed_at"]) == {pd.Timestamp(way.loaded.replace(tzinfo=UTC))}
        for ticker in set(dated["ticker"]):
            assert revisions.read(dataset, ticker).num_rows == 0


def after_parity(way: Way, code: int, report: dict[str, Any]) -> None:
    """Both hold the same facts."""
    assert (code, report.get("passed")) == (0, True), report


def after_checklist(way: Way, code: int, report: dict[str, Any]) -> None:
    """The second time, when all is signed, every line is met."""
    if any(step["name"] == "sign-offs" and step["ok"] for step in report["steps"]):
        assert code == 0, [step for step in report["steps"] if not step["ok"]]
        assert "a copy of" in next(s for s in report["steps"] if s["name"] == "rehearsal")["detail"]


def after_cutover(way: Way, code: int, report: dict[str, Any]) -> None:
    """Readers see v2, and beside it what was there."""
    assert code == 0, report
    assert (way.copy.primary, companions_of(way.copy)) == (Generation.V2, way.beside)
    assert report["facts"]["forced"] == {"reason": None, "unmet": []}
    check_silver(way.copy)


def after_cleanup(way: Way, code: int, report: dict[str, Any]) -> None:
    """v1's data is in its archive and no more in its folder."""
    assert code == 0, report
    assert not way.copy.generation_folder(Generation.V1).exists()
    assert list((way.copy.root / "archive").glob("*.tar.zst"))
    # What old readers can be given goes on.
    words = ["--shape", "v1", "--statement", "balance_sheets", "--ticker", way.market.tickers[0]]
    assert call("export", *words, "--lake", str(way.copy.root))[0] == 0
    assert companions_of(way.copy) == way.beside


def after_rollback(way: Way, code: int, report: dict[str, Any]) -> None:
    """Readers see v1 again; nothing was lost on the way."""
    assert code == 0, report
    assert (way.copy.primary, companions_of(way.copy)) == (Generation.V1, way.beside)
    facts_are_those_of_quantmini(way, way.copy)
    check_silver(way.copy)


AFTER: dict[str, Callable[[Way, int, dict[str, Any]], None]] = {
    "inspect": after_inspect,
    "historical-load": after_load,
    "silver": after_silver,
    "parity": after_parity,
    "checklist": after_checklist,
    "cutover": after_cutover,
    "cleanup": after_cleanup,
    "rollback": after_rollback,
}


def test_the_page_leads_from_inspect_to_cleanup_restore_and_rollback(way: Way) -> None:
    shown = [c.words for c in commands(PAGE, frozenset(COMMANDS)) if c.whole]
    asides = [c for c in shown if {"--adopted", "--give-path-back"} & set(c)]
    assert not any("--force" in command for command in shown)
    before = fingerprint(way.lake.root, "**/*")
    for command in (c for c in shown if c not in asides):
        code, report = way.run(command)
        if command[0] in AFTER:
            AFTER[command[0]](way, code, report)
        else:
            assert code == 0, (command, report)
        if command[0] == "inspect":
            assert fingerprint(way.lake.root, "**/*") == before
    # The lake itself saw the first load alone: its old table and its old files come back.
    for command in asides:
        code, report = call(*way.words(command), *(["--execute"] if "restore" in command else []))
        if way.market.v1_retired and "restore" in command:
            assert (code, "no original" in report["error"]) == (1, True)  # v1 was not loaded
        else:
            assert code == 0, (command, report)
    assert companions_of(way.lake) == way.beside
