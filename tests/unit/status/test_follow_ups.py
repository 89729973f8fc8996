"""Silver, parity and verify in the status: what is an alarm, and that no healthy week is one."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from polygon_fundamentals.lake import Lake
from polygon_fundamentals.status import alarms, check_status, gather
from polygon_fundamentals.status.follow_up_checks import parity_remedy
from polygon_fundamentals.status.row import Row
from tests.builders.ledger import entry
from tests.builders.status_lakes import WHOLE

# A Friday; Thursday was a holiday. Twelve weeks of runs end on it.
LAST = datetime(2026, 11, 27, tzinfo=UTC)
FIRST = LAST - timedelta(days=84)
NAMES = ("silver", "verify", "parity")


def run(lake: Lake, flow: str, started: datetime, **changes: Any) -> None:
    ended = started + timedelta(minutes=changes.pop("minutes", 10))
    content = {"outcome": "succeeded", "ended": ended.isoformat(), "parameters": {}, **changes}
    entry(lake, f"{flow}-{started:%m%d}", flow=flow, started=started.isoformat(), **content)


def update(lake: Lake, day: datetime, generation: str = "both", **report: Any) -> None:
    window = {"from": f"{day - timedelta(days=7):%Y-%m-%d}", "to": f"{day:%Y-%m-%d}"}
    report = {"ok": True, "failed": [], "units": 3, "rows_new": 2, "window": window, **report}
    names = ["v1", "v2"] if generation == "both" else [generation]
    run(
        lake,
        "daily-update",
        day.replace(hour=22, minute=30),
        parameters={**WHOLE, "generation": generation},
        generations={name: report for name in names},
    )


def build(lake: Lake, made: datetime) -> None:
    """Leave a build of silver for readers, and nothing in the ledger."""
    name = f"{made:%Y%m%dT%H%M%S%f}Z-v2"
    (lake.silver / "builds" / name).mkdir(parents=True)
    (lake.silver / "fundamentals_wide").unlink(missing_ok=True)
    (lake.silver / "fundamentals_wide").symlink_to(f"builds/{name}")


def weekdays(first: datetime = FIRST, last: datetime = LAST) -> list[datetime]:
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return [day for day in days if day.weekday() < 5]


def nights(lake: Lake, silver_until: datetime = LAST, parity_until: datetime = LAST) -> None:
    """Write twelve weeks of the schedules of prefect.yaml: 22:30, 23:30, 23:50, 3:00 and 5:00."""
    build(lake, FIRST)
    for day in weekdays():
        update(lake, day)
        if day <= parity_until:
            at = day.replace(hour=23, minute=30)
            run(lake, "parity", at, parameters={"tickers": []}, passed=True)
        if day <= silver_until:
            run(lake, "silver", day.replace(hour=23, minute=50), parameters={"as_of": None})
        if day.weekday() == 4:
            run(lake, "verify", day + timedelta(days=1, hours=5), ok=True)
            report = {"v2": {"ok": True, "failed": [], "units": 3, "rows_changed": 1}}
            run(
                lake,
                "refresh",
                day + timedelta(days=2, hours=3),
                parameters={**WHOLE, "generation": "v2"},
                generations=report,
            )


def rows(lake: Lake, at: datetime) -> dict[str, Row]:
    """Return the rows of silver, verify and parity that are there at a moment."""
    shown = check_status(gather(lake, {}, at, datasets=()))
    return {row.name: row for row in shown if row.name in NAMES}


def reds(lake: Lake, at: datetime) -> list[str]:
    return [row.name for row in alarms(list(rows(lake, at).values()))]


@pytest.mark.parametrize("hours", [12, 22.6, 23.75, 24, 51.5, 53.1, 55, 72, 88, 95.6])
def test_no_hour_of_a_healthy_week_is_an_alarm(lake: Lake, hours: float) -> None:
    """From the Friday to the minutes between Monday's load and its silver."""
    nights(lake)
    at = LAST + timedelta(hours=hours)
    if at.weekday() == 0 and at.hour >= 22:
        update(lake, at.replace(hour=0, minute=0))
    assert {name: row.ok for name, row in rows(lake, at).items()} == dict.fromkeys(NAMES, True)


def test_silver_that_fails_is_an_alarm_whatever_succeeds_after_it(lake: Lake) -> None:
    nights(lake, silver_until=LAST - timedelta(days=1))
    at = LAST.replace(hour=23, minute=50)
    run(lake, "silver", at, outcome="failed", message="a.parquet cannot be read")
    run(lake, "publish", at.replace(minute=59), published={"build": "b"})
    silver = rows(lake, LAST + timedelta(days=1))["silver"]
    assert (silver.ok, silver.remedy) == (False, "run `silver`")
    assert "the last run failed: a.parquet cannot be read" in silver.reason
    # A cutover builds it too.
    build(lake, LAST + timedelta(days=1))
    assert reds(lake, LAST + timedelta(days=1)) == []


def test_a_failure_beside_a_run_that_succeeded_later_is_none(lake: Lake) -> None:
    """By hand while the nightly one holds the lock."""
    nights(lake, silver_until=LAST - timedelta(days=1))
    at = LAST.replace(hour=23, minute=50)
    run(lake, "silver", at, minutes=30)
    run(lake, "silver", at + timedelta(hours=0.1), outcome="failed", message="locked", minutes=10)
    assert reds(lake, LAST + timedelta(days=1)) == []


@pytest.mark.parametrize("name", ["silver", "parity"])
def test_what_is_no_longer_scheduled_is_an_alarm_in_the_end(lake: Lake, name: str) -> None:
    stopped = LAST - timedelta(days=50)
    nights(lake, **{f"{name}_until": stopped})
    row = rows(lake, LAST)[name]
    assert row.ok is False
    assert row.remedy == f"run `{name}`"
    assert "loads have changed rows since, for" in row.reason
    days = {"silver": 8, "parity": 32}[name]
    # The first load that it did not see was on the next weekday.
    missed = min(day for day in weekdays() if day > stopped).replace(hour=22, minute=40)
    assert reds(lake, missed + timedelta(days=days, hours=23)) == []
    assert reds(lake, missed + timedelta(days=days + 1, hours=1)) == [name]


@pytest.mark.parametrize(("generation", "ok"), [("v1", None), ("both", False)])
def test_a_lake_that_stays_on_v1_need_not_read_v2(
    lake: Lake, generation: str, ok: bool | None
) -> None:
    """A key whose plan has no v2 can refresh nothing."""
    for day in weekdays(LAST - timedelta(days=14)):
        update(lake, day, generation)
    shown = check_status(gather(lake, {}, LAST + timedelta(days=1), datasets=()))
    assert [row.ok for row in shown if row.name == "refresh"] == [ok]


def test_parity_is_not_judged_after_the_cutover(lake: Lake) -> None:
    """v2 restates what v1 will never change again, and v1 stays beside it for 90 days."""
    nights(lake)
    at = LAST + timedelta(days=4)
    words = "not passed: v2 equals v1"
    run(lake, "parity", at, outcome="failed", message=words, parameters={}, passed=False)
    assert reds(lake, at + timedelta(days=1)) == ["parity"]
    folder = lake.bronze / "fundamentals_v2"
    folder.mkdir(parents=True, exist_ok=True)
    lake.pointer.symlink_to(folder.name)
    row = rows(lake, at + timedelta(days=1))["parity"]
    assert (row.ok, row.remedy) == (None, "")
    assert row.reason.endswith("; v1: not updated since the cutover")


def test_v1_is_judged_after_the_cutover_while_it_is_still_updated(lake: Lake) -> None:
    """The runbook advises it, so that a rollback misses no day."""
    nights(lake)
    (lake.bronze / "fundamentals_v2").mkdir()
    lake.pointer.symlink_to("fundamentals_v2")
    os.utime(lake.pointer, (LAST.timestamp(),) * 2, follow_symlinks=False)
    for day in (LAST + timedelta(days=3), LAST + timedelta(days=4)):
        window = {"from": f"{day:%Y-%m-%d}", "to": f"{day:%Y-%m-%d}"}
        failed = [{"ticker": "*", "statement": "cash_flow", "reason": "no answer"}]
        run(
            lake,
            "daily-update",
            day.replace(hour=22, minute=30),
            outcome="failed",
            parameters={**WHOLE, "generation": "both"},
            generations={
                "v1": {"ok": False, "failed": failed},
                "v2": {"ok": True, "failed": [], "window": window},
            },
        )
    at = day + timedelta(days=1)
    red = {row.name for row in alarms(check_status(gather(lake, {}, at, datasets=())))}
    assert {"v1 daily update", "v1 last run"} <= red
    update(lake, at, generation="v2")
    shown = check_status(gather(lake, {}, at + timedelta(days=1), datasets=()))
    row = next(row for row in shown if row.name == "v1 daily update")
    assert (row.ok, row.reason) == (None, "not updated since the cutover")


def test_parity_whose_question_cannot_be_asked_is_an_alarm(lake: Lake) -> None:
    """An acceptance that has expired; the entry has no answer."""
    nights(lake, parity_until=LAST - timedelta(days=1))
    at = LAST.replace(hour=23, minute=30)
    run(lake, "parity", at, outcome="failed", message="accepted.yaml: expired", parameters={})
    run(lake, "silver", at.replace(minute=55))
    assert reds(lake, LAST + timedelta(days=1)) == ["parity"]


def test_damage_that_verify_found_stays_until_verify_finds_none(lake: Lake) -> None:
    nights(lake)
    at = LAST + timedelta(days=2)
    run(lake, "verify", at, outcome="failed", ok=False, message="1 file is not as recorded")
    run(lake, "verify", at + timedelta(hours=1), outcome="interrupted")
    run(lake, "refresh", at + timedelta(hours=2))
    verify = rows(lake, at + timedelta(days=1))["verify"]
    assert verify.ok is False
    assert "1 file is not as recorded" in verify.reason
    run(lake, "verify", at + timedelta(hours=3), ok=True)
    assert reds(lake, at + timedelta(days=1)) == []


def test_a_verify_that_ends_in_an_error_is_an_alarm_until_one_does_not(lake: Lake) -> None:
    nights(lake)
    at = LAST + timedelta(days=2)
    run(lake, "verify", at, outcome="failed", message="PermissionError: a.parquet")
    run(lake, "refresh", at + timedelta(hours=2))
    verify = rows(lake, at + timedelta(days=1))["verify"]
    assert (verify.ok, verify.remedy) == (False, "run `verify` again")
    assert verify.reason.startswith("every file as recorded, 2026-11-28 05:10 UTC; the last run")
    assert verify.reason.endswith("failed: PermissionError: a.parquet")
    # Damage that the one before it found is not forgotten over that.
    run(lake, "verify", at - timedelta(hours=1), outcome="failed", ok=False, message="1 file")
    assert rows(lake, at + timedelta(days=1))["verify"].reason.startswith("1 file (2026-11-28")
    run(lake, "verify", at + timedelta(hours=3), ok=True)
    assert reds(lake, at + timedelta(days=1)) == []


def test_a_verify_that_never_looked_at_every_file_is_an_alarm(lake: Lake) -> None:
    run(lake, "verify", LAST, outcome="interrupted")
    assert rows(lake, LAST + timedelta(days=1)).keys() == {"parity"}
    run(lake, "verify", LAST + timedelta(hours=1), outcome="crashed", message="the process died")
    assert (
        "no run has checked every file yet" in rows(lake, LAST + timedelta(days=1))["verify"].reason
    )
    assert reds(lake, LAST + timedelta(days=1)) == ["verify"]


def test_a_verify_that_is_no_longer_scheduled_is_an_alarm_in_the_end(lake: Lake) -> None:
    nights(lake)
    last = LAST + timedelta(days=1, hours=5)
    for days, expected in ((32, []), (34, ["verify"])):
        shown = reds(lake, last + timedelta(days=days))
        assert [name for name in shown if name == "verify"] == expected


def test_silver_whose_every_build_fails_is_an_alarm(lake: Lake) -> None:
    for failures, day in enumerate(weekdays(LAST - timedelta(days=3))):
        # A single one may have been a trial before there was any data.
        assert reds(lake, day) == (["silver"] if failures > 1 else [])
        update(lake, day)
        at = day.replace(hour=23, minute=50)
        run(lake, "silver", at, outcome="failed", message="a.parquet cannot be read")
    silver = rows(lake, LAST + timedelta(days=1))["silver"]
    assert silver.reason == "not built yet; the last run failed: a.parquet cannot be read"
    assert silver.remedy == "run `silver`"
    # Given up.
    assert reds(lake, LAST + timedelta(days=10)) == []


def by_hand(lake: Lake) -> None:
    """History is loaded every month, and silver built when somebody needs it."""
    build(lake, FIRST)
    for weeks in (0, 1, 4, 8, 11):
        day = FIRST + timedelta(days=7 * weeks)
        report = {"v2": {"ok": True, "failed": [], "units": 3, "rows_new": 5}}
        run(lake, "historical-load", day, generations=report, parameters={"generation": "v2"})
        if weeks in (0, 1):
            run(lake, "silver", day + timedelta(hours=1))
            run(lake, "parity", day + timedelta(hours=2), parameters={"tickers": []}, passed=True)


def after_cutover(lake: Lake) -> None:
    """Parity is run no more; v2 alone is updated."""
    (lake.bronze / "fundamentals_v2").mkdir()
    lake.pointer.symlink_to("fundamentals_v2")
    nights(lake, parity_until=FIRST + timedelta(days=14))


def v1_frozen(lake: Lake) -> None:
    """v1's endpoint is gone, and with it parity's schedule."""
    build(lake, FIRST)
    for day in weekdays():
        update(lake, day, generation="v2")
        run(lake, "silver", day.replace(hour=23, minute=50))
    for day in weekdays(FIRST, FIRST + timedelta(days=14)):
        run(lake, "parity", day.replace(hour=23), parameters={"tickers": []}, passed=True)


def silver_taken_away(lake: Lake) -> None:
    """Nobody needs silver any more: its schedule is off and its folder removed."""
    nights(lake, silver_until=FIRST + timedelta(days=14))
    (lake.silver / "fundamentals_wide").unlink()


def silver_before_its_data(lake: Lake) -> None:
    """Silver was tried on an empty lake, before it was ever built."""
    run(lake, "silver", FIRST, outcome="failed", message="nothing to build from")
    for day in weekdays():
        update(lake, day)


@pytest.mark.parametrize(
    "make", [by_hand, after_cutover, v1_frozen, silver_taken_away, silver_before_its_data]
)
def test_a_lake_that_does_without_is_no_alarm(lake: Lake, make: Any) -> None:
    make(lake)
    for days in (0.5, 1.2, 3.5):
        assert reds(lake, LAST + timedelta(days=days)) == []


def ratios_row(lake: Lake, days: float) -> Row | None:
    """Return the row `ratios` some days after the last day, None where there is none."""
    at = LAST + timedelta(days=days)
    shown = check_status(gather(lake, {}, at, datasets=()))
    return next((row for row in shown if row.name == "ratios"), None)


def collected(lake: Lake, *days: datetime, flow: str = "ratios", **changes: Any) -> None:
    for day in days:
        run(lake, flow, day.replace(hour=21), **{"ratios": {"failed": []}, **changes})


def test_ratios_that_stopped_are_late_after_two_business_days(lake: Lake) -> None:
    assert ratios_row(lake, 0) is None
    collected(lake, *weekdays(FIRST, LAST - timedelta(days=4)))  # up to a Monday
    said = [(row := ratios_row(lake, days)) and row.ok for days in (-3, -2.5, -0.5, 40)]
    assert said == [True, True, False, None]
    late = ratios_row(lake, -0.5)
    assert late is not None
    assert "business days ago" in late.detail
    assert "run `ratios`" in late.detail


def test_loads_of_named_tickers_do_not_collect_the_ratios_of_the_others(lake: Lake) -> None:
    nights = weekdays(FIRST, LAST)
    collected(lake, *nights[:-3])
    for night in nights[-3:]:
        run(lake, "ratios", night.replace(hour=2), outcome="failed", message="403")
        collected(lake, night, flow="historical-load", parameters={"tickers": ["NEW"]})
    row = ratios_row(lake, 0.9)
    assert row is not None
    assert (row.ok, "403" in row.detail) == (False, True)


def test_ratios_that_stand_still_are_not_ok_after_more_days_than_a_holiday(lake: Lake) -> None:
    same: dict[str, Any] = {"ratios": {"failed": [], "rows_new": 0, "rows_unchanged": 6000}}
    nights = weekdays(FIRST, LAST)
    collected(lake, *nights[:-5])
    said = []
    for night in nights[-5:]:
        collected(lake, night, **same)
        said.append((row := ratios_row(lake, (night - LAST).days + 0.95)) and row.ok)
    assert said == [True, True, True, True, False]
    assert row is not None
    assert "but nothing new since" in row.detail
    assert "ask the vendor" in row.detail


def test_ratios_of_daily_updates_count(lake: Lake) -> None:
    collected(lake, *weekdays(LAST - timedelta(days=3), LAST), flow="daily-update")
    lost = {"failed": [{"reason": "answered 503"}]}
    run(lake, "daily-update", LAST + timedelta(hours=23), ratios=lost, outcome="failed")
    row = ratios_row(lake, 1.5)
    assert row is not None
    assert row.ok is False
    assert "answered 503" in row.detail


def test_ratios_that_fail_every_night_are_not_taken_to_be_given_up(lake: Lake) -> None:
    collected(lake, *weekdays(FIRST, FIRST + timedelta(days=4)))
    for day in weekdays(LAST - timedelta(days=3), LAST):
        run(lake, "ratios", day.replace(hour=21), outcome="failed", message="403")
    said = [(row := ratios_row(lake, days)) and row.ok for days in (1.5, 20)]
    assert said == [False, None]


def test_a_cron_line_of_ratios_that_never_succeeds_is_not_ok(lake: Lake) -> None:
    for day in weekdays(LAST - timedelta(days=3), LAST):
        run(lake, "ratios", day.replace(hour=21), outcome="failed", message="403")
    said = [(row := ratios_row(lake, days)) and row.ok for days in (1.5, 20)]
    assert said == [False, None]


@pytest.mark.parametrize("days", [1, 2, 10])
def test_ratios_tried_now_and_then_raise_no_alarm(lake: Lake, days: int) -> None:
    collected(lake, *(LAST - timedelta(days=7 * n) for n in range(days)))
    run(lake, "ratios", LAST + timedelta(hours=23), outcome="failed", message="403")
    for later in (1.5, 4.5, 20):
        row = ratios_row(lake, later)
        assert row is not None
        assert row.ok is None


def test_a_parity_that_ended_in_an_error_has_no_review_page() -> None:
    assert parity_remedy(reported=True).startswith("do what its review")
    assert parity_remedy(reported=False) == "run `parity` again"
