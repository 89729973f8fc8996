"""The progress of a load: both generations, their rates, and the time that remains."""

from __future__ import annotations

import re
import sys

import pytest

from flows.runtime import progress
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.reports import UpsertCounts
from tests.builders.commands import call_with_errors
from tests.cutover_world import fill

NOTHING = UpsertCounts()


def test_a_line_for_each_generation_with_rate_and_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_SECONDS", 0.0)
    with progress.Progress({"v1 history": 4, "v2 history": 2}) as shown:
        shown.begin("v1 history")
        shown.advance("v1 history", 1, failed=1, rows=NOTHING)
        first = capsys.readouterr().err.splitlines()
        shown.advance("v1 history", 3, failed=0, rows=NOTHING)
        shown.begin("v2 history")
        shown.advance("v2 history", 2, failed=0, rows=NOTHING)
    last = capsys.readouterr().err.splitlines()[-2:]
    going = r"v1 history: 1 of 4 units, 1 failed, [\d.]+ units/s, \d+ s so far, about \d+ s left"
    assert re.fullmatch(going, first[0])
    assert first[1] == "v2 history: waiting (2 units)"
    assert [line.split(",")[0] for line in last] == [
        "v1 history: 4 of 4 units",
        "v2 history: 2 of 2 units",
    ]


def test_a_bar_for_each_generation_in_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    with progress.Progress({"v1 history": 4, "v2 history": 2}) as shown:
        shown.begin("v1 history")
        shown.advance("v1 history", 4, failed=0, rows=UpsertCounts(rows_new=1200))
        shown.begin("v2 history")
        shown.advance("v2 history", 1, failed=1, rows=NOTHING)
    text = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", capsys.readouterr().err)
    assert re.search(r"v1 history .*4/4 units · [\d.,]+/s · 1,200 rows written", text)
    assert re.search(r"v2 history .*1/2 units · [\d.,]+/s · 0 rows written · 1 failed .*left", text)


def test_a_narrow_terminal_cuts_no_time_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    with progress.Progress({"v1 history": 30_060, "v2 history": 30_060}) as shown:
        shown.begin("v1 history")
        shown.advance("v1 history", 300, failed=12, rows=UpsertCounts(rows_new=1_234_567))
    text = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", capsys.readouterr().err)
    assert "…" not in text
    assert re.search(r"v1 history .*  300/30060 units · [\d.,]+/s · 12 failed 0:\d\d:\d\d · ", text)
    assert re.search(r"v2 history .*0/30060 units · waits", text)


@pytest.mark.usefixtures("prefect_server")
def test_a_long_status_or_export_says_that_it_goes_on(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(lake)
    monkeypatch.setattr(progress, "STILL_EVERY_SECONDS", 0.001)
    here = ["--lake", str(lake.root)]
    _, _, errors = call_with_errors("status", *here)
    assert re.search(
        r"^status: reading the files that changed, \d+ s so far$", errors, re.MULTILINE
    )
    words = ["export", "--shape", "v1", "--output", str(lake.root / "as_v1")]
    code, _, errors = call_with_errors(*words, *here)
    assert code == 0
    assert re.search(r"^export, \d+ s so far$", errors, re.MULTILINE)
