"""`silver`, `export` and `--original-dates` as a user runs them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from flows import rollback, shards
from flows.__main__ import main
from flows.commands.report_lines import export_lines
from flows.historical_load import historical_load
from flows.runs import report_of
from flows.shard_runs import Shard
from polygon_fundamentals import ledger, silver
from polygon_fundamentals.business_days import today_in_new_york
from polygon_fundamentals.field_map import Relation, v1_sources
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.statements import FILINGS_PATH, Generation, Statement
from sandbox import Sandbox, server
from tests.builders.commands import call, call_with_errors, where
from tests.conftest import KEY
from tests.unit.silver.feeding import put, v2_balance


@pytest.mark.slow
def test_load_build_look_back_and_export(sandbox: Sandbox, lake: Lake) -> None:
    where = ["--lake", str(lake.root)]
    load = ["historical-load", "--generation", "v2", "--tickers", "NAN", "--original-dates"]
    code, report = call(*load, "--base-url", sandbox.url, *where)
    assert code == 0
    dates = report["original_dates"]
    assert dates["companies"] == 1
    assert dates["index"] + dates["index_estimate"] + dates["unknown"] == dates["periods"] > 60
    assert dates["index"] > 0.9 * dates["periods"]
    # Readers still see v1, which holds nothing: an empty table is a table too.
    code, report = call("silver", *where)
    assert (code, report["generation"], report["rows"]) == (0, "v1", 0)
    lake.pointer.symlink_to("fundamentals_v2")
    code, report = call("silver", *where)
    assert (code, report["generation"]) == (0, "v2")
    table = pd.read_parquet(report["path"])
    assert len(table) == report["rows"] > 70
    assert table["first_filing_source"].isin(["index", "index_estimate", "v2"]).all()
    code, report = call("silver", "--as-of", "2020-06-30", *where)
    assert code == 0
    past = pd.read_parquet(report["path"])
    day = pd.Timestamp("2020-06-30").date()
    assert 0 < len(past) < len(table)
    assert (past["first_filing_date"] <= day).all()
    code, answer = call("export", "--shape", "v1", "--ticker", "NAN", *where)
    assert code == 0
    assert answer["count"] == len(table)
    assert answer["results"][0]["financials"]["balance_sheet"]["assets"]["unit"] == "USD"
    # A record without a period end is left out, and said to be: a note, and no failure.
    row = v2_balance("2024-05-10", 5.0, period_end="", tickers=["NAN"], cik=table["cik"].iloc[0])
    put(lake, Generation.V2, row, "2026-07-02T12:00")
    code, report = call("silver", *where)
    assert (code, report["rows"], report["files_written"]) == (0, len(table), 0)
    assert report["rows_without_period_end"] == 1
    assert report["tickers_without_period_end"] == ["NAN"]
    said = ledger.read_entries(lake)[0][-1].content["message"]
    assert said.endswith("; note: 1 record without a period end left out (NAN)")
    # A damaged file: named, exit code 4, and the table stays.
    folder = lake.dataset(Generation.V2, Statement.CASH_FLOW).folder
    path = next(folder.rglob("ticker=NAN.parquet"))
    path.write_bytes(b"PAR1")
    code, report, errors = call_with_errors("silver", *where)
    assert code == 4
    assert str(path) in report["error"]
    # No load of ours wrote it, which every command says first; then the error in one line.
    foreign, error = errors.strip().splitlines()
    assert foreign.startswith("warning: 1 file was written by something else")
    assert str(path) in error
    assert len(pd.read_parquet(lake.silver / "fundamentals_wide")) == len(table)
    # Every build can be found on the server, the one that failed too.
    builds = [r for r in ledger.read_entries(lake)[0] if r.content["flow"] == "silver"]
    assert [r.outcome for r in builds] == ["succeeded"] * 4 + ["failed"]
    assert all(r.content["flow_run_id"] for r in builds)


@pytest.mark.slow
def test_edgars_dates_stand_above_those_of_the_index(
    sandbox: Sandbox, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGAR_IDENTITY", "Jane Doe jane@example.com")
    monkeypatch.setenv("EDGAR_DATA_URL", sandbox.url)
    where = ["--lake", str(lake.root)]
    load = ["historical-load", "--generation", "v2", "--tickers", "NAN", "--original-dates"]
    lake.prepare()
    lake.pointer.symlink_to("fundamentals_v2")
    sources = []
    for words in ([], ["--witness", "edgar"]):
        code, _ = call(*load, *words, "--base-url", sandbox.url, *where)
        assert code == 0
        code, report = call("silver", *where)
        assert code == 0
        table = pd.read_parquet(report["path"])
        sources.append(set(table["first_filing_source"]))
    assert "edgar" not in sources[0]
    assert sources[1] == {"edgar"}
    first = {
        (cik, date(1970, 1, 1) + timedelta(days=end)): date(1970, 1, 1) + timedelta(days=day)
        for cik, days in sandbox.edgar.reports().items()
        for end, day in days
    }
    true = [first[key] for key in zip(table["cik"], table["period_end"], strict=True)]
    assert table["first_filing_date"].tolist() == true


def seen(lake: Lake, days: Iterable[date]) -> dict[date, pd.DataFrame]:
    """Return day → what the history that readers open says was known, by row."""
    history = silver.read_history(lake)
    assert history.schema == pq.read_schema(
        next(lake.silver.glob(f"{silver.HISTORY_TABLE}/*/*.parquet"))
    )
    key = ["ticker", "cik", "timeframe", "period_end"]
    return {day: silver.known_on(history, day).to_pandas().set_index(key) for day in days}


@pytest.mark.slow
def test_a_cutover_and_a_rollback_change_no_row_of_the_history_in_exact_fields(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollback, "today", lambda: date(2026, 7, 1))
    market = Sandbox(
        companies=4, quirks=False, start=date(2022, 1, 1), today=date(2026, 7, 1), api_key=KEY
    )
    with market as server:
        common = where(server.url, lake)
        names = ",".join(server.tickers)
        frames = ["--timeframe=quarterly", "--timeframe=annual", "--timeframe=ttm"]
        words = ["historical-load", "--generation", "both", "--tickers", names, *frames]
        assert call(*words, *common)[0] == 0
        assert call("silver", "--lake", str(lake.root))[0] == 0
        first = silver.read_history(lake)
        days = sorted({*first["known_from"].to_pylist(), date(2026, 6, 30)})
        assert len(days) > 40
        before = seen(lake, days)
        assert call("cutover", "--execute", "--force", "test", *common)[0] == 0
        after = seen(lake, days)
        origins = set(silver.read_history(lake)["generation"].to_pylist())
        # v2's filings are later repetitions: until then v1's records say what was known.
        assert origins == {"v1", "v2", "v2+v1"}
        assert call("rollback", "--execute", "--accept-stale", *common)[0] == 0
    assert silver.read_history(lake).equals(first)
    exact = [
        column
        for statement, field, column in silver.value_columns()
        if (sources := v1_sources(statement, field))
        and sources[0].relation in (Relation.EXACT, Relation.SIGN_FLIPPED)
    ]
    assert len(exact) > 20
    labels = ["fiscal_year", "fiscal_quarter", "fiscal_period", "first_filing_date"]
    for day in days:
        assert before[day].index.equals(after[day].index), day
        assert before[day][labels].equals(after[day][labels]), day
        v1, v2 = before[day][exact], after[day][exact]
        # v1 leaves a line out now and then; where both have it they agree.
        assert (v1.isna() | (v1 == v2)).all(axis=None), day
        assert v1.notna().sum().sum() > 0.9 * v2.notna().sum().sum(), day


@pytest.mark.slow
def test_shards_without_their_dates_fail_the_sharded_load(
    sandbox: Sandbox, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLYGON_RETRY_DEADLINE", "1")
    monkeypatch.setenv("POLYGON_PROCESSES", "1")
    decide, down = server.decide, set[str]()

    def index_down(box: Any, path: str, query: Any, headers: Any, fault: str) -> Any:
        return decide(box, path, query, headers, "server_error" if path in down else fault)

    def here(lake: Lake, shards: list[Shard], common: dict[str, Any]) -> None:
        """Run the shards in this process; the filings index is down from the second on."""
        for shard in shards:
            historical_load(**common, tickers_file=str(shard.file), return_state=True)
            shard.entry = ledger.read_entries(lake)[0][-1]
            down.add(FILINGS_PATH)

    monkeypatch.setattr(server, "decide", index_down)
    monkeypatch.setattr(shards, "carry_out", here)
    monkeypatch.setattr(shards, "server_configured", lambda: True)
    asked = {"generation": "v2", "tickers": ["NAN", sandbox.tickers[0]], "original_dates": True}
    state = shards.sharded_load(
        shards=2, **asked, lake=str(lake.root), base_url=sandbox.url, return_state=True
    )
    report = report_of(state)
    assert report is not None
    assert report["exit_code"] == 3
    assert not report["v2"]["failed"]
    assert [shard["ok"] for shard in report["shards"]] == [True, False]
    assert "original dates: " in report["shards"][1]["detail"]
    assert report["message"].endswith(f"original dates: {report['original_dates']['error']}")
    assert "answered 500" in report["original_dates"]["error"]
    assert report["original_dates"]["companies"] == 1
    assert report["original_dates"]["periods"] > 60
    outcomes = {r.content["flow"]: r.outcome for r in ledger.read_entries(lake)[0]}
    assert all(r.content["flow_run_id"] for r in ledger.read_entries(lake)[0])
    assert outcomes == {"sharded-load": "failed", "historical-load": "failed"}


def test_export_says_that_its_values_are_the_present_ones(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    put(lake, Generation.V2, v2_balance("2025-05-10", 5.0), "2026-07-02T12:00")
    assert main(["export", "--shape", "v1", "--ticker", "ABC", "--lake", str(lake.root)]) == 0
    assert "v2's values are the present ones" in capsys.readouterr().err
    assert any("the present ones" in line for line in export_lines({"message": "", "left_out": []}))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["silver", "--as-of", "yesterday"], "--as-of 'yesterday' is not a valid date"),
        (["silver", "--as-of", "2999-01-01"], "2999-01-01 is not over: today is "),
        (["silver", "--as-of", today_in_new_york().isoformat()], " is not over: today is "),
        (["export", "--shape", "v1"], "give --ticker TICKER to print records, or --output DIR"),
        (["silver", "--lake", "/nowhere/at/all"], "there is no lake at"),
    ],
)
def test_wrong_use(words: list[str], said: str, lake: Lake) -> None:
    where = [] if "--lake" in words else ["--lake", str(lake.root)]
    code, report, errors = call_with_errors(*words, *where)
    assert code == 2
    assert said in report["error"]
    assert len(errors.strip().splitlines()) == 1
    assert not (lake.silver / "as_of").exists()
