"""The figures of `status`: what is in the lake and what the ledger says of the runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from polygon_fundamentals import ledger
from polygon_fundamentals.cutover import evidence
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.archived_rows import archived_since
from polygon_fundamentals.lake.catalogue import DatasetCounts, counts
from polygon_fundamentals.ledger import CRASHED, RUNNING, SUCCEEDED, Record
from polygon_fundamentals.statements import Generation
from polygon_fundamentals.status.measures import Evidence, ended_at, measure
from polygon_fundamentals.status.targets import Measured, Target
from polygon_fundamentals.v1_endpoint import LEDGER_DAYS, V1Endpoint, v1_endpoint

# States of v1 in which nothing more is taken in.
ENDED = ("frozen", "archived")
RUNS_SHOWN = 8


@dataclass(frozen=True)
class RunLine:
    """One run, as the ledger has it; `running` for an hour and silent is `crashed`."""

    run: str
    flow: str
    generation: str
    started: datetime
    seconds: float
    outcome: str
    message: str
    requests: int


@dataclass(frozen=True)
class Update:
    """What became of the daily updates of a generation.

    `asked` says whether any was run for this generation. `until` is the last day of the newest
    window taken in whole, `ended` when that run ended, `failed` the reason where the newest run
    failed for this generation.
    """

    asked: bool = False
    until: date | None = None
    ended: datetime | None = None
    failed: str | None = None


@dataclass(frozen=True)
class Figures:
    """All figures at one moment. Ratios are v2's to v1's, None where one is missing.

    `v1_rests` says why v1 is updated no more, and is empty while it should be. `days_in_a_row`
    are the business days on which both succeeded, or v2 where v1 rests.
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
    updating_since: datetime | None
    difference_then: float | None
    difference_now: float | None
    damaged: tuple[str, ...]


def gather(
    lake: Lake,
    targets: Mapping[str, Target],
    now: datetime | None = None,
    datasets: Sequence[DatasetCounts] | None = None,
    requests_per_minute: int | None = None,
    days_required: int = 5,
) -> Figures:
    """Return the figures of a lake. Writes nothing but the catalogue, which is derived.

    `datasets` are the counts where they have just been taken; else every file is counted.
    `requests_per_minute` is the rate limit of runs whose entries name none, `days_required` the
    days in a row that the checklist asks for.

    Raises:
        LakeError: the pointer leads to no generation of this lake.
    """
    at = now or datetime.now(UTC)
    found, damaged = ledger.records(lake, at - LEDGER_DAYS)
    found = [record for record in found if record.started <= at]
    if datasets is None:
        datasets = counts(lake)
    daily = [record for record in found if record.found["flow"] == "daily-update"]
    then, present = _differences(daily)
    v1 = v1_endpoint(found, at, archived_since(lake))
    primary = lake.primary
    rests = _v1_rests(v1, primary)
    wanted = [Generation.V2] if rests else list(Generation)
    sizes = {g: sum(d.bytes for d in datasets if d.generation is g) for g in Generation}
    return Figures(
        lake=str(lake.root),
        at=at,
        primary=primary.value,
        pointer=_pointer(lake),
        datasets=tuple(datasets),
        runs=tuple(_line(record) for record in reversed(found[-RUNS_SHOWN:])),
        updates={g.value: _update(daily, g) for g in Generation},
        days_in_a_row=tuple(evidence.days_in_a_row(found, wanted, at)),
        days_required=days_required,
        time_ratio=_time_ratio(found),
        storage_ratio=_ratio(sizes[Generation.V2], sizes[Generation.V1]),
        targets=measure(Evidence(found, datasets, at, requests_per_minute), targets),
        parity=_parity(found),
        v1=v1,
        v1_rests=rests,
        refreshed=_ended_well(found, "refresh"),
        updating_since=daily[0].started if daily else None,
        difference_then=then,
        difference_now=present,
        damaged=tuple(str(path) for path in damaged),
    )


def _v1_rests(v1: V1Endpoint, primary: Generation) -> str:
    if v1.state in ENDED:
        return f"{v1.state} since {v1.since}"
    if primary is Generation.V2:
        return "not updated since the cutover"
    return "no recent answer, and its sunset has passed" if v1.retired else ""


def _pointer(lake: Lake) -> str:
    if lake.pointer.is_symlink():
        return f"a link to {lake.generation_folder(lake.primary).name}"
    return "v1's own folder" if lake.pointer.exists() else "not there yet"


def _told(record: Record, generation: Generation) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (record.found.get("generations") or {}).get(generation.value) or {}
    return found


def _outcome(record: Record) -> str:
    return CRASHED if ledger.is_dead(record) else record.outcome


def _line(record: Record) -> RunLine:
    generations = record.found.get("generations") or {}
    return RunLine(
        run=str(record.found.get("run")),
        flow=str(record.found["flow"]),
        generation=str(record.found["parameters"].get("generation") or ""),
        started=record.started,
        seconds=float(record.found.get("seconds") or 0.0),
        outcome=_outcome(record),
        message=str(record.found.get("message") or ""),
        requests=sum(int(told.get("requests") or 0) for told in generations.values()),
    )


def _update(daily: Sequence[Record], generation: Generation) -> Update:
    asked = False
    until: date | None = None
    ended: datetime | None = None
    failed: str | None = None
    for record in daily:
        wanted = record.found["parameters"].get("generation") in (generation.value, "both")
        asked = asked or wanted
        told = _told(record, generation)
        if told.get("ok"):
            day = date.fromisoformat(told["window"]["to"])
            until = max(until or day, day)
            ended, failed = ended_at(record), None
        elif told.get("frozen_since") or told.get("archived_since"):
            failed = None
        elif wanted and _outcome(record) != RUNNING:
            reasons = [str(unit["reason"]) for unit in told.get("failed") or ()]
            message = str(record.found.get("message") or "")
            failed = (reasons or [message or _outcome(record)])[0]
    return Update(asked, until, ended, failed)


def _ratio(above: float, below: float) -> float | None:
    return round(above / below, 3) if above and below else None


def _time_ratio(found: Sequence[Record]) -> float | None:
    """Return v2's run time to v1's in the newest run that loaded both."""
    for record in reversed(found):
        told = {g: _told(record, g) for g in Generation}
        whole = all(t.get("seconds") and not t.get("failed") for t in told.values())
        if record.outcome == SUCCEEDED and whole and not told[Generation.V1].get("frozen_since"):
            return _ratio(told[Generation.V2]["seconds"], told[Generation.V1]["seconds"])
    return None


def _ended_well(found: Sequence[Record], flow: str) -> datetime | None:
    ended = [ended_at(r) for r in found if r.found["flow"] == flow and r.outcome == SUCCEEDED]
    return max(ended, default=None)


def _parity(found: Sequence[Record]) -> Mapping[str, Any] | None:
    for record in reversed(found):
        if record.found["flow"] == "parity" and record.outcome != RUNNING:
            passed = record.found.get("passed")
            return {
                "passed": passed if isinstance(passed, bool) else record.outcome == SUCCEEDED,
                "ended": record.found.get("ended"),
                "message": record.found.get("message"),
            }
    return None


def _differences(daily: Sequence[Record]) -> tuple[float | None, float | None]:
    """Return by which share the generations' counts of records differed, some runs ago and now."""
    shares = []
    for record in daily:
        records = record.found.get("records") or {}
        v1, v2 = (sum((records.get(g.value) or {}).values()) for g in Generation)
        if v1 and v2:
            shares.append(abs(v1 - v2) / max(v1, v2))
    if len(shares) < 2:
        return None, None
    return shares[max(0, len(shares) - 6)], shares[-1]
