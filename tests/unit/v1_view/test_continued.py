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
EXACT = {
    (e.v1_section, e.v1)
    for statement in Statement
    for e in entries(statement)
    if e.relation in (Relation.EXACT, Relation.SIGN_FLIPPED) and e.source_rank == 1 and e.v2
}
Table = dict[tuple[str, str, str], dict[tuple[str, str], float]]


@dataclass
class Served:
    """v1 to the end, and v1 until `ENDED` with v2 after it; `before`: v1's records on that day."""

    whole: V1Server
    continued: V1Server
    before: list[dict[str, Any]]
    whole_lake: Lake
    continued_lake: Lake


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("continued")
    whole, continued = Lake(folder / "whole"), Lake(folder / "continued")
    for lake in (whole, continued):
        lake.prepare()
    filters = Filters(timeframes=tuple(Timeframe))
    options = {"companies": 4, "start": date(2024, 7, 1), "today": ENDED, "quirks": False}
    with Sandbox(api_key=KEY, **options) as sandbox:
        client = client_of(sandbox)
        first, second = Loader(client, continued), Loader(client, whole)
        for ticker in sandbox.tickers:
            load_v1(first, ticker, list(Statement), filters)
        before = sandbox.rows("v1")
        sandbox.advance(150)
        for ticker in sandbox.tickers:
            load_v1(second, ticker, list(Statement), filters)
            for statement in Statement:
                load_v2_bisecting(first, {ticker: []}, statement, filters)
    with (
        serving_v1(whole.root) as one,
        serving_v1(continued.root) as other,
    ):
        one.wait_until_complete()
        other.wait_until_complete()
        yield Served(one, other, before, whole, continued)


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
def test_the_program_makes_the_same_table(served: Served) -> None:
    whole, continued = program(served.whole.url), program(served.continued.url)
    assert whole.keys() <= continued.keys()
    # v1 derived fourth quarters and gave them no filing date, so this query never found them;
    # v2's have one.
    more = continued.keys() - whole.keys()
    assert {key[1:] for key in more} == {("quarterly", "2025-12-31")}
    later = {key for key in whole if key[2] >= ENDED.isoformat()}
    assert {key[1] for key in later} == {"quarterly", "ttm"}
    for key, values in whole.items():
        theirs = continued[key]
        if key not in later:
            assert theirs == values
            continue
        # v2 has lines beside v1's, and leaves one out where v1 wrote 0 for what is not reported.
        assert {name: theirs.get(name, 0) for name in values} == values, key


def test_every_record_says_which_generation_it_is(served: Served) -> None:
    records = served.continued.everything(limit=100)
    own = [r for r in records if r["generation"] == "v1"]
    assert [{k: v for k, v in r.items() if k != "generation"} for r in own] == served.before
    added = [r for r in records if r["generation"] == "v2"]
    had = {(r["cik"], r["timeframe"], r["end_date"]) for r in own}
    assert added
    assert not had & {(r["cik"], r["timeframe"], r["end_date"]) for r in added}
    names = {r["cik"]: (r["company_name"], r["sic"]) for r in own}
    for record in added:
        assert (record["company_name"], record["sic"]) == names[record["cik"]]
    answer = served.continued.get(ticker=added[0]["tickers"][0], limit=100)
    assert answer.headers["X-Generation"] == "v1,v2"
    early = served.continued.get(period_of_report_date__lt="2025-09-01")
    assert early.headers["X-Generation"] == "v1"


def unmarked(records: list[dict[str, Any]], generation: str) -> list[dict[str, Any]]:
    """Return the records without their mark, which is one for all."""
    assert {r["generation"] for r in records} == {generation}
    return [{k: v for k, v in r.items() if k != "generation"} for r in records]


@pytest.mark.slow
def test_as_of_a_day_serves_what_was_known_then(served: Served) -> None:
    day = (ENDED - timedelta(days=1)).isoformat()
    with serving_v1(served.whole_lake.root, "--as-of", day, "--only", "v1") as server:
        server.wait_until_complete()
        assert unmarked(server.everything(limit=100), "v1") == served.before
    now = served.continued.everything(limit=100)
    filed = sorted(r["filing_date"] for r in now if r["generation"] == "v2")
    day = (date.fromisoformat(filed[-1]) - timedelta(days=1)).isoformat()
    assert filed[0] <= day
    with serving_v1(served.continued_lake.root, "--as-of", day) as server:
        server.wait_until_complete()
        then = server.everything(limit=100)
    assert {r["generation"] for r in then} == {"v1", "v2"}
    assert max(r["filing_date"] for r in then if r.get("filing_date")) <= day
    texts = [{json.dumps(r, sort_keys=True) for r in records} for records in (then, now)]
    assert texts[0] < texts[1]


@pytest.mark.slow
def test_only_v1_leaves_v2_out(served: Served) -> None:
    with serving_v1(served.continued_lake.root, "--only", "v1") as server:
        server.wait_until_complete()
        answer = server.get(limit=1)
        assert answer.headers["X-Generation"] == "v1"
        assert unmarked(server.everything(limit=100), "v1") == served.before


@pytest.mark.slow
def test_differing_adds_the_fields_that_v2_defines_differently(served: Served) -> None:
    differing = {
        (e.v1_section, e.v1)
        for statement in Statement
        for e in entries(statement)
        if e.relation is Relation.DEFINITION_DIFFERS and e.source_rank == 1 and e.v1 and e.v2
    }
    plain = [r for r in served.continued.everything(limit=100) if r["generation"] == "v2"]
    with serving_v1(served.continued_lake.root, "--differing") as server:
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
