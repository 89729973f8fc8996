"""Parity and silver of a deployment wait for the night's daily update, and publish for silver."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from prefect import Flow

from flows import runs
from flows.parity import parity
from flows.publish import publish
from flows.silver import silver
from polygon_fundamentals import ledger
from polygon_fundamentals.lake import Lake
from tests.builders.deployments import deployed
from tests.builders.ledger import entry

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


@pytest.fixture(autouse=True)
def _quick(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(runs, "BEGINS_SECONDS", 2.0)
    monkeypatch.setenv("QUANTLAKE_PUBLISH_URL", str(lake.root.parent / "tables"))


def by_hand(flow: Flow[Any, Any], lake: Lake) -> None:
    flow(lake=str(lake.root), return_state=True)


def began(lake: Lake, flow: Flow[Any, Any]) -> datetime:
    """Return when the flow's run began, in the ledger."""
    (run,) = (e for e in ledger.read_entries(lake)[0] if e.flow == flow.name)
    return run.started


def under_way(lake: Lake, name: str, **changes: Any) -> ledger.RunEntry:
    """Have a run of this process in the ledger; return its entry."""
    entry(lake, name, started=datetime.now(UTC).isoformat(), **changes)
    return next(e for e in ledger.read_entries(lake)[0] if e.run == name)


def end(run: ledger.RunEntry) -> datetime:
    """End a run; return when."""
    now = datetime.now(UTC)
    run.path.write_bytes(orjson.dumps({**run.content, "outcome": "succeeded"}))
    return now


def seen(text: str, caplog: Any) -> None:
    """Wait until the log has a text."""
    until = time.monotonic() + 60
    while text not in caplog.text and time.monotonic() < until:
        time.sleep(0.1)
    assert text in caplog.text


def run_while(happens: Callable[[], None], flow: Flow[Any, Any], lake: Lake, caplog: Any) -> None:
    """Run a flow as its deployment does while something else happens; keep what it logs."""
    other = threading.Thread(target=happens, daemon=True)
    other.start()
    with caplog.at_level(logging.INFO, logger="prefect.flow_runs"):
        deployed(flow, lake)
    other.join()


@pytest.mark.parametrize("flow", [silver, parity, publish], ids=lambda flow: flow.name)
def test_a_run_of_a_deployment_begins_once_the_update_has_ended(
    lake: Lake, flow: Flow[Any, Any], caplog: Any
) -> None:
    update = under_way(lake, "night")
    ends: list[datetime] = []

    def night() -> None:
        seen("waiting for the daily update night", caplog)
        time.sleep(1.0)
        ends.append(end(update))

    run_while(night, flow, lake, caplog)
    assert began(lake, flow) > ends[0]
    assert "for 60 minutes at most" in caplog.text


def test_publish_begins_once_silver_is_built_that_waited_for_the_update(
    lake: Lake, caplog: Any
) -> None:
    update = under_way(lake, "night")
    ends: list[datetime] = []

    def night() -> None:
        seen("waiting for the daily update night", caplog)
        end(update)
        time.sleep(0.5)  # silver looks only every few seconds whether the update has ended
        build = under_way(lake, "build", flow="silver", parameters={"as_of": None})
        seen("waiting for the build of silver build", caplog)
        time.sleep(0.5)
        ends.append(end(build))

    run_while(night, publish, lake, caplog)
    assert began(lake, publish) > ends[0]


@pytest.mark.parametrize(
    ("run", "flow", "changes", "said"),
    [
        (deployed, silver, {}, "still runs; this run does not wait for it any longer"),
        (deployed, silver, {"pid": 2**22 - 1}, ""),
        (deployed, silver, {"flow": "historical-load"}, ""),
        (deployed, silver, {"flow": "silver"}, ""),
        (by_hand, silver, {}, ""),
        (deployed, publish, {"flow": "silver"}, "still runs; this run does not wait for it"),
        (deployed, publish, {"flow": "silver", "parameters": {"as_of": "2026-06-30"}}, ""),
        (by_hand, publish, {"flow": "silver"}, ""),
    ],
    ids=[
        "too long",
        "dead",
        "another load",
        "silver by silver",
        "by hand",
        "silver too long",
        "silver as of a day",
        "publish by hand",
    ],
)
def test_what_is_not_waited_for(
    lake: Lake,
    run: Any,
    flow: Flow[Any, Any],
    changes: dict[str, Any],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: Any,
) -> None:
    monkeypatch.setattr(runs, "WAIT_SECONDS", 0.5)
    monkeypatch.setattr(runs, "BEGINS_SECONDS", 0.2)
    under_way(lake, "night", **changes)
    with caplog.at_level(logging.INFO, logger="prefect.flow_runs"):
        run(flow, lake)
    assert [e for e in ledger.read_entries(lake)[0] if e.flow == flow.name and e.run != "night"]
    assert ("this run does not wait" in caplog.text) is bool(said)
    assert said in caplog.text
