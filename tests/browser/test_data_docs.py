"""The data docs in headless Chromium, with the network blocked."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import date
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from expectations.answer import TOLERANCES_FILE, Asked, answer
from polygon_fundamentals.business_days import today_in_new_york
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.parity import load_tolerances
from polygon_fundamentals.parity.run import Question
from polygon_fundamentals.statements import Generation, Statement
from sandbox import Sandbox
from tests.conftest import KEY
from tests.filled import change_rows, comparison, fill, set_column

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
NAME = '<b>Sons</b> & "Co"'
SCRIPT = "<script>document.title = 'taken over'</script>"


class Site(NamedTuple):
    """The docs of two runs on one lake: before and after it was broken."""

    index: Path
    passed: Path
    failed: Path
    ticker: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    lake = Lake(tmp_path_factory.mktemp("docs") / "lake")
    lake.prepare()
    with Sandbox(companies=3, seed=3, api_key=KEY, quirks=False, start=date(2023, 1, 1)) as server:
        fill(lake, server, server.tickers)
        ticker, other = sorted(server.tickers)[:2]
    for statement in Statement:
        for who, name in ((ticker, NAME), (other, SCRIPT)):
            change_rows(
                lake,
                Generation.V1,
                statement,
                set_column("company_name", lambda t, name=name: [name] * len(t)),
                who,
            )
    first = answered(lake, "good")

    def wrong(table: pa.Table) -> pa.Table:
        quarter = pc.and_(
            pc.equal(table["period_end"], pa.scalar(date(2024, 6, 30))),
            pc.equal(table["timeframe"], "quarterly"),
        )
        field = "net_cash_from_investing_activities_continuing_operations"
        value = pc.if_else(quarter, pa.scalar(-1234567.0), table[field])
        return table.set_column(table.schema.get_field_index(field), field, value)

    change_rows(lake, Generation.V2, Statement.CASH_FLOW, wrong, ticker)
    second = answered(lake, "late")
    assert (first["passed"], second["passed"]) == (True, False)
    pages = [Path(run["data_docs_run"]) for run in (first, second)]
    return Site(Path(second["data_docs"]), *pages, ticker)


def answered(lake: Lake, run: str) -> dict[str, object]:
    tolerances, today = load_tolerances(TOLERANCES_FILE), today_in_new_york()
    question = Question(tolerances, (), {}, today)
    founds = [comparison(lake, s, question).found for s in Statement]
    asked = Asked(run, 3, None, None, named=False, today=today, v1_is_frozen=False)
    return answer(lake, founds, asked, tolerances, ())


def opened(page: Path) -> str:
    """The document that Chromium makes of a page: no name leads to any host."""
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


@pytest.fixture(scope="module")
def failed_page(site: Site) -> str:
    return opened(site.failed)


def test_the_index_leads_to_both_runs(site: Site) -> None:
    document = opened(site.index)
    for page in (site.passed, site.failed):
        assert f'href="runs/{page.name}"' in document
    assert document.index("not passed") < document.index(">passed<")


def test_a_run_that_passed(site: Site) -> None:
    document = opened(site.passed)
    assert "What is broken" not in document
    told = re.search(r"<b>([\d,]+)</b>:(.*?)<a href=\"#found\">", document, re.S)
    assert told is not None
    counts = [int(n.replace(",", "")) for n in re.findall(r"([\d,]+) [a-z_]+[.,]", told[2])]
    assert sum(counts) == int(told[1].replace(",", "")) > 0
    assert "Every v1 ticker is in v2 or accounted for" in document
    # A rule that had nothing to judge neither passed nor failed.
    rows = re.findall(
        r"<tr><td([^>]*)>([✓✗–])</td>.*?<td class=\"n\">0 of ([\d,]+)</td>", document, re.S
    )
    assert {mark for _, mark, of in rows if of == "0"} == {"–"}
    assert {mark for _, mark, of in rows if of != "0"} == {"✓"}


def test_the_failing_ticker_period_and_both_values_are_told(site: Site, failed_page: str) -> None:
    broken = failed_page[failed_page.index("What is broken") : failed_page.index("Every rule")]
    assert "Values are equal: net_cash_from_investing_activities_continuing" in broken
    [row] = re.findall(r"<tr><td[^>]*>" + re.escape(site.ticker) + r"</td>.*?</tr>", broken, re.S)
    cells = re.findall(r"<td[^>]*>(.*?)</td>", row)
    assert cells[:4] == [
        site.ticker,
        '&lt;b&gt;Sons&lt;/b&gt; &amp; "Co"',
        "quarterly",
        "2024-06-30",
    ]
    assert "-1,234,567" in cells
    assert "restated" in cells


def test_what_looks_like_html_is_text(failed_page: str) -> None:
    assert "<b>Sons</b>" not in failed_page
    assert "<script" not in failed_page
    assert "&lt;script&gt;document.title" in failed_page
    assert "<title>Parity, " in failed_page


def test_the_pages_need_nothing_but_themselves(site: Site) -> None:
    for page in (site.index, site.passed, site.failed):
        text = page.read_text(encoding="utf-8")
        assert re.findall(r"<(?:script|link|img|iframe|object|embed)\b", text) == []
        assert re.findall(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//", text) == []
        assert re.findall(r"url\(|@import", text) == []
