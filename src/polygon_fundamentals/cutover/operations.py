"""`cutover` and `rollback` as calls: one at a time, finishing or undoing what was cut off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from polygon_fundamentals import ledger
from polygon_fundamentals.business_days import missed_since
from polygon_fundamentals.cutover import evidence
from polygon_fundamentals.cutover import journal as journals
from polygon_fundamentals.cutover.checklist import Line
from polygon_fundamentals.cutover.context import Around, Options
from polygon_fundamentals.cutover.journal import BACK, CUTOVER, ROLLBACK, Journal
from polygon_fundamentals.cutover.steps import (
    HalfUndoneError,
    Step,
    UndoneError,
    UnfinishedError,
    back,
    forward,
)
from polygon_fundamentals.cutover.switch_steps import Switch
from polygon_fundamentals.errors import AnswerIsNo, LakeError
from polygon_fundamentals.lake import archived_rows
from polygon_fundamentals.lake.listing import states
from polygon_fundamentals.lake.paths import V2_FOLDER, Lake
from polygon_fundamentals.lake.pointer import check_folders, holds_data, leads_to
from polygon_fundamentals.lake.storage import local
from polygon_fundamentals.lake.storage.probe import probe
from polygon_fundamentals.locks import exclusive
from polygon_fundamentals.statements import Generation, Statement

Report = dict[str, Any]
SWITCH_STEPS = ("adopt pointer", "move pointer", "move silver", "verify")


@dataclass(frozen=True)
class Judged:
    """The checklist as judged; `lines` in their order."""

    lines: Sequence[Line]

    @property
    def unmet(self) -> list[str]:
        """The names of the lines that are not met."""
        return [line.name for line in self.lines if not line.ok]


def plan_of_cutover(lake: Lake, judged: Judged, around: Around, options: Options) -> Report:
    """Return what `cutover --execute` would do; nothing is changed.

    Raises:
        LakeError, UsageError: it would be refused.
    """
    probed = _looked_at(lake, options)
    left = journals.unfinished(lake)
    recorded = around.schedules.recorded()
    lines = [{"name": line.name, "ok": line.ok, "detail": line.detail} for line in judged.lines]
    if left is not None:
        message = f"{left.operation} {left.id} was cut off; --execute finishes or undoes it"
    elif leads_to(lake) is Generation.V2:
        message = "the pointer leads to v2 already; nothing to do"
    elif judged.unmet:
        message = f"not yet: {', '.join(judged.unmet)} unmet (--force REASON passes them)"
    else:
        message = "ready; --execute carries it out"
    with ExitStack() as held:
        switch = Switch(lake, _nowhere(lake), Generation.V2, around, options, held)
        names = [step.name for step in switch.cutover_steps()]
    schedules = [] if recorded is None else recorded
    return {
        "executed": False,
        "steps": lines,
        "plan": names,
        "schedules": schedules,
        "file_system": probed,
        "exit_code": 0,
        "message": message,
    }


def _nowhere(lake: Lake) -> Journal:
    return Journal(journals.folder(lake) / "plan", CUTOVER, "")


def _looked_at(lake: Lake, options: Options) -> str:
    """Refuse what a switch could not do here; return the probe in words."""
    check_folders(lake)
    if not holds_data(lake.bronze / V2_FOLDER):
        raise LakeError(
            f"{lake.bronze / V2_FOLDER} holds nothing; load v2 first: "
            "`python -m flows historical-load --generation v2`"
        )
    found = probe(lake)
    if not (found.exchange or options.allow_gap or lake.pointer.is_symlink()):
        raise LakeError(
            f"{lake.bronze} cannot swap two names in one call; move the lake to a local file "
            "system, or accept a gap of some microseconds in which readers find nothing: "
            "--allow-gap"
        )
    return found.sentence()


def cutover(lake: Lake, judge: Callable[[], Judged], around: Around, options: Options) -> Report:
    """Make v2 primary; return the report. A failed step is put back and told with its code.

    Raises:
        LakeLockedError: another switch is under way.
        AnswerIsNo: the checklist is unmet and nothing forces it.
        LakeError, UsageError: refused; nothing was changed.
        HalfUndoneError: putting back failed too.
    """
    _looked_at(lake, options)
    with exclusive(lake.lock("cutover"), 0, "the lake's switch"), ExitStack() as held:
        left = _mended(lake, CUTOVER, around, options, held)
        if left is None and leads_to(lake) is Generation.V2:
            return _nothing_to_do(lake, "the pointer leads to v2 already")
        if left is None:
            judged = judge()
            if judged.unmet and options.force is None:
                raise AnswerIsNo(
                    f"the checklist is unmet ({', '.join(judged.unmet)}); see `python -m flows "
                    "checklist`, or pass the lines with --force REASON"
                )
            checked = "every line of the checklist is met"
            if judged.unmet:
                checked = f"forced ({options.force}): {', '.join(judged.unmet)}"
            forced = {"reason": options.force, "unmet": judged.unmet}
            facts = {"checked": checked, "forced": forced}
            left = Journal.begin(lake, CUTOVER, _told(options), around.clock, facts)
        switch = Switch(lake, left, Generation.V2, around, options, held)
        return _carried_out(lake, left, switch.cutover_steps(), around)


def rollback(
    lake: Lake,
    around: Around,
    options: Options,
    v1_days: Sequence[date],
    today: date,
    *,
    accept_stale: bool = False,
    v1_current: bool = False,
) -> Report:
    """Make v1 primary again; return the report.

    `v1_days` are the days on which v1 was loaded whole; `v1_current` says that v1 has been brought
    up to date and checked (`--delayed`), so its silver is built anew.

    Raises:
        LakeLockedError, LakeError, UsageError, HalfUndoneError: as `cutover`.
        AnswerIsNo: v1 missed business days since the cutover.
    """
    lake.prepare()
    with exclusive(lake.lock("cutover"), 0, "the lake's switch"), ExitStack() as held:
        left = _mended(lake, ROLLBACK, around, options, held)
        if left is None and leads_to(lake) is not Generation.V2:
            return _nothing_to_do(lake, "the pointer leads to v1")
        if left is None:
            checked = refuse_rollback(lake, v1_days, today, accept_stale or v1_current)
            facts: dict[str, Any] = {"checked": checked}
            before = journals.last_done(lake, CUTOVER)
            if before is not None:
                facts["schedules_before_cutover"] = before.facts.get("schedules")
                facts["answers_before_cutover"] = before.facts.get("answers", {})
                changed = v1_current or _v1_changed_since(lake, before, around)
                if not changed and "silver_before" in before.facts:
                    facts["silver_after"] = before.facts["silver_before"]
            left = Journal.begin(lake, ROLLBACK, _told(options), around.clock, facts)
        switch = Switch(lake, left, Generation.V1, around, options, held)
        return _carried_out(lake, left, switch.rollback_steps(), around)


def _v1_changed_since(lake: Lake, before: Journal, around: Around) -> bool:
    """Say whether silver of before a cutover may lack something that v1 holds now.

    A load of one ticker counts, though it does not make a day complete. Other files too: those
    into which a load of v2 moved v1 rows that an old script had written through the pointer.
    """
    since = ledger.records(lake, journals.moment(before))[0]
    if evidence.windows(since, Generation.V1, around.clock()):
        return True
    began_ns = datetime.fromisoformat(before.started).timestamp() * 1e9
    return any(
        state.changed_ns >= began_ns
        for statement in Statement
        for state in states(lake.dataset(Generation.V1, statement))
    )


def refuse_rollback(lake: Lake, v1_days: Sequence[date], today: date, accept_stale: bool) -> str:
    """Return in words that v1 can be primary again.

    Raises:
        LakeError: v1's data is not there.
        AnswerIsNo: it missed business days since the cutover.
    """
    folder = lake.generation_folder(Generation.V1)
    if not holds_data(folder):
        if not any((lake.root / "archive").glob("fundamentals_v1_*")):
            raise LakeError(
                f"{folder} is not there, nor an archive of it in {lake.root / 'archive'}, so "
                "readers cannot go back to v1; `python -m flows export --shape v1` writes v2's "
                "records in v1's form"
            )
        raise LakeError(
            f"{folder} is not there any more; bring it back with "
            "`python -m flows restore --execute`, then roll back"
        )
    if archived_rows.archived_since(lake) is not None:
        raise LakeError(
            "v1 is in the archive that `cleanup` made, and its folder holds only what was loaded "
            "since; join the two with `python -m flows restore --execute`, then roll back"
        )
    before = journals.last_done(lake, CUTOVER)
    if before is None:
        return "v1's data is there; no journal of a cutover"
    missed = missed_since(journals.moment(before), v1_days, today)
    if missed and not accept_stale:
        raise AnswerIsNo(
            f"v1 missed {len(missed)} business days since the cutover ({missed[0]} to "
            f"{missed[-1]}); fill them with `rollback --delayed`, or take v1 as it is with "
            "--accept-stale"
        )
    return f"v1's data is there; {len(missed)} business days missed since the cutover"


def _told(options: Options) -> dict[str, Any]:
    return {
        name: str(value) if value is not None else None for name, value in vars(options).items()
    }


def _mended(
    lake: Lake, operation: str, around: Around, options: Options, held: ExitStack
) -> Journal | None:
    """Undo what was cut off; return what this operation is to go on with.

    It goes on only where the pointer had moved already. Before that, what was looked at may
    be of yesterday, so everything is put back and begins anew.
    """
    local.remove_leftovers(lake.ops)
    left = journals.unfinished(lake)
    if left is None:
        return None
    if left.operation not in (CUTOVER, ROLLBACK):
        raise LakeError(
            f"a {left.operation} was cut off; run `python -m flows {left.operation} --execute` "
            "first, it goes on where it stopped"
        )
    target = Generation.V2 if left.operation == CUTOVER else Generation.V1
    forward_on = left.operation == operation and left.direction != BACK
    if forward_on and leads_to(lake) is target:
        return left
    switch = Switch(lake, left, target, around, options, held)
    steps = switch.cutover_steps() if left.operation == CUTOVER else switch.rollback_steps()
    if left.operation == CUTOVER:
        switch.lock()
    around.say(f"undoing the {left.operation} that was cut off")
    back(left, steps, around.point, around.clock)
    held.close()
    return None


def _carried_out(lake: Lake, journal: Journal, steps: Sequence[Step], around: Around) -> Report:
    first = len(journal.steps)
    code, message = 0, ""
    try:
        forward(journal, steps, around.point, around.clock)
    except UndoneError as error:
        code, message = error.code, str(error)
    except (HalfUndoneError, UnfinishedError) as error:
        code, message = error.exit_code, str(error)
    done = journal.steps[first:]
    generation = leads_to(lake)
    return {
        "executed": True,
        "steps": [{k: step.get(k) for k in ("name", "ok", "detail", "seconds")} for step in done],
        "pointer": generation.value if generation else None,
        "state": journal.state,
        "switch_seconds": round(
            sum(step.get("seconds", 0.0) for step in done if step["name"] in SWITCH_STEPS), 3
        ),
        "facts": {k: journal.facts.get(k) for k in ("schema_same", "answers_differ", "forced")},
        "journal": str(journal.path),
        "exit_code": code,
        "message": message or f"{journal.operation} done: {lake.pointer} leads to {generation}",
    }


def _nothing_to_do(lake: Lake, message: str) -> Report:
    generation = leads_to(lake)
    return {
        "executed": True,
        "steps": [],
        "pointer": generation.value if generation else None,
        "state": "done",
        "switch_seconds": 0.0,
        "exit_code": 0,
        "message": f"{message}; nothing to do",
    }
