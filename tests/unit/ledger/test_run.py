"""The ledger: crashes, damaged files, two runs at once, and what was covered last."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from polygon_fundamentals import ledger
from polygon_fundamentals.business_days import day_of
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.storage import local
from polygon_fundamentals.ledger.coverage import last_covered
from polygon_fundamentals.ledger.entry import is_dead
from polygon_fundamentals.statements import Generation
from tests.builders.ledger import SCOPE, entry


def outcomes(lake: Lake) -> dict[str, str]:
    return {str(r.content["run"]): r.outcome for r in ledger.read_entries(lake)[0]}


def recently() -> str:
    return datetime.now(UTC).isoformat()


@pytest.mark.parametrize(
    ("changes", "dead"),
    [
        ({}, False),
        ({"pid": 2**22 - 1}, True),
        ({"process_started": f"{local.boot_id()}:1"}, True),
        # Another host of the same name, or this one before it was started again.
        ({"pid": 2**22 - 1, "process_started": "another-boot:1"}, False),
        ({"process_started": None}, False),
        ({"host": "elsewhere"}, False),
        # A container of the same host name: its processes cannot be seen from here.
        ({"pid": 2**22 - 1, "process_namespace": "pid:[1]"}, False),
        ({"outcome": "succeeded", "pid": 2**22 - 1}, False),
    ],
)
def test_which_runs_are_dead(lake: Lake, changes: dict[str, Any], dead: bool) -> None:
    entry(lake, "one", started=recently(), **changes)
    closed = ledger.close_crashed(lake)
    assert [record.content["run"] for record in closed] == (["one"] if dead else [])
    assert outcomes(lake)["one"] == ("crashed" if dead else changes.get("outcome", "running"))


def test_a_run_that_ends_while_it_is_looked_at_keeps_its_outcome(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry(lake, "one", started=recently(), pid=2**22 - 1)

    def ended_meanwhile(seen: ledger.RunEntry) -> bool:
        seen.path.write_bytes(orjson.dumps({**seen.content, "outcome": "succeeded"}))
        return is_dead(seen)

    monkeypatch.setattr("polygon_fundamentals.ledger.run.is_dead", ended_meanwhile)
    assert ledger.close_crashed(lake) == []
    assert outcomes(lake) == {"one": "succeeded"}


_ELSEWHERE = """
import sys, time
from pathlib import Path
from polygon_fundamentals import ledger
from polygon_fundamentals.lake import Lake
with ledger.recorded(ledger.Run(Lake(Path(sys.argv[1])), "daily-update", {})):
    print("running", flush=True)
    time.sleep(60)
"""
_CONTAINER = ["unshare", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]


def _containers() -> bool:
    with suppress(FileNotFoundError):
        return subprocess.run([*_CONTAINER, "true"], check=False).returncode == 0
    return False


@pytest.mark.skipif(not _containers(), reason="unshare cannot make a PID namespace here")
def test_a_run_in_a_container_of_the_same_host_name_lives_until_it_is_silent(lake: Lake) -> None:
    """Its process number means another process here, or none."""
    words = [*_CONTAINER, sys.executable, "-c", _ELSEWHERE, str(lake.root)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as container:
        try:
            assert container.stdout
            assert container.stdout.readline() == "running\n"
            assert ledger.close_crashed(lake) == []
            assert list(outcomes(lake).values()) == ["running"]
        finally:
            container.kill()
    (path,) = [entry.path for entry in ledger.read_entries(lake)[0]]
    assert ledger.close_crashed(lake) == []  # it may be alive, for all that is known yet
    old = time.time() - 400
    os.utime(path, (old, old))
    assert len(ledger.close_crashed(lake)) == 1


@pytest.mark.parametrize("changes", [{"host": "elsewhere"}, {"process_started": "another-boot:1"}])
def test_a_silent_run_of_another_host_is_dead(lake: Lake, changes: dict[str, Any]) -> None:
    entry(lake, "far", started=recently(), **changes)
    path = ledger.read_entries(lake)[0][0].path
    old = time.time() - 400
    os.utime(path, (old, old))
    assert [r.content["run"] for r in ledger.close_crashed(lake)] == ["far"]
    host = changes.get("host", socket.gethostname())
    assert f"the process died on {host}" in ledger.read_entries(lake)[0][0].content["message"]


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"outcome": "x"}', b"\xff\xfe"])
def test_a_damaged_file_is_named_and_skipped(lake: Lake, text: bytes) -> None:
    entry(lake, "good")
    path = ledger.runs_folder(lake) / "20260702T000000000000Z-daily-update-bad.json"
    path.write_bytes(text)
    found, damaged = ledger.read_entries(lake)
    assert [record.content["run"] for record in found] == ["good"]
    assert damaged == [path]


def fail(run: ledger.Run) -> None:
    with ledger.recorded(run):
        assert set(outcomes(run.lake).values()) == {"running"}
        raise ValueError("broken")


def test_two_runs_at_once_and_one_that_raises(lake: Lake) -> None:
    one, two = (ledger.Run(lake, "daily-update", SCOPE) for _ in range(2))
    with ledger.recorded(one):
        with pytest.raises(ValueError, match="broken"):
            fail(two)
        one.report["ok"] = True
    assert outcomes(lake) == {one.id: "succeeded", two.id: "failed"}


@pytest.mark.parametrize("moment", ["after 1", "before 2"])
def test_a_run_that_is_interrupted_while_its_entry_is_written_is_not_left_running(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Its process may live on, as that of a test does: nothing would ever close the entry."""
    reached = list[str]()

    def at(name: str) -> None:
        reached.append(name)
        if name == moment:
            raise KeyboardInterrupt

    def replacing(path: Path, data: bytes) -> None:
        number = sum(name.startswith("before") for name in reached) + 1
        at(f"before {number}")
        local.replace_file(path, data)
        at(f"after {number}")

    monkeypatch.setattr("polygon_fundamentals.ledger.run.replace_file", replacing)
    run = ledger.Run(lake, "parity", {})
    with pytest.raises(KeyboardInterrupt), ledger.recorded(run):
        pass
    assert outcomes(lake) == {run.id: "interrupted"}


def test_an_error_of_the_file_system_does_not_end_the_heartbeat(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise another host closes the run as crashed five minutes later, while it writes."""
    beats = list[str]()
    again = threading.Event()

    def touch(path: Path) -> None:
        beats.append(path.name)
        if len(beats) == 1:
            raise OSError(errno.ESTALE, "Stale file handle")
        again.set()

    monkeypatch.setattr(os, "utime", touch)
    monkeypatch.setattr("polygon_fundamentals.ledger.run.HEARTBEAT_SECONDS", 0.01)
    run = ledger.Run(lake, "parity", {})
    with ledger.recorded(run):
        assert again.wait(10)
    assert set(beats) == {run.path.name}


def test_a_year_is_read_quickly(lake: Lake) -> None:
    for number in range(2000):
        entry(
            lake, f"r{number}", started=f"2026-01-01T00:{number // 60:02d}:{number % 60:02d}+00:00"
        )
    began = time.process_time()
    assert len(ledger.read_entries(lake)[0]) == 2000
    assert time.process_time() - began < 2


def covered(lake: Lake, **scope: Any) -> date | None:
    return last_covered(ledger.read_entries(lake)[0], Generation.V2, SCOPE | scope)


def test_what_was_covered_last(lake: Lake) -> None:
    def told(day: str, ok: bool | None) -> dict[str, Any]:
        return {"v2": {"ok": ok, "window": {"from": "2026-06-01", "to": day}}}

    assert covered(lake) is None
    parameters = {"generation": "both", "filing_date_lt": None}
    history = {"flow": "historical-load", "parameters": parameters, "outcome": "succeeded"}
    entry(lake, "load", started="2026-06-20T20:00:00+00:00", generations={"v2": {}}, **history)
    assert covered(lake) == date(2026, 6, 20)
    entry(lake, "good", outcome="failed", generations=told("2026-07-01", True))
    assert covered(lake) == date(2026, 7, 1)
    entry(lake, "bad", outcome="failed", generations=told("2026-07-02", False))
    entry(lake, "frozen", outcome="succeeded", generations=told("2026-07-03", None))
    entry(
        lake,
        "named",
        outcome="succeeded",
        parameters=SCOPE | {"tickers": ["AAPL"]},
        generations=told("2026-07-04", True),
    )
    assert covered(lake) == date(2026, 7, 1)
    assert covered(lake, statements=["cash_flow", "balance_sheets"]) == date(2026, 6, 20)


def test_an_update_that_was_given_nothing_covers_no_day(lake: Lake) -> None:
    """An outage that answers 200 with no row looks like a quiet week."""
    for day, rows in (("2026-08-04", 3), ("2026-08-05", 0)):
        report = {"ok": True, "rows_received": rows, "window": {"from": day, "to": day}}
        entry(
            lake,
            day,
            started=f"{day}T20:00:00+00:00",
            outcome="succeeded",
            generations={"v2": report},
        )
    assert covered(lake) == date(2026, 8, 4)


def test_rows_of_companies_that_the_lake_does_not_follow_are_an_answer(lake: Lake) -> None:
    """A small lake's own companies file nothing on most days, while the market does."""
    for day, rows, unfollowed in (("2026-08-04", 3, 200), ("2026-08-05", 0, 250)):
        report = {
            "ok": True,
            "rows_received": rows,
            "rows_unfollowed": unfollowed,
            "window": {"from": day, "to": day},
        }
        started = f"{day}T20:00:00+00:00"
        entry(lake, day, started=started, outcome="succeeded", generations={"v2": report})
    assert covered(lake) == date(2026, 8, 5)


@pytest.mark.parametrize(
    ("asked", "scope", "day"),
    [
        (["AAPL", "MSFT", "KO"], ["KO", "AAPL", "MSFT"], date(2026, 7, 1)),
        (["AAPL", "MSFT", "KO"], ["KO", "AAPL"], date(2026, 7, 1)),
        (["AAPL", "MSFT"], ["KO", "AAPL", "MSFT"], None),
        # Without names it is about the lake's tickers, which are not known here.
        (["AAPL", "MSFT"], [], None),
        ([], ["AAPL"], None),
    ],
)
def test_an_update_covers_its_tickers_in_any_order(
    lake: Lake, asked: list[str], scope: list[str], day: date | None
) -> None:
    report = {"ok": True, "rows_received": 3, "window": {"from": "2026-06-24", "to": "2026-07-01"}}
    parameters = SCOPE | {"tickers": asked}
    entry(lake, "r", outcome="succeeded", parameters=parameters, generations={"v2": report})
    assert covered(lake, tickers=scope) == day


def test_an_update_that_was_given_none_of_a_statement_covers_no_day(lake: Lake) -> None:
    for day, without in (("2026-08-04", []), ("2026-08-05", ["cash_flow"])):
        window = {"from": day, "to": day}
        report = {
            "ok": True,
            "rows_received": 3,
            "window": window,
            "statements_without_rows": without,
        }
        started = f"{day}T20:00:00+00:00"
        entry(lake, day, started=started, outcome="succeeded", generations={"v2": report})
    assert covered(lake) == date(2026, 8, 4)


def test_what_another_server_gave_hides_no_missed_days(lake: Lake) -> None:
    real, sandbox = "https://api.massive.com", "http://127.0.0.1:8080"

    def update(name: str, day: str, **more: Any) -> None:
        told = {"v2": {"ok": True, "window": {"from": "2026-01-01", "to": day}}}
        started = f"{day}T20:00:00+00:00"
        parameters = SCOPE | more
        entry(lake, name, started=started, parameters=parameters, generations=told, outcome="x")

    update("one", "2026-05-01", base_url=real)
    update("two", "2026-06-30", base_url=sandbox)
    assert covered(lake, base_url=real) == date(2026, 5, 1)
    assert covered(lake, base_url=sandbox) == date(2026, 6, 30)
    assert covered(lake, base_url="https://new.example") == date(2026, 6, 30), "the API moved"
    update("older than the parameter", "2026-05-20")
    assert covered(lake, base_url=real) == date(2026, 5, 20)


def test_a_load_at_a_new_address_hides_no_missed_days(lake: Lake) -> None:
    old, new = "https://api.polygon.io", "https://api.massive.com"
    told = {"v2": {"ok": True, "window": {"from": "2026-01-01", "to": "2026-04-01"}}}
    started = "2026-04-01T20:00:00+00:00"
    parameters = SCOPE | {"base_url": old}
    entry(lake, "update", started=started, parameters=parameters, generations=told, outcome="x")

    def load(name: str, day: str) -> None:
        parameters = {"generation": "v2", "filing_date_lt": None, "base_url": new}
        started = f"{day}T20:00:00+00:00"
        entry(lake, name, flow="historical-load", started=started, parameters=parameters,
              generations={"v2": {}}, outcome="succeeded")  # fmt: skip

    load("one ticker", "2026-07-01")
    assert covered(lake, base_url=new) == date(2026, 4, 1), "the others are as they were"
    load("before the update elsewhere", "2026-03-01")
    assert covered(lake, base_url=new) == date(2026, 3, 1)


def test_a_run_is_resumed_at_its_own_server_only(lake: Lake) -> None:
    at = SCOPE | {"base_url": "http://127.0.0.1:8080"}
    run = ledger.Run(lake, "historical-load", at)
    run.write(ledger.CRASHED)
    run.done([("v2", "AAPL", "cash_flow")])
    done = {("v2", "AAPL", "cash_flow")}
    assert ledger.resumable(lake, "historical-load", at) == (run.id, done)
    other = at | {"base_url": "https://api.massive.com"}
    assert ledger.resumable(lake, "historical-load", other) == (None, set())
    older = ledger.Run(lake, "historical-load", SCOPE)
    older.write(ledger.CRASHED)
    older.done([("v2", "AAPL", "cash_flow")])
    assert ledger.resumable(lake, "historical-load", other) == (None, set())


@pytest.mark.parametrize(("hours", "resumed"), [(1, "long"), (25, None)])
def test_a_run_of_days_is_resumed_within_a_day_of_its_end(
    lake: Lake, hours: int, resumed: str | None
) -> None:
    now = datetime.now(UTC)
    times = {"started": now - timedelta(days=3), "ended": now - timedelta(hours=hours)}
    moments = {name: moment.isoformat() for name, moment in times.items()}
    entry(lake, "long", flow="historical-load", outcome="crashed", **moments)
    (long,) = ledger.read_entries(lake)[0]
    long.done_file.write_bytes(orjson.dumps(["v2", "AAPL", "cash_flow"]) + b"\n")
    assert ledger.resumable(lake, "historical-load", SCOPE)[0] == resumed


def test_a_run_covers_no_day_after_its_start(lake: Lake) -> None:
    told = {"v2": {"ok": True, "window": {"from": "2026-06-24", "to": "2027-07-01"}}}
    # Still 1 July in New York.
    entry(lake, "typo", started="2026-07-02T03:00:00+00:00", outcome="succeeded", generations=told)
    assert covered(lake) == date(2026, 7, 1)


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({"outcome": "failed", "generations": {"v2": {}}}, True),
        ({"outcome": "failed", "generations": {"v1": {}}}, False),
        ({"outcome": "crashed"}, True),
        ({"outcome": "interrupted"}, True),
        ({"outcome": "running"}, True),
        ({"outcome": "failed"}, False),  # refused before its first request
    ],
)
def test_a_load_that_may_have_stored_anything_counts(
    lake: Lake, changes: dict[str, Any], counts: bool
) -> None:
    parameters = {"generation": "both", "filing_date_lt": None}
    load = {"flow": "historical-load", "parameters": parameters}
    entry(lake, "first", started="2026-06-01T20:00:00+00:00", **load, **changes)
    again = {"outcome": "succeeded", "resumes": "first", "generations": {"v2": {}}}
    entry(lake, "again", started="2026-06-20T20:00:00+00:00", **load, **again)
    assert covered(lake) == date(2026, 6, 1 if counts else 20)
    told = {"v2": {"ok": True, "window": {"from": "2026-06-01", "to": "2026-07-01"}}}
    entry(lake, "daily", outcome="succeeded", generations=told)
    assert covered(lake) == date(2026, 7, 1), "a daily update has covered it since"


def test_a_load_that_raised_counts_from_its_first_unit(lake: Lake) -> None:
    parameters = {"generation": "v2", "filing_date_lt": None}
    run = ledger.Run(lake, "historical-load", parameters)
    with pytest.raises(ValueError, match="broken"):
        fail(run)
    assert covered(lake) is None
    run.done([("v2", "AAPL", "cash_flow")])
    assert covered(lake) == day_of(run.started)
