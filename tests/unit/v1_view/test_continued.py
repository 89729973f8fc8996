"""A program written for v1 gets the same table where v2 continues a history of v1 that ended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest
import requests

from polygon_fundamentals.field_map import Relation, entries
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.load.historical import load_v1, load_v2_bisecting
from polygon_fundamentals.load.loader import Loader
from polygon_fundamentals.load.query import Filters
from polygon_fundamentals.statements import Statement, Timeframe
from sandbox import Sandbox
from tests.conftest import KEY, client_of
from tests.v1_server import V1Server, serving_v1

ENDED = date(2025, 12, 1)
EVERY_TIMEFRAME = Filters(timeframes=tuple(Timeframe))
EXACT = {
    (e.v1_section, e.v1)
    for statement in Statement
    for e in entries(statement)
    if e.relation in (Relation.EXACT, Relation.SIGN_FLIPPED) and e.source_rank == 1 and e.v2
}
Table = dict[tuple[str, str, str], dict[tuple[str, str], float]]


@dataclass
class Market:
    """v1 until `ENDED`, and v2 after it in `continued`; `before`: v1's records on that day."""

    sandbox: Sandbox
    continued: Lake
    before: list[dict[str, Any]]


def load_all_of_v1(lake: Lake, sandbox: Sandbox) -> Loader:
    lake.prepare()
    loader = Loader(client_of(sandbox), lake)
    for ticker in sandbox.tickers:
        load_v1(loader, ticker, list(Statement), EVERY_TIMEFRAME)
    return loader


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    lake = Lake(tmp_path_factory.mktemp("continued"))
    options = {"companies": 2, "start": date(2025, 1, 1), "today": ENDED, "quirks": False}
    with Sandbox(api_key=KEY, **options) as sandbox:
        loader, before = load_all_of_v1(lake, sandbox), sandbox.rows("v1")
        sandbox.advance(150)
        for statement in Statement:
            for ticker in sandbox.tickers:
                load_v2_bisecting(loader, {ticker: []}, statement, EVERY_TIMEFRAME)
        yield Market(sandbox, lake, before)


@pytest.fixture(scope="module")
def continued(market: Market) -> Iterator[V1Server]:
    with serving_v1(market.continued.root) as server:
        server.wait_until_complete()
        yield server


@pytest.fixture(scope="module")
def whole(market: Market, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """v1 to the end."""
    lake = Lake(tmp_path_factory.mktemp("whole"))
    load_all_of_v1(lake, market.sandbox)
    return lake


def program(base: str) -> Table:
    """What people wrote for v1: follow `next_url`, take the values, by period."""
    table: Table = {}
    for terms in (
        {"filing_date.gte": "2025-06-01", "timeframe": "quarterly", "sort": "filing_date"},
        {"timeframe": "ttm", "period_of_report_date.gte": "2025-06-01", "limit": "7"},
    ):
        url: str | None = f"{base}/vX/reference/financials"
        params: dict[str, str] | None = terms
        while url:
            answer = requests.get(
                url, params, headers={"Authorization": f"Bearer {KEY}"}, timeout=60
            )
            answer.raise_for_status()
            page = answer.json()
            for record in page["results"]:
                key = (record["tickers"][0], record["timeframe"], record["end_date"])
                table[key] = {
                    (section, name): line["value"]
                    for section, lines in record["financials"].items()
                    for name, line in lines.items()
                    if (section, name) in EXACT
                }
            url, params = page.get("next_url"), None
    return table


@pytest.mark.slow
def test_the_program_makes_the_same_table(continued: V1Server, whole: Lake) -> None:
    with serving_v1(whole.root) as server:
        server.wait_until_complete()
        expected = program(server.url)
    continued_rows = program(continued.url)
    assert expected.keys() <= continued_rows.keys()
    # v1 derived fourth quarters and gave them no filing date, so this query never found them;
    # v2's have one.
    more = continued_rows.keys() - expected.keys()
    assert {key[1:] for key in more} == {("quarterly", "2025-12-31")}
    later = {key for key in expected if key[2] >= ENDED.isoformat()}
    assert {key[1] for key in later} == {"quarterly", "ttm"}
    for key, values in expected.items():
        theirs = continued_rows[key]
        if key not in later:
            assert theirs == values
            continue
        # v2 has lines beside v1's, and leaves one out where v1 wrote 0 for what is not reported.
        assert {name: theirs.get(name, 0) for name in values} == values, key


@pytest.mark.slow
def test_every_record_says_which_generation_it_is(market: Market, continued: V1Server) -> None:
    records = continued.everything(limit=100)
    own = [r for r in records if r["generation"] == "v1"]
    assert [{k: v for k, v in r.items() if k != "generation"} for r in own] == market.before
    added = [r for r in records if r["generation"] == "v2"]
    had = {(r["cik"], r["timeframe"], r["end_date"]) for r in own}
    assert added
    assert not had & {(r["cik"], r["timeframe"], r["end_date"]) for r in added}
    names = {r["cik"]: (r["company_name"], r["sic"]) for r in own}
    for record in added:
        assert (record["company_name"], record["sic"]) == names[record["cik"]]
    answer = continued.get(ticker=added[0]["tickers"][0], limit=100)
    assert answer.headers["X-Generation"] == "v1,v2"
    early = continued.get(period_of_report_date__lt="2025-09-01")
    assert early.headers["X-Generation"] == "v1"


def unmarked(records: list[dict[str, Any]], generation: str) -> list[dict[str, Any]]:
    """Return the records without their mark, which is one for all."""
    assert {r["generation"] for r in records} == {generation}
    return [{k: v for k, v in r.items() if k != "generation"} for r in records]


@pytest.mark.slow
def test_as_of_a_day_serves_what_was_known_then(
    market: Market, continued: V1Server, whole: Lake
) -> None:
    day = (ENDED - timedelta(days=1)).isoformat()
    with serving_v1(whole.root, "--as-of", day, "--only", "v1") as server:
        server.wait_until_complete()
        assert unmarked(server.everything(limit=100), "v1") == market.before
    now = continued.everything(limit=100)
    filed = sorted(r["filing_date"] for r in now if r["generation"] == "v2")
    day = (date.fromisoformat(filed[-1]) - timedelta(days=1)).isoformat()
    assert filed[0] <= day
    with serving_v1(market.continued.root, "--as-of", day) as server:
        server.wait_until_complete()
        then = server.everything(limit=100)
    assert {r["generation"] for r in then} == {"v1", "v2"}
    assert max(r["filing_date"] for r in then if r.get("filing_date")) <= day
    texts = [{json.dumps(r, sort_keys=True) for r in records} for records in (then, now)]
    assert texts[0] < texts[1]


@pytest.mark.slow
def test_only_v1_leaves_v2_out(market: Market) -> None:
    with serving_v1(market.continued.root, "--only", "v1") as server:
        server.wait_until_complete()
        answer = server.get(limit=1)
        assert answer.headers["X-Generation"] == "v1"
        assert unmarked(server.everything(limit=100), "v1") == market.before


@pytest.mark.slow
def test_differing_adds_the_fields_that_v2_defines_differently(
    market: Market, continued: V1Server
) -> None:
    differing = {
        (e.v1_section, e.v1)
        for statement in Statement
        for e in entries(statement)
        if e.relation is Relation.DEFINITION_DIFFERS and e.source_rank == 1 and e.v1 and e.v2
    }
    plain = [r for r in continued.everything(limit=100) if r["generation"] == "v2"]
    with serving_v1(market.continued.root, "--differing") as server:
        server.wait_until_complete()
        more = [r for r in server.everything(limit=100) if r["generation"] == "v2"]
    assert len(more) == len(plain)
    added = set()
    for record, with_more in zip(plain, more, strict=True):
        for section, lines in with_more["financials"].items():
            before = record["financials"].get(section, {})
            assert {n: line for n, line in lines.items() if n in before} == before
            added |= {(section, name) for name in lines.keys() - before.keys()}
    assert added
    assert added <= differing
