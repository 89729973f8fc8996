"""The flow `status`: completed and without an event where all is well, so no webhook is called."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect.events.clients import AssertingEventsClient
from prefect.events.worker import EventsWorker

from flows import lake_status
from flows.status import EVENT, status, tell_status
from polygon_fundamentals.lake import Lake
from tests.builders.ledger import entry
from tests.builders.status_lakes import LAKES, days_before_today, running_well

pytestmark = pytest.mark.usefixtures("prefect_server")


def outcome(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
    """Run the flow; return the type of its end state and the names of our own events."""
    AssertingEventsClient.reset()
    worker = EventsWorker.instance(AssertingEventsClient)
    monkeypatch.setattr(EventsWorker, "instance", lambda *_, **__: worker)
    try:
        state = status(lake=str(lake.root), return_state=True)
    finally:
        worker.drain()
    events = [event.event for client in AssertingEventsClient.all for event in client.events]
    assert events, "no event at all was seen: the flow run's own are always there"
    return state.type.value, [name for name in events if name.startswith(EVENT)]


@pytest.mark.parametrize("name", [name for name in LAKES if name != "twelve companies"])
def test_nobody_is_called_while_all_is_well(
    name: str, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    LAKES[name](lake)
    assert outcome(lake, monkeypatch) == ("COMPLETED", [])


def test_a_mistake_in_a_settings_file_does_not_hide_what_was_loaded(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mistyped = tmp_path / "checklist.toml"
    mistyped.write_text("busines_days = 5\n")
    monkeypatch.setattr(lake_status, "THRESHOLDS", mistyped)
    report = {"exit_code": 0, "message": "v2: 3 units"}
    tell_status(lake, report, ())
    assert report["exit_code"] == 0
    assert str(report["message"]).startswith(f"v2: 3 units; no status: {mistyped}")


def test_an_alarm_is_an_event_and_fails_the_flow(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    running_well(lake)
    day = days_before_today(1)[0]
    started = f"{day}T20:00:00+00:00"
    entry(lake, "p", flow="parity", outcome="failed", passed=False, started=started)
    expected = [f"{EVENT}warning.failed", f"{EVENT}warning.parity"]
    assert outcome(lake, monkeypatch) == ("FAILED", expected)
