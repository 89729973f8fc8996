"""The data docs in headless Chromium, with the network blocked."""

from __future__ import annotations

import html
import json
import re
import shlex
import shutil
import subprocess
import tempfile
from datetime import date
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from expectations.answer import TOLERANCES_FILE, answer
from expectations.summary import Asked
from flows.commands.parser import parser
from polygon_fundamentals.business_days import today_in_new_york
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.file_names import ticker_file_name
from polygon_fundamentals.parity.acceptance import Case, entries_of_case
from polygon_fundamentals.parity.frames import FRAMES
from polygon_fundamentals.parity.plan import Question
from polygon_fundamentals.parity.tolerances import Accepted, load_tolerances
from polygon_fundamentals.statements import Generation, Statement
from sandbox import Sandbox
from tests.conftest import KEY
from tests.filled import change_rows, comparison, fill, set_column

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
NAME = '<b>Sons</b> & "Co" "><img src=x onerror="document.title=1"> {{7*7}}'
LONG = "very long " * 1_000
SCRIPT = "<script>document.title = 'taken over'</script>"
# As a ticker, and as the text of a field: the reason of a difference that somebody accepted.
TICKER = f'"><img src=x onerror="document.title=2">{{{{7*7}}}}{SCRIPT}'
REASON = f"{TICKER} {LONG}".strip()
CONTINUING = "net_cash_from_investing_activities_continuing_operations"


class Site(NamedTuple):
    """The docs of two runs on one lake: before and after it was broken."""

    folder: Path
    runs: tuple[str, str]
    ticker: str

    def page(self, run: int, suite: str = "values") -> Path:
        """Return a run's page of one suite."""
        [page] = self.folder.glob(f"validations/{suite}/{self.runs[run]}/*/*.html")
        return page


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    lake = Lake(tmp_path_factory.mktemp("docs") / "lake")
    lake.prepare()
    with Sandbox(companies=4, seed=3, api_key=KEY, quirks=False, start=date(2023, 1, 1)) as server:
        fill(lake, server, server.tickers)
        ticker, other, third, fourth = sorted(server.tickers)
    for statement in Statement:
        for who, name in ((ticker, NAME), (other, SCRIPT), (third, LONG)):
            change_rows(
                lake,
                Generation.V1,
                statement,
                set_column("company_name", lambda t, name=name: [name] * len(t)),
                who,
            )
    rename(lake, fourth, TICKER)
    near = set_column(CONTINUING, lambda t: [v and v + 0.25 for v in t[CONTINUING].to_pylist()])
    change_rows(lake, Generation.V2, Statement.CASH_FLOW, near, TICKER)
    accepted = accepted_difference(lake, TICKER)
    first = answered(lake, "good", accepted)

    def wrong(table: pa.Table) -> pa.Table:
        quarter = pc.and_(
            pc.equal(table["period_end"], pa.scalar(date(2024, 6, 30))),
            pc.equal(table["timeframe"], "quarterly"),
        )
        value = pc.if_else(quarter, pa.scalar(-1234567.0), table[CONTINUING])
        return table.set_column(table.schema.get_field_index(CONTINUING), CONTINUING, value)

    change_rows(lake, Generation.V2, Statement.CASH_FLOW, wrong, ticker)
    second = answered(lake, "late", accepted)
    assert (first["passed"], second["passed"]) == (True, False)
    runs = (Path(str(r["report_folder"])).name for r in (first, second))
    return Site(Path(str(second["data_docs"])).parent, tuple(runs), ticker)


def rename(lake: Lake, old: str, new: str) -> None:
    """Give a company another ticker, which a lake takes from the names of its files."""
    for path in lake.root.rglob(ticker_file_name(old)):
        path.rename(path.with_name(ticker_file_name(new)))


def accepted_difference(lake: Lake, ticker: str) -> Accepted:
    """Accept the ticker's difference in its last quarter, which is mere rounding."""
    tolerances, today = load_tolerances(TOLERANCES_FILE), today_in_new_york()
    found = comparison(lake, Statement.CASH_FLOW, Question(tolerances, (), {}, today)).findings
    values = found.frame("values")
    mine = (values["ticker"] == ticker) & (values["kind"] == "rounding")
    row = values[mine & (values["timeframe"] == "quarterly")].sort_values("period_end").iloc[-1]
    names = ("statement", "cik", "timeframe", "period_end", "v2_field", "v1_value", "v2_value")
    return Accepted(**{name: row[name] for name in names}, reason=REASON, by=SCRIPT, until=date.max)


def answered(lake: Lake, run: str, accepted: Accepted) -> dict[str, object]:
    tolerances, today = load_tolerances(TOLERANCES_FILE), today_in_new_york()
    question = Question(tolerances, (accepted,), {}, today)
    founds = [comparison(lake, s, question).findings for s in Statement]
    asked = Asked(run, 4, None, None, named=False, today=today, v1_is_frozen=False)
    return answer(lake, founds, asked, tolerances, (accepted,))


def opened(page: Path, fragment: str = "") -> str:
    """The document that Chromium makes of a page: no name leads to any host."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory() as profile:
        log = Path(profile) / "net.json"
        done = subprocess.run(
            [
                CHROMIUM,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--host-resolver-rules=MAP * ~NOTFOUND",
                f"--user-data-dir={profile}",
                f"--log-net-log={log}",
                "--enable-logging=stderr",
                "--dump-dom",
                page.as_uri() + fragment,
            ],
            capture_output=True,
            text=True,
            timeout=240,
            check=True,
        )
        # The page asked for nothing, and no script of it failed.
        # (Chromium itself asks for its own updates, with "not an origin" as the initiator.)
        asked = re.findall(r'"initiator":"([^"]*)".*"url":"((?:http|ws)[^"]*)', log.read_text())
        assert [url for origin, url in asked if origin != "not an origin"] == []
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    return done.stdout


def test_the_index_leads_to_the_suites_and_both_runs(site: Site) -> None:
    document = opened(site.folder / "index.html")
    links = re.findall(r'href="([^"]+)"', document)
    assert {link for link in links if not (site.folder / unquote(link)).is_file()} == set()
    assert len([link for link in links if link.startswith("expectations/")]) >= len(FRAMES)
    for run in (0, 1):
        assert str(site.page(run).relative_to(site.folder)) in {unquote(link) for link in links}
    assert "✗ broken" in document
    assert "✓ holds" in document


def test_a_suite_says_what_it_demands_and_why(site: Site) -> None:
    document = opened(site.folder / "expectations" / "values.html")
    assert "must equal v1" in document
    assert "0 'unexplained' are allowed. Nothing explains the difference." in document
    assert "one dollar" in document


def test_the_failing_ticker_period_and_both_values_are_named(site: Site) -> None:
    document = opened(site.page(1))
    [row] = re.findall(
        r"<tr><td[^>]*>cash_<wbr>flow</td><td[^>]*>" + site.ticker + r"</td>.*?</tr>", document
    )
    cells = [html.unescape(c) for c in re.findall(r"<td[^>]*>(.*?)</td>", row)]
    assert cells[2] == NAME
    assert cells[4:6] == ["quarterly", "2024-06-30"]
    assert "-1,234,567" in cells
    assert "restated" in cells


def test_what_looks_like_html_is_text(site: Site) -> None:
    document = opened(site.page(1))
    assert "<b>Sons</b>" not in document
    assert "<script" not in document
    assert "<img" not in document
    assert "&lt;b&gt;Sons&lt;/b&gt;" in document
    assert "{{7*7}}" in document


def test_the_review_shows_pictures_cases_and_names_as_text(site: Site) -> None:
    document = opened(site.folder / "review.html")
    assert "<title>May v2 take over?" in document
    assert document.count("<svg") == 3
    drawn = document.split("<script")[0]
    for name in (NAME, SCRIPT, LONG, TICKER):
        assert html.escape(name, quote=False) in drawn
    assert "<img" not in drawn
    [first, *_] = re.findall(r'<tr data-ticker="([^"]*)">', drawn)
    assert first == site.ticker
    parts = re.findall(r'<td class="part"[^>]*>([\d,]+) (for a person|allowed)', drawn)
    assert next(words for _, words in parts) == "for a person"
    # What is over its budget comes first among the findings.
    [findings] = re.findall(r'<h2 id="findings">(.*?)</table>', drawn, re.S)
    verdicts = re.findall(r'<td class="d">(\w+)</td>.*?<td class="(yes|no)">', findings, re.S)
    assert "Any number of" not in findings
    assert verdicts[0] == ("restated", "no")
    assert ("rounding", "yes") in verdicts
    assert len(dict(verdicts)) == len(verdicts)
    assert "-1,234,567" in drawn
    assert f'<a href="companies/{site.runs[1]}/{site.ticker}.html">' in drawn


def test_the_command_that_accepts_a_case_accepts_that_case_alone(site: Site) -> None:
    report = site.folder.parent / "reports" / site.runs[-1] / "values.parquet"
    drawn = opened(site.folder / "review.html").split("<script")[0]
    rows = re.findall(r"<tr data-ticker=.*?</tr>", drawn)
    commands = {
        row: re.findall(r"<code>(polygon-fundamentals accept .*?)</code>", row) for row in rows
    }
    assert sum(map(len, commands.values())) >= 1
    for row, given_commands in commands.items():
        # Whatever may occur without limit needs no acceptance.
        assert not (given_commands and (">rounding<" in row or ">line_<" in row))
        for command in given_commands:
            given = parser("flows").parse_args(shlex.split(html.unescape(command))[1:])
            assert given.finding
            assert given.reason == given.by == "…"
            case = Case(
                *(given.finding[0], given.tickers, given.period, given.field, given.statement),
                *(given.timeframe, given.cik),
            )
            [_entry] = entries_of_case(report, case, "Looked at it.", "Ada", date.max)
            assert all((given.statement, given.timeframe, given.cik, given.period, given.field))


def test_a_company_page_has_every_statement_with_equal_values(site: Site) -> None:
    document = opened(site.folder / "companies" / site.runs[1] / f"{site.ticker}.html")
    drawn = document.split('<script type="application/json"')[0]
    assert html.escape(NAME, quote=False) in drawn
    assert "<img" not in drawn
    for statement in Statement:
        assert f'colspan="6">{statement.value.replace("_", " ")}</th>' in drawn
    [(listed, equal)] = re.findall(r">(\d+) values, (\d+) equal<", drawn)
    assert int(listed) > int(equal) > 20


def test_a_ticker_and_a_reason_of_markup_stay_text(site: Site) -> None:
    suite = opened(site.folder / "expectations" / "values.html")
    validation = opened(site.page(1))
    [page] = [p for p in (site.folder / "companies" / site.runs[1]).iterdir() if "img" in p.name]
    company = opened(page).split('<script type="application/json"')[0]
    for document in (suite, validation, company):
        assert "<title>taken over" not in document
        assert "<title>2" not in document
        assert "<img" not in document
        assert html.escape(TICKER, quote=False) in document.replace("<wbr>", "")
    # The reason of what was accepted is in the company's page, and in its view of the review page.
    assert html.escape(REASON, quote=False) in company
    viewed = opened(site.folder / "review.html", f"#company={quote(TICKER, safe='')}")
    drawn = viewed.split("<script")[0].replace("<wbr>", "")
    assert html.escape(REASON, quote=False) in drawn
    assert "<img" not in drawn
    # The review page leads to the company's.
    review = (site.folder / "review.html").read_text(encoding="utf-8")
    [link] = [h for h in re.findall(r'href="(companies/[^"]+)"', review) if "img" in h]
    assert (site.folder / unquote(link)) == page


def test_the_pages_need_nothing_but_themselves(site: Site) -> None:
    reviews = {site.folder / "review.html", *(site.folder / "reviews").glob("*.html")}
    reviews |= set((site.folder / "companies").glob("*/*.html"))
    pages = set(site.folder.rglob("*.html"))
    assert len(pages - reviews) > 3 * len(FRAMES)
    for page in sorted(pages - reviews):
        text = page.read_text(encoding="utf-8")
        assert re.findall(r"<(?:script|link|img|iframe|object|embed)\b", text) == [], page
        assert re.findall(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//", text) == [], page
        assert re.findall(r"url\(|@import", text) == [], page
    assert (site.folder / "review.html").exists()
    for page in sorted(reviews):
        text = page.read_text(encoding="utf-8")
        # Its search works by a script of its own; it links to filings, and loads nothing.
        assert re.findall(r"<(?:link|img|iframe|object|embed)\b|<script[^>]+src", text) == [], page
        assert re.findall(r"\bsrc\s*=\s*[\"']?(?:https?:)?//", text) == [], page
        hosts = set(re.findall(r"href\s*=\s*[\"'](?:https?:)?//([^/\"']+)", text))
        assert hosts <= {"www.sec.gov"}, page


def test_the_accession_numbers_of_a_proof_lead_to_their_filings(site: Site, tmp_path: Path) -> None:
    text = (site.folder / "review.html").read_text(encoding="utf-8")
    start, end = re.search(r'id="data">(.*?)</script>', text, re.S).span(1)  # type: ignore[union-attr]
    data = json.loads(text[start:end])
    proof = "Revenues is 5 in 10-Q 0009000000-24-000013 (2024-07-31), then 6 in 8-K 0009000000-26-7"
    data["detail"]["words"] = [proof for _ in data["detail"]["words"]]
    assert "sec.gov/Archives" not in opened(site.folder / "review.html").split("<script")[0]
    # The sandbox's companies are invented; of one that is real the filings are linked.
    data["cik"]["words"] = ["0000320193" for _ in data["cik"]["words"]]
    page = tmp_path / "proven.html"
    changed = json.dumps(data).replace("<", "\\u003c")
    page.write_text(text[:start] + changed + text[end:], encoding="utf-8")
    links = re.findall(r'<a href="([^"]+)" rel="noreferrer">0009000000-24-000013</a>', opened(page))
    assert len(links) >= sum(at >= 0 for at in data["detail"]["at"][:25]) > 0
    address = r"https://www\.sec\.gov/Archives/edgar/data/320193/000900000024000013/"
    assert all(re.fullmatch(address, link) for link in links)
