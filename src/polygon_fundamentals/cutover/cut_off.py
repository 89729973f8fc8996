"""A switch that was cut off and not continued, for `status`."""

from __future__ import annotations

from datetime import datetime, timedelta

from polygon_fundamentals import ledger
from polygon_fundamentals.cutover import journal as journals
from polygon_fundamentals.cutover.journal import CLEANUP, CUTOVER, FORWARD, RESTORE, ROLLBACK
from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.lake.paths import Lake

# The run that wrote a journal began before it; one that continues it, long after.
_BEFORE = timedelta(hours=1)


def cut_off(lake: Lake) -> tuple[str, str] | None:
    """Return (reason, remedy) where a switch is neither finished nor undone; None otherwise.

    A switch that a running process carries out is not cut off; one with an unreadable journal is.
    """
    try:
        left = journals.unfinished(lake)
    except DamagedFileError as error:
        return str(error), "then run `status` again"
    if left is None:
        return None
    since = datetime.fromisoformat(left.started) - _BEFORE
    for entry in ledger.read_entries(lake, since)[0]:
        switches = entry.flow in (CUTOVER, ROLLBACK, CLEANUP, RESTORE)
        if switches and entry.is_running and not ledger.is_dead(entry):
            return None
    reason = f"the {left.operation} of {left.started[:16].replace('T', ' ')} UTC "
    states = {step["name"]: step["state"] for step in left.steps}
    failed = [name for name, state in states.items() if state == "failed"]
    if left.direction == FORWARD and failed:
        reason += f"has not finished {', '.join(failed)}"
    else:
        reason += f"stopped at {left.steps[-1]['name'] if left.steps else 'its first step'}"
    if left.operation == ROLLBACK:
        noted = left.facts.get("schedules_before_cutover")
        off = states.get("schedules as they were") != "done"
        paused = "that the cutover paused stay off until it is finished"
    else:
        noted, off = left.facts.get("schedules"), True
        paused = "that it paused stay off until it is finished or undone"
    if off and any(entry["active"] for entry in noted or ()):
        reason += f"; schedules {paused}"
    return reason, f"run `{left.operation} --execute` again, which continues or undoes it"
