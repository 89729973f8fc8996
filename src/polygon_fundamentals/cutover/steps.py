"""Running a list of steps under a journal: forward, and back when one fails.

Every step is safe to repeat, forward and back, so a run that was cut off is finished or
undone by going through the list again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from polygon_fundamentals.cutover.journal import BACK, DONE, UNDONE, Clock, Journal, now
from polygon_fundamentals.errors import FundamentalsError, LakeError, told
from polygon_fundamentals.lake.pointer import Point, nothing

TOLD = 300


@dataclass(frozen=True)
class Step:
    """One step: what it does and how it is put back; both return what they did, in words.

    Where a step that `stays` fails, what came before it stands, to be finished by the next call.
    """

    name: str
    do: Callable[[], str]
    undo: Callable[[], str] | None = None
    stays: bool = False


class UndoneError(FundamentalsError):
    """A step failed and everything was put back; exits with the failed step's code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class HalfUndoneError(FundamentalsError):
    """A step failed and not everything could be put back; the next call goes on with it."""

    exit_code = 4


class UnfinishedError(FundamentalsError):
    """A step that stays failed; the next call goes on with it."""

    exit_code = 4


def forward(
    journal: Journal, steps: Sequence[Step], point: Point = nothing, clock: Clock = now
) -> None:
    """Carry out the steps; put everything back where one fails.

    Raises:
        UndoneError: a step failed; the lake is as it was before.
        HalfUndoneError: a step failed, and putting it back did too.
        UnfinishedError: a step that stays failed; the steps before it are done.
    """
    for step in steps:
        try:
            _carry_out(journal, step.name, step.do, point)
        except (Exception, KeyboardInterrupt) as error:
            interrupted = isinstance(error, KeyboardInterrupt)
            ours = FundamentalsError("interrupted") if interrupted else _told(error)
            reason = f"{step.name}: {ours}"
            if step.stays and not interrupted:
                raise UnfinishedError(
                    f"{reason} (the steps before it are done, and stay; the same command goes on)"
                ) from error
            journal.turn_back(reason)
            back(journal, steps, point, clock)
            if interrupted:
                raise
            raise UndoneError(f"{reason} (everything was put back)", ours.exit_code) from error
    point("before close")
    journal.close(DONE, "done", clock)
    point("after close")


def back(
    journal: Journal, steps: Sequence[Step], point: Point = nothing, clock: Clock = now
) -> None:
    """Put back, last first, every step that was begun.

    Raises:
        HalfUndoneError: one could not be; the others are, and the journal stays open.
    """
    if journal.direction != BACK:
        journal.turn_back("undone on request")
    begun = {step["name"] for step in journal.steps}
    left = []
    for step in reversed(steps):
        if step.undo is None or step.name not in begun:
            continue
        try:
            _carry_out(journal, f"put back: {step.name}", step.undo, point)
        except Exception as error:  # noqa: BLE001  # told below, when the others are put back
            left.append(f"{step.name} ({_told(error)})")
    if left:
        raise HalfUndoneError(
            f"{journal.message}; not put back yet: {'; '.join(left)}; run the same command "
            "again when that is mended"
        )
    point("before close")
    journal.close(UNDONE, journal.message, clock)
    point("after close")


def _carry_out(journal: Journal, name: str, do: Callable[[], str], point: Point) -> None:
    point(f"before {name}")
    journal.step_begins(name)
    point(f"noted {name}")
    started = time.monotonic()
    try:
        detail = do()
    except Exception as error:
        journal.step_ends("failed", str(_told(error)), time.monotonic() - started)
        raise
    except KeyboardInterrupt:
        journal.step_ends("failed", "interrupted", time.monotonic() - started)
        raise
    point(f"done {name}")
    journal.step_ends("done", detail, time.monotonic() - started)
    point(f"after {name}")


def _told(error: BaseException) -> FundamentalsError:
    """Return any error as one of ours: one that nobody foresaw is undone and told like the rest."""
    if isinstance(error, FundamentalsError | OSError):
        return told(error)
    words = " ".join(f"{type(error).__name__}: {error}".split())[:TOLD].rstrip(": ")
    return LakeError(f"{words}; not foreseen: mend what it names or report it, then run again")
