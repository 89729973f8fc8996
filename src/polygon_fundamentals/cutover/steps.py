"""The steps of a migration, in the order of docs/migration.md, and which of them are done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from polygon_fundamentals import ledger
from polygon_fundamentals.cutover.checklist import Checklist
from polygon_fundamentals.lake import silver_files
from polygon_fundamentals.lake.archived_rows import archived_since
from polygon_fundamentals.lake.listing import states
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.ledger import RunEntry, queries
from polygon_fundamentals.ledger.v1_endpoint import LEDGER_DAYS, V1Endpoint, v1_endpoint
from polygon_fundamentals.statements import Generation, Statement

# Steps that are done when these lines of the checklist are met.
_JUDGED = {
    "updates": ("parallel runs", "v2 runs"),
    "parity": ("parity",),
    "drill": ("drill",),
    "checksums": ("v1 checksums",),
    "sign-offs": ("sign-offs",),
}


@dataclass(frozen=True)
class V2Files:
    """How much of v2 a lake has."""

    files: int
    bytes: int
    tickers: int


@dataclass(frozen=True)
class Progress:
    """How far a lake's migration is, by its folders, its ledger and its checklist.

    `endpoint` is what is known of v1's, and `updates` the checklist's evidence on daily updates.
    `done` names what need not be done again: load, silver, updates, parity, drill, checksums,
    sign-offs, checklist, cutover, cleanup.
    """

    endpoint: V1Endpoint
    v2: V2Files
    updates: str
    done: frozenset[str]

    @property
    def generation(self) -> str:
        """What loads are to ask for: both generations while v1 is not taken for gone."""
        return "v2" if self.endpoint.retired else "both"


@dataclass(frozen=True)
class Step:
    """A step of the migration; `done` is None where nothing judges it."""

    words: str
    done: bool | None


def progress_of(lake: Lake, checklist: Checklist, now: datetime) -> Progress:
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
    done = {
        "load": all(listed) and _is_loaded(entries, endpoint),
        "silver": silver_files.link_of(lake).is_symlink(),
        "checklist": not checklist.unmet,
        "cutover": lake.primary is Generation.V2,
        "cleanup": archived is not None,
    }
    evidence = {item.name: item for item in checklist.items}
    for name, lines in _JUDGED.items():
        judged = [evidence[line] for line in lines if line in evidence]
        done[name] = any(item.ok for item in judged)
    updates = next((evidence[n].detail for n in _JUDGED["updates"] if n in evidence), "")
    names = frozenset(name for name, is_done in done.items() if is_done)
    return Progress(endpoint, v2, updates, names)


def _is_loaded(entries: Sequence[RunEntry], endpoint: V1Endpoint) -> bool:
    """Return whether the newest historical load was not cut off, and v1 was loaded if it answers.

    A ledger that begins after the load says nothing against it.
    """
    last = queries.newest(entries, "historical-load")
    if last is not None and last.outcome != ledger.SUCCEEDED:
        return False
    reports = (entry.generations.get(Generation.V1) for entry in entries)
    return endpoint.retired or any(report is not None and report.ok for report in reports)


def steps_of(progress: Progress, here: str, *, has_v1: bool, adopt_path: bool) -> Iterator[Step]:
    """Yield the steps from the first load to the cleanup; `here` is the option that names the lake.

    Of a lake that was cut over, all before that is done. One without v1 has nothing to compare
    with, and nothing to clean up.
    """
    which, over = progress.generation, "cutover" in progress.done
    gone = progress.endpoint.retired

    def done(name: str) -> bool:
        return over or name in progress.done

    def step(command: str, is_done: bool | None, why: str = "") -> Step:
        note = f"  # {why}" if why else ""
        return Step(f"polygon-fundamentals {command} {here}{note}", is_done)

    asked = "--generation both, if v1 still answers" if progress.endpoint.state == "unknown" else ""
    yield step(
        f"historical-load --generation {which}", done("load"), asked if gone and has_v1 else ""
    )
    yield step(f"silver{' --adopt-path' if adopt_path else ''}", done("silver"))
    why = f"on every business day; {progress.updates}"
    yield step(f"daily-update --generation {which}", done("updates"), why)
    yield step("refresh", None, "every week")
    if has_v1:
        why = "then read its review page and settle what it names"
        yield step("parity", done("parity"), why)
    yield step("drill", done("drill"))
    if not has_v1:
        why = "the checklist asks for v1, of which there is nothing"
        yield step("cutover --execute --force REASON", over, why)
        return
    if gone:
        why = "once, as v1's files no longer change"
        yield step("checklist --record-checksums", done("checksums"), why)
    yield Step(
        "name who signs in deployments/contacts.toml, and describe your readers' queries in "
        "deployments/readers.toml",
        True if over else None,
    )
    why = "for each of training, parity, cutover and rollback"
    yield step("sign-off ITEM --by NAME", done("sign-offs"), why)
    why = "until it exits with 0; below each unmet line is what to do"
    yield step("checklist", done("checklist"), why)
    yield step("cutover --execute", over)
    yield step("cleanup --execute", "cleanup" in progress.done, "90 days later")
