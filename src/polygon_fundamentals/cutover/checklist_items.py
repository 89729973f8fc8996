"""The lines of the checklist: each judges one matter by its evidence."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from polygon_fundamentals.cutover import (
    checksums,
    companions,
    other_writers,
    rehearsal,
    sign_offs,
    signed_parity,
)
from polygon_fundamentals.cutover.thresholds import Thresholds
from polygon_fundamentals.errors import without_class
from polygon_fundamentals.lake.listing import states
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.ledger import RunEntry, queries
from polygon_fundamentals.reports import counted
from polygon_fundamentals.statements import Generation, Statement

SHOWN = 3
# v1 can no longer be loaded with most keys, and a lake need not have it.
WITHOUT_V1 = (
    "store recordings of v1's answers with `import-v1`, or go on without v1 and override the line: "
    "`cutover --execute --force REASON`"
)


class Verdict(NamedTuple):
    """What a line is judged to be: `detail` is the evidence, `remedy` how to meet it.

    `ok` is None where it cannot be judged, and `detail` says what is missing.
    """

    ok: bool | None
    detail: str
    remedy: str


@dataclass(frozen=True)
class Case:
    """What the lines are judged by."""

    lake: Lake
    entries: Sequence[RunEntry]
    thresholds: Thresholds
    contacts: sign_offs.Contacts
    now: datetime
    retired: bool


def parallel_runs_item(case: Case) -> Verdict:
    """Return on how many business days in a row both pipelines succeeded."""
    return _days_in_a_row(case, list(Generation), "both pipelines succeeded")


def v2_runs_item(case: Case) -> Verdict:
    """Return on how many business days in a row v2 succeeded."""
    return _days_in_a_row(case, [Generation.V2], "v1 is retired; v2 succeeded")


def _days_in_a_row(case: Case, wanted: Sequence[Generation], words: str) -> Verdict:
    generation = wanted[0] if len(wanted) == 1 else "both"
    remedy = (
        f"run `daily-update --generation {generation}` on every business day, for today and "
        "for all tickers, statements and timeframes"
    )
    if not queries.successful_days(case.entries, wanted, case.now):
        detail = "no successful daily update of the whole lake is in the ledger"
        return Verdict(None, detail, remedy)
    row = queries.days_in_a_row(case.entries, wanted, case.now)
    least = case.thresholds.business_days
    span = f" ({row[0]} to {row[-1]})" if row else ""
    return Verdict(
        len(row) >= least,
        f"{words} on {counted(len(row), 'business day')} in a row{span}; {least} are required",
        remedy,
    )


def parity_item(case: Case) -> Verdict:
    """Return the last parity's result, its scope, and whether it is newer than the last load."""
    remedy = "run `polygon-fundamentals parity` after the last load, and settle what it names"
    tickers = {s.ticker for st in Statement for s in states(case.lake.dataset(Generation.V1, st))}
    if not tickers:
        return Verdict(None, "nothing to compare: the lake has no records of v1", WITHOUT_V1)
    last = queries.newest_parity(case.entries)
    if last is None:
        return Verdict(None, "parity has not been run", remedy)
    result = last.parity
    if result is None:
        return Verdict(False, _ended_in_an_error("parity", last), remedy)
    compared = result.tickers_compared
    if compared is None:
        detail = "cannot be judged: the ledger does not say how many tickers were compared"
        return Verdict(None, detail, remedy)
    least = len(tickers) if case.retired else min(case.thresholds.parity_tickers, len(tickers))
    whole = result.sample is None
    changed = queries.last_change(case.entries)
    fresh = changed is None or last.started >= changed
    # A run of everything looks at every ticker, and compares those that have a value in v1.
    looked_at = result.tickers_total if whole and not last.parameters.get("tickers") else None
    everything = looked_at is not None and looked_at >= len(tickers)
    enough = everything or (compared >= least and (whole or not case.retired))
    absent = result.tickers_not_compared
    words = [
        "passed" if result.passed else "did not pass",
        f"{compared:,} of v1's {len(tickers):,} tickers compared",
        *(f"{number:,} {kind}" for kind, number in absent.items()),
    ]
    if everything and compared + sum(absent.values()) < len(tickers):
        words.append("the others have no value to compare")
    words.append("whole history" if whole else "a sample")
    if not fresh:
        words.append(f"older than the last change of the lake ({changed:%Y-%m-%d %H:%M} UTC)")
    if not enough:
        words.append(
            f"{least:,} tickers{' and the whole history' if case.retired else ''} are required"
        )
    ok = result.passed and fresh and enough and compared > 0
    return Verdict(ok, ", ".join(words), remedy)


def run_time_item(case: Case) -> Verdict:
    """Return how long v2's daily updates take beside v1's."""
    remedy = "run `daily-update --generation both` on a business day: it times both"
    updates = {g: queries.successful_updates(case.entries, g) for g in Generation}
    days = queries.days_in_a_row(case.entries, list(Generation), case.now)
    row = days[-case.thresholds.business_days :]
    v1, v2 = (queries.median_seconds(updates[g], row) for g in (Generation.V1, Generation.V2))
    if v1 is None or v2 is None:
        return Verdict(None, "there is no business day yet on which both ran", remedy)
    remedy = "raise POLYGON_THREADS or the rate limit for v2, or the threshold run_time_ratio"
    limit = case.thresholds.run_time_ratio
    return Verdict(
        v2 <= v1 * limit,
        f"median v2 {v2:.1f} s, v1 {v1:.1f} s over {counted(len(row), 'day')}; at most {limit:g} "
        "times v1's",
        remedy,
    )


def storage_item(case: Case) -> Verdict:
    """Return how large v2 is beside v1, and the room on the disk."""
    size = {
        g: sum(s.size for st in Statement for s in states(case.lake.dataset(g, st)))
        for g in Generation
    }
    v1, v2 = size[Generation.V1], size[Generation.V2]
    free = shutil.disk_usage(case.lake.root).free
    limits = case.thresholds
    small, room = v2 < v1 * limits.storage_ratio, free >= v2 * limits.free_space_ratio
    if not v2:
        return Verdict(None, "v2 is not loaded", "load it: `historical-load --generation v2`")
    if not v1:
        remedy = WITHOUT_V1
    elif small:
        remedy = "free space on the lake's disk"
    else:
        remedy = "find what makes v2 large, or raise storage_ratio in deployments/checklist.toml"
    return Verdict(
        small and room if v1 else None,
        f"v2 {v2 / 1e6:,.1f} MB, v1 {v1 / 1e6:,.1f} MB (less than {limits.storage_ratio:.0%} of it "
        f"is required); {free / 1e9:,.1f} GB free",
        remedy,
    )


def _ended_in_an_error(flow: str, last: RunEntry) -> str:
    """Return in words that a run ended without a report."""
    message = without_class(last.message) or last.outcome
    return f"the {flow} of {last.started:%Y-%m-%d %H:%M} UTC ended in an error: {message}"


def silver_item(case: Case) -> Verdict:
    """Return whether the last drill's silver agreed."""
    remedy = "run `polygon-fundamentals drill`: it builds silver from both and runs readers' checks"
    last = queries.newest(case.entries, "drill")
    if last is None:
        return Verdict(None, "no drill has built it from v2 yet", remedy)
    result = last.drill
    if result is None or result.schema_same is None:
        return Verdict(False, _ended_in_an_error("drill", last), remedy)
    same, answers = result.schema_same, result.answers_differ
    words = "same schema" if same else "another schema"
    if same and not answers and not result.checks:
        detail = f"from v2: {words}; no readers' check compared a figure"
        remedy = "add your readers' checks to deployments/readers.toml, then run the drill again"
        return Verdict(None, detail, remedy)
    checks = counted(result.checks, "readers' check")
    compared = "; ".join(answers[:SHOWN]) or f"{checks} compared figures, within what is allowed"
    return Verdict(same and not answers, f"from v2: {words}; {compared}", remedy)


def drill_item(case: Case) -> Verdict:
    """Return how the last drill went, and how old it is."""
    remedy = "run `polygon-fundamentals drill`"
    last = queries.newest(case.entries, "drill")
    if last is None:
        detail = "the rollback has not been drilled on this lake"
        return Verdict(None, detail, remedy)
    if last.drill is None:
        return Verdict(False, _ended_in_an_error("drill", last), remedy)
    age = (case.now - last.started) / timedelta(days=1)
    passed = last.drill.passed
    fresh = age <= case.thresholds.drill_days
    when = f"{last.started:%Y-%m-%d %H:%M} UTC"
    words = f"{'passed' if passed else 'failed'} on {when}, {age:.1f} days ago"
    if age < 1:
        words = f"{'passed' if passed else 'failed'} on {when}, within the last 24 hours"
    detail = f"{words}; at most {counted(case.thresholds.drill_days, 'day')} may have passed"
    return Verdict(passed and fresh, detail, remedy)


def sign_offs_item(case: Case) -> Verdict:
    """Return who signed what, which sign-offs are missing, and which must be given again."""
    given = sign_offs.signatures(case.lake, case.contacts)
    missing = sign_offs.missing(case.lake, case.contacts)
    again = {
        (one.item, one.role): f"{one}, but {news}"
        for one in given
        if one.item == sign_offs.PARITY
        and (news := signed_parity.beyond(case.lake, case.entries, one.subject))
    }
    words = [again.get((one.item, one.role), str(one)) for one in given]
    left = ", ".join(f"{item} ({role})" for item, role in missing)
    if left:
        words.insert(0, f"missing: {left}")
    item = next((name for name, _ in (*again, *missing)), "ITEM")
    page = signed_parity.page_to_sign(case.entries)
    review = f"read {page}, then " if item == sign_offs.PARITY else ""
    return Verdict(
        not missing and not again,
        "; ".join(words) or "no sign-off is required",
        f"{review}run `polygon-fundamentals sign-off {item} --by NAME`, with a name from "
        "deployments/contacts.toml",
    )


def only_ours_item(case: Case) -> Verdict:
    """Return which files of v1 something else wrote."""
    remedy = "find the cron job or script that still writes there, stop it, then load again"
    spans = queries.load_spans(case.entries, Generation.V1, case.now)
    if not spans:
        detail = "no load of v1 in the ledger to judge by"
        remedy = "load v1 once: `polygon-fundamentals daily-update --generation both`"
        return Verdict(None, detail, remedy)
    foreign = other_writers.written_by_others(case.lake, Generation.V1, spans)
    shown = ", ".join(str(p.relative_to(case.lake.root)) for p in foreign[:SHOWN])
    detail = (
        f"{len(foreign)} files changed without a run: {shown}"
        if foreign
        else f"every change in v1's folder belongs to a load (loads in the ledger: {len(spans)})"
    )
    return Verdict(not foreign, detail, remedy)


def other_data_item(case: Case) -> Verdict:
    """Return what lies beside the statements."""
    names, both = companions.all_companions(case.lake), companions.in_both(case.lake)
    detail = f"stays reachable at its path: {companions.in_words(names)}"
    if both:
        detail = f"in v1's folder and in v2's, so one would be hidden: {companions.in_words(both)}"
    remedy = f"move everything into {case.lake.pointer}, and remove the other"
    return Verdict(not both, detail, remedy)


def rehearsal_item(case: Case) -> Verdict:
    """Return whether a copy that was made to rehearse on stands where it was made."""
    made = rehearsal.rehearsal_of(case.lake)
    assert made is not None  # else the line is not asked for
    words = f"a copy of {made.copy_of}, in which `rehearse` let {made.days_passed} days pass"
    remedy = f"use the lake {made.copy_of}: the days of a copy do not count"
    here = Path(made.copy) == case.lake.root
    detail = words if here else f"{words}, was moved here from {made.copy}"
    return Verdict(here, detail, remedy)


def checksums_item(case: Case) -> Verdict:
    """Return whether v1's files are what their recorded checksums say."""
    remedy = "record them with `polygon-fundamentals checklist --record-checksums`"
    known = checksums.recorded(case.lake)
    if known is None:
        return Verdict(None, "not recorded", remedy)
    changed = checksums.changed_since(case.lake, known)
    shown = ", ".join(changed[:SHOWN])
    detail = (
        f"{len(changed)} files changed since: {shown}"
        if changed
        else (f"{len(known):,} files, unchanged since they were recorded")
    )
    return Verdict(bool(known) and not changed, detail, remedy)
