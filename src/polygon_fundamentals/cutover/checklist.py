"""The checklist before a cutover: every line with its evidence and how to meet it.

A line that cannot be judged is not met.
"""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from polygon_fundamentals import ledger
from polygon_fundamentals.business_days import day_of, streak
from polygon_fundamentals.cutover import checksums, companions, evidence, quarantine, sign_offs
from polygon_fundamentals.cutover.journal import Clock, now
from polygon_fundamentals.errors import FundamentalsError, UsageError, as_fundamentals_error
from polygon_fundamentals.lake.listing import states
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.ledger import Record
from polygon_fundamentals.statements import Generation, Statement
from polygon_fundamentals.v1_endpoint import LEDGER_DAYS, v1_endpoint

EVIDENCE_DAYS = timedelta(days=60)
SHOWN = 3


class Thresholds(BaseModel):
    """When a line is met (`deployments/checklist.toml`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    business_days: int = Field(default=5, ge=1, description="successful days in a row")
    parity_tickers: int = Field(default=100, ge=1, description="compared, or all if fewer")
    run_time_ratio: float = Field(default=1.0, gt=0, description="v2's median over v1's")
    storage_ratio: float = Field(default=1.1, gt=0, description="v2's bytes over v1's")
    free_space_ratio: float = Field(default=1.5, ge=0, description="free bytes over v2's")
    drill_days: int = Field(default=7, ge=1, description="age of the last drill")


def load_thresholds(path: Path | None) -> Thresholds:
    """Return the thresholds of a TOML file, or the defaults where there is none.

    Raises:
        UsageError: it is no TOML, or says something that is not known.
    """
    if path is None or not path.exists():
        return Thresholds()
    try:
        return Thresholds.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, ValidationError, UnicodeDecodeError) as error:
        reason = "; ".join(str(error).splitlines()[:3])
        raise UsageError(f"{path}: {reason}; correct the file, then run again") from error


@dataclass(frozen=True)
class ChecklistItem:
    """One line as judged: `detail` is the evidence, `remedy` how to meet it."""

    name: str
    ok: bool
    detail: str
    remedy: str


@dataclass(frozen=True)
class Checklist:
    """Every line as judged, in order."""

    items: Sequence[ChecklistItem] = ()

    @property
    def unmet(self) -> list[str]:
        """The names of the lines that are not met."""
        return [item.name for item in self.items if not item.ok]


@dataclass(frozen=True)
class _Case:
    """What the lines are judged by."""

    lake: Lake
    records: Sequence[Record]
    thresholds: Thresholds
    contacts: sign_offs.Contacts
    now: datetime
    retired: bool


def evaluate_checklist(
    lake: Lake,
    thresholds: Thresholds,
    contacts: sign_offs.Contacts,
    *,
    v1: Literal["live", "retired"] | None = None,
    clock: Clock = now,
) -> Checklist:
    """Return every line of the checklist. Nothing is written.

    `v1` says whether its endpoint still answers; None: what the ledger knows of it.
    """
    at = clock()
    everything, damaged = ledger.records(lake, at - LEDGER_DAYS)
    retired = v1_endpoint(everything, at).retired if v1 is None else v1 == "retired"
    records = [record for record in everything if record.started >= at - EVIDENCE_DAYS]
    case = _Case(lake, records, thresholds, contacts, at, retired)
    runs = [("v2 runs", _v2_runs)] if retired else [("parallel runs", _parallel_runs)]
    lines: list[tuple[str, Callable[[_Case], ChecklistItem]]] = [
        *runs,
        ("parity", _parity),
        *([] if retired else [("run time", _run_time)]),
        ("storage", _storage),
        ("silver", _silver),
        ("drill", _drill),
        ("sign-offs", _sign_offs),
        *([("v1 checksums", _checksums)] if retired else [("only our writers", _only_ours)]),
    ]
    if companions.all_companions(lake):
        lines.append(("other data", _other_data))
    judged = [_judged(name, line, case) for name, line in lines]
    if damaged:
        names = ", ".join(path.name for path in damaged[:SHOWN])
        judged.append(
            ChecklistItem(
                "ledger", False, f"cannot be read: {names}", "restore or remove these files"
            )
        )
    return Checklist(judged)


def _judged(name: str, line: Callable[[_Case], ChecklistItem], case: _Case) -> ChecklistItem:
    try:
        return line(case)
    except (FundamentalsError, OSError, KeyError, TypeError, ValueError) as error:
        known = isinstance(error, FundamentalsError | OSError)
        why = str(as_fundamentals_error(error)) if known else f"{type(error).__name__}: {error}"  # type: ignore[arg-type]
        return ChecklistItem(
            name, False, f"cannot be judged: {why}", "mend what the evidence names"
        )


def _daily_days(case: _Case, generation: Generation) -> set[Any]:
    return {s.day for s in evidence.successes(case.records, generation)}


def _parallel_runs(case: _Case) -> ChecklistItem:
    both = _daily_days(case, Generation.V1) & _daily_days(case, Generation.V2)
    return _row_line("parallel runs", case, both, "both", "both pipelines succeeded")


def _v2_runs(case: _Case) -> ChecklistItem:
    days = _daily_days(case, Generation.V2)
    return _row_line("v2 runs", case, days, "v2", "v1 is retired; v2 succeeded")


def _row_line(name: str, case: _Case, days: set[Any], generation: str, words: str) -> ChecklistItem:
    row, least = streak(days, day_of(case.now)), case.thresholds.business_days
    span = f" ({row[0]} to {row[-1]})" if row else ""
    return ChecklistItem(
        name,
        len(row) >= least,
        f"{words} on {len(row)} business days in a row{span}; {least} are asked for",
        f"run `daily-update --generation {generation}` on every business day, for today and "
        "without --tickers or fewer statements and timeframes",
    )


def _parity(case: _Case) -> ChecklistItem:
    remedy = "run `python -m flows parity` after the last load, and mend what it names"
    last = evidence.last_of(case.records, "parity")
    if last is None:
        return ChecklistItem("parity", False, "parity has not been run", remedy)
    found = last.found
    tickers = {s.ticker for st in Statement for s in states(case.lake.dataset(Generation.V1, st))}
    compared = int(found["tickers_compared"])
    least = len(tickers) if case.retired else min(case.thresholds.parity_tickers, len(tickers))
    whole = found.get("sample") is None
    changed = evidence.last_change(case.records)
    fresh = changed is None or last.started >= changed
    enough = compared >= least and (whole or not case.retired)
    words = [
        "passed" if found["passed"] else "did not pass",
        f"{compared:,} of v1's {len(tickers):,} tickers compared",
        "whole history" if whole else "a sample",
    ]
    if not fresh:
        words.append(f"older than the last load ({changed:%Y-%m-%d %H:%M} UTC)")
    if not enough:
        words.append(
            f"{least:,} tickers{' and the whole history' if case.retired else ''} are asked for"
        )
    ok = bool(found["passed"]) and fresh and enough and bool(tickers)
    return ChecklistItem("parity", ok, ", ".join(words), remedy)


def _run_time(case: _Case) -> ChecklistItem:
    remedy = "raise POLYGON_THREADS or the rate limit for v2, or the threshold run_time_ratio"
    found = {g: evidence.successes(case.records, g) for g in Generation}
    both = {s.day for s in found[Generation.V1]} & {s.day for s in found[Generation.V2]}
    row = streak(both, day_of(case.now))[-case.thresholds.business_days :]
    v1, v2 = (evidence.median_seconds(found[g], row) for g in (Generation.V1, Generation.V2))
    if v1 is None or v2 is None:
        return ChecklistItem("run time", False, "no day on which both ran", remedy)
    limit = case.thresholds.run_time_ratio
    return ChecklistItem(
        "run time",
        v2 <= v1 * limit,
        f"median v2 {v2:.1f} s, v1 {v1:.1f} s over {len(row)} days; at most {limit:g} times v1's",
        remedy,
    )


def _storage(case: _Case) -> ChecklistItem:
    size = {
        g: sum(s.size for st in Statement for s in states(case.lake.dataset(g, st)))
        for g in Generation
    }
    v1, v2 = size[Generation.V1], size[Generation.V2]
    free = shutil.disk_usage(case.lake.root).free
    limits = case.thresholds
    small, room = v2 < v1 * limits.storage_ratio, free >= v2 * limits.free_space_ratio
    if not v1:
        remedy = "load v1; where it can be loaded no more, pass the line: `cutover --force REASON`"
    elif small:
        remedy = "free space on the lake's disk"
    else:
        remedy = (
            "find what makes v2 large, or raise storage_ratio in deployments/checklist.toml with a "
            "reason"
        )
    return ChecklistItem(
        "storage",
        bool(v1) and small and room,
        f"v2 {v2:,} bytes, v1 {v1:,} (under {limits.storage_ratio:.0%} of it is asked for); "
        f"{free:,} free",
        remedy,
    )


def _drill_report(case: _Case) -> Record | None:
    return evidence.last_of(case.records, "drill")


def _silver(case: _Case) -> ChecklistItem:
    remedy = "run `python -m flows drill`: it builds silver from both and asks the readers' checks"
    last = _drill_report(case)
    if last is None:
        return ChecklistItem("silver", False, "no drill has built it from v2 yet", remedy)
    same, answers = bool(last.found["schema_same"]), last.found["answers_differ"]
    words = "same schema" if same else "another schema"
    told_of = "; ".join(answers[:SHOWN]) or f"{last.found['checks']} readers' checks agree"
    return ChecklistItem("silver", same and not answers, f"from v2: {words}; {told_of}", remedy)


def _drill(case: _Case) -> ChecklistItem:
    remedy = "run `python -m flows drill`"
    last = _drill_report(case)
    if last is None:
        return ChecklistItem(
            "drill", False, "the rollback has not been drilled on this lake", remedy
        )
    age = (case.now - last.started) / timedelta(days=1)
    passed = bool(last.found["passed"])
    fresh = age <= case.thresholds.drill_days
    words = f"{'passed' if passed else 'failed'} {age:.1f} days ago"
    return ChecklistItem(
        "drill", passed and fresh, f"{words}; {case.thresholds.drill_days} are allowed", remedy
    )


def _sign_offs(case: _Case) -> ChecklistItem:
    missing = sign_offs.missing(case.lake, case.contacts)
    left = ", ".join(f"{item} ({role})" for item, role in missing)
    detail = f"missing: {left}" if missing else f"{', '.join(case.contacts.sign_offs)}: all signed"
    item = missing[0][0] if missing else "ITEM"
    return ChecklistItem(
        "sign-offs",
        not missing,
        detail,
        f"`python -m flows sign-off {item} --by NAME`, names in deployments/contacts.toml",
    )


def _only_ours(case: _Case) -> ChecklistItem:
    remedy = "find the cron job or script that still writes there, stop it, then load again"
    spans = evidence.windows(case.records, Generation.V1, case.now)
    if not spans:
        return ChecklistItem(
            "only our writers", False, "no load of v1 in the ledger to judge by", remedy
        )
    found = quarantine.written_by_others(case.lake, Generation.V1, spans)
    shown = ", ".join(str(p.relative_to(case.lake.root)) for p in found[:SHOWN])
    detail = (
        f"{len(found)} files changed without a run: {shown}"
        if found
        else (f"every change in v1's folder belongs to one of {len(spans)} loads")
    )
    return ChecklistItem("only our writers", not found, detail, remedy)


def _other_data(case: _Case) -> ChecklistItem:
    names, both = companions.all_companions(case.lake), companions.in_both(case.lake)
    detail = f"stays reachable at its path: {companions.in_words(names)}"
    if both:
        detail = f"in v1's folder and in v2's, so one would be hidden: {companions.in_words(both)}"
    remedy = f"join the two in {case.lake.pointer}, and remove the other"
    return ChecklistItem("other data", not both, detail, remedy)


def _checksums(case: _Case) -> ChecklistItem:
    remedy = "record them with `python -m flows checklist --record-checksums`"
    known = checksums.recorded(case.lake)
    if known is None:
        return ChecklistItem("v1 checksums", False, "not recorded", remedy)
    changed = checksums.changed_since(case.lake, known)
    shown = ", ".join(changed[:SHOWN])
    detail = (
        f"{len(changed)} files changed since: {shown}"
        if changed
        else (f"{len(known):,} files, unchanged since they were recorded")
    )
    return ChecklistItem("v1 checksums", bool(known) and not changed, detail, remedy)
