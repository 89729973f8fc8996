"""Lakes in the states that `status` is asked about, none of which is a reason for an alarm."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from polygon_fundamentals import silver
from polygon_fundamentals.business_days import NEW_YORK, previous_business_day, today_in_new_york
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.statements import ALL_STATEMENTS, DEFAULT_TIMEFRAMES, Generation
from sandbox import Sandbox
from tests import cutover_world, filled
from tests.builders.ledger import entry
from tests.conftest import KEY

WHOLE = {
    "tickers": [],
    "universe": None,
    "statements": [s.value for s in ALL_STATEMENTS],
    "timeframes": [t.value for t in DEFAULT_TIMEFRAMES],
}


def days_before_today(count: int) -> list[date]:
    """Return the last business days before today in New York, oldest first."""
    days, day = list[date](), today_in_new_york()
    for _ in range(count):
        day = previous_business_day(day)
        days.append(day)
    return days[::-1]


def recent_quarters() -> list[tuple[str, str, int]]:
    """Return (end, filing date, number) of quarters, one filed two years ago and one last month."""
    today = today_in_new_york()
    filed = [today - timedelta(days=days) for days in (730, 30)]
    return [(str(day - timedelta(days=40)), str(day), n) for n, day in enumerate(filed, 1)]


def run_entry(lake: Lake, flow: str, day: date, seconds: float = 60.0, **changes: Any) -> None:
    """Write the entry of a run that succeeded in the morning of a day in New York."""
    started = datetime.combine(day, time(6), NEW_YORK).astimezone(UTC)
    given = {
        "started": started.isoformat(),
        "ended": (started + timedelta(seconds=seconds)).isoformat(),
        "seconds": seconds,
        "outcome": "succeeded",
        "peak_memory_bytes": 400_000_000,
        **changes,
    }
    entry(lake, f"{flow}-{day}", flow=flow, **given)


def daily_update(
    lake: Lake, day: date, v1: Mapping[str, Any] | None = None, generation: str = "both"
) -> None:
    """Write the entry of a daily update; `v1` is what v1's report says besides."""
    report = {
        "ok": True,
        "failed": [],
        "units": 36,
        "requests": 4,
        "seconds": 8.0,
        "window": {"from": str(day - timedelta(days=7)), "to": str(day)},
    }
    generations = {"v2": report}
    if generation == "both":
        generations["v1"] = report | dict(v1 or {})
    parameters = {**WHOLE, "generation": generation, "date": str(day)}
    run_entry(lake, "daily-update", day, parameters=parameters, generations=generations)


def history(
    lake: Lake, day: date, tickers: int, requests: int, seconds: float, limit: int | None = None
) -> None:
    """Write the entry of a historical load of v2."""
    report = {"ok": True, "failed": [], "units": 3 * tickers, "units_resumed": 0}
    report |= {"requests": requests, "seconds": seconds}
    parameters = {**WHOLE, "tickers": ["A"], "generation": "v2"}
    content = {
        "parameters": parameters,
        "generations": {"v2": report},
        "requests_per_minute": limit,
    }
    run_entry(lake, "historical-load", day, seconds, **content)


def running_well(lake: Lake, **v1: Any) -> None:
    """Write the entries of six days of updates, a refresh and a parity that passed."""
    for day in days_before_today(6):
        daily_update(lake, day, v1)
    last = days_before_today(1)[0]
    run_entry(lake, "refresh", last, parameters={**WHOLE, "generation": "v2"})
    run_entry(lake, "parity", last, parameters={}, passed=True)


def fresh(lake: Lake) -> None:
    """Leave the lake as it is made."""


def twelve(lake: Lake) -> None:
    """Load twelve companies; its load needed few requests, and took its time."""
    today = today_in_new_york()
    options = {"start": today - timedelta(days=400), "today": today, "quirks": False}
    with Sandbox(companies=12, seed=3, api_key=KEY, **options) as server:
        filled.fill(lake, server, server.tickers)
    history(lake, days_before_today(8)[0], 12, 8, 22.5)
    running_well(lake)


def thousand(lake: Lake) -> None:
    """Write what a load of a thousand companies at the plan's rate limit leaves in the ledger."""
    history(lake, days_before_today(8)[0], 1000, 1500, 990, limit=100)
    running_well(lake)


def retired(lake: Lake) -> None:
    """Have v1 answer no more, for good."""
    cutover_world.fill(lake, quarters=recent_quarters())
    running_well(lake, ok=None, frozen_since="2026-10-09")


def cut_over(lake: Lake) -> None:
    """Switch the lake to v2, whose updates alone go on."""
    cutover_world.fill(lake, quarters=recent_quarters())
    for day in days_before_today(12)[:6]:
        daily_update(lake, day)
    for day in days_before_today(6):
        daily_update(lake, day, generation="v2")
    last = days_before_today(1)[0]
    run_entry(lake, "refresh", last, parameters={**WHOLE, "generation": "v2"})
    run_entry(lake, "parity", last, parameters={}, passed=True)
    assert cutover_world.run(lake, "cutover")["exit_code"] == 0


def cleaned_up(lake: Lake) -> None:
    """Archive v1 after the cutover."""
    cut_over(lake)
    assert cutover_world.run(lake, "cleanup")["exit_code"] == 0


def with_every_night(lake: Lake) -> None:
    """Load, compare, build and verify on schedule, for six weeks, with changes every day."""
    cutover_world.fill(lake, quarters=recent_quarters())
    silver.build(lake)
    for day in days_before_today(30):
        daily_update(lake, day, {"rows_new": 3})
        run_entry(lake, "parity", day, parameters={"tickers": []}, passed=True)
        run_entry(lake, "silver", day, parameters={"as_of": None})
        run_entry(lake, "refresh", day, parameters={**WHOLE, "generation": "v2"})
        run_entry(lake, "verify", day, parameters={}, ok=True)


def tried_once(lake: Lake) -> None:
    """Build silver and compare once, to see how it is done; only the updates go on."""
    day = days_before_today(40)[0]
    cutover_world.fill(lake, quarters=recent_quarters())
    moment = datetime.combine(day, time(6), NEW_YORK).astimezone(UTC)
    name = f"{moment:%Y%m%dT%H%M%S%f}Z-v1"
    lake.silver.mkdir(parents=True, exist_ok=True)
    (lake.silver / "builds" / name).mkdir(parents=True)
    (lake.silver / "fundamentals_wide").symlink_to(f"builds/{name}")
    run_entry(lake, "silver", day, parameters={"as_of": None})
    run_entry(lake, "parity", day, parameters={"tickers": []}, passed=True)
    for day in days_before_today(39):
        daily_update(lake, day, {"rows_new": 3})
    run_entry(lake, "refresh", day, parameters={**WHOLE, "generation": "v2"})


def v2_alone(lake: Lake) -> None:
    """Load v2 alone, where v1 never was; parity was tried by hand."""
    cutover_world.fill(lake, quarters=recent_quarters())
    shutil.rmtree(lake.pointer)
    for statement in ALL_STATEMENTS:
        shutil.rmtree(lake.dataset(Generation.V1, statement).index_folder)
    for day in days_before_today(6):
        daily_update(lake, day, generation="v2")
    last = days_before_today(1)[0]
    run_entry(lake, "refresh", last, parameters={**WHOLE, "generation": "v2"})
    words = "UsageError: the lake has no records of v1 to compare"
    run_entry(lake, "parity", last, outcome="failed", message=words, parameters={})


LAKES: Mapping[str, Callable[[Lake], None]] = {
    "fresh": fresh,
    "twelve companies": twelve,
    "a thousand companies": thousand,
    "v1 retired": retired,
    "after the cutover": cut_over,
    "after cleanup": cleaned_up,
    "every night": with_every_night,
    "tried once": tried_once,
    "v2 alone": v2_alone,
}
