"""What the ledger says: runs that count, and runs that do not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from polygon_fundamentals.ledger import RunEntry, queries
from polygon_fundamentals.statements import Generation

NOW = datetime(2026, 8, 14, 12, tzinfo=UTC)
# What the flow writes of a run without options.
WHOLE = {
    "generation": "both",
    "tickers": [],
    "universe": None,
    "statements": ["balance_sheets", "cash_flow", "income_statements"],
    "timeframes": ["quarterly", "annual"],
}


def record(
    flow: str = "daily-update",
    outcome: str = "succeeded",
    days_ago: float = 0.0,
    generations: Any = None,
    **found: Any,
) -> RunEntry:
    """Return an entry as the ledger reads it."""
    started = NOW - timedelta(days=days_ago)
    ends = {} if outcome == "running" else {"ended": (started + timedelta(hours=1)).isoformat()}
    content = {
        "flow": flow,
        "outcome": outcome,
        "started": started.isoformat(),
        "parameters": WHOLE,
        **ends,
        **({} if generations is None else {"generations": generations}),
        **found,
    }
    return RunEntry.of(content, Path("run.json"))


LOST = {"ticker": "AAPL", "statement": "cash_flow", "reason": "503"}
GOOD = {"failed": [], "seconds": 12.0, "window": {"from": "2026-08-07", "to": "2026-08-14"}}


def asked(**parameters: Any) -> RunEntry:
    """Return a successful update that was asked for something else."""
    return record(parameters={**WHOLE, **parameters}, generations={"v1": GOOD})


def up_to(day: str, days_ago: float = 0.0) -> RunEntry:
    """Return a successful update of days up to one."""
    return record(days_ago=days_ago, generations={"v1": {**GOOD, "window": {"to": day}}})


@pytest.mark.parametrize(
    ("entry", "count"),
    [
        (record(generations={"v1": GOOD}), 1),
        # The other generation failed: this one's update still counts.
        (record(outcome="failed", generations={"v1": GOOD, "v2": {"failed": [LOST]}}), 1),
        (record(outcome="crashed", generations={"v1": GOOD}), 0),
        (record(outcome="running", generations={"v1": GOOD}), 0),
        (record(flow="historical-load", generations={"v1": GOOD}), 0),
        (record(generations={"v2": GOOD}), 0),
        (record(generations={"v1": {"failed": [LOST]}}), 0),
        (record(generations={"v1": {**GOOD, "frozen_since": "2026-06-01"}}), 0),
        # One that left something out does not ...
        (asked(tickers=["AAPL"]), 0),
        (asked(statements=["cash_flow"]), 0),
        (asked(timeframes=["annual"]), 0),
        (record(parameters={"generation": "both"}, generations={"v1": GOOD}), 0),
        # ... and one that took in more does.
        (asked(universe="active"), 1),
        (asked(timeframes=["quarterly", "annual", "ttm"]), 1),
        # It reaches its own day, a Friday, or the business day before: for a Monday the Friday.
        (up_to("2026-08-13"), 1),
        (up_to("2026-08-12"), 0),
        (up_to("2026-08-14", days_ago=-3), 1),
        (up_to("2026-08-13", days_ago=-3), 0),
        (record(generations={"v1": {"failed": []}}), 0),
    ],
)
def test_an_update_that_missed_nothing_counts(entry: RunEntry, count: int) -> None:
    assert len(queries.successful_updates([entry], Generation.V1)) == count


def test_the_median_is_of_the_days_asked_for() -> None:
    found = [
        queries.SuccessfulUpdate(NOW.date() - timedelta(days=i), seconds)
        for i, seconds in enumerate((10.0, 30.0, 20.0, 999.0))
    ]
    assert queries.median_seconds(found, [s.day for s in found[:3]]) == 20.0
    assert queries.median_seconds(found, []) is None


def test_a_load_that_did_not_end_may_have_changed_everything() -> None:
    assert queries.last_change([]) is None
    quiet = record(days_ago=3, generations={"v1": {**GOOD, "rows_new": 0}})
    assert queries.last_change([quiet]) is None
    told = record(days_ago=2, generations={"v1": {**GOOD, "rows_withdrawn": 1}})
    assert queries.last_change([quiet, told]) == NOW - timedelta(days=2) + timedelta(hours=1)
    crashed = record(days_ago=1, outcome="running")
    assert queries.last_change([quiet, told, crashed]) == NOW - timedelta(days=1)
    assert queries.last_change([record(flow="parity")]) is None


@pytest.mark.parametrize(
    ("entry", "changed"),
    [
        (record(flow="import-v1", v1={"rows_new": 3}), True),
        (record(flow="import-v1", outcome="failed"), True),
        (record(flow="restore", parameters={"adopted": True}), True),
        (record(flow="restore", parameters={"archive": None}), True),
        # What another tool had written was taken in, or moved to the quarantine.
        (record(generations={"v1": {**GOOD, "rows_new": 0}}, repaired=["1 file was"]), True),
        # As `historical-load --adopt` does with rows that are the same.
        (record(generations={"v1": {**GOOD, "rows_unchanged": 9, "files_written": 1}}), True),
        (record(flow="cleanup", outcome="failed"), True),
        (record(flow="cleanup"), False),
        (record(flow="cutover"), False),
        (record(flow="silver"), False),
    ],
)
def test_whatever_changes_bronze_makes_parity_old(entry: RunEntry, changed: bool) -> None:
    assert (queries.last_change([entry]) is not None) == changed


def test_a_load_under_way_may_write_until_now() -> None:
    entries = [
        record(days_ago=2),
        record(days_ago=1, outcome="running"),
        record(parameters={"generation": "v2"}),
        record(flow="parity"),
    ]
    day = timedelta(days=1)
    assert queries.load_spans(entries, Generation.V1, NOW) == [
        (NOW - 2 * day, NOW - 2 * day + timedelta(hours=1)),
        (NOW - day, NOW),
    ]


def test_a_window_covers_the_days_that_were_missed_before_it() -> None:
    friday, monday = date(2026, 8, 14), date(2026, 8, 17)
    window = {"from": "2026-08-10", "to": "2026-08-17"}
    late = record(days_ago=-3, generations={"v1": {**GOOD, "window": window}})
    covered = queries.covered_days([late], Generation.V1)
    assert {friday, monday} <= covered
    assert {date(2026, 8, 9), date(2026, 8, 18)}.isdisjoint(covered)
    # One that was asked for earlier days covers those alone.
    old = up_to("2026-08-12")
    assert max(queries.covered_days([old], Generation.V1)) == date(2026, 8, 12)


def compared(days_ago: float, passed: bool | None, sample: int | None = None) -> RunEntry:
    """Return a run of parity; without an answer it ended in an error."""
    answer = {} if passed is None else {"passed": passed, "sample": sample}
    outcome = "succeeded" if passed else "failed"
    parameters = {"tickers": [], "sample": sample}
    return record("parity", outcome, days_ago, parameters=parameters, **answer)


LOADED = {"v2": {**GOOD, "rows_new": 3}}


@pytest.mark.parametrize(
    ("runs", "stands"),
    [
        # What did not pass is not hidden by a look at a few tickers ...
        ([compared(2, passed=False), compared(1, passed=True, sample=1)], 0),
        ([compared(2, passed=None), compared(1, passed=True, sample=1)], 0),
        ([compared(9, False), record(days_ago=5, generations=LOADED), compared(1, True, 99)], 0),
        # ... nor what passed and has seen all there is.
        ([compared(2, passed=True), compared(1, passed=True, sample=1)], 0),
        # A sample that did not pass is no less an alarm.
        ([compared(2, passed=True), compared(1, passed=False, sample=9)], 1),
        # Where the whole has not been compared since a load, the newest sample says more.
        ([compared(9, True), record(days_ago=5, generations=LOADED), compared(1, True, 99)], 2),
        ([compared(2, passed=False, sample=9), compared(1, passed=True, sample=9)], 1),
        ([compared(2, passed=False), compared(1, passed=True)], 1),
        ([compared(2, passed=True, sample=9), record("parity", "interrupted", 1)], 1),
    ],
)
def test_which_parity_stands(runs: list[RunEntry], stands: int) -> None:
    assert queries.newest_parity(runs) is runs[stands]


def test_a_parity_as_if_on_another_day_does_not_stand() -> None:
    before = compared(2, passed=False)
    another = record(
        "parity", "succeeded", 1, parameters={"tickers": [], "date": "2026-01-01"}, passed=True
    )
    assert queries.newest_parity([before, another]) is before
    assert queries.newest_parity([another]) is None


def test_an_interrupted_parity_hides_no_later_sample() -> None:
    runs = [record("parity", "interrupted", 2), compared(1, passed=True, sample=9)]
    assert queries.newest_parity(runs) is runs[1]
