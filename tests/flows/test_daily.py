"""`daily-update`, `refresh` and `status` as a user runs them, on a sandbox whose clock advances."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from flows import shards
from flows.__main__ import main
from flows.runs import report_of
from polygon_fundamentals import ledger
from polygon_fundamentals.business_days import today_in_new_york
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.partial import FEWEST_WITHHELD
from polygon_fundamentals.lake.read import read_dataset, states
from polygon_fundamentals.ledger.v1_endpoint import v1_endpoint
from polygon_fundamentals.statements import Generation, Statement
from sandbox import Sandbox, server
from tests.builders.commands import call, where
from tests.conftest import KEY
from tests.lakes import stored_rows
from tests.servers import Answer, Asked, Script, results, serving

ROOT = Path(__file__).parents[2]
V1_END, V2_END = ("end_date", "fiscal_period"), ("period_end", "fiscal_quarter")


@pytest.fixture(autouse=True)
def _few_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYGON_RETRY_DEADLINE", "1")
    monkeypatch.setenv("POLYGON_PROCESSES", "1")


def new_market() -> Sandbox:
    """Return ten companies, the oddest of them in it, in the season of quarterly reports."""
    return Sandbox(companies=10, start=date(2024, 1, 1), today=date(2026, 8, 1), api_key=KEY)


@pytest.fixture
def market() -> Iterator[Sandbox]:
    with new_market() as server:
        yield server


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The market's history in a lake, loaded once: tests take copies."""
    lake = Lake(tmp_path_factory.mktemp("history") / "lake")
    with pytest.MonkeyPatch.context() as patch, new_market() as server:
        patch.setenv("POLYGON_API_KEY", KEY)
        patch.setenv("POLYGON_PROCESSES", "1")
        names = ",".join(server.tickers)
        words = ["historical-load", "--generation", "both", "--tickers", names]
        assert call(*words, *where(server.url, lake))[0] == 0
    return lake.root


@pytest.fixture
def lake(history: Path, tmp_path: Path) -> Lake:
    """A lake with the market's history, as it stood before anything happened."""
    return copied(history, tmp_path / "lake")


def copied(lake: Path, where: Path) -> Lake:
    return Lake(shutil.copytree(lake, where, symlinks=True))


def loaded(box: Sandbox, lake: Lake) -> None:
    words = ["historical-load", "--generation", "both", "--tickers", ",".join(box.tickers)]
    assert call(*words, *where(box.url, lake))[0] == 0


def daily(box: Sandbox, lake: Lake, *words: str) -> tuple[int, dict[str, Any]]:
    return call("daily-update", "--date", str(box.today), *words, *where(box.url, lake))


def current(lake: Lake, generation: Generation, statement: Statement) -> list[dict[str, Any]]:
    """Return the rows of a dataset in order, without the moment of observation."""
    end, label = V1_END if generation is Generation.V1 else V2_END
    table = read_dataset(lake.dataset(generation, statement)).drop_columns(["observed_at"])
    names = ("ticker", "cik", "timeframe", end, "fiscal_year", label)
    rows: list[dict[str, Any]] = table.sort_by([(n, "ascending") for n in names]).to_pylist()
    return rows


def assert_same_lakes(one: Lake, other: Lake) -> None:
    for generation in Generation:
        for statement in Statement:
            mine, theirs = (current(lake, generation, statement) for lake in (one, other))
            assert len(mine) == len(theirs) > 0
            assert mine == theirs, f"{generation} {statement}"


def days_and_one_load(box: Sandbox, step: Lake, whole: Lake, days: int) -> tuple[int, int]:
    """Run daily updates, a refresh and one load of all; return (rows new, rows changed)."""
    new = changed = 0
    for number in range(days):
        box.advance(1)
        if number == days // 2:
            box.plant("relabel", ticker=box.tickers[3], fiscal_year=2031, fiscal_quarter=3)
        code, result = daily(box, step)
        assert code == 0
        for generation in ("v1", "v2"):
            new += result[generation]["rows_new"]
            changed += result[generation]["rows_changed"]
    assert call("refresh", *where(box.url, step))[0] == 0
    loaded(box, whole)
    assert_same_lakes(step, whole)
    return new, changed


@pytest.mark.slow
def test_days_then_a_refresh_equal_one_load(market: Sandbox, lake: Lake, tmp_path: Path) -> None:
    new, changed = days_and_one_load(market, lake, Lake(tmp_path / "whole"), 3)
    assert new > 0
    assert changed > 0


def counted(lake: Lake) -> dict[tuple[str, str], int]:
    """Return the rows of v2 by statement and ticker."""
    return {
        (statement.value, ticker): len(rows)
        for statement in Statement
        for ticker, rows in stored_rows(lake, Generation.V2, statement).items()
    }


def halving(market: Sandbox) -> Script:
    """Return a script that answers as the market, without every second row."""

    def script(asked: Asked) -> Answer:
        headers = {"Authorization": f"Bearer {KEY}"}
        came = requests.get(market.url + asked.path, asked.query, headers=headers, timeout=60)
        body = came.json()
        return results(body["results"][::2], next_url=body.get("next_url"))

    return script


def test_a_refresh_from_a_server_that_drops_rows_empties_nothing(
    market: Sandbox, lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    before = counted(lake)
    with serving(halving(market)) as half:
        assert main(["refresh", *where(half.url, lake)]) == 1
    said = capsys.readouterr().err
    assert "were not in the answer, or only as of an earlier filing, and stay in the lake" in said
    assert "--accept-withdrawals` moves them" in said
    after = counted(lake)
    assert max(before[name] - after[name] for name in before) < FEWEST_WITHHELD
    report = ledger.read_entries(lake)[0][-1].content["generations"]["v2"]
    assert report["rows_withheld"] > 0
    assert report["ok"] is False


def lagging(market: Sandbox) -> Script:
    """Return a script that answers as the market, without what v2 added last."""
    newest = {row["period_end"] for row in market.rows("v2", "balance_sheets")}
    known = sorted(newest)[-2]

    def script(asked: Asked) -> Answer:
        headers = {"Authorization": f"Bearer {KEY}"}
        came = requests.get(market.url + asked.path, asked.query, headers=headers, timeout=60)
        body = came.json()
        rows = [row for row in body["results"] if row["period_end"] < known]
        return results(rows, next_url=body.get("next_url"))

    return script


@pytest.mark.slow
def test_what_a_lagging_index_lacks_stays_and_status_says_so_until_it_comes_back(
    market: Sandbox, lake: Lake
) -> None:
    before = counted(lake)
    with serving(lagging(market)) as behind:
        code, result = call("refresh", *where(behind.url, lake))
    assert code == 1
    assert result["v2"]["rows_withdrawn"] == 0
    assert counted(lake) == before
    names = result["v2"]["tickers_withheld"]
    shown = {row["name"]: row for row in call("status", "--lake", str(lake.root))[1]["rows"]}
    assert shown["refresh"]["ok"] is True
    assert shown["withheld rows"]["ok"] is False
    assert ",".join(names[:3]) in shown["withheld rows"]["detail"]
    assert call("refresh", *where(market.url, lake))[0] == 0
    shown = {row["name"]: row for row in call("status", "--lake", str(lake.root))[1]["rows"]}
    assert "withheld rows" not in shown


@pytest.mark.slow
def test_ten_days_of_sixty_companies_then_a_refresh_equal_one_load(tmp_path: Path) -> None:
    box = Sandbox(companies=60, start=date(2023, 1, 1), today=date(2026, 8, 1), api_key=KEY)
    step, whole = Lake(tmp_path / "step"), Lake(tmp_path / "whole")
    with box:
        loaded(box, step)
        new, changed = days_and_one_load(box, step, whole, 10)
    assert new > 100
    assert changed > 100


@pytest.mark.slow
def test_a_day_of_2000_companies_costs_a_dozen_requests_a_generation(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    box = Sandbox(companies=2000, start=date(2025, 1, 1), today=date(2026, 2, 23), api_key=KEY)
    with box:
        words = ["historical-load", "--tickers", ",".join(box.tickers[40:60])]
        assert call(*words, *where(box.url, lake))[0] == 0
        box.forget_requests()
        code, result = daily(box, lake)
        served = [request.path for request in box.requests]
    assert code == 0
    v1 = sum(path == "/vX/reference/financials" for path in served)
    assert 2 < v1 <= 12
    assert 3 <= len(served) - v1 <= 12
    record = ledger.read_entries(lake)[0][-1].content["generations"]
    assert record["v1"]["requests"] == result["v1"]["requests"] == v1
    assert record["v2"]["requests"] == result["v2"]["requests"] == len(served) - v1
    assert result["v1"]["rows_unfollowed"] > 250


def test_again_writes_nothing_and_a_missed_day_widens_the_window(
    market: Sandbox, lake: Lake
) -> None:
    market.advance(1)
    assert daily(market, lake)[0] == 0
    before = [states(lake.dataset(g, s)) for g in Generation for s in Statement]
    code, result = daily(market, lake)
    assert code == 0
    for generation in ("v1", "v2"):
        assert result[generation]["rows_new"] == result[generation]["rows_changed"] == 0
        assert result[generation]["files_written"] == result[generation]["bytes_written"] == 0
        assert result[generation]["window"] == {"from": "2026-07-26", "to": "2026-08-02"}
    assert before == [states(lake.dataset(g, s)) for g in Generation for s in Statement]
    assert result["notes"] == []
    market.advance(20)
    code, result = daily(market, lake)
    assert code == 0
    assert result["v2"]["window"] == {"from": "2026-07-27", "to": "2026-08-22"}
    assert result["notes"][0] == (
        "v1: the window was widened to 26 days, so that it goes back 7 days from the first day "
        "that no run has covered"
    )


def test_a_day_to_come_is_refused(market: Sandbox, tmp_path: Path) -> None:
    lake, tomorrow = Lake(tmp_path / "lake"), today_in_new_york() + timedelta(days=1)
    lake.prepare()
    code, result = call("daily-update", "--date", str(tomorrow), *where(market.url, lake))
    assert code == 2
    assert f"the last day {tomorrow} is in the future" in result["error"]
    assert ledger.read_entries(lake) == ([], [])


def test_a_new_label_makes_the_run_ask_for_the_period_again(market: Sandbox, lake: Lake) -> None:
    market.plant(
        "relabel",
        ticker=market.tickers[0],
        fiscal_year=2031,
        fiscal_quarter=3,
        period_end=max(
            row["period_end"]
            for row in market.rows("v2", "income_statements")
            if market.tickers[0] in row["tickers"] and row["timeframe"] == "quarterly"
        ),
    )
    code, result = daily(market, lake, "--generation", "v2", "--days-back", "150")
    assert code == 0
    assert result["v2"]["periods_asked_again"] == 1
    assert (result["v2"]["rows_new"], result["v2"]["rows_withdrawn"]) == (1, 1)


def test_v1_failing_for_a_day_does_not_spoil_v2(
    market: Sandbox,
    lake: Lake,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    market.advance(5)
    decide = server.decide

    def v1_down(box: Any, path: str, query: Any, headers: Any, fault: str) -> Any:
        down = path == "/vX/reference/financials"
        return decide(box, path, query, headers, "server_error" if down else fault)

    with monkeypatch.context() as patch:
        patch.setattr(server, "decide", v1_down)
        code, result = daily(market, lake)
    assert code == 3
    assert [unit["ticker"] for unit in result["v1"]["failed"]] == ["*", "*", "*"]
    assert result["v2"]["failed"] == []
    assert result["v2"]["rows_new"] > 0
    record = ledger.read_entries(lake)[0][-1]
    assert record.outcome == "failed"
    assert record.content["generations"]["v2"]["ok"] is True
    code, shown = call("status", *where(market.url, lake))
    assert code == 1
    assert any(w.startswith("v1 last run: ") and "answered 500" in w for w in shown["warnings"])
    market.advance(10)
    code, result = daily(market, lake)
    assert code == 0
    assert result["v1"]["rows_new"] > 0
    assert result["v2"]["window"]["from"] == "2026-07-31"


def test_what_was_stored_before_a_page_failed_is_counted(lake: Lake) -> None:
    day = today_in_new_york().isoformat()
    row = {"tickers": ["AA"], "period_end": day, "filing_date": day, "timeframe": "quarterly"}

    def script(asked: Asked) -> Answer:
        if "cursor" in asked.query:
            return Answer(400, b'{"error":"no such cursor"}')
        return results([row], next_url=f"{asked.path}?cursor=1")

    words = ["daily-update", "--generation", "v2", "--tickers", "AA", "--statement", "cash_flow"]
    with serving(script) as server:
        code, answer = call(*words, *where(server.url, lake))
    result = answer["v2"]
    assert code == 3
    assert [unit["ticker"] for unit in result["failed"]] == ["AA"]
    assert (result["requests"], result["rows_new"]) == (2, 1)


def test_v1_gone_for_good_is_no_failure(market: Sandbox, lake: Lake) -> None:
    market.advance(5)
    market.v1_retired, market.v1_sunset = True, date(2026, 7, 15)
    code, result = daily(market, lake)
    assert code == 0
    assert result["v1"]["frozen_since"] == "2026-07-15"
    assert result["v1"]["failed"] == []
    assert result["v2"]["rows_new"] > 0
    code, shown = call("status", *where(market.url, lake))
    assert (code, shown["warnings"]) == (0, [])
    frozen = {"state": "frozen", "since": "2026-07-15", "sunset": "2026-07-15", "retired": True}
    assert shown["v1"] == frozen | {"failing_since": None}
    code, result = daily(market, lake, "--generation", "v1")
    assert code == 3
    assert "retired since 2026-07-15" in result["v1"]["failed"][0]["reason"]
    assert {unit["error"] for unit in result["v1"]["failed"]} == {"RetiredError"}


@pytest.mark.slow
def test_an_archived_v1_is_left_out_and_never_loaded_beside_its_archive(
    market: Sandbox,
    lake: Lake,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert call("cutover", "--execute", "--force", "test", *where(market.url, lake))[0] == 0
    days = ["--deployments-days", "0", "--data-days", "0"]
    assert call("cleanup", "--execute", *days, *where(market.url, lake))[0] == 0
    held = {s: read_dataset(lake.dataset(Generation.V1, s)) for s in Statement}
    market.advance(5)
    code, result = daily(market, lake)
    assert code == 0
    assert (result["v1"]["ok"], result["v1"]["frozen_since"], result["v1"]["requests"]) == (
        None,
        None,
        0,
    )
    # What was not asked says nothing of v1's endpoint.
    assert not v1_endpoint(ledger.read_entries(lake)[0], datetime.now(UTC)).retired
    assert result["v2"]["rows_new"] > 0
    (note,) = result["notes"]
    assert note.startswith("v1 has been in the archive since 20")
    assert note.endswith("left out: `polygon-fundamentals restore --execute` brings it back")
    code, shown = call("status", *where(market.url, lake))
    assert (code, shown["warnings"], shown["v1"]["state"]) == (0, [], "archived")
    ticker = market.tickers[0]
    for words in (
        ["daily-update", "--generation", "v1"],
        ["historical-load", "--generation", "both", "--tickers", ticker],
        ["fundamentals", ticker, "--use-v1"],
        ["rollback", "--delayed", "--execute"],
    ):
        code, result = call(*words, *where(market.url, lake))
        assert (code, "restore --execute" in result["error"]) == (4, True), words
    monkeypatch.setattr(shards, "server_configured", lambda: True)
    here = {"lake": str(lake.root), "base_url": market.url, "return_state": True}
    refused = report_of(shards.sharded_load(generation="both", tickers=[ticker], **here))
    assert refused is not None
    assert (refused["exit_code"], "v1 is in the archive" in refused["message"]) == (4, True)
    # Refused before anything began: the last that was recorded is the update of both.
    assert ledger.read_entries(lake)[0][-1].content["flow"] == "daily-update"
    assert not (lake.bronze / "fundamentals_v1_archive").exists()
    for statement, table in held.items():
        assert read_dataset(lake.dataset(Generation.V1, statement)).equals(table)


def test_the_whole_market_in_twelve_months(market: Sandbox, tmp_path: Path) -> None:
    """A brownout on the way is made good, and reported."""
    empty = Lake(tmp_path / "market")
    empty.prepare()
    market.v1_sunset, market.v1_brownout = date(2099, 10, 9), 0.3
    words = ["--universe", "active", "--timeframe", "ttm", "--days-back", "40"]
    code, result = daily(market, empty, *words)
    assert code == 0
    assert result["tickers_followed"] > 8
    assert result["v2"]["rows_new"] > 0
    for generation in Generation:
        for statement in (Statement.CASH_FLOW, Statement.INCOME_STATEMENTS):
            rows = current(empty, generation, statement)
            spelled = {"ttm"} if generation is Generation.V1 else {"trailing_twelve_months"}
            assert {row["timeframe"] for row in rows} <= spelled
    assert current(empty, Generation.V2, Statement.BALANCE_SHEETS) == []
    code, shown = call("status", *where(market.url, empty))
    browning = result["v1"]["brownouts"] > 0
    assert shown["v1"]["state"] == ("browning out" if browning else "live")
    assert shown["v1"]["sunset"] == "2099-10-09"


@pytest.mark.slow
def test_two_updates_at_the_same_moment(market: Sandbox, lake: Lake, tmp_path: Path) -> None:
    alone = copied(lake.root, tmp_path / "alone")
    market.advance(7)
    words = ["daily-update", "--date", str(market.today), "--base-url", market.url]
    codes: list[int] = []

    def update() -> None:
        codes.append(main([*words, "--lake", str(lake.root)]))

    threads = [threading.Thread(target=update) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [0, 0]
    entries = [r for r in ledger.read_entries(lake)[0] if r.content["flow"] == "daily-update"]
    assert [record.outcome for record in entries] == ["succeeded", "succeeded"]
    assert daily(market, alone)[0] == 0
    assert_same_lakes(lake, alone)


# What the flow does, without a Prefect server of its own that a kill would leave behind.
UPDATE_ALONE = """
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from polygon_fundamentals import ledger
from polygon_fundamentals.lake import catalogue
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.load.window_v2 import update_v2, window_until
from polygon_fundamentals.load.window_v1 import update_v1
from polygon_fundamentals.load.loader import Loader
from polygon_fundamentals.load.writers import Inline
from polygon_fundamentals.statements import Statement, Timeframe
from polygon_fundamentals.http.client import Client
from polygon_fundamentals.settings import Settings

lake, day = Lake(Path(sys.argv[1])), date.fromisoformat(sys.argv[3])
frames = [Timeframe.QUARTERLY, Timeframe.ANNUAL]
client = Client(Settings(base_url=sys.argv[2]), "sandbox-key")
followed = catalogue.companies(lake)
window = window_until(day, 30, None)
with ledger.recorded(ledger.Run(lake, "daily-update", {"generation": "both"})):
    for statement in Statement:
        update_v2(Loader(client, lake), statement, window, frames, followed, False)
    update_v1(Loader(client, lake), list(Statement), window, frames, followed)
"""


@pytest.mark.slow
def test_a_run_killed_half_way_is_told_and_made_good(
    market: Sandbox, lake: Lake, tmp_path: Path
) -> None:
    alone = copied(lake.root, tmp_path / "alone")
    market.advance(9)
    market.forget_requests()
    market.latency = 0.5
    child = subprocess.Popen(
        [sys.executable, "-c", UPDATE_ALONE, str(lake.root), market.url, str(market.today)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    until = time.monotonic() + 120
    while market.request_count < 2 and child.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    child.kill()
    child.wait()
    market.latency = 0.0
    assert ledger.read_entries(lake)[0][-1].outcome == "running"
    code, shown = call("status", *where(market.url, lake))
    assert code == 1
    assert shown["runs"][0]["outcome"] == "crashed"
    assert any("the process died" in warning for warning in shown["warnings"])
    assert daily(market, lake)[0] == 0
    assert [r.outcome for r in ledger.read_entries(lake)[0]][-2:] == ["crashed", "succeeded"]
    assert daily(market, alone)[0] == 0
    assert_same_lakes(lake, alone)
