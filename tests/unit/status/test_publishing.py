"""Places that were published to: which are kept up, and which were a trial or are given up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from polygon_fundamentals.business_days import NEW_YORK
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.status import check_status, gather
from tests.builders.ledger import entry

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def build_of(days_ago: int) -> str:
    return f"{NOW - timedelta(days=days_ago):%Y%m%d}T040000000000Z-v2"


def silver(lake: Lake, days_ago: int) -> None:
    """Lead readers to a build of some days ago."""
    build, at = build_of(days_ago), (NOW - timedelta(days=days_ago)).replace(hour=4)
    (lake.silver / "builds" / build).mkdir(parents=True)
    (lake.silver / "fundamentals_wide").unlink(missing_ok=True)
    (lake.silver / "fundamentals_wide").symlink_to(f"builds/{build}")
    content = {"parameters": {"as_of": None}, "silver": {"build": f"/lake/silver/builds/{build}"}}
    times = {"started": at.isoformat(), "ended": at.isoformat()}
    entry(lake, build, flow="silver", outcome="succeeded", **content, **times)


def publish(lake: Lake, to: str, days_ago: float, failed: str = "") -> None:
    started = (NOW - timedelta(days=days_ago)).isoformat()
    ended = {"outcome": "failed", "message": failed} if failed else {"outcome": "succeeded"}
    done = {} if failed else {"published": {"build": build_of(int(days_ago))}}
    entry(lake, f"{to[-1]}-{days_ago}", flow="publish", started=started, ended=started,
          parameters={"to": to}, **ended, **done)  # fmt: skip


def places(lake: Lake) -> dict[str, bool | None]:
    """Return what the rows of the places say."""
    rows = check_status(gather(lake, {}, NOW, datasets=()))
    return {r.name.split()[-1]: r.ok for r in rows if r.name.startswith("published in ")}


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        # One trial, alone or beside the place that is published to every night.
        ([("/try", 20)], {"/try": None}),
        ([("/try", 20), *(("s3://a", n) for n in (2, 1, 0))], {"/try": None, "s3://a": True}),
        ([("/try", 20), ("/try", 20.1), ("s3://a", 0)], {"/try": None, "s3://a": True}),
        # Renamed three weeks ago.
        ([("s3://b", 23), ("s3://b", 22), ("s3://a", 0)], {"s3://b": None, "s3://a": True}),
        # One of two is given up, which is an alarm for a week; of the only one, for good.
        ([("s3://b", 5), ("s3://b", 4), ("s3://a", 0)], {"s3://b": False, "s3://a": True}),
        ([("s3://b", 23), ("s3://b", 22)], {"s3://b": False}),
    ],
)  # fmt: skip
def test_a_place_that_nobody_keeps_up_is_not_judged(
    lake: Lake, runs: list[tuple[str, float]], expected: dict[str, bool | None]
) -> None:
    for days_ago in range(25, -1, -1):
        silver(lake, days_ago)
    for to, days_ago in runs:
        publish(lake, to, days_ago)
    assert places(lake) == expected


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        # A bucket that is not there: an alarm until another place is published to, or for a week.
        ([("s3://x", 1, "no bucket")], {"s3://x": False}),
        ([("s3://x", 1, "no bucket"), ("s3://a", 0, "")], {"s3://x": None, "s3://a": True}),
        ([("s3://x", 9, "no bucket")], {"s3://x": None}),
        # Every night in vain, beside another place that is well.
        ([("s3://y", 1, "denied"), ("s3://y", 0.1, "denied"), ("s3://a", 0, "")],
         {"s3://y": False, "s3://a": True}),
        ([("s3://a", 10, ""), ("s3://a", 8.5, "denied")], {"s3://a": False}),
    ],
)  # fmt: skip
def test_a_failure_is_told_while_the_place_is_in_use(
    lake: Lake, runs: list[tuple[str, float, str]], expected: dict[str, bool | None]
) -> None:
    silver(lake, 0)
    for to, days_ago, failed in runs:
        publish(lake, to, days_ago, failed)
    assert places(lake) == expected


@pytest.mark.parametrize(
    ("built", "monday", "tuesday"),
    [
        # Friday's silver ended after Saturday's publishing; the next is on Tuesday at 00:20.
        ("2026-11-21T00:25", None, None),
        ("2026-11-19T00:25", False, False),
        # Built by hand on a Saturday or Sunday.
        ("2026-11-22T15:00", None, None),
    ],
)
def test_a_weekend_does_not_count(
    lake: Lake, built: str, monday: bool | None, tuesday: bool | None
) -> None:
    (lake.silver / "builds" / "new").mkdir(parents=True)
    (lake.silver / "fundamentals_wide").symlink_to("builds/new")
    ended = datetime.fromisoformat(built).replace(tzinfo=NEW_YORK)
    for day in (2, 1):
        times = dict.fromkeys(("started", "ended"), (ended - timedelta(days=day)).isoformat())
        entry(lake, f"p{day}", flow="publish", outcome="succeeded", parameters={"to": "s3://a"},
              published={"build": "old"}, **times)  # fmt: skip
    entry(lake, "silver", flow="silver", outcome="succeeded", started=ended.isoformat(),
          ended=ended.isoformat(), silver={"build": "/lake/silver/builds/new"})  # fmt: skip
    said = []
    for day, hour in ((23, 7), (24, 1)):
        moment = datetime(2026, 11, day, hour, tzinfo=NEW_YORK)
        rows = check_status(gather(lake, {}, moment, datasets=()))
        said += [row.ok for row in rows if row.name == "published in s3://a"]
    assert said == [monday, tuesday]
