"""Each documented filter, limit, order and cursor does what the vendor's pages say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from sandbox import Sandbox

V1 = "/vX/reference/financials"
INCOME = "/stocks/financials/v1/income-statements"
BALANCE = "/stocks/financials/v1/balance-sheets"
TICKERS = "/v3/reference/tickers"
FILINGS = "/stocks/filings/vX/index"
HEADERS = {"Authorization": "Bearer sandbox-key"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(start=date(2022, 1, 1)) as running:
        yield running


def _get(sandbox: Sandbox, path: str, **params: Any) -> Any:
    query = {name.replace("__", "."): value for name, value in params.items()}
    answer = requests.get(sandbox.url + path, query, headers=HEADERS, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _results(sandbox: Sandbox, path: str, **params: Any) -> list[dict[str, Any]]:
    params.setdefault("limit", {V1: 100, TICKERS: 1000}.get(path, 10_000))
    return list(_get(sandbox, path, **params)["results"])


V2_CASES = [
    ({"cik": "0009000003"}, lambda r: r["cik"] == "0009000003"),
    (
        {"cik__any_of": "0009000003,0009000004"},
        lambda r: r["cik"] in ("0009000003", "0009000004"),
    ),
    ({"cik__gte": "0009000050"}, lambda r: r["cik"] >= "0009000050"),
    ({"cik__lt": "0009000003"}, lambda r: r["cik"] < "0009000003"),
    ({"tickers": "SBX.B"}, lambda r: "SBX.B" in r.get("tickers", [])),
    (
        {"tickers__any_of": "SBX.B,NAN"},
        lambda r: {"SBX.B", "NAN"} & set(r.get("tickers", [])),
    ),
    ({"tickers__all_of": "SPQ,SPQW"}, lambda r: {"SPQ", "SPQW"} <= set(r.get("tickers", []))),
    ({"tickers__all_of": "SPQ,NAN"}, lambda r: False),
    ({"period_end": "2024-03-31"}, lambda r: r["period_end"] == "2024-03-31"),
    ({"period_end__gt": "2025-12-31"}, lambda r: r["period_end"] > "2025-12-31"),
    ({"period_end__lte": "2022-12-31"}, lambda r: r["period_end"] <= "2022-12-31"),
    ({"filing_date": "2026-05-08"}, lambda r: r["filing_date"] == "2026-05-08"),
    (
        {"filing_date__gte": "2026-05-01", "filing_date__lt": "2026-05-08"},
        lambda r: "2026-05-01" <= r["filing_date"] < "2026-05-08",
    ),
    ({"filing_date__gt": "2026-05-01"}, lambda r: r["filing_date"] > "2026-05-01"),
    ({"filing_date__lte": "2023-08-01"}, lambda r: r["filing_date"] <= "2023-08-01"),
    ({"fiscal_year": "2024.0"}, lambda r: r["fiscal_year"] == 2024),
    ({"fiscal_year__gt": "2024"}, lambda r: r["fiscal_year"] > 2024),
    ({"fiscal_quarter": "2"}, lambda r: r["fiscal_quarter"] == 2),
    ({"fiscal_quarter__lte": "2"}, lambda r: r["fiscal_quarter"] <= 2),
    ({"timeframe": "annual"}, lambda r: r["timeframe"] == "annual"),
    (
        {"timeframe__any_of": "annual,quarterly"},
        lambda r: r["timeframe"] in ("annual", "quarterly"),
    ),
    ({"timeframe__gt": "annual"}, lambda r: r["timeframe"] > "annual"),
]


@pytest.mark.parametrize(("query", "keep"), V2_CASES, ids=[str(case[0]) for case in V2_CASES])
def test_v2_filters(sandbox: Sandbox, query: dict[str, str], keep: Any) -> None:
    wanted = [row for row in sandbox.rows("v2", "income_statements") if keep(row)]
    assert _results(sandbox, INCOME, limit=50_000, **query) == wanted


V1_CASES = [
    ({"ticker": "TRUE"}, lambda r: r["cik"] == "0009000003"),
    ({"ticker": "true"}, lambda r: False),
    ({"cik": "0009000004"}, lambda r: r["cik"] == "0009000004"),
    ({"company_name": '<b>Sons</b> & "Co" Sandbox'}, lambda r: "Sons" in r["company_name"]),
    ({"company_name__search": "sons"}, lambda r: "Sons" in r["company_name"]),
    (
        {"filing_date__gte": "2026-06-05", "filing_date__lte": "2026-06-08"},
        lambda r: r.get("filing_date") and "2026-06-05" <= r["filing_date"] <= "2026-06-08",
    ),
    ({"filing_date__lt": "2022-05-02"}, lambda r: (r.get("filing_date") or "9") < "2022-05-02"),
    ({"period_of_report_date": "2025-10-31"}, lambda r: r["end_date"] == "2025-10-31"),
    ({"period_of_report_date__gt": "2026-04-30"}, lambda r: r["end_date"] > "2026-04-30"),
    ({"period_of_report_date__lt": "2022-02-01"}, lambda r: r["end_date"] < "2022-02-01"),
    (
        {"ticker": "NAN", "timeframe": "ttm"},
        lambda r: (r["cik"], r["timeframe"]) == ("0009000002", "ttm"),
    ),
]


@pytest.mark.parametrize(("query", "keep"), V1_CASES, ids=[str(case[0]) for case in V1_CASES])
def test_v1_filters(sandbox: Sandbox, query: dict[str, str], keep: Any) -> None:
    wanted = [record for record in sandbox.rows("v1") if keep(record)]
    assert len(wanted) <= 100
    assert _results(sandbox, V1, **query) == wanted


def test_v1_filters_by_industry(sandbox: Sandbox) -> None:
    sic = sandbox.rows("v1")[0]["sic"]
    got = _results(sandbox, V1, sic=sic)
    assert got
    assert {record["sic"] for record in got} == {sic}


def test_tickers_filters(sandbox: Sandbox) -> None:
    def symbols(**query: Any) -> list[str]:
        return [row["ticker"] for row in _results(sandbox, TICKERS, limit=1000, **query)]

    everyone = symbols()
    assert everyone == sorted(everyone)
    assert symbols(ticker="NAN") == ["NAN"]
    assert symbols(ticker__gte="S", ticker__lt="T") == [s for s in everyone if "S" <= s < "T"]
    assert symbols(cik="0009000008") == ["SPQ", "SPQU", "SPQW"]
    assert symbols(type="WARRANT") == ["SPQW"]
    assert symbols(search="sons") == ["HTM"]
    assert symbols(market="crypto") == []
    assert symbols(active="false") == ["GONE", "LOST", "OLDX", "OLDY"]
    assert symbols(order="desc") == everyone[::-1]
    assert [row["ticker"] for row in _results(sandbox, TICKERS, sort="cik", limit=2)] == [
        "AAAX",
        "SBX.A",
    ]
    gone = _results(sandbox, TICKERS, ticker="GONE", active="false", limit=1)[0]
    assert gone["active"] is False
    assert gone["delisted_utc"] == "2019-09-30T04:00:00Z"
    assert set(gone) == {
        "ticker", "name", "market", "locale", "primary_exchange", "type", "active",
        "currency_name", "cik", "composite_figi", "last_updated_utc", "delisted_utc",
    }  # fmt: skip


def test_filings_filters(sandbox: Sandbox) -> None:
    annual = _results(sandbox, FILINGS, cik__any_of="0009000003,0009000004", form_type="10-K")
    assert {row["form_type"] for row in annual} == {"10-K"}
    assert {row["cik"] for row in annual} == {"0009000003", "0009000004"}
    reports = _results(sandbox, FILINGS, ticker="NAN", form_type__any_of="10-K,10-Q")
    assert {row["form_type"] for row in reports} == {"10-K", "10-Q"}
    dates = [row["filing_date"] for row in reports]
    assert dates == sorted(dates, reverse=True)
    first = _results(sandbox, FILINGS, ticker="NAN", sort="filing_date.asc", limit=1)
    assert first[0]["filing_date"] <= dates[-1]
    window = _results(sandbox, FILINGS, filing_date__gte="2026-05-01", filing_date__lt="2026-05-08")
    assert window
    assert all("2026-05-01" <= row["filing_date"] < "2026-05-08" for row in window)
    amended = _results(sandbox, FILINGS, form_type="10-K/A")
    assert {row["cik"] for row in amended} == {"0009000025", "0009000026"}


@pytest.mark.parametrize(
    ("path", "default"), [(V1, 10), (INCOME, 100), (TICKERS, None), (FILINGS, 1000)]
)
def test_default_limits(sandbox: Sandbox, path: str, default: int | None) -> None:
    body = _get(sandbox, path)
    if default is None:
        assert len(body["results"]) == len(_results(sandbox, path, limit=1000)) < 100
    else:
        assert len(body["results"]) == default
        assert body["next_url"].startswith(f"https://api.massive.com{path}?cursor=")


@pytest.mark.parametrize("path", [V1, INCOME, BALANCE, TICKERS, FILINGS])
def test_following_next_url_yields_every_row_once(sandbox: Sandbox, path: str) -> None:
    narrow = {"ticker": "NAN"} if path in (V1, FILINGS) else {}
    narrow = {"cik": "0009000002"} if path in (INCOME, BALANCE) else narrow
    whole = _results(sandbox, path, **narrow)
    body = _get(sandbox, path, limit=7, **narrow)
    got = list(body["results"])
    while "next_url" in body:
        parts = urlsplit(body["next_url"])
        assert parts.netloc == "api.massive.com"
        assert "sandbox-key" not in body["next_url"]
        answer = requests.get(
            f"{sandbox.url}{parts.path}?{parts.query}", headers=HEADERS, timeout=30
        )
        body = answer.json()
        assert 0 < len(body["results"]) <= 7
        got += body["results"]
    assert got == whole


def test_v1_order(sandbox: Sandbox) -> None:
    def ends(**query: str) -> list[str]:
        return [row["end_date"] for row in _results(sandbox, V1, ticker="NAN", **query)]

    assert ends() == sorted(ends(), reverse=True)
    assert ends(sort="period_of_report_date", order="asc") == sorted(ends())
    filed = [
        row.get("filing_date")
        for row in _results(sandbox, V1, ticker="NAN", sort="filing_date", order="asc")
    ]
    undated = filed.count(None)
    assert undated > 10
    assert filed[:undated] == [None] * undated
    dated = [day for day in filed[undated:] if day]
    assert dated == sorted(dated)


def test_v2_order_by_two_columns(sandbox: Sandbox) -> None:
    rows = _results(sandbox, INCOME, sort="fiscal_year.desc,period_end.asc", limit=50_000)
    keys = [(-row["fiscal_year"], row["period_end"]) for row in rows]
    assert keys == sorted(keys)
    ends = [row["period_end"] for row in _results(sandbox, INCOME, sort="period_end.desc")]
    assert ends == sorted(ends, reverse=True)


def test_an_unknown_ticker_is_an_empty_answer(sandbox: Sandbox) -> None:
    for path, name in ((V1, "ticker"), (INCOME, "tickers"), (TICKERS, "ticker")):
        body = _get(sandbox, path, **{name: "NOPE"})
        assert body["status"] == "OK"
        assert body["results"] == []
        assert "next_url" not in body


def test_only_the_request_id_changes_between_identical_calls(sandbox: Sandbox) -> None:
    def body() -> str:
        answer = requests.get(
            sandbox.url + BALANCE, {"tickers": "NAN"}, headers=HEADERS, timeout=30
        )
        return answer.text.replace(answer.json()["request_id"], "")

    assert body() == body()


def test_include_sources_adds_an_xpath(sandbox: Sandbox) -> None:
    record = _results(sandbox, V1, ticker="NAN", include_sources="true", limit=1)[0]
    assert "xpath" in record["financials"]["balance_sheet"]["assets"]


def test_balance_sheets_have_no_trailing_rows(sandbox: Sandbox) -> None:
    assert _results(sandbox, BALANCE, timeframe="trailing_twelve_months") == []
    ttm = _results(sandbox, V1, ticker="NAN", timeframe="ttm")
    assert all("balance_sheet" in row["financials"] for row in ttm)
