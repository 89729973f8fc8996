"""Rows that are fetched for several tickers and stored for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from polygon_fundamentals.errors import ApiError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.load.companies import resolve_companies
from polygon_fundamentals.load.historical import fetch_v2, load_v2, store_fetched
from polygon_fundamentals.load.loader import Loader
from polygon_fundamentals.load.query import Filters
from polygon_fundamentals.reports import LoadReport
from polygon_fundamentals.statements import Statement
from sandbox import Sandbox
from tests.builders.records import v2_row
from tests.conftest import client_of
from tests.lakes import contents
from tests.servers import Answer, Asked, results, serving

STATEMENT = Statement.CASH_FLOW


def fetched_and_stored(
    loader: Loader, companies: dict[str, list[str]]
) -> tuple[LoadReport, dict[str, str]]:
    """Return the summed report, and the error of each ticker that could not be loaded."""
    rows = fetch_v2(loader, companies, STATEMENT, Filters())
    report, errors = LoadReport(rows_unfollowed=rows.unfollowed), {}
    for ticker, ciks in companies.items():
        try:
            report += store_fetched(loader, rows, ticker, ciks, STATEMENT, Filters())
        except ApiError as error:
            errors[ticker] = str(error)
    return report, errors


@pytest.mark.slow
def test_one_fetch_for_all_makes_the_lake_of_loads_one_by_one(
    sandbox: Sandbox, lake: Lake, tmp_path: Path
) -> None:
    client = client_of(sandbox)
    names = [*sandbox.tickers[:15], "SBX.A", "NOBODY"]
    resolved = resolve_companies(client, lake, names)
    companies = {ticker: list(resolved[ticker]) for ticker in names}
    assert companies["NOBODY"] == []
    counting = client.with_own_counts()
    report, errors = fetched_and_stored(Loader(counting, lake), companies)
    assert errors == {}
    assert counting.counts.requests <= 2 + sum(not ciks for ciks in companies.values())
    one_by_one, expected = Lake(tmp_path / "one-by-one"), LoadReport()
    for ticker, ciks in companies.items():
        expected += load_v2(Loader(client, one_by_one), {ticker: ciks}, STATEMENT, Filters())
    assert report.rows_new == expected.rows_new > 500
    assert report.tickers_without_rows == expected.tickers_without_rows
    assert contents(lake) == contents(one_by_one)


@pytest.mark.parametrize("failing", [["0000000003"], ["0000000000", "0000000019"]])
def test_a_company_that_the_api_fails_on_costs_its_own_ticker(
    lake: Lake, failing: Sequence[str]
) -> None:
    def script(asked: Asked) -> Answer:
        ciks = (asked.query.get("cik.any_of") or asked.query.get("cik", "")).split(",")
        if set(ciks) & set(failing):
            return Answer(500, b"")
        return results([v2_row(f"T{int(cik):02}", cik) for cik in ciks])

    companies = {f"T{n:02}": [f"{n:010}"] for n in range(20)}
    with serving(script) as server:
        client = client_of(server, attempts=1)  # type: ignore[arg-type]
        report, errors = fetched_and_stored(Loader(client, lake), companies)
    assert sorted(errors) == [f"T{int(cik):02}" for cik in failing]
    assert all("answered 500" in error for error in errors.values())
    assert report.rows_new == 20 - len(failing)


def test_rows_of_nobody_are_counted_and_of_an_odd_kind_refused(lake: Lake) -> None:
    companies = {"AAA": ["0000000001"], "BBB": ["0000000002"]}
    rows = [v2_row("AAA", "0000000001"), v2_row("ZZZ", "0000000009")]
    with serving(lambda _: results(rows)) as server:
        report, errors = fetched_and_stored(
            Loader(client_of(server), lake),  # type: ignore[arg-type]
            companies,
        )
    assert (report.rows_new, report.rows_unfollowed, errors) == (1, 1, {})
    assert report.tickers_without_rows == ("BBB",)
    with serving(lambda _: Answer(200, b'{"status":"OK","results":[7]}')) as server:
        loader = Loader(client_of(server), lake)  # type: ignore[arg-type]
        _, errors = fetched_and_stored(loader, companies)
    assert sorted(errors) == ["AAA", "BBB"]
    assert all("answered 200" in error for error in errors.values())
