"""What the loads do by default where v1 answers 410, as for most keys since 9 October 2026."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from flows.__main__ import main
from flows.shard_runs import Shard
from flows.shards import _summed
from polygon_fundamentals import ledger
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.ledger.v1_endpoint import v1_endpoint
from sandbox import Sandbox
from tests.builders.commands import call, call_with_errors, where
from tests.conftest import KEY
from tests.servers import Answer, serving

pytestmark = pytest.mark.usefixtures("prefect_server")
SUNSET = "2026-10-09"


@pytest.fixture
def gone() -> Iterator[Sandbox]:
    """Return a market of three companies whose v1 is retired."""
    with Sandbox(
        companies=3,
        start=date(2025, 1, 1),
        today=date(2026, 11, 1),
        api_key=KEY,
        v1_retired=True,
        v1_sunset=date(2026, 10, 9),
    ) as server:
        yield server


def entries(lake: Lake) -> list[ledger.RunEntry]:
    return ledger.read_entries(lake)[0]


def test_a_load_of_both_loads_v2_and_says_that_v1_is_left_out(gone: Sandbox, lake: Lake) -> None:
    """It ended with 3 for everybody, although nothing could be loaded that was not."""
    words = ["historical-load", "--tickers", ",".join(gone.tickers), *where(gone.url, lake)]
    code, report = call(*words)
    assert code == 0
    v1 = report["v1"]
    assert (v1["frozen_since"], v1["failed"], v1["ok"], v1["rows_new"]) == (SUNSET, [], None, 0)
    assert v1["requests"] < v1["units"], "a retired endpoint is not asked for each unit"
    assert report["v2"]["rows_new"] > 0
    (note,) = report["notes"]
    assert note.startswith(f"v1 is retired (410) since {SUNSET}: only v2 was loaded")
    assert note in entries(lake)[-1].message
    entry = entries(lake)[-1]
    assert entry.outcome == "succeeded"
    assert v1_endpoint([entry], datetime(2026, 11, 1, tzinfo=UTC)).state == "frozen"
    code, report = call(*words)
    assert (code, report["v2"]["rows_new"]) == (0, 0)


def test_people_read_the_note(
    gone: Sandbox, lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["historical-load", "--tickers", gone.tickers[0], *where(gone.url, lake)]) == 0
    out, err = capsys.readouterr()
    assert err.count("note: v1 is retired (410) since") == 1
    assert "units missing" not in err
    assert f"lake: {lake.root}" in out


def test_v1_alone_is_still_missing(gone: Sandbox, lake: Lake) -> None:
    words = ["historical-load", "--generation", "v1", "--tickers", gone.tickers[0]]
    code, report = call(*words, *where(gone.url, lake))
    assert code == 3
    assert {unit["error"] for unit in report["v1"]["failed"]} == {"RetiredError"}
    assert "Load v2 instead" in report["v1"]["failed"][0]["reason"]


def test_misspelt_tickers_are_named_although_v1_is_left_out(gone: Sandbox, lake: Lake) -> None:
    code, report = call("historical-load", "--tickers", "NOSUCH", *where(gone.url, lake))
    assert (code, report["tickers_unknown"]) == (3, ["NOSUCH"])


def test_where_v2_answers_410_too_the_load_has_failed(lake: Lake) -> None:
    headers = {"Sunset": "Fri, 09 Oct 2020 00:00:00 GMT"}
    with serving(lambda _: Answer(410, b"{}", headers)) as server:
        words = ["historical-load", "--tickers", "AAA,BBB", *where(server.url, lake)]
        code, report, error = call_with_errors(*words)
    assert (code, error) == (3, "")
    assert {unit["ticker"] for unit in report["v2"]["failed"]} == {"AAA", "BBB"}
    assert "retired since 2020-10-09" in report["v2"]["failed"][0]["reason"]
    assert report["v1"]["frozen_since"] == "2020-10-09"
    assert not list(lake.bronze.rglob("*.parquet"))
    assert entries(lake)[0].outcome == "failed"


def test_some_tickers_in_a_new_lake_are_v2s_where_asked(gone: Sandbox, lake: Lake) -> None:
    """The first example of `--help` asked v1 and ended with 3."""
    for _ in range(2):
        words = ["fundamentals", gone.tickers[0], "--use-v2", *where(gone.url, lake)]
        code, report = call(*words)
        assert (code, set(report) & {"v1", "v2"}) == (0, {"v2"})


def test_where_readers_see_v1_the_remedy_is_named(gone: Sandbox, lake: Lake) -> None:
    """v2's rows would not be where this lake's readers look: nobody is to take them for v1's."""
    (lake.bronze / "fundamentals").mkdir(parents=True)
    code, report = call("fundamentals", gone.tickers[0], *where(gone.url, lake))
    assert code == 3
    assert "--use-v2" in report["v1"]["failed"][0]["reason"]


def test_an_older_script_means_what_readers_see(gone: Sandbox, lake: Lake) -> None:
    """It names v1's folder: rows of v2 elsewhere are not to end its alarm."""
    words = ["fundamentals", gone.tickers[0], "--base-url", gone.url]
    code, report = call(*words, "--output-dir", str(lake.pointer))
    assert (code, set(report) & {"v1", "v2"}) == (3, {"v1"})
    assert "--use-v2" in report["v1"]["failed"][0]["reason"]


def report_of(lake: Lake, name: str, tickers: list[str], server: Sandbox) -> Shard:
    """Return a shard whose run has ended, as the ledger has it."""
    words = ["historical-load", "--tickers", ",".join(tickers), *where(server.url, lake)]
    assert call(*words)[0] == 0
    return Shard(int(name), tickers, Path(name), entry=entries(lake)[-1])


def test_the_shards_of_a_load_leave_v1_out_together(gone: Sandbox, lake: Lake) -> None:
    shards = [report_of(lake, str(n), [t], gone) for n, t in enumerate(gone.tickers[:2], 1)]
    whole: dict[str, Any] = _summed(shards, "both", ["cash_flow"])
    assert whole["exit_code"] == 0
    assert (whole["v1"]["frozen_since"], whole["v1"]["failed"]) == (SUNSET, ())
    assert whole["v2"]["rows_new"] > 0
    assert whole["message"].startswith("2 shards; v1: ")
    assert whole["notes"][0] in whole["message"]
