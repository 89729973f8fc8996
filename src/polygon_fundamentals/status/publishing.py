"""What the ledger says of published tables: what is where, and how old it is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from polygon_fundamentals.business_days import day_of, start_of
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.ledger import RUNNING, SUCCEEDED, RunEntry

# A build is published the night after at the latest. Saturdays and Sundays do not count: nothing
# is published before Tuesday's first minutes.
LATE = timedelta(hours=36)
# Some publish once a week: a week, and a day for the hour not to matter.
LATELY = timedelta(days=8)
_SATURDAY = 5


@dataclass(frozen=True)
class Published:
    """What is published in one place: the build, since when, and why the last attempt failed.

    `behind` is the build that readers of the lake see, where it is another; `late` says that they
    have seen others for more than a day and a half of weekdays. `in_use` says that the place is to
    be kept up: it was published to on several days, and lately or last of all. One where the last
    run failed is in use for some days though it was the first, unless another place was published
    to since.
    """

    to: str
    build: str | None
    at: datetime | None
    failed: str | None
    behind: str | None
    late: bool
    in_use: bool


def published(lake: Lake, entries: Sequence[RunEntry], at: datetime) -> Iterator[Published]:
    """Yield every place that was published to; `entries` are the ledger's, oldest first."""
    present = present_build(lake)
    runs: dict[str, list[RunEntry]] = {}
    last_of_all: RunEntry | None = None
    for entry in entries:
        if entry.flow == "publish" and entry.outcome != RUNNING:
            runs.setdefault(str(entry.parameters.get("to")), []).append(entry)
            last_of_all = entry
    for to, mine in runs.items():
        good = next((e for e in reversed(mine) if e.outcome == SUCCEEDED), None)
        build = good.content["published"]["build"] if good else None
        behind = present if present != build else None
        failed = None if mine[-1] is good else mine[-1].message or mine[-1].outcome
        since = _behind_since(entries, good) if good and behind else at
        last = good.last_moment if good else None
        lately, newest = at - mine[-1].last_moment <= LATELY, mine[-1] is last_of_all
        several_days = len({day_of(entry.started) for entry in mine}) > 1
        in_use = (several_days and (lately or newest)) or (bool(failed) and lately and newest)
        late = _weekday_time(since, at) > LATE
        yield Published(to, build, last, failed, behind, late, in_use)


def present_build(lake: Lake) -> str | None:
    """Return the name of the build of silver that readers see, None where there is none."""
    link = lake.silver / "fundamentals_wide"
    return Path(os.path.realpath(link)).name if link.is_symlink() else None


def _weekday_time(since: datetime, until: datetime) -> timedelta:
    """Return how long it was, without the Saturdays and Sundays in New York."""
    passed, day = until - since, day_of(since)
    while day <= day_of(until):
        after = day + timedelta(days=1)
        if day.weekday() >= _SATURDAY:
            passed -= min(until, start_of(after)) - max(since, start_of(day))
        day = after
    return passed


def _behind_since(entries: Sequence[RunEntry], good: RunEntry) -> datetime:
    """Return when readers first saw another build than the one published.

    That is the end of the first run that built another, as far as the ledger has one; a cutover or
    a rollback leads them to another too, and that is at the last good publish at the earliest.
    """
    published = good.content["published"]["build"]
    for entry in entries:
        built = Path(entry.content.get("silver", {}).get("build") or published).name
        of_today = entry.flow == "silver" and not entry.parameters.get("as_of")
        later = of_today and entry.last_moment > good.last_moment
        if later and entry.outcome == SUCCEEDED and built != published:
            return entry.last_moment
    return good.last_moment
