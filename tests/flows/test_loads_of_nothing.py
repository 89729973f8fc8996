"""A load that the API answers with empty lists, status 200, is not a success."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from polygon_fundamentals import ledger
from polygon_fundamentals.errors import ApiError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.reference.tickers import universe
from polygon_fundamentals.statements import Generation
from tests.builders.commands import call, where
from tests.conftest import client_of
from tests.servers import results, serving
from tests.unit.silver.feeding import put, v2_balance

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def at(lake: Lake) -> Iterator[list[str]]:
    """Return the options that lead to the lake and to an API without anything."""
    with serving(lambda _: results([])) as server:
        yield where(server.url, lake)


def outcomes(lake: Lake) -> list[tuple[str, str]]:
    return [(entry.flow, entry.outcome) for entry in ledger.read_entries(lake)[0]]


def test_a_market_without_a_ticker_is_refused(lake: Lake, at: list[str]) -> None:
    code, answer = call("historical-load", "--universe", "active", *at)
    assert code == 3
    assert "lists no ticker of a company that files reports" in answer["error"]
    assert outcomes(lake) == [("historical-load", "failed")]


@pytest.mark.parametrize("active_only", [True, False])
def test_the_list_that_all_loads_share_is_never_empty(active_only: bool) -> None:
    """That of `daily-update`, `ratios` and a load in shards too."""
    with serving(lambda _: results([])) as server, pytest.raises(ApiError, match="lists no ticker"):
        universe(client_of(server), active_only=active_only)  # type: ignore[arg-type]


def test_a_day_without_any_ratios_is_missing(lake: Lake, at: list[str]) -> None:
    put(lake, Generation.V2, v2_balance("2024-05-01", 1.0), "2024-05-02T12:00")
    code, answer = call("ratios", *at)
    assert code == 3
    (failed,) = answer["ratios"]["failed"]
    assert failed["reason"].startswith("the API gave no ratios for any of 1 ticker")
    assert outcomes(lake) == [("ratios", "failed")]
    # A ticker that somebody named may have none: a fund has not.
    code, answer = call("ratios", "--tickers", "ABC", *at)
    assert (code, answer["ratios"]["tickers_without_rows"]) == (0, ["ABC"])
