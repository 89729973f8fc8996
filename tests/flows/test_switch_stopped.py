"""A switch that SIGTERM stops, as a run cancelled in the UI is, and one that was killed."""

from __future__ import annotations

import signal
from datetime import UTC, datetime

import orjson
import pytest
from prefect.exceptions import TerminationSignal
from prefect.utilities.engine import capture_sigterm

from flows.lake_status import status_of
from flows.switching import recorded
from polygon_fundamentals import ledger
from polygon_fundamentals.cutover import journal as journals
from polygon_fundamentals.cutover.checklist import Checklist
from polygon_fundamentals.cutover.operations import cutover
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.status import Row
from tests import cutover_world as world


def stopped(name: str) -> None:
    """Send SIGTERM while the cutover waits for jobs, and once more while it puts back."""
    if name in ("noted wait for running jobs", "before put back: pause schedules"):
        signal.raise_signal(signal.SIGTERM)


def switched(lake: Lake) -> None:
    context = world.context(lake, on_reached=stopped)
    recorded(lake, "cutover", {}, lambda: cutover(lake, Checklist, context, world.QUICK))


def rows(lake: Lake) -> list[Row]:
    return [row for row in status_of(lake)[1] if row.name == "switch"]


def test_what_it_paused_is_put_back(lake: Lake) -> None:
    schedules = world.FakeSchedules(world.fill(lake).root / "schedules.json")
    before = schedules.active()
    with pytest.raises(KeyboardInterrupt):
        switched(lake)
    assert schedules.active() == before
    assert journals.unfinished(lake) is None
    assert rows(lake) == []
    # In a flow run, Prefect then learns of it, says Cancelled and passes the signal on.
    passed_on = list[int]()
    handler = signal.signal(signal.SIGTERM, lambda number, _: passed_on.append(number))
    try:
        with pytest.raises(TerminationSignal), capture_sigterm():
            switched(lake)
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert passed_on == [signal.SIGTERM]
    assert schedules.active() == before
    assert {entry.outcome for entry in ledger.read_entries(lake)[0]} == {"interrupted"}


def test_status_names_one_that_was_cut_off_until_it_is_undone(lake: Lake) -> None:
    class Killed(BaseException):
        """The end of a process, as far as its journal goes."""

    def killed(name: str) -> None:
        if name == "noted wait for running jobs":
            raise Killed

    world.fill(lake)
    run = ledger.Run(lake, "cutover", {})
    context = world.context(lake, on_reached=killed)
    with pytest.raises(Killed), ledger.recorded(run):
        cutover(lake, Checklist, context, world.QUICK)
    (row,) = rows(lake)
    assert row.ok is False
    assert row.reason.startswith("the cutover of ")
    assert row.reason.endswith(
        "UTC stopped at wait for running jobs; schedules that it paused stay off until it is "
        "finished or undone"
    )
    assert row.remedy == "run `cutover --execute` again, which continues or undoes it"
    # While a run carries it on there is nothing to do.
    entry = orjson.loads(run.path.read_bytes()) | {"outcome": "running", "ended": None}
    entry["started"] = datetime.now(UTC).isoformat()
    run.path.write_bytes(orjson.dumps(entry))
    assert rows(lake) == []
    run.path.unlink()
    assert len(rows(lake)) == 1
    assert world.run(lake, "rollback")["exit_code"] == 0
    assert rows(lake) == []
    (journals.folder(lake) / "20990101T000000000000Z-cutover-x.json").write_text("{")
    (row,) = rows(lake)
    assert "is not a readable journal" in row.detail
