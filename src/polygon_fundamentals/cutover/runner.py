"""Running an operation's steps under its journal: forward, and back when one fails.

Every step is safe to repeat, forward and back, so a run that was cut off is finished or
undone by going through the list again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import UNSET, UnsetType

from polygon_fundamentals.cutover.context import SwitchContext
from polygon_fundamentals.cutover.journal import BACK, DONE, UNDONE, Facts, Journal
from polygon_fundamentals.errors import FundamentalsError, LakeError, as_fundamentals_error

MAX_MESSAGE = 300


def never() -> bool:
    """The `stays` of a step that is put back."""
    return False


def always() -> bool:
    """The `stays` of a step after which nothing is put back."""
    return True


@dataclass(frozen=True)
class Step:
    """One step: what it does and how it is put back; both return what they did, in words.

    If a step fails while `stays` returns True, nothing is put back: the steps after it follow, but
    for one that `needs` it, by name, and the next call finishes the operation.
    """

    name: str
    do: Callable[[], str]
    undo: Callable[[], str] | None = None
    stays: Callable[[], bool] = never
    needs: str = ""


@dataclass(frozen=True)
class StepResult:
    """One line of a report: `ok` is None where it could not be judged."""

    name: str
    ok: bool | None
    detail: str
    remedy: str | UnsetType = UNSET
    seconds: float | UnsetType = UNSET


@dataclass(frozen=True)
class OperationReport:
    """What an operation did, or would do; its fields are the keys of `--json`."""

    message: str
    steps: tuple[StepResult, ...] = ()
    exit_code: int = 0
    executed: bool = True

    def as_json(self) -> dict[str, object]:
        """Return the report as JSON's own types, without the fields that are not set."""
        entry = msgspec.to_builtins(self)
        return {**entry, "steps": list(entry["steps"])}


@dataclass(frozen=True)
class JournalReport(OperationReport):
    """What an operation with a journal did."""

    state: str = DONE
    archive: str | UnsetType = UNSET
    journal: str | UnsetType = UNSET
    facts: Facts | UnsetType = UNSET
    pointer: str | UnsetType | None = UNSET
    switch_seconds: float | UnsetType = UNSET


class HalfUndoneError(FundamentalsError):
    """A step failed and not everything could be put back; the next call goes on with it."""

    exit_code = 4


def run_steps(journal: Journal, steps: Sequence[Step], context: SwitchContext) -> JournalReport:
    """Carry out the steps, or go on putting them back; report those of this call.

    Where one fails, everything is put back and the report has the failed step's exit code; where
    putting back fails too, or a step stays, it is 4 and the journal stays open. Ctrl-C is passed
    on when that is done.
    """
    first = len(journal.steps)
    code, message = _run(journal, steps, context)
    results = tuple(
        StepResult(
            entry["name"], entry.get("ok"), entry.get("detail", ""), seconds=entry.get("seconds", 0)
        )
        for entry in journal.steps[first:]
    )
    message = message or f"{journal.operation} done"
    return JournalReport(message, results, code, state=journal.state, journal=str(journal.path))


def _run(journal: Journal, steps: Sequence[Step], context: SwitchContext) -> tuple[int, str]:
    missing, reasons = set[str](), list[str]()
    try:
        if journal.direction == BACK:
            put_back(journal, steps, context)
            return 1, f"{journal.message} (everything was put back); run again"
        for step in steps:
            if step.needs in missing:
                missing.add(step.name)
                continue
            try:
                _carry_out(journal, step.name, step.do, context)
            except (Exception, KeyboardInterrupt) as error:
                interrupted = isinstance(error, KeyboardInterrupt)
                ours = FundamentalsError("interrupted") if interrupted else _as_ours(error)
                reason = f"{step.name}: {ours}"
                if step.stays():
                    if interrupted:
                        raise
                    missing.add(step.name)
                    reasons.append(reason)
                    continue
                journal.turn_back(reason)
                put_back(journal, steps, context)
                if interrupted:
                    raise
                return ours.exit_code, f"{reason} (everything was put back)"
    except HalfUndoneError as error:
        return error.exit_code, str(error)
    if reasons:
        return HalfUndoneError.exit_code, (
            f"not finished: {'; '.join(reasons)} (what was done stays; run the same command again, "
            "which continues)"
        )
    _close(journal, DONE, "done", context)
    return 0, ""


def put_back(journal: Journal, steps: Sequence[Step], context: SwitchContext) -> None:
    """Put back, last first, every step that was begun.

    Raises:
        HalfUndoneError: one could not be; the others are, and the journal stays open.
    """
    if journal.direction != BACK:
        journal.turn_back("undone on request")
    begun = {entry["name"] for entry in journal.steps}
    left = []
    for step in reversed(steps):
        if step.undo is None or step.name not in begun:
            continue
        try:
            _carry_out(journal, f"put back: {step.name}", step.undo, context)
        except Exception as error:  # noqa: BLE001  # said below, when the others are put back
            left.append(f"{step.name} ({_as_ours(error)})")
    if left:
        raise HalfUndoneError(
            f"{journal.message}; not put back yet: {'; '.join(left)}; run the same command "
            "again when that is fixed"
        )
    _close(journal, UNDONE, journal.message, context)


def _close(journal: Journal, state: str, message: str, context: SwitchContext) -> None:
    context.on_reached("before close")
    journal.close(state, message, context.clock)
    context.on_reached("after close")


def _carry_out(journal: Journal, name: str, do: Callable[[], str], context: SwitchContext) -> None:
    context.on_reached(f"before {name}")
    journal.step_begins(name)
    context.on_reached(f"noted {name}")
    started = time.monotonic()
    try:
        detail = do()
    except (Exception, KeyboardInterrupt) as error:
        interrupted = isinstance(error, KeyboardInterrupt)
        why = "interrupted" if interrupted else str(_as_ours(error))
        journal.step_ends("failed", why, time.monotonic() - started)
        raise
    context.on_reached(f"done {name}")
    journal.step_ends("done", detail, time.monotonic() - started)
    context.on_reached(f"after {name}")


def _as_ours(error: BaseException) -> FundamentalsError:
    """Return any error as one of ours: an unforeseen one is undone and reported like the rest."""
    if isinstance(error, FundamentalsError | OSError):
        return as_fundamentals_error(error)
    words = " ".join(f"{type(error).__name__}: {error}".split())[:MAX_MESSAGE].rstrip(": ")
    return LakeError(
        f"{words}; this was not expected: fix what it names or report it, then run again"
    )
