"""`historical-load` and `fundamentals` as a user runs them, against the sandbox."""

from __future__ import annotations

import json
import sqlite3
import time
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
)
from prefect.client.schemas.objects import TaskRun

from flows.__main__ import main
from polygon_fundamentals import ledger
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.storage import local
from polygon_fundamentals.ledger.v1_endpoint import V1Endpoint, v1_endpoint
from polygon_fundamentals.statements import Generation, Statement
from sandbox import Sandbox
from tests.builders.commands import call, call_with_errors, where
from tests.conftest import KEY
from tests.lakes import stored_rows
from tests.servers import Answer, Asked, results, serving

COUNTS = {
    "units",
    "failed",
    "requests",
    "retries",
    "rows_received",
    "rows_new",
    "rows_changed",
    "rows_unchanged",
    "seconds",
    "bytes_written",
}


def test_history_of_both_generations_and_again(sandbox: Sandbox, lake: Lake) -> None:
    names = ",".join(["SBX.A", "NAN", sandbox.tickers[0]])
    words = [
        "historical-load",
        "--generation",
        "both",
        "--tickers",
        names,
        "--from",
        "2024-01-01",
        *where(sandbox.url, lake),
    ]
    code, report = call(*words)
    assert code == 0
    for name in ("v1", "v2"):
        assert report[name].keys() >= COUNTS
        assert report[name]["units"] == 9
        assert report[name]["failed"] == []
        assert report[name]["rows_new"] == report[name]["rows_received"] > 40
    assert report["v1"]["requests"] == 9  # of each ticker, one for what has no filing date
    assert report["v2"]["requests"] == 4
    code, report = call(*words)
    assert code == 0
    assert [report[n]["rows_new"] + report[n]["rows_changed"] for n in ("v1", "v2")] == [0, 0]
    assert [report[n]["bytes_written"] for n in ("v1", "v2")] == [0, 0]
    runs, damaged = ledger.read_entries(lake)
    assert [r.outcome for r in runs] == ["succeeded", "succeeded"]
    assert damaged == []
    assert runs[0].content["generations"]["v2"]["requests"] == 4
    assert runs[0].content["flow_run_id"]


def test_fundamentals_loads_the_primary_generation_with_filters(
    sandbox: Sandbox, lake: Lake
) -> None:
    ticker = sandbox.tickers[0]
    base = ["fundamentals", ticker, *where(sandbox.url, lake)]
    (lake.bronze / "fundamentals").mkdir(parents=True)  # readers see v1
    code, report = call(*base, "--fiscal-year", "2023")
    assert code == 0
    assert set(report) & {"v1", "v2"} == {"v1"}
    years = {
        row["fiscal_year"] for row in stored_rows(lake, Generation.V1, Statement.CASH_FLOW)[ticker]
    }
    assert years == {"2023"}
    code, report = call(
        *base,
        "--use-v2",
        "--fiscal-year",
        "2023",
        "--fiscal-quarter",
        "2",
        "--timeframe",
        "quarterly",
    )
    assert code == 0
    assert report["v2"]["rows_new"] == 3
    code, report = call(
        *base,
        "--use-v2",
        "--statement",
        "cash_flow",
        "--filing-date-gte",
        "2025-01-01",
        "--filing-date-lt",
        "2026-01-01",
    )
    filed = {
        row["filing_date"].year
        for row in stored_rows(lake, Generation.V2, Statement.CASH_FLOW)[ticker]
    }
    assert report["v2"]["rows_new"] >= 3
    assert 2025 in filed


def test_a_company_can_be_loaded_by_cik(sandbox: Sandbox, lake: Lake) -> None:
    cik = next(r["cik"] for r in sandbox.rows("v2", "cash_flow") if "SPQ" in r.get("tickers", ()))
    code, _ = call(
        "fundamentals",
        "--cik",
        cik.lstrip("0"),
        "--use-v2",
        "--filing-date-gte",
        "2026-01-01",
        *where(sandbox.url, lake),
    )
    assert code == 0
    assert "SPQ" in stored_rows(lake, Generation.V2, Statement.CASH_FLOW)


REFUSALS = [
    (401, {"status": "ERROR", "error": "Unknown API Key"}, {}, "check POLYGON_API_KEY"),
    (403, {"status": "NOT_AUTHORIZED", "message": "upgrade"}, {}, "plan does not include"),
]


@pytest.mark.parametrize(("status", "body", "headers", "words"), REFUSALS)
def test_what_the_api_refuses_is_told_in_one_line(
    lake: Lake,
    status: int,
    body: dict[str, str],
    headers: dict[str, str],
    words: str,
) -> None:
    with serving(lambda _: Answer(status, json.dumps(body).encode(), headers)) as server:
        code, report, error = call_with_errors(
            "historical-load", "--tickers", "AAA,BBB", *where(server.url, lake)
        )
    assert code == 3
    assert len(report["v1"]["failed"]) == 6
    assert {unit["ticker"] for unit in report["v2"]["failed"]} == {"AAA", "BBB"}
    assert words in report["v1"]["failed"][0]["reason"]
    assert error == ""
    assert not list((lake.bronze).rglob("*.parquet"))
    assert ledger.read_entries(lake)[0][0].outcome == "failed"


def test_one_bad_ticker_costs_itself_only(sandbox: Sandbox, lake: Lake) -> None:
    import requests

    bad = sandbox.tickers[1]

    def script(asked: Asked) -> Answer:
        if asked.query.get("ticker") == bad:
            return Answer(400, b'{"status":"ERROR","error":"no"}')
        reply = requests.get(
            sandbox.url + asked.path,
            params=asked.query,
            headers={"Authorization": f"Bearer {KEY}"},
            timeout=30,
        )
        return Answer(reply.status_code, reply.content)

    names = f"{sandbox.tickers[0]},{bad}"
    with serving(script) as server:
        code, report = call(
            "historical-load",
            "--generation",
            "v1",
            "--tickers",
            names,
            "--from",
            "2026-01-01",
            *where(server.url, lake),
        )
    assert code == 3
    assert report["v1"]["units"] == 6
    assert [(u["ticker"], u["statement"]) for u in report["v1"]["failed"]] == [
        (bad, "balance_sheets"),
        (bad, "cash_flow"),
        (bad, "income_statements"),
    ]
    assert report["v1"]["rows_new"] > 0


def test_a_ticker_nobody_knows_gives_a_warning(
    sandbox: Sandbox, lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    code = main(["fundamentals", "ZZZZ", "--use-v2", *where(sandbox.url, lake)])
    captured = capsys.readouterr()
    assert code == 0
    assert captured.err.startswith("warning: v2: no rows for ZZZZ")
    assert "the company is delisted (v2 has listed companies only)" in captured.err
    assert captured.err.count("\n") == 1


def test_a_load_of_unknown_tickers_alone_fails(
    sandbox: Sandbox, lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["historical-load", "--generation", "v2", *where(sandbox.url, lake)]
    code, report = call(*words, "--tickers", "ZZZZ,YYYY")
    assert (code, report["tickers_unknown"]) == (3, ["YYYY", "ZZZZ"])
    capsys.readouterr()
    assert main([*words, "--tickers", "ZZZZ", "--from", "2024-01-01"]) == 0
    assert "warning: v2: no rows for ZZZZ" in capsys.readouterr().err
    assert main([*words, "--tickers", "ZZZZ"]) == 3
    error = capsys.readouterr().err
    assert error.startswith("error: the API has no row of ZZZZ, in all of its history: check how")
    assert error.count("\n") == 1


def test_without_names_a_load_is_of_the_tickers_of_the_lake(sandbox: Sandbox, lake: Lake) -> None:
    words = ["historical-load", *where(sandbox.url, lake)]
    assert call(*words, "--generation", "v1", "--tickers", sandbox.tickers[0])[0] == 0
    code, report = call(*words, "--generation", "v2")
    assert (code, report["v2"]["units"]) == (0, 3)
    assert set(stored_rows(lake, Generation.V2, Statement.CASH_FLOW)) == {sandbox.tickers[0]}


def test_a_row_that_names_nobody_is_the_tickers_that_was_asked_for(lake: Lake) -> None:
    row = {"cik": "0000320193", "period_end": "2024-03-31", "timeframe": "quarterly"}
    words = ["historical-load", "--generation", "v2", "--tickers", "AAPL"]
    with serving(lambda _: results([row])) as server:
        code, report = call(*words, *where(server.url, lake))
    assert (code, report["v2"]["rows_new"], report["v2"]["tickers_without_rows"]) == (0, 3, [])
    stored = stored_rows(lake, Generation.V2, Statement.CASH_FLOW)["AAPL"]
    assert [one["cik"] for one in stored] == ["0000320193"]


def test_rows_that_nothing_names_are_told(
    lake: Lake, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLYGON_PROCESSES", "2")  # writer processes get small batches

    def script(asked: Asked) -> Answer:
        alone = "tickers" in asked.query
        return results([] if alone else [{"period_end": "2024-03-31", "timeframe": "quarterly"}])

    names = ",".join(f"T{number:03}" for number in range(101))  # two batches
    words = ["historical-load", "--generation", "v2", "--tickers", names]
    with serving(script) as server:
        capsys.readouterr()
        code = main([*words, *where(server.url, lake)])
    assert code == 0
    assert "and 96 more: 6 rows name none of the tickers or companies" in capsys.readouterr().err


def test_a_run_that_was_cut_off_goes_on_where_it_stopped(sandbox: Sandbox, lake: Lake) -> None:
    first, second = sandbox.tickers[:2]
    words = [
        "historical-load",
        "--generation",
        "v1",
        "--tickers",
        f"{first},{second}",
        "--from",
        "2026-01-01",
        *where(sandbox.url, lake),
    ]
    assert call(*words)[0] == 0
    record = ledger.read_entries(lake)[0][0]
    entry = {**record.content, "outcome": "running", "pid": 2**22 + 1}
    record.path.write_text(json.dumps(entry))
    record.done_file.write_text(
        "".join(f'["v1","{first}","{s.value}"]\n' for s in Statement) + '["v1","cut'
    )
    with serving(lambda _: results([])) as other:
        _, report = call(*words[:-4], *where(other.url, lake))
    assert report["v1"]["units_resumed"] == 0
    sandbox.forget_requests()
    code, report = call(*words)
    assert code == 0
    assert report["v1"]["units"] == 6
    assert report["v1"]["units_resumed"] == 3
    assert {r.query.get("ticker") for r in sandbox.requests} == {second}
    assert [r.outcome for r in ledger.read_entries(lake)[0]] == [
        "crashed",
        "succeeded",  # at the other server
        "succeeded",
    ]
    assert ledger.read_entries(lake)[0][-1].content["parameters"]["base_url"] == sandbox.url
    sandbox.forget_requests()
    call(*words)
    assert {r.query.get("ticker") for r in sandbox.requests} == {first, second}


def test_a_lake_in_a_switch_is_waited_for_and_then_refused(
    sandbox: Sandbox,
    lake: Lake,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from flows import runs
    from polygon_fundamentals.locks import exclusive

    monkeypatch.setattr(runs, "LOCK_SECONDS", 0.1)
    with exclusive(lake.lock("writers")):
        code, report, error = call_with_errors("fundamentals", "AAA", *where(sandbox.url, lake))
    assert code == 4
    assert "held by another run" in report["error"]
    assert error.startswith("error: ")


def test_a_full_disk_ends_with_the_lakes_code(
    sandbox: Sandbox,
    lake: Lake,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import errno

    write_bytes = local.write_bytes

    def full(path: Path | str, data: bytes) -> None:
        if Path(path).is_relative_to(lake.bronze):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write_bytes(path, data)  # the last block was enough for the journal

    monkeypatch.setattr(local, "write_bytes", full)
    code, report = call(
        "fundamentals",
        sandbox.tickers[0],
        "--use-v1",
        "--filing-date-gte",
        "2026-01-01",
        *where(sandbox.url, lake),
    )
    assert code == 4
    assert "No space left on device" in report["v1"]["failed"][0]["reason"]
    assert not list(lake.bronze.rglob("*.parquet"))


def test_certificates_that_are_not_there_are_no_fault_of_the_lake(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/file.pem")
    words = ["historical-load", "--tickers", "AAA", *where("https://127.0.0.1:9", lake)]
    code, report = call(*words)
    assert code == 2
    for name in ("v1", "v2"):
        reasons = [unit["reason"] for unit in report[name]["failed"]]
        assert ["REQUESTS_CA_BUNDLE" in reason for reason in reasons] == [True] * 3


@pytest.mark.parametrize(
    ("held", "key"), [("sk-1\n", "sk-1"), (" sk-1", "sk-1"), ("sk\n1", None), ("", None)]
)
def test_the_key_of_a_secret_block_is_looked_at_as_one_of_the_environment(
    held: str, key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.blocks.system import Secret

    from tasks import context

    monkeypatch.delenv("POLYGON_API_KEY")
    monkeypatch.setattr(context, "server_configured", lambda: True)
    monkeypatch.setattr(context.Secret, "load", lambda _: Secret(value=held))
    if key is not None:
        assert context.find_key() == key
        return
    with pytest.raises(UsageError, match=r"^the Secret block '[a-z-]+' is empty or holds"):
        context.find_key()


def test_the_key_is_nowhere_but_in_the_header(
    lake: Lake, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "sk-7Qx-unmistakable-3141592653"
    monkeypatch.setenv("POLYGON_API_KEY", secret)
    monkeypatch.setenv("POLYGON_RETRY_DEADLINE", "1")
    with Sandbox(companies=3, seed=3, api_key=secret, today=date(2026, 7, 1)) as server:
        main(
            [
                "historical-load",
                "--tickers",
                ",".join(server.tickers[:2]),
                "--from",
                "2026-01-01",
                "--verbose",
                *where(server.url, lake),
            ]
        )
        assert all(secret not in str(r.query) for r in server.requests)
        url = server.url
    main(["fundamentals", "AAA", *where(url, lake)])
    out, err = capfd.readouterr()
    assert secret not in out + err
    for path in lake.root.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path
    from prefect.settings import get_current_settings

    database = get_current_settings().server.database.connection_url
    assert database is not None
    path = Path(database.get_secret_value().split("///")[1])
    assert path.exists()
    connection = sqlite3.connect(path)
    assert secret not in "\n".join(connection.iterdump())
    connection.close()


@pytest.mark.parametrize(
    ("answer", "error", "state"),
    [
        (Answer(500, b'{"error":"retired"}'), "RetriableApiError", "unknown"),
        (
            Answer(410, b"", {"Sunset": "Fri, 09 Oct 2099 00:00:00 GMT"}),
            "BrownoutError",
            "browning out",
        ),
    ],
)
def test_a_company_whose_number_holds_410_does_not_retire_v1(
    lake: Lake,
    monkeypatch: pytest.MonkeyPatch,
    answer: Answer,
    error: str,
    state: str,
) -> None:
    monkeypatch.setenv("POLYGON_RETRY_ATTEMPTS", "1")
    words = ["fundamentals", "AAA", "--cik", "0000410123", "--use-v1"]
    with serving(lambda _: answer) as server:
        code, report = call(*words, *where(server.url, lake))
    assert code == 3
    assert {unit["error"] for unit in report["v1"]["failed"]} == {error}
    assert "cik=0000410123" in report["v1"]["failed"][0]["reason"]
    (stored,) = ledger.read_entries(lake)[0]
    assert stored.content["generations"]["v1"]["failed"] == report["v1"]["failed"]
    before_the_sunset = datetime(2026, 10, 8, tzinfo=UTC)
    assert v1_endpoint([stored], before_the_sunset) == V1Endpoint(state)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("companies", "tasks"),
    [(21, 9), (20, 60), (50, 9)],
)
def test_requests_do_not_depend_on_the_task_runs_that_are_shown(
    sandbox: Sandbox, lake: Lake, companies: int, tasks: int
) -> None:
    """Up to sixty units each is a task run of its own, beyond that each of two or more batches is.

    GONE has no CIK, and makes a batch of its own for each statement.
    """
    names = ",".join(sandbox.tickers[:companies])
    code, report = call(
        "historical-load", "--generation", "v2", "--tickers", names, *where(sandbox.url, lake)
    )
    assert (code, report["v2"]["units"]) == (0, 3 * companies)
    assert report["v2"]["requests"] <= 12 + report["v2"]["rows_received"] / 50_000
    flow_run_id = ledger.read_entries(lake)[0][-1].flow_run_id
    assert flow_run_id is not None
    this_run = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(flow_run_id)]))
    until = time.monotonic() + 30
    stored: list[TaskRun] = []
    with get_client(sync_client=True) as client:
        while len(stored) < tasks and time.monotonic() < until:
            # The server records task runs from their events, some time after the run has ended.
            runs = client.read_task_runs(flow_run_filter=this_run)
            stored = [run for run in runs if run.task_key.startswith(("store_v2", "load_v2"))]
            time.sleep(0.2)
    assert len(stored) == tasks
