"""Shards whose runs leave nothing in the lake, or that no worker takes."""

from __future__ import annotations

import logging
import threading

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.states import Completed

from flows import shard_runs
from flows.shard_runs import Shard, carry_out
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.server import SHARD_DEPLOYMENT


@pytest.mark.usefixtures("prefect_server")
def test_a_run_that_ends_without_an_entry_in_the_lake_is_given_up(
    lake: Lake, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no worker; somebody marks the run as completed."""
    for name in ("POLL_SECONDS", "SHOWS_SECONDS", "UNTAKEN_SECONDS"):
        monkeypatch.setattr(shard_runs, name, 0.2)
    shard = Shard(1, ["AAPL"], lake.ops / "shards" / "run" / "shard-001.txt")

    def mark() -> None:
        assert shard.run is not None
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(shard.run, Completed(message="by hand"), force=True)

    @flow(persist_result=False)
    def sharded() -> None:
        with get_client(sync_client=True) as client:
            flow_name, _, name = SHARD_DEPLOYMENT.partition("/")
            client.create_deployment(client.create_flow_from_name(flow_name), name=name)
        timer = threading.Timer(2.0, mark)
        timer.start()
        carry_out(lake, [shard], {})
        timer.join()

    with caplog.at_level(logging.WARNING):
        sharded()
    assert "no worker has taken any of the shards left" in caplog.text
    assert shard.problem.startswith("it ended as 'Completed: by hand', but left nothing in this")
    assert not shard.open
