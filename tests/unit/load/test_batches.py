"""Batches that are split, writer processes, and what parameters become."""

from __future__ import annotations

import multiprocessing
import os
from typing import Any
from urllib.parse import urlencode

import pytest

from flows.load_tasks import v2_groups
from polygon_fundamentals.errors import BadRequestError, LakeError, UsageError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.load import store
from polygon_fundamentals.load.companies import resolve_bisecting, resolve_companies
from polygon_fundamentals.load.historical import load_v2, load_v2_bisecting
from polygon_fundamentals.load.loader import Loader
from polygon_fundamentals.load.query import (
    BATCH,
    Filters,
    even_groups,
    v1_requests,
    v2_batch,
    v2_request,
)
from polygon_fundamentals.load.writers import Processes, start_ahead
from polygon_fundamentals.normalise import v2_table
from polygon_fundamentals.reference.tickers import tickers_of_cik, universe
from polygon_fundamentals.statements import Statement, Timeframe
from sandbox import Sandbox
from tests.builders.records import v2_row
from tests.conftest import client_of
from tests.servers import Answer, Asked, results, serving

STATEMENT = Statement.CASH_FLOW


def test_a_batch_is_split_until_the_failing_ticker_is_alone(lake: Lake) -> None:
    asked_for: list[list[str]] = []

    def script(asked: Asked) -> Answer:
        names = (asked.query.get("tickers.any_of") or asked.query["tickers"]).split(",")
        asked_for.append(names)
        if "BAD" in names:
            return Answer(400, b'{"error":"no"}')
        return results([v2_row(name) for name in names])

    companies: dict[str, list[str]] = {name: [] for name in ("AAA", "BBB", "BAD", "CCC")}
    with serving(script) as server:
        client = client_of(server)  # type: ignore[arg-type]
        report = load_v2_bisecting(Loader(client, lake), companies, STATEMENT, Filters())
    assert [failure.ticker for failure in report.failed] == ["BAD"]
    assert report.failed[0].error == "BadRequestError"
    assert report.units == 4
    assert report.tickers_with_rows == {"AAA", "BBB", "CCC"}
    assert report.rows_new == 3
    assert client.counts.requests == len(asked_for) == 5


NAMES = [f"T{number:02}" for number in range(20)]


@pytest.mark.parametrize(
    "failing",
    [["T00"], ["T01"], ["T19"], ["T00", "T09", "T10"], NAMES[:7], NAMES[::3]],
    ids=" ".join,
)
def test_tickers_that_the_api_fails_on_do_not_make_it_down(lake: Lake, failing: list[str]) -> None:
    def script(asked: Asked) -> Answer:
        names = (asked.query.get("tickers.any_of") or asked.query.get("tickers", "")).split(",")
        return (
            Answer(500, b"") if set(names) & set(failing) else results([v2_row(n) for n in names])
        )

    with serving(script) as server:
        client = client_of(server, attempts=1)  # type: ignore[arg-type]
        companies: dict[str, list[str]] = {name: [] for name in NAMES}
        report = load_v2_bisecting(Loader(client, lake), companies, STATEMENT, Filters())
    assert sorted(failure.ticker for failure in report.failed) == failing
    assert all("answered 500" in failure.reason for failure in report.failed)
    assert report.rows_new == 20 - len(failing)


def test_a_row_that_nobody_foresaw_costs_its_ticker_only(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def script(asked: Asked) -> Answer:
        names = (asked.query.get("tickers.any_of") or asked.query["tickers"]).split(",")
        return results([v2_row(name) | ({"odd": 1} if name == "T07" else {}) for name in names])

    def table(rows: list[dict[str, Any]], *more: Any) -> Any:
        if any("odd" in row for row in rows):
            raise AttributeError("'list' object\nhas no attribute 'x', said sandbox-key")
        return v2_table(rows, *more)

    monkeypatch.setattr(store, "v2_table", table)
    companies: dict[str, list[str]] = {name: [] for name in NAMES}
    with serving(script) as server:
        client = client_of(server)  # type: ignore[arg-type]
        report = load_v2_bisecting(Loader(client, lake), companies, STATEMENT, Filters())
    assert report.rows_new == 19
    assert {failure.ticker: failure.reason for failure in report.failed} == {
        "T07": "/stocks/financials/v1/cash-flow-statements?limit=50000&tickers=T07&"
        "timeframe.any_of=quarterly%2Cannual answered 200, but its rows cannot be stored "
        "(AttributeError: 'list' object has no attribute 'x', said (the API key)); report this "
        "request and its answer, then run again"
    }


@pytest.mark.parametrize(
    ("odd", "symbols"),
    [
        ({"tickers": ["AAA", ["x"], {}, None, 5]}, ["AAA"]),
        ({"tickers": {"AAA": 1}}, []),
        ({"tickers": "AAA"}, []),
        ({"cik": ["1"], "tickers": None}, []),
        ({"cik": 1, "tickers": None}, ["BBB"]),
        ({"cik": "1", "tickers": ["BBB", "BBB", "AAA"]}, ["AAA", "BBB"]),
    ],
)
def test_whose_a_row_with_odd_names_is(odd: dict[str, Any], symbols: list[str]) -> None:
    places = store.follow([odd], {"AAA": [], "BBB": ["1"]})
    assert [ticker for ticker, found in places.items() if found == [0]] == symbols


@pytest.mark.parametrize("cik", ["0000000007", None, 7, ["7"]])
def test_a_ticker_asked_for_alone_owns_the_rows_that_name_none(lake: Lake, cik: object) -> None:
    """The rows of T05 lack their `tickers`."""

    def script(asked: Asked) -> Answer:
        query = asked.query
        names = (query.get("tickers.any_of") or query.get("tickers", "T05")).split(",")
        rows = {name: v2_row(name) | {"cik": f"1{name[1:]:>09}"} for name in names if name > "T03"}
        if "T05" in rows:
            rows["T05"] |= {"cik": cik, "tickers": None}
        return results(list(rows.values()))

    with serving(script) as server:
        client = client_of(server)  # type: ignore[arg-type]
        companies = resolve_companies(client, lake, NAMES)
        sizes = [len(one.query.get("tickers.any_of", "T05").split(",")) for one in server.asked]
        known = ["0000000007"] if cik in ("0000000007", 7) else []
        # All; the silent T00 to T03 and T05, in halves; the half with T05, in halves.
        assert sizes == [20, *([2, 3, 1, 2, 1, 1] if known else [])]
        assert companies["T05"] == known
        assert companies["T06"] == ["1000000006"]
        assert companies["T03"] == []
        report = load_v2(Loader(client, lake), {"T05": known}, STATEMENT, Filters())
    assert (report.rows_new, report.rows_unfollowed, report.tickers_without_rows) == (1, 0, ())


def test_an_api_that_is_down_is_found_out_in_the_first_batch(lake: Lake) -> None:
    with serving(lambda _: Answer(500, b"")) as server:
        client = client_of(server, attempts=1)  # type: ignore[arg-type]
        companies: dict[str, list[str]] = {name: [] for name in NAMES}
        report = load_v2_bisecting(Loader(client, lake), companies, STATEMENT, Filters())
        assert len(server.asked) == 6
    assert sorted(failure.ticker for failure in report.failed) == NAMES


def test_what_fails_for_all_is_not_tried_in_halves(lake: Lake) -> None:
    with serving(lambda _: Answer(403, b"{}")) as server:
        client = client_of(server)  # type: ignore[arg-type]
        report = load_v2_bisecting(
            Loader(client, lake), {"AAA": [], "BBB": []}, STATEMENT, Filters()
        )
        assert len(server.asked) == 1
    assert {failure.ticker for failure in report.failed} == {"AAA", "BBB"}


def test_one_ticker_that_cannot_be_resolved_costs_itself_only(lake: Lake) -> None:
    def script(asked: Asked) -> Answer:
        names = (asked.query.get("tickers.any_of") or asked.query["tickers"]).split(",")
        return Answer(400, b"{}") if "BAD" in names else results([v2_row(name) for name in names])

    tickers = ["AAA", "BAD", "BBB", "CCC", "DDD"]
    with serving(script) as server:
        client = client_of(server)  # type: ignore[arg-type]
        companies, failed = resolve_bisecting(client, lake, tickers)
        assert len(server.asked) == 5  # all; AAA, BAD; AAA; BAD; BBB, CCC, DDD
    assert companies == {key: ["0000000001"] for key in ("AAA", "BBB", "CCC", "DDD")}
    assert list(failed) == ["BAD"]
    assert isinstance(failed["BAD"], BadRequestError)


@pytest.mark.parametrize("tickers", [["AAA"], ["AAA", "XXX"]])
def test_a_server_that_ignores_the_filter_gives_no_ticker_the_market(
    lake: Lake, tickers: list[str]
) -> None:
    """A cache that keys answers by path, or a parameter that the vendor renamed."""
    market = [v2_row(f"{c}{c}{c}", cik=f"{n:010d}") for n, c in enumerate("ABCD", 1)]

    def script(asked: Asked) -> Answer:
        return results(market)

    with serving(script) as server:
        client = client_of(server)  # type: ignore[arg-type]
        companies, failed = resolve_bisecting(client, lake, tickers)
    assert companies == {}
    assert list(failed) == tickers
    assert "so the server ignored the filter; nothing was stored" in str(failed[tickers[-1]])


def test_an_index_of_some_weeks_ago_puts_no_earlier_filing_back(lake: Lake) -> None:
    """It lacks the newest report, and has what that one restated as it was before."""
    ends = [f"{year}-03-31" for year in range(2018, 2026)]
    quarters = [
        v2_row("AAA") | {"period_end": end, "filing_date": end[:5] + "05-02"} for end in ends
    ]
    for n, row in enumerate(quarters):
        row |= {"fiscal_year": 2018 + n, "net_income": float(n)}
    restated = quarters[6] | {"filing_date": "2025-05-02", "net_income": 60.5}
    answers = [[*quarters[:6], restated, quarters[7]], quarters[:7], quarters]

    def script(asked: Asked) -> Answer:
        return results(answers.pop(0))

    with serving(script) as server:
        loader = Loader(client_of(server), lake)  # type: ignore[arg-type]
        first, stale, whole = (
            load_v2(loader, {"AAA": ["0000000001"]}, STATEMENT, Filters()) for _ in range(3)
        )
    assert (first.rows_new, first.exit_code) == (8, 0)
    assert (stale.rows_changed, stale.rows_withheld, stale.exit_code) == (0, 1, 1)
    assert stale.tickers_withheld == {"AAA"}
    # Where nothing is lacking, the vendor has taken the restatement back.
    assert (whole.rows_changed, whole.rows_withheld, whole.exit_code) == (1, 0, 0)


def test_three_hundred_companies_take_eleven_requests(lake: Lake) -> None:
    def script(asked: Asked) -> Answer:
        names = asked.query.get("tickers.any_of", "").split(",")
        return results(
            [v2_row(name) | {"cik": f"{int(name[1:]):010}"} for name in names if "T" in name]
        )

    tickers = [f"T{number:03}" for number in range(286)] + [f"X{number}" for number in range(16)]
    todo = [(ticker, statement.value) for ticker in tickers for statement in Statement]
    companies: dict[str, list[str]] = {}
    with serving(script) as server:
        client = client_of(server)  # type: ignore[arg-type]
        for group in even_groups(tickers, BATCH):
            companies.update(resolve_companies(client, lake, group))
        groups = v2_groups(companies, todo, BATCH)
        for group in groups:
            for statement in Statement:
                some = {ticker: companies[ticker] for ticker in group}
                load_v2(Loader(client, lake), some, statement, Filters())
        asked = server.asked
    assert [len(group) for group in groups] == [143, 143, 16]
    assert len(asked) == 2 + 3 * 3
    assert max(len(urlencode(one.query)) for one in asked) < 2_000
    assert sorted(ticker for group in groups for ticker in group) == sorted(tickers)


def test_an_address_stays_short_however_many_companies_a_batch_has(lake: Lake) -> None:
    """Every ticker of a batch may stand for several companies."""
    companies = {f"T{n}": [f"{n:09}{k}" for k in range(5)] for n in range(BATCH)}
    with serving(lambda _: results([])) as server:
        client = client_of(server)  # type: ignore[arg-type]
        load_v2(Loader(client, lake), companies, STATEMENT, Filters())
        lists = [one.query["cik.any_of"].split(",") for one in server.asked]
        lengths = [len(urlencode(one.query)) for one in server.asked]
    assert len(lists) == 3
    assert max(lengths) < 4_000
    assert sorted(cik for some in lists for cik in some) == sorted(
        cik for ciks in companies.values() for cik in ciks
    )


def test_groups_are_few_and_even() -> None:
    assert even_groups([], 3) == []
    assert even_groups(["a"], 3) == [["a"]]
    assert [len(group) for group in even_groups(["a"] * 302, 160)] == [151, 151]
    assert [len(group) for group in even_groups(["a"] * 7, 3)] == [2, 2, 3]


@pytest.mark.parametrize("tickers", [1, 2, 21, 50, 99, 100, 101, 200, 321, 1_000])
def test_a_load_has_two_even_batches_or_as_many_as_their_size_demands(tickers: int) -> None:
    groups = even_groups([str(number) for number in range(tickers)], v2_batch(tickers))
    assert len(groups) == max(min(2, tickers), -(-tickers // BATCH))
    assert max(map(len, groups)) - min(map(len, groups)) <= 1


def _process(_: None) -> int:
    return os.getpid()


def _one_over(number: int) -> float:
    return 1 / number


@pytest.mark.slow
def test_writer_processes_are_those_started_ahead_and_return_raise_and_are_missed() -> None:
    before = set(multiprocessing.active_children())
    start_ahead(2)
    ahead = {child.pid for child in set(multiprocessing.active_children()) - before}
    writers = Processes(2)
    try:
        assert writers.run(_process, None) in ahead
        assert len(ahead) == 2
        assert writers.run(max, (3, 5)) == 5
        with pytest.raises(ZeroDivisionError):
            writers.run(_one_over, 0)
        with pytest.raises(LakeError, match="a writer process died"):
            writers.run(os._exit, 1)
    finally:
        writers.close()


def test_parameters_of_both_generations() -> None:
    both = Filters(filing_date_gte="2024-01-01", filing_date_lt="2024-02-01", page=5)
    assert v1_requests({"ticker": "AAA"}, both) == [
        {
            "ticker": "AAA",
            "limit": "5",
            "filing_date.gte": "2024-01-01",
            "filing_date.lt": "2024-02-01",
            "timeframe": timeframe,
        }
        for timeframe in ("quarterly", "annual")
    ]
    whole = Filters(timeframes=tuple(Timeframe))
    assert v1_requests({"cik": "1"}, whole) == [{"cik": "1", "limit": "100"}]
    assert v2_request(STATEMENT, whole, tickers=["B", "A"]) == {
        "limit": "50000",
        "tickers.any_of": "A,B",
    }
    assert v2_request(Statement.BALANCE_SHEETS, Filters(), ciks=["1"]) == {
        "limit": "50000",
        "cik": "1",
    }
    assert v2_request(STATEMENT, Filters(fiscal_year=2024, period_end="2024-03-31")) == {
        "limit": "50000",
        "timeframe.any_of": "quarterly,annual",
        "fiscal_year": "2024",
        "period_end": "2024-03-31",
    }


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"filing_date_gte": "2024-1-1"}, "is not a valid date"),
        ({"period_end": "soon"}, "is not a valid date"),
        (
            {"filing_date_gte": "2024-02-01", "filing_date_lt": "2024-02-01"},
            "2024-02-01 to 2024-01-31 is empty",
        ),
        ({"fiscal_quarter": 0}, "is not 1 to 4"),
        ({"fiscal_year": 24}, "is not a year"),
        ({"fiscal_year": 10**19}, "is not a year"),
        ({"page": 50_001}, "rows per page"),
    ],
)
def test_filters_that_make_no_sense_are_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Filters(**wrong)


def test_a_list_of_tickers_with_odd_rows_gives_the_others(lake: Lake) -> None:
    odd = [{"ticker": ["x"]}, {"ticker": "ETF", "type": ["x"]}, {}, {"ticker": 1}]
    with serving(lambda _: results([*odd, {"ticker": "AAA", "type": "CS"}])) as server:
        client = client_of(server)  # type: ignore[arg-type]
        assert universe(client, active_only=True) == ["AAA"]
        assert tickers_of_cik(client, "1") == ["AAA", "ETF"]


def test_the_universe_and_the_tickers_of_a_cik(sandbox: Sandbox) -> None:
    client = client_of(sandbox)
    active, everything = (universe(client, active_only=only) for only in (True, False))
    assert set(active) < set(everything)
    assert "GONE" in set(everything) - set(active)
    cik = next(r["cik"] for r in sandbox.rows("v2", "cash_flow") if "NAN" in r.get("tickers", ()))
    assert "NAN" in tickers_of_cik(client, cik)
    assert tickers_of_cik(client, "0000000042") == ["CIK0000000042"]
