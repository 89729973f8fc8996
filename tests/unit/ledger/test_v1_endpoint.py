"""The state of v1's endpoint: what the checklist and the status read of the same ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from polygon_fundamentals import status
from polygon_fundamentals.cutover import checklist
from polygon_fundamentals.cutover.sign_offs import Contacts
from polygon_fundamentals.cutover.thresholds import Thresholds
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.ledger import RunEntry, read_entries
from polygon_fundamentals.ledger.v1_endpoint import V1Endpoint, first_seen_frozen, v1_endpoint
from tests.builders.ledger import entry
from tests.builders.status_lakes import WHOLE

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
PATH = "/vX/reference/financials"
BROWNOUT = f"{PATH}?ticker=AA answered 410 in a brownout before its sunset on 2099-10-09"
RETIRED = f"{PATH} answered 410: this endpoint is retired since 2026-06-01. An existing v1 lake ..."
ABOUT_A_COMPANY = f"{PATH}?cik=0000410123 answered 500: retired, try again, still after 5 tries"
DOWN = f"{PATH} not asked: 20 requests in a row had failed for good ({BROWNOUT}); run again"


def failed(*reasons: str, error: str | None = None, **report: Any) -> dict[str, Any]:
    """Return v1's report of a run in which every unit failed."""
    more = {} if error is None else {"error": error}
    units = [{"ticker": "*", "statement": "cash_flow", "reason": r, **more} for r in reasons]
    return {"ok": False, "failed": units, "rows_received": 0, **report}


def run_of_both(lake: Lake, day: str, v1: dict[str, Any], outcome: str = "failed") -> None:
    window = {"window": {"from": day, "to": day}}
    entry(
        lake,
        f"run-{day}",
        started=f"{day}T10:00:00+00:00",
        ended=f"{day}T10:01:00+00:00",
        outcome=outcome,
        parameters={**WHOLE, "generation": "both", "date": day},
        generations={"v1": window | v1, "v2": window | {"ok": True, "failed": []}},
    )


def read_by_both(lake: Lake) -> tuple[str, bool]:
    """Return v1's state in the status, and whether the checklist passes over parallel running."""
    evaluated = checklist.evaluate_checklist(lake, Thresholds(), Contacts(), clock=lambda: NOW)
    lines = {item.name for item in evaluated.items}
    dropped = {"parallel runs", "run time", "only our writers"} - lines
    assert len(dropped) in (0, 3)
    figures = status.gather(lake, status.load_targets(None), NOW)
    return figures.v1.state, bool(dropped)


@pytest.mark.parametrize("named", [False, True], ids=["entry of before", "with the error's class"])
@pytest.mark.parametrize(
    ("reason", "error", "expected"),
    [
        (BROWNOUT, "BrownoutError", ("browning out", False)),
        (f"{BROWNOUT}, still after 5 tries or 600 s", "BrownoutError", ("browning out", False)),
        (DOWN, "BrownoutError", ("browning out", False)),
        (ABOUT_A_COMPANY, "RetriableApiError", ("live", False)),
        (RETIRED, "RetiredError", ("frozen", True)),
    ],
)
def test_a_failure_is_judged_by_its_class(
    lake: Lake, reason: str, error: str, expected: tuple[str, bool], named: bool
) -> None:
    run_of_both(lake, "2026-11-25", {"ok": True, "failed": []}, "succeeded")
    run_of_both(lake, "2026-11-26", failed(reason, error=error if named else None))
    assert read_by_both(lake) == expected


def test_an_old_success_gives_way_to_the_sunset_in_both(lake: Lake) -> None:
    run_of_both(lake, "2026-10-01", {"ok": True, "failed": []}, "succeeded")
    assert read_by_both(lake) == ("unknown", True)


def test_an_outage_of_weeks_is_an_alarm_each_day_and_no_retirement(lake: Lake) -> None:
    run_of_both(lake, "2026-10-30", {"ok": True, "failed": []}, "succeeded")
    alarms = {"v1 daily update", "v1 last run"}
    for day in (3, 6, 9, 10, 11, 20, 26):
        now = NOW.replace(day=day, hour=20)
        run_of_both(lake, f"2026-11-{day:02}", failed("500", error="RetriableApiError"))
        rows = status.check_status(status.gather(lake, {}, now, datasets=()))
        assert alarms <= {row.name for row in status.alarms(rows)}
        # What has not answered for so long is not called live.
        (row,) = (row for row in rows if row.name == "v1 endpoint")
        assert (row.ok, row.reason) == (None, "no answer since 2026-11-03")
    assert read_by_both(lake) == ("live", False)


def test_both_read_the_ledger_as_far_back(lake: Lake) -> None:
    run_of_both(lake, "2026-06-01", {"ok": None, "failed": [], "frozen_since": "2026-06-01"})
    run_of_both(lake, "2026-11-26", failed("v1 answered 503", error="RetriableApiError"))
    assert read_by_both(lake) == ("frozen", True)


def test_an_empty_ledger_leaves_it_to_the_announced_sunset() -> None:
    assert v1_endpoint([], datetime(2026, 10, 9, tzinfo=UTC)) == V1Endpoint("unknown", retired=True)
    assert v1_endpoint([], datetime(2026, 10, 8, tzinfo=UTC)) == V1Endpoint("unknown")


GOOD: dict[str, Any] = {"failed": [], "ok": True}


@pytest.mark.parametrize(
    ("runs", "state", "retired"),
    [
        # A success of this week outweighs a sunset that was announced for last week ...
        ([(1, {**GOOD, "sunset": "2026-11-20"})], "live", False),
        # ... but not an old one: in both forms in which headers give a day.
        ([(9, {**GOOD, "sunset": "2026-11-20"})], "unknown", True),
        ([(9, {**GOOD, "sunset": "Fri, 20 Nov 2026 00:00:00 GMT"})], "unknown", True),
        ([(9, {**GOOD, "sunset": "2027-01-01"})], "live", False),
        ([(9, {**GOOD, "sunset": "soon"})], "unknown", True),
        # While loads go on asking, a v1 that answered after its sunset is out of order ...
        ([(20, {**GOOD, "sunset": "2026-11-01"}), (1, failed("500"))], "live", False),
        ([(20, {**GOOD, "sunset": "2026-11-01"}), (8, failed("500"))], "unknown", True),
        # ... but not one that has been silent since its sunset.
        ([(20, {**GOOD, "sunset": "2026-11-08"}), (1, failed("500"))], "unknown", True),
        # A run of v2 alone and one that left out an archived v1 say nothing of v1.
        ([(2, {"frozen_since": "2026-06-01"}), (1, {})], "frozen", True),
        ([(2, GOOD), (1, {**GOOD, "archived_since": "2026-11-01"})], "live", False),
        # A run that failed for reasons of its own says nothing, unless it received rows.
        ([(2, GOOD), (1, failed("503"))], "live", False),
        ([(1, failed("503"))], "unknown", True),
        ([(2, {"frozen_since": "2026-06-01"}), (1, failed("503"))], "frozen", True),
        ([(2, {"frozen_since": "x"}), (1, failed("503", rows_received=7))], "live", False),
        # One unit that was told so among others that failed otherwise is not proof enough.
        ([(2, GOOD), (1, failed(RETIRED, "503"))], "live", False),
        ([(1, failed(RETIRED, RETIRED))], "frozen", True),
        ([(1, {"retired": True})], "frozen", True),
        ([(1, failed("answered 410"))], "unknown", True),
    ],
)
def test_the_newest_load_that_says_anything_decides(
    runs: list[tuple[int, dict[str, Any]]], state: str, retired: bool
) -> None:
    entries = []
    for days_ago, report in runs:
        started = (NOW - timedelta(days=days_ago)).isoformat()
        generations = {"v1": report} if report else {"v2": GOOD}
        content = {
            "flow": "daily-update",
            "parameters": {},
            "outcome": "failed",
            "started": started,
            "generations": generations,
        }
        entries.append(RunEntry.of(content))
    endpoint = v1_endpoint(entries, NOW)
    assert (endpoint.state, endpoint.retired) == (state, retired)


def test_v1_is_first_seen_frozen_on_the_day_in_new_york(lake: Lake) -> None:
    started = datetime(2026, 11, 28, 3, 30, tzinfo=UTC)  # Friday the 27th, 22:30 in New York
    assert first_seen_frozen([], started) == "2026-11-27"
    run_of_both(lake, "2026-11-26", {"ok": None, "failed": [], "frozen_since": "2026-11-26"})
    assert first_seen_frozen(read_entries(lake)[0], started) == "2026-11-26"


def test_a_retirement_without_a_day_counts_from_the_run_that_met_it(lake: Lake) -> None:
    run_of_both(lake, "2026-11-26", failed(RETIRED.replace("since 2026-06-01", "(no sunset)")))
    assert status.gather(lake, status.load_targets(None), NOW).v1.since == "2026-11-26"


def test_an_archived_v1_is_said_to_be_archived() -> None:
    endpoint = v1_endpoint([], datetime(2026, 10, 8, tzinfo=UTC), datetime(2026, 9, 1, tzinfo=UTC))
    assert endpoint == V1Endpoint("archived", "2026-08-31")
