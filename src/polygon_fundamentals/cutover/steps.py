"""The steps of a migration, in the order of docs/migration.md, and which of them are done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from polygon_fundamentals import ledger
from polygon_fundamentals.cutover import checksums
from polygon_fundamentals.cutover.thresholds import Thresholds
from polygon_fundamentals.lake import silver_files
from polygon_fundamentals.lake.archived_rows import archived_since
from polygon_fundamentals.lake.listing import states
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.ledger import RunEntry, queries
from polygon_fundamentals.ledger.v1_endpoint import LEDGER_DAYS, V1Endpoint, v1_endpoint
from polygon_fundamentals.statements import Generation, Statement

REFRESHED_WITHIN = timedelta(days=7)


@dataclass(frozen=True)
class V2Files:
    """How much of v2 a lake has."""

    files: int
    bytes: int
    tickers: int


@dataclass(frozen=True)
class Progress:
    """How far a lake's migration is, by its ledger and its folders.

    `endpoint` is what is known of v1's, and `days` on how many business days in a row the daily
    update succeeded. `done` names what need not be done again: load, silver, refresh, parity,
    drill, checksums, cutover, cleanup.
    """

    endpoint: V1Endpoint
    v2: V2Files
    days: int
    days_required: int
    done: frozenset[str]

    @property
    def generation(self) -> str:
        """What loads are to ask for: both generations while v1 is not taken for gone."""
        return "v2" if self.endpoint.retired else "both"


@dataclass(frozen=True)
class Step:
    """A step of the migration; `done` is None where `checklist` has to say it."""

    words: str
    done: bool | None


def progress_of(lake: Lake, now: datetime) -> Progress:
    """Return how far a lake's migration is. Nothing is written."""
    entries = ledger.read_entries(lake, now - LEDGER_DAYS)[0]
    archived = archived_since(lake)
    endpoint = v1_endpoint(entries, now, archived)
    listed = [states(lake.dataset(Generation.V2, statement)) for statement in Statement]
    v2 = V2Files(
        sum(map(len, listed)),
        sum(file.size for files in listed for file in files),
        len({file.ticker for files in listed for file in files}),
    )
    generations = [Generation.V2] if endpoint.retired else list(Generation)
    days = len(queries.days_in_a_row(entries, generations, now))
    done = {
        "load": all(listed) and (endpoint.retired or _has_v1(entries)),
        "silver": silver_files.link_of(lake).is_symlink(),
        "refresh": _refreshed(entries, now),
        "parity": _passed_parity(entries),
        "drill": _passed_drill(entries),
        "checksums": checksums.recorded(lake) is not None,
        "cutover": lake.primary is Generation.V2,
        "cleanup": archived is not None,
    }
    names = frozenset(name for name, is_done in done.items() if is_done)
    return Progress(endpoint, v2, days, Thresholds().business_days, names)


def _has_v1(entries: list[RunEntry]) -> bool:
    reports = (entry.generations.get(Generation.V1) for entry in entries)
    return any(report is not None and report.ok for report in reports)


def _refreshed(entries: list[RunEntry], now: datetime) -> bool:
    last = queries.newest(entries, "refresh")
    recent = last is not None and now - last.started <= REFRESHED_WITHIN
    return recent and last is not None and last.outcome == ledger.SUCCEEDED


def _passed_parity(entries: list[RunEntry]) -> bool:
    last = queries.newest_parity(entries)
    return last is not None and last.parity is not None and last.parity.passed


def _passed_drill(entries: list[RunEntry]) -> bool:
    last = queries.newest(entries, "drill")
    return last is not None and last.drill is not None and last.drill.passed


def steps_of(progress: Progress, here: str, *, has_v1: bool, adopt_path: bool) -> Iterator[Step]:
    """Yield the steps from the first load to the cleanup; `here` is the option that names the lake.

    A lake without v1 has nothing to compare with, nothing to archive and nothing to clean up.
    """
    which, over = progress.generation, "cutover" in progress.done
    gone = progress.endpoint.retired

    def step(command: str, name: str = "", why: str = "") -> Step:
        note = f"  # {why}" if why else ""
        done = (over or name in progress.done) if name else None
        return Step(f"polygon-fundamentals {command} {here}{note}", done)

    asked = "--generation both, if v1 still answers" if progress.endpoint.state == "unknown" else ""
    yield step(f"historical-load --generation {which}", "load", asked if gone and has_v1 else "")
    yield step(f"silver{' --adopt-path' if adopt_path else ''}", "silver")
    days = f"on {progress.days_required} business days, {progress.days} so far"
    update = step(f"daily-update --generation {which}", "update", days)
    yield Step(update.words, update.done or progress.days >= progress.days_required)
    yield step("refresh", "refresh", "every week")
    if has_v1:
        yield step("parity", "parity", "then read its review page and settle what it names")
    yield step("drill", "drill")
    if not has_v1:
        why = "the checklist asks for v1, of which there is nothing"
        yield step("cutover --execute --force REASON", "cutover", why)
        return
    if gone:
        why = "once, as v1's files no longer change"
        yield step("checklist --record-checksums", "checksums", why)
    yield Step(
        "name who signs in deployments/contacts.toml, and describe your readers' queries in "
        "deployments/readers.toml",
        True if over else None,
    )
    items = "for each of training, parity, cutover and rollback"
    for command, why in (
        ("sign-off ITEM --by NAME", items),
        ("checklist", "until it exits with 0; below each unmet line is what to do"),
    ):
        yield Step(step(command, why=why).words, True if over else None)
    yield step("cutover --execute", "cutover")
    cleaned = step("cleanup --execute", "cleanup", "90 days later")
    yield Step(cleaned.words, "cleanup" in progress.done)
