"""The steps of a trial that switch readers, archive v1 or look whether every file is whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from campaign.where import Done, Where
from flows.runs import recorded_run
from flows.switching import recorded
from polygon_fundamentals.cutover import archiving, drill, operations, verify
from polygon_fundamentals.cutover import journal as journals
from polygon_fundamentals.cutover.checklist import Checklist
from polygon_fundamentals.cutover.context import Options, SwitchContext
from polygon_fundamentals.cutover.journal import CLEANUP, CUTOVER, RESTORE, ROLLBACK
from polygon_fundamentals.cutover.retention import Retention
from polygon_fundamentals.statements import Generation

SWITCH = Options(force="campaign", wait_seconds=2.0, settle_seconds=0.0)
DAYS_LATER = 200


def _switched(where: Where, flow: str, body: Callable[[], Any]) -> Done:
    report = recorded(where.lake, flow, {}, body)
    return Done(ok=report["exit_code"] == 0, text=str(report["message"]))


def cutover(where: Where, draw: int) -> Done:
    """Lead readers to v2."""
    lake = where.lake
    return _switched(
        where, CUTOVER, lambda: operations.cutover(lake, Checklist, SwitchContext(), SWITCH)
    )


def rollback(where: Where, draw: int) -> Done:
    """Lead readers back to v1; every other time as after a backfill."""
    lake, now, fresh = where.lake, datetime.now(UTC).date(), bool(draw % 2)
    how: dict[str, Any] = {"accept_stale": not fresh, "v1_current": fresh}

    def body() -> Any:
        return operations.rollback(lake, SwitchContext(), SWITCH, [], now, **how)

    return _switched(where, ROLLBACK, body)


def rehearse(where: Where, draw: int) -> Done:
    """Rehearse the switch on a copy."""
    lake, today = where.lake, where.day
    return _switched(where, "drill", lambda: drill.drill(lake, SwitchContext(), today, 2.0))


def _late() -> SwitchContext:
    later = timedelta(days=DAYS_LATER)
    return SwitchContext(clock=lambda: datetime.now(UTC) + later)


def cleanup(where: Where, draw: int) -> Done:
    """Archive v1, as if its days had passed."""
    return _switched(where, CLEANUP, lambda: archiving.cleanup(where.lake, _late(), Retention()))


def restore(where: Where, draw: int) -> Done:
    """Bring v1 back from its archive."""
    return _switched(where, RESTORE, lambda: archiving.restore(where.lake, _late()))


def verify_lake(where: Where, draw: int) -> Done:
    """Compare every file with what was recorded of it."""
    return _switched(where, "verify", lambda: verify.verify(where.lake))


def settle(where: Where) -> Done:
    """Do what the next commands do first: put right what killed ones left, go on with a switch."""
    lake = where.lake
    left = journals.unfinished(lake)
    again = {CUTOVER: cutover, ROLLBACK: rollback, CLEANUP: cleanup, RESTORE: restore}
    if left is not None:
        done = again[left.operation](where, 0)
        # One that was undone says why it had been refused, and is over.
        if not done.ok and journals.unfinished(lake) is not None:
            return replace(done, text=f"{left.operation} was not finished: {done.text}")
    with recorded_run("settle", lake, {}, writes=[Generation.V2], resume=True):
        return Done()
