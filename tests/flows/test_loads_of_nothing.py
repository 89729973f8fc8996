"""A load that the API answers with empty lists, status 200, is not a success."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.__main__ import main
from polygon_fundamentals import ledger
from polygon_fundamentals.business_days import today_in_new_york
from polygon_fundamentals.errors import ApiError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.reference.tickers import TICKERS_PATH, universe
from polygon_fundamentals.statements import Generation, Statement
from tests.builders.commands import call, where
from tests.conftest import client_of
from tests.servers import Answer, Asked, results, serving
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


def test_a_daily_update_without_the_ratios_it_asks_for_is_missing_a_day(
    lake: Lake, at: list[str]
) -> None:
    put(lake, Generation.V2, v2_balance("2024-05-01", 1.0), "2024-05-02T12:00")
    code, answer = call("daily-update", "--generation", "v2", "--ratios", *at)
    assert code == 3
    assert len(answer["ratios"]["failed"]) == 1
    assert "1 missing" in answer["message"]
    assert outcomes(lake) == [("daily-update", "failed")]
    code, _ = call("daily-update", "--generation", "v2", "--ratios", "--tickers", "ABC", *at)
    assert code == 0


MANY = [f"T{number:03}" for number in range(500)]


def all_but_cash_flow(asked: Asked) -> Answer:
    """Answer with a list of tickers, and of each statement but one with a row of today."""
    if asked.path == TICKERS_PATH:
        return results([{"ticker": name, "type": "CS", "active": True} for name in MANY])
    if asked.path == Statement.CASH_FLOW.v2_path:
        return results([])
    return results([v2_balance(str(today_in_new_york()), 1.0, tickers=[MANY[0]])])


def test_a_statement_without_a_row_of_many_tickers_is_missing(lake: Lake) -> None:
    names = ",".join(MANY[:160])
    with serving(all_but_cash_flow) as server:
        at = ["--generation", "v2", "--tickers", names, *where(server.url, lake)]
        code, answer = call("historical-load", *at)
    (unit,) = answer["v2"]["failed"]
    assert (code, unit["statement"]) == (3, "cash_flow")
    assert unit["reason"].startswith("v2 gave no row of cash_flow for any of 160 tickers: look at")
    assert outcomes(lake) == [("historical-load", "failed")]


@pytest.mark.slow
def test_an_update_that_gets_none_of_a_statement_asks_again_and_fails_in_the_end(
    lake: Lake,
) -> None:
    """A few days say little: the next run goes back to where there were rows."""
    whole = ("daily-update", "--generation", "v2", "--universe", "active", "--days-back")
    with serving(all_but_cash_flow) as server:
        at = where(server.url, lake)
        code, answer = call(*whole, "12", *at)
        assert (code, answer["v2"]["statements_without_rows"]) == (0, ["cash_flow"])
        code, answer = call(*whole, "13", *at)
        (unit,) = answer["v2"]["failed"]
        assert (code, unit["statement"]) == (3, "cash_flow")
        assert "gave no row of the whole market for the 14 days since" in unit["reason"]
        assert answer["v2"]["rows_received"] > 0


@pytest.mark.parametrize("command", ["daily-update", "ratios"])
def test_the_market_is_not_loaded_into_an_empty_mount_point(
    tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ["--universe", "active", "--lake", str(tmp_path), "--base-url", "http://127.0.0.1:9"]
    assert main([command, *at]) == 2
    assert f"there is no lake at {tmp_path}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
