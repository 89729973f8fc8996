"""`cutover` and `rollback` as calls: one at a time, finishing or undoing what was cut off."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import date

from polygon_fundamentals.cutover import companions
from polygon_fundamentals.cutover import journal as journals
from polygon_fundamentals.cutover.checklist import Checklist
from polygon_fundamentals.cutover.context import Options, SwitchContext
from polygon_fundamentals.cutover.journal import BACK, CUTOVER, OPEN, ROLLBACK, Facts, Journal
from polygon_fundamentals.cutover.runner import (
    JournalReport,
    OperationReport,
    StepResult,
    put_back,
    run_steps,
)
from polygon_fundamentals.cutover.schedules import Recorded
from polygon_fundamentals.cutover.switch_steps import Switch
from polygon_fundamentals.cutover.v1_again import refuse_rollback, v1_changed_since
from polygon_fundamentals.errors import AnswerIsNo, LakeError, UsageError
from polygon_fundamentals.lake.layout import missing
from polygon_fundamentals.lake.paths import V2_FOLDER, Lake
from polygon_fundamentals.lake.pointer import check_folders, holds_data, leads_to, named
from polygon_fundamentals.lake.probe import probe
from polygon_fundamentals.lake.recovery import clear_leftovers
from polygon_fundamentals.locks import exclusive
from polygon_fundamentals.statements import Generation

SWITCH_STEPS = ("adopt pointer", "move pointer", "move silver", "verify")


@dataclass(frozen=True)
class CutoverPlan(OperationReport):
    """What `cutover --execute` would do."""

    plan: tuple[str, ...] = ()
    schedules: Recorded | tuple[()] = ()
    file_system: str = ""
    companions: tuple[str, ...] = ()


def plan_of_cutover(
    lake: Lake, checklist: Checklist, context: SwitchContext, options: Options
) -> CutoverPlan:
    """Return what `cutover --execute` would do; nothing is changed.

    Raises:
        LakeError, UsageError: it would be refused.
    """
    probed = _refuse_unable(lake, options)
    left = journals.unfinished(lake, CUTOVER, ROLLBACK)
    if left is None:
        lake.refuse_lost_pointer()
    parts = []
    if left is not None:
        parts.append(f"{left.operation} {left.id} was cut off; --execute finishes or undoes it")
    if leads_to(lake) is not Generation.V2 and checklist.unmet:
        parts.append(
            f"not yet: {', '.join(checklist.unmet)} unmet (--force REASON overrides them); "
            "`polygon-fundamentals checklist` says how to meet them"
        )
    elif left is None and leads_to(lake) is Generation.V2:
        parts.append("the pointer leads to v2 already; nothing to do")
    elif left is None:
        parts.append("ready; --execute carries it out")
    message = "; ".join(parts)
    journal = Journal(journals.folder(lake) / "plan", CUTOVER, "")
    with ExitStack() as locks:
        steps = Switch(lake, journal, Generation.V2, context, options, locks).cutover_steps()
    return CutoverPlan(
        message,
        tuple(StepResult(item.name, item.ok, item.detail) for item in checklist.items),
        executed=False,
        plan=tuple(step.name for step in steps),
        schedules=context.schedules.recorded() or (),
        file_system=probed,
        companions=companions.shown(lake),
    )


def refuse_without_v2(lake: Lake) -> None:
    """Refuse a lake in which v2 has not been loaded yet.

    Raises:
        UsageError: there is nothing that readers could be led to.
    """
    if not holds_data(lake.bronze / V2_FOLDER):
        raise UsageError(
            f"the lake {lake.root} has no records of v2; load it first: "
            "`polygon-fundamentals historical-load --generation v2`"
        )


def _refuse_unable(lake: Lake, options: Options) -> str:
    """Refuse what a switch could not do here; return the probe in words."""
    check_folders(lake)
    leads_to(lake)
    companions.refuse_in_both(lake)
    if words := missing(lake, Generation.V2):
        raise LakeError(words)
    refuse_without_v2(lake)
    probed = probe(lake)
    if not (probed.exchange or options.allow_gap or lake.pointer.is_symlink()):
        raise LakeError(
            f"{lake.bronze} cannot swap two names in one call; move the lake to a local file "
            "system, or accept a gap of some microseconds in which readers find nothing: "
            "--allow-gap"
        )
    return probed.sentence()


def cutover(
    lake: Lake, evaluate: Callable[[], Checklist], context: SwitchContext, options: Options
) -> JournalReport:
    """Make v2 primary; report a failed step, which is put back, with its code.

    The checklist is evaluated unless readers see v2 already. A rollback that was cut off after its
    pointer had moved is finished first.

    Raises:
        LakeLockedError: another switch is under way.
        AnswerIsNo: the checklist is unmet and nothing forces it, or that rollback fails again.
        LakeError, UsageError: refused; nothing was changed.
        HalfUndoneError: putting back failed too.
    """
    _refuse_unable(lake, options)
    with exclusive(lake.lock("cutover"), 0, "the lake's switch"), ExitStack() as locks:
        journal = _to_go_on_with(lake, CUTOVER, context, options, locks)
        if journal is None and leads_to(lake) is Generation.V2:
            return _nothing_to_do(lake, "the pointer leads to v2 already")
        if journal is None:
            checklist = evaluate()
            unmet = checklist.unmet
            if unmet and not (options.force or "").strip():
                raise AnswerIsNo(
                    f"the checklist is unmet ({', '.join(unmet)}); see `polygon-fundamentals "
                    "checklist`, or override the lines with --force REASON"
                )
            checked = "every line of the checklist is met"
            if checklist.not_judged:
                checked += f", but for {', '.join(checklist.not_judged)}, which is not judged"
            if not checklist.items:
                checked = "the checklist is not evaluated"
            if unmet:
                checked = f"forced ({options.force}): {', '.join(unmet)}"
            facts = Facts(checked=checked, forced={"reason": options.force, "unmet": unmet})
            journal = Journal.begin(lake, CUTOVER, _as_texts(options), context.clock, facts)
        switch = Switch(lake, journal, Generation.V2, context, options, locks)
        with _interrupted_in_words(lake):
            return _report(lake, journal, run_steps(journal, switch.cutover_steps(), context))


def rollback(
    lake: Lake,
    context: SwitchContext,
    options: Options,
    v1_days: Sequence[date],
    today: date,
    *,
    accept_stale: bool = False,
    v1_current: bool = False,
) -> JournalReport:
    """Make v1 primary again, also where v2's folder is not there: the report then says so.

    `v1_days` are the days that whole loads of v1 covered; `v1_current` says that v1 has been
    brought up to date and checked (`--delayed`), so its silver is built anew.

    Raises:
        LakeLockedError, LakeError, UsageError, HalfUndoneError: as `cutover`.
        AnswerIsNo: v1 missed business days since the cutover.
    """
    lake.prepare()
    with exclusive(lake.lock("cutover"), 0, "the lake's switch"), ExitStack() as locks:
        journal = _to_go_on_with(lake, ROLLBACK, context, options, locks)
        if journal is None and named(lake) is not Generation.V2:
            return _nothing_to_do(lake, "the pointer leads to v1")
        if journal is None:
            checked = refuse_rollback(lake, v1_days, today, accept_stale or v1_current)
            facts = Facts(checked=checked)
            before = journals.last_done(lake, CUTOVER)
            if before is not None:
                facts["schedules_before_cutover"] = before.facts.get("schedules")
                facts["answers_before_cutover"] = before.facts.get("answers", {})
                changed = v1_current or v1_changed_since(lake, before, context)
                if not changed and "silver_before" in before.facts:
                    facts["silver_after"] = before.facts["silver_before"]
            journal = Journal.begin(lake, ROLLBACK, _as_texts(options), context.clock, facts)
        return _rolled_back(lake, journal, context, options)


def _rolled_back(
    lake: Lake, journal: Journal, context: SwitchContext, options: Options
) -> JournalReport:
    """Carry out the steps of a rollback, those that were carried out before too."""
    with _interrupted_in_words(lake), ExitStack() as locks:
        switch = Switch(lake, journal, Generation.V1, context, options, locks)
        report = _report(lake, journal, run_steps(journal, switch.rollback_steps(), context))
    if report.state == OPEN and switch.has_moved():
        message = f"readers see {Generation.V1}, but the rollback is {report.message}"
        return replace(report, message=message, exit_code=AnswerIsNo.exit_code)
    return report


@contextmanager
def _interrupted_in_words(lake: Lake) -> Iterator[None]:
    """Name what readers see, where Ctrl-C or SIGTERM ends a switch."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(f"readers see {named(lake) or Generation.V1} now") from error


def _as_texts(options: Options) -> dict[str, object]:
    return {
        name: str(value) if value is not None else None for name, value in vars(options).items()
    }


def _to_go_on_with(
    lake: Lake, operation: str, context: SwitchContext, options: Options, locks: ExitStack
) -> Journal | None:
    """Finish or undo what was cut off; return what this operation is to go on with.

    What had not moved the pointer is put back, since its checks may be out of date, and begins
    anew. A rollback that had moved it is finished, also before a cutover: readers come back to v2
    by a whole cutover alone, with its checklist and its checks.
    """
    clear_leftovers(lake)
    left = journals.unfinished(lake, CUTOVER, ROLLBACK)
    if left is None:
        lake.refuse_lost_pointer()
        return None
    target = Generation.V2 if left.operation == CUTOVER else Generation.V1
    switch = Switch(lake, left, target, context, options, locks)
    if left.operation == ROLLBACK and switch.has_moved():
        left.turn_forward()  # an earlier version put back what failed after the pointer, too
        if operation == CUTOVER:
            context.say("finishing the rollback that was cut off")
            report = _rolled_back(lake, left, context, options)
            if report.exit_code:
                raise AnswerIsNo(report.message)
            return None
        return left
    forward = left.operation == operation and left.direction != BACK
    if forward and named(lake) is target:
        return left
    steps = switch.cutover_steps() if left.operation == CUTOVER else switch.rollback_steps()
    if left.operation == CUTOVER:
        switch.lock()
    context.say(f"undoing the {left.operation} that was cut off")
    put_back(left, steps, context)
    locks.close()
    return None


def _report(lake: Lake, journal: Journal, report: JournalReport) -> JournalReport:
    generation = named(lake)
    message = report.message
    if not report.exit_code:
        message = f"{message}: {lake.pointer} leads to {generation}"
    moved = [s.seconds for s in report.steps if s.name in SWITCH_STEPS]
    noted = journal.facts
    return replace(
        report,
        message=message,
        pointer=generation.value if generation else None,
        switch_seconds=round(sum(s for s in moved if isinstance(s, int | float)), 3),
        facts=Facts(
            schema_same=noted.get("schema_same"),
            answers_differ=noted.get("answers_differ"),
            checks_compared=noted.get("checks_compared", 0),
            forced=noted.get("forced"),
        ),
    )


def _nothing_to_do(lake: Lake, message: str) -> JournalReport:
    generation = leads_to(lake)
    return JournalReport(
        f"{message}; nothing to do",
        pointer=generation.value if generation else None,
        switch_seconds=0.0,
    )
