"""Parity and silver of a deployment begin once the night's daily update has ended."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from prefect import Flow

from flows import runs
from flows.parity import parity
from flows.silver import silver
from polygon_fundamentals import ledger
from polygon_fundamentals.lake import Lake
from tests.builders.deployments import deployed
from tests.builders.ledger import entry

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


def by_hand(flow: Flow[Any, Any], lake: Lake) -> None:
    flow(lake=str(lake.root), return_state=True)


def began(lake: Lake, flow: Flow[Any, Any]) -> datetime:
    """Return when the flow's run began, in the ledger."""
    (run,) = (e for e in ledger.read_entries(lake)[0] if e.flow == flow.name)
    return run.started


@pytest.mark.parametrize("flow", [silver, parity], ids=lambda flow: flow.name)
def test_a_run_of_a_deployment_begins_once_the_update_has_ended(
    lake: Lake, flow: Flow[Any, Any], monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr(runs, "POLL_SECONDS", 0.1)
    entry(lake, "night", started=datetime.now(UTC).isoformat())
    (update,) = ledger.read_entries(lake)[0]
    ends: list[datetime] = []

    def end() -> None:
        until = time.monotonic() + 60
        while "waiting for the daily update night" not in caplog.text and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(1.0)
        ends.append(datetime.now(UTC))
        update.path.write_bytes(orjson.dumps({**update.content, "outcome": "succeeded"}))

    timer = threading.Thread(target=end, daemon=True)
    timer.start()
    with caplog.at_level(logging.INFO, logger="prefect.flow_runs"):
        deployed(flow, lake)
    timer.join()
    assert began(lake, flow) > ends[0]
    assert "for 60 minutes at most" in caplog.text


@pytest.mark.parametrize(
    ("run", "changes", "said"),
    [
        (deployed, {}, "still loads; this run does not wait for it any longer"),
        (deployed, {"pid": 2**22 - 1}, ""),
        (deployed, {"flow": "historical-load"}, ""),
        (by_hand, {}, ""),
    ],
    ids=["too long", "dead", "another load", "by hand"],
)
def test_what_is_not_waited_for(
    lake: Lake,
    run: Any,
    changes: dict[str, Any],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: Any,
) -> None:
    monkeypatch.setattr(runs, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(runs, "UPDATE_SECONDS", 0.5)
    entry(lake, "night", started=datetime.now(UTC).isoformat(), **changes)
    with caplog.at_level(logging.INFO, logger="prefect.flow_runs"):
        run(silver, lake)
    assert began(lake, silver)
    assert ("this run does not wait" in caplog.text) is bool(said)
    assert said in caplog.text
