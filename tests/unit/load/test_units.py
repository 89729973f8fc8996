"""What a load puts into the lake equals what the server holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

import pytest

from polygon_fundamentals.lake import Lake
from polygon_fundamentals.load.companies import resolve_companies
from polygon_fundamentals.load.historical import load_v1, load_v2
from polygon_fundamentals.load.loader import Loader
from polygon_fundamentals.load.query import Filters
from polygon_fundamentals.reports import LoadReport
from polygon_fundamentals.statements import Generation, Statement, Timeframe
from sandbox import Faults, Sandbox
from tests.conftest import KEY, client_of
from tests.lakes import fingerprint, stored_rows, v1_facts, v2_facts

FILTERS = Filters()
MARKET = {"companies": 60, "seed": 7, "start": date(2023, 1, 1), "today": date(2026, 7, 1)}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(api_key=KEY, **MARKET) as server:
        yield server


def load_everything(
    server: Sandbox, lake: Lake, tickers: list[str], filters: Filters = FILTERS
) -> LoadReport:
    """Load both generations as the flow does: v1 first, then v2 by company."""
    client, total = client_of(server), LoadReport()
    for ticker in tickers:
        total += load_v1(Loader(client, lake), ticker, list(Statement), filters)
    companies = resolve_companies(client, lake, tickers)
    for statement in Statement:
        total += load_v2(Loader(client, lake), companies, statement, filters)
    return total


def _served_v2(
    server: Sandbox, statement: Statement, ticker: str, ciks: Iterable[str]
) -> dict[tuple[object, ...], str]:
    """Return record key → facts of the rows that belong to a ticker or its companies."""
    known = set(ciks)
    found = {}
    for row in server.rows("v2", statement.value):
        mine = ticker in (row.get("tickers") or ()) or row.get("cik") in known
        if mine and row["timeframe"] in ("quarterly", "annual"):
            names = ("cik", "timeframe", "period_end", "fiscal_year", "fiscal_quarter")
            found[tuple(row.get(name) for name in names)] = v2_facts(row)
    return found


@pytest.fixture(scope="module")
def loaded(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, list[str]]:
    """A lake with five tickers, odd ones among them, in both generations."""
    tickers = ["SBX.A", "NAN", "MUX", "NEWX", sandbox.tickers[0]]
    lake = Lake(tmp_path_factory.mktemp("loaded"))
    lake.prepare()
    load_everything(sandbox, lake, tickers)
    return lake, tickers


each_statement = pytest.mark.parametrize(
    "statement",
    [
        Statement.BALANCE_SHEETS,
        *(
            pytest.param(statement, marks=pytest.mark.slow)
            for statement in (Statement.INCOME_STATEMENTS, Statement.CASH_FLOW)
        ),
    ],
)


@each_statement
def test_every_v2_row_stands_once_in_the_file_of_each_ticker(
    sandbox: Sandbox, loaded: tuple[Lake, list[str]], statement: Statement
) -> None:
    lake, tickers = loaded
    companies = resolve_companies(client_of(sandbox), lake, tickers)
    stored = stored_rows(lake, Generation.V2, statement)
    compared = 0
    for ticker in tickers:
        served = _served_v2(sandbox, statement, ticker, companies[ticker])
        assert sorted(map(v2_facts, stored.get(ticker, []))) == sorted(served.values()), ticker
        compared += len(served)
    assert compared > 60


@each_statement
def test_every_v1_record_stands_once_in_its_tickers_file(
    sandbox: Sandbox, loaded: tuple[Lake, list[str]], statement: Statement
) -> None:
    lake, tickers = loaded
    stored = stored_rows(lake, Generation.V1, statement)
    client = client_of(sandbox)
    compared = 0
    for ticker in tickers:
        served: dict[tuple[object, ...], tuple[str, str]] = {}
        for timeframe in ("quarterly", "annual"):
            params = {"ticker": ticker, "timeframe": timeframe, "limit": "100"}
            for page in client.pages("/vX/reference/financials", params):
                for row in page.results:
                    names = ("cik", "timeframe", "end_date", "fiscal_year", "fiscal_period")
                    key = tuple(row.get(name) for name in names)
                    rank = row.get("acceptance_datetime") or ""
                    if key not in served or rank >= served[key][0]:
                        served[key] = (rank, v1_facts(row, statement))
        facts = sorted(v1_facts(row, statement) for row in stored.get(ticker, []))
        assert facts == sorted(fact for _, fact in served.values()), ticker
        compared += len(served)
    assert compared > 60


def test_a_second_load_changes_nothing_and_touches_no_file(
    sandbox: Sandbox, loaded: tuple[Lake, list[str]]
) -> None:
    lake, tickers = loaded
    before = fingerprint(lake.root)
    times = {p: p.stat().st_mtime_ns for p in lake.root.rglob("*.parquet")}
    counts = load_everything(sandbox, lake, tickers)
    assert (counts.rows_new, counts.rows_changed, counts.rows_withdrawn) == (0, 0, 0)
    assert counts.rows_unchanged > 300
    assert fingerprint(lake.root) == before
    assert {p: p.stat().st_mtime_ns for p in lake.root.rglob("*.parquet")} == times


@pytest.mark.slow
def test_faults_on_the_way_leave_the_same_lake(loaded: tuple[Lake, list[str]], lake: Lake) -> None:
    clean, tickers = loaded
    faults = Faults.parse("429=.15,500=.15,reset=.1,truncate=.1,html=.05,dup=.2")
    with Sandbox(api_key=KEY, faults=faults, **MARKET) as server:
        client = client_of(server, attempts=30)
        companies = resolve_companies(client, lake, tickers)
        for statement in Statement:
            for ticker in tickers:  # many small requests, so that every fault is met
                load_v2(Loader(client, lake), {ticker: companies[ticker]}, statement, FILTERS)
    assert client.counts.retries > 5
    for statement in Statement:
        left, right = (
            {
                ticker: sorted(map(v2_facts, rows))
                for ticker, rows in stored_rows(which, Generation.V2, statement).items()
            }
            for which in (clean, lake)
        )
        assert left == right


def test_trailing_twelve_months_are_loaded_where_v2_has_them(sandbox: Sandbox, lake: Lake) -> None:
    ticker = sandbox.tickers[0]
    filters = Filters(timeframes=(Timeframe.TTM,))
    client = client_of(sandbox)
    companies = resolve_companies(client, lake, [ticker])
    counts = {s: load_v2(Loader(client, lake), companies, s, filters).rows_new for s in Statement}
    assert counts[Statement.BALANCE_SHEETS] == 0
    assert counts[Statement.CASH_FLOW] > 10
    assert counts[Statement.INCOME_STATEMENTS] > 10
