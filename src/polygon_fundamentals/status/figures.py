"""The figures of `status`: what is in the lake and what the ledger says of the runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from polygon_fundamentals import ledger
from polygon_fundamentals.business_days import STALE_DAYS, day_of, previous_business_day
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.archived_rows import archived_since
from polygon_fundamentals.lake.catalogue import DatasetCounts, counts
from polygon_fundamentals.lake.dataset_summary import Look
from polygon_fundamentals.lake.layout import check_layout
from polygon_fundamentals.lake.listing import OtherWriters
from polygon_fundamentals.ledger import CRASHED, RUNNING, SUCCEEDED, RunEntry
from polygon_fundamentals.ledger.queries import days_in_a_row, is_whole, newest_parity
from polygon_fundamentals.ledger.v1_endpoint import LEDGER_DAYS, V1Endpoint, v1_endpoint
from polygon_fundamentals.statements import Generation
from polygon_fundamentals.status.follow_ups import (
    FollowUp,
    follow_parity,
    follow_ratios,
    follow_silver,
    follow_verify,
)
from polygon_fundamentals.status.measures import Evidence, measure
from polygon_fundamentals.status.publishing import Published, published
from polygon_fundamentals.status.refreshing import last_refreshed, tickers_withheld
from polygon_fundamentals.status.targets import Measured, Target

# States of v1 in which nothing more is loaded.
ENDED = ("frozen", "archived")
# Of a v1 that is taken for gone without a 410 of its own.
GONE = "probably switched off: its announced end has passed, and nothing has answered since"
RUNS_SHOWN = 8
# Updates of one evening begin within it; those of the next evening do not.
_AN_EVENING = timedelta(hours=20)


@dataclass(frozen=True)
class RunLine:
    """One run, as the ledger has it; one that is dead (`ledger.entry.is_dead`) is `crashed`.

    `reported` says that it is a parity with a report and a review page.
    """

    run: str
    flow: str
    generation: str
    started: datetime
    seconds: float
    outcome: str
    message: str
    requests: int
    reported: bool


@dataclass(frozen=True)
class Update:
    """What became of the daily updates of a generation for the whole lake.

    `asked` says whether any was run for this generation. `windows` are the first and
    last days of the windows loaded whole, `ended` when the newest of them was, `failed` the
    reason where the newest run failed for this generation.
    """

    asked: bool = False
    windows: tuple[tuple[date, date], ...] = ()
    ended: datetime | None = None
    failed: str | None = None

    @property
    def until(self) -> date | None:
        """The last day of the newest window."""
        return max((last for _, last in self.windows), default=None)


@dataclass(frozen=True)
class Figures:
    """All figures at one moment. Ratios are v2's to v1's, None where one is missing.

    `v1_rests` says why v1 is updated no more, and is empty while it should be. `days_in_a_row`
    are the business days on which both succeeded, or v2 where v1 rests. `withheld` are tickers of
    which `refresh` withheld rows. `updating_since` is when the first daily update began that asked
    for v2. `others` are files that another tool wrote. `silver`, `verified`, `compared` (by a
    parity that passed) and `ratios` are the runs beside the loads. `cut_off` is the reason and the
    remedy of a switch that was cut off. A statement without a new filing for more than
    `stale_days` stands still.
    """

    lake: str
    at: datetime
    primary: str
    pointer: str
    datasets: tuple[DatasetCounts, ...]
    runs: tuple[RunLine, ...]
    updates: Mapping[str, Update]
    days_in_a_row: tuple[date, ...]
    days_required: int
    time_ratio: float | None
    storage_ratio: float | None
    targets: tuple[Measured, ...]
    parity: Mapping[str, Any] | None
    v1: V1Endpoint
    v1_rests: str
    refreshed: datetime | None
    withheld: tuple[str, ...]
    updating_since: datetime | None
    difference_then: float | None
    difference_now: float | None
    damaged: tuple[str, ...]
    others: OtherWriters
    silver: FollowUp | None
    verified: FollowUp | None
    compared: FollowUp | None
    ratios: FollowUp | None = None
    published: tuple[Published, ...] = ()
    cut_off: tuple[str, str] | None = None
    stale_days: float = STALE_DAYS


def gather(
    lake: Lake,
    targets: Mapping[str, Target],
    now: datetime | None = None,
    datasets: Sequence[DatasetCounts] | None = None,
    requests_per_minute: int | None = None,
    days_required: int = 5,
    others: OtherWriters = OtherWriters(),  # noqa: B008 - it is frozen
    cut_off: tuple[str, str] | None = None,
    stale_days: float = STALE_DAYS,
) -> Figures:
    """Return the figures of a lake. Writes nothing but the catalogue, which is derived.

    `datasets` are the counts where they have just been taken.
    `requests_per_minute` is the rate limit of runs whose entries name none, `days_required` the
    days in a row that the checklist asks for, `cut_off` what `cutover.cut_off` found, and
    `stale_days` the limit of parity's rule `freshness`.

    Raises:
        LakeError: as `check_layout`.
    """
    check_layout(lake)
    at = now or datetime.now(UTC)
    entries, damaged = ledger.read_entries(lake, at - LEDGER_DAYS)
    entries = [entry for entry in entries if entry.started <= at]
    if datasets is None:
        datasets = counts(lake, Look.RECENT)
    daily = [entry for entry in entries if entry.flow == "daily-update"]
    then, present = _differences(daily)
    v1 = v1_endpoint(entries, at, archived_since(lake))
    primary = lake.primary
    rests = _v1_rests(lake, v1, primary, daily)
    wanted = [Generation.V2] if rests else list(Generation)
    sizes = {g: sum(d.bytes for d in datasets if d.generation is g) for g in Generation}
    return Figures(
        lake=str(lake.root),
        at=at,
        primary=primary.value,
        pointer=_pointer(lake),
        datasets=tuple(datasets),
        runs=tuple(_line(entry) for entry in reversed(entries[-RUNS_SHOWN:])),
        updates={g.value: _update(daily, g) for g in Generation},
        days_in_a_row=tuple(days_in_a_row(entries, wanted, at)),
        days_required=days_required,
        time_ratio=_time_ratio(entries),
        storage_ratio=_ratio(sizes[Generation.V2], sizes[Generation.V1]),
        targets=measure(Evidence(entries, datasets, at, requests_per_minute), targets),
        parity=_parity(entries),
        v1=v1,
        v1_rests=rests,
        refreshed=last_refreshed(entries),
        withheld=tickers_withheld(entries),
        updating_since=next((e.started for e in daily if e.asked_for(Generation.V2)), None),
        difference_then=then,
        difference_now=present,
        damaged=tuple(str(path) for path in damaged),
        others=others,
        silver=follow_silver(lake, entries, at),
        verified=follow_verify(entries),
        compared=follow_parity(entries),
        ratios=follow_ratios(entries, at),
        published=tuple(published(lake, entries, at)),
        cut_off=cut_off,
        stale_days=stale_days,
    )


def _v1_rests(lake: Lake, v1: V1Endpoint, primary: Generation, daily: Sequence[RunEntry]) -> str:
    if v1.state in ENDED:
        return f"{v1.state} since {v1.since}"
    if primary is Generation.V2 and not _is_still_updated(lake, daily):
        return "not updated since the cutover"
    return GONE if v1.retired else ""


def _is_still_updated(lake: Lake, daily: Sequence[RunEntry]) -> bool:
    """Return whether updates since the cutover ask for v1 as for v2: a rollback misses no day."""
    asked = [
        max((e.started for e in daily if is_whole(e) and e.asked_for(g)), default=None)
        for g in Generation
    ]
    v1, v2 = asked
    # The link is made anew by each switch.
    switched = datetime.fromtimestamp(lake.pointer.lstat().st_mtime, UTC)
    return v1 is not None and v1 > switched and (v2 is None or v2 - v1 < _AN_EVENING)


def _pointer(lake: Lake) -> str:
    if lake.pointer.is_symlink():
        return f"a link to {lake.generation_folder(lake.primary).name}"
    return "v1's own folder" if lake.pointer.exists() else "not there yet"


def _outcome(entry: RunEntry) -> str:
    return CRASHED if ledger.is_dead(entry) else entry.outcome


def _line(entry: RunEntry) -> RunLine:
    return RunLine(
        run=entry.run,
        flow=entry.flow,
        generation=str(entry.parameters.get("generation") or ""),
        started=entry.started,
        seconds=entry.seconds,
        outcome=_outcome(entry),
        message=entry.message,
        requests=sum(report.requests for report in entry.generations.values()),
        reported=entry.parity is not None,
    )


def _update(daily: Sequence[RunEntry], generation: Generation) -> Update:
    """Return how the updates of the whole lake went.

    Updates of single tickers or of past days do not count, as in the checklist.
    """
    asked = False
    windows = list[tuple[date, date]]()
    ended: datetime | None = None
    failed: str | None = None
    for entry in filter(is_whole, daily):
        wanted = entry.asked_for(generation)
        asked = asked or wanted
        report = entry.generations.get(generation)
        if report and report.ok:
            first, last = (date.fromisoformat(report.window[name]) for name in ("from", "to"))
            windows.append((first, last))
            # Where there was none before, one up to an earlier day is still a success.
            if ended is None or last >= previous_business_day(day_of(entry.started)):
                ended, failed = entry.last_moment, None
        elif report and (report.frozen_since or report.archived_since):
            failed = None
        elif wanted and _outcome(entry) != RUNNING:
            reasons = [unit.reason for unit in report.failed] if report else []
            failed = (reasons or [entry.message or _outcome(entry)])[0]
    return Update(asked, tuple(windows), ended, failed)


def _ratio(above: float, below: float) -> float | None:
    return round(above / below, 3) if above and below else None


def _time_ratio(entries: Sequence[RunEntry]) -> float | None:
    """Return v2's run time to v1's in the newest run that loaded both."""
    for entry in reversed(entries):
        v1, v2 = (entry.generations.get(g) for g in (Generation.V1, Generation.V2))
        if entry.outcome != SUCCEEDED or v1 is None or v2 is None or v1.frozen_since:
            continue
        if v1.seconds and v2.seconds and not v1.failed and not v2.failed:
            return _ratio(v2.seconds, v1.seconds)
    return None


def _parity(entries: Sequence[RunEntry]) -> Mapping[str, Any] | None:
    entry = newest_parity(entries)
    if entry is None:
        return None
    passed = entry.parity.passed if entry.parity else entry.outcome == SUCCEEDED
    ended = entry.content.get("ended")  # the text, as it stands in the JSON of status
    message, reported = entry.content.get("message"), entry.parity is not None
    return {"passed": passed, "ended": ended, "message": message, "reported": reported}


def _differences(daily: Sequence[RunEntry]) -> tuple[float | None, float | None]:
    """Return by which share the generations' counts of records differed, some runs ago and now."""
    shares = []
    for entry in daily:
        v1, v2 = (sum(entry.records.get(g, {}).values()) for g in Generation)
        if v1 and v2:
            shares.append(abs(v1 - v2) / max(v1, v2))
    if len(shares) < 2:
        return None, None
    return shares[max(0, len(shares) - 6)], shares[-1]
