"""The vendor's clients list the same records from the lake as from the API."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import pytest

from polygon_fundamentals.lake import Lake
from sandbox import Sandbox
from tests.conftest import KEY
from tests.filled import fill
from tests.unit.v1_view.conftest import Pair
from tests.v1_server import V1Server, serving_v1

massive = pytest.importorskip("massive", reason="the vendor's client is a test dependency")

# The older client, `polygon-api-client`, asks for a certifi of before 2026, so no set of pinned
# versions can hold it beside the rest; where it is installed all the same, it is tested too.
CLIENTS = ["massive", "polygon"]
# The queries of sixty companies take minutes.
PARTS = 3


def queries(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Every filter that the client has, every sort and order, and page sizes."""
    row = next(r for r in sandbox.rows("v1") if r.get("filing_date") and r.get("tickers"))
    filed, end = row["filing_date"], row["end_date"]
    return [
        {},
        {"limit": 100},
        {"limit": 37},
        {"ticker": row["tickers"][0]},
        {"ticker": row["tickers"][0], "timeframe": "ttm", "limit": 3},
        {"ticker": "NOSUCH"},
        {"cik": row["cik"]},
        {"cik": "0000000001"},
        {"company_name": row["company_name"]},
        # The clients send company_name_search as it is, which is no parameter of the API.
        {"company_name_search": "nobody", "limit": 50},
        {"params": {"company_name.search": row["company_name"].split()[1].upper()}, "limit": 50},
        {"sic": row["sic"]},
        {"timeframe": "annual", "limit": 100},
        {"timeframe": "quarterly", "order": "asc", "limit": 100},
        {"filing_date": filed},
        {"filing_date_gte": filed, "limit": 100},
        {"filing_date_gt": filed, "filing_date_lt": "2026-03-01", "limit": 100},
        {"filing_date_lte": filed, "sort": "filing_date", "limit": 7},
        {"period_of_report_date": end},
        {"period_of_report_date_gte": end, "order": "asc", "limit": 100},
        {"period_of_report_date_gt": end, "limit": 100},
        {"period_of_report_date_lt": end, "sort": "filing_date", "order": "desc"},
        {"period_of_report_date_lte": end, "sort": "period_of_report_date", "limit": 100},
        {"sort": "filing_date", "order": "asc", "limit": 11},
        {"sort": "filing_date", "order": "desc", "limit": 100},
        {"sort": "period_of_report_date", "order": "asc", "limit": 13},
        {"sort": "period_of_report_date", "order": "desc", "limit": 100},
    ]


def raw_pages(client: Any, query: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """Yield the records of each page as the client gets them, before it makes objects of them."""
    pages: list[list[dict[str, Any]]] = []
    real = client.vx._decode

    def decode(response: Any) -> Any:
        found = real(response)
        pages.append(found["results"])
        return found

    client.vx._decode = decode
    try:
        objects = list(client.vx.list_stock_financials(**query))
    finally:
        client.vx._decode = real
    assert len(objects) == sum(map(len, pages))
    yield from pages


def unmarked(pages: Iterator[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
    found = []
    for page in pages:
        for record in page:
            assert record.pop("generation") == "v1"
        found.append(page)
    return found


def assert_same(
    sandbox: Sandbox, url: str, client: Any, chosen: Sequence[dict[str, Any]], **beside: Any
) -> int:
    """Compare every page of some queries; return how many records were the same.

    `beside` is put in place of a query's own terms.
    """
    real = client(KEY, base=sandbox.url)
    ours = client(KEY, base=url)
    compared = 0
    for query in chosen:
        expected = list(raw_pages(real, {**query, **beside}))
        assert unmarked(raw_pages(ours, {**query, **beside})) == expected, query
        compared += sum(map(len, expected))
    return compared


@pytest.fixture(scope="module")
def only_v1(pair: Pair) -> Iterator[V1Server]:
    with serving_v1(pair.lake.root, "--only", "v1") as server:
        server.wait_until_complete()
        yield server


@pytest.mark.parametrize("client", ["massive", pytest.param("polygon", marks=pytest.mark.slow)])
def test_every_query_lists_the_same_pages(pair: Pair, only_v1: V1Server, client: str) -> None:
    module = pytest.importorskip(client, reason=f"the client {client} is not installed")
    assert assert_same(pair.sandbox, only_v1.url, module.RESTClient, queries(pair.sandbox)) > 0


def test_v1s_own_records_are_all_there_beside_v2s(pair: Pair) -> None:
    own = [r for r in pair.server.everything(limit=100) if r.pop("generation") == "v1"]
    assert own == pair.sandbox.rows("v1")


@pytest.fixture(scope="module")
def sixty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sandbox, Lake]]:
    """Sixty companies with all oddities; the tests of them can be run one by one."""
    lake = Lake(tmp_path_factory.mktemp("sixty") / "lake")
    lake.prepare()
    with Sandbox(companies=60, start=date(2020, 1, 1), api_key=KEY) as sandbox:
        fill(lake, sandbox, sandbox.tickers)
        yield sandbox, lake


@pytest.fixture(scope="module")
def sixty_only_v1(sixty: tuple[Sandbox, Lake]) -> Iterator[V1Server]:
    with serving_v1(sixty[1].root, "--only", "v1") as server:
        server.wait_until_complete(600)
        yield server


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("client", CLIENTS)
def test_sixty_companies_with_all_oddities_list_the_same_pages(
    sixty: tuple[Sandbox, Lake], sixty_only_v1: V1Server, client: str, part: int
) -> None:
    module = pytest.importorskip(client, reason=f"the client {client} is not installed")
    chosen = queries(sixty[0])[part::PARTS]
    # Small pages, of which there would be thousands, are for the six companies above.
    compared = assert_same(sixty[0], sixty_only_v1.url, module.RESTClient, chosen, limit=100)
    print(f"{client}: {len(chosen)} queries, {compared:,} records the same")


@pytest.mark.slow
def test_v1s_own_records_of_sixty_companies_are_all_there_beside_v2s(
    sixty: tuple[Sandbox, Lake],
) -> None:
    sandbox, lake = sixty
    with serving_v1(lake.root) as server:
        server.wait_until_complete(600)
        records = server.everything(limit=100)
    own = [r for r in records if r.pop("generation") == "v1"]
    assert own == sandbox.rows("v1")
    assert len(own) < len(records)
    print(f"{len(own):,} records of v1, {len(records) - len(own):,} of v2 beside them")
