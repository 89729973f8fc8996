"""The vendor's own client gets the rows that the sandbox says it holds, pages included."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from datetime import date
from typing import Any

import pytest

from sandbox import Sandbox

massive = pytest.importorskip("massive", reason="the vendor's client is a test dependency")

V2_METHODS = {
    "balance_sheets": "list_financials_balance_sheets",
    "cash_flow": "list_financials_cash_flow_statements",
    "income_statements": "list_financials_income_statements",
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(start=date(2024, 7, 1)) as running:
        yield running


@pytest.fixture(scope="module")
def client(sandbox: Sandbox) -> Any:
    return massive.RESTClient("sandbox-key", base=sandbox.url)


def _known(model: Any) -> dict[str, Any]:
    return {field.name: getattr(model, field.name) for field in fields(model)}


@pytest.mark.parametrize("statement", V2_METHODS)
@pytest.mark.parametrize("limit", [37, 50_000])
def test_v2_rows_through_the_vendors_client(
    sandbox: Sandbox, client: Any, statement: str, limit: int
) -> None:
    got = [_known(row) for row in getattr(client, V2_METHODS[statement])(limit=limit)]
    held = sandbox.rows("v2", statement)
    assert len(got) == len(held)
    for mine, theirs in zip(held, got, strict=True):
        assert set(mine) <= set(theirs)
        assert theirs == {name: mine.get(name) for name in theirs}


@pytest.mark.parametrize("limit", [9, 50_000])
def test_ratios_through_the_vendors_client(sandbox: Sandbox, client: Any, limit: int) -> None:
    got = [_known(row) for row in client.list_financials_ratios(limit=limit)]
    held = sandbox.rows("v2", "ratios")
    assert len(got) == len(held) > 50
    for mine, theirs in zip(held, got, strict=True):
        assert set(mine) <= set(theirs)
        assert theirs == {name: mine.get(name) for name in theirs}


def test_v1_records_through_the_vendors_client(sandbox: Sandbox, client: Any) -> None:
    got = list(client.vx.list_stock_financials(limit=71))
    held = sandbox.rows("v1")
    assert len(got) == len(held)
    for mine, theirs in zip(held, got, strict=True):
        for name in ("cik", "company_name", "start_date", "end_date", "filing_date"):
            assert getattr(theirs, name) == mine.get(name)
        for section, lines in mine["financials"].items():
            model = getattr(theirs.financials, section)
            for name, point in lines.items():
                # The client does not know the plural of this one key, which v1 really sends.
                if name == "noncurrent_prepaid_expenses":
                    continue
                known = model[name] if isinstance(model, dict) else getattr(model, name)
                value = known["value"] if isinstance(known, dict) else known.value
                assert value == point["value"], name


def test_v1_of_one_ticker_pages_ten_by_default(sandbox: Sandbox, client: Any) -> None:
    sandbox.forget_requests()
    got = list(client.vx.list_stock_financials(ticker="NAN"))
    held = [row for row in sandbox.rows("v1") if "NAN" in row.get("tickers", [])]
    assert [row.end_date for row in got] == [row["end_date"] for row in held]
    assert sandbox.request_count == -(-len(held) // 10)


def test_the_key_is_never_part_of_an_address(sandbox: Sandbox, client: Any) -> None:
    sandbox.forget_requests()
    list(client.list_financials_balance_sheets(tickers="CON", limit=5))
    assert sandbox.request_count > 1
    for request in sandbox.requests:
        assert "apiKey" not in request.query
        assert request.headers["authorization"] == "Bearer sandbox-key"


def test_tickers_and_filings_through_the_vendors_client(sandbox: Sandbox, client: Any) -> None:
    active = {row.ticker for row in client.list_tickers(market="stocks", active=True, limit=7)}
    inactive = {row.ticker for row in client.list_tickers(active=False, limit=1000)}
    assert {"NAN", "TRUE", "CON", "SBX.B"} <= active
    assert {"GONE", "LOST", "OLDY", "OLDX"} == inactive
    assert active | inactive >= set(sandbox.tickers)
    filings = list(client.list_stocks_filings_index(ticker="NAN", form_type="10-K", limit=2))
    assert len(filings) >= 2
    assert [f.filing_date for f in filings] == sorted(
        (f.filing_date for f in filings), reverse=True
    )
